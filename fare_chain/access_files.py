"""An access key from its files, and tokens by it, renewed before they expire: how a program says who reads."""

import time
from pathlib import Path

from fare_chain.access_tokens import issue_token
from fare_chain.errors import Malformed
from fare_chain.identifiers import FIRST_READER, SCHEME
from fare_chain.key_files import read_public_key, read_signing_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey

TOKEN_S = 60


class Access:
    """Somebody's access key, and why it reads what is not its own (`audit`, `supervision`, ...); "" where nothing is said."""

    def __init__(self, key: SigningKey, described: PublicKey, basis: str = "") -> None:
        self.key = key
        self.described = described
        self.basis = basis
        self._token, self._audience, self._until_s = "", "", 0.0

    @property
    def looks(self) -> bool:
        """Whether this reader is no party of any ride, so that each of its looks is logged."""
        return self.described.owner == SCHEME or self.described.owner >= FIRST_READER

    def header(self, audience: str) -> dict[str, str]:
        """The header that says who asks the log of that origin; the token in it is good for half a minute at least."""
        now_s = time.time()
        if now_s >= self._until_s or audience != self._audience:
            self._token = issue_token(self.key, self.described, audience=audience, now_s=int(now_s), lifetime_s=TOKEN_S)
            self._audience, self._until_s = audience, now_s + TOKEN_S / 2
        return {"Authorization": f"Bearer {self._token}"}


def read_access(path: Path | None, basis: str = "") -> Access | None:
    """The access key of NAME.key and NAME.pub beside it, None where none is named; Malformed where it is for something else."""
    if path is None:
        return None
    described = read_public_key(path.with_suffix(".pub"))
    if described.use is not KeyUse.ACCESS:
        raise Malformed(f"{path} is a {described.use.name} key: name one that was made with --use access")
    return Access(read_signing_key(path), described, basis)

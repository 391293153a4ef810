"""Keys on disk: a private key that its owner alone can read, and its public key as one line that can be mailed.

NAME.key, mode 0600:

    # private Ed25519 seed; whoever reads it can sign in its owner's name
    <64 hexadecimal digits>

NAME.pub:

    fare-chain-key/v1 owner=2 use=ISSUER from=2026-01-01T00:00:00Z to=2027-01-01T00:00:00Z ed25519=<64 hexadecimal digits>

Each key has one spelling, and any other is refused: two files that differ are two different keys.
"""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from fare_chain.errors import Conflict, Malformed, Unknown, Untrusted
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey

_COMMENT = "# private Ed25519 seed; whoever reads it can sign in its owner's name\n"
_SEED_FILE = re.compile(r"# [^\n]*\n([0-9a-f]{64})\n")
_LINE = re.compile(r"fare-chain-key/v1 owner=(\d{1,5}) use=([A-Z]+) from=(\S+) to=(\S+) ed25519=([0-9a-f]{64})")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_FILE = 4096


def write_key_pair(folder: Path, name: str, key: SigningKey, public: PublicKey) -> None:
    """Write NAME.key and NAME.pub into a folder, made if need be; both are on disk when this returns.

    Conflict where either file is there already: a key is never overwritten. If the second cannot be written, the first is
    taken back.
    """
    if not _NAME.fullmatch(name):
        raise Malformed(f"a key file cannot be named {name!r}: expected lower case letters, digits and hyphens")
    if key.public != public.public:
        raise Conflict(f"the public key for {name} is not that of its private key: make the pair from one key")
    line = public_line(public)
    folder.mkdir(parents=True, exist_ok=True)
    _create(folder / f"{name}.key", f"{_COMMENT}{key.seed.hex()}\n", mode=0o600)
    try:
        _create(folder / f"{name}.pub", f"{line}\n", mode=0o644)
    except BaseException:
        (folder / f"{name}.key").unlink()
        raise
    _sync_folder(folder)


def read_signing_key(path: Path) -> SigningKey:
    """Read a private key; Untrusted when others than its owner may read the file too."""
    with _open(path) as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o077:
            raise Untrusted(
                f"{path} has mode {mode:04o}, so others can read this private key: chmod 600 it, and consider a new key"
            )
        found = _SEED_FILE.fullmatch(_text(path, file.read(_LONGEST_FILE)))
    if found is None:
        raise Malformed(f"{path} is no private key: expected a comment line and a line of 64 hexadecimal digits, and nothing else")
    return SigningKey(bytes.fromhex(found[1]))


def read_public_key(path: Path) -> PublicKey:
    """Read a public key file; Malformed unless it is one line in its one spelling."""
    with _open(path) as file:
        text = _text(path, file.read(_LONGEST_FILE))
    if not text.endswith("\n"):
        raise Malformed(f"{path} does not end with a line break: it is cut, fetch it again")
    try:
        return parse_public_line(text[:-1])
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from error


def read_public_folder(folder: Path) -> KeyRing:
    """All public keys (*.pub) of a folder as a ring; Unknown where there is no such folder."""
    if not folder.is_dir():
        raise Unknown(f"there is no folder {folder}: name the one that holds the members' .pub files")
    return KeyRing(read_public_key(path) for path in sorted(folder.glob("*.pub")))


def public_line(key: PublicKey) -> str:
    """Write a public key as its line, without line break."""
    begins, ends = _to_iso(key.not_before_us), _to_iso(key.not_after_us)
    return f"fare-chain-key/v1 owner={key.owner} use={key.use.name} from={begins} to={ends} ed25519={key.public.hex()}"


def parse_public_line(line: str) -> PublicKey:
    """Read a public key's line, without line break; Malformed for any spelling but the one `public_line` writes."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise Malformed(f"{line[:60]!r} is no public key: expected 'fare-chain-key/v1 owner=.. use=.. from=.. to=.. ed25519=..'")
    owner, use, begins, ends, public = found.groups()
    if use not in KeyUse.__members__:
        raise Malformed(f"the key's use is {use}, expected one of {', '.join(KeyUse.__members__)}")
    if int(owner) > 0xFFFF:
        raise Malformed(f"the key's owner is {owner}, expected a member's number up to 65535")
    key = PublicKey(MemberNumber(int(owner)), KeyUse[use], bytes.fromhex(public), _from_iso(begins), _from_iso(ends))
    if key.not_before_us >= key.not_after_us:
        raise Malformed(f"the key is valid from {begins} to {ends}, which is never: let it end after it begins")
    if public_line(key) != line:
        raise Malformed(f"{line!r} is not how this key is written, expected {public_line(key)!r}")
    return key


def _to_iso(moment_us: int) -> str:
    """A moment as ISO 8601 in UTC, with microseconds only where there are some."""
    try:
        moment = _EPOCH + timedelta(microseconds=moment_us)
    except OverflowError as error:
        raise Malformed(f"{moment_us} us is after the year 9999: let the key end before") from error
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _from_iso(text: str) -> Micros:
    """The moment that `_to_iso` wrote; other spellings of it may pass here and are caught when the line is compared."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"{text!r} is no time, expected one like 2026-01-01T00:00:00Z") from error
    if moment.tzinfo is None:
        raise Malformed(f"{text!r} does not say its zone, expected UTC: end it with Z")
    return Micros((moment - _EPOCH) // timedelta(microseconds=1))


def _open(path: Path) -> BinaryIO:
    """Open a file for reading bytes; Unknown where there is none."""
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise Unknown(f"there is no key file {path}: make the pair with `fare-chain keys new`, or name another") from error


def _text(path: Path, data: bytes) -> str:
    """The file's text; key files are ASCII."""
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise Malformed(f"{path} has byte {data[error.start]:#04x} (offset {error.start}), expected ASCII text") from error


def _create(path: Path, text: str, *, mode: int) -> None:
    """Write a new file and bring it to the disk; Conflict where it exists, and no half-written file stays behind."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise Conflict(f"{path} exists, and a key is never overwritten: use it, or choose another name") from error
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _sync_folder(folder: Path) -> None:
    """Bring the folder's list of names to the disk, without which a synced file may have no name after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

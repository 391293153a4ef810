"""A log to read, wherever it lies: a folder that was exported, or the address of a house."""

import time
from pathlib import Path
from typing import Protocol

import httpx2

from fare_chain.access_files import Access
from fare_chain.errors import FareChainError, Malformed, Overloaded, Unknown, Untrusted
from fare_chain.note import read_vkey

_TIMEOUT_S = 30.0
_REFUSED: dict[int, type[FareChainError]] = {400: Malformed, 401: Untrusted, 403: Untrusted}
_PROTECTED = ("body/", "codes/", "evidence/")
"""What travels beside the log and is not public."""


class Asks(Protocol):
    """Sends requests: a client on the network, or one of an app in this process."""

    def request(self, method: str, url: str, *, params: dict[str, str], headers: dict[str, str]) -> httpx2.Response:
        """The answer to one request."""


class FolderLog:
    """An exported log: every address is a file below the folder."""

    def __init__(self, folder: Path) -> None:
        """Unknown unless the folder has a checkpoint."""
        if not (folder / "checkpoint").is_file():
            raise Unknown(f"{folder} has no file 'checkpoint': name a folder made by fare-chain export-log, or a house's address")
        self.folder = folder

    @property
    def has_bodies(self) -> bool:
        """Whether it was exported with the taps; one that was not is the public log."""
        return (self.folder / "body").is_dir()

    def read(self, path: str) -> bytes:
        """The file at that address; Unknown where there is none."""
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise Unknown(f"the log has no {path}") from error


class HttpLog:
    """A log that a house serves; one connection, kept open. Without `access` the public log alone.

    Who is no party of the rides looks under a basis. With `whole` that is one look at the whole log (and another when it is over),
    without it one for each body.
    """

    def __init__(self, url: str, access: Access | None = None, *, whole: bool = False, client: Asks | None = None) -> None:
        """Take the house's address, with or without a final slash."""
        self.url = url.rstrip("/")
        self.client: Asks = client or httpx2.Client(timeout=_TIMEOUT_S)
        self.access = access
        self.whole = whole
        self._origin = ""
        self._look, self._look_until_s = "", 0.0

    @property
    def has_bodies(self) -> bool:
        """Whether taps are asked for: with an access key alone."""
        return self.access is not None

    def read(self, path: str) -> bytes:
        """The resource at that address; Unknown where there is none, Untrusted where it is not for this reader.

        Overloaded where the house cannot say now.
        """
        if self.access is None or not path.startswith(_PROTECTED):
            return self._asked("GET", path)
        return self._asked("GET", path, params=self._why(self.access), headers=self.who())

    def who(self) -> dict[str, str]:
        """The header that says who asks, none without `access`. Which log it is for, the house's own key tells by its name."""
        if self.access is None:
            return {}
        if not self._origin:
            self._origin = read_vkey(self._asked("GET", "log.vkey").decode("utf-8", "replace").strip()).name
        return self.access.header(self._origin)

    def _why(self, access: Access) -> dict[str, str]:
        if not access.looks:
            return {}
        if not self.whole:
            return {"basis": access.basis} if access.basis else {}
        if time.monotonic() >= self._look_until_s:
            basis = {"basis": access.basis} if access.basis else {}
            answer = self._answer("POST", "v1/looks", params=basis, headers=self.who())
            try:
                told = answer.json()
                self._look = str(int(told["look"]))
                # A little early: a body that is asked for now is answered while it still counts.
                self._look_until_s = time.monotonic() + 0.9 * int(told["good_for_s"])
            except (ValueError, KeyError, TypeError) as error:
                raise Malformed(f"{self.url} answers a look with something else: {error!r}") from error
        return {"look": self._look}

    def _asked(self, method: str, path: str, params: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> bytes:
        return self._answer(method, path, params, headers).content

    def _answer(
        self, method: str, path: str, params: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        try:
            answer = self.client.request(method, f"{self.url}/{path}", params=params or {}, headers=headers or {})
        except httpx2.TransportError as error:
            raise Overloaded(f"{self.url} does not answer for {path}: {error}") from error
        if answer.status_code == 404:
            raise Unknown(f"the log at {self.url} has no {path}")
        if answer.status_code in _REFUSED:
            raise refused(answer, f"{self.url} does not show {path}: ")
        if answer.status_code != 200:
            raise Overloaded(f"{self.url} answers {answer.status_code} for {path}: try again later")
        return answer


def refused(answer: httpx2.Response, what: str = "") -> FareChainError:
    """A house's refusal as one of ours, in its own words where it has some."""
    try:
        why = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        why = f"the house answers {answer.status_code}"
    return _REFUSED.get(answer.status_code, Unknown)(what + why)


def open_log(place: str, access: Access | None = None, *, whole: bool = False) -> FolderLog | HttpLog:
    """The log at a folder or an http(s) address; for an address, who reads, and whether all of it."""
    if place.startswith(("http://", "https://")):
        return HttpLog(place, access, whole=whole)
    return FolderLog(Path(place))


def read_text(file: Path) -> str:
    """A small text file, as a policy or a proof; Unknown where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unknown(f"{file} cannot be read: {error}") from error

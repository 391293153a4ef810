"""A log to read, wherever it lies: a folder that was exported, or the address of a house."""

from pathlib import Path

import httpx2

from fare_chain.errors import Overloaded, Unknown

_TIMEOUT_S = 30.0


class FolderLog:
    """An exported log: every address is a file below the folder."""

    def __init__(self, folder: Path) -> None:
        """Unknown unless the folder has a checkpoint."""
        if not (folder / "checkpoint").is_file():
            raise Unknown(f"{folder} has no file 'checkpoint': name a folder made by fare-chain export-log, or a house's address")
        self.folder = folder

    def read(self, path: str) -> bytes:
        """The file at that address; Unknown where there is none."""
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise Unknown(f"the log has no {path}") from error


class HttpLog:
    """A log that a house serves; one connection, kept open."""

    def __init__(self, url: str) -> None:
        """Take the house's address, with or without a final slash."""
        self.url = url.rstrip("/")
        self.client = httpx2.Client(timeout=_TIMEOUT_S)

    def read(self, path: str) -> bytes:
        """The resource at that address; Unknown where there is none, Overloaded where the house cannot say now."""
        try:
            answer = self.client.get(f"{self.url}/{path}")
        except httpx2.TransportError as error:
            raise Overloaded(f"{self.url} does not answer for {path}: {error}") from error
        if answer.status_code == 404:
            raise Unknown(f"the log at {self.url} has no {path}")
        if answer.status_code != 200:
            raise Overloaded(f"{self.url} answers {answer.status_code} for {path}: try again later")
        return answer.content


def open_log(place: str) -> FolderLog | HttpLog:
    """The log at a folder or an http(s) address."""
    return HttpLog(place) if place.startswith(("http://", "https://")) else FolderLog(Path(place))


def read_text(file: Path) -> str:
    """A small text file, as a policy or a proof; Unknown where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unknown(f"{file} cannot be read: {error}") from error

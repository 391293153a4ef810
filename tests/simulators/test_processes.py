"""Real child processes: awaited, started again when they are killed, given up with their log, stopped in the end."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time

import pytest

from simulators import processes
from simulators.processes import ChildFailed, Children, Role

SERVES = """
import http.server, signal, sys, threading
if "deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
print("serving", flush=True)
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy)
if "brief" in sys.argv: threading.Timer(0.3, lambda: __import__("os")._exit(3)).start()
server.serve_forever()
"""


def role(name, *moods, code=SERVES):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Role(name, (sys.executable, "-c", code, str(port), *moods), f"http://127.0.0.1:{port}")


def run(tmp_path, story):
    """Play a story with children; afterwards every process it started must be gone."""
    said, pids = [], set()

    async def play():
        children = Children(tmp_path / "logs", tmp_path / "processes.json", said.append, os.environ)
        try:
            return await story(children, pids)
        finally:
            pids.update(children.pids.values())
            await children.stop()

    try:
        return asyncio.run(play()), said
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 0)
                pytest.fail(f"process {pid} is left")


async def until(holds):
    ends_at = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends_at
        await asyncio.sleep(0.02)


def test_children_are_awaited_registered_and_out_of_reach_of_ctrl_c(tmp_path):
    async def story(children, _pids):
        await children.start([role("one"), role("two")])
        assert json.loads((tmp_path / "processes.json").read_text()).keys() == {"one", "two"}
        assert all(os.getsid(pid) != os.getsid(0) for pid in children.pids.values())
        assert (tmp_path / "logs" / "one.log").read_text() == "serving\n"

    run(tmp_path, story)
    assert json.loads((tmp_path / "processes.json").read_text()) == {}


def test_a_killed_child_is_started_again_and_people_are_told(tmp_path):
    async def story(children, pids):
        await children.start([role("house")])
        first = children.pids["house"]
        pids.add(first)
        os.kill(first, signal.SIGKILL)
        await until(lambda: children.pids["house"] != first)
        await until(lambda: str(first) not in (tmp_path / "processes.json").read_text())
        return children.restarts

    restarts, said = run(tmp_path, story)
    assert restarts == {"house": 1}
    assert said == ["house was killed by SIGKILL: it is started again on the same data"]


def test_a_child_that_never_was_ready_is_not_started_again_and_its_log_says_why(tmp_path):
    async def story(children, _pids):
        with pytest.raises(ChildFailed, match=r"gate ended with code 1; the end of .*gate\.log:\n  no such city"):
            await children.start([role("house"), role("gate", code="import sys; sys.exit('no such city')")])

    assert run(tmp_path, story) == (None, [])


def test_a_child_that_is_never_ready_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "READY_S", 0.2)

    async def story(children, _pids):
        await children.start([role("gate", code="import time; time.sleep(60)")])

    with pytest.raises(ChildFailed, match="gate is not ready after"):
        run(tmp_path, story)


def test_a_child_that_dies_again_and_again_ends_what_is_guarded(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "MOST_QUICK_DEATHS", 1)
    undone = []

    async def story(children, _pids):
        async def work():
            try:
                await asyncio.sleep(60)
            finally:
                undone.append("work")

        await children.start([role("gate", "brief")])
        await children.guard(work())

    with pytest.raises(ChildFailed, match="gate ended with code 3"):
        run(tmp_path, story)
    assert undone == ["work"]


def test_guarded_work_gives_its_result_or_its_error(tmp_path):
    async def story(children, _pids):
        with pytest.raises(ZeroDivisionError):
            await children.guard(asyncio.to_thread(lambda: 1 // 0))
        return await children.guard(asyncio.sleep(0, "done"))

    assert run(tmp_path, story) == ("done", [])


def test_a_child_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "STOP_S", 0.3)

    async def story(children, pids):
        await children.start([role("deaf", "deaf"), role("other")])
        pids.add(children.pids["deaf"])
        await children.stop(["deaf"])
        assert children.pids.keys() == {"other"}
        await children.stop(["deaf"])

    run(tmp_path, story)


def test_a_child_that_is_asked_to_stop_is_not_started_again(tmp_path):
    async def story(children, _pids):
        await children.start([role("one")])
        await children.stop()
        return dict(children.restarts)

    assert run(tmp_path, story) == ({}, [])

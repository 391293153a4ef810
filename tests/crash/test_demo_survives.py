"""kill -9 of house, PostgreSQL, a city's gates and a mirror in the middle of a demo: nothing is lost, nothing doubled."""

import json
import os
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from settlement.store import supervisor

PROGRAM = str(Path(sysconfig.get_path("scripts")) / "fare-chain")
needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for leftovers in /proc")


def start_demo(data, seconds, **options):
    command = [PROGRAM, "demo", "--json", "--data", str(data), "--seconds", str(seconds), "--taps-per-second", "100"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def finish(demo, timeout=150):
    told, _ = demo.communicate(timeout=timeout)
    assert told.count("\n") == 1, "one JSON object on one line, and nothing else"
    return json.loads(told)


ALL = 1 + 9 + 9
"""The house, nine cities' gates, nine mirrors."""


def processes(data):
    """Who runs."""
    register = data / "processes.json"
    return json.loads(register.read_text()) if register.exists() else {}


def wait_until(holds, what, timeout=60):
    ends_at = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < ends_at, f"not after {timeout} s: {what}"
        time.sleep(0.1)


def sealed(data, city="shanghai"):
    """How many batches a city has sealed: its riders are on their way when there are some."""
    return len([*data.glob(f"gates/{city}/*.batch"), *data.glob(f"gates/{city}/*.sent")])


def wait_for_batches(data, more):
    before = sealed(data)
    wait_until(lambda: sealed(data) >= before + more, f"{more} more batches of shanghai")


def leftovers(data):
    """Processes that name this data folder, other than this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(data) in command and int(path.parent.name) != os.getpid():
            found.append(command)
    return found


@pytest.fixture(scope="module")
def survived(tmp_path_factory):
    """A demo whose house, whose postmaster and whose gates of Hangzhou and Ningbo's mirror are killed while riders ride."""
    data = tmp_path_factory.mktemp("survives") / "data"
    demo = start_demo(data, 15)
    try:
        wait_until(lambda: len(processes(data)) == ALL, "all processes")
        wait_for_batches(data, 8)
        os.kill(processes(data)["house"]["pid"], signal.SIGKILL)
        wait_for_batches(data, 8)
        postmaster = supervisor.describe(data / "house" / "postgres").pid
        os.kill(postmaster, signal.SIGKILL)
        wait_for_batches(data, 8)
        for name in ("hangzhou", "ningbo-mirror"):
            os.kill(processes(data)[name]["pid"], signal.SIGKILL)
        told = finish(demo)
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(timeout=60)
    return data, demo.returncode, told


@pytest.mark.slow
def test_after_four_kills_the_demo_ends_well(survived):
    _, code, told = survived
    assert (code, told["faults"], told["verified"], told["positions_sum"]) == (0, [], True, 0)
    assert told["mirrors_agreeing"] == 9


@pytest.mark.slow
def test_the_dead_were_started_again(survived):
    _, _, told = survived
    assert told["restarts"] == {"house": 1, "hangzhou": 1, "ningbo-mirror": 1}, "PostgreSQL is the house's to start again"


@pytest.mark.slow
def test_nothing_that_opened_a_gate_is_lost_or_doubled(survived):
    _, _, told = survived
    assert told["opened"] <= told["taps"] <= told["opened"] + told["unanswered"]
    assert told["city_pairs"] == 72


@pytest.mark.slow
@needs_proc
def test_no_process_is_left(survived):
    assert leftovers(survived[0]) == []


@pytest.mark.slow
def test_a_second_run_on_the_same_data_goes_on_where_the_first_stopped(survived):
    data, _, first = survived
    keys = {path: path.read_bytes() for path in data.glob("keys/*/*.key")}
    demo = start_demo(data, 2)
    second = finish(demo)
    assert (demo.returncode, second["faults"]) == (0, [])
    assert second["taps"] == first["taps"] + second["taps_of_run"]
    assert second["ledger_size"] > first["ledger_size"]
    assert {path: path.read_bytes() for path in data.glob("keys/*/*.key")} == keys


@pytest.mark.slow
@needs_proc
def test_a_demo_that_is_stopped_in_the_middle_stops_all_and_keeps_its_data(tmp_path):
    data = tmp_path / "data"
    demo = start_demo(data, 60, stderr=subprocess.PIPE)
    wait_until(lambda: len(processes(data)) == ALL and sealed(data) > 3, "riders on their way")
    demo.send_signal(signal.SIGINT)
    told, errors = demo.communicate(timeout=60)
    assert (demo.returncode, told, errors) == (128 + signal.SIGINT, "", "")
    assert leftovers(data) == []
    assert sealed(data) > 3

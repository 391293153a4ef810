"""Each system call of a gate's spool fails, or kills the adapter: every tap whose gate opened is there once, sealed or sent."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from city_adapters import journal as journals
from city_adapters.spool import open_spool
from fare_chain import tap
from fare_chain.batch import unseal
from tests.city_adapters.gate_world import CITY_KEY, RING
from tests.crash import traced
from tests.crash.spool_life import live

EVERY_CALL = os.environ.get("FARE_CHAIN_FAULTS") == "all"
NEXT_DAY = 100
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(traced.STRACE is None or not traced.is_allowed(), reason="strace is not installed, or may not trace here"),
]


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Every call of an undisturbed day on the spool's files, in order."""
    folder = tmp_path_factory.mktemp("counted")
    return traced.count(command(folder / "spool"), folder / "spool", environment(), folder / "strace")


def command(folder):
    return [sys.executable, "-m", "tests.crash.spool_life", str(folder)]


def environment():
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path.cwd())}


def test_the_matrix_has_every_call_on_the_spools_files(calls):
    kinds = {}
    for call in calls:
        kinds[call.kind] = kinds.get(call.kind, 0) + 1
    for kind, times in kinds.items():
        print(f"{kind:40} {times:3} times")
    assert {"write", "fsync", "rename", "openat", "unlink"} <= {call.name for call in calls}


@pytest.mark.parametrize("what", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_a_call_that_fails_loses_no_tap_and_doubles_none(calls, tmp_path, what):
    chosen = list(calls) if EVERY_CALL else [call for call in calls if call in {one.name: one for one in calls}.values()]
    failed = []
    for call in chosen:
        if what == "error=ENOSPC" and call.name != "write":
            continue
        folder = tmp_path / "spool"
        shutil.rmtree(folder, ignore_errors=True)
        done = traced.injected(command(folder), call, what, environment())
        how = judge(folder, [line.split(" ") for line in done.stdout.splitlines()])
        print(f"{call.number:4} {call.kind:40} {what:12} {how}; it had ended with {done.returncode}")
        if how != "recovered" or (what == "signal=KILL" and done.returncode != -signal.SIGKILL):
            failed.append((call, how))
    assert failed == []


def judge(folder, said):
    """How the next start of the spool stands to what the gates and the house had heard, in words."""
    try:
        hold(folder, said)
        more = []
        live(folder, lambda *words: more.append(list(words)), first=NEXT_DAY)
        hold(folder, said + more)
    except (AssertionError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "recovered"


def hold(folder, said):
    opened = [bytes.fromhex(words[1]) for words in said if words[0] == "opened"]
    sent = {int(words[1]): bytes.fromhex(words[2]) for words in said if words[0] == "sent"}
    spool = open_spool(folder, CITY_KEY)
    waiting = {spooled.seq: spooled.path.read_bytes() for spooled in spool.waiting}
    assert all(waiting[seq] == data for seq, data in sent.items() if seq in waiting), (
        "a batch that was sent is sent again as it was"
    )
    batches = [data for _seq, data in sorted((waiting | sent).items())]
    sealed = [record for data in batches for record in tap.records(unseal(data, RING).body)]
    written = [record for journal in spool.unsealed for record in journals.read(journal.path).taps]
    spool.close()
    found = sealed + written
    unsure = [record for record in found if record not in opened]
    assert [record for record in found if record in opened] == opened, "every tap whose gate opened, once, in order"
    assert len(unsure) <= 1, "and at most the one whose gate had no time to open"

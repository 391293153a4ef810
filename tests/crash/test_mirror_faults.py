"""Each system call of a mirror on its files fails, or kills it: what it had said still holds, and it comes to the same end.

One undisturbed life under strace gives the matrix. `make faults` lets every single call fail; without it one of each name does.
"""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from fare_chain.errors import Conflict
from fare_chain.evidence import read_evidence
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import Term
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse
from fare_chain.mirror_feed import write_feed
from settlement.mirror.journal import KeyRole, read_journal
from settlement.mirror.terms import approve_term
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from simulators.small_house import ORIGIN, SmallHouse, small_key
from tests.conftest import _ride_about
from tests.crash import traced
from tests.crash.mirror_life import live
from tests.settlement.mirror.mirror_world import OPENED, POLICY, ticks_of

EVERY_CALL = os.environ.get("FARE_CHAIN_FAULTS") == "all"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(traced.STRACE is None or not traced.is_allowed(), reason="strace is not installed, or may not trace here"),
]


EXPECTED = {"error=EIO": 1, "error=ENOSPC": 1, "signal=KILL": -signal.SIGKILL}
"""How it ends: whatever a disk refuses ends a mirror loudly, and the next start takes what is there."""


class Matrix:
    """A ledger's ticks, the calls of one undisturbed life on them, and what that life said."""

    def __init__(self, url, folder):
        self.folder, self.feed = folder, folder / "feed"
        self.ticks = asyncio.run(self._ticks(url))
        self.feed.write_bytes(write_feed(self.ticks))
        # Bytes are not cached as they are found, and no name is hashed by chance: every life makes the same calls.
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path.cwd())}
        data = self.data("counted")
        self.calls = traced.count(self.command(data), data, self.environment, folder / "strace")
        self.said = []
        live(self.data("undisturbed"), self.ticks, lambda *words: self.said.append(words))

    async def _ticks(self, url):
        engine = make_engine(url)
        await migrate(engine)
        house = SmallHouse(engine)
        await house.start()
        await _ride_about(house)
        ticks = await ticks_of(house)
        await engine.dispose()
        return ticks[:6]

    def data(self, name):
        return self.folder / name

    def command(self, data):
        return [sys.executable, "-m", "tests.crash.mirror_life", str(data), str(self.feed)]

    def chosen(self):
        """The calls to fail: all, or the last of each name, which has the most behind it, and what shelf and journal stand on."""
        last = {call.name: call for call in self.calls}.values()
        return [call for call in self.calls if EVERY_CALL or call in last or (call.name == "fdatasync" and call.number > 7)]


@pytest.fixture(scope="module")
def matrix(postgres_url, tmp_path_factory):
    yield Matrix(postgres_url, tmp_path_factory.mktemp("traced"))
    while OPENED:
        OPENED.pop().close()


def test_the_matrix_has_every_call_on_the_mirrors_files(matrix):
    kinds = {}
    for call in matrix.calls:
        kinds[call.kind] = kinds.get(call.kind, 0) + 1
    for kind, times in kinds.items():
        print(f"{kind:40} {times:3} times")
    written = {
        "write ticks-*.feed",
        "fdatasync ticks-*.feed",
        "write cosigned",
        "fdatasync cosigned",
        "pwrite64 terms",
        "fsync terms",
    }
    renamed = {"rename state-*.partial", "rename tables/*.partial", "rename evidence/*.partial", "rename stopped.partial"}
    assert written | renamed <= kinds.keys()


@pytest.mark.parametrize("what", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_a_call_that_fails_loses_nothing_that_was_said(matrix, what):
    calls = matrix.chosen() if what != "error=ENOSPC" else [call for call in matrix.chosen() if "write" in call.name]
    failed = []
    for call in calls:
        data = matrix.data("fault")
        shutil.rmtree(data, ignore_errors=True)
        done = traced.injected(matrix.command(data), call, what, matrix.environment)
        how = judge(matrix, data, [tuple(line.split(" ")) for line in done.stdout.splitlines()], done)
        print(f"{call.number:4} {call.kind:40} {what:12} {how}")
        if not how.startswith("recovered") or done.returncode != EXPECTED[what]:
            failed.append((call, how))
    assert failed == []


def judge(matrix, data, said, done):
    """Start the mirror on what is left, without faults, and hold both lives to each other; how it stands, in words."""
    again = []
    try:
        live(data, matrix.ticks, lambda *words: again.append(words))
        hold(matrix, data, said, again)
    except (AssertionError, Conflict, OSError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        while OPENED:
            OPENED.pop().close()
    return f"recovered; it had ended with {done.returncode}"


def hold(matrix, data, said, again):
    truth = {words[1]: words[2] for words in matrix.said if words[0] == "cosigned"}
    trees = [(int(words[1]), words[2]) for words in (*said, *again) if words[0] == "cosigned"]
    assert all(truth[str(size)] == root for size, root in trees), "one tree of one size"
    sizes = [size for size, _root in trees]
    assert sizes == sorted(sizes), "nothing smaller is cosigned later"
    last = read_journal(data / "cosigned")[0][KeyRole.CLEARING]
    assert (last.size, last.root.hex()) == (max(map(int, truth)), truth[max(truth, key=int)])
    assert len({words for words in (*said, *again) if words[0] == "approved"}) <= 1, "one approval of a number, to the byte"
    if any(words[0] == "approved" for words in said):
        other = Term(1, last.size, last.root, bytes(32), sha256(ORIGIN.encode()))
        with pytest.raises(Conflict):
            approve_term(data, ORIGIN, other, member=1, key=small_key(1, KeyUse.CLEARING))
    assert len([words for words in (*said, *again) if words[0] == "witnessed"]) <= 1, "a witness's tree is cosigned once"
    assert again[-1] == matrix.said[-1], "it stops for the same reason, with the same evidence"
    kept = (data / "evidence" / again[-1][1]).read_text()
    assert check_evidence(read_evidence(kept), POLICY) is not None

"""The windows of a small log, cleared again once, and readers of its proofs."""

import pytest

from fare_chain import inner_proofs
from fare_chain.checkpoint import read_checkpoint
from fare_chain.log_reader import FolderLog
from settlement.proving import from_log
from simulators.small_house import LOG_VERIFIER


def by_log(note):
    """Open a checkpoint that the small house's log signed."""
    return read_checkpoint(note, [LOG_VERIFIER])


def opened(text):
    """What a file proves to whoever trusts the log's key."""
    return inner_proofs.verify(text, by_log)


def journey_ids(windows):
    """The id of every journey, in order of window, tick and row."""
    return [row.tobytes() for window in windows for tick in window.ticks for row in tick.journeys["journey_id"]]


@pytest.fixture(scope="session")
def log(exported_log):
    return FolderLog(exported_log)


@pytest.fixture(scope="session")
def windows(log):
    return list(from_log.cleared_windows(log))


@pytest.fixture(scope="session")
def proofs(log, windows):
    """One proof of each kind, by name."""
    busy = [window for window in windows if window.window.journeys]
    begin, end = busy[0].window.second + 1, busy[-1].window.second + 1
    sums = next(tick.sums for tick in busy[1].ticks if len(tick.sums))
    return {
        "journey": from_log.prove_journey(log, journey_ids(busy)[7]),
        "line": from_log.prove_line(log, busy[1].window.second, line_of(sums[0])),
        "statement": from_log.prove_earned(log, busy[0].earned[0][0], begin, end),
        "statement-since-the-log-began": from_log.prove_earned(log, busy[0].earned[1][0], None, end),
        "position": inner_proofs.prove_position(log, 2, begin, end),
        "position-since-the-log-began": inner_proofs.prove_position(log, 0, None, end),
    }


def line_of(row):
    return from_log.Line(*(int(row[name]) for name in ("level", "kind", "debtor", "creditor")))

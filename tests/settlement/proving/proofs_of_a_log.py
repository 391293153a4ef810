"""Proofs of a small log: its windows cleared again, and one proof of each kind."""

from fare_chain import inner_proofs
from fare_chain.checkpoint import read_checkpoint
from settlement.core.inner_paths import Line
from settlement.proving import from_log
from simulators.small_house import LOG_VERIFIER


def cleared(log):
    """Every window of the log, cleared again."""
    return list(from_log.cleared_windows(log))


def by_log(note):
    """Open a checkpoint that the small house's log signed."""
    return read_checkpoint(note, [LOG_VERIFIER])


def opened(text):
    """What a file proves to whoever trusts the log's key."""
    return inner_proofs.verify(text, by_log)


def journey_ids(windows):
    """The id of every journey, in order of window, tick and row."""
    return [row.tobytes() for window in windows for tick in window.ticks for row in tick.journeys["journey_id"]]


def line_of(row):
    """Whose sum a row is."""
    return Line(*(int(row[name]) for name in ("level", "kind", "debtor", "creditor")))


def one_of_each(log, windows):
    """One proof of each kind, by name."""
    busy = [window for window in windows if window.window.journeys]
    begin, end = busy[0].window.second + 1, busy[-1].window.second + 1
    tick = next(tick for tick in busy[1].ticks if len(tick.sums))
    visitor = next(row for row in tick.journeys if row["host"] != row["issuer"])
    return {
        "journey": from_log.prove_journey(log, visitor["journey_id"].tobytes()),
        "line": from_log.prove_line(log, busy[1].window.second, line_of(tick.sums[0])),
        "statement": from_log.prove_earned(log, busy[0].earned[0][0], begin, end),
        "statement-since-the-log-began": from_log.prove_earned(log, busy[0].earned[1][0], None, end),
        "position": inner_proofs.prove_position(log, 2, begin, end),
        "position-since-the-log-began": inner_proofs.prove_position(log, 0, None, end),
    }

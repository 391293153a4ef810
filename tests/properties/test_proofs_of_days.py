"""Over generated days: every journey, sum and balance is proved, to the byte; and no proof is one of anything else."""

import os

from hypothesis import HealthCheck, given, settings

from fare_chain.errors import Untrusted
from fare_chain.events import EntryKind
from fare_chain.hashing import ZERO_HASH
from fare_chain.ledger import Entry
from fare_chain.window_proofs import Opening, verify
from settlement.core.inner_paths import ClearedWindow, Line, books_inside, earned_inside, journey_inside, journey_leaf, line_inside
from tests.properties.days import Run, day, generated

EXAMPLES = int(os.environ.get("CLEARING_EXAMPLES", "60"))
proofs_hold = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def cleared_windows(ticks):
    """The windows of a day as a prover holds them, each as an entry of its own index."""
    run, found, done, previous = Run.fresh(ticks[0][0] - 1), [], 0, ZERO_HASH
    for at_us, taps in [*ticks, (ticks[-1][0] + 2_000_000, [])]:
        closed = len(run.windows)
        earned = run.state.earned
        run.tick(at_us, taps)
        for window in run.windows[closed:]:
            own = tuple(tick for tick in run.cleared[done:] if tick.to_index <= window.to_index)
            done += len(own)
            earned = tuple(sorted(added(dict(earned), own).items()))
            found.append(ClearedWindow(len(found), window, previous, own, earned))
            previous = window.state_root
    return found


def added(earned, ticks):
    """What everybody has earned once these ticks are posted, in the plainest way: share by share."""
    for tick in ticks:
        for share in tick.shares:
            owner = int(share["beneficiary"])
            earned[owner] = earned.get(owner, 0) + int(share["amount_fen"])
    return {owner: fen for owner, fen in earned.items() if fen}


def entry_of(cleared):
    return Entry(EntryKind.WINDOW, cleared.index, 0, ZERO_HASH, cleared.window.to_bytes())


def shown(cleared, inside, others=()):
    """What the bytes prove in that window; the log, here, is the list of windows itself."""

    def holds_entry(index, path, data):
        assert path == ()
        if data != entry_of(others[index]).to_bytes():
            raise Untrusted("no such entry")

    return verify(entry_of(cleared), inside, holds_entry)


def lines_of(cleared):
    rows = [row for tick in cleared.ticks for row in tick.sums]
    fen = {}
    for row in rows:
        line = Line(*(int(row[name]) for name in ("level", "kind", "debtor", "creditor")))
        fen[line] = fen.get(line, 0) + int(row["amount_fen"])
    return fen


@given(generated(day))
@proofs_hold
def test_every_journey_sum_and_balance_of_a_day_is_proved_and_no_proof_proves_another(ticks):
    windows = cleared_windows(ticks)
    told = {}
    for cleared in windows:
        for tick in cleared.ticks:
            for row, record in enumerate(tick.journeys):
                inside = journey_inside(cleared, record["journey_id"].tobytes())
                assert shown(cleared, inside).journey.journey_id == record["journey_id"].tobytes()
                assert inside.endswith(journey_leaf(tick, row))
                told[inside] = cleared
        for line, fen in lines_of(cleared).items():
            inside = line_inside(cleared, line)
            assert shown(cleared, inside).amount_fen == fen
            told[inside] = cleared
        for beneficiary, fen in cleared.earned:
            inside = earned_inside(cleared, None, beneficiary)
            assert (shown(cleared, inside).owner, shown(cleared, inside).closing_fen) == (beneficiary, fen)
            told[inside] = cleared
    assert len(told) == sum(
        len(lines_of(cleared)) + len(cleared.earned) + sum(len(tick.journeys) for tick in cleared.ticks) for cleared in windows
    )
    for inside, own in told.items():
        for other in windows:
            if other is not own:
                assert refuses(other, inside)


@given(generated(day))
@proofs_hold
def test_every_statement_of_a_day_closes_with_what_was_earned(ticks):
    windows = cleared_windows(ticks)
    for end, closing in enumerate(windows):
        for opening in windows[:end]:
            opens = Opening(opening.index, (), entry_of(opening).to_bytes())
            for beneficiary, fen in opening.earned:
                statement = shown(closing, earned_inside(closing, (opening, opens), beneficiary), windows)
                assert (statement.opening_fen, statement.closing_fen) == (fen, dict(closing.earned)[beneficiary])
            assert books_inside(opening, 9 << 8) is None


def refuses(cleared, inside):
    try:
        shown(cleared, inside)
    except Untrusted:
        return True
    return False

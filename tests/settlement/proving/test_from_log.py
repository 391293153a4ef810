"""Whatever a log cleared is proved from it, to the byte; nothing that belongs to others is in the file."""

import numpy as np
import pytest

from fare_chain import inner_proofs
from fare_chain.cleared_records import Balance, write_balance
from fare_chain.errors import Malformed, Unknown
from fare_chain.hashing import leaf_hash
from fare_chain.inner_proofs import read_proof_file
from settlement.core.inner_paths import journey_leaf
from settlement.proving import from_log
from tests.settlement.proving.proofs_of_a_log import journey_ids, line_of, opened


def test_every_window_of_the_log_is_cleared_again_with_all_its_ticks(windows):
    assert sum(len(tick.journeys) for window in windows for tick in window.ticks) == 30
    assert all(sum(len(tick.journeys) for tick in window.ticks) == window.window.journeys for window in windows)
    assert any(len(window.ticks) > 1 for window in windows)


def test_every_journey_is_proved_with_every_share(log, windows):
    for window in windows:
        for tick in window.ticks:
            for row, record in enumerate(tick.journeys):
                proved = opened(from_log.prove_journey(log, record["journey_id"].tobytes()))
                assert proved.window == window.window
                shown = proved.cleared
                assert all(getattr(shown.journey, name) == _plain(record[name]) for name in shown.journey.__slots__)
                shares = tick.shares[tick.shares["journey"] == row]
                assert [(share.owner, share.fen) for share in shown.shares] == [
                    (int(share["beneficiary"]), int(share["amount_fen"])) for share in shares
                ]
                assert len(shares)


def test_a_journey_shows_nothing_of_its_neighbours_but_hashes(log, windows):
    every = {
        row["journey_id"].tobytes(): journey_leaf(tick, at)
        for window in windows
        for tick in window.ticks
        for at, row in enumerate(tick.journeys)
    }
    sums = [row.tobytes() for window in windows for tick in window.ticks for row in tick.sums]
    for journey_id, own in every.items():
        extra = read_proof_file(from_log.prove_journey(log, journey_id)).extra
        assert own in extra
        rest = extra.replace(own, b"")
        others = [part for other in every.values() if other != own for part in (other[1:17], other[17:33], other[33:49])]
        assert not any(part in rest for part in (*others, *sums, own[17:33]))


def test_every_sum_of_every_second_is_proved(log, windows):
    for window in windows:
        rows = [row for tick in window.ticks for row in tick.sums]
        for line in {line_of(row) for row in rows}:
            own = [row for row in rows if line_of(row) == line]
            text = from_log.prove_line(log, window.window.second, line)
            proved = opened(text)
            assert proved.cleared.amount_fen == sum(int(row["amount_fen"]) for row in own)
            assert [each.n for each in proved.cleared.sums] == [int(row["n"]) for row in own]
            extra = read_proof_file(text).extra
            assert not any(row.tobytes() in extra for row in rows if line_of(row) != line)


def test_what_operators_earned_is_proved_between_any_two_windows(log, windows):
    spans = [(None, windows[-1]), *((begin, end) for at, begin in enumerate(windows) for end in windows[at + 1 :])]
    for begin, end in spans:
        for beneficiary, fen in end.earned:
            from_second = None if begin is None else begin.window.second + 1
            shown = opened(from_log.prove_earned(log, beneficiary, from_second, end.window.second + 1)).cleared
            before = 0 if begin is None else dict(begin.earned)[beneficiary]
            assert (shown.owner, shown.is_member, shown.opening_fen, shown.closing_fen) == (beneficiary, False, before, fen)


def test_a_balance_that_is_not_there_is_refused_with_the_way_out(log, windows):
    first = windows[0].window.second
    with pytest.raises(Unknown, match="nothing to prove"):
        from_log.prove_earned(log, 256 + 99, None, first + 1)
    with pytest.raises(Unknown, match="covers second"):
        from_log.prove_earned(log, windows[0].earned[0][0], first, first + 2)
    for prove in (from_log.prove_earned, inner_proofs.prove_position):
        with pytest.raises(Malformed, match="exchange them"):
            prove(log, 1, first + 2, first + 1)
    with pytest.raises(Unknown, match="no span of windows"):
        from_log.prove_earned(log, windows[0].earned[0][0], first + 1, first + 1)


def test_what_is_not_on_the_log_is_named(log, windows):
    nobody = next(line_of(row) for tick in windows[0].ticks for row in tick.sums)
    with pytest.raises(Unknown, match="00000000000000000000000000000000"):
        from_log.prove_journey(log, bytes(16))
    with pytest.raises(Unknown, match="1 owes 1 no fare in second"):
        from_log.prove_line(log, windows[0].window.second, from_log.Line(1, 1, 1, 1))
    with pytest.raises(Unknown, match="covers second 5"):
        from_log.prove_line(log, 5, nobody)
    with pytest.raises(Unknown, match="no position of member 77"):
        inner_proofs.prove_position(log, 77, None, windows[0].window.second + 1)


def test_a_members_position_needs_entries_alone(log, windows):
    class Entries:
        def read(self, path):
            assert path.startswith(("checkpoint", "tile/")), path
            return log.read(path)

    for begin, end in ((None, windows[2]), (windows[0], windows[-1])):
        for member, fen in end.window.positions:
            from_second = None if begin is None else begin.window.second + 1
            shown = opened(inner_proofs.prove_position(Entries(), member, from_second, end.window.second + 1)).cleared
            before = 0 if begin is None else dict(begin.window.positions)[member]
            assert (shown.is_member, shown.opening_fen, shown.closing_fen) == (True, before, fen)


def test_the_journeys_are_all_different(windows):
    assert len(set(journey_ids(windows))) == 30


def _plain(value):
    return value.tobytes() if isinstance(value, np.void) else int(value)


def test_what_a_statement_reveals_to_a_computer_is_known(log, windows):
    """A known limit (decision 15): the first hash of the path is the next operator's balance, to whoever tries amounts."""
    last = windows[-1]
    (own, _fen), (neighbour, hidden_fen) = last.earned[:2]
    text = from_log.prove_earned(log, own, None, last.window.second + 1)
    extra = read_proof_file(text).extra
    assert write_balance(Balance(neighbour, hidden_fen)) not in extra
    guessed = [fen for fen in range(5_000) if leaf_hash(write_balance(Balance(neighbour, fen))) in extra]
    assert guessed == [hidden_fen], "salted leaves would end this: then change the decision and docs/formats/proofs.md"

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_adapters import journal as journals
from city_adapters import open_taps, spool_files
from city_adapters.gate import LONGEST_RIDE_US, GateState
from city_adapters.journal import NotKept
from city_adapters.spool import CityKey, open_spool
from fare_chain import tap
from fare_chain.batch import MOST_TAPS, CityTail, unseal
from fare_chain.errors import Conflict, Malformed, Untrusted
from fare_chain.tap import TapKind
from tests.city_adapters.gate_world import BATCH_KEY, CITY, CITY_KEY, RING, code_of, make_tap


@pytest.fixture
def spool(tmp_path):
    return open_spool(tmp_path / "spool", CITY_KEY)


def put(spool, numbers, **how):
    for number in numbers:
        spool.append(make_tap(number, **how), code_of(number))


def seal_all(spool):
    spool.turn()
    while spool.turned:
        spool.seal(spool.turned[0])
        spool.turned.popleft()


def again(spool):
    spool.close()
    return open_spool(spool.folder, spool.city_key)


def names(spool):
    return sorted(path.name for path in spool.folder.iterdir())


def waiting_taps(spool):
    return [record for spooled in spool.waiting for record in tap.records(unseal(spooled.path.read_bytes(), RING).body)]


def expected(numbers, **how):
    return [make_tap(number, **how).to_bytes() for number in numbers]


def test_what_was_kept_comes_out_as_batches_that_follow_one_another(spool):
    put(spool, range(3))
    seal_all(spool)
    put(spool, range(3, 5))
    seal_all(spool)
    first, second = (unseal(spooled.path.read_bytes(), RING) for spooled in spool.waiting)
    assert (first.header.city_seq, second.header.city_seq) == (0, 1)
    assert CityTail().after(first.header) == CityTail(1, second.header.prev_header)
    assert waiting_taps(spool) == expected(range(5))


def test_a_full_batch_ends_by_itself_and_the_next_begins(spool):
    put(spool, range(MOST_TAPS + 1))
    assert [len(journal.taps) for journal in spool.unsealed] == [MOST_TAPS, 1]
    seal_all(spool)
    assert [spooled.header.count for spooled in spool.waiting] == [MOST_TAPS, 1]


def test_taps_from_elsewhere_become_the_next_batch_and_count_for_their_gates(spool):
    put(spool, range(2))
    with pytest.raises(Conflict, match="not sealed yet"):
        spool.put(make_tap(2).to_bytes())
    seal_all(spool)
    sealed = spool.put(b"".join(expected(range(2, 4))))
    assert (sealed.header.city_seq, sealed.codes) == (1, b"")
    assert waiting_taps(spool) == expected(range(4))
    reborn = again(spool)
    assert reborn.chain == spool.chain
    assert reborn.gates == spool.gates == open_taps.last_gate_seqs(b"".join(expected(range(4))))


def test_a_tap_is_in_the_file_before_its_gate_opens(spool):
    put(spool, [0])
    assert journals.read(spool.open.path).taps == (make_tap(0).to_bytes(),)
    assert journals.read(spool.open.path).codes == (code_of(0),)


def test_a_journal_that_was_left_is_sealed_at_the_next_start(spool):
    put(spool, range(4))
    spool = again(spool)
    assert waiting_taps(spool) == expected(range(4))
    assert names(spool) == ["000000000000.batch", "lock"]


def test_two_journals_that_were_left_are_sealed_in_order(spool):
    put(spool, range(2))
    spool.turn()
    put(spool, range(2, 5))
    spool = again(spool)
    assert waiting_taps(spool) == expected(range(5))
    assert [spooled.header.count for spooled in spool.waiting] == [2, 3]


def test_a_journal_whose_batch_is_there_is_dropped(spool):
    put(spool, range(2))
    left = spool.open.path.read_bytes()
    seal_all(spool)
    (spool.folder / "000000000000.journal").write_bytes(left)
    spool = again(spool)
    assert waiting_taps(spool) == expected(range(2))
    assert names(spool) == ["000000000000.batch", "lock"]


def test_a_journal_behind_one_that_vanished_moves_up(spool):
    put(spool, range(2))
    spool.turn()
    put(spool, range(2, 4))
    (spool.folder / "000000000000.journal").write_bytes(b"")
    spool = again(spool)
    assert waiting_taps(spool) == expected([2, 3])
    assert waiting_taps(again(spool)) == expected([2, 3])


def test_an_unfinished_record_is_dropped_wherever_the_write_stopped(tmp_path):
    path = tmp_path / "000000000000.journal"
    journal = journals.create(path, 0)
    for number in range(2):
        journal.append(make_tap(number).to_bytes(), b"c" * 9, 0)
    whole = path.read_bytes()
    one = (len(whole) - 8) // 2
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        remains = journals.read(path)
        assert len(remains.taps) == max(0, size - 8) // one
        assert remains.torn_bytes == (max(0, size - 8) % one)
    journal.close()


def test_a_flipped_bit_in_a_journal_ends_it_there_and_the_rest_is_kept_aside(spool):
    put(spool, range(3))
    path = spool.open.path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    spool.close()
    path.write_bytes(data)
    spool = open_spool(spool.folder, CITY_KEY)
    assert waiting_taps(spool) == expected(range(2))
    assert (spool.folder / "000000000000.torn").read_bytes() == data


def test_a_write_that_the_disk_cut_short_is_taken_back_and_the_gate_stays_shut(spool, monkeypatch):
    put(spool, range(1))
    whole, write = spool.open.path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:50]))
    with pytest.raises(NotKept, match="disk is full"):
        put(spool, [1])
    monkeypatch.undo()
    assert spool.open.path.read_bytes() == whole
    put(spool, [2])
    assert waiting_taps(again(spool)) == expected([0, 2])


def test_behind_a_record_that_cannot_be_taken_back_nothing_is_written(spool, monkeypatch):
    put(spool, range(1))
    write = os.write

    def no(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:50]))
    monkeypatch.setattr(os, "ftruncate", no)
    with pytest.raises(NotKept):
        put(spool, [1])
    monkeypatch.undo()
    put(spool, [2])
    assert [journal.seq for journal in spool.unsealed] == [0, 1]
    assert waiting_taps(again(spool)) == expected([0, 2])


def test_a_full_spool_keeps_gates_shut_until_there_is_room(tmp_path):
    spool = open_spool(tmp_path, CITY_KEY, most_bytes=1000)
    put(spool, range(4))
    with pytest.raises(NotKept, match="full"):
        put(spool, [4])
    spool.close()


def test_an_acknowledged_batch_is_not_sent_again(spool):
    put(spool, range(2))
    seal_all(spool)
    put(spool, [2])
    seal_all(spool)
    spool.acknowledge(0)
    assert waiting_taps(again(spool)) == expected([2])


def test_batches_are_acknowledged_in_order(spool):
    put(spool, range(1))
    seal_all(spool)
    put(spool, [1])
    seal_all(spool)
    with pytest.raises(Conflict, match="in order"):
        spool.acknowledge(1)


def test_an_acknowledgement_that_a_power_cut_took_back_sends_all_behind_it_again(spool):
    for number in range(3):
        put(spool, [number])
        seal_all(spool)
    spool.acknowledge(0)
    spool.acknowledge(1)
    (spool.folder / "000000000000.sent").rename(spool.folder / "000000000000.batch")
    spool = again(spool)
    assert [spooled.seq for spooled in spool.waiting] == [0, 1, 2]
    assert not spool.sent


def test_the_chain_and_the_gates_go_on_after_everything_was_removed(spool):
    put(spool, range(3))
    seal_all(spool)
    end = spool.chain
    spool.acknowledge(0)
    assert spool.let_go(before_us=2 * 10**15, inside_since_us=0) == 1
    spool = again(spool)
    assert spool.chain == end
    assert spool.gates == {7: 3}
    assert names(spool) == ["inside", "lock", "tail"]


def test_only_what_is_acknowledged_and_old_is_removed(spool):
    for number in range(3):
        put(spool, [number])
        seal_all(spool)
    spool.acknowledge(0)
    spool.acknowledge(1)
    assert spool.let_go(before_us=10**15 + 1, inside_since_us=0) == 1
    assert names(spool) == ["000000000001.sent", "000000000002.batch", "inside", "lock", "tail"]


def test_a_gates_count_goes_on_from_batches_and_journals(spool):
    put(spool, range(2))
    seal_all(spool)
    put(spool, [2])
    put(spool, [9], gate=8)
    assert again(spool).gates == {7: 3, 8: 10}


def test_who_is_inside_survives_removal_and_restart(spool):
    put(spool, [0, 1])
    put(spool, [2], kind=TapKind.EXIT, rider=0)
    seal_all(spool)
    spool.acknowledge(0)
    spool.let_go(before_us=2 * 10**15, inside_since_us=0)
    put(spool, [3], rider=5)
    spool = again(spool)
    inside = [record[8:24] for record in tap.records(open_taps.open_entries(spool.told_so_far(), since_us=0))]
    assert inside == [(1).to_bytes(16, "big"), (5).to_bytes(16, "big")]


def test_two_adapters_never_share_a_spool(spool):
    with pytest.raises(Conflict, match="an adapter runs"):
        open_spool(spool.folder, CITY_KEY)


def test_a_spool_of_another_city_is_refused(spool):
    put(spool, range(1))
    seal_all(spool)
    spool.close()
    with pytest.raises(Untrusted, match="city 1's batch 0"):
        open_spool(spool.folder, CityKey(2, BATCH_KEY, bytes(4)))


def test_a_tail_of_another_city_is_refused(tmp_path):
    spool_files.write_tail(tmp_path / "tail", 3, spool_files.Tail())
    with pytest.raises(Conflict, match="city 3's, not city 1's"):
        open_spool(tmp_path, CITY_KEY)


def test_a_missing_batch_file_is_named(spool):
    for number in range(3):
        put(spool, [number])
        seal_all(spool)
    (spool.folder / "000000000001.batch").unlink()
    spool.close()
    with pytest.raises(Untrusted, match=r"000000000002.batch.*does not follow batch 0"):
        open_spool(spool.folder, CITY_KEY)


@pytest.mark.parametrize("change", [{"format": 2}, {"next_seq": "x"}, {"header_hash": "zz"}, {"gates": 3}])
def test_a_tail_that_was_changed_is_named(tmp_path, change):
    path = tmp_path / "tail"
    spool_files.write_tail(path, CITY, spool_files.Tail())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(Malformed, match=r"tail"):
        open_spool(tmp_path, CITY_KEY)


def test_a_cut_batch_file_is_named(spool):
    put(spool, range(1))
    seal_all(spool)
    path: Path = spool.waiting[0].path
    spool.close()
    path.write_bytes(path.read_bytes()[:250])
    with pytest.raises(Malformed, match=r"000000000000.batch"):
        open_spool(spool.folder, CITY_KEY)


def test_a_disk_that_fails_while_sealing_leaves_the_journal_for_the_next_try(spool, monkeypatch):
    put(spool, range(3))
    spool.turn()

    def no(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", no)
    with pytest.raises(OSError, match="Input/output"):
        spool.seal(spool.turned[0])
    monkeypatch.undo()
    put(spool, [3])
    seal_all(spool)
    assert waiting_taps(spool) == expected(range(4))


taps_of_few = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([TapKind.ENTRY, TapKind.EXIT]), st.integers(0, 9_000_000)))


@given(taps_of_few, st.integers(0, 60), st.integers(0, 100))
def test_a_state_told_only_what_matters_is_the_state_told_everything(steps, cut, late_s):
    """Through removal (a first part becomes `inside`), restart, and the time in between."""
    at_us, run = 10**15, []
    for number, (rider, kind, pause_us) in enumerate(steps):
        at_us += pause_us
        run.append(make_tap(number, kind=kind, rider=rider, at_us=at_us - number).to_bytes())
    now_us = at_us + late_s * 1_000_000
    gone = [record for record in run[:cut] if tap.read(record).tapped_at_us < now_us - open_taps.SPENT_US]
    kept = run[len(gone) :]
    told = open_taps.open_entries(b"".join(gone), since_us=0) + b"".join(kept)
    since_us = now_us - LONGEST_RIDE_US
    whole, short = GateState(CITY, [1]), GateState(CITY, [1])
    for record in run:
        whole.after(tap.read(record))
    for record in open_taps.worth_retelling(told, since_us=since_us, now_us=now_us):
        short.after(tap.read(record))
    for rider in range(4):
        medium = rider.to_bytes(16, "big")
        assert whole.entered_at_us(medium, now_us) == short.entered_at_us(medium, now_us)
    for record in run:
        one = tap.read(record)
        if one.tapped_at_us >= now_us - open_taps.SPENT_US:
            assert short.has_spent(one.code_digest)


def test_markers_and_passages_tell_who_is_inside():
    taps = [
        (1, TapKind.ENTRY), (1, TapKind.MARKER), (2, TapKind.TRANSFER_ENTRY), (3, TapKind.ENTRY), (3, TapKind.TRANSFER_EXIT),
        (4, TapKind.TRANSFER_EXIT), (4, TapKind.MARKER),
    ]  # fmt: skip
    run = b"".join(make_tap(number, kind=kind, rider=rider).to_bytes() for number, (rider, kind) in enumerate(taps))
    inside = tap.records(open_taps.open_entries(run, since_us=0))
    assert [(record[8:24], record[72]) for record in inside] == [
        ((1).to_bytes(16, "big"), TapKind.ENTRY), ((2).to_bytes(16, "big"), TapKind.TRANSFER_ENTRY),
    ]  # fmt: skip

"""Entries chained by index and leaf hash: what appends, what follows, and what no chain accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain.errors import FareChainError, Malformed, Untrusted
from fare_chain.events import EntryKind
from fare_chain.hashing import ZERO_HASH, leaf_hash
from fare_chain.ledger import FRAME_BYTES, Head, append, follow, read_entry
from fare_chain.merkle import root

PAYLOADS = [(EntryKind.BATCH, b"one"), (EntryKind.KEY, b""), (EntryKind.TARIFF, b"three" * 9)]


def grow(ticks):
    """A ledger of ticks, each a list of payloads: (head, entries)."""
    head, all_entries = Head(), []
    for number, payloads in enumerate(ticks):
        head, entries, _leaves = append(head, 1_000 + number, payloads)
        all_entries += entries
    return head, all_entries


def follow_all(entries):
    head = Head()
    for entry in entries:
        head, _entry = follow(head, entry)
    return head


def test_an_entry_has_the_documented_bytes():
    _head, (entry,) = grow([[(EntryKind.BATCH, b"payload")]])
    assert entry.hex() == "0100010007000000" + "00" * 8 + "e803000000000000" + "00" * 32 + b"payload".hex()
    assert len(entry) == FRAME_BYTES + 7


@given(st.lists(st.lists(st.sampled_from(PAYLOADS), max_size=4), max_size=5))
def test_whoever_follows_comes_to_the_same_head(ticks):
    head, entries = grow(ticks)
    followed = follow_all(entries)
    assert [read_entry(data).index for data in entries] == list(range(len(entries)))
    assert (followed.size, followed.root(), followed.last_leaf) == (head.size, head.root(), head.last_leaf)
    assert head.root() == root([leaf_hash(data) for data in entries])


def test_entries_of_one_tick_share_their_moment_and_name_the_one_before():
    _head, entries = grow([PAYLOADS[:2], PAYLOADS[2:]])
    read = [read_entry(data) for data in entries]
    assert [entry.recorded_us for entry in read] == [1000, 1000, 1001]
    assert [entry.prev_leaf for entry in read] == [ZERO_HASH, leaf_hash(entries[0]), leaf_hash(entries[1])]


def test_an_empty_tick_changes_nothing():
    head, _entries = grow([PAYLOADS])
    assert append(head, 5000, []) == (head, [], [])


@pytest.mark.parametrize("at_us", [999, 1000])
def test_time_never_stands_still_or_runs_back(at_us):
    head, _entries = grow([PAYLOADS])
    with pytest.raises(Malformed, match="strictly increasing"):
        append(head, at_us, PAYLOADS)


@given(st.data())
def test_any_flipped_bit_breaks_the_chain_at_that_entry_or_the_next(data):
    _head, entries = grow([PAYLOADS, PAYLOADS])
    number = data.draw(st.integers(0, len(entries) - 2))
    bit = data.draw(st.integers(0, len(entries[number]) * 8 - 1))
    spoiled = bytearray(entries[number])
    spoiled[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FareChainError):
        follow_all([*entries[:number], bytes(spoiled), entries[number + 1]])


def test_what_was_moved_lost_or_replayed_does_not_follow():
    _head, entries = grow([PAYLOADS])
    first, _entry = follow(Head(), entries[0])
    for wrong in (entries[0], entries[2]):
        with pytest.raises(Untrusted, match="moved, lost or added"):
            follow(first, wrong)
    _other, others = grow([[(EntryKind.BATCH, b"another"), *PAYLOADS[1:]]])
    with pytest.raises(Untrusted, match="prev_leaf"):
        follow(first, others[1])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("kind", lambda entry: b"\x63" + entry[1:]),
        ("format", lambda entry: entry[:2] + b"\x02" + entry[3:]),
        ("payload_bytes", lambda entry: entry + b"x"),
        ("entry has", lambda entry: entry[: FRAME_BYTES - 1]),
    ],
)
def test_bytes_that_are_no_entry_are_refused_by_field(name, spoil):
    _head, entries = grow([PAYLOADS])
    with pytest.raises(Malformed, match=name):
        read_entry(spoil(entries[0]))

"""A snapshot is written in one way, read strictly, and named by the tables it needs."""

import struct

import pytest

from fare_chain.errors import Malformed, Unknown
from fare_chain.hashing import tagged_hash
from fare_chain.tap import TapKind
from settlement.core.clearing import Tick, clear
from settlement.core.columns import ClearingReason
from settlement.core.state import State, balances_bytes, chain_root
from settlement.core.windows import close
from simulators.small_cities import CHANGE_US, SECOND_US, small_scheme, small_tap, tap_records

NOON_US = CHANGE_US + 12 * 3600 * SECOND_US
SCHEME = small_scheme()


@pytest.fixture(scope="module")
def state():
    """Tables, two ticks, a closed window, an open one; waiting: three entries, two rides at walks; two border sides."""
    taps = [small_tap(medium, TapKind.ENTRY, NOON_US - SECOND_US, issuer=3) for medium in range(5)]
    for medium, host, kind, at in (
        (6, 4, 1, 9),
        (6, 4, 2, 3),
        (7, 4, 1, 9),
        (7, 4, 2, 3),
        (8, 2, 1, 9),
        (8, 2, 2, 3),
        (9, 2, 1, 9),
    ):
        at_us = NOON_US - (at + medium) * SECOND_US
        taps.append(small_tap(medium, TapKind(kind), at_us, host=host, station=3 if kind == 2 else 1))
    taps.append(small_tap(9, TapKind.EXIT, NOON_US - SECOND_US, host=2, station=3))
    exits = [small_tap(medium, TapKind.EXIT, NOON_US, station=3, issuer=3) for medium in range(2)]
    at = State.genesis(NOON_US // SECOND_US)
    at, _ = clear(at, Tick(NOON_US, 0, 8, bytes(32), tap_records([*taps, exits[0]]), SCHEME))
    at, _ = close(at, at.second)
    at, _ = clear(at, Tick(NOON_US + SECOND_US, 8, 9, bytes(32), tap_records(exits[1:])))
    return at


def test_a_snapshot_comes_back_as_it_was(state):
    data = state.to_bytes()
    again = State.from_bytes(data, SCHEME)
    assert again.to_bytes() == data
    assert (again.positions, again.earned, again.window.delta_roots) == (state.positions, state.earned, state.window.delta_roots)
    assert again.rules.rules_hash == state.rules.rules_hash
    assert again.waiting == state.waiting
    assert len(again.open_taps) == 7
    assert (len(again.due), len(again.sides)) == (2, 2)
    assert again.due.tobytes() == state.due.tobytes()
    assert again.sides.tobytes() == state.sides.tobytes()


def test_genesis_is_a_snapshot_too():
    first = State.genesis(7)
    assert State.from_bytes(first.to_bytes(), []).to_bytes() == first.to_bytes()
    assert len(first.to_bytes()) == 156


def test_every_cut_and_every_added_byte_is_refused(state):
    data = state.to_bytes()
    for size in (0, 7, 155, 156, len(data) - 1):
        with pytest.raises(Malformed):
            State.from_bytes(data[:size], SCHEME)
    with pytest.raises(Malformed):
        State.from_bytes(data + b"\0", SCHEME)


def test_every_flipped_bit_is_refused_or_stands_in_what_is_read(state):
    """No bit is without meaning: what is accepted differs from the original when it is written again."""
    data = state.to_bytes()
    accepted = 0
    for at in range(0, len(data) * 8, 7):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        try:
            assert State.from_bytes(bytes(flipped), SCHEME).to_bytes() == flipped
            accepted += 1
        except (Malformed, Unknown):
            pass
    assert accepted > 0, "amounts and roots are not checked here: the state root and the laws do that"


def swapped(data, *, begin, width):
    return data[:begin] + data[begin + width : begin + 2 * width] + data[begin : begin + width] + data[begin + 2 * width :]


WIDTHS = {
    "tables": 32, "positions": 16, "earned": 16, "sums": 24, "roots": 32, "due": 16, "sides": 48, "waiting": 80, "counted": 24,
    "closed": 40, "reversed": 24,
}  # fmt: skip


def begins_of(state):
    """Where each list of the snapshot begins, in bytes."""
    lists = (state.rules.pins, state.positions, state.earned, state.window.sums, state.window.delta_roots)
    counts = [
        *map(len, lists),
        len(state.due),
        len(state.sides),
        len(state.waiting),
        len(state.counted.to_rows()),
        len(state.closed),
        len(state.reversed),
    ]
    sizes = [count * width for count, width in zip(counts, WIDTHS.values(), strict=True)]
    return {name: 156 + sum(sizes[:at]) for at, name in enumerate(WIDTHS)}


@pytest.mark.parametrize("part", [part for part in WIDTHS if part not in ("roots", "closed", "reversed")])
def test_rows_out_of_order_are_refused(state, part):
    data = state.to_bytes()
    with pytest.raises(Malformed):
        State.from_bytes(swapped(data, begin=begins_of(state)[part], width=WIDTHS[part]), SCHEME)


def test_a_row_that_stands_twice_is_refused(state):
    data = state.to_bytes()
    at = begins_of(state)["positions"]
    with pytest.raises(Malformed, match="once"):
        State.from_bytes(data[: at + 16] + data[at : at + 16] + data[at + 32 :], SCHEME)
    at = begins_of(state)["counted"]
    with pytest.raises(Malformed, match="each once"):
        State.from_bytes(data[: at - 160] + data[at - 80 : at] + data[at - 80 :], SCHEME)


def test_counted_runs_that_touch_are_refused(state):
    rows = state.counted.to_rows()
    at = begins_of(state)["counted"]
    first = int(rows["first"][0])
    for runs in ([(first, first), (first + 1, first + 1)], [(first, first + 2), (first + 1, first + 3)], [(first + 2, first)]):
        data = bytearray(state.to_bytes()[:at])
        data[132:140] = struct.pack("<Q", len(runs))
        data[140:156] = bytes(16)
        data += b"".join(struct.pack("<H6xQQ", 1, *run) for run in runs)
        with pytest.raises(Malformed):
            State.from_bytes(bytes(data), SCHEME)


def test_border_sides_out_of_order_are_refused(state):
    data, at = state.to_bytes(), begins_of(state)["sides"]
    with pytest.raises(Malformed, match="in order of their bytes"):
        State.from_bytes(data[:at] + data[at + 48 : at + 96] + data[at : at + 48] + data[at + 96 :], SCHEME)


@pytest.mark.parametrize(("offset", "value"), [(46, 4), (47, 1)])
def test_a_border_side_that_is_neither_end_nor_beginning_is_refused(state, offset, value):
    data = bytearray(state.to_bytes())
    data[begins_of(state)["sides"] + offset] = value
    with pytest.raises(Malformed, match="border sides"):
        State.from_bytes(bytes(data), SCHEME)


def test_a_ride_that_a_city_sends_again_is_charged_once_even_after_a_snapshot():
    ride = [
        small_tap(8, TapKind.ENTRY, NOON_US - 9 * SECOND_US, host=2),
        small_tap(8, TapKind.EXIT, NOON_US - 3 * SECOND_US, host=2, station=3),
    ]
    at = State.genesis(NOON_US // SECOND_US)
    at, first = clear(at, Tick(NOON_US, 0, 1, bytes(32), tap_records(ride), SCHEME))
    at, again = clear(State.from_bytes(at.to_bytes(), SCHEME), Tick(NOON_US + 1, 1, 2, bytes(32), tap_records(ride)))
    assert (len(first.journeys), len(again.journeys), len(at.sides)) == (1, 0, 1)
    assert again.exceptions["reason"].tolist() == [ClearingReason.REPEATED] * 2


def test_a_missing_table_is_named(state):
    with pytest.raises(Unknown, match=SCHEME[1].sha256.hex()):
        State.from_bytes(state.to_bytes(), [SCHEME[0], *SCHEME[2:]])


def test_the_state_root_covers_what_the_ledger_page_says():
    positions = ((0, 5), (2, -9), (7, 4))
    written = b"".join(struct.pack("<H6xq", member, fen) for member, fen in positions)
    assert balances_bytes(positions[::-1]) == written
    root = chain_root(
        b"p" * 32, second=1, seconds=2, delta_root=b"d" * 32, positions=positions, rules_hash=b"r" * 32, earned_root=b"e" * 32
    )
    assert root == tagged_hash("state", [b"p" * 32, struct.pack("<qI", 1, 2), b"d" * 32, written, b"r" * 32, b"e" * 32])

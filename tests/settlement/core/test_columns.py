"""Records have the sizes and places that the ledger states, and move whole."""

import numpy as np
import pytest

from fare_chain.tap import FIELDS, TapKind
from settlement.core.books import POSTING_DTYPE
from settlement.core.columns import (
    DUE_DTYPE,
    EXCEPTION_DTYPE,
    JOIN_DTYPE,
    JOURNEY_DTYPE,
    SHARE_DTYPE,
    SIDE_DTYPE,
    SUM_DTYPE,
    TAP_DTYPE,
    in_byte_order,
    join,
    pick,
    plain,
    raw,
    words,
)
from settlement.core.journeys import Ridden
from simulators.small_cities import small_tap, tap_records

DTYPES = {
    TAP_DTYPE: 80, JOURNEY_DTYPE: 128, SHARE_DTYPE: 16, SUM_DTYPE: 24, EXCEPTION_DTYPE: 48, POSTING_DTYPE: 32, JOIN_DTYPE: 32,
    SIDE_DTYPE: 48, DUE_DTYPE: 16,
}  # fmt: skip


def test_a_tap_reads_as_it_was_written():
    tap = small_tap(2**127 + 5, TapKind.EXIT, -7, host=3, station=4, issuer=2, gate=9, category=2, entitlement=5)
    row = tap_records([tap])[0]
    for name, _form, _at in FIELDS:
        if name != "reserved":
            value = row[name].tobytes() if isinstance(getattr(tap, name), bytes) else row[name]
            assert value == getattr(tap, name), name


@pytest.mark.parametrize(("dtype", "size"), DTYPES.items())
def test_records_have_their_size_without_hidden_bytes_and_little_endian(dtype, size):
    assert dtype.itemsize == size == sum(dtype[name].itemsize for name in dtype.names)
    assert all(dtype[name].str[0] in "<|" for name in dtype.names)


def test_bytes_with_trailing_zeros_are_kept_whole():
    row = tap_records([small_tap(1, TapKind.ENTRY, 0)])
    assert plain(row)[0][1] == (1).to_bytes(16, "little")


def test_records_are_picked_by_row_and_by_mask_and_joined():
    taps = tap_records([small_tap(medium, TapKind.ENTRY, medium) for medium in range(5)])
    assert pick(taps, np.array([3, 1]))["tapped_at_us"].tolist() == [3, 1]
    assert pick(taps, taps["tapped_at_us"] > 2)["tapped_at_us"].tolist() == [3, 4]
    assert join([taps[:1], taps[4:]], TAP_DTYPE)["tapped_at_us"].tolist() == [0, 4]
    assert join([], TAP_DTYPE).shape == (0,)


def test_byte_order_is_the_order_of_the_bytes():
    chance = np.random.default_rng(3)
    records = np.frombuffer(chance.integers(0, 2, 24 * 50, dtype=np.uint8).tobytes(), SUM_DTYPE)
    assert [row.tobytes() for row in in_byte_order(records)] == sorted(row.tobytes() for row in records)


def test_words_and_bytes_are_views_of_the_same_records():
    taps = tap_records([small_tap(7, TapKind.ENTRY, 12)])
    assert words(taps).shape == (1, 10)
    assert words(taps)[0, 0] == 12
    assert raw(taps).tobytes() == taps.tobytes()


def test_columns_refuse_unequal_lengths_and_freeze_their_arrays():
    taps = tap_records([small_tap(1, TapKind.ENTRY, 0)]).copy()
    one = np.ones(1, np.int64)
    with pytest.raises(AssertionError, match="columns of 0 and 1 rows"):
        Ridden(taps, taps[:0], one, one)
    ridden = Ridden(taps, taps, one, one)
    with pytest.raises(ValueError, match="read-only"):
        ridden.entries["station"] = 3

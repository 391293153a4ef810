import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain import tap
from fare_chain.errors import Malformed
from fare_chain.tap import Category, StationMode, Tap, TapFlag, TapKind

TAP = Tap(1_790_000_000_000_000, b"m" * 16, b"c" * 32, 5, 7, 1001, 1, 2, TapKind.ENTRY)
DTYPE = np.dtype({
    "names": [name for name, _, _ in tap.FIELDS], "formats": [kind for _, kind, _ in tap.FIELDS],
    "offsets": [offset for _, _, offset in tap.FIELDS], "itemsize": tap.TAP_BYTES,
})  # fmt: skip

taps = st.builds(
    Tap,
    tapped_at_us=st.integers(-(2**63), 2**63 - 1),
    medium=st.binary(min_size=16, max_size=16),
    code_digest=st.binary(min_size=32, max_size=32),
    gate_seq=st.integers(0, 2**32 - 1),
    gate=st.integers(0, 2**32 - 1),
    station=st.integers(0, 2**32 - 1),
    host=st.integers(0, 2**16 - 1),
    issuer=st.integers(0, 2**16 - 1),
    kind=st.sampled_from([kind for kind in TapKind if kind is not TapKind.REFUSED]),
    mode=st.sampled_from(StationMode),
    category=st.sampled_from(Category),
    flags=st.sampled_from([0, TapFlag.OLD_DENY_LIST]),
    entitlement=st.integers(0, 255),
)


@given(taps)
def test_what_was_written_reads_back(one):
    assert len(one.to_bytes()) == 80
    assert tap.read(one.to_bytes()) == one


@given(st.lists(taps, min_size=1, max_size=5))
def test_the_field_table_and_the_record_agree(some):
    rows = np.frombuffer(b"".join(one.to_bytes() for one in some), DTYPE)
    for row, one in zip(rows, some, strict=True):
        for name, kind, _ in tap.FIELDS[:-1]:
            expected = getattr(one, name)
            assert (row[name].tobytes() if kind.startswith("V") else row[name]) == expected
        assert row["reserved"].tobytes() == bytes(3)


@given(st.lists(taps, max_size=5))
def test_a_run_is_cut_into_its_records_and_columns(some):
    run = b"".join(one.to_bytes() for one in some)
    tap.check_run(run)
    assert [tap.read(record) for record in tap.records(run)] == some
    assert tap.times_us(run) == [one.tapped_at_us for one in some]
    assert tap.code_digests(run) == [one.code_digest for one in some]


def test_times_read_the_same_on_a_big_endian_machine(monkeypatch):
    run = TAP.to_bytes() + replace(TAP, tapped_at_us=-1).to_bytes()
    monkeypatch.setattr(tap.sys, "byteorder", "big")
    assert tap.times_us(run) == [1_790_000_000_000_000, -1]


@pytest.mark.parametrize(
    "fields",
    [{"medium": b"m"}, {"code_digest": b"c" * 31}, {"gate_seq": 2**32}, {"station": -1}, {"host": 2**16}, {"flags": 256}],
)
def test_a_number_that_does_not_fit_is_malformed(fields):
    with pytest.raises(Malformed):
        replace(TAP, **fields).to_bytes()


@pytest.mark.parametrize("length", [0, 79, 81, 160])
def test_a_record_of_another_length_is_malformed(length):
    with pytest.raises(Malformed, match=f"has {length} bytes, expected 80"):
        tap.read(bytes(length))


@pytest.mark.parametrize(
    ("offset", "value", "name"),
    [
        (72, 0, "kind"), (72, 6, "kind"), (72, 7, "kind"), (73, 0, "mode"), (73, 2, "mode"), (74, 3, "category"), (75, 2, "flags"),
        (77, 1, "reserved"), (78, 1, "reserved"), (79, 128, "reserved"),
    ],
)  # fmt: skip
def test_the_first_bad_field_of_a_run_is_named_with_its_offset(offset, value, name):
    run = bytearray(TAP.to_bytes() * 3)
    run[80 + offset] = run[160 + offset] = value
    with pytest.raises(Malformed, match=rf"tap 1: {name} is {value}, .*\(offset {80 + offset}\)"):
        tap.check_run(bytes(run))


def test_a_refused_tap_stays_at_home():
    with pytest.raises(Malformed, match="kind is 6"):
        tap.check_run(replace(TAP, kind=TapKind.REFUSED).to_bytes())


def test_a_cut_run_is_malformed():
    with pytest.raises(Malformed, match="81 bytes are not whole records"):
        tap.check_run(TAP.to_bytes() + b"\0")


@pytest.mark.parametrize("host", [2, 0x0101, 0x0100])
def test_a_tap_of_another_city_is_named_by_its_number(host):
    run = TAP.to_bytes() + replace(TAP, host=host).to_bytes()
    with pytest.raises(Malformed, match=rf"tap 1: host is {host}, but the batch is city 1's \(offset 148\)"):
        tap.check_hosts(run, 1)


def test_taps_of_the_batchs_own_city_pass():
    tap.check_hosts(replace(TAP, host=0x0102).to_bytes() * 3, 0x0102)
    tap.check_hosts(b"", 1)


def test_the_layout_is_that_of_the_design():
    layout = struct.pack("<q16s32s3I2H4B4x", TAP.tapped_at_us, TAP.medium, TAP.code_digest, 5, 7, 1001, 1, 2, 1, 1, 0, 0)
    assert TAP.to_bytes() == layout

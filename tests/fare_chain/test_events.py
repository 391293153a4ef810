"""Keys, tables and windows as payloads: they read back, and nothing else reads."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain.errors import FareChainError, Malformed, Untrusted
from fare_chain.events import KeyEntry, TariffEntry, WindowEntry, read_key_entry, read_tariff_entry, read_window_entry
from fare_chain.key_entries import read_key_entries, write_member_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey

KEY = SigningKey(bytes(range(32)))
PUBLIC = PublicKey(3, KeyUse.BATCH, KEY.public, 1_000_000, 2_000_000)
WINDOW = WindowEntry(
    second=1_790_000_000,
    seconds=1,
    from_index=7,
    to_index=9,
    taps=40,
    journeys=12,
    gross_fen=3_600,
    net_fen=900,
    state_root=b"s" * 32,
    delta_root=b"d" * 32,
    rules_hash=b"r" * 32,
    positions=((0, 12), (1, 888), (2, -900)),
)


def test_a_key_entry_reads_back_and_names_its_key():
    payload = KeyEntry.of(PUBLIC, KEY).to_bytes()
    assert len(payload) == 120
    assert read_key_entry(payload).key == PUBLIC


def test_a_key_entry_needs_the_keys_own_signature():
    with pytest.raises(Untrusted, match="private key given"):
        KeyEntry.of(PUBLIC, SigningKey(bytes(32)))
    stolen = dataclasses.replace(KeyEntry.of(PUBLIC, KEY), key=dataclasses.replace(PUBLIC, owner=4))
    with pytest.raises(Untrusted, match="does not prove"):
        read_key_entry(stolen.to_bytes())


@given(st.integers(0, 120 * 8 - 1))
def test_any_flipped_bit_of_a_key_entry_is_refused(bit):
    payload = bytearray(KeyEntry.of(PUBLIC, KEY).to_bytes())
    payload[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FareChainError):
        read_key_entry(bytes(payload))


def test_a_key_that_is_never_valid_is_refused():
    never = dataclasses.replace(PUBLIC, not_after_us=PUBLIC.not_before_us)
    with pytest.raises(Malformed, match="not_after_us"):
        read_key_entry(KeyEntry.of(never, KEY).to_bytes())


def test_member_keys_are_written_apart_and_read_together(tmp_path):
    write_member_key(tmp_path / "keys", tmp_path / "members", "ningbo-batch", KEY, PUBLIC)
    assert {path.name for path in (tmp_path / "members").iterdir()} == {"ningbo-batch.pub", "ningbo-batch.entry"}
    assert [entry.key for entry in read_key_entries(tmp_path / "members")] == [PUBLIC]
    (tmp_path / "members" / "other.entry").write_bytes(b"cut")
    with pytest.raises(Malformed, match=r"other\.entry"):
        read_key_entries(tmp_path / "members")


def test_a_tariff_entry_reads_back():
    tariff = TariffEntry(6, 749_492, b"t" * 32)
    assert len(tariff.to_bytes()) == 48
    assert read_tariff_entry(tariff.to_bytes()) == tariff
    for wrong in (tariff.to_bytes()[:-1], tariff.to_bytes()[:3] + b"\x01" + tariff.to_bytes()[4:]):
        with pytest.raises(Malformed):
            read_tariff_entry(wrong)


def test_a_window_entry_reads_back():
    assert len(WINDOW.to_bytes()) == 160 + 3 * 16
    assert read_window_entry(WINDOW.to_bytes()) == WINDOW


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"positions": ((0, 12), (1, 888), (2, -899))}, "sum to 1 fen"),
        ({"positions": ((1, 5), (0, -5))}, "not in order"),
        ({"positions": ((1, 5), (1, -5))}, "not in order"),
        ({"seconds": 0}, "seconds is 0"),
        ({"to_index": 6}, "runs backwards"),
    ],
)
def test_a_window_that_contradicts_itself_is_refused(changed, named):
    with pytest.raises(Malformed, match=named):
        read_window_entry(dataclasses.replace(WINDOW, **changed).to_bytes())


def test_a_window_of_another_length_or_with_reserved_bytes_is_refused():
    payload = WINDOW.to_bytes()
    for wrong in (payload[:100], payload[:-1], payload + bytes(16), payload[:165] + b"\x01" + payload[166:]):
        with pytest.raises(Malformed):
            read_window_entry(wrong)

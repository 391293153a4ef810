"""No free text can enter the ledger: every payload of every kind is numbers, hashes, keys and signatures in a closed form.

For each kind of entry payloads are made at random and read: what is read writes the same bytes again, in places that stay as they
are every other byte is refused, and every field is a number or bytes of a fixed width. A kind without a generator here fails.
"""

import dataclasses
import struct
from enum import IntEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_chain import batch, rider_code, tap
from fare_chain.errors import FareChainError, Malformed
from fare_chain.events import (
    EntryKind,
    KeyEntry,
    TariffEntry,
    WindowEntry,
    read_key_entry,
    read_tariff_entry,
    read_window_entry,
)
from fare_chain.governance import (
    Basis,
    ErasureEntry,
    ErasureLevel,
    EvidenceEntry,
    EvidenceKind,
    LookEntry,
    RetentionEntry,
    Scope,
    Term,
    TermEntry,
    read_erasure_entry,
    read_evidence_entry,
    read_look_entry,
    read_retention_entry,
    read_term_entry,
)
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.ledger import read_entry
from fare_chain.tap import Category, StationMode, Tap, TapFlag, TapKind

U8, U16, U32, U48, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 48, 64))
I64 = st.integers(-(2**63), 2**63 - 1)
HASH, SIGNATURE, SEED = (st.binary(min_size=size, max_size=size) for size in (32, 64, 32))
TEXT = "王小明 tel 13800138000 says hello".encode()


def of(kind):
    return st.sampled_from(list(kind))


@st.composite
def signed_headers(draw):
    seq = draw(U64)
    first, last = sorted((draw(I64), draw(I64)))
    prev = draw(HASH) if seq else bytes(32)
    key_id, count = draw(st.binary(min_size=4, max_size=4)), draw(st.integers(1, 4096))
    header = batch.BatchHeader(draw(U16), key_id, seq, prev, first, last, count, draw(HASH), draw(HASH))
    return batch.SealedBatch(header, draw(SIGNATURE), b"").signed_header


@st.composite
def windows(draw):
    members = sorted(draw(st.sets(U16, max_size=9)))
    fens = draw(st.lists(st.integers(-(2**40), 2**40), min_size=len(members), max_size=len(members)))
    if fens:
        fens[-1] -= sum(fens)
    begin = draw(st.integers(0, 2**40))
    numbers = (draw(I64), draw(st.integers(1, 2**32 - 1)), begin, begin + draw(U32), draw(U64), draw(U64), draw(I64), draw(I64))
    return WindowEntry(*numbers, draw(HASH), draw(HASH), draw(HASH), tuple(zip(members, fens, strict=True))).to_bytes()


@st.composite
def keys(draw):
    begins, ends = sorted(draw(st.lists(I64, min_size=2, max_size=2, unique=True)))
    key = SigningKey(draw(SEED))
    return KeyEntry.of(PublicKey(draw(U16), draw(of(KeyUse)), key.public, begins, ends), key).to_bytes()


@st.composite
def terms(draw):
    term = Term(draw(st.integers(1, 2**64 - 1)), draw(U64), draw(HASH), draw(HASH), draw(HASH))
    members = sorted(draw(st.sets(U16, max_size=9)))
    return TermEntry(term, tuple((member, draw(SIGNATURE)) for member in members)).to_bytes()


@st.composite
def erasures(draw):
    taps = tuple(sorted(draw(st.sets(st.integers(0, 4095), min_size=1, max_size=20))))
    return ErasureEntry(draw(of(ErasureLevel)), draw(of(Basis)), draw(U64), taps).to_bytes()


@st.composite
def retentions(draw):
    codes_from, state_at = draw(U64), draw(U64)
    bodies_from = draw(st.integers(0, min(codes_from, state_at)))
    return RetentionEntry(draw(U32), draw(U32), codes_from, bodies_from, state_at, draw(HASH)).to_bytes()


TAPS_NUMBER = st.integers(0, batch.MOST_TAPS - 1)
PAYLOADS = {
    EntryKind.BATCH: signed_headers(),
    EntryKind.WINDOW: windows(),
    EntryKind.TARIFF: st.builds(TariffEntry, U16, U64, HASH).map(TariffEntry.to_bytes),
    EntryKind.KEY: keys(),
    EntryKind.ERASURE: erasures(),
    EntryKind.TERM: terms(),
    EntryKind.RETENTION: retentions(),
    EntryKind.EVIDENCE: st.builds(EvidenceEntry, of(EvidenceKind), U16, TAPS_NUMBER, U64, HASH, U64).map(EvidenceEntry.to_bytes),
    EntryKind.LOOK: st.builds(LookEntry, U16, of(Scope), of(Basis), I64, HASH).map(LookEntry.to_bytes),
}
"""A generator of payloads for every kind of entry."""


def read_batch_entry(payload):
    if len(payload) != batch.SIGNED_HEADER_BYTES:
        raise Malformed("as the walk says")
    return batch.SealedBatch(batch.read_header(payload), payload[batch.HEADER_BYTES :], b"")


READERS = {
    EntryKind.BATCH: read_batch_entry,
    EntryKind.WINDOW: read_window_entry,
    EntryKind.TARIFF: read_tariff_entry,
    EntryKind.KEY: read_key_entry,
    EntryKind.ERASURE: read_erasure_entry,
    EntryKind.TERM: read_term_entry,
    EntryKind.RETENTION: read_retention_entry,
    EntryKind.EVIDENCE: read_evidence_entry,
    EntryKind.LOOK: read_look_entry,
}
LONGEST = {
    EntryKind.BATCH: 208,
    EntryKind.WINDOW: 160 + 16 * 65_536,
    EntryKind.TARIFF: 48,
    EntryKind.KEY: 120,
    EntryKind.ERASURE: 16 + 2 * 4_096,
    EntryKind.TERM: 120 + 72 * 65_536,
    EntryKind.RETENTION: 64,
    EntryKind.EVIDENCE: 56,
    EntryKind.LOOK: 48,
}
"""The bytes that a payload can have at most by its own form; a frame holds it to 65,535 besides."""
SHUT = {
    EntryKind.BATCH: [*range(8), 10, 11, *range(76, 80)],
    EntryKind.WINDOW: [],
    EntryKind.TARIFF: range(2, 8),
    EntryKind.KEY: [2, 3, *range(4, 8)],
    EntryKind.ERASURE: [0, 1, 3],
    EntryKind.TERM: range(116, 120),
    EntryKind.RETENTION: [],
    EntryKind.EVIDENCE: [1],
    EntryKind.LOOK: [2, 3, 6, 7],
}
"""Bytes that a reader lets take one value, or one of a few: text written there is refused."""
every_kind = pytest.mark.parametrize("kind", list(EntryKind), ids=lambda kind: kind.name)
examples = settings(max_examples=40, deadline=None)


def written(kind, value):
    return value.signed_header if kind is EntryKind.BATCH else value.to_bytes()


def leaves(value):
    """Every single value inside what a reader gave."""
    if dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from leaves(getattr(value, each.name))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def test_every_kind_has_its_generator_its_reader_and_its_bounds():
    assert set(PAYLOADS) == set(READERS) == set(LONGEST) == set(SHUT) == set(EntryKind)


@every_kind
@examples
@given(data=st.data())
def test_what_is_read_writes_the_same_bytes_again(kind, data):
    payload = data.draw(PAYLOADS[kind])
    assert written(kind, READERS[kind](payload)) == payload
    assert len(payload) <= LONGEST[kind]


@every_kind
@examples
@given(data=st.data())
def test_every_field_is_a_number_or_bytes_of_a_width_that_a_hash_a_key_or_a_signature_has(kind, data):
    for value in leaves(READERS[kind](data.draw(PAYLOADS[kind]))):
        assert not isinstance(value, str)
        if isinstance(value, bytes):
            assert len(value) in (0, 4, 16, 32, 64), "a key id, a pseudonym, a hash or a key, a signature"
        else:
            assert isinstance(value, int | IntEnum)
            assert -(2**63) <= value < 2**64


@every_kind
@examples
@given(data=st.data(), more=st.binary(min_size=1, max_size=40))
def test_nothing_can_stand_behind_or_be_missing(kind, data, more):
    payload = data.draw(PAYLOADS[kind])
    for bent in (payload + more, payload + TEXT, payload[: -len(more)]):
        with pytest.raises(FareChainError):
            READERS[kind](bent)


@every_kind
@examples
@given(data=st.data())
def test_text_in_a_place_that_is_shut_is_refused(kind, data):
    payload = data.draw(PAYLOADS[kind])
    for at in SHUT[kind]:
        for byte in (ord("A"), 0xE7, data.draw(st.integers(128, 255))):
            bent = payload[:at] + bytes([byte]) + payload[at + 1 :]
            if bent != payload:
                with pytest.raises(FareChainError):
                    READERS[kind](bent)


@examples
@given(data=st.data())
def test_the_padding_of_positions_and_of_signatures_is_shut_too(data):
    for kind, begin, width in ((EntryKind.WINDOW, 160, 16), (EntryKind.TERM, 120, 72)):
        payload = data.draw(PAYLOADS[kind].filter(lambda found, begin=begin: len(found) > begin))
        row = data.draw(st.integers(0, (len(payload) - begin) // width - 1))
        at = begin + row * width + data.draw(st.integers(2, 7))
        with pytest.raises(Malformed, match="reserved"):
            READERS[kind](payload[:at] + b"x" + payload[at + 1 :])


@every_kind
@settings(max_examples=200, deadline=None)
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=120).map(str.encode)))
def test_arbitrary_bytes_and_texts_are_refused_or_are_just_what_they_are_read_as(kind, data):
    try:
        value = READERS[kind](data)
    except FareChainError:
        return
    assert written(kind, value) == data


@settings(max_examples=300, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=120).map(str.encode)), kind=U16, entry_format=U16)
def test_a_frame_is_of_a_known_kind_and_counts_its_payload(data, kind, entry_format):
    frame = struct.pack("<HHIQq32s", kind, entry_format, len(data), 1, 2, bytes(32)) + data
    try:
        entry = read_entry(frame)
    except Malformed:
        assert kind not in set(EntryKind) or entry_format != 1
        return
    assert entry.to_bytes() == frame
    with pytest.raises(Malformed):
        read_entry(frame + b"x")


@examples
@given(
    data=st.data(),
    known=st.builds(
        Tap, I64, st.binary(min_size=16, max_size=16), HASH, U32, U32, U32, U16, U16,
        of([kind for kind in TapKind if kind is not TapKind.REFUSED]), of(StationMode), of(Category), of([0, *TapFlag]), U8,
    ),
)  # fmt: skip
def test_a_tap_beside_the_ledger_is_closed_too(data, known):
    record = known.to_bytes()
    assert tap.read(record).to_bytes() == record
    for at in (72, 73, 74, 75, 77, 78, 79):
        byte = data.draw(st.integers(32, 255))
        with pytest.raises(Malformed):
            tap.read(record[:at] + bytes([byte]) + record[at + 1 :])
    with pytest.raises(Malformed):
        tap.read(record + TEXT)


@examples
@given(category=st.integers(3, 255), at=st.sampled_from([0, 1]), byte=st.integers(2, 255), more=st.binary(min_size=1, max_size=40))
def test_a_rider_code_beside_the_ledger_is_closed_too(category, at, byte, more):
    device, issuer = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
    credential = rider_code.issue_credential(issuer, 1, device.public, not_before_s=0, not_after_s=100)
    code = rider_code.issue(device, credential, 10**6, 1)
    for bent in (code[:at] + bytes([byte]) + code[at + 1 :], code[:48] + bytes([category]) + code[49:], code + TEXT):
        with pytest.raises(rider_code.CodeRefused):
            rider_code.read(bent)
    if len(more) != 8:
        with pytest.raises(rider_code.CodeRefused):
            rider_code.read(code + more)

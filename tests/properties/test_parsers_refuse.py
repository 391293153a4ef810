"""Whatever bytes come: each parser of the evidence gives a value that writes back to the same bytes, or one of our refusals."""

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fare_chain import batch, checkpoint, evidence, governance, mirror_feed, note, policy, proofs, rider_code, tap, tiles, witness
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
from fare_chain.keys import KeyUse
from fare_chain.ledger import Head, append, read_entry
from fare_chain.mirror_feed import FeedEntry, FeedTick, write_feed
from fare_chain.tap import TapKind
from simulators.small_cities import OPENING_US
from simulators.small_house import ORIGIN, SmallAdapter, SmallRider, small_key, small_ring
from tests.settlement.mirror.mirror_world import POLICY

SCAN = SmallRider(1, 2).scan(1, 1, TapKind.ENTRY, OPENING_US + 10**6)
BATCH = SmallAdapter(1).seal([SCAN, SmallRider(2, 1).scan(1, 2, TapKind.EXIT, OPENING_US + 2 * 10**6)])
HEAD, ENTRIES, LEAVES = append(Head(), 10, [(EntryKind.BATCH, BATCH.signed_header), (EntryKind.WINDOW, b"w")])
SIGNED = checkpoint.Checkpoint(ORIGIN, HEAD.size, HEAD.root())
NOTE = SIGNED.sign(small_key(0, KeyUse.LOG))
PROOF = proofs.ProofFile(0, (LEAVES[1],), NOTE, ENTRIES[0])
KEY = KeyEntry.of(next(iter(small_ring())), small_key(0, KeyUse.LOG))
WINDOW = WindowEntry(9, 1, 0, 2, 2, 1, 300, 200, bytes(32), bytes(32), bytes(32), ((0, 5), (1, -5)))
TERM = governance.Term(1, 2, HEAD.root(), small_key(0, KeyUse.LOG).public, bytes(32))
REQUEST = witness.WitnessRequest(0, (), note.read_note(NOTE), SIGNED)
FEED = write_feed([FeedTick(NOTE, (FeedEntry(ENTRIES[0], BATCH.body, BATCH.codes),))])


def text(read, write):
    """A parser of text, over bytes that are UTF-8."""
    return lambda data: write(read(decoded(data))).encode()


def decoded(data):
    """Bytes as whoever reads a text file hands them over; what is no text is refused there."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Malformed("no text") from error


def again(read):
    """A parser whose value writes itself."""
    return lambda data: read(data).to_bytes()


def header_again(data):
    """A header is read from the front of what follows it: signature, taps."""
    return batch.read_header(data).to_bytes() + data[batch.HEADER_BYTES :]


def policy_again(data):
    """A policy has many spellings: the one that is written reads as the same policy, and writes the same."""
    read = policy.read_policy(decoded(data))
    assert policy.read_policy(read.to_text()) == read
    return data


PARSERS = {
    "note": (NOTE.encode(), text(note.read_note, note.Note.to_text)),
    "checkpoint": (SIGNED.to_text().encode(), text(checkpoint.read_text, checkpoint.Checkpoint.to_text)),
    "vkey": (POLICY.logs[0].verifier.to_vkey().encode(), text(note.read_vkey, note.NoteVerifier.to_vkey)),
    "bundle": (tiles.write_bundle(ENTRIES), lambda data: tiles.write_bundle(tiles.read_bundle(data, 2))),
    "tile-path": (b"tile/entries/x001/234.p/7", text(tiles.read_tile_path, lambda at: tiles.tile_path(*at))),
    "proof": (PROOF.to_text().encode(), text(proofs.read_proof_file, proofs.ProofFile.to_text)),
    "policy": (POLICY.to_text().encode(), policy_again),
    "header": (BATCH.header.to_bytes(), header_again),
    "batch": (BATCH.to_bytes(), again(batch.read_batch)),
    "codes": (BATCH.codes, lambda data: batch.write_codes(batch.read_codes(data))),
    "tap": (SCAN[0].to_bytes(), again(tap.read)),
    "rider-code": (SCAN[1], None),
    "entry": (ENTRIES[0], again(read_entry)),
    "key-entry": (KEY.to_bytes(), again(read_key_entry)),
    "tariff-entry": (TariffEntry(1, 9, bytes(32)).to_bytes(), again(read_tariff_entry)),
    "window-entry": (WINDOW.to_bytes(), again(read_window_entry)),
    "term": (TERM.to_bytes(), again(governance.read_term)),
    "term-entry": (
        governance.TermEntry(TERM, ((1, TERM.sign(small_key(1, KeyUse.CLEARING))),)).to_bytes(),
        again(governance.read_term_entry),
    ),
    "evidence-entry": (
        governance.EvidenceEntry(governance.EvidenceKind.ROLLBACK, 1, 0, 9, bytes(32), 0).to_bytes(),
        again(governance.read_evidence_entry),
    ),
    "erasure-entry": (
        governance.ErasureEntry(governance.ErasureLevel.TAPS, governance.Basis.DISPUTE, 3, (1, 2)).to_bytes(),
        again(governance.read_erasure_entry),
    ),
    "retention-entry": (governance.RetentionEntry(1, 2, 3, 0, 0, bytes(32)).to_bytes(), again(governance.read_retention_entry)),
    "look-entry": (
        governance.LookEntry.of(1, governance.Scope.TAP, governance.Basis.AUDIT, 5, "tap/1").to_bytes(),
        again(governance.read_look_entry),
    ),
    "evidence": (
        evidence.two_of(governance.EvidenceKind.BAD_ROOT, BATCH.signed_header, BATCH.body, [b"key"]).encode(),
        text(evidence.read_evidence, lambda file: evidence.write_evidence(file.kind, file.items)),
    ),
    "feed": (FEED, lambda data: mirror_feed.write_feed(mirror_feed.read_feed(data))),
    "submission": (REQUEST.to_bytes(), again(witness.read_request)),
}
"""Each parser by name: bytes that it takes, and what reads and writes them (None where nothing writes a value back)."""


def holds(name, data):
    """Whether the parser took the bytes; it must write them back, or refuse in our words."""
    _good, again_of = PARSERS[name]
    try:
        written = rider_code.read(data) and data if again_of is None else again_of(data)
    except FareChainError:
        return False
    assert written == data, name
    return True


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_well_written_is_read_and_written_again(name):
    assert holds(name, PARSERS[name][0])


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_or_read_whole(name, data):
    holds(name, data)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_good_bytes_that_somebody_changed_are_refused_or_read_whole(name, draw):
    holds(name, changed(draw, PARSERS[name][0]))


LINE_MARKS = [
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b"+",
    b"=",
    b"\xc3\xa9",
    b"\xe2\x80\x94 ",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"0",
    b"-",
    b"A",
]


def changed(draw, data):
    """Good bytes with one bit flipped, or after some edits: bytes overwritten, cut out, put in or given twice."""
    if draw.draw(st.booleans()):
        at = draw.draw(st.integers(0, len(data) - 1))
        return data[:at] + bytes([data[at] ^ 1 << draw.draw(st.integers(0, 7))]) + data[at + 1 :]
    for _edit in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, max(len(data) - 1, 0)))
        end = draw.draw(st.integers(at, min(len(data), at + 40)))
        put = draw.draw(st.one_of(st.binary(max_size=8), st.sampled_from(LINE_MARKS), st.just(data[at:end] * 2)))
        data = data[:at] + put + data[end:]
    return data


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=60), spoil=st.text(alphabet="AB=+/ \n\t", max_size=3), at=st.integers(0, 80))
def test_base64_has_one_spelling(data, spoil, at):
    spelt = base64.b64encode(data).decode()
    bent = spelt[:at] + spoil + spelt[at:]
    try:
        read = proofs.decode_base64(bent, "field")
    except FareChainError:
        return
    assert base64.b64encode(read).decode() == bent

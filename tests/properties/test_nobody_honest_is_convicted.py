"""No evidence can be made against an honest party, however its real signed artefacts are put together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_chain import evidence
from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import FareChainError
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind, Term
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse
from fare_chain.ledger import Head, append, read_entry
from fare_chain.merkle import leaf_hashes, root
from fare_chain.note import Note, NoteVerifier, read_note
from fare_chain.policy import PolicyKey
from fare_chain.proofs import inclusion_ranges, prove_inclusion
from fare_chain.tap import TAP_BYTES, TapKind, records
from simulators.small_cities import OPENING_US
from simulators.small_house import ORIGIN, SmallAdapter, SmallRider, small_key, small_ring
from tests.lies.forging import WHERE, forged
from tests.lies.liars import cosigning
from tests.settlement.mirror.mirror_world import POLICY

OLD, NEW = small_key(0, KeyUse.LOG), small_key(9, KeyUse.LOG)
BOTH = POLICY.__class__(
    (*POLICY.logs, PolicyKey(ORIGIN, NoteVerifier(ORIGIN, NEW.public))), POLICY.witnesses, POLICY.groups, POLICY.quorum
)
"""The policy after a change of term: both houses' keys under one origin."""
TERM_AT = 13
"""The size from which the standby goes on; what the old house appended above it is lost with it, through nobody's fault."""
CODES, BODIES, BATCHES = [], [], []


def _batches():
    """Three cities' batches, each city's chained, with the riders' own codes."""
    adapters = [SmallAdapter(city) for city in (1, 2, 3)]
    for turn in range(2):
        for adapter in adapters:
            at_us = OPENING_US + (turn + 1) * 10**7
            scans = [
                SmallRider(10 * turn + rider, 1 + rider % 3).scan(adapter.city, 1, TapKind.ENTRY, at_us + rider)
                for rider in range(3)
            ]
            CODES.extend(code for _tap, code in scans)
            BATCHES.append(adapter.seal(scans))
            BODIES.append(BATCHES[-1].body)


_batches()
KEYS = [(EntryKind.KEY, KeyEntry.of(key, small_key(key.owner, key.use)).to_bytes()) for key in small_ring()]
TAKEN = [(EntryKind.BATCH, batch.signed_header) for batch in BATCHES]
SHARED = [*KEYS, *TAKEN]


def _log(tail):
    """All entries of a house's log, with their leaf hashes."""
    head, frames, leaves = append(Head(), 10, SHARED[:TERM_AT])
    _head, more, further = append(head, 11, [*tail, (EntryKind.LOOK, b"x")])
    return frames + more, leaves + further


LOST = _log([(EntryKind.LOOK, b"lost"), *SHARED[TERM_AT:]])
KEPT = _log(SHARED[TERM_AT:])
LAST_OF_ALDER = (TERM_AT + 2, 1_000)
"""The largest tree that alder cosigned was the old house's: after the term it cosigns nothing, rather than another tree."""


def _note(key, leaves, size, cosigned):
    checkpoint = Checkpoint(ORIGIN, size, root(leaves[:size]))
    read = read_note(checkpoint.sign(key))
    lines = [cosigning(city).line(checkpoint, time_s) for city, time_s in cosigned]
    return Note(read.text, (*read.lines, *lines)).to_text()


def _notes():
    """(note, leaves, size) of every checkpoint of the two houses; each city cosigns ever larger trees at ever later seconds."""
    for size in range(1, len(LOST[1]) + 1):
        by = [(1, 900 + size)] if size <= LAST_OF_ALDER[0] else []
        by += [(city, 900 + size) for city in (2, 3)] if size <= TERM_AT else []
        yield _note(OLD, LOST[1], size, by), LOST, size
    for size in range(TERM_AT + 1, len(KEPT[1]) + 1):
        yield _note(NEW, KEPT[1], size, [(city, 2_000 + size) for city in (2, 3)]), KEPT, size


def _proof(note, log, size, index):
    frames, leaves = log
    path = prove_inclusion(index=index, size=size, read_node=lambda level, at: root(leaves[at << level : (at + 1) << level]))
    return evidence.proof_item(read_entry(frames[index]), path, note)


NOTES = list(_notes())
PROOFS = [_proof(note, log, size, index) for note, log, size in NOTES for index in range(size) if (index + size) % 3 == 0]
KEY_PROOFS = [_proof(note, log, size, index) for note, log, size in NOTES if size >= len(KEYS) for index in range(3)]
TERMS = [Term(number, TERM_AT, root(KEPT[1][:TERM_AT]), NEW.public, sha256(ORIGIN.encode())) for number in (1, 2)]


def _paths():
    for body in BODIES:
        leaves = leaf_hashes(body, TAP_BYTES)
        for number in range(len(leaves)):
            ranges = inclusion_ranges(index=number, size=len(leaves))
            yield b"".join(root(leaves[begin:end]) for begin, end in ranges)


POOLS = {
    "note": [note.encode() for note, _log, _size in NOTES],
    "proof": PROOFS,
    "receipt": PROOFS,
    "header": [batch.signed_header for batch in BATCHES],
    "body": BODIES,
    "entry": [frame for frames, _leaves in (LOST, KEPT) for frame in frames],
    "number": [number.to_bytes(4, "little") for number in range(4)],
    "tap": [record for body in BODIES for record in records(body)],
    "path": list(_paths()),
    "code": CODES,
    "index": [index.to_bytes(8, "little") for index in range(20)],
    "term": [term.to_bytes() for term in TERMS],
    "signature": [term.sign(small_key(city, KeyUse.CLEARING)) for term in TERMS for city in (1, 2, 3)],
    "key": KEY_PROOFS,
}
"""What honest parties signed and showed, by the item that could hold it."""


def judged(kind, items):
    text = evidence.write_evidence(kind, items)
    return check_evidence(evidence.read_evidence(text), BOTH, small_ring(), fails_at=lambda _checkpoint: None)


@pytest.mark.parametrize("kind", EvidenceKind)
@settings(max_examples=400, deadline=None)
@given(draw=st.data())
def test_real_artefacts_of_honest_parties_convict_nobody(kind, draw):
    items = [(name, draw.draw(st.sampled_from(POOLS[name]))) for name in evidence.ITEMS[kind]]
    if kind in (EvidenceKind.DOUBLE_BATCH, EvidenceKind.BAD_ROOT, EvidenceKind.BAD_RIDER_SIGNATURE):
        items += [("key", key) for key in draw.draw(st.lists(st.sampled_from(KEY_PROOFS), max_size=2))]
    with pytest.raises(FareChainError):
        judged(kind, items)


@pytest.mark.parametrize("kind", EvidenceKind)
@settings(max_examples=300, deadline=None)
@given(draw=st.data(), where=st.sampled_from(WHERE), at=st.integers(0, 2000))
def test_an_honest_artefact_beside_its_own_forgery_convicts_nobody(kind, draw, where, at):
    names = evidence.ITEMS[kind]
    items = [(name, draw.draw(st.sampled_from(POOLS[name]))) for name in names]
    if names in (("receipt", "proof"), (names[0],) * 2):  # the same thing twice, once forged: what a forger would try
        items[1] = (names[1], forged(items[0][1], where, at))
    else:
        forge = draw.draw(st.integers(0, len(items) - 1))
        items[forge] = (names[forge], forged(items[forge][1], where, at))
    with pytest.raises(FareChainError):
        judged(kind, items)


TAPS = [(batch, number) for batch in BATCHES for number in range(batch.header.count)]


@settings(max_examples=300, deadline=None)
@given(which=st.sampled_from(TAPS), code=st.sampled_from(CODES), own=st.booleans())
def test_an_honest_tap_with_its_own_path_convicts_no_city_by_any_riders_code(which, code, own):
    batch, number = which
    at = BATCHES.index(batch)
    frame = next(frame for frame in KEPT[0] if frame.endswith(batch.signed_header))
    shown = CODES[at * 3 + number] if own else code
    text = evidence.bad_rider_signature(int.from_bytes(frame[8:16], "little"), frame, number, batch.body, shown)
    with pytest.raises(FareChainError):
        check_evidence(evidence.read_evidence(text), BOTH, small_ring())


def test_every_pair_of_honest_checkpoints_convicts_nobody_of_a_fork_or_a_rollback():
    notes = POOLS["note"]
    for kind in (EvidenceKind.FORK_SAME_SIZE, EvidenceKind.ROLLBACK):
        for one in notes[::2]:
            for other in notes:
                with pytest.raises(FareChainError):
                    judged(kind, [("note", one), ("note", other)])

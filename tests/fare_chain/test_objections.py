"""A ride whose rider did not sign makes an audit fail, until an objection that really convicts stands on the ledger."""

from dataclasses import replace

import pytest

from fare_chain import evidence
from fare_chain.batch import CityTail, seal
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.governance import EvidenceEntry, EvidenceKind
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse, PublicKey
from fare_chain.ledger import Head, append
from fare_chain.ledger_walk import AuditFailure, LedgerWalk
from fare_chain.rider_checks import RiderChecks
from fare_chain.tap import TapKind
from simulators.small_cities import OPENING_US
from simulators.small_house import SmallRider, small_key, small_ring


def forged_batch(rider, tail=CityTail()):  # noqa: B008  a frozen value
    """A batch of one tap whose code no rider signed."""
    shown, code = SmallRider(rider, 2).scan(1, 1, TapKind.ENTRY, OPENING_US + 10**6)
    code = code[:-1] + bytes([code[-1] ^ 1])
    shown = replace(shown, code_digest=sha256(code))
    key = small_key(1, KeyUse.BATCH)
    key_id = PublicKey(1, KeyUse.BATCH, key.public, 0, 1).key_id
    return seal(shown.to_bytes(), [code], city=1, tail=tail, key=key, key_id=key_id), code


class Beside(dict):
    """What travels beside the entries."""

    def read(self, path):
        return self[path]


FIRST, FIRST_CODE = forged_batch(1)
SECOND, SECOND_CODE = forged_batch(2, CityTail().after(FIRST.header))
KEYS = [(EntryKind.KEY, KeyEntry.of(key, small_key(key.owner, key.use)).to_bytes()) for key in small_ring()]
AT = len(KEYS)


def frames():
    """The ledger's entries of the keys and the two forged batches."""
    batches = [(EntryKind.BATCH, batch.signed_header) for batch in (FIRST, SECOND)]
    head, entries, _leaves = append(Head(), 10, KEYS + batches)
    return head, entries


def walked(files, resume=False):
    """Walk the ledger with these (entry, file) objections at its end."""
    head, entries = frames()
    beside = Beside()
    for batch in (FIRST, SECOND):
        digest = batch.header.body_hash.hex()
        beside |= {f"body/{digest}": batch.body, f"codes/{digest}": batch.codes}
    beside |= {f"evidence/{sha256(file).hex()}": file for _entry, file in files}
    checks = RiderChecks()
    walk = LedgerWalk(beside, rider_check=lambda _index, body, codes, ring: checks.bad_riders(body, codes, ring))
    for data in entries:
        walk.take(data)
    if resume:
        again = LedgerWalk(beside)
        again.resume(walk.to_bytes())
        walk = again
    if files:
        _head, more, _leaves = append(head, 11, [(EntryKind.EVIDENCE, entry.to_bytes()) for entry, _file in files])
        for data in more:
            walk.take(data)
    return walk


def objection(index, batch, code, entry=None):
    """A file about the only tap of a batch, and the entry that puts it on record."""
    file = evidence.bad_rider_signature(index, entry or frames()[1][index], 0, batch.body, code).encode()
    return evidence.entry_for(file, accused=1, index=index), file


def test_unsigned_rides_without_an_objection_fail_the_audit():
    with pytest.raises(AuditFailure, match="no objection to it stands on the ledger"):
        walked([]).finish()


@pytest.mark.parametrize("resume", [False, True])
def test_objections_that_convict_answer_for_them(resume):
    objections = [objection(AT, FIRST, FIRST_CODE), objection(AT + 1, SECOND, SECOND_CODE)]
    walked(objections, resume=resume).finish()
    with pytest.raises(AuditFailure, match=f"entry {AT + 1} tap 0"):
        walked(objections[:1], resume=resume).finish()


def test_any_other_bytes_answer_for_nothing():
    file = b"nothing of that kind\n"
    entry = EvidenceEntry(EvidenceKind.BAD_RIDER_SIGNATURE, 1, 0, len(file), sha256(file), AT)
    with pytest.raises(AuditFailure, match="evidence file begins"):
        walked([(entry, file)])


def test_a_conviction_for_another_tap_or_city_answers_for_nothing():
    entry, file = objection(AT, FIRST, FIRST_CODE)
    for changed in (replace(entry, index=AT + 1), replace(entry, tap=1), replace(entry, accused=2)):
        with pytest.raises(AuditFailure, match="its entry says"):
            walked([(changed, file)])


def test_another_batch_framed_at_the_place_answers_for_nothing():
    _head, entries, _leaves = append(Head(), 10, [*KEYS, (EntryKind.BATCH, SECOND.signed_header)])
    with pytest.raises(AuditFailure, match="frames another batch"):
        walked([objection(AT, SECOND, SECOND_CODE, entries[AT])])

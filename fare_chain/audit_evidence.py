"""What an auditor whose audit failed can prove to others: a wrong state, an unsigned ride, a false root, or nothing.

Not every failure convicts: a tile that was changed on its way, a body that is missing, are nobody's signed word.
"""

import re

from fare_chain import batch
from fare_chain.contradictions import SignedLog, entries_of, false_header, with_keys
from fare_chain.errors import FareChainError
from fare_chain.events import EntryKind, read_key_entry
from fare_chain.evidence import bad_rider_signature, read_evidence, wrong_state
from fare_chain.evidence_checks import FailsAt, check_evidence
from fare_chain.keys import KeyRing
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import AuditFailure, LogSource, beside_path
from fare_chain.policy import Policy

_PLACE = re.compile(r"entry ([0-9]+)(?: tap ([0-9]+))?|body/([0-9a-f]{64})")


def evidence_of(failure: AuditFailure, source: LogSource, policy: Policy, fails_at: FailsAt) -> str | None:
    """A file that convicts whoever answers for the failure; None where nobody's signature does.

    `fails_at` replays that log (`replayed_log.replay_under`). The file is checked as its reader will check it. An unsigned ride's
    file brings the KEY entries where the quorum has cosigned the log; elsewhere its reader must know the keys.
    """
    place = _PLACE.fullmatch(failure.where)
    if place is None:
        return None
    try:
        log = SignedLog.of(source, policy)
        if place[3] is not None:
            return _false_root(log, policy, bytes.fromhex(place[3]))
        if place[2] is None:
            text = wrong_state(log.note, int(place[1]))
            check_evidence(read_evidence(text), policy, fails_at=fails_at)
            return text
        return _unsigned_ride(log, policy, int(place[1]), int(place[2]))
    except FareChainError:
        return None


def _unsigned_ride(log: SignedLog, policy: Policy, index: int, number: int) -> str:
    data = log.entry(index)
    header = batch.read_header(read_entry(data).payload)
    body, codes = (log.read(beside_path(kind, header.body_hash)) for kind in ("body", "codes"))
    text = bad_rider_signature(index, data, number, body, batch.read_codes(codes)[number])
    check_evidence(read_evidence(text), policy, _ring(log))
    return _with_keys_if_final(text, log, policy)


def _false_root(log: SignedLog, policy: Policy, digest: bytes) -> str | None:
    body, ring = log.read(beside_path("body", digest)), _ring(log)
    for entry in entries_of(log):
        if entry.kind is EntryKind.BATCH and batch.read_header(entry.payload).body_hash == digest:
            text = false_header(entry.payload + body, ring)
            if text is not None:
                return _with_keys_if_final(text, log, policy)
    return None


def _with_keys_if_final(text: str, log: SignedLog, policy: Policy) -> str:
    return with_keys(text, log, policy) if policy.open(log.note).is_final else text


def _ring(log: SignedLog) -> KeyRing:
    """The keys that the log registers."""
    ring = KeyRing()
    for entry in entries_of(log):
        if entry.kind is EntryKind.KEY:
            ring = ring.including(read_key_entry(entry.payload).key)
    return ring

"""What an auditor whose audit failed can prove to others: the failed entry as `wrong-state`, an unsigned ride, or nothing.

Not every failure convicts: a tile that was changed on its way, a body that is missing, are nobody's signed word.
"""

import re

from fare_chain import batch
from fare_chain.contradictions import SignedLog, with_keys
from fare_chain.errors import FareChainError
from fare_chain.events import EntryKind, read_key_entry
from fare_chain.evidence import bad_rider_signature, read_evidence, wrong_state
from fare_chain.evidence_checks import FailsAt, check_evidence
from fare_chain.keys import KeyRing
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import AuditFailure, LogSource, beside_path
from fare_chain.policy import Policy
from fare_chain.tiles import bundles_of, read_bundle, tile_path

_PLACE = re.compile(r"entry ([0-9]+)(?: tap ([0-9]+))?")


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
    body, codes = (log.source.read(beside_path(kind, header.body_hash)) for kind in ("body", "codes"))
    text = bad_rider_signature(index, data, number, body, batch.read_codes(codes)[number])
    check_evidence(read_evidence(text), policy, _ring(log))
    return with_keys(text, log, policy) if policy.open(log.note).is_final else text


def _ring(log: SignedLog) -> KeyRing:
    """The keys that the log registers."""
    ring = KeyRing()
    for number, width in bundles_of(log.checkpoint.size):
        for data in read_bundle(log.source.read(tile_path(None, number, width)), width):
            entry = read_entry(data)
            if entry.kind is EntryKind.KEY:
                ring = ring.including(read_key_entry(entry.payload).key)
    return ring

"""What two signed things show together: two logs of one name, a receipt and the log it was given for, two terms of one number.

Whoever holds both makes the evidence file here. Each file is checked as a stranger would before it is given: what convicts nobody
is never written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from fare_chain.batch import read_batch, read_header
from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import FareChainError, Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind, read_key_entry
from fare_chain.evidence import KEY_ITEM, EvidenceFile, double_term, proof_item, read_evidence, two_of, write_evidence
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind, TermEntry
from fare_chain.hashing import leaf_hash
from fare_chain.keys import KeyRing, KeyUse
from fare_chain.ledger import FRAME_BYTES, Entry, read_entry
from fare_chain.ledger_walk import LogSource
from fare_chain.policy import Policy
from fare_chain.proofs import prove_inclusion, read_proof_file, verify_inclusion
from fare_chain.rider_code import read as read_code
from fare_chain.tiles import TILE_WIDTH, bundles_of, node_reader, read_bundle, tile_path

_REMEMBERED = 64
"""Bundles and tiles at hand: receipts and entries are asked for in order."""


@dataclass(frozen=True, slots=True)
class SignedLog:
    """A log as somebody shows it: its checkpoint, signed by a log of the policy, and how the rest is read."""

    read: Callable[[str], bytes]
    note: str
    checkpoint: Checkpoint

    @classmethod
    def of(cls, source: LogSource, policy: Policy) -> "SignedLog":
        """The log under its published checkpoint; Malformed or Untrusted where no log of the policy signed that."""
        note = source.read("checkpoint").decode()
        return cls(lru_cache(_REMEMBERED)(source.read), note, policy.open(note).checkpoint)

    def entry(self, index: int) -> bytes:
        """The bytes of one entry, not yet proved to stand there."""
        number, at = divmod(index, TILE_WIDTH)
        width = min(TILE_WIDTH, self.checkpoint.size - number * TILE_WIDTH)
        return read_bundle(self.read(tile_path(None, number, width)), width)[at]

    def proof(self, index: int) -> bytes:
        """An entry's `proof` item; Untrusted where what the log shows does not lead to the root that it signed."""
        data, size = self.entry(index), self.checkpoint.size

        def read_tile(level: int, number: int, width: int) -> bytes:
            return self.read(tile_path(level, number, width))

        path = prove_inclusion(index=index, size=size, read_node=node_reader(size, read_tile))
        verify_inclusion(leaf_hash(data), path, index=index, size=size, root=self.checkpoint.root)
        return proof_item(read_entry(data), path, self.note)


def fork_between(one: SignedLog, other: SignedLog, policy: Policy) -> str | None:
    """Evidence that two logs of one name are not one log; None where the smaller is the beginning of the larger.

    Entries are chained: where any differs, so does every later one. The last of the smaller log tells, whatever the sizes.
    """
    if one.checkpoint.origin != other.checkpoint.origin:
        raise Malformed(f"these are two logs, {one.checkpoint.origin!r} and {other.checkpoint.origin!r}: a fork is of one")
    if one.checkpoint == other.checkpoint or not min(one.checkpoint.size, other.checkpoint.size):
        return None
    if one.checkpoint.size == other.checkpoint.size:
        return _convicting(two_of(EvidenceKind.FORK_SAME_SIZE, one.note.encode(), other.note.encode()), policy)
    last = min(one.checkpoint.size, other.checkpoint.size) - 1
    proofs = one.proof(last), other.proof(last)
    if read_proof_file(proofs[0].decode()).extra == read_proof_file(proofs[1].decode()).extra:
        return None
    return _convicting(two_of(EvidenceKind.FORK_ANY_SIZE, *proofs), policy)


def broken_receipt(receipt: str, log: SignedLog, policy: Policy) -> str | None:
    """Evidence that a batch for which the house gave a receipt does not stand in the log that it shows now; None where it does.

    Unknown where that log is smaller than the receipt's tree: it may be an older copy, so that nothing is broken yet.
    """
    read = read_proof_file(receipt)
    promised = policy.open(read.checkpoint).checkpoint
    if promised.origin != log.checkpoint.origin:
        raise Malformed(f"the receipt is of {promised.origin!r}, the log given is {log.checkpoint.origin!r}")
    if log.checkpoint.size < promised.size:
        raise Unknown(
            f"the log given has {log.checkpoint.size} entries, the receipt's tree has {promised.size}: ask for a newer one"
        )
    proof = log.proof(read.index)
    if read_proof_file(proof.decode()).extra == read.extra:
        return None
    return _convicting(two_of(EvidenceKind.BROKEN_RECEIPT, receipt.encode(), proof), policy)


def double_batch(one: bytes, other: bytes, ring: KeyRing) -> str | None:
    """Evidence that a city signed two batches of one number, from their signed headers; None where that is not so."""
    return _if_convicts(two_of(EvidenceKind.DOUBLE_BATCH, one, other), ring)


def false_header(data: bytes, ring: KeyRing) -> str | None:
    """Evidence that a batch as it travels has a header which its city signed and its taps do not fit; None where nobody did."""
    try:
        sealed = read_batch(data)
    except Malformed:
        return None
    return _if_convicts(two_of(EvidenceKind.BAD_ROOT, sealed.signed_header, sealed.body), ring)


def double_terms(one: TermEntry, other: TermEntry, policy: Policy) -> list[str]:
    """Evidence against every city that signed both of two terms of one number; none where they do not contradict each other."""
    if one.term == other.term or (one.term.number, one.term.origin_hash) != (other.term.number, other.term.origin_hash):
        return []
    told, retold = dict(one.signatures), dict(other.signatures)
    found = []
    for member in sorted(told.keys() & retold.keys()):
        text = double_term((one.term.to_bytes(), told[member]), (other.term.to_bytes(), retold[member]))
        try:
            found.append(_convicting(text, policy))
        except Untrusted:  # a signature that is nobody's convicts nobody
            continue
    return found


def with_keys(text: str, log: SignedLog, policy: Policy) -> str:
    """The same evidence with the KEY entries of whoever signed its batch and codes, proved under the log's final checkpoint.

    It then convicts with the policy alone. Untrusted where the quorum has not cosigned the checkpoint yet.
    """
    file = read_evidence(text)
    policy.open_final(log.note)
    wanted = set(_owners(file))
    held = set(file.keys())
    for entry in entries_of(log):
        if entry.kind is EntryKind.KEY:
            key = read_key_entry(entry.payload).key
            if (int(key.owner), key.use) in wanted:
                held.add(log.proof(entry.index))
    ordered = sorted(held, key=lambda proof: read_proof_file(proof.decode()).index)
    own = [(name, data) for name, data in file.items if name != KEY_ITEM]
    return write_evidence(file.kind, [*own, *((KEY_ITEM, proof) for proof in ordered)])


def _owners(file: EvidenceFile) -> Iterator[tuple[int, KeyUse]]:
    """Whose keys a file about a batch needs: the city's for its header, the issuer's for the code."""
    own = file.own()
    if file.kind in (EvidenceKind.DOUBLE_BATCH, EvidenceKind.BAD_ROOT):
        yield read_header(own[0]).city, KeyUse.BATCH
    elif file.kind is EvidenceKind.BAD_RIDER_SIGNATURE:
        yield read_header(own[0][FRAME_BYTES:]).city, KeyUse.BATCH
        try:
            yield read_code(own[4]).credential.issuer, KeyUse.ISSUER
        except FareChainError:
            return  # what is no code names no issuer, and convicts without one
    else:
        raise Malformed(f"evidence of {file.kind.name} rests on the policy's keys alone: it needs no others")


def entries_of(log: SignedLog) -> Iterator[Entry]:
    """Every entry of the log, in order, as it is shown."""
    for number, width in bundles_of(log.checkpoint.size):
        yield from map(read_entry, read_bundle(log.read(tile_path(None, number, width)), width))


def _if_convicts(text: str, ring: KeyRing) -> str | None:
    try:
        check_evidence(read_evidence(text), Policy(()), ring)
    except FareChainError:
        return None
    return text


def _convicting(text: str, policy: Policy) -> str:
    check_evidence(read_evidence(text), policy)
    return text

"""Whether an evidence file convicts somebody: each kind's one rule, such that nobody who was honest can break it.

Whoever checks trusts the policy's keys alone. Cities' batch and issuer keys come from KEY entries in the file, which count only
under a checkpoint that the quorum cosigned (a house cannot invent a key and blame its city), or from a ring that the reader has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fare_chain import batch, rider_code, tap
from fare_chain.checkpoint import Checkpoint, read_text
from fare_chain.errors import FareChainError, Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind, read_key_entry
from fare_chain.evidence import EvidenceFile, read_index, read_tap_number
from fare_chain.governance import EvidenceKind, read_term
from fare_chain.hashing import HASH_BYTES, leaf_hash, sha256
from fare_chain.keys import KeyRing, KeyUse
from fare_chain.ledger import Entry, read_entry
from fare_chain.note import NoteVerifier, read_note, signed_at_s
from fare_chain.policy import Policy
from fare_chain.proofs import read_proof_file, verify_inclusion

FailsAt = Callable[[Checkpoint], tuple[int, str] | None]
"""Replay the log under a checkpoint: (entry index, why) of the first entry that differs, None where all hold."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Who did what. `parties` are names of the policy or `city N`; `publics` their note keys; `member` a city's number or 0.

    `index` is proved for forks, receipts and wrong states; of an unsigned ride it is what the entry's frame says, which nobody
    signed: whoever puts it on record holds it to the ledger (`LedgerWalk`).
    """

    kind: EvidenceKind
    parties: tuple[str, ...]
    words: str
    member: int | None = None
    publics: tuple[bytes, ...] = ()
    index: int = 0
    tap: int = 0

    def accused(self, ring: KeyRing) -> int:
        """The member to accuse on the ledger, 0 for the house; Unknown where the ring has none of the keys."""
        owners = [int(key.owner) for key in ring if key.public in self.publics]
        if self.member is not None:
            return self.member
        if not owners:
            raise Unknown(f"no member's key on the ring is that of {', '.join(self.parties)}: give the ledger's ring")
        return min(owners)


def check_evidence(file: EvidenceFile, policy: Policy, ring: KeyRing | None = None, fails_at: FailsAt | None = None) -> Finding:
    """Who did what by this file; Malformed, Untrusted or Unknown says why it shows nothing."""
    trial = _Trial(file, policy, ring or KeyRing(), fails_at)
    return _RULES[file.kind](trial)


@dataclass(frozen=True, slots=True)
class _Signed:
    """A checkpoint and the keys of the policy that signed it, with their seconds (0 for a log's)."""

    checkpoint: Checkpoint
    by: dict[NoteVerifier, int]


class _Trial:
    """One file before the rules."""

    def __init__(self, file: EvidenceFile, policy: Policy, ring: KeyRing, fails_at: FailsAt | None) -> None:
        self.kind, self.own, self.policy, self.fails_at = file.kind, file.own(), policy, fails_at
        brought = KeyRing()
        for proof in file.keys():  # noqa: SIM118  a method of the file, it is no dict
            brought = brought.including(read_key_entry(self.final_key_entry(proof).payload).key)
        # The reader's own ring has the last word: whoever accuses may bring a key as it stood before it was withdrawn.
        self.ring = KeyRing([*brought, *ring])

    def final_key_entry(self, proof: bytes) -> Entry:
        read = read_proof_file(_text(proof))
        checkpoint = self.policy.open_final(read.checkpoint).checkpoint
        entry = _proved(read.index, read.path, read.extra, checkpoint)
        if entry.kind is not EntryKind.KEY:
            raise Malformed(f"the key item proves an entry of kind {entry.kind.name}, expected KEY")
        return entry

    def note(self, data: bytes) -> _Signed:
        """A checkpoint of the policy's log; every line of a known key is verified."""
        read = read_note(_text(data))
        checkpoint = read_text(read.text)
        logs = self.policy.log_verifiers
        if checkpoint.origin not in {log.name for log in logs}:
            raise Untrusted(f"the checkpoint is of {checkpoint.origin!r}, which is no log of the policy")
        verified = read.signed_by([*logs, *(witness.verifier for witness in self.policy.witnesses)])
        by = {key: 0 if key in logs else signed_at_s(line.signature) for key, line in verified}
        return _Signed(checkpoint, {key: at for key, at in by.items() if key not in logs or key.name == checkpoint.origin})

    def proof(self, data: bytes) -> tuple[Entry, _Signed]:
        """An entry that stands under a signed checkpoint."""
        read = read_proof_file(_text(data))
        signed = self.note(read.checkpoint.encode())
        return _proved(read.index, read.path, read.extra, signed.checkpoint), signed

    def header(self, data: bytes) -> batch.BatchHeader:
        """A header that its city signed."""
        if len(data) != batch.SIGNED_HEADER_BYTES:
            raise Malformed(f"a signed header has {batch.SIGNED_HEADER_BYTES} bytes, found {len(data)}")
        header = batch.read_header(data)
        batch.check_signature(header, data[batch.HEADER_BYTES :], self.ring)
        return header

    def names(self, keys: Sequence[NoteVerifier]) -> tuple[str, ...]:
        """Parties by the policy's names, the log's by its origin."""
        witnesses = {witness.verifier: witness.name for witness in self.policy.witnesses}
        return tuple(dict.fromkeys(witnesses.get(key, key.name) for key in keys))

    def finding(self, keys: Sequence[NoteVerifier], words: str, index: int = 0) -> Finding:
        """These keys did that; where the log is among them the house answers for it."""
        if not keys:
            raise Untrusted("no key of the policy signed both: two parties that differ are no one's contradiction")
        member = 0 if any(key in self.policy.log_verifiers for key in keys) else None
        names = self.names(keys)
        publics = tuple(key.public for key in keys)
        return Finding(self.kind, names, f"{', '.join(names)} {words}", member, publics, index)

    def city(self, city: int, words: str, index: int = 0, number: int = 0) -> Finding:
        """A city did that."""
        return Finding(self.kind, (f"city {city}",), f"city {city} {words}", city, (), index, number)


def _fork_same_size(trial: _Trial) -> Finding:
    one, other = (trial.note(data) for data in trial.own)
    if (one.checkpoint.origin, one.checkpoint.size) != (other.checkpoint.origin, other.checkpoint.size):
        raise Untrusted("the two checkpoints are of different logs or sizes: a log that grows is no fork")
    if one.checkpoint.root == other.checkpoint.root:
        raise Untrusted(f"both checkpoints of size {one.checkpoint.size} have one root: no fork")
    return trial.finding(_both(one, other), f"signed two roots of size {one.checkpoint.size}")


def _fork_any_size(trial: _Trial) -> Finding:
    (entry, one), (another, other) = (trial.proof(data) for data in trial.own)
    _check_differ(entry, another, one, other)
    return trial.finding(
        _both(one, other),
        f"signed trees of sizes {one.checkpoint.size} and {other.checkpoint.size} with different entries {entry.index}",
        entry.index,
    )


def _broken_receipt(trial: _Trial) -> Finding:
    (entry, one), (another, other) = (trial.proof(data) for data in trial.own)
    if entry.kind is not EntryKind.BATCH:
        raise Malformed(f"a receipt is for a batch, this one is for an entry of kind {entry.kind.name}")
    if other.checkpoint.size < one.checkpoint.size:
        raise Untrusted("the second checkpoint is smaller than the receipt's: it is not a later one")
    _check_differ(entry, another, one, other)
    # A later term begins at a size that the cities name, and its key owes nothing to receipts above: one key must have signed both.
    keys = [key for key in _both(one, other) if key in trial.policy.log_verifiers]
    return trial.finding(keys, f"gave a receipt for entry {entry.index} and later signed a tree without that batch", entry.index)


def _rollback(trial: _Trial) -> Finding:
    larger, smaller = (trial.note(data) for data in trial.own)
    if larger.checkpoint.origin != smaller.checkpoint.origin or larger.checkpoint.size <= smaller.checkpoint.size:
        raise Untrusted("the second checkpoint is not a smaller one of the same log")
    # times are whole seconds: within one second the smaller may have come first
    late = [key for key in _both(larger, smaller) if key not in trial.policy.log_verifiers and smaller.by[key] > larger.by[key]]
    return trial.finding(late, f"cosigned size {smaller.checkpoint.size} after size {larger.checkpoint.size}")


def _double_batch(trial: _Trial) -> Finding:
    one, other = (trial.header(data) for data in trial.own)
    if (one.city, one.city_seq) != (other.city, other.city_seq):
        raise Untrusted("the headers are of different cities or sequence numbers: no contradiction")
    if one == other:
        raise Untrusted("both headers are the same batch: a batch that is sent twice is no lie")
    return trial.city(one.city, f"signed two batches {one.city_seq}")


def _bad_root(trial: _Trial) -> Finding:
    header, body = trial.header(trial.own[0]), trial.own[1]
    if sha256(body) != header.body_hash:
        raise Untrusted("the body is not the one that the header names: anybody could have written it")
    try:
        batch.check_body(header, body)
    except FareChainError as error:
        return trial.city(header.city, f"signed a false header of batch {header.city_seq}: {error}")
    raise Untrusted(f"header and body of city {header.city}'s batch {header.city_seq} fit: no lie")


def _bad_rider_signature(trial: _Trial) -> Finding:
    data, numbered, record, path, code = trial.own
    entry, number = read_entry(data), read_tap_number(numbered)
    if entry.kind is not EntryKind.BATCH:
        raise Malformed(f"the entry is of kind {entry.kind.name}, expected BATCH")
    header = trial.header(entry.payload)
    if len(path) % HASH_BYTES:
        raise Malformed(f"a path is hashes of {HASH_BYTES} bytes, found {len(path)} bytes")
    hashes = [path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES)]
    verify_inclusion(leaf_hash(record), hashes, index=number, size=header.count, root=header.taps_root)
    reading = tap.read(record)
    if sha256(code) != reading.code_digest:
        raise Untrusted("the code is not the one that the tap digests: anybody could have written it")
    why = _why_not_the_riders(code, reading, trial.ring)
    # The city signed the batch, not where the house put it: what is said names the batch, and `index` is the frame's own claim.
    return trial.city(
        header.city, f"signed tap {number} of its batch {header.city_seq} without its rider: {why}", entry.index, number
    )


def _why_not_the_riders(scanned: bytes, reading: tap.Tap, ring: KeyRing) -> str:
    """Why the code is no rider's word for this tap; Untrusted where it is, Unknown where only a missing key could tell."""
    try:
        code = rider_code.read(scanned)
        attested = code.credential
        told = (code.medium, attested.issuer, attested.category, attested.entitlement)
        if told != (reading.medium, reading.issuer, reading.category, reading.entitlement):
            return "the tap's medium, issuer, category or entitlement is not its rider code's"
        rider_code.check_period(code, reading.tapped_at_us)
        rider_code.check_fresh(code, reading.tapped_at_us)
        rider_code.verify_device(code)
        # a key that nobody gave, or with an older validity, convicts nobody: whoever accuses could have left the right one out
        key = ring.find(owner=attested.issuer, use=KeyUse.ISSUER, key_id=attested.key_id)
        if key is not None:
            rider_code.verify_credential(code, key)
    except FareChainError as error:
        return str(error)
    if key is None:
        raise Unknown(f"issuer {attested.issuer}'s key {attested.key_id.hex()} is neither in the file nor given: add it")
    raise Untrusted("the rider's and the issuer's signatures hold: the tap is the rider's own")


def _double_term(trial: _Trial) -> Finding:
    terms = [read_term(trial.own[0]), read_term(trial.own[2])]
    if terms[0].number != terms[1].number or terms[0].origin_hash != terms[1].origin_hash:
        raise Untrusted("the terms are of different numbers or logs: no contradiction")
    if terms[0].origin_hash not in {sha256(log.verifier.name.encode()) for log in trial.policy.logs}:
        raise Untrusted("the terms are of a log that the policy does not name")
    if terms[0] == terms[1]:
        raise Untrusted("both terms are the same: signing one twice is no lie")
    signatures = trial.own[1::2]
    keys = [
        witness.verifier
        for witness in trial.policy.quorum_witnesses()
        if all(term.is_signed_by(witness.verifier.public, by) for term, by in zip(terms, signatures, strict=True))
    ]
    return trial.finding(keys, f"signed two terms {terms[0].number}")


def _wrong_state(trial: _Trial) -> Finding:
    signed, index = trial.note(trial.own[0]), read_index(trial.own[1])
    if trial.fails_at is None:
        raise Unknown("a wrong state shows only against the log itself, with its taps: pass --log")
    if index >= signed.checkpoint.size:
        raise Untrusted(f"entry {index} is not within the {signed.checkpoint.size} entries that were signed")
    failure = trial.fails_at(signed.checkpoint)
    if failure is None or failure[0] != index:
        found = "all of it holds" if failure is None else f"entry {failure[0]} is the first that differs: {failure[1]}"
        raise Untrusted(f"the replay does not fail at entry {index}: {found}")
    stating = [*trial.policy.log_verifiers, *(witness.verifier for witness in trial.policy.quorum_witnesses())]
    keys = [key for key in signed.by if key in stating]  # append-only witnesses say nothing of states
    return trial.finding(keys, f"signed size {signed.checkpoint.size} with a false entry {index}: {failure[1]}", index)


_RULES: dict[EvidenceKind, Callable[[_Trial], Finding]] = {
    EvidenceKind.FORK_SAME_SIZE: _fork_same_size,
    EvidenceKind.FORK_ANY_SIZE: _fork_any_size,
    EvidenceKind.DOUBLE_BATCH: _double_batch,
    EvidenceKind.BAD_ROOT: _bad_root,
    EvidenceKind.BAD_RIDER_SIGNATURE: _bad_rider_signature,
    EvidenceKind.WRONG_STATE: _wrong_state,
    EvidenceKind.ROLLBACK: _rollback,
    EvidenceKind.DOUBLE_TERM: _double_term,
    EvidenceKind.BROKEN_RECEIPT: _broken_receipt,
}


def _both(one: _Signed, other: _Signed) -> list[NoteVerifier]:
    return [key for key in one.by if key in other.by]


def _check_differ(entry: Entry, another: Entry, one: _Signed, other: _Signed) -> None:
    if one.checkpoint.origin != other.checkpoint.origin or entry.index != another.index:
        raise Untrusted("the proofs are of different logs or indices: no contradiction")
    if entry == another:
        raise Untrusted(f"both proofs are of the same entry {entry.index}: no fork")


def _proved(index: int, path: Sequence[bytes], data: bytes, checkpoint: Checkpoint) -> Entry:
    verify_inclusion(leaf_hash(data), path, index=index, size=checkpoint.size, root=checkpoint.root)
    entry = read_entry(data)
    if entry.index != index:
        raise Untrusted(f"the entry says index {entry.index} and stands at {index}")
    return entry


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"an item that should be text is not UTF-8: {error}") from error

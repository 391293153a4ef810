"""Watch what other cities cosign: a key that goes back, or signs two trees of one size, has broken its word."""

from collections.abc import Iterator
from dataclasses import dataclass

from fare_chain.checkpoint import Checkpoint, read_text
from fare_chain.errors import FareChainError
from fare_chain.evidence import read_evidence, two_of
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind
from fare_chain.note import NoteVerifier, read_note, signed_at_s
from fare_chain.policy import Policy


@dataclass(frozen=True, slots=True)
class _Seen:
    """A checkpoint that a key cosigned, at which second, and the note that shows it."""

    checkpoint: Checkpoint
    time_s: int
    note: str


class Cosigners:
    """The largest tree that each of the policy's witnesses was seen to cosign."""

    def __init__(self, policy: Policy) -> None:
        """Nobody has been seen yet."""
        self.policy = policy
        self._largest: dict[NoteVerifier, _Seen] = {}
        self._accused: set[NoteVerifier] = set()

    def see(self, note: str) -> list[str]:
        """Take a checkpoint with cosignatures, from whomever; evidence against each key that contradicts itself, once a key."""
        try:
            read = read_note(note)
            checkpoint = read_text(read.text)
            verified = read.signed_by([witness.verifier for witness in self.policy.witnesses])
        except FareChainError:
            return []  # nobody's word: it convicts nobody
        found: list[str] = []
        for key, line in verified:
            found += self._held_to(key, _Seen(checkpoint, signed_at_s(line.signature), note))
        return found

    def _held_to(self, key: NoteVerifier, seen: _Seen) -> Iterator[str]:
        held = self._largest.setdefault(key, seen)
        if seen.checkpoint.size > held.checkpoint.size:
            self._largest[key] = seen
        text = _contradiction(held, seen)
        if text is None or key in self._accused:
            return
        try:
            check_evidence(read_evidence(text), self.policy)
        except FareChainError:
            return
        self._accused.add(key)
        yield text


def _contradiction(one: _Seen, other: _Seen) -> str | None:
    """A file against a key that signed both, where an honest one could not have; None where it could."""
    larger, smaller = (one, other) if one.checkpoint.size >= other.checkpoint.size else (other, one)
    if larger.checkpoint.size == smaller.checkpoint.size:
        is_fork = larger.checkpoint.root != smaller.checkpoint.root
        return two_of(EvidenceKind.FORK_SAME_SIZE, larger.note.encode(), smaller.note.encode()) if is_fork else None
    if smaller.time_s > larger.time_s:
        return two_of(EvidenceKind.ROLLBACK, larger.note.encode(), smaller.note.encode())
    return None

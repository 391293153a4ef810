"""One city's mirror: verify, store, check and write in the journal, then cosign, in that order, for every checkpoint."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import Conflict, Malformed, Overloaded, Unknown
from fare_chain.events import EntryKind
from fare_chain.governance import EvidenceEntry, EvidenceKind, Term, read_evidence_entry, read_term_entry
from fare_chain.keys import SigningKey
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import AuditFailure
from fare_chain.mirror_feed import FeedTick, read_feed, write_feed
from fare_chain.note import Note, cosign
from fare_chain.policy import Policy, PolicyKey
from fare_chain.witness import SIZE_TYPE, Refused, judge, read_request
from settlement.mirror.cosigners import Cosigners
from settlement.mirror.ends import fork_evidence
from settlement.mirror.heads import Heads
from settlement.mirror.journal import Journal, KeyRole
from settlement.mirror.rederive import Mirrored
from settlement.mirror.shelf import Shelf
from settlement.mirror.terms import held_terms

STATE_EVERY_S = 60.0
_FORKED = "the log signed two trees of one size: another mirror was shown the other one"


@dataclass(frozen=True, slots=True)
class CityKeys:
    """A city's two cosigning keys, and what the policy calls them."""

    slug: str
    clearing: SigningKey
    clearing_as: PolicyKey
    witness: SigningKey
    witness_as: PolicyKey

    @classmethod
    def of(cls, slug: str, policy: Policy, clearing: SigningKey, witness: SigningKey) -> "CityKeys":
        """Find the keys in the policy by their public halves; Unknown where one is not there."""
        named = {key.verifier.public: key for key in policy.witnesses}
        for key, use in ((clearing, "clearing"), (witness, "witness")):
            if key.public not in named:
                raise Unknown(f"the {use} key of {slug} stands in no witness line of the policy: make the policy anew")
        return cls(slug, clearing, named[clearing.public], witness, named[witness.public])


class CityMirror:
    """The mirror without its network: whoever holds it hands it feeds and passes its cosignatures on."""

    def __init__(
        self,
        shelf: Shelf,
        journal: Journal,
        keys: CityKeys,
        policy: Policy,
        *,
        issuers: frozenset[int] | None,
        pool: Executor,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Come to where this mirror stopped or died: the last state, then what was given since."""
        self.shelf, self.journal, self.keys, self.policy = shelf, journal, keys, policy
        self.clock = clock
        self.mirrored = Mirrored(policy, shelf, issuers=issuers, pool=pool)
        self._left: tuple[FeedTick, Checkpoint] | None = None
        """The last tick given, where its cosignature may have reached nobody: given again as soon as there is nothing new."""
        self.stopped = shelf.stopped()
        self.heads = Heads(policy)
        self.cosigners = Cosigners(policy)
        self.waiting: str | None = None
        """Why it cosigns nothing for the moment; None while it does."""
        self.bad_riders = 0
        self.caught_up = False
        """Whether the house had nothing new to give at least once."""
        self.witness_note = ""
        """The last checkpoint with this city's witness line; empty before the first of this run."""
        self.note = ""
        """The last checkpoint with this mirror's clearing cosignature; empty before the first of this run."""
        self.end = ""
        """The last entry under that checkpoint, proved: what other mirrors hold to theirs, whatever their sizes."""
        state = shelf.read_state()
        if state is not None:
            self.mirrored.resume(*state[1:])
        for feed in shelf.feeds_from(0 if state is None else state[0]):
            ticks = read_feed(feed)
            if checkpoints := self._verify(ticks, feed):
                self._left = ticks[-1], checkpoints[-1]
        self._state_due = clock() + STATE_EVERY_S

    def take(self, feed: bytes) -> list[str]:
        """Verify, store and cosign what the house gave: a note for each checkpoint. None where nothing follows from here on.

        Dead before the shelf has it: fetched again. Dead between shelf and journal, or after the journal: verified again at the
        start, and cosigned with the next feed, which may be an empty one: at rest no later cosignature would cover it.
        """
        ticks = read_feed(feed)
        if self.stopped is not None or not ticks:
            self.caught_up = True
        if self.stopped is not None or (not ticks and self._left is None):
            return []
        with held_terms(self.shelf.folder) as held:
            if not ticks:
                return self._take_left(held.latest)
            allowed = self._allowed(ticks, held.latest)
            return self._take(allowed, feed if len(allowed) == len(ticks) else write_feed(allowed)) if allowed else []

    def compare(self, theirs: str) -> None:
        """Hold another mirror's checkpoint to ours: where the log signed both and both cannot be, keep that and stop."""
        fork = self.heads.compare(theirs)
        if fork is not None and self.stopped is None:
            self._stop(_FORKED, fork.encode())
        for text in self.cosigners.see(theirs):
            self.shelf.keep_evidence(text.encode())

    def compare_end(self, theirs: str) -> None:
        """Hold another mirror's end to the entry that stands here: where they differ the log forked, at whatever sizes; stop."""
        index = self.mirrored.ends.differs(theirs)
        if index is None or self.stopped is not None:
            return
        text = fork_evidence(self.shelf.feeds_from(0), theirs, index, self.policy)
        if text is not None:
            self._stop(
                f"the log signed two trees with different entries {index}: another mirror was shown the other one", text.encode()
            )

    def _take(self, ticks: Sequence[FeedTick], feed: bytes) -> list[str]:
        checkpoints = self._verify(ticks, feed)
        if not checkpoints:
            return []
        self.shelf.append(feed)
        self._left = ticks[-1], checkpoints[-1]
        notes = self._cosign(ticks, checkpoints, feed)
        if notes and self.clock() >= self._state_due:
            self.shelf.save_state(self.mirrored.size, *self.mirrored.to_parts())
            # Now every tick that was verified lies in a file that is closed.
            kept = self.mirrored.walk.kept
            self.shelf.let_go(kept.codes_from, kept.erased, kept.erased_taps)
            self._state_due = self.clock() + STATE_EVERY_S
        return notes

    def _take_left(self, term: Term | None) -> list[str]:
        """Cosign the last tick of an earlier feed; not beyond where a term that this city approved begins."""
        assert self._left is not None
        tick, checkpoint = self._left
        if term is not None and self.mirrored.walk.term < term.number and checkpoint.size > term.size:
            return []
        return self._cosign([tick], [checkpoint], write_feed([tick]))

    def _cosign(self, ticks: Sequence[FeedTick], checkpoints: Sequence[Checkpoint], feed: bytes) -> list[str]:
        """Write the last checkpoint in the journal, and give those of these notes that were not cosigned before, with our line."""
        last, time_s = checkpoints[-1], int(self.clock())
        cosigned = self.journal.last(KeyRole.CLEARING).size
        if last.size < cosigned:
            # The shelf was lost, the journal was not: nothing is cosigned twice, least of all a smaller tree at a later time.
            self.waiting = f"verified again up to size {last.size}, cosigned up to {cosigned} already"
            return []
        try:
            self.journal.commit(KeyRole.CLEARING, last.size, last.root, time_s)
        except Overloaded as early:
            self.waiting = str(early)
            return []
        except Conflict as conflict:
            self._stop(str(conflict), feed)
            return []
        self.waiting, self._left = None, None
        given = [(tick, checkpoint) for tick, checkpoint in zip(ticks, checkpoints, strict=True) if checkpoint.size >= cosigned]
        notes = [self._cosigned(tick, checkpoint, time_s) for tick, checkpoint in given]
        self.note = notes[-1]
        self.end = self.mirrored.ends.shown(self.note)
        return notes

    def witness(self, data: bytes) -> Refused | str:
        """Answer a tlog-witness submission: a refusal, or the signature lines.

        The journal takes a size only while the last one is still that of the check: of two that race, one gets 409 and no line.
        Dead after the journal has it: the same submission is answered 409 with our size, and a refresh from there gives the line.
        """
        last = self.journal.last(KeyRole.WITNESS)
        judged = judge(data, self.policy.log_verifiers, last.size, last.root)
        if isinstance(judged, Refused):
            return judged
        time_s = int(self.clock())
        try:
            self.journal.commit(KeyRole.WITNESS, judged.size, judged.root, time_s, expected=last.size)
        except Overloaded as early:
            return Refused(503, f"{early}\n")
        except Conflict as conflict:
            now = self.journal.last(KeyRole.WITNESS).size
            return Refused(503, f"{conflict}\n") if now == last.size else Refused(409, f"{now}\n", SIZE_TYPE)
        line = cosign(judged.to_text(), self.keys.witness_as.verifier.name, self.keys.witness, time_s)
        note = read_request(data).note
        self.witness_note = Note(note.text, (*note.lines, line)).to_text()
        return line.to_text()

    def status(self) -> dict[str, Any]:
        """How far it is, for people and for other programs."""
        return {
            "city": self.keys.slug,
            "size": self.mirrored.size,
            "cosigned_size": self.journal.last(KeyRole.CLEARING).size,
            "witness_size": self.journal.last(KeyRole.WITNESS).size,
            "state_root": self.mirrored.state_root.hex(),
            "windows": self.mirrored.walk.counts.windows,
            "riders_checked": self.mirrored.riders_checked,
            "bad_riders": self.bad_riders,
            "objections": len(self.shelf.objections()),
            "stopped": self.stopped,
            "waiting": self.waiting,
            "evidence": self.shelf.evidence(),
        }

    def _verify(self, ticks: Sequence[FeedTick], feed: bytes) -> list[Checkpoint]:
        """The checkpoints of ticks that follow; none, and stopped for good, where one does not."""
        before, own = self.mirrored.size, self.journal.last(KeyRole.CLEARING)
        try:
            checkpoints = self.mirrored.take(ticks)
        except AuditFailure as failure:
            convicts = self.mirrored.wrong_state(failure)
            if convicts is not None:
                self.shelf.keep_evidence(convicts.encode())
            self._stop(str(failure), feed)
            return []
        told = [(checkpoint.size, checkpoint.root) for checkpoint in checkpoints]
        if before < own.size <= self.mirrored.size and (own.size, own.root) not in told:
            self._stop(f"the tree of size {own.size} is not the one that this mirror has cosigned: a second history", feed)
            return []
        self._object(ticks)
        for tick, checkpoint in zip(ticks, checkpoints, strict=True):
            fork = self.heads.remember(checkpoint, tick.note)
            if fork is not None:
                self._stop(_FORKED, fork.encode())
                return []
        return checkpoints

    def _object(self, ticks: Sequence[FeedTick]) -> None:
        """Keep evidence of each rider who did not sign, and wait for the ledger to have it.

        Before the shelf has the feed: dead here, it is given again, and all of this is done again, to the same files.
        """
        for accused in self.mirrored.accused():
            self.bad_riders += 1
            convicts = accused.to_evidence(self.mirrored.walk.ring)
            if convicts is not None:
                self.shelf.keep_evidence(convicts.encode())
                self.shelf.object(accused.index, accused.tap, convicts.encode())
        for told in _objected(ticks):
            self.shelf.is_answered(told.index, told.tap)

    def _allowed(self, ticks: Sequence[FeedTick], term: Term | None) -> Sequence[FeedTick]:
        """The ticks up to the size at which the term that this city approved begins, until that term stands there."""
        if term is None or self.mirrored.walk.term >= term.number:
            return ticks
        size = self.mirrored.size
        for at, tick in enumerate(ticks):
            if size == term.size and tick.entries and _term_number(tick.entries[0].data) >= term.number:
                return ticks
            size += len(tick.entries)
            if size > term.size:
                self.waiting = f"term {term.number} was approved from size {term.size} on, and does not stand there yet"
                return ticks[:at]
        return ticks

    def _stop(self, why: str, feed: bytes) -> None:
        """Cosign no more: keep what does not follow as evidence first, then the reason."""
        self.shelf.keep_evidence(feed)
        self.shelf.stop(why)
        self.stopped = why

    def _cosigned(self, tick: FeedTick, checkpoint: Checkpoint, time_s: int) -> str:
        """The checkpoint with the log's lines and ours: as others find it at our monitoring address."""
        line = cosign(checkpoint.to_text(), self.keys.clearing_as.verifier.name, self.keys.clearing, time_s)
        note = self.policy.open(tick.note).note
        return Note(note.text, (*note.lines, line)).to_text()


def _objected(ticks: Sequence[FeedTick]) -> Iterator[EvidenceEntry]:
    """The objections to taps that stand in verified ticks."""
    for tick in ticks:
        for given in tick.entries:
            entry = read_entry(given.data)
            if entry.kind is EntryKind.EVIDENCE:
                told = read_evidence_entry(entry.payload)
                if told.kind is EvidenceKind.BAD_RIDER_SIGNATURE:
                    yield told


def _term_number(entry: bytes) -> int:
    """The number of a TERM entry; 0 for every other entry."""
    try:
        read = read_entry(entry)
        return read_term_entry(read.payload).term.number if read.kind is EntryKind.TERM else 0
    except Malformed:
        return 0


def cosignatures(notes: Sequence[str]) -> bytes:
    """Notes as the house takes them: a feed of ticks without entries."""
    return write_feed(FeedTick(note, ()) for note in notes)

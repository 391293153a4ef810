"""Evidence as it comes in: held to the policy and the key ring, kept, and put on record once; or refused by name."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fare_chain.batch import SealedBatch
from fare_chain.errors import Conflict, Malformed
from fare_chain.events import EntryKind
from fare_chain.evidence import EvidenceFile, entry_for, kind_name, read_evidence, two_of, write_evidence
from fare_chain.evidence_checks import Finding, check_evidence
from fare_chain.governance import EvidenceEntry, EvidenceKind
from fare_chain.keys import KeyRing
from fare_chain.ledger_walk import beside_path
from fare_chain.policy import Policy
from settlement.sequencer import Control, Sequencer
from settlement.store import evidence as store
from settlement.store.evidence import KeptEvidence


@dataclass(frozen=True, slots=True)
class Accepted:
    """A file that convicts, and the claim under which it is on record: the same answer whenever it is sent."""

    entry: EvidenceEntry
    finding: Finding

    def to_json(self) -> dict[str, Any]:
        """The answer under stable names; `file` is the address of what was kept for this claim first."""
        return {
            "kind": kind_name(self.entry.kind),
            "accused": self.entry.accused,
            "parties": list(self.finding.parties),
            "says": self.finding.words,
            "index": self.entry.index,
            "tap": self.entry.tap,
            "file": beside_path("evidence", self.entry.file_hash),
        }


class EvidenceIntake:
    """The house's door for evidence."""

    def __init__(self, engine: AsyncEngine, sequencer: Sequencer, ring: KeyRing, policy: Policy) -> None:
        """Trust the policy's keys and the members' keys on the ledger."""
        self.engine = engine
        self.sequencer = sequencer
        self.ring = ring
        self.policy = policy

    async def accept(self, data: bytes) -> Accepted:
        """Take one file and put it on record, each claim (kind, accused, index, tap) once; sending again is always safe.

        Malformed: it cannot be read. Untrusted: it convicts nobody. Unknown: a key or the log is missing. Conflict: it is about
        an entry that does not stand here.
        """
        try:
            read = read_evidence(data.decode())
        except UnicodeDecodeError as error:
            raise Malformed(f"an evidence file is text in UTF-8: {error}") from error
        finding = await asyncio.to_thread(self._convicts, read)
        # Proofs of KEY entries are for readers without the ledger: whoever walks it has its keys, and no policy to trust them by.
        file = write_evidence(read.kind, read.items[: len(read.own())]).encode() if _is_about_a_tap(read) else data
        told = entry_for(file, accused=finding.accused(self.ring), index=finding.index, tap=finding.tap)
        async with self.engine.connect() as connection:
            await self._check_stands(connection, read, told)
        return Accepted(await self.keep_and_stage(KeptEvidence(told, file, settles=False)), finding)

    async def restore(self) -> None:
        """Stage what is kept and not on the ledger: its house died between the two, or before the commit."""
        async with self.engine.connect() as connection:
            standing = await store.evidence_on_ledger(connection)
            for kept in await store.all_evidence(connection):
                if kept.entry.file_hash not in standing:
                    self._stage(kept)

    async def forked(self, batch: SealedBatch, before: bytes) -> None:
        """Put on record that a city signed this batch and, with the same number, the header `before` (with its signature)."""
        await self.accept(two_of(EvidenceKind.DOUBLE_BATCH, before, batch.signed_header).encode())

    def _convicts(self, read: EvidenceFile) -> Finding:
        """Who did what; for a rider's signature exactly as every walk of the ledger will find it."""
        if _is_about_a_tap(read):
            return check_evidence(EvidenceFile(read.kind, read.items[: len(read.own())]), Policy(()), self.ring)
        return check_evidence(read, self.policy, self.ring)

    async def _check_stands(self, connection: AsyncConnection, read: EvidenceFile, told: EvidenceEntry) -> None:
        """Refuse what a walk of the ledger would refuse: an EVIDENCE entry must be about an entry before it, and about that one."""
        found = await store.read_entry_at(connection, told.index)
        if found is None:
            size = self.sequencer.head.head.size
            raise Conflict(f"the file is about entry {told.index}, this ledger has {size} entries: show it to whoever has that one")
        if _is_about_a_tap(read) and found != read.own()[0]:
            raise Conflict(f"the file frames another batch than that of entry {told.index} here: give the entry as it stands")

    async def keep_and_stage(self, kept: KeptEvidence) -> EvidenceEntry:
        """The entry that is on record for a claim, or will be with the next tick."""
        async with self.engine.begin() as connection:
            # Dead before this block ends: nothing is known of it, whoever sent it has no answer and sends again. Dead after: it is
            # kept, and the next start stages it.
            is_new = await store.keep_evidence(connection, kept)
            found = kept if is_new else await store.find_evidence(connection, kept.entry, settles=kept.settles)
        if is_new:
            self._stage(kept)
        assert found is not None
        return found.entry

    def _stage(self, kept: KeptEvidence) -> None:
        self.sequencer.stage_control(Control(EntryKind.EVIDENCE, kept.entry.to_bytes(), kept.file))


def _is_about_a_tap(read: EvidenceFile) -> bool:
    return read.kind is EvidenceKind.BAD_RIDER_SIGNATURE

"""One batch as it comes in: held to all that it claims and staged, or refused by name with nothing stored."""

import asyncio
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from fare_chain.batch import SIGNED_HEADER_BYTES, SealedBatch, unseal
from fare_chain.contradictions import double_batch, false_header
from fare_chain.errors import Conflict, Malformed, Untrusted
from fare_chain.keys import KeyRing
from fare_chain.ledger import FRAME_BYTES
from fare_chain.merkle import perfect_nodes
from fare_chain.policy import Policy
from fare_chain.proofs import ProofFile, inclusion_ranges, prove_inclusion
from fare_chain.tiles import node_reader
from settlement.evidence_intake import EvidenceIntake
from settlement.sequencer import Sequencer
from settlement.store import ledger as store

TURN_S = 0.25
"""How long a batch waits for the one before it: requests of one city may overtake each other on their way."""


class Intake:
    """The house's door for batches."""

    def __init__(
        self,
        engine: AsyncEngine,
        sequencer: Sequencer,
        ring: KeyRing,
        policy: Policy | None = None,
        *,
        keep: Callable[[str], object] = lambda _evidence: None,
    ) -> None:
        """Take what these members seal; evidence is held to the policy too, where there is one.

        `keep` is given a file for each lie that a city signed, before the batch is refused; it may wait for a disk.
        """
        self.engine = engine
        self.sequencer = sequencer
        self.ring = ring
        self.keep = keep
        self.evidence = EvidenceIntake(engine, sequencer, ring, policy or Policy(()))
        self.needs_codes = False
        """Whether the ledger says from which entry on rider codes are kept: then no batch comes without its own."""

    async def accept(self, data: bytes) -> str:
        """Take one batch and give its receipt, a `.tlog-proof` whose extra bytes are the ledger entry.

        Malformed: it cannot be read. Untrusted: key, signature, hash or root do not hold. Conflict: not the city's next, or a
        second batch of one sequence number. Sending the same batch again is always safe and gives the same receipt.
        """
        try:
            batch = unseal(data, self.ring)
        except (Malformed, Untrusted):
            # Dead before it is kept: nothing is stored, and the same batch is refused again, and kept then.
            await self._keep(false_header(data, self.ring))
            raise
        header = batch.header
        await self._turn(header.city, header.city_seq)
        tail = self.sequencer.tail(header.city)
        if header.city_seq < tail.next_seq:
            return await self._again(batch)
        if header.city_seq > tail.next_seq:
            raise Conflict(
                f"city {header.city}'s batch {header.city_seq} follows {header.city_seq - 1}, "
                f"but {tail.next_seq - 1} is the last here: send {tail.next_seq} first"
            )
        if header.prev_header != tail.header_hash:
            raise Conflict(
                f"city {header.city}'s batch {header.city_seq} names another batch before it than the one that is here: "
                "the city's chain has forked, resume from the batch of the last receipt"
            )
        if self.needs_codes and not batch.codes:
            raise Malformed(
                f"city {header.city}'s batch {header.city_seq} carries no rider codes, and the ledger says that codes are kept: "
                f"send all {header.count}, one for each tap (offset {SIGNED_HEADER_BYTES + len(batch.body)})"
            )
        return await self.sequencer.stage(batch)

    async def _turn(self, city: int, city_seq: int) -> None:
        """Wait a moment for a batch that was overtaken; whoever still comes too early is told so."""
        if city_seq <= self.sequencer.tail(city).next_seq:
            return
        try:
            async with asyncio.timeout(TURN_S), self.sequencer.moved:
                await self.sequencer.moved.wait_for(lambda: city_seq <= self.sequencer.tail(city).next_seq)
        except TimeoutError:
            return

    async def _again(self, batch: SealedBatch) -> str:
        """A batch whose place is taken: by itself, and its receipt is given again, or by another, and that is a fork."""
        header = batch.header
        staged = self.sequencer.in_flight.get((header.city, header.city_seq))
        if staged is not None:
            if staged.batch.signed_header == batch.signed_header:
                return await asyncio.shield(staged.receipt)
            return await self._forked(batch, staged.batch.signed_header)
        async with self.engine.connect() as connection:
            found = await store.find_batch(connection, header.city, header.city_seq)
            if found is None:
                raise Conflict(f"city {header.city}'s batch {header.city_seq} is being appended: send it again in a moment")
            index, entry = found
            if entry[FRAME_BYTES:] != batch.signed_header:
                return await self._forked(batch, entry[FRAME_BYTES:])
            size, note = await store.first_checkpoint_over(connection, index)
            wanted = {
                store.node_tile(level, place)
                for begin, end in inclusion_ranges(index=index, size=size)
                for level, place in perfect_nodes(begin, end)
            }
            read_tile = await store.tile_reader(connection, size, wanted)
        path = prove_inclusion(index=index, size=size, read_node=node_reader(size, read_tile))
        return ProofFile(index, tuple(path), self.sequencer.receipt_note(note), entry).to_text()

    async def _keep(self, evidence: str | None) -> None:
        if evidence is not None:
            await asyncio.to_thread(self.keep, evidence)

    async def _forked(self, batch: SealedBatch, first: bytes) -> str:
        """Keep the second signed header of one sequence number: it proves that the city equivocated."""
        header = batch.header
        async with self.engine.begin() as connection:
            await store.keep_fork(connection, header.city, header.city_seq, header.hash(), batch.signed_header)
        await self._keep(double_batch(first, batch.signed_header, self.ring))
        await self.evidence.forked(batch, first)
        raise Conflict(
            f"city {header.city} has signed another batch {header.city_seq} before: "
            "this one is not taken, its header is kept as evidence of a fork"
        )

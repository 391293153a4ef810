"""Where a second transport would plug in: how batches come in, and how committed ticks go out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fare_chain.batch import SealedBatch
from fare_chain.ledger_walk import VerifiedEntry


@dataclass(frozen=True, slots=True)
class CommittedTick:
    """What one sequencer commit appended; no entries when only time has passed.

    `recorded_us` promises that no later tick is recorded at or before it.
    """

    recorded_us: int
    from_index: int
    entries: Sequence[VerifiedEntry]
    last_leaf: bytes


class BatchIntake(Protocol):
    """Takes sealed batches that hold, in each city's order."""

    async def stage(self, batch: SealedBatch) -> str:
        """Append a batch; its receipt once that is durable. Conflict or Overloaded where it cannot be taken."""


class EntryStream(Protocol):
    """Takes committed ticks, in order, none left out."""

    async def take(self, tick: CommittedTick) -> None:
        """Take the next tick; returns once its consequences are durable."""

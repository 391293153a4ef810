"""Simulated time, and one stream of chance for each actor of the world, all from one seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fare_chain.hashing import tagged_hash

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
SLOT_MINUTES = 10
SLOTS_PER_DAY = 24 * 60 // SLOT_MINUTES


def stream(seed: int, actor: str) -> np.random.Generator:
    """The chance of one actor: the same for the same seed and name, unrelated to any other actor's.

    An actor that draws more than before therefore changes nobody else's draws. Never for keys of a real world.
    """
    return np.random.Generator(np.random.PCG64(int.from_bytes(actor_seed(seed, actor), "little")))


def actor_seed(seed: int, actor: str, number: int = 0) -> bytes:
    """Derive 32 bytes for one actor of the world, such as a rider's device key; `seed` and `number` are below 2^64."""
    return tagged_hash(f"simulated-{actor}", [seed.to_bytes(8, "little"), number.to_bytes(8, "little")])


@dataclass(frozen=True, slots=True)
class DemoClock:
    """A day that runs faster than the wall's: it says what time of day a moment of a demo stands for.

    Only the shape of demand reads this clock. Gates, codes and the ledger live in real time.
    """

    starts_at_minute: int = 7 * 60
    """The minute of the simulated day at which the run starts."""
    speed_up: int = 240
    """Simulated seconds in one real second: 240 makes a minute's run four hours."""

    def slot(self, elapsed_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ten-minute slot of the day, 0..143, at each moment of the run; the day after is the same day again."""
        minute = self.starts_at_minute + elapsed_us * self.speed_up // MINUTE_US
        return minute // SLOT_MINUTES % SLOTS_PER_DAY

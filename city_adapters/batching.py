"""When an adapter's open batch is due: the price of a batch on the ledger against the age of its oldest tap.

A batch costs some 300 bytes on the ledger and a signature, however few taps it holds. A busy adapter fills 50 ms well; a quiet one
waits for the house's tick, which is when its batch would be ordered anyway. While the uplink is behind, nothing that is sealed now
would travel now: then batches grow, so that the hours of an outage come back in hundreds of batches and not in tens of thousands.
"""

from fare_chain.batch import MOST_TAPS

BUSY_US = 50_000
"""How old the oldest tap of a busy adapter becomes before its batch is sealed."""
TICK_US = 250_000
"""How old it becomes at most while the uplink has room. One that waits longer is brought to the disk this often."""
BEHIND_US = 10_000_000
"""How old it becomes at most while the uplink is behind."""
FEW_TAPS = 64
"""An adapter with fewer taps than this in its open batch is quiet."""


def due_at_us(*, taps: int, oldest_us: int, room: bool) -> int:
    """When the open batch is to be sealed, given how many taps it holds and when the oldest was taken.

    `room` tells whether the uplink would send it at once. A moment that has passed means now.
    """
    if taps >= MOST_TAPS:
        return oldest_us
    if not room:
        return oldest_us + BEHIND_US
    return oldest_us + (BUSY_US if taps >= FEW_TAPS else TICK_US)

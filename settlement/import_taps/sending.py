"""Sealed batches from their spools to a running house, by the uplink that gates' adapters use, until it has proved each."""

import asyncio
from collections.abc import Callable, Iterable

from city_adapters.spool import Spool
from city_adapters.uplink import Uplink
from fare_chain.errors import Conflict
from fare_chain.keys import KeyRing

_LOOK_S = 0.1


def send_all(spools: Iterable[Spool], ring: KeyRing, house: str, told: Callable[[int], None] = lambda _sent: None) -> int:
    """Send what the spools hold; how many batches the house acknowledged. Conflict says why it will not take one."""
    waiting = [spool for spool in spools if spool.waiting]
    return asyncio.run(_send_all([Uplink(spool, ring, house) for spool in waiting], told))


async def _send_all(uplinks: list[Uplink], told: Callable[[int], None]) -> int:
    first = sum(len(uplink.spool.waiting) for uplink in uplinks)
    tasks = [asyncio.create_task(uplink.run()) for uplink in uplinks]
    try:
        while left := sum(len(uplink.spool.waiting) for uplink in uplinks):
            for uplink, task in zip(uplinks, tasks, strict=True):
                if uplink.stuck:
                    raise Conflict(
                        f"{first - left} of {first} batches are sent, and no more pass: {uplink.stuck}; the others wait in "
                        f"{uplink.spool.folder}. A city's chain goes on from its own spool: name the folder with it by --out"
                    )
                if task.done():
                    task.result()
            told(first - left)
            await asyncio.sleep(_LOOK_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return first

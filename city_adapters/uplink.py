"""Send a city's batches to the house, in their order and some at a time, until each is proved to stand on the ledger.

The uplink never gives up and never throws away. What the house cannot take now (503, no connection) is sent again after a pause
that grows; after a gap (409) everything is sent again from the oldest. What the house refuses (400, 403), or answers with a
receipt that does not hold, makes the uplink *stuck*: it says so, and tries its oldest batch alone now and then, so that it goes on
by itself once somebody has repaired the cause.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import islice

import httpx2
import structlog

from city_adapters.batch_receipt import check_receipt
from city_adapters.spool import Spool
from city_adapters.spool_files import Spooled
from fare_chain.errors import FareChainError
from fare_chain.keys import KeyRing

MOST_IN_FLIGHT = 8
"""Batches on their way at a time: what a city seals in a few ticks."""
RECEIPT_WAIT_S = 15.0
"""How long the house may take for a receipt before it is asked again; asking twice is safe."""
GREETING_S = 1.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
STUCK_PAUSE_S = 15.0

_log = structlog.get_logger("uplink")


class Fault(Enum):
    """Why sending stopped, the worst last."""

    GAP = 1
    """The house misses a batch before this one: go back to the oldest."""
    AWAY = 2
    """The house is not there or takes nothing now."""
    STUCK = 3
    """Sending the same again will not help: somebody must look."""


@dataclass(frozen=True, slots=True)
class Setback:
    """What stopped the sending, at which batch, and in words."""

    fault: Fault
    seq: int
    sentence: str
    wait_s: float = 0.0
    """How long the house asked to be left alone."""


class Uplink:
    """One city's sender. `run` sends what the spool holds; `wake` tells it that there is more."""

    def __init__(
        self,
        spool: Spool,
        ring: KeyRing,
        house: str,
        *,
        on_proved: Callable[[], None] = lambda: None,
        draw: Callable[[], float] = random.random,
        stuck_pause_s: float = STUCK_PAUSE_S,
    ) -> None:
        """Send to the house at that address; `on_proved` is told of room, `draw` gives the jitter of pauses, from 0 to 1."""
        self.spool = spool
        self.ring = ring
        self.house = house.rstrip("/")
        self.acknowledged_taps = 0
        self.setback: Setback | None = None
        """Why nothing goes through just now; None while batches do."""
        self._on_proved = on_proved
        self._draw = draw
        self._stuck_pause_s = stuck_pause_s
        self._failed = 0
        self._in_flight: set[int] = set()
        self._proved: set[int] = set()
        self._changed = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Tell whether a batch sealed now would be sent now."""
        return self.setback is None and len(self.spool.waiting) < MOST_IN_FLIGHT

    @property
    def stuck(self) -> str | None:
        """What somebody must look at; None while time alone, or nothing, is needed."""
        return self.setback.sentence if self.setback and self.setback.fault is Fault.STUCK else None

    def wake(self) -> None:
        """Say that the spool has another batch."""
        self._changed.set()

    async def run(self) -> None:
        """Send for ever; ends by cancellation alone."""
        limits = httpx2.Limits(max_connections=MOST_IN_FLIGHT, max_keepalive_connections=MOST_IN_FLIGHT)
        timeout = httpx2.Timeout(RECEIPT_WAIT_S, connect=3.0)
        async with httpx2.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as client:
            await self._greet(client)
            while True:
                met = await self._flow(client)
                await asyncio.sleep(self._pause_s(met))

    async def _greet(self, client: httpx2.AsyncClient) -> None:
        """Look whether the house is there before anything is sent; the client also loads itself now and not under way."""
        try:
            await client.get(f"{self.house}/checkpoint", timeout=GREETING_S)
        except httpx2.RequestError as error:
            self._note(self._away(0, error))

    async def _flow(self, client: httpx2.AsyncClient) -> Setback:
        """Send in order until something is not taken; then let the rest come in, and say what was worst, of the oldest."""
        setbacks: list[Setback] = []
        async with asyncio.TaskGroup() as group:
            while not setbacks:
                self._changed.clear()
                for spooled in self._to_send():
                    self._in_flight.add(spooled.seq)
                    group.create_task(self._send(client, spooled, setbacks))
                await self._changed.wait()
        return min(setbacks, key=lambda setback: (-setback.fault.value, setback.seq))

    def _to_send(self) -> list[Spooled]:
        """The next batches to launch. After a setback one at a time, until one goes through."""
        width = MOST_IN_FLIGHT if self.setback is None else 1
        return [
            spooled
            for spooled in islice(self.spool.waiting, width)
            if spooled.seq not in self._in_flight and spooled.seq not in self._proved
        ]

    async def _send(self, client: httpx2.AsyncClient, spooled: Spooled, setbacks: list[Setback]) -> None:
        """Send one batch and take in the answer."""
        is_oldest = spooled is self.spool.waiting[0]
        try:
            data = await asyncio.to_thread(spooled.path.read_bytes)
            headers = {"Content-Type": "application/octet-stream"}
            response = await client.post(f"{self.house}/v1/batches", content=data, headers=headers)
            setback = self._read_answer(response, spooled, is_oldest=is_oldest)
            if setback is None:
                self.spool.receipts.add(spooled.seq, response.text)
                self._take_in(spooled)
        except httpx2.RequestError as error:
            setback = Setback(
                Fault.AWAY, spooled.seq, f"the house at {self.house} does not answer ({error!r}): the spool keeps all"
            )
        except OSError as error:
            setback = Setback(
                Fault.STUCK,
                spooled.seq,
                f"{spooled.path} cannot be read or renamed, or its receipt not be kept ({error.strerror}): see to the disk",
            )
        finally:
            self._in_flight.discard(spooled.seq)
            self._changed.set()
        if setback is not None:
            setbacks.append(setback)

    def _away(self, seq: int, error: httpx2.RequestError) -> Setback:
        return Setback(Fault.AWAY, seq, f"the house at {self.house} does not answer ({error!r}): the spool keeps everything")

    def _read_answer(self, response: httpx2.Response, spooled: Spooled, *, is_oldest: bool) -> Setback | None:
        """What an answer means: None where it proves that the batch stands on the ledger."""
        status = response.status_code
        if status == 200:
            try:
                check_receipt(response.text, spooled.signed_header, self.ring)
            except FareChainError as error:
                return Setback(Fault.STUCK, spooled.seq, f"the house's receipt for batch {spooled.seq} does not hold: {error}")
            return None
        said = f"the house answered {status} to batch {spooled.seq}: {_detail(response)}"
        if status == 409 and not is_oldest:
            return Setback(Fault.GAP, spooled.seq, said)
        if status in (408, 429) or status >= 500:
            return Setback(Fault.AWAY, spooled.seq, said, _retry_after_s(response))
        return Setback(Fault.STUCK, spooled.seq, said)

    def _take_in(self, spooled: Spooled) -> None:
        """Let the spool go of what is proved, oldest first: what overtook an older one waits for it here."""
        if self.setback is not None:
            _log.info("batches go through again", batch=spooled.seq, waiting=len(self.spool.waiting))
        self.setback, self._failed = None, 0
        self._proved.add(spooled.seq)
        waiting = self.spool.waiting
        while waiting and waiting[0].seq in self._proved:
            oldest = waiting[0]
            self.spool.acknowledge(oldest.seq)
            self._proved.discard(oldest.seq)
            self.acknowledged_taps += oldest.header.count
        self._on_proved()

    def _note(self, met: Setback) -> None:
        if self.setback is None or self.setback.sentence != met.sentence:
            _log.warning("batches do not go through", fault=met.fault.name, sentence=met.sentence, waiting=len(self.spool.waiting))
        self.setback = met

    def _pause_s(self, met: Setback) -> float:
        """Note a setback, and say how long to leave the house alone: longer each time, and never all cities together."""
        self._note(met)
        self._failed += 1
        if met.fault is Fault.STUCK:
            return self._stuck_pause_s
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(self._failed - 1, 10)))
        return max(met.wait_s, pause_s) * (0.5 + self._draw())


def _detail(response: httpx2.Response) -> str:
    """The sentence of a problem+json answer, or the beginning of whatever came."""
    try:
        return str(response.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return response.text[:200]


def _retry_after_s(response: httpx2.Response) -> float:
    """How long the house asks to be left alone: at most half a minute is believed."""
    asked = str(response.headers.get("Retry-After", ""))
    return min(30.0, float(asked)) if asked.isascii() and asked.isdigit() else 0.0

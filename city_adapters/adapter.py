"""One city's adapter: decide on each scan, keep the tap before the gate opens, and bring what is kept to the house."""

import asyncio
import os
from array import array
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

import structlog

from city_adapters import batching
from city_adapters.deny_list import NOBODY_DENIED, DenyList
from city_adapters.gate import Decision, GateState, Reason, Scan, decide
from city_adapters.journal import NotKept
from city_adapters.open_taps import SPENT_US, worth_retelling
from city_adapters.spool import Spool
from city_adapters.uplink import Uplink
from fare_chain import rider_code, tap
from fare_chain.keys import KeyRing
from fare_chain.rider_code import CodeRefused
from fare_chain.tap import Tap, TapKind

SWEEP_S = 30.0
"""How often acknowledged batches that nobody needs any more are removed."""
RETRY_S = 1.0
"""How soon the disk is tried again after it failed."""
NO_STATION = 0
"""The number that no station has: numbers begin at 1."""

_log = structlog.get_logger("adapter")


class AdapterReason(IntEnum):
    """Why an adapter keeps a gate shut that the decision would open. 64 and up; numbers are never used twice."""

    SPOOL_FULL = 64


@dataclass(frozen=True, slots=True)
class Showing:
    """What a gate sends: the text of the symbol, the station's id, the gate's number, and which way the rider goes."""

    text: str
    station_id: str
    gate: int
    kind: TapKind


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate is told. `tap` is the reading, None where no medium can be named."""

    reason: Reason | AdapterReason
    tap: Tap | None
    tapped_at_us: int


class Adapter:
    """The gates of one city, together. `answer` is quick and belongs to the event loop; `run` does the rest beside it."""

    def __init__(
        self,
        *,
        slug: str,
        host: int,
        stations: Mapping[str, int],
        ring: KeyRing,
        spool: Spool,
        house: str,
        clock: Callable[[], int],
        deny: DenyList = NOBODY_DENIED,
        passages: Mapping[int, Collection[int]] | None = None,
        markers: bool = False,
    ) -> None:
        """Stand where the spool says the city's gates stood. `stations`: number by id; `clock`: microseconds since 1970 UTC.

        `passages` and `markers` are as GateState takes them.
        """
        self.slug = slug
        self.stations = dict(stations)
        self.ring = ring
        self.deny = deny
        self.spool = spool
        self._due = asyncio.Event()
        self.uplink = Uplink(spool, ring, house, on_proved=self._due.set)
        self.clock = clock
        self.state = GateState(host, self.stations.values(), passages=passages, markers=markers)
        self.opened = 0
        self.refused: Counter[str] = Counter()
        self.disk_fault: str | None = None
        self._durations_ns: deque[int] = deque(maxlen=4096)
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk")
        self._refused_file = os.open(spool.folder / "refused.taps", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        now_us = clock()
        since_us = now_us - self.state.longest_ride_us
        for record in worth_retelling(spool.told_so_far(), since_us=since_us, now_us=now_us):
            self.state.after(tap.read(record))

    def answer(self, showing: Showing) -> Answer:
        """Decide on one scan. Once the answer is OPEN, the tap is in the journal and survives this process."""
        now_us = self.clock()
        try:
            code = rider_code.from_symbol_text(showing.text)
        except CodeRefused as refused:
            return self._refuse(Reason(refused.reason), None, now_us)
        station = self.stations.get(showing.station_id, NO_STATION)
        # The next number of the gate is taken by the tap that opens it, so a number missing on the ledger is a lost tap.
        gate_seq = self.spool.gates.get(showing.gate, 0) + 1
        scan = Scan(code, station, showing.gate, gate_seq, showing.kind, self.state.host)
        decision = decide(scan, self.state, self.ring, self.deny, now_us)
        if decision.opens and decision.tap is not None:
            return self._open(decision, decision.tap)
        return self._refuse(decision.reason, decision.tap, now_us)

    def note_duration(self, nanoseconds: int) -> None:
        """Remember how long one scan took, from the request read to the answer written."""
        self._durations_ns.append(nanoseconds)

    async def run(self) -> None:
        """Seal, send and sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._seal_when_due, self.uplink.run, self._sweep_now_and_then):
                group.create_task(_for_ever(work))

    async def drain(self) -> None:
        """After `run` has ended: seal what is open, so that the next start finds batches alone."""
        self.spool.turn()
        await self._seal_turned()

    def close(self) -> None:
        """Let all files go, once the disk has done what it was told."""
        self._disk.shutdown()
        os.close(self._refused_file)
        self.spool.close()

    def _open(self, decision: Decision, reading: Tap) -> Answer:
        try:
            self.spool.append(reading, decision.code)
        except NotKept as fault:
            self._note_fault(str(fault))
            return self._refuse(AdapterReason.SPOOL_FULL, None, reading.tapped_at_us)
        # Dead here: the tap will be sent and the gate stayed shut; the restart tells the state that the rider is inside.
        self.state.after(decision)
        self.opened += 1
        self.disk_fault = None
        if len(self.spool.open.taps) in (1, batching.FEW_TAPS) or self.spool.turned:
            self._due.set()
        return Answer(Reason.OPEN, reading, reading.tapped_at_us)

    def _refuse(self, reason: Reason | AdapterReason, reading: Tap | None, now_us: int) -> Answer:
        """Keep a refused reading in the city's own file, never sent: 80 bytes and the reason's number."""
        self.refused[reason.name] += 1
        if reading is not None:
            try:
                os.write(self._refused_file, reading.to_bytes() + bytes([reason]))
            except OSError as error:
                # The gate stays shut all the same; only the record of it is lost.
                self._note_fault(f"refused.taps cannot be written ({error.strerror}): free disk space")
        return Answer(reason, reading, now_us)

    async def _seal_when_due(self) -> None:
        while True:
            await self._seal_turned()
            oldest = next(iter(self.spool.unsealed), None)
            if oldest is None:
                self._due.clear()
                await self._due.wait()
                continue
            due_at_us = batching.due_at_us(taps=len(oldest.taps), oldest_us=oldest.oldest_us, room=self.uplink.has_room)
            pause_us = min(due_at_us - self.clock(), batching.TICK_US)
            if pause_us <= 0:
                self.spool.turn()
                continue
            self._due.clear()
            try:
                await asyncio.wait_for(self._due.wait(), pause_us / 1e6)
            except TimeoutError:
                if not self.uplink.has_room:
                    await self._on_disk(self.spool.sync)

    async def _seal_turned(self) -> None:
        """Seal every journal that was ended, in order, and let the uplink know."""
        while self.spool.turned:
            try:
                await self._on_disk(self.spool.seal, self.spool.turned[0])
            except OSError as error:
                self._note_fault(f"a batch cannot be written to {self.spool.folder} ({error.strerror}): free disk space")
                await asyncio.sleep(RETRY_S)
                return
            self.spool.turned.popleft()
            self.uplink.wake()

    async def _on_disk(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Do what waits for the disk in the one thread that does: one after the other, and whole even when we are cancelled."""
        await asyncio.get_running_loop().run_in_executor(self._disk, partial(work, *arguments))

    async def _sweep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now_us = self.clock()
            await self._on_disk(self.spool.let_go, now_us - SPENT_US, now_us - self.state.longest_ride_us)

    def _note_fault(self, sentence: str) -> None:
        if self.disk_fault != sentence:
            _log.error("the disk does not take what the gates see", sentence=sentence)
        self.disk_fault = sentence

    def status(self) -> dict[str, Any]:
        """What an operations desk wants to know of these gates, with stable keys."""
        waiting = list(self.spool.waiting)
        unsealed = self.spool.unsealed
        oldest_us = waiting[0].header.first_us if waiting else min((journal.oldest_us for journal in unsealed), default=None)
        setback = self.uplink.setback
        return {
            "city": self.slug,
            "accepted": self.opened,
            "refused": dict(sorted(self.refused.items())),
            "open_taps": sum(len(journal.taps) for journal in unsealed),
            "spooled_batches": len(waiting),
            "spooled_taps": sum(spooled.header.count for spooled in waiting),
            "sealed_seq": self.spool.chain.next_seq - 1,
            "acknowledged_seq": waiting[0].seq - 1 if waiting else self.spool.chain.next_seq - 1,
            "acknowledged_taps": self.uplink.acknowledged_taps,
            "oldest_unacknowledged_ms": None if oldest_us is None else max(0, self.clock() - oldest_us) // 1000,
            "decision_ms": _percentiles(self._durations_ns),
            "remembered": self.state.sizes(),
            "stuck": self.uplink.stuck,
            "uplink": None if setback is None else f"{setback.fault.name}: {setback.sentence}",
            "disk": self.disk_fault,
        }


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Run one of the adapter's works again whenever it fails: the gates' taps are on disk meanwhile."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001  whatever fails beside the gates, the gates go on
            _log.exception("a part of the adapter failed and begins again", part=work.__qualname__)
            await asyncio.sleep(RETRY_S)


def _percentiles(durations_ns: deque[int]) -> dict[str, float]:
    """The median and the 99th percentile of the last scans, in milliseconds."""
    ordered = array("q", sorted(durations_ns))
    if not ordered:
        return {}
    return {f"p{percent}": ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] / 1e6 for percent in (50, 99)}

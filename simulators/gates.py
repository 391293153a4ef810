"""Many riders at many gates: each planned scan is made over HTTP when it is due, and a diary keeps what the gates said.

The load is open: a ride sets out when its time has come, however slowly earlier scans are answered, and a scan's wait counts from
the moment it was due. A scan without an answer is shown again with the very same code. A gate whose answer was lost refuses a code
that it has opened for, so REPLAYED then tells that the first showing opened: nobody enters twice, and no tap is lost from sight.
"""

import asyncio
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import orjson

from city_adapters.city import City
from city_adapters.gate import Reason
from fare_chain import rider_code
from fare_chain.hashing import sha256
from fare_chain.tap import TapKind
from simulators.connections import Connections
from simulators.phones import Phones
from simulators.riders import Plan, PlannedScan

ANSWER_WAIT_S = 5.0
"""How long a reader waits for its gate before it shows the code again."""
SHOW_AGAIN_S = 0.2
PATIENCE_S = (rider_code.LIFETIME_US - 5_000_000) / 1e6
"""How long a rider keeps showing one code: until just before it is stale."""
SCANS_AT_ONCE = 16
"""How many scans of one city are under way together; the riders behind them queue, and make their codes when it is their turn.

Without it, gates that stall for some seconds come back to hundreds of connections and never catch up.
"""
NO_ANSWER = "NO_ANSWER"
_KINDS = {
    TapKind.ENTRY: "entry",
    TapKind.EXIT: "exit",
    TapKind.TRANSFER_ENTRY: "transfer_entry",
    TapKind.TRANSFER_EXIT: "transfer_exit",
}


class Heard(NamedTuple):
    """What a gate answered: a reason's name, or NO_ANSWER; and whether the code had to be shown again for it."""

    reason: str
    again: bool


class GateLine:
    """The gates of one city, behind one address and one pool of connections."""

    def __init__(self, url: str, stations: Mapping[int, str], *, patience_s: float = PATIENCE_S) -> None:
        """Show codes to the gates at `url`; `stations`: id by number."""
        self._connections = Connections(url, wait_s=ANSWER_WAIT_S)
        self._stations = dict(stations)
        self._patience_s = patience_s
        self.turn = asyncio.Semaphore(SCANS_AT_ONCE)
        """To be held from the making of a code to its answer."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._connections.close()

    async def show(self, scan: PlannedScan, code: bytes) -> Heard:
        """Show a code until the gate answers or the rider's patience ends."""
        text = rider_code.to_symbol_text(code)
        station = self._stations[scan.station]
        body = orjson.dumps({"code": text, "station": station, "gate": scan.gate, "kind": _KINDS[scan.kind]})
        gives_up_at = time.monotonic() + self._patience_s
        again = False
        while (reason := await self._ask(body)) is None:
            again = True
            if time.monotonic() >= gives_up_at:
                return Heard(NO_ANSWER, again)
            await asyncio.sleep(SHOW_AGAIN_S)
        return Heard(reason, again)

    async def _ask(self, body: bytes) -> str | None:
        """One request: the reason's name; None where there was no answer, or one of a gate that cannot work just now."""
        try:
            answer = await self._connections.post("/v1/scans", body)
        except OSError:  # refused, cut, or too late
            return None
        if answer.status == 200:
            return str(orjson.loads(answer.content)["reason"])
        return None if answer.status >= 500 else f"HTTP_{answer.status}"


def gate_line(city: City, url: str) -> GateLine:
    """The gates of a city at an address."""
    return GateLine(url, {station.number: station.station_id for station in city.stations})


@dataclass(slots=True)
class Diary:
    """What happened at the gates in one run, to be held against the plan and the ledger."""

    opened: set[bytes] = field(default_factory=set)
    """Digests of the codes that opened a gate: each must be on the ledger once."""
    unheard: set[bytes] = field(default_factory=set)
    """Digests of codes that were shown and never answered: each may be on the ledger."""
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a scan with that expected reason got that answer."""
    excused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Those of them that follow from a scan that was never answered (the rider's phone could not know where it stood), or from
    gates that stood still for so long that a code shown twice had become stale."""
    shown_again: int = 0
    waits_us: "array[int]" = field(default_factory=lambda: array("q"))
    """From due to answered, of each answered scan."""
    began_us: int = 0
    """When the first ride set out, by the wall clock."""
    unfinished: int = 0
    """Rides that had not ended when the run was ended for them."""
    unsure: set[int] = field(default_factory=set)
    """Riders with a scan that was never answered."""

    @property
    def refused(self) -> Counter[str]:
        """How often gates stayed shut, by reason."""
        counted: Counter[str] = Counter()
        for (_expected, answered), times in self.answers.items():
            if answered not in (Reason.OPEN.name, NO_ANSWER):
                counted[answered] += times
        return counted

    def surprises(self) -> Counter[tuple[str, str]]:
        """Answers that are not as planned: (expected, answered). What a dead gate never answered is no surprise."""
        planned = Counter({pair: times for pair, times in self.answers.items() if pair[1] in (pair[0], NO_ANSWER)})
        return self.answers - planned - self.excused

    def wait_ms(self, percent: int, *, of_last: int = 0) -> float | None:
        """The wait that so many per cent of the answered scans (all, or the last so many) did not exceed; None before the first."""
        ordered = sorted(self.waits_us[-of_last:])
        return ordered[(len(ordered) - 1) * percent // 100] / 1000 if ordered else None

    def note(self, scan: PlannedScan, code: bytes, heard: Heard, waited_us: int) -> bool:
        """Write one scan down; True where the rider passed."""
        # Shown again and refused as a replay: the first showing opened, only its answer was lost with the gate's process.
        opened_unheard = heard.again and heard.reason == Reason.REPLAYED.name and scan.expected is Reason.OPEN
        answered = Reason.OPEN.name if opened_unheard else heard.reason
        self.answers[scan.expected.name, answered] += 1
        self.shown_again += heard.again
        if answered == NO_ANSWER:
            self.unheard.add(sha256(code))
            self.unsure.add(scan.rider)
            return False
        too_late = answered == Reason.STALE.name and waited_us >= PATIENCE_S * 1e6
        if answered != scan.expected.name and (scan.rider in self.unsure or too_late):
            self.excused[scan.expected.name, answered] += 1
        self.waits_us.append(waited_us)
        if answered == Reason.OPEN.name:
            self.opened.add(sha256(code))
        return answered == Reason.OPEN.name


class Crowd:
    """All riders of a plan on their way, each ride a task of its own."""

    def __init__(self, plan: Plan, phones: Phones, lines: Mapping[int, GateLine], diary: Diary) -> None:
        """Ride a plan with these phones at the gates of each host, by its number."""
        self.plan = plan
        self.phones = phones
        self.lines = lines
        self.diary = diary
        self.set_out = 0
        """How many rides have set out."""
        self._began_s = 0.0
        self._riding: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ride(self, *, at_most_s: float) -> None:
        """Let every ride set out when it is due; return when the last has ended, or end those that have not by then."""
        self._began_s = time.monotonic()
        self.diary.began_us = _wall_us()
        self.diary.unfinished = len(self.plan)
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s), asyncio.TaskGroup() as rides:
                for ride, depart_us in enumerate(self.plan.legs.enter_us.tolist()):
                    await self._until(depart_us)
                    rides.create_task(self._ride(ride))
                    self.set_out += 1

    async def _ride(self, ride: int) -> None:
        """One ride: its scans in order, each when it is due and the one before was answered.

        A rider whose last ride was held up at a dead gate sets out late: nobody is in two trains.
        """
        riding = self._riding[int(self.plan.rider[ride])]
        held_up = riding.locked()
        async with riding:
            await self._scans(ride, ready_us=self._elapsed_us() if held_up else 0)
        self.diary.unfinished -= 1

    async def _scans(self, ride: int, *, ready_us: int) -> None:
        entered = False
        for scan in self.plan.scans(ride):
            if scan.needs_inside and not entered:
                return
            due_us = max(scan.due_us, ready_us)
            await self._until(due_us)
            passed = await self._scan(scan, due_us)
            ready_us = self._elapsed_us()
            entered = entered or (passed and scan.kind is TapKind.ENTRY)

    async def _scan(self, scan: PlannedScan, due_us: int) -> bool:
        line = self.lines[scan.host]
        async with line.turn:
            code = self.phones.show(scan, _wall_us())
            heard = await line.show(scan, code)
        passed = self.diary.note(scan, code, heard, max(0, self._elapsed_us() - due_us))
        if passed:
            self.phones.passed(scan, _wall_us())
        return passed

    async def _until(self, due_us: int) -> None:
        wait_us = due_us - self._elapsed_us()
        if wait_us > 0:
            await asyncio.sleep(wait_us / 1e6)

    def _elapsed_us(self) -> int:
        return int((time.monotonic() - self._began_s) * 1e6)


def _wall_us() -> int:
    return time.time_ns() // 1000

"""What the log says a ride cost against what we say: exit by exit, summed over the legs of a journey."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from city_adapters.tap_feed import LoggedTaps
from fare_chain.tap import GOING_OUT
from settlement.core.columns import Fens, Records, pick

MOST_DIFFERING = 20
NO_AMOUNT = -1


class _Exit(NamedTuple):
    amount_fen: int
    line: int
    discounted: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A journey whose payable fare is not the log's amount; `line` is that of its exit in the log."""

    line: int
    host: int
    from_station: int
    to_station: int
    entered_at_us: int
    exited_at_us: int
    ours_fen: int
    theirs_fen: int
    discounted: bool


@dataclass(slots=True)
class AmountCheck:
    """Exits with an amount wait here for their journey; what no journey takes has no fare of ours."""

    compared: int = 0
    equal: int = 0
    ours_fen: int = 0
    theirs_fen: int = 0
    discounted_compared: int = 0
    discounted_equal: int = 0
    differing: list[Difference] = field(default_factory=list)
    _waiting: dict[bytes, dict[tuple[int, int], _Exit]] = field(default_factory=dict)

    @property
    def no_fare(self) -> int:
        """Exits with an amount that became no journey."""
        return sum(len(exits) for exits in self._waiting.values())

    def expect(self, logged: LoggedTaps) -> None:
        """Note the amounts of a tick's exits, before it is cleared."""
        exits = pick(logged, (logged["amount_fen"] > NO_AMOUNT) & np.isin(logged["kind"], list(GOING_OUT)))
        names = ("tapped_at_us", "gate", "amount_fen", "line", "discounted")
        for lane, at_us, gate, *told in zip(_lanes(exits), *(exits[name].tolist() for name in names), strict=True):
            self._waiting.setdefault(lane, {})[at_us, gate] = _Exit(*told)

    def compare(self, journeys: Records) -> Fens:
        """Compare cleared journeys: what the log says of each, -1 where it says nothing. What the rider pays is compared."""
        theirs = np.full(len(journeys), NO_AMOUNT, np.int64)
        if not self._waiting or not len(journeys):
            return theirs
        payable = journeys["nominal_fen"].astype(np.int64) + journeys["surcharge_fen"] - journeys["discount_fen"]
        lanes, ours, legs = _lanes(journeys), payable.tolist(), journeys["legs"].tolist()
        entered, exited, gates = (journeys[name].tolist() for name in ("entered_at_us", "exited_at_us", "to_gate"))
        # Journeys of one leg first: a longer one then takes what is left between its first entry and its last exit.
        for row in np.argsort(journeys["legs"], kind="stable").tolist():
            exits = self._take(lanes[row], entered[row] if legs[row] > 1 else exited[row], (exited[row], gates[row]))
            if exits:
                theirs[row] = sum(each.amount_fen for each in exits)
                self._count(exits, ours[row], int(theirs[row]))
                if ours[row] != theirs[row] and len(self.differing) < MOST_DIFFERING:
                    self.differing.append(_difference(journeys[row], exits, ours[row], int(theirs[row])))
        return theirs

    def _take(self, lane: bytes, since_us: int, last: tuple[int, int]) -> list[_Exit]:
        """Take a journey's exits: its last one, and those since a moment before it."""
        waiting = self._waiting.get(lane)
        if waiting is None:
            return []
        keys = sorted(key for key in waiting if key == last or since_us <= key[0] < last[0])
        exits = [waiting.pop(key) for key in keys]
        if not waiting:
            del self._waiting[lane]
        return exits

    def _count(self, exits: list[_Exit], ours_fen: int, theirs_fen: int) -> None:
        discounted, is_equal = any(each.discounted for each in exits), ours_fen == theirs_fen
        self.compared += 1
        self.equal += is_equal
        self.ours_fen += ours_fen
        self.theirs_fen += theirs_fen
        self.discounted_compared += discounted
        self.discounted_equal += discounted and is_equal


def _difference(journey: np.void, exits: list[_Exit], ours_fen: int, theirs_fen: int) -> Difference:
    host, start, end, entered, exited = (
        int(journey[name]) for name in ("host", "from_station", "to_station", "entered_at_us", "exited_at_us")
    )
    discounted = any(each.discounted for each in exits)
    return Difference(exits[-1].line, host, start, end, entered, exited, ours_fen, theirs_fen, discounted)


def _lanes(rows: Records) -> list[bytes]:
    """Medium and host of each row as 18 bytes."""
    lanes = np.zeros(len(rows), [("medium", "V16"), ("host", "<u2")])
    lanes["medium"], lanes["host"] = rows["medium"], rows["host"]
    flat = lanes.tobytes()
    return [flat[at : at + 18] for at in range(0, len(flat), 18)]

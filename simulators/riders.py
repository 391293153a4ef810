"""Riders as columns, and the plan of every ride: which codes are shown where, and what gates should say.

Most riders behave. The others show a stale or a used code, a forged or stripped one, forget to tap out, or tap in twice. Their
plan names the reason that the gate has to give, so that a run can compare answers with expectations.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from city_adapters.gate import Reason
from fare_chain.rider_code import LIFETIME_US
from fare_chain.tap import Category, TapKind
from simulators.clock import SECOND_US, stream
from simulators.crossings import Crossing, Joint, cross
from simulators.demand import WHOLE, RideColumns
from simulators.itineraries import GATES_PER_STATION, LegColumns, gate_beside

MOST_SPENT_FEN = 15_000
"""What the busiest riders have spent this month."""
PAUSE_US = 400_000
"""Between two scans at the same gate line: stepping back, holding the phone out again."""
REST_US = 5 * SECOND_US
"""From a rider's exit to the same rider's next entry: more than a slow answer takes."""
STALE_AGE_US = 3 * LIFETIME_US
"""How old a stale code is: a picture of a code, passed on."""


class Misbehaviour(IntEnum):
    """What is wrong with a ride. Numbers are never used twice."""

    NONE = 0
    STALE_CODE = 1
    """An old code first, then a fresh one."""
    REPLAY = 2
    """Somebody else shows the code that just opened, at the same gate."""
    REPLAY_ELSEWHERE = 3
    """The same at the gate beside it."""
    FORGED_ISSUER = 4
    """A credential signed by a key that is on no ring."""
    FORGED_CREDENTIAL = 5
    """The same under the name of the issuer's true key."""
    STRIPPED_SIGNATURE = 6
    """A code without its device signature."""
    FORGOTTEN_EXIT = 7
    """In, and never seen to leave."""
    SECOND_ENTRY = 8
    """Inside already, and in again with a fresh code: for a friend without one."""


SHARES: Mapping[Misbehaviour, int] = MappingProxyType(
    {
        Misbehaviour.STALE_CODE: 150,
        Misbehaviour.REPLAY: 40,
        Misbehaviour.REPLAY_ELSEWHERE: 40,
        Misbehaviour.FORGED_ISSUER: 30,
        Misbehaviour.FORGED_CREDENTIAL: 20,
        Misbehaviour.STRIPPED_SIGNATURE: 30,
        Misbehaviour.FORGOTTEN_EXIT: 100,
        Misbehaviour.SECOND_ENTRY: 50,
    }
)
"""Rides of each kind per 10,000: illustrative, many enough to be seen in a minute's run."""


class Showing(IntEnum):
    """What the rider holds to the gate."""

    FRESH = 0
    STALE = 1
    AGAIN = 2
    """The bytes that were shown last, once more."""
    UNKNOWN_KEY = 3
    FALSE_SIGNATURE = 4
    STRIPPED = 5


@dataclass(frozen=True, slots=True)
class PlannedScan:
    """One scan to make, and what the gate should answer.

    A ride's scans are made in their order, each when it is due and the one before has been answered, whichever comes later. One
    with `needs_inside` is left out unless an entry of the ride opened; the ride then ends there.
    """

    due_us: int
    """Microseconds after the run's start."""
    ride: int
    """Row of the rides."""
    rider: int
    """Row of the riders: whose phone makes the code."""
    host: int
    station: int
    gate: int
    kind: TapKind
    showing: Showing
    expected: Reason
    needs_inside: bool
    misbehaviour: Misbehaviour


@dataclass(frozen=True, slots=True, eq=False)
class RiderColumns:
    """The riders, one row each: home city and what it attests of them."""

    issuer: NDArray[np.uint16]
    category: NDArray[np.uint8]
    step: NDArray[np.uint8]
    """The step of the month that the issuer attests, 0 where it attests none."""

    def __len__(self) -> int:
        return len(self.issuer)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A run before it happens: rides, their legs, who rides them and how they misbehave; all in the rides' order."""

    rides: RideColumns
    legs: LegColumns
    riders: RiderColumns
    rider: NDArray[np.uint32]
    misbehaviour: NDArray[np.uint8]
    crossings: Mapping[int, Crossing] = field(default_factory=dict)
    """The rides that go on over a border, by ride."""

    def __len__(self) -> int:
        return len(self.rides)

    def __iter__(self) -> Iterator[tuple[PlannedScan, ...]]:
        """The scans of each ride, rides in order of departure: an open-loop driver takes the next when its first scan is due."""
        return (self.scans(ride) for ride in range(len(self)))

    def scans(self, ride: int) -> tuple[PlannedScan, ...]:
        """The scans of one ride, in their order."""
        kind = Misbehaviour(self.misbehaviour[ride])
        if ride in self.crossings:
            return self._over_the_border(ride, self.crossings[ride])
        return tuple(self._scan(ride, number, kind) for number in range(len(_SCRIPTS[kind])))

    def expected(self) -> Counter[Reason]:
        """How often each answer is expected if every scan of the plan is made."""
        rides = np.bincount(self.misbehaviour, minlength=len(Misbehaviour)).tolist()
        answers: Counter[Reason] = Counter()
        for kind, script in _SCRIPTS.items():
            for step in script:
                answers[step.expected] += rides[kind]
        answers[Reason.OPEN] += 2 * len(self.crossings)
        return +answers

    def _over_the_border(self, ride: int, crossing: Crossing) -> tuple[PlannedScan, ...]:
        """In at the first host, out at its border station, in again beyond, out at the end."""
        joint, (enter, leave) = crossing.joint, (self._scan(ride, number, Misbehaviour.NONE) for number in range(2))
        out_kind, in_kind = (TapKind.TRANSFER_EXIT, TapKind.TRANSFER_ENTRY) if crossing.walks else (TapKind.EXIT, TapKind.ENTRY)
        place = leave.gate % GATES_PER_STATION
        out = replace(
            leave, due_us=crossing.out_us, station=joint.station, gate=joint.station * GATES_PER_STATION + place, kind=out_kind
        )
        gate = joint.beyond_station * GATES_PER_STATION + place
        into = replace(out, due_us=crossing.in_us, host=joint.beyond, station=joint.beyond_station, gate=gate, kind=in_kind)
        return enter, out, into, replace(leave, host=joint.beyond, station=crossing.to_station)

    def _scan(self, ride: int, number: int, kind: Misbehaviour) -> PlannedScan:
        step, before = _SCRIPTS[kind][number], _SCRIPTS[kind][:number]
        leaves = step.kind is TapKind.EXIT
        gate = int((self.legs.to_gate if leaves else self.legs.from_gate)[ride])
        return PlannedScan(
            due_us=int(self.legs.exit_us[ride] if leaves else self.legs.enter_us[ride] + number * PAUSE_US),
            ride=ride,
            rider=int(self.rider[ride]),
            host=int(self.rides.host[ride]),
            station=int((self.rides.to_station if leaves else self.rides.from_station)[ride]),
            gate=gate_beside(gate) if step.beside else gate,
            kind=step.kind,
            showing=step.showing,
            expected=step.expected,
            needs_inside=any(earlier.expected is Reason.OPEN for earlier in before),
            misbehaviour=kind,
        )


def plan(
    rides: RideColumns,
    legs: LegColumns,
    seed: int,
    shares: Mapping[Misbehaviour, int] = SHARES,
    *,
    joints: Sequence[Joint] = (),
    tiers: Mapping[int, Sequence[int]] | None = None,
) -> Plan:
    """Decide who rides each ride, which rides go wrong and how, and which go on over a border.

    `tiers` gives, for each home city with month tiers, the spend in fen from which each step counts.
    """
    misbehaviour = misbehave(rides, seed, shares)
    crossings, legs = cross(rides, legs, joints, seed, ~rides.toured & (misbehaviour == Misbehaviour.NONE))
    alone = np.isin(misbehaviour, _NEVER_AGAIN)
    issuer, rider = take_turns(rides.issuer, legs, alone)
    category = stream(seed, "categories").choice(_CATEGORIES, size=len(issuer)).astype("u1")
    return Plan(rides, legs, RiderColumns(issuer, category, attest(issuer, seed, tiers or {})), rider, misbehaviour, crossings)


def attest(issuer: NDArray[np.uint16], seed: int, tiers: Mapping[int, Sequence[int]]) -> NDArray[np.uint8]:
    """The step that each rider's issuer attests: what was spent this month is drawn evenly, up to 150 yuan (illustrative)."""
    spent_fen = stream(seed, "months").integers(0, MOST_SPENT_FEN, size=len(issuer))
    step = np.zeros(len(issuer), "u1")
    for city, begins_fen in tiers.items():
        here = issuer == city
        step[here] = np.searchsorted(np.array(begins_fen), spent_fen[here], side="right")
    return step


def misbehave(rides: RideColumns, seed: int, shares: Mapping[Misbehaviour, int] = SHARES) -> NDArray[np.uint8]:
    """Draw which rides go wrong: each kind as often as its share says, rounded up, so that a short run sees all of them.

    The rides of the tour stay honest: they are there so that every pair of cities is cleared.
    """
    misbehaviour = np.zeros(len(rides), "u1")
    free = stream(seed, "misbehaviour").permutation(np.flatnonzero(~rides.toured))
    taken = 0
    for kind, share in shares.items():
        count = -(-share * len(free) // WHOLE)
        misbehaviour[free[taken : taken + count]] = kind
        taken += count
    return misbehaviour


def take_turns(
    issuer: NDArray[np.uint16], legs: LegColumns, alone: NDArray[np.bool_], rest_us: int = REST_US
) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """Give each ride a rider of its issuer: the riders' issuers, and the rider of each ride.

    The riders of a city take turns, and are just as many as are needed for each to have left and rested before the next turn.
    A ride that is `alone` has a rider of its own, who never rides again.
    """
    rider, issuers, riders = np.zeros(len(issuer), "<u4"), [], 0
    for city in np.unique(issuer).tolist():
        rows = np.flatnonzero((issuer == city) & ~alone)
        next_turn = np.searchsorted(legs.enter_us[rows], legs.exit_us[rows] + rest_us)
        needed = int((next_turn - np.arange(len(rows))).max(initial=0))
        rider[rows] = riders + np.arange(len(rows)) % max(needed, 1)
        issuers.append(np.full(needed, city, "<u2"))
        riders += needed
    rider[alone] = riders + np.arange(np.count_nonzero(alone))
    return np.concatenate([*issuers, issuer[alone]]).astype("<u2"), rider


@dataclass(frozen=True, slots=True)
class _Step:
    """One scan of a script; `beside` is the next gate of the same station."""

    kind: TapKind
    showing: Showing = Showing.FRESH
    expected: Reason = Reason.OPEN
    beside: bool = False


_ENTER, _LEAVE = _Step(TapKind.ENTRY), _Step(TapKind.EXIT)
_SCRIPTS: Mapping[Misbehaviour, tuple[_Step, ...]] = MappingProxyType(
    {
        Misbehaviour.NONE: (_ENTER, _LEAVE),
        Misbehaviour.STALE_CODE: (_Step(TapKind.ENTRY, Showing.STALE, Reason.STALE), _ENTER, _LEAVE),
        Misbehaviour.REPLAY: (_ENTER, _Step(TapKind.ENTRY, Showing.AGAIN, Reason.REPLAYED), _LEAVE),
        Misbehaviour.REPLAY_ELSEWHERE: (_ENTER, _Step(TapKind.ENTRY, Showing.AGAIN, Reason.REPLAYED, beside=True), _LEAVE),
        Misbehaviour.FORGED_ISSUER: (_Step(TapKind.ENTRY, Showing.UNKNOWN_KEY, Reason.UNKNOWN_ISSUER),),
        Misbehaviour.FORGED_CREDENTIAL: (_Step(TapKind.ENTRY, Showing.FALSE_SIGNATURE, Reason.FORGED_CREDENTIAL),),
        Misbehaviour.STRIPPED_SIGNATURE: (_Step(TapKind.ENTRY, Showing.STRIPPED, Reason.STRIPPED),),
        Misbehaviour.FORGOTTEN_EXIT: (_ENTER,),
        Misbehaviour.SECOND_ENTRY: (_ENTER, _Step(TapKind.ENTRY, Showing.FRESH, Reason.ALREADY_INSIDE), _LEAVE),
    }
)
_NEVER_AGAIN = [kind for kind, script in _SCRIPTS.items() if script[-1] != _LEAVE]
"""Who is still inside, or was never a customer, takes no further turn."""
_CATEGORIES = [Category.ADULT] * 17 + [Category.STUDENT] * 2 + [Category.SENIOR]

"""Riders as columns, the phones they carry, and the plan of every ride: which codes are shown where, and what gates should say.

Most riders behave. The others show a stale or a used code, a forged or stripped one, forget to tap out, or tap in twice. Their
plan names the reason that the gate has to give, so that a run can compare answers with expectations.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from city_adapters.gate import Reason
from fare_chain import rider_code
from fare_chain.errors import Unknown
from fare_chain.identifiers import MemberNumber
from fare_chain.keys import SIGNATURE_BYTES, SigningKey
from fare_chain.rider_code import LIFETIME_US, Credential, JourneyState
from fare_chain.tap import Category, TapKind
from simulators.clock import SECOND_US, actor_seed, stream
from simulators.demand import WHOLE, RideColumns
from simulators.itineraries import LegColumns, gate_beside

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

    def __len__(self) -> int:
        return len(self.rides)

    def __iter__(self) -> Iterator[tuple[PlannedScan, ...]]:
        """The scans of each ride, rides in order of departure: an open-loop driver takes the next when its first scan is due."""
        return (self.scans(ride) for ride in range(len(self)))

    def scans(self, ride: int) -> tuple[PlannedScan, ...]:
        """The scans of one ride, in their order."""
        kind = Misbehaviour(self.misbehaviour[ride])
        return tuple(self._scan(ride, number, kind) for number in range(len(_SCRIPTS[kind])))

    def expected(self) -> Counter[Reason]:
        """How often each answer is expected if every scan of the plan is made."""
        rides = np.bincount(self.misbehaviour, minlength=len(Misbehaviour)).tolist()
        answers: Counter[Reason] = Counter()
        for kind, script in _SCRIPTS.items():
            for step in script:
                answers[step.expected] += rides[kind]
        return +answers

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


def plan(rides: RideColumns, legs: LegColumns, seed: int, shares: Mapping[Misbehaviour, int] = SHARES) -> Plan:
    """Decide who rides each ride, and which rides go wrong and how."""
    misbehaviour = misbehave(rides, seed, shares)
    alone = np.isin(misbehaviour, _NEVER_AGAIN)
    issuer, rider = take_turns(rides.issuer, legs, alone)
    category = stream(seed, "categories").choice(_CATEGORIES, size=len(issuer)).astype("u1")
    return Plan(rides, legs, RiderColumns(issuer, category), rider, misbehaviour)


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


class Phones:
    """What the riders carry: device key, credential, the journey they are on, the code they showed last.

    Device keys are real Ed25519 keys derived from the world's seed, so that a run repeats; a phone is made when its rider first
    shows a code. The only thing of this room that changes while a run goes on.
    """

    def __init__(
        self, riders: RiderColumns, issuer_keys: Mapping[int, SigningKey], *, seed: int, not_before_s: int, not_after_s: int
    ) -> None:
        """Take the riders, the issuer key of each home city, and the period of all credentials (Unix seconds)."""
        missing = sorted(set(np.unique(riders.issuer).tolist()) - set(issuer_keys))
        if missing:
            raise Unknown(f"riders of member {missing[0]} have no issuer key: hand in one for each home city")
        self._riders = riders
        self._issuer_keys = issuer_keys
        self._seed = seed
        self._period_s = (not_before_s, not_after_s)
        self._forger = SigningKey(actor_seed(seed, "forger"))
        self._phones: dict[int, _Phone] = {}

    def show(self, scan: PlannedScan, now_us: int) -> bytes:
        """Make the code of a planned scan, at scan time: `now_us` is the real time of the rider's clock."""
        phone = self._phone(scan.rider)
        if scan.showing is not Showing.AGAIN:
            phone.counter += 1
            phone.last_code = self._make(phone, scan, now_us)
        return phone.last_code

    def passed(self, scan: PlannedScan, now_us: int) -> None:
        """Note that the gate opened for this scan: after an entry the codes carry the journey's state, until the exit."""
        entered = scan.kind is TapKind.ENTRY
        self._phone(scan.rider).journey = (
            JourneyState(MemberNumber(scan.host), scan.station, now_us // SECOND_US) if entered else None
        )

    def is_inside(self, rider: int) -> bool:
        """Tell whether this rider's last open gate was an entry."""
        return self._phone(rider).journey is not None

    def _make(self, phone: "_Phone", scan: PlannedScan, now_us: int) -> bytes:
        issued_us = now_us - STALE_AGE_US if scan.showing is Showing.STALE else now_us
        credential = self._credential(phone, scan.showing)
        code = rider_code.issue(phone.key, credential, issued_us, phone.counter, phone.journey)
        return code[:-SIGNATURE_BYTES] if scan.showing is Showing.STRIPPED else code

    def _credential(self, phone: "_Phone", showing: Showing) -> Credential:
        """The phone's credential, or what a forger makes of it."""
        true = phone.credential
        if showing is Showing.UNKNOWN_KEY:
            return self._attest(self._forger, true.issuer, true.device_public, true.category)
        if showing is Showing.FALSE_SIGNATURE:
            return replace(true, signature=self._forger.sign_in("credential", true.attested()))
        return true

    def _phone(self, rider: int) -> "_Phone":
        if rider not in self._phones:
            key = SigningKey(actor_seed(self._seed, "rider", rider))
            issuer, category = int(self._riders.issuer[rider]), Category(self._riders.category[rider])
            self._phones[rider] = _Phone(key, self._attest(self._issuer_keys[issuer], issuer, key.public, category))
        return self._phones[rider]

    def _attest(self, signer: SigningKey, issuer: int, device_public: bytes, category: Category) -> Credential:
        begins, ends = self._period_s
        return rider_code.issue_credential(signer, issuer, device_public, not_before_s=begins, not_after_s=ends, category=category)


@dataclass(slots=True)
class _Phone:
    key: SigningKey
    credential: Credential
    counter: int = 0
    journey: JourneyState | None = None
    last_code: bytes = b""


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

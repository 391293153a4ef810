"""The gate's decision: open, or stay shut for a numbered reason; and the one thing a city's gates remember between scans.

`decide` reads and never writes. What it found becomes state by `GateState.after(decision)`, and only when the gate opened: a
refused scan leaves the state as it was. So the state is a fold over the taps of the gates that opened, and replaying the
spooled taps in their order after a restart gives the same state back (but for the credentials that were already verified,
which are then verified once more).

A code is spent when it opens a gate, and then opens no other. A code that was refused has moved nobody and is not spent:
shown again it gets the same answer, so a reader that sees it ten times a second does not turn ALREADY_INSIDE into REPLAYED.

The reason that is reported is the first of several, in the order of `_STEPS`: from what costs nothing to what costs a
signature, and last what only an authentic code may learn, whether its medium is inside.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum

from city_adapters.deny_list import DenyList, ListAge
from fare_chain import rider_code
from fare_chain.hashing import sha256
from fare_chain.keys import KeyRing, PublicKey
from fare_chain.rider_code import CLOCK_SKEW_US, CREDENTIAL_BYTES, LIFETIME_US, CodeReason, CodeRefused, RiderCode
from fare_chain.tap import GOING_IN, GOING_OUT, Tap, TapFlag, TapKind

LONGEST_RIDE_US = 24 * 3600 * 1_000_000
"""How long an entry stays open; the agreement's `longest_ride_us` says otherwise where it does."""
CREDENTIALS_KEPT = 1 << 18
"""How many verified credentials are remembered: some 50 MB, the riders of a busy hour."""


class Reason(IntEnum):
    """What a gate did. 0 opens; 1 to 31 are the code's own reasons, 32 and up the gate's. Numbers are never used twice."""

    OPEN = 0
    MALFORMED = CodeReason.MALFORMED.value
    UNKNOWN_VERSION = CodeReason.UNKNOWN_VERSION.value
    UNKNOWN_SUITE = CodeReason.UNKNOWN_SUITE.value
    STRIPPED = CodeReason.STRIPPED.value
    UNKNOWN_CATEGORY = CodeReason.UNKNOWN_CATEGORY.value
    EXPIRED = CodeReason.EXPIRED.value
    NOT_YET_VALID = CodeReason.NOT_YET_VALID.value
    STALE = CodeReason.STALE.value
    FROM_FUTURE = CodeReason.FROM_FUTURE.value
    UNKNOWN_ISSUER = CodeReason.UNKNOWN_ISSUER.value
    ISSUER_KEY_NOT_VALID = CodeReason.ISSUER_KEY_NOT_VALID.value
    FORGED_CREDENTIAL = CodeReason.FORGED_CREDENTIAL.value
    BAD_DEVICE_SIGNATURE = CodeReason.BAD_DEVICE_SIGNATURE.value
    UNKNOWN_STATION = 32
    WRONG_KIND = 33
    REPLAYED = 34
    DENIED = 35
    DENY_LIST_TOO_OLD = 36
    ALREADY_INSIDE = 37
    NOT_INSIDE = 38
    PASSAGE_CLOSED = 39


@dataclass(frozen=True, slots=True)
class Scan:
    """One showing of a code to a gate: `station` and `gate` are numbers of the host, `gate_seq` will be its tap's."""

    code: bytes
    station: int
    gate: int
    gate_seq: int
    kind: TapKind
    host: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate did with a scan.

    `tap` is the reading to spool; of kind REFUSED, kept locally, where the gate stayed shut; None where no medium can be named.
    `proof` names the credential that was found authentic, for the state to remember; None unless the gate opened.
    """

    reason: Reason
    tap: Tap | None
    code: bytes
    proof: bytes | None = None

    @property
    def opens(self) -> bool:
        """Tell whether the rider passes."""
        return self.reason is Reason.OPEN


class GateState:
    """What one city's gates know together: who is inside, which codes are spent, which credentials were verified.

    One object that moves on: `after` changes it in constant time and returns it, `decide` only asks. Nothing in it grows without
    bound: open entries last as long as the longest ride, spent codes until they are stale anyway, credentials up to a number.
    """

    __slots__ = (
        "_credentials",
        "_credentials_kept",
        "_inside",
        "_spent",
        "host",
        "longest_ride_us",
        "markers",
        "passages",
        "stations",
    )

    def __init__(
        self,
        host: int,
        stations: Collection[int],
        *,
        longest_ride_us: int = LONGEST_RIDE_US,
        credentials_kept: int = CREDENTIALS_KEPT,
        passages: Mapping[int, Collection[int]] | None = None,
        markers: bool = False,
    ) -> None:
        """Begin with nobody inside, in the city of that number with stations of these numbers.

        `passages` gives, for each station with a paid-area passage into another city, the issuers whose riders may walk it;
        `markers` says whether this city's split rule reads marker taps.
        """
        self.host = host
        self.stations = frozenset(stations)
        self.passages = {station: frozenset(issuers) for station, issuers in (passages or {}).items()}
        self.markers = markers
        self.longest_ride_us = longest_ride_us
        self._credentials_kept = credentials_kept
        # OrderedDict and not dict: taking the oldest out of a dict again and again walks over all that was taken before.
        self._inside: OrderedDict[bytes, int] = OrderedDict()
        self._spent: OrderedDict[bytes, int] = OrderedDict()
        self._credentials: OrderedDict[bytes, None] = OrderedDict()

    def entered_at_us(self, medium: bytes, now_us: int) -> int | None:
        """When this medium went in, if it is inside now; an entry older than the longest ride is over."""
        entered_at_us = self._inside.get(medium)
        return entered_at_us if entered_at_us is not None and now_us - entered_at_us <= self.longest_ride_us else None

    def has_spent(self, digest: bytes) -> bool:
        """Tell whether this very code opened a gate while it was fresh."""
        return digest in self._spent

    def has_proved(self, proof: bytes) -> bool:
        """Tell whether this credential was verified under this issuer key before."""
        return proof in self._credentials

    def sizes(self) -> dict[str, int]:
        """How much is remembered, for those who watch the gates."""
        return {"inside": len(self._inside), "spent": len(self._spent), "credentials": len(self._credentials)}

    def after(self, happened: Decision | Tap) -> "GateState":
        """Take in a decision, or after a restart a spooled tap: this object as it is after it, in constant time."""
        tap = happened if isinstance(happened, Tap) else happened.tap
        if tap is None or tap.kind == TapKind.REFUSED:
            return self
        if isinstance(happened, Decision) and happened.proof is not None:
            self._remember(happened.proof)
        if tap.kind in GOING_OUT:
            self._inside.pop(tap.medium, None)
        elif tap.kind in GOING_IN:
            self._inside[tap.medium] = tap.tapped_at_us
            self._inside.move_to_end(tap.medium)
        self._spent[tap.code_digest] = tap.tapped_at_us
        _forget_until(self._inside, tap.tapped_at_us - self.longest_ride_us)
        _forget_until(self._spent, tap.tapped_at_us - LIFETIME_US - CLOCK_SKEW_US)
        return self

    def _remember(self, proof: bytes) -> None:
        """Keep a verified credential, instead of the one that was not shown for longest."""
        self._credentials[proof] = None
        self._credentials.move_to_end(proof)
        if len(self._credentials) > self._credentials_kept:
            self._credentials.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Look:
    """All that a step of the decision may look at."""

    scan: Scan
    code: RiderCode
    state: GateState
    ring: KeyRing
    deny: DenyList
    now_us: int


def decide(scan: Scan, state: GateState, ring: KeyRing, deny: DenyList, now_us: int) -> Decision:
    """Decide on one scan: a pure function of its arguments; total, whatever bytes were scanned."""
    try:
        code = rider_code.read(scan.code)
    except CodeRefused as refused:
        return Decision(Reason(refused.reason), None, scan.code)
    look = _Look(scan, code, state, ring, deny, now_us)
    reason = _first_fault(look)
    if reason is not Reason.OPEN:
        return Decision(reason, _tap(look, TapKind.REFUSED), scan.code)
    proof = _proof(code, rider_code.issuer_key(code, ring, now_us))
    return Decision(reason, _tap(look, scan.kind), scan.code, proof)


def _first_fault(look: _Look) -> Reason:
    """The first reason to stay shut, in the order of the steps; OPEN where there is none."""
    try:
        for step in _STEPS:
            reason = step(look)
            if reason is not Reason.OPEN:
                return reason
    except CodeRefused as refused:
        return Reason(refused.reason)
    return Reason.OPEN


def _place(look: _Look) -> Reason:
    """The gate itself: a station of this city, a kind of tap that is taken there, a passage that this issuer's riders may walk."""
    if look.scan.host != look.state.host or look.scan.station not in look.state.stations:
        return Reason.UNKNOWN_STATION
    if look.scan.kind in (TapKind.ENTRY, TapKind.EXIT):
        return Reason.OPEN
    if look.scan.kind == TapKind.MARKER:
        return Reason.OPEN if look.state.markers else Reason.WRONG_KIND
    walkers = look.state.passages.get(look.scan.station)
    if look.scan.kind == TapKind.REFUSED or walkers is None:
        return Reason.WRONG_KIND
    return Reason.OPEN if look.code.credential.issuer in walkers else Reason.PASSAGE_CLOSED


def _times(look: _Look) -> Reason:
    """The credential's period, then the code's freshness: a fresh code would not help an expired credential."""
    rider_code.check_period(look.code, look.now_us)
    rider_code.check_fresh(look.code, look.now_us)
    return Reason.OPEN


def _replay(look: _Look) -> Reason:
    """One code opens one gate."""
    return Reason.REPLAYED if look.state.has_spent(look.code.digest) else Reason.OPEN


def _denied(look: _Look) -> Reason:
    """The deny list; when it is degraded, visitors begin no journey, but everybody inside gets out."""
    if look.deny.denies(look.code.medium):
        return Reason.DENIED
    visits = look.code.credential.issuer != look.scan.host
    if visits and look.scan.kind in GOING_IN and look.deny.age(look.now_us) is ListAge.DEGRADED:
        return Reason.DENY_LIST_TOO_OLD
    return Reason.OPEN


def _credential(look: _Look) -> Reason:
    """The issuer's key as it is now, and its signature unless that was verified before."""
    key = rider_code.issuer_key(look.code, look.ring, look.now_us)
    if not look.state.has_proved(_proof(look.code, key)):
        rider_code.verify_credential(look.code, key)
    return Reason.OPEN


def _device(look: _Look) -> Reason:
    """The device's signature, at every scan."""
    rider_code.verify_device(look.code)
    return Reason.OPEN


def _order(look: _Look) -> Reason:
    """In before out. An exit without a known entry is good if the device names one here: the entry gate may be offline.

    A marker is passed inside, and leaves the rider there.
    """
    entered_at_us = look.state.entered_at_us(look.code.medium, look.now_us)
    if look.scan.kind in GOING_IN:
        return Reason.OPEN if entered_at_us is None else Reason.ALREADY_INSIDE
    return Reason.OPEN if entered_at_us is not None or _names_entry_here(look) else Reason.NOT_INSIDE


_STEPS: tuple[Callable[[_Look], Reason], ...] = (_place, _times, _replay, _denied, _credential, _device, _order)


def _names_entry_here(look: _Look) -> bool:
    """Tell whether the code's journey state names an entry at a station of this city that may still be open."""
    journey = look.code.journey
    if journey is None or journey.host != look.scan.host or journey.station not in look.state.stations:
        return False
    ride_us = look.now_us - journey.entered_at_s * 1_000_000
    return -CLOCK_SKEW_US <= ride_us <= look.state.longest_ride_us


def _proof(code: RiderCode, key: PublicKey) -> bytes:
    """What names a verified credential: the key it was verified under and its bytes."""
    return sha256(key.public + code.code[:CREDENTIAL_BYTES])


def _tap(look: _Look, kind: TapKind) -> Tap:
    """The reading, as it is spooled or kept."""
    flags = TapFlag(0) if look.deny.age(look.now_us) is ListAge.CURRENT else TapFlag.OLD_DENY_LIST
    scan, code = look.scan, look.code
    return Tap(
        look.now_us, code.medium, code.digest, scan.gate_seq, scan.gate, scan.station, scan.host, code.credential.issuer,
        kind, category=code.credential.category, flags=flags, entitlement=code.credential.entitlement,
    )  # fmt: skip


def _forget_until(remembered: OrderedDict[bytes, int], moment_us: int) -> None:
    """Drop what is older, oldest first, at most two: more than comes in, and never a long pause at a gate."""
    for _ in range(2):
        oldest = next(iter(remembered), None)
        if oldest is None or remembered[oldest] >= moment_us:
            return
        del remembered[oldest]

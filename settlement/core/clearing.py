"""Clear: a tick's taps into journeys, fares, shares and obligations; a pure fold over the ledger, the same on every machine."""

from dataclasses import dataclass, replace

import numpy as np

from fare_chain.errors import Conflict
from settlement.core.apportionment import apportion_fares, draws
from settlement.core.columns import EXCEPTION_DTYPE, TAP_DTYPE, ClearingReason, Mask, Records, Taps, in_byte_order, join, pick
from settlement.core.deltas import delta_root
from settlement.core.journeys import Rides, id_numbers, identify, record
from settlement.core.obligations import Charges, add_up, charge, oblige
from settlement.core.pairing import accuse, pair
from settlement.core.pricing import Fares, price
from settlement.core.rules import PinnedTable
from settlement.core.state import OpenWindow, State

MICROS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """What one commit of the sequencer appended: entries [from_index, to_index), all recorded at `recorded_us`.

    `seed` is the leaf hash of the last of them, `taps` (TAP_DTYPE) the bodies of its batches one behind the other, `tables`
    what its TARIFF entries put in force, for this tick already.
    """

    recorded_us: int
    from_index: int
    to_index: int
    seed: bytes
    taps: Taps
    tables: tuple[PinnedTable, ...] = ()

    @property
    def second(self) -> int:
        """The window in which the tick is cleared."""
        return self.recorded_us // MICROS


@dataclass(frozen=True, slots=True, eq=False)
class Cleared:
    """What a tick came to: the same rows and bytes in whatever order its taps came.

    JOURNEY_DTYPE by id, SHARE_DTYPE by journey, SUM_DTYPE by key, EXCEPTION_DTYPE by bytes, and the hash over them all.
    """

    recorded_us: int
    from_index: int
    to_index: int
    taps: int
    journeys: Records
    shares: Records
    sums: Records
    exceptions: Records
    delta_root: bytes


def clear(state: State, tick: Tick) -> tuple[State, Cleared]:
    """Clear one tick: a pure function of what earlier ticks left and of this one. Conflict where it is not the next one."""
    _check_follows(state, tick)
    rules = state.rules.including(tick.tables)
    pairing = pair(state.waiting, tick.taps, rules, tick.recorded_us)
    rides = identify(pairing.legs)
    draw = draws(tick.seed, id_numbers(rides.journey_id))
    fares = price(rides, rules)
    charges = charge(rides.entries, fares.fare_fen.clip(0), rules, draw)
    unpaid = _exceptions(rides, fares, charges)
    if len(unpaid):
        keep = np.flatnonzero(fares.priced() & charges.agreed)
        rides, fares, charges, draw = rides.take(keep), fares.take(keep), charges.take(keep), draw[keep]
    journeys = record(
        rides,
        fare_fen=fares.fare_fen,
        distance_m=fares.distance_m,
        tariff=fares.version,
        commission_fen=charges.commission_fen,
        fee_fen=charges.fee_fen,
    )
    shares = apportion_fares(fares, rules, draw)
    sums = oblige(journeys, shares)
    exceptions = in_byte_order(join([pairing.exceptions, unpaid], EXCEPTION_DTYPE))
    root = delta_root(journeys, shares, sums, exceptions)
    cleared = Cleared(tick.recorded_us, tick.from_index, tick.to_index, len(tick.taps), journeys, shares, sums, exceptions, root)
    after = replace(state, next_index=tick.to_index, recorded_us=tick.recorded_us, rules=rules, waiting=pairing.waiting)
    return replace(after, window=_including(state.window, cleared)), cleared


def _check_follows(state: State, tick: Tick) -> None:
    """Refuse a tick that is not the next one: a gap or a repeat here would be a gap or a repeat in the money."""
    if tick.from_index != state.next_index or tick.to_index <= tick.from_index:
        raise Conflict(
            f"the tick holds entries {tick.from_index} to {tick.to_index}, but {state.next_index} is the next to clear: give that"
        )
    if tick.recorded_us <= state.recorded_us:
        raise Conflict(f"the tick is recorded at {tick.recorded_us} us, not after the last one at {state.recorded_us} us")
    if tick.second != state.second:
        raise Conflict(f"the tick belongs to second {tick.second}, but {state.second} is open: close every second before it first")
    assert tick.taps.dtype == TAP_DTYPE, tick.taps.dtype


def _exceptions(rides: Rides, fares: Fares, charges: Charges) -> Records:
    """Both taps of every ride that cannot be paid, with the reason."""
    unpriced: Mask = ~fares.priced()
    reason = np.where(unpriced, ClearingReason.NO_FARE, ClearingReason.NO_AGREEMENT)
    unpaid = unpriced | ~charges.agreed
    return join([accuse(pick(taps, unpaid), reason[unpaid]) for taps in (rides.entries, rides.exits)], EXCEPTION_DTYPE)


def _including(window: OpenWindow, cleared: Cleared) -> OpenWindow:
    return OpenWindow(
        from_index=window.from_index,
        taps=window.taps + cleared.taps,
        journeys=window.journeys + len(cleared.journeys),
        sums=add_up([window.sums, cleared.sums]),
        delta_roots=(*window.delta_roots, cleared.delta_root),
    )

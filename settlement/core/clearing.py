"""Clear: a tick's taps into journeys, fares, shares and obligations; a pure fold over the ledger, the same on every machine."""

from dataclasses import dataclass, replace

import numpy as np

from fare_chain.errors import Conflict
from settlement.core.apportionment import apportion_fares, draws
from settlement.core.border_joins import join_at_borders
from settlement.core.columns import (
    EXCEPTION_DTYPE,
    TAP_DTYPE,
    ClearingReason,
    Mask,
    Records,
    Taps,
    in_byte_order,
    join,
    no_rows,
    pick,
)
from settlement.core.deltas import delta_root
from settlement.core.discounts import discount, earned_fen
from settlement.core.journeys import Between, Rides, id_numbers, identify, kept, record
from settlement.core.objections import NOTHING_FALLS, Objection, Upheld
from settlement.core.obligations import Charges, add_up, charge, oblige, owe_back
from settlement.core.pairing import accuse, pair
from settlement.core.pricing import Fares, price
from settlement.core.reversals import objected_taps, still_reversed, uphold
from settlement.core.rules import PinnedTable
from settlement.core.state import OpenWindow, State

MICROS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """What one commit of the sequencer appended: entries [from_index, to_index), all recorded at `recorded_us`.

    `seed` is the leaf hash of the last of them, `taps` (TAP_DTYPE) the bodies of its batches one behind the other, `tables`
    what its TARIFF entries put in force, for this tick already, `objections` what its EVIDENCE entries object to.
    """

    recorded_us: int
    from_index: int
    to_index: int
    seed: bytes
    taps: Taps
    tables: tuple[PinnedTable, ...] = ()
    objections: tuple[Objection, ...] = ()

    @property
    def second(self) -> int:
        """The window in which the tick is cleared."""
        return self.recorded_us // MICROS


@dataclass(frozen=True, slots=True, eq=False)
class Cleared:
    """What a tick came to: the same rows and bytes in whatever order its taps came.

    JOURNEY_DTYPE by id, SHARE_DTYPE by journey, SUM_DTYPE by key, EXCEPTION_DTYPE and JOIN_DTYPE by bytes, the journeys that fall,
    and the hash over them all.
    """

    recorded_us: int
    from_index: int
    to_index: int
    taps: int
    journeys: Records
    shares: Records
    sums: Records
    exceptions: Records
    joins: Records
    delta_root: bytes
    upheld: Upheld = NOTHING_FALLS


def clear(state: State, tick: Tick) -> tuple[State, Cleared]:
    """Clear one tick: a pure function of what earlier ticks left and of this one.

    Conflict where it is not the next one, Untrusted where it holds an objection that brings another journey than its tap's.
    """
    _check_follows(state, tick)
    rules = state.rules.including(tick.tables)
    pairing = pair(state.waiting, state.due, state.counted, tick.taps, rules, tick.recorded_us, objected_taps(tick.objections))
    rides, between = identify(pairing.ridden, pairing.between)
    draw = draws(tick.seed, id_numbers(rides.journey_id))
    fares = price(rides, rules)
    discounts = discount(rides.entries, fares, rules)
    fare_fen = earned_fen(fares, discounts)
    charges = charge(rides.entries, fare_fen.clip(0), rules, draw)
    unpaid = _exceptions(rides, between, fares, charges)
    if len(unpaid):
        keep = np.flatnonzero(fares.priced() & charges.agreed)
        between = kept(between, keep, len(rides))
        rides, fares, discounts, charges = rides.take(keep), fares.take(keep), discounts.take(keep), charges.take(keep)
        fare_fen, draw = fare_fen[keep], draw[keep]
    journeys = record(
        rides,
        fare_fen=fare_fen,
        nominal_fen=fares.nominal_fen,
        discount_fen=discounts.discount_fen,
        funder=discounts.funder,
        surcharge_fen=fares.surcharge_fen,
        distance_m=fares.distance_m,
        tariff=fares.version,
        weight_set=fares.weight_set,
        commission_fen=charges.commission_fen,
        fee_fen=charges.fee_fen,
    )
    shares = apportion_fares(fares, fare_fen, between, rules, draw)
    upheld = uphold(tick.objections, state.closed, state.reversed) if tick.objections else NOTHING_FALLS
    sums = oblige(journeys, shares)
    if len(upheld.adjustments):
        sums = add_up([sums, owe_back(*upheld)])
    exceptions = in_byte_order(join([pairing.exceptions, unpaid], EXCEPTION_DTYPE))
    joins, sides = join_at_borders(state.sides, rides, rules, tick.recorded_us)
    root = delta_root(journeys, shares, sums, exceptions, joins, upheld)
    cleared = Cleared(
        tick.recorded_us, tick.from_index, tick.to_index, len(tick.taps), journeys, shares, sums, exceptions, joins, root, upheld
    )
    after = replace(
        state, next_index=tick.to_index, recorded_us=tick.recorded_us, rules=rules, waiting=pairing.waiting, due=pairing.due,
        sides=sides, counted=pairing.counted, reversed=still_reversed(state.reversed, upheld.adjustments, state.closed),
    )  # fmt: skip
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


def _exceptions(rides: Rides, between: Between, fares: Fares, charges: Charges) -> Records:
    """Every tap of each ride that cannot be paid, with the reason."""
    unpriced: Mask = ~fares.priced()
    reason = np.where(unpriced, ClearingReason.NO_FARE, ClearingReason.NO_AGREEMENT)
    unpaid = unpriced | ~charges.agreed
    if not unpaid.any():
        return no_rows(EXCEPTION_DTYPE)
    inner = between.of(unpaid)
    accused = [(pick(rides.entries, unpaid), reason[unpaid]), (pick(rides.exits, unpaid), reason[unpaid])]
    return join([accuse(*each) for each in (*accused, (inner.taps, reason[inner.ride]))], EXCEPTION_DTYPE)


def _including(window: OpenWindow, cleared: Cleared) -> OpenWindow:
    return OpenWindow(
        from_index=window.from_index,
        taps=window.taps + cleared.taps,
        journeys=window.journeys + len(cleared.journeys),
        sums=add_up([window.sums, cleared.sums]),
        delta_roots=(*window.delta_roots, cleared.delta_root),
    )

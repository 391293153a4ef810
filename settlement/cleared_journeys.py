"""A cleared journey explained: found in the store, valued again by the tables in force then, and held to what is stored."""

import asyncio
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.errors import Conflict, Malformed, Unknown, Untrusted
from fare_chain.identifiers import MemberNumber
from settlement.core.columns import DUE_DTYPE, AdjustmentReason, MoneyState, Taps, no_rows
from settlement.core.journeys import Between, identify
from settlement.core.one_ride import NOTHING_BETWEEN, ride_of, value, written
from settlement.core.pairing import pair
from settlement.core.rules import PinnedTable, Rules, pin
from settlement.core.tap_counters import CountedTaps
from settlement.core.waiting import WaitingTaps
from settlement.explanation.explained import ExplainedReversal, Explanation, JoinedExplanation, explain
from settlement.hosted_rides import HostedRide
from settlement.pinned_cities import PinnedCities
from settlement.store import journeys
from settlement.store.journeys import SEARCHED_US, StoredJourney
from settlement.store.objections import fall_of

MOST_SEARCHED_US = 7 * SEARCHED_US


@dataclass(frozen=True, slots=True)
class Names:
    """What lends names and reasons: the cities' folders where they are at hand, and the members' names by number."""

    pinned: PinnedCities | None
    members: dict[int, str]


async def explain_journey(
    connection: AsyncConnection,
    journey_id: bytes,
    from_us: int | None,
    to_us: int,
    names: Names,
    seen_by: int | None = None,
) -> Explanation | JoinedExplanation:
    """Explain a journey that was cleared in [from_us, to_us), a day before `to_us` without a beginning, and what it is joined to.

    `seen_by` is the city that asks: it must be host or issuer, else Untrusted; what is joined is told where it is that too. Unknown
    where no journey is found there; Conflict where valuing it again does not give what is stored.
    """
    begin_us = to_us - SEARCHED_US if from_us is None else from_us
    if to_us - begin_us > MOST_SEARCHED_US:
        raise Malformed(f"the span is {(to_us - begin_us) // 1_000_000} seconds, a search goes over seven days at most: narrow it")
    stored = await journeys.find_journey(connection, journey_id, begin_us, to_us)
    if stored is None:
        raise Unknown(
            f"no journey {journey_id.hex()} was cleared between second {begin_us // 1_000_000} and {to_us // 1_000_000}: "
            "correct its id, or give from and to around the second in which it was recorded"
        )
    if not _is_party(seen_by, stored):
        raise Untrusted(
            f"journey {journey_id.hex()} is other cities' detail, not that of city {seen_by}: "
            "ask with the key of its host or issuer"
        )
    told = await _explained(connection, stored, names)
    join = await journeys.find_join(connection, stored)
    if join is None:
        return told
    first, second, joined_us = join
    other_id = second if first == journey_id else first
    # Both were cleared when the join was, or at most a day before.
    other = await journeys.find_journey(connection, other_id, joined_us - SEARCHED_US - 1, joined_us + 1)
    if other is None or not _is_party(seen_by, other):
        return told
    beside = await _explained(connection, other, names)
    return JoinedExplanation((told, beside) if first == journey_id else (beside, told))


def _is_party(city: int | None, stored: StoredJourney) -> bool:
    return city is None or city in (int(stored.journey["host"][0]), int(stored.journey["issuer"][0]))


async def _explained(connection: AsyncConnection, stored: StoredJourney, names: Names) -> Explanation:
    host = int(stored.journey["host"][0])
    seed = await journeys.seed_of(connection, stored)
    tables = await journeys.tables_in_force(connection, host, stored.to_index)
    taps = await journeys.taps_of(connection, stored) if int(stored.journey["markers"][0]) else None
    # Numbers only from here on: a large city takes a moment, and the house goes on meanwhile.
    told = await asyncio.to_thread(_valued, stored, seed, tables, taps, names)
    return await _with_fall(connection, stored, told)


async def _with_fall(connection: AsyncConnection, stored: StoredJourney, told: Explanation) -> Explanation:
    """The explanation as it was, and what brought the journey down since, if anything did."""
    found = await fall_of(connection, stored.journey["journey_id"][0].tobytes(), stored.from_index)
    if found is None:
        return told
    numbers = [int(found[name][0]) for name in ("entry_index", "second", "fare_fen", "commission_fen", "fee_fen")]
    reversal = ExplainedReversal(AdjustmentReason(int(found["reason"][0])).name, *numbers)
    return replace(told, state=MoneyState.REVERSED.name, reversal=reversal)


def _valued(stored: StoredJourney, seed: bytes, tables: list[tuple[bytes, bytes]], taps: Taps | None, names: Names) -> Explanation:
    host, issuer = int(stored.journey["host"][0]), int(stored.journey["issuer"][0])
    city = names.pinned.catalogue.by_number.get(MemberNumber(host)) if names.pinned else None
    folded = names.pinned.rules(city) if names.pinned and city else Rules()
    held = {table.sha256: table for table in folded.pins}
    pins = [held[digest] if digest in held else _pinned(digest, data) for digest, data in tables]
    rules = Rules().including(pins)
    rides = ride_of(stored.journey)
    between = NOTHING_BETWEEN if taps is None else _between(stored, taps, rules)
    one = value(rides, between, rules, seed)
    _hold_to_stored(stored, written(one).tobytes(), one.shares_fen[one.weights > 0])
    is_folder = any(digest in held for digest, _ in tables[:1])
    return explain(HostedRide(city, is_folder, names.members.get(issuer, str(issuer)), rules, one), names.pinned, seed)


def _pinned(digest: bytes, data: bytes) -> PinnedTable:
    table = pin(data)
    if table.sha256 != digest:
        raise Conflict(f"the table held as {digest.hex()} has another hash: the database was changed, restore a backup")
    return table


def _between(stored: StoredJourney, taps: Taps, rules: Rules) -> Between:
    """The marker taps of a journey: its rider's taps are paired again, and the journey of its id is taken."""
    pairing = pair(WaitingTaps(), no_rows(DUE_DTYPE), CountedTaps(), taps, rules, stored.recorded_us)
    rides, between = identify(pairing.ridden, pairing.between)
    ours = rides.journey_id == stored.journey["journey_id"][0]
    own = between.of(ours)
    return Between(np.zeros(len(own.ride), np.int64), own.taps)


def _hold_to_stored(stored: StoredJourney, journey: bytes, shares_fen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """An explanation that gives other money than what was cleared explains nothing."""
    if journey != stored.journey.tobytes() or shares_fen.tolist() != stored.shares["amount_fen"].tolist():
        raise Conflict(
            f"valuing journey {stored.journey['journey_id'][0].tobytes().hex()} again does not give what is stored: "
            "run `fare-chain verify` on the log and compare"
        )

"""One ride valued by itself, by the very steps that a tick takes: for quotes, and to explain a journey that is cleared."""

from typing import NamedTuple

import numpy as np

from fare_chain.errors import Unknown
from fare_chain.tap import Tap
from settlement.core.apportionment import apportion, draws, weights_of
from settlement.core.columns import TAP_DTYPE, Fens, Int64, Records, Taps, no_rows
from settlement.core.discounts import Discounts, discount, earned_fen
from settlement.core.journeys import Between, Rides, id_numbers, journey_ids, record
from settlement.core.obligations import Charges, charge
from settlement.core.pricing import Fares, price
from settlement.core.rules import Rules, Tariff


class OneRide(NamedTuple):
    """A ride as columns of one row each, and what it came to.

    `fare_fen` is what the host earned, `weights` and `shares_fen` stand in the order of the host's beneficiaries, the shares as
    the drawn point gives them. `agreement` counts the rules' agreements, -1 where none is in force.
    """

    rides: Rides
    fares: Fares
    discounts: Discounts
    charges: Charges
    tariff: Tariff
    fare_fen: int
    weights: Int64
    shares_fen: Fens
    draw: int
    agreement: int


def two_taps(entry: Tap, exit_tap: Tap) -> Rides:
    """The ride that an entry and an exit tap make."""
    entries = _records([entry])
    return Rides(journey_ids(entries), entries, _records([exit_tap]), np.ones(1, np.int64), np.zeros(1, np.int64))


def ride_of(journey: Records) -> Rides:
    """The ride that one journey record (JOURNEY_DTYPE, one row) tells of, without what lay between its ends."""
    return Rides(
        journey["journey_id"].copy(),
        _side(journey, "entered_at_us", "from"),
        _side(journey, "exited_at_us", "to"),
        journey["legs"].astype(np.int64),
        journey["markers"].astype(np.int64),
    )


NOTHING_BETWEEN = Between(np.zeros(0, np.int64), no_rows(TAP_DTYPE))
"""No tap between the first and the last."""


def value(rides: Rides, between: Between, rules: Rules, seed: bytes) -> OneRide:
    """Price, discount, charge and apportion one ride by the draw that `seed` gives it; Unknown where it has no fare."""
    draw = draws(seed, id_numbers(rides.journey_id))
    fares = price(rides, rules)
    if not fares.priced().all():
        raise Unknown("no fare is in force between these two stations at the moment of entry")
    discounts = discount(rides.entries, fares, rules)
    fare_fen = earned_fen(fares, discounts)
    charges = charge(rides.entries, fare_fen, rules, draw)
    if not charges.agreed.all():
        raise Unknown("no agreement between the issuer and the host was in force at the moment of entry")
    tariff = rules.tariffs[int(fares.tariff[0])]
    weights = weights_of(fares, between, tariff, np.zeros(1, np.int64), rules).astype(np.int64)
    shares = apportion(fare_fen, weights, draw)
    agreement = int(rules.agreement_at(rides.entries["tapped_at_us"])[0])
    return OneRide(
        rides, fares, discounts, charges, tariff, int(fare_fen[0]), weights[0], shares[0], int(draw[0]), agreement
    )  # fmt: skip


def written(one: OneRide) -> Records:
    """The ride's journey record (JOURNEY_DTYPE, one row), as the tick that clears it writes it."""
    return record(
        one.rides,
        fare_fen=np.array([one.fare_fen]),
        nominal_fen=one.fares.nominal_fen,
        discount_fen=one.discounts.discount_fen,
        funder=one.discounts.funder,
        surcharge_fen=one.fares.surcharge_fen,
        distance_m=one.fares.distance_m,
        tariff=one.fares.version,
        weight_set=one.fares.weight_set,
        commission_fen=one.charges.commission_fen,
        fee_fen=one.charges.fee_fen,
    )


def _records(taps: list[Tap]) -> Taps:
    return np.frombuffer(b"".join(tap.to_bytes() for tap in taps), TAP_DTYPE)


def _side(journey: Records, at_us: str, end: str) -> Taps:
    """One end of a journey as a tap, of which only what valuing reads is told."""
    taps = np.zeros(1, TAP_DTYPE)
    taps["tapped_at_us"], taps["station"], taps["gate"] = journey[at_us], journey[f"{end}_station"], journey[f"{end}_gate"]
    for name in ("medium", "host", "issuer", "category", "entitlement"):
        taps[name] = journey[name]
    return taps

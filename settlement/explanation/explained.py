"""The explanation of one host's ride, or of both legs of a ride over a border, as a value."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from fare_chain.hashing import sha256
from settlement.core.columns import MoneyState
from settlement.explanation.price import ExplainedPrice, ExplainedStation, explained_price, station_of
from settlement.explanation.shares import (
    ExplainedCommission,
    ExplainedDraw,
    ExplainedShare,
    explained_commission,
    explained_draw,
    explained_shares,
)
from settlement.explanation.split import ExplainedSplit, explained_split
from settlement.explanation.terms import ExplainedDiscount, ExplainedTime, explained_discount, explained_time
from settlement.hosted_rides import HostedRide
from settlement.pinned_cities import PinnedCities
from settlement.quotes import table_hash, yuan

FORMAT = "fare-chain/explanation/1"


@dataclass(frozen=True, slots=True)
class ExplainedTables:
    """What the ledger names by hash, and the arrays in it that count here: SHA-256 over their bytes as they stand there."""

    city_table: str
    fare_array: str
    distance_array: str
    weight_array: str
    agreement: str
    tariff: str
    version: int
    valid_from_us: int
    valid_to_us: int


@dataclass(frozen=True, slots=True)
class ExplainedReversal:
    """What brought a journey down: the EVIDENCE entry, and the window whose amounts are owed the other way."""

    reason: str
    evidence_entry: int
    corrects_second: int
    fare_fen: int
    commission_fen: int
    fee_fen: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything needed to recompute one host's ride by hand; money in fen, moments in microseconds since 1970 UTC.

    `fare_fen` = nominal + surcharge - discount (less no discount that the issuer funds) is what is shared. `draw` and the fen of
    shares are there for a cleared journey alone: a quote draws nothing. `state` is CLEARED or REVERSED, and blank for a quote;
    `reversal` says what took the journey back, its amounts stay those that were booked.
    """

    from_station: ExplainedStation
    to_station: ExplainedStation
    host: str
    issuer: str
    entered_at_us: int
    exited_at_us: int
    at: str
    legs: int
    markers: int
    nominal_fen: int
    surcharge_fen: int
    discount_fen: int
    rider_pays_fen: int
    fare_fen: int
    price: ExplainedPrice
    time: ExplainedTime
    discount: ExplainedDiscount
    split: ExplainedSplit
    shares: tuple[ExplainedShare, ...]
    draw: ExplainedDraw | None
    commission: ExplainedCommission | None
    tables: ExplainedTables
    remarks: tuple[str, ...]
    state: str = ""
    reversal: ExplainedReversal | None = None

    def to_json(self) -> dict[str, Any]:
        """The explanation under stable names."""
        return {"format": FORMAT, "kind": "ride", **asdict(self)}


@dataclass(frozen=True, slots=True)
class JoinedExplanation:
    """A ride over a border: each city's tariff, split and clock for its own leg; the fare is the sum, cut at the station."""

    legs: tuple[Explanation, ...]

    @property
    def fare_fen(self) -> int:
        """What both hosts earn."""
        return sum(leg.fare_fen for leg in self.legs)

    @property
    def rider_pays_fen(self) -> int:
        """What the rider pays."""
        return sum(leg.rider_pays_fen for leg in self.legs)

    def to_json(self) -> dict[str, Any]:
        """The explanation under stable names."""
        return {
            "format": FORMAT,
            "kind": "joined ride",
            "fare_fen": self.fare_fen,
            "fare_yuan": yuan(self.fare_fen),
            "rider_pays_fen": self.rider_pays_fen,
            "legs": [leg.to_json() for leg in self.legs],
        }


def explain(ride: HostedRide, pinned: PinnedCities | None, seed: bytes | None = None) -> Explanation:
    """Explain one host's ride; `seed` is that of the tick in which it was cleared, None for a quote."""
    one, network = ride.one, ride.city.network if ride.city else None
    start, end = (station_of(network, station_id) for station_id in ride.station_ids)
    price = explained_price(ride, pinned)
    nominal_fen, surcharge_fen, discount_fen = (
        int(column[0]) for column in (one.fares.nominal_fen, one.fares.surcharge_fen, one.discounts.discount_fen)
    )
    return Explanation(
        from_station=start,
        to_station=end,
        host=ride.table.slug,
        issuer=ride.issuer,
        entered_at_us=ride.entered_at_us,
        exited_at_us=int(one.rides.exits["tapped_at_us"][0]),
        at=datetime.fromtimestamp(ride.entered_at_us // 1_000_000, UTC).isoformat(),
        legs=int(one.rides.legs[0]),
        markers=int(one.rides.markers[0]),
        nominal_fen=nominal_fen,
        surcharge_fen=surcharge_fen,
        discount_fen=discount_fen,
        rider_pays_fen=nominal_fen + surcharge_fen - discount_fen,
        fare_fen=one.fare_fen,
        price=price,
        time=explained_time(ride),
        discount=explained_discount(ride),
        split=explained_split(ride, ride.price_parts(pinned)),
        shares=explained_shares(ride, is_drawn=seed is not None),
        draw=None if seed is None else explained_draw(ride, seed),
        commission=explained_commission(ride, is_drawn=seed is not None),
        tables=_tables(ride),
        remarks=_remarks(ride),
        state="" if seed is None else MoneyState.CLEARED.name,
    )


def explain_all(rides: tuple[HostedRide, ...], pinned: PinnedCities) -> Explanation | JoinedExplanation:
    """Explain a quote of one leg or of two."""
    legs = tuple(explain(ride, pinned) for ride in rides)
    return legs[0] if len(legs) == 1 else JoinedExplanation(legs)


def _tables(ride: HostedRide) -> ExplainedTables:
    version = ride.version
    weights = version.weights[int(ride.one.fares.weight_set[0])]
    agreements = [pin.sha256 for pin in ride.rules.pins if pin.table in ride.rules.agreements]
    return ExplainedTables(
        city_table=table_hash(ride).hex(),
        fare_array=sha256(version.fare_fen.tobytes()).hex(),
        distance_array=sha256(version.distance_m.tobytes()).hex(),
        weight_array=sha256(weights.tobytes()).hex(),
        agreement=agreements[ride.one.agreement].hex() if 0 <= ride.one.agreement < len(agreements) else "",
        tariff=version.name,
        version=ride.one.tariff.place,
        valid_from_us=version.valid_from_us,
        valid_to_us=version.valid_to_us,
    )


def _remarks(ride: HostedRide) -> tuple[str, ...]:
    """What nobody has confirmed of the folder; or why the folder at hand tells nothing of this ride."""
    if ride.facts is not None:
        return ride.facts.unconfirmed
    if ride.city is None:
        return ("the host's folder is not at hand: price path, band, official fare and paths are not told",)
    return (
        "the host's folder now gives another table: price path, band, official fare and paths are not told, the rest is as it was",
    )

"""Quote one ride: fare, split and what the cities owe each other for it, by the same steps that clearing takes."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from city_adapters.tables import Funder
from fare_chain.tap import Category
from settlement.hosted_rides import AskedRide, HostedRide, hosted_rides
from settlement.pinned_cities import PinnedCities

_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class QuotedShare:
    """One beneficiary's part: `weight` of the pair's total, and the fen that are its own before the draw."""

    name: str
    name_zh: str
    weight: int
    floor_fen: int


@dataclass(frozen=True, slots=True)
class QuotedOverride:
    """An official fare that stands in place of the rule's, and where it is written."""

    fare_fen: int
    reason: str
    place: str


@dataclass(frozen=True, slots=True)
class Quote:
    """One host's ride priced; money in fen. What the shares' floors leave over is drawn, at most a fen a beneficiary.

    `fare_fen` is what the host earns, `rider_pays_fen` what the rider pays; `rule_fen` is what distance and tariff alone would
    give, None where the folder in force is not at hand.
    """

    from_id: str
    to_id: str
    host: str
    issuer: str
    at: str
    category: str
    step: int
    tariff: str
    distance_m: int
    nominal_fen: int
    discount_fen: int
    funder: str
    surcharge_fen: int
    fare_fen: int
    rider_pays_fen: int
    rule_fen: int | None
    override: QuotedOverride | None
    shares: tuple[QuotedShare, ...]
    drawn_fen: int
    commission_fen: int
    fee_fen: int
    table_hash: str
    unconfirmed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The quote under stable names."""
        told = asdict(self)
        return {"from": told.pop("from_id"), "to": told.pop("to_id"), **told, "fare_yuan": yuan(self.fare_fen)}

    def to_lines(self) -> list[str]:
        """The quote for people."""
        total = sum(share.weight for share in self.shares)
        lines = [f"{self.from_id} -> {self.to_id}: {yuan(self.rider_pays_fen)} yuan for {self.distance_m:,} m, {self.tariff}"]
        if self.discount_fen or self.surcharge_fen:
            lines.append(
                f"  {yuan(self.nominal_fen)} yuan, less {yuan(self.discount_fen)} (borne by {self.funder}), "
                f"plus {yuan(self.surcharge_fen)} for the time; the host earns {yuan(self.fare_fen)}"
            )
        if self.override is not None and self.rule_fen is not None:
            lines.append(
                f"  official fare ({self.override.reason}, {self.override.place}); the rule alone gives {yuan(self.rule_fen)}"
            )
        lines += [
            f"  {share.name}: {share.weight:,} of {total:,}, {share.floor_fen} fen" + (" or one more" if self.drawn_fen else "")
            for share in self.shares
        ]
        if self.issuer != self.host:
            lines.append(
                f"  {self.issuer} owes {self.host} {yuan(self.fare_fen)} yuan; {self.host} owes {self.issuer} a commission of "
                f"{yuan(self.commission_fen)}; {self.issuer} owes the scheme {self.fee_fen} fen"
            )
        return lines + [f"  unconfirmed: {text}" for text in self.unconfirmed]


@dataclass(frozen=True, slots=True)
class JoinedQuote:
    """A ride over a border: the sum of the tariffs of two cities, cut at the station where they meet."""

    legs: tuple[Quote, ...]

    @property
    def fare_fen(self) -> int:
        """What both hosts earn."""
        return sum(leg.fare_fen for leg in self.legs)

    @property
    def rider_pays_fen(self) -> int:
        """What the rider pays."""
        return sum(leg.rider_pays_fen for leg in self.legs)

    def to_json(self) -> dict[str, Any]:
        """The quote under stable names."""
        first, last = self.legs[0], self.legs[-1]
        return {
            "from": first.from_id,
            "to": last.to_id,
            "issuer": first.issuer,
            "at": first.at,
            "fare_fen": self.fare_fen,
            "fare_yuan": yuan(self.fare_fen),
            "rider_pays_fen": self.rider_pays_fen,
            "legs": [leg.to_json() for leg in self.legs],
        }

    def to_lines(self) -> list[str]:
        """The quote for people."""
        parts = " + ".join(f"{yuan(leg.rider_pays_fen)} ({leg.host})" for leg in self.legs)
        first, last = self.legs[0], self.legs[-1]
        head = f"{first.from_id} -> {last.to_id}: {yuan(self.rider_pays_fen)} yuan = {parts}, each city's tariff for its own part"
        return [head, *(line for leg in self.legs for line in leg.to_lines())]


def quote(pinned: PinnedCities, asked: AskedRide) -> Quote | JoinedQuote:
    """Quote what is asked; refused as `hosted_rides` says."""
    legs = tuple(quoted(ride, pinned) for ride in hosted_rides(pinned, asked))
    return legs[0] if len(legs) == 1 else JoinedQuote(legs)


def quoted(ride: HostedRide, pinned: PinnedCities) -> Quote:
    """Show one host's ride as a quote: what a draw decides is left open."""
    one, (start, end) = ride.one, ride.station_ids
    nominal_fen, discount_fen = int(one.fares.nominal_fen[0]), int(one.discounts.discount_fen[0])
    surcharge_fen = int(one.fares.surcharge_fen[0])
    parts, official = ride.price_parts(pinned), ride.override()
    shares = _shares(ride)
    return Quote(
        from_id=start,
        to_id=end,
        host=ride.table.slug,
        issuer=ride.issuer,
        at=datetime.fromtimestamp(ride.entered_at_us // 1_000_000, UTC).isoformat(),
        category=Category(int(one.rides.entries["category"][0])).name.lower(),
        step=int(one.rides.entries["entitlement"][0]),
        tariff=ride.version.name,
        distance_m=int(one.fares.distance_m[0]),
        nominal_fen=nominal_fen,
        discount_fen=discount_fen,
        funder=Funder(int(one.discounts.funder[0])).name.lower().replace("_", " "),
        surcharge_fen=surcharge_fen,
        fare_fen=one.fare_fen,
        rider_pays_fen=nominal_fen + surcharge_fen - discount_fen,
        rule_fen=sum(part.fare_fen for part in parts) if parts else None,
        override=QuotedOverride(official[1].fare_fen, official[1].reason, f"{official[0].file}:{official[1].line}")
        if official
        else None,
        shares=shares,
        drawn_fen=one.fare_fen - sum(share.floor_fen for share in shares),
        commission_fen=one.fare_fen * commission_ppm(ride) // _PPM,
        fee_fen=int(one.charges.fee_fen[0]),
        table_hash=table_hash(ride).hex(),
        unconfirmed=ride.city.unconfirmed if ride.city else (),
    )


def commission_ppm(ride: HostedRide) -> int:
    """The millionths of the fare that the host owes the issuer by the agreement in force; 0 for its own rider."""
    taps = ride.one.rides.entries
    host, issuer = int(taps["host"][0]), int(taps["issuer"][0])
    if host == issuer:
        return 0
    terms = ride.rules.agreements[ride.one.agreement]
    return int(terms.commission_ppm[terms.members.index(issuer), terms.members.index(host)])


def table_hash(ride: HostedRide) -> bytes:
    """The SHA-256 by which the ledger would name the host's table."""
    return next(pin.sha256 for pin in ride.rules.pins if pin.table is ride.table)


def yuan(fen: int) -> str:
    """Fen as yuan for people: whole numbers at this edge alone."""
    return f"{fen // 100}.{fen % 100:02d}"


def _shares(ride: HostedRide) -> tuple[QuotedShare, ...]:
    total = int(ride.one.weights.sum())
    names = {operator.number: (operator.name_en, operator.name_zh) for operator in ride.city.operators} if ride.city else {}
    return tuple(
        QuotedShare(*names.get(number, (f"beneficiary {number}", "")), int(weight), ride.one.fare_fen * int(weight) // total)
        for number, weight in zip(ride.table.beneficiaries, ride.one.weights, strict=True)
        if weight
    )

"""How the nominal fare came about: the price path link by link, the band that it falls in, and the official fare in its place."""

from dataclasses import dataclass

from city_adapters.network import Link, Network
from city_adapters.price_parts import PricedHop, PricePart
from city_adapters.tariff import Bands, Flat, PerKilometre, Rule
from fare_chain.identifiers import Fen
from settlement.hosted_rides import HostedRide
from settlement.pinned_cities import PinnedCities


@dataclass(frozen=True, slots=True)
class ExplainedStation:
    """A station with its names, which are blank where no folder tells them."""

    station_id: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class ExplainedLink:
    """Track to the next station: the lines that run over it with these metres; none where riders walk outside.

    `source_m` and `reason` say what the source said where the length was calibrated.
    """

    from_station: str
    to_station: str
    lines: tuple[str, ...]
    metres: int
    source_m: int
    reason: str
    rate_class: str
    confidence: str


@dataclass(frozen=True, slots=True)
class ExplainedBand:
    """The band of a price path: more than `over_m`, up to and including `up_to_m`.

    Beyond the last band of the tariff `steps` are the begun steps of `step_m`, each `step_fen` more than `base_fen`.
    """

    over_m: int
    up_to_m: int
    base_fen: int
    steps: int
    step_m: int
    step_fen: int


@dataclass(frozen=True, slots=True)
class ExplainedRate:
    """One class of link of a charge per kilometre."""

    rate_class: str
    metres: int
    fen_per_km: int


@dataclass(frozen=True, slots=True)
class ExplainedPart:
    """A part of the price path under one charge: bands, flat or per km; a fare cut at a station has several.

    `earlier_network` numbers the earlier network of the folder whose least metres the price is made from, 0 for today's.
    """

    charge: str
    kind: str
    earlier_network: int
    from_station: ExplainedStation
    to_station: ExplainedStation
    metres: int
    fare_fen: int
    band: ExplainedBand | None
    rates: tuple[ExplainedRate, ...]
    rounds_to_fen: int
    minimum_fen: int
    links: tuple[ExplainedLink, ...]


@dataclass(frozen=True, slots=True)
class ExplainedOverride:
    """The official fare that stands in place of the rule's, and where it is written."""

    fare_fen: int
    reason: str
    from_line: str
    to_line: str
    file: str
    line: int
    confidence: str
    as_of: str


@dataclass(frozen=True, slots=True)
class ExplainedPrice:
    """The table's fare of the two rows, beside what the rule alone gives; None and no parts where the folder is not at hand."""

    distance_m: int
    table_fen: int
    rule_fen: int | None
    from_row: int
    to_row: int
    from_gates_of: str
    to_gates_of: str
    parts: tuple[ExplainedPart, ...]
    override: ExplainedOverride | None


def explained_price(ride: HostedRide, pinned: PinnedCities | None) -> ExplainedPrice:
    """Explain what the two stations cost, before anything that depends on the rider or the time."""
    parts = ride.price_parts(pinned)
    start, end = ride.rows
    return ExplainedPrice(
        int(ride.one.fares.distance_m[0]),
        int(ride.version.fare_fen[start, end]),
        sum(part.fare_fen for part in parts) if parts else None,
        start,
        end,
        ride.gate_line(start),
        ride.gate_line(end),
        tuple(_part(part, ride.facts.network) for part in parts) if ride.facts else (),
        _override(ride),
    )


def station_of(network: Network | None, station_id: str) -> ExplainedStation:
    """A station with its names, as far as a network tells them."""
    if network is None or station_id not in network.rows:
        return ExplainedStation(station_id, "", "")
    station = network.station(station_id)
    return ExplainedStation(station_id, station.name_zh, station.name_en)


def band_of(bands: Bands, metres: int) -> ExplainedBand:
    """The band that metres fall in; a band closes on its last metre."""
    for over_m, (up_to_m, fare_fen) in zip((-1, *bands.up_to_m), zip(bands.up_to_m, bands.fare_fen, strict=True), strict=False):
        if metres <= up_to_m:
            return ExplainedBand(max(over_m, 0), up_to_m, fare_fen, 0, bands.step_m, bands.step_fen)
    last_m = bands.up_to_m[-1]
    steps = -((last_m - metres) // bands.step_m)
    over_m = last_m + (steps - 1) * bands.step_m
    return ExplainedBand(over_m, over_m + bands.step_m, bands.fare_fen[-1], steps, bands.step_m, bands.step_fen)


def _part(part: PricePart, network: Network) -> ExplainedPart:
    rule = part.charge.rule
    rated = rule if isinstance(rule, PerKilometre) else PerKilometre((), Fen(0), Fen(0))
    return ExplainedPart(
        part.charge.name,
        _kind(rule),
        part.network,
        station_of(network, part.from_id),
        station_of(network, part.to_id),
        part.metres,
        part.fare_fen,
        band_of(rule, part.metres) if isinstance(rule, Bands) else None,
        tuple(_rate(part, name, fen) for name, fen in rated.rates_fen),
        rated.rounds_to_fen,
        rated.minimum_fen,
        tuple(_link(hop) for hop in part.hops),
    )


def _kind(rule: Rule) -> str:
    return "bands" if isinstance(rule, Bands) else "flat" if isinstance(rule, Flat) else "per km"


def _rate(part: PricePart, rate_class: str, fen_per_km: int) -> ExplainedRate:
    metres = sum(hop.metres for hop in part.hops if hop.links and hop.links[0].rate_class == rate_class)
    return ExplainedRate(rate_class, metres, fen_per_km)


def _link(hop: PricedHop) -> ExplainedLink:
    if not hop.links:
        return ExplainedLink(hop.from_id, hop.to_id, (), hop.metres, hop.metres, "a walk outside that fares run through", "", "")
    link: Link = hop.links[0]
    lines = tuple(other.line_id for other in hop.links)
    return ExplainedLink(
        hop.from_id, hop.to_id, lines, hop.metres, link.source_m, link.reason, link.rate_class, link.provenance.confidence.value
    )


def _override(ride: HostedRide) -> ExplainedOverride | None:
    found = ride.override()
    if found is None:
        return None
    overrides, row = found
    known = row.provenance
    return ExplainedOverride(
        row.fare_fen,
        row.reason,
        row.from_line,
        row.to_line,
        overrides.file,
        row.line,
        known.confidence.value,
        known.as_of.isoformat(),
    )

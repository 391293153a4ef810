"""By which rule and over which paths a fare was split: the model, its parameters, the period, every path with its probability."""

from dataclasses import dataclass
from fractions import Fraction

from city_adapters.city import City
from city_adapters.price_parts import PricePart
from city_adapters.split_paths import SplitPath, SplitPaths, paths_of
from city_adapters.split_rule import SplitRule, SplitTerms
from city_adapters.table_compiler import in_force
from fare_chain.identifiers import StationId
from settlement.explanation.price import ExplainedStation, station_of
from settlement.hosted_rides import HostedRide


@dataclass(frozen=True, slots=True)
class ExplainedLeg:
    """A part of a path on one line, station by station; a blank line is a walk outside."""

    line: str
    name_zh: str
    name_en: str
    stations: tuple[ExplainedStation, ...]


@dataclass(frozen=True, slots=True)
class ExplainedMetres:
    """What a path counts for one operator."""

    beneficiary: int
    metres: int


@dataclass(frozen=True, slots=True)
class ExplainedPath:
    """One path of one part of the ride: its probability is in parts of a hundred million; cost 0 where the model compares none."""

    part: int
    probability: int
    legs: tuple[ExplainedLeg, ...]
    transfers: int
    metres: int
    operator_metres: tuple[ExplainedMetres, ...]
    cost_ms: int


@dataclass(frozen=True, slots=True)
class ExplainedSplit:
    """The weights in force for the pair and how they came about; what only the folder knows is blank where it is not at hand.

    `basis` is the first that applies: proven by markers, agreed pair, the model of the period, the model.
    """

    basis: str
    rule: str
    file: str
    model: str
    parameters: dict[str, str]
    shared_track: str
    period: str
    weight_set: int
    weights_total: int
    agreed_file: str
    untold_probability: int
    paths: tuple[ExplainedPath, ...]


def explained_split(ride: HostedRide, parts: tuple[PricePart, ...]) -> ExplainedSplit:
    """Explain the weights by which a fare was split; `parts` are the parts of its price path."""
    weight_set = int(ride.one.fares.weight_set[0])
    total = int(ride.one.weights.sum())
    rule, city = ride.split, ride.facts
    is_proven = weight_set == ride.version.marker_set and not _is_unproven(ride)
    if rule is None or city is None:
        basis = "proven by markers" if is_proven else "the table's weights"
        return ExplainedSplit(basis, "", "", "", {}, "", "", weight_set, total, "", 0, ())
    # The sets stand in the order of the rule's periods, behind that which holds outside them all; markers come last.
    period = rule.periods[weight_set - 1] if 0 < weight_set <= len(rule.periods) else None
    name = period.name if period else ""
    start, end = (city.stations[ride.station_row(row)].station_id for row in ride.rows)
    agreed = _agreed_file(ride, city, (start, end))
    basis = "proven by markers" if is_proven else "agreed pair" if agreed else "the model of the period" if period else "the model"
    is_modelled = not (is_proven or agreed)
    told = [_paths(city, rule, part, name) for part in parts if is_modelled and not _agreed_file(ride, city, _ends(part))]
    terms = rule.terms_of(name)
    return ExplainedSplit(
        basis,
        rule.name,
        rule.file,
        terms.model.value,
        parameters(rule, terms),
        rule.shared_track.value,
        name,
        weight_set,
        total,
        agreed,
        sum(paths.untold_parts for paths in told),
        tuple(_path(city, at, path) for at, paths in enumerate(told) for path in paths.paths),
    )


def parameters(rule: SplitRule, terms: SplitTerms) -> dict[str, str]:
    """Everything that a model computes with, as exact text."""
    told: dict[str, Fraction | int | str] = {}
    for name in ("theta_per_min", "sigma", "x_max"):
        value = getattr(terms, name)
        if value is not None:
            told[name] = value
    if terms.cost is not None:
        cost = terms.cost
        for name in ("speed_kmh", "walk_s", "outside_walk_s", "wait_s", "penalty_s", "alpha", "beta", "gamma"):
            told[f"cost.{name}"] = getattr(cost, name)
        told |= {f"cost.speed_kmh.{line}": speed for line, speed in cost.line_speeds_kmh}
    for shared in terms.shared:
        told[f"shared.{'+'.join(shared.lines)}"] = ":".join(map(str, shared.parts))
    if rule.station_weights is not None:
        told["boarding_ppm"], told["alighting_ppm"] = rule.station_weights.boarding_ppm, rule.station_weights.alighting_ppm
    return {name: str(value) for name, value in told.items()}


def _is_unproven(ride: HostedRide) -> bool:
    """Whether marker taps proved no path, as those of another network: then the pair's own weights are in force."""
    return bool((ride.one.weights == ride.version.weights[(0, *ride.rows)]).all())


def _agreed_file(ride: HostedRide, city: City, pair: tuple[StationId, StationId]) -> str:
    """The file of the agreed pair table that has a pair, or nothing."""
    agreed = in_force(city.agreed, ride.entered_at_us)
    pairs = agreed.by_pair() if agreed else {}
    return agreed.file if agreed and (pair in pairs or pair[::-1] in pairs) else ""


def _ends(part: PricePart) -> tuple[StationId, StationId]:
    return part.from_id, part.to_id


def _paths(city: City, rule: SplitRule, part: PricePart, period: str) -> SplitPaths:
    return paths_of(city.network, rule, part.lines, part.from_id, part.to_id, period)


def _path(city: City, part: int, path: SplitPath) -> ExplainedPath:
    network = city.network
    names = {line.line_id: (line.name_zh, line.name_en) for line in network.lines}
    legs = tuple(
        ExplainedLeg(
            leg.line_id,
            *names.get(leg.line_id, ("站外步行", "walk outside")),
            tuple(station_of(network, name) for name in leg.stations),
        )
        for leg in path.legs
    )
    metres = tuple(ExplainedMetres(city.number * 256 + number, metres) for number, metres in path.operator_metres)
    return ExplainedPath(part, path.parts, legs, _transfers(path), path.metres, metres, path.cost_ms)


def _transfers(path: SplitPath) -> int:
    """How often the rider changes: a walk outside is the change between the lines at its ends."""
    return max(sum(bool(leg.line_id) for leg in path.legs) - 1, 0)

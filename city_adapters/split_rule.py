"""Who earned a fare: a dated rule that turns the paths of each station pair into whole-number weights of the operators."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import combinations

from city_adapters.day_hours import DayHours, read_day_hours
from city_adapters.fields import Fields
from city_adapters.findings import Finding, error
from city_adapters.network import Network
from city_adapters.provenance import Provenance
from city_adapters.travel_cost import TravelCost, read_travel_cost
from city_adapters.validity import Validity


class SplitModel(StrEnum):
    """The models a city can agree on; what each computes stands in docs/formats/city-folder.md."""

    SHORTEST_PATH_METRES = "metres on the shortest path"
    LOGIT = "logit"
    PATH_SIZE_LOGIT = "path-size logit"
    NORMAL = "normal"
    STATIONS = "stations"


NEEDS_COST = {SplitModel.LOGIT, SplitModel.PATH_SIZE_LOGIT, SplitModel.NORMAL}
NEEDS_THETA = {SplitModel.LOGIT, SplitModel.PATH_SIZE_LOGIT}
NEEDS_SIGMA = {SplitModel.NORMAL}
NEEDS_LIMIT = {SplitModel.PATH_SIZE_LOGIT, SplitModel.NORMAL}
"""Models that list paths, at most so much dearer than the cheapest."""


class SharedTrack(StrEnum):
    """Who earns a stretch that several lines run over, or run beside each other with the same metres."""

    EQUAL_PARTS = "equal parts"
    SERVICE_SHARE = "service share"


@dataclass(frozen=True, slots=True)
class SharedLines:
    """Lines that run over one track, and the parts in which they earn a stretch where all or some of them run."""

    lines: tuple[str, ...]
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SplitTerms:
    """A model with its parameters: of the rule, or of one of its periods."""

    model: SplitModel
    cost: TravelCost | None = None
    theta_per_min: Fraction | None = None
    sigma: Fraction | None = None
    x_max: Fraction | None = None
    shared: tuple[SharedLines, ...] = ()


@dataclass(frozen=True, slots=True)
class StationWeights:
    """Millionths of a fare for who runs the lines at the entry and at the exit station; the rest is the model's."""

    boarding_ppm: int
    alighting_ppm: int
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class SplitPeriod:
    """Day types and hours of entry in which other terms hold."""

    name: str
    hours: tuple[DayHours, ...]
    terms: SplitTerms


@dataclass(frozen=True, slots=True)
class SplitRule:
    """One dated version of a city's split; `terms` hold outside all periods."""

    file: str
    name: str
    validity: Validity
    terms: SplitTerms
    shared_track: SharedTrack
    provenance: Provenance
    station_weights: StationWeights | None = None
    periods: tuple[SplitPeriod, ...] = ()
    markers: bool = False

    @property
    def model(self) -> SplitModel:
        """The model that holds outside all periods."""
        return self.terms.model

    def terms_of(self, period: str) -> SplitTerms:
        """The terms of a period by its name; those of the rule itself for an empty name."""
        return next((other.terms for other in self.periods if other.name == period), self.terms)


def read_split_rule(fields: Fields, validity: Validity) -> SplitRule:
    """Read a split rule's file whose dates were read before; what is wrong becomes findings of `fields`."""
    terms = _terms(fields, None)
    shared_track = fields.choice("shared_track", SharedTrack)
    if bool(terms.shared) != (shared_track is SharedTrack.SERVICE_SHARE):
        found = f"is {shared_track.value!r} with {len(terms.shared)} tables [[shared]]"
        fields.wrong("shared_track", found, "give [[shared]] exactly where shared track is earned by service share")
    periods = tuple(_period(period, terms) for period in fields.tables("period")) if fields.has("period") else ()
    _refuse_overlaps(fields, periods)
    weights = fields.optional_table("station_weights")
    rule = SplitRule(
        fields.file,
        fields.text("name"),
        validity,
        terms,
        shared_track,
        fields.provenance(),
        _station_weights(weights) if weights else None,
        periods,
        fields.has("markers") and fields.flag("markers"),
    )
    fields.done()
    return rule


def stray_lines(network: Network, rule: SplitRule) -> Iterable[Finding]:
    """Say which lines a rule names that the city does not have, or that share no track."""
    known = {line.line_id for line in network.lines}
    for terms in (rule.terms, *(period.terms for period in rule.periods)):
        speeds = [line for line, _ in terms.cost.line_speeds_kmh] if terms.cost else []
        for line in (*speeds, *(line for shared in terms.shared for line in shared.lines)):
            if line not in known:
                yield error(rule.file, f"{line} is no line of lines.csv", "correct the line's id")
        for shared in terms.shared:
            if known.issuperset(shared.lines) and not _share_a_stretch(network, shared.lines):
                yield error(
                    rule.file, f"{', '.join(shared.lines)} link no two stations in common", "name lines that run over one track"
                )


def _share_a_stretch(network: Network, lines: tuple[str, ...]) -> bool:
    stretches = {line: {frozenset((link.from_id, link.to_id)) for link in network.links if link.line_id == line} for line in lines}
    return any(stretches[one] & stretches[other] for one, other in combinations(lines, 2))


def _terms(fields: Fields, base: SplitTerms | None) -> SplitTerms:
    """Read the model and what it needs; a period that leaves something out keeps the rule's own."""
    model = fields.choice("model", SplitModel) if base is None or fields.has("model") else base.model

    def ratio(name: str, needing: set[SplitModel]) -> Fraction | None:
        held: Fraction | None = getattr(base, name, None)
        return fields.ratio(name) if model in needing and (fields.has(name) or held is None) else held

    cost = base.cost if base else None
    if model in NEEDS_COST and (fields.has("cost") or cost is None):
        cost = read_travel_cost(fields.table("cost"), cost)
    shared = tuple(_shared(table) for table in fields.tables("shared")) if fields.has("shared") else ()
    if len({line for one in shared for line in one.lines}) < sum(len(one.lines) for one in shared):
        fields.wrong("shared", "names a line twice", "put each line into one table")
    return SplitTerms(
        model,
        cost,
        ratio("theta_per_min", NEEDS_THETA),
        ratio("sigma", NEEDS_SIGMA),
        ratio("x_max", NEEDS_LIMIT),
        shared or (base.shared if base else ()),
    )


def _shared(fields: Fields) -> SharedLines:
    shared = SharedLines(fields.texts("lines"), fields.wholes("parts", least=1, most=10_000))
    if len(shared.lines) < 2 or len(shared.parts) != len(shared.lines):
        found = f"has {len(shared.lines)} lines and {len(shared.parts)} parts"
        fields.wrong("parts", found, "give two lines or more, and a part for each, in the same order")
    fields.done()
    return shared


def _period(fields: Fields, base: SplitTerms) -> SplitPeriod:
    period = SplitPeriod(fields.text("name"), read_day_hours(fields), _terms(fields, base))
    if bool(period.terms.shared) != bool(base.shared):
        fields.wrong("shared", "is given for a period alone", "give the parts outside all periods too")
    fields.done()
    return period


def _refuse_overlaps(fields: Fields, periods: tuple[SplitPeriod, ...]) -> None:
    if len({period.name for period in periods}) < len(periods):
        fields.wrong("period", "has one name twice", "give each period a name of its own")
    held = [(period.name, hours) for period in periods for hours in period.hours]
    for (one, first), (other, second) in combinations(held, 2):
        if first.meets(second):
            fields.wrong("period", f"{other!r} overlaps {one!r}", "let no two periods hold at one moment")


def _station_weights(fields: Fields) -> StationWeights:
    boarding, alighting = (fields.whole(name, most=1_000_000) for name in ("boarding_ppm", "alighting_ppm"))
    weights = StationWeights(boarding, alighting, fields.provenance())
    if not 0 < boarding + alighting <= 1_000_000:
        found = f"and boarding_ppm sum to {boarding + alighting}"
        fields.wrong("alighting_ppm", found, "let both together be more than nothing and at most 1,000,000")
    fields.done()
    return weights

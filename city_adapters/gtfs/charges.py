"""Fare rules as a city folder says them: a flat charge for all lines, others for some lines, and official fares by pair."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from city_adapters.findings import warning
from city_adapters.gtfs.fare_rules import FareRule
from city_adapters.gtfs.feed import Feed
from city_adapters.provenance import Confidence

PLACEHOLDER = 1
"""A hundredth: nobody takes it for a fare."""

End = tuple[str, str]
"""A place and the line of its gate; blank where every gate is meant."""
Ends = tuple[End, End]


@dataclass(frozen=True, slots=True)
class FlatCharge:
    """One fare for all rides on some lines; without lines it is for all others."""

    name: str
    lines: tuple[str, ...]
    amount: int
    confidence: Confidence
    source: str


@dataclass(frozen=True, slots=True)
class PairFare:
    """What a ride between two places costs, whatever the flat charge says."""

    ends: Ends
    amount: int
    reason: str


@dataclass(frozen=True)
class Stops:
    """Which lines stop at each place, and the lines that each route has become."""

    lines_at: Mapping[str, tuple[str, ...]]
    lines_of: Mapping[str, tuple[str, ...]]

    def of(self, routes: frozenset[str] | None) -> frozenset[str] | None:
        """The lines of some routes; None for all lines there are."""
        known = {line for lines in self.lines_of.values() for line in lines}
        if routes is None:
            return None
        lines = {line for route in routes for line in self.lines_of.get(route, ())}
        return None if lines == known else frozenset(lines)


def charge(feed: Feed, rules: Sequence[FareRule], stops: Stops) -> tuple[list[FlatCharge], list[PairFare]]:
    """Turn rules into charges, the one for all other lines first, and into the fares of pairs that it does not give."""
    flats = _flats(feed, [rule for rule in rules if rule.is_flat], stops)
    pairs = _pairs(feed, [rule for rule in rules if not rule.is_flat], stops)
    base = flats.pop(None, None) or _base_of_all(flats, stops)
    if base is not None:
        pairs = {ends: rule for ends, rule in pairs.items() if rule.priority >= base.priority}
        first = FlatCharge("all lines", (), base.amount, Confidence.MEDIUM, f"fare {base.name!r} of the feed")
    else:
        common = Counter(rule.amount for rule in (*pairs.values(), *flats.values())).most_common()
        amount = max(common, key=lambda counted: (counted[1], -counted[0]))[0] if common else PLACEHOLDER
        _tell_of_placeholder(feed, pairs, stops, told=bool(common))
        source = "the commonest of the feed's fares" if common else "the feed has no fare that could be carried"
        first = FlatCharge("placeholder", (), amount, Confidence.UNCONFIRMED, f"placeholder: {source}")
    named = [
        FlatCharge(rule.name, tuple(sorted(lines)), rule.amount, Confidence.MEDIUM, f"fare {rule.name!r} of the feed")
        for lines, rule in flats.items()
        if lines
    ]
    needed = [
        PairFare(ends, rule.amount, f"fare {rule.name} of the feed")
        for ends, rule in pairs.items()
        if named or rule.amount != first.amount
    ]
    return [first, *named], needed


def _base_of_all(flats: dict[frozenset[str] | None, FareRule], stops: Stops) -> FareRule | None:
    """Where every line has a flat charge, take out the one of most lines: it becomes the one for all other lines."""
    charged = [lines for lines in flats if lines]
    if {line for lines in stops.lines_of.values() for line in lines} - {line for lines in charged for line in lines}:
        return None
    return flats.pop(max(charged, key=len)) if charged else None


def _flats(feed: Feed, rules: Iterable[FareRule], stops: Stops) -> dict[frozenset[str] | None, FareRule]:
    """One rule for each set of lines, and each line in one set: the first by priority, then the cheapest."""
    flats: dict[frozenset[str] | None, FareRule] = {}
    taken: set[str] = set()
    for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.amount)):
        lines = stops.of(rule.routes)
        if lines is not None:
            lines -= taken
            if not lines:
                if stops.of(rule.routes):
                    feed.left(rule.row, "another fare holds on the same lines: the cheaper one is carried", "check the tariff")
                continue
            taken |= lines
        elif None in flats:
            feed.left(rule.row, "another fare holds on all lines as well: the cheaper one is carried", "check the tariff")
            continue
        flats[lines] = rule
    return flats


def _pairs(feed: Feed, rules: Iterable[FareRule], stops: Stops) -> dict[Ends, FareRule]:
    """One rule for each pair of ends, whichever stands first: by priority, then the cheapest one way, the dearer of both ways."""
    one_way: dict[Ends, FareRule] = {}
    for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.amount)):
        for ends in _ends(rule, stops):
            first = one_way.setdefault(ends, rule)
            if first.priority == rule.priority and first.amount != rule.amount:
                feed.left(rule.row, "another fare holds for the same pairs: the cheaper one is carried", "check the overrides")
    pairs: dict[Ends, FareRule] = {}
    for (one, other), rule in one_way.items():
        back = one_way.get((other, one))
        if back is None:
            feed.left(rule.row, "a fare is given one way only: it is carried both ways", "check the overrides")
        elif back.amount != rule.amount:
            feed.left(rule.row, "a fare differs by direction: the dearer one is carried both ways", "check the overrides")
        ends = (one, other) if one <= other else (other, one)
        pairs[ends] = rule if back is None or rule.amount >= back.amount else back
    return dict(sorted(pairs.items()))


def _ends(rule: FareRule, stops: Stops) -> Iterable[Ends]:
    """The pairs of two places that a rule prices; with the lines of both gates where it is not for all lines that stop there."""
    lines = stops.of(rule.routes)
    served = stops.lines_at.keys()
    origins, destinations = (sorted(served if side is None else side & served) for side in (rule.from_places, rule.to_places))
    for origin, destination in product(origins, destinations):
        if origin == destination:
            continue  # what a ride to its own station costs is a rule of its own
        at = stops.lines_at[origin], stops.lines_at[destination]
        if lines is None or lines.issuperset(at[0] + at[1]):
            yield (origin, ""), (destination, "")
        else:
            gates = product(*([line for line in beside if line in lines] for beside in at))
            yield from (((origin, one), (destination, other)) for one, other in gates)


def _tell_of_placeholder(feed: Feed, pairs: Mapping[Ends, FareRule], stops: Stops, *, told: bool) -> None:
    count = len(stops.lines_at)
    bare = count * (count - 1) // 2 - len({(one[0], other[0]) for one, other in pairs})
    if told and bare:
        file = next((rule.row.file for rule in pairs.values()), "fare_leg_rules.txt")
        found = f"{bare} pairs of stations have no fare of their own: the tariff's placeholder prices them"
        feed.found(warning(file, found, "replace the placeholder in the tariff", line=1))

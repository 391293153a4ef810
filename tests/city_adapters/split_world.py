"""Small networks as text, split rules as TOML, and the plainest search for efficient paths."""

import tomllib
from datetime import date
from fractions import Fraction
from math import exp

from city_adapters.fields import Fields
from city_adapters.network import Line, LineKind, Link, Network, Station, Transfer, TransferKind
from city_adapters.provenance import Confidence, Provenance
from city_adapters.split_rule import read_split_rule
from city_adapters.validity import Validity

SEEN = Provenance(Confidence.HIGH, date(2026, 1, 1))

WORKED_LINKS = """
A1 O D 10000
A2 O X 4000
B  X Y 6000
B  Y D 2000
C  Y Z 1000
C  Z D 1000
"""
"""The example of three paths: A alone costs 20 minutes; A then B, and A then B then C, cost 22, a change being two of them."""
WORKED_OPERATORS = {"A1": 1, "A2": 1, "B": 2, "C": 3}
WORKED_COST = """
[cost]
speed_kmh = 30
walk_s = 60
wait_s = 40
penalty_s = 20
[cost.line_speed_kmh]
A2 = 60
C = 60
"""


def network_of(links, operators, walks=()):
    """Lay out links "LINE FROM TO METRES"; stations are numbered in the order in which they occur."""
    rows = [row.split() for row in (links.strip().splitlines() if isinstance(links, str) else links)]
    names = list(dict.fromkeys(name for row in rows for name in row[1:3]))
    stations = tuple(Station(at, name, name, name, Confidence.HIGH, 0, 0, SEEN) for at, name in enumerate(names, 1))
    lines = tuple(
        Line(name, name, name, LineKind.METRO, "#000000", number, Confidence.HIGH, SEEN) for name, number in operators.items()
    )
    laid = tuple(Link(line, one, other, int(metres), int(metres), "", "", SEEN) for line, one, other, metres in rows)
    walked = tuple(
        Transfer(one, other, line, onto, TransferKind.EXIT_AND_REENTER, joins_fares=True, time_limit_min=30, provenance=SEEN)
        for one, other, line, onto in walks
    )
    return Network(stations, lines, laid, walked)


def rule_of(text, findings=None):
    """Read a split rule's TOML, its name and provenance added."""
    found = [] if findings is None else findings
    head = 'name = "test"\nvalid_from = 2020-01-01\nconfidence = "high"\nas_of = 2026-01-01\n'
    fields = Fields(tomllib.loads(head + text), "split-2020-01-01.toml", found)
    fields.day("valid_from")
    rule = read_split_rule(fields, Validity(0))
    assert findings is not None or found == [], found
    return rule


def worked_rule(model, more=""):
    """The rule of the worked example under one of its models."""
    needs = {
        "logit": "theta_per_min = 0.2",
        "path-size logit": "theta_per_min = 0.2\nx_max = 0.5",
        "normal": "sigma = 0.1\nx_max = 0.5",
    }.get(model, "")
    return rule_of(f'model = "{model}"\nshared_track = "equal parts"\n{needs}\n{WORKED_COST if needs else ""}\n{more}')


def plain_paths(links, origin, *, ride_ms, change_ms):
    """Every efficient path from a station, by trying all: (end, cost, hops), where no stretch carries two lines.

    Nodes are (station, line); each ride and each change has to lead to a higher least cost.
    """
    rows = [row.split() for row in links]
    hops = [(line, a, b, int(metres)) for line, one, other, metres in rows for a, b in ((one, other), (other, one))]
    least = plain_least_costs(hops, origin, ride_ms=ride_ms, change_ms=change_ms)
    found = []

    def ride(station, line, cost, ridden):
        for on, a, b, metres in hops:
            if (on, a) == (line, station) and least[a, line] < least[b, line]:
                after, here = cost + ride_ms(line, metres), (*ridden, (line, a, b, metres))
                found.append((b, after, here))
                ride(b, line, after, here)
                for there, other in least:
                    if there == b and other != line and least[b, line] < least[b, other]:
                        ride(b, other, after + change_ms, here)

    for station, line in sorted(least):
        if station == origin:
            ride(station, line, 0, ())
    return found


def plain_least_costs(hops, origin, *, ride_ms, change_ms):
    """The least cost of being at each (station, line), relaxed until nothing can change."""
    nodes = {(a, line) for line, a, _, _ in hops}
    least = {node: 0 if node[0] == origin else 10**12 for node in nodes}
    for _ in nodes:
        for line, a, b, metres in hops:
            least[b, line] = min(least[b, line], least[a, line] + ride_ms(line, metres))
        for station, line in nodes:
            others = [least[node] for node in nodes if node[0] == station and node[1] != line]
            least[station, line] = min([least[station, line], *(cost + change_ms for cost in others)])
    return least


def plain_logit(paths, theta_per_min):
    """Weights and metres by line of each end, summed over paths found by `plain_paths`."""
    sums = {}
    for end in {path[0] for path in paths}:
        here = [path for path in paths if path[0] == end]
        cheapest = min(cost for _, cost, _ in here)
        metres = {}
        for _, cost, hops in here:
            weight = exp(-float(Fraction(theta_per_min)) * (cost - cheapest) / 60_000)
            metres[""] = metres.get("", 0) + weight
            for line, _, _, ridden in hops:
                metres[line] = metres.get(line, 0) + weight * ridden
        sums[end] = metres
    return sums

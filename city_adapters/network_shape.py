"""A network's links against its map: lengths that the stations' positions do not allow, and stations out of their order.

Positions have three decimals, so a straight line is known to some 150 metres.
What is said here is worth a look, and refuses nothing.
"""

import math
from collections.abc import Iterable

from city_adapters.findings import Finding, warning
from city_adapters.network import Link, Network, Station
from fare_chain.identifiers import StationId

METRES_PER_E3 = 111.195
"""Metres in a thousandth of a degree of latitude."""
ROUNDING_M = 150
"""What three decimals at both ends leave open."""
SHORT, LONG = 0.9, 4.0
"""A link is odd below and above so many times the straight line between its ends."""
SHARPEST_BEND = 45
"""Degrees between the two links of a station; where the angle is smaller, the stations probably stand in the wrong order."""
SHORTEST_ARM_M = 400
"""Ends closer than this tell no direction."""


def straight_m(one: Station, other: Station) -> float:
    """The straight line between two stations."""
    return math.hypot(*_towards(one, other))


def odd_lengths(network: Network) -> Iterable[Finding]:
    """Say which links are shorter than a straight line, or much longer."""
    for link in network.links:
        straight = straight_m(network.station(link.from_id), network.station(link.to_id))
        source = f" (its source says {link.source_m})" if link.source_m != link.distance_m else ""
        place = f"{link.line_id} {link.from_id} - {link.to_id} is {link.distance_m} m long{source}"
        if link.distance_m + ROUNDING_M < SHORT * straight:
            found = f"{place}, and the straight line between its ends is {straight:.0f} m"
            yield warning("links.csv", found, "check the length and the two positions", line=link.provenance.line)
        elif link.distance_m > LONG * (straight + ROUNDING_M):
            found = f"{place}, more than {LONG:.0f} times the straight line of {straight:.0f} m between its ends"
            yield warning("links.csv", found, "check the length, its unit and the two positions", line=link.provenance.line)


def bent_lines(network: Network) -> Iterable[Finding]:
    """Say where a line seems to turn back on itself."""
    arms: dict[tuple[str, StationId], list[tuple[Station, Link]]] = {}
    for link in network.links:
        for here, there in ((link.from_id, link.to_id), (link.to_id, link.from_id)):
            arms.setdefault((link.line_id, here), []).append((network.station(there), link))
    for (line_id, here), beside in arms.items():
        if len(beside) != 2:
            continue
        (before, first), (after, second) = beside
        angle = _angle(network.station(here), before, after)
        if angle < SHARPEST_BEND:
            found = f"{line_id} turns back at {here}: {before.station_id} and {after.station_id} lie {angle:.0f} degrees apart"
            remedy = "check the order of its stations and their positions"
            yield warning("links.csv", found, remedy, line=max(first.provenance.line, second.provenance.line))


def _angle(here: Station, before: Station, after: Station) -> float:
    """The angle between two neighbours as seen from a station; 180 where one of them is too near to tell."""
    one, other = _towards(here, before), _towards(here, after)
    lengths = math.hypot(*one), math.hypot(*other)
    if min(lengths) < SHORTEST_ARM_M:
        return 180.0
    cosine = (one[0] * other[0] + one[1] * other[1]) / (lengths[0] * lengths[1])
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _towards(one: Station, other: Station) -> tuple[float, float]:
    """Metres to the east and to the north from one station to the other."""
    narrowing = math.cos(math.radians((one.lat_e3 + other.lat_e3) / 2000))
    return (other.lon_e3 - one.lon_e3) * METRES_PER_E3 * narrowing, (other.lat_e3 - one.lat_e3) * METRES_PER_E3

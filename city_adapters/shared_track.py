"""Track between neighbouring stations, which lines run over it together, and in which parts their operators earn its metres."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from city_adapters.network import Link, Network
from city_adapters.split_rule import SharedLines
from city_adapters.whole_shares import parted

Ends = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Track between two neighbouring rows, the smaller first, and the links that run over it, in the order of links.csv."""

    ends: Ends
    links: tuple[Link, ...]


def stretches(network: Network, lines: frozenset[str], shared: Sequence[SharedLines]) -> list[Stretch]:
    """Group the links of some lines: those of the same metres, or named as shared, run over one stretch."""
    beside: dict[Ends, list[Link]] = {}
    for link in network.links:
        if link.line_id in lines:
            beside.setdefault(ends_of(network, link), []).append(link)
    found = []
    for ends in sorted(beside):
        groups: list[list[Link]] = []
        for link in beside[ends]:
            group = next((group for group in groups if any(_together(link, other, shared) for other in group)), None)
            groups.append([link]) if group is None else group.append(link)
        found += [Stretch(ends, tuple(group)) for group in groups]
    return found


def ends_of(network: Network, link: Link) -> Ends:
    """Give the rows of a link's two stations, the smaller first."""
    first, second = sorted((network.rows[link.from_id], network.rows[link.to_id]))
    return first, second


def earned_metres(
    stretch: Stretch, metres: int, shared: Sequence[SharedLines], operator_of: dict[str, int], operators: Sequence[int]
) -> tuple[int, ...]:
    """Cut metres of a stretch by operator: by agreed service parts, else equally; odd metres to the lines named first."""
    earned = [0] * len(operators)
    for link, part in zip(stretch.links, parted(metres, _parts(stretch, shared)), strict=True):
        earned[operators.index(operator_of[link.line_id])] += part
    return tuple(earned)


def _together(one: Link, other: Link, shared: Iterable[SharedLines]) -> bool:
    return one.distance_m == other.distance_m or any({one.line_id, other.line_id} <= set(table.lines) for table in shared)


def _parts(stretch: Stretch, shared: Iterable[SharedLines]) -> list[int]:
    lines = [link.line_id for link in stretch.links]
    for table in shared:
        if len(lines) > 1 and set(lines) <= set(table.lines):
            return [table.parts[table.lines.index(line)] for line in lines]
    return [1] * len(lines)

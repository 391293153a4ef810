"""Networks that a city's fares were once made on and never made anew: what of them differed from the network of today.

Some cities publish a fare for each pair and make it when the younger of the two stations opens. A line that opens later, or a
length that is measured anew, then changes the old pairs' fares only where they become cheaper, or not at all. So a pair is
priced by the least metres of those earlier networks that have both stations; only a pair that none has goes by today's network.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from city_adapters.fields import Fields
from city_adapters.findings import Finding, error
from city_adapters.network import EarlierLink, Link, Network, Transfer
from fare_chain.identifiers import StationId

FILE = "earlier-links.csv"
EARLIER_COLUMNS = ("network", "line_id", "from_id", "to_id", "distance_m", "source_m", "reason", "confidence", "as_of")


def read_earlier_link(row: Fields, longest_m: int) -> EarlierLink:
    """Read one row; what is wrong becomes findings of `row`."""
    read = EarlierLink(
        row.line,
        row.whole("network", least=1, most=9),
        row.optional_text("line_id"),
        StationId(row.optional_text("from_id")),
        StationId(row.optional_text("to_id")),
        row.optional_whole("distance_m", least=1, most=longest_m),
        row.optional_whole("source_m", least=1, most=longest_m),
        row.text("reason"),
        row.provenance(),
    )
    if (read.distance_m is None) != (read.source_m is None):
        row.wrong(
            "source_m", "stands without distance_m, or it without source_m", "give both, or neither where the link was not there"
        )
    if bool(read.from_id) != bool(read.to_id):
        row.wrong("to_id", "stands without from_id, or it without to_id", "give both stations, or neither for a whole line")
    if not read.line_id and not (read.from_id and read.distance_m is None):
        row.wrong("line_id", "is missing", "leave it out only for a walk that was not there")
    if not read.from_id and read.distance_m is not None:
        row.wrong("from_id", "is missing", "name the link that was so long")
    return read


def earlier_networks(network: Network) -> tuple[Network, ...]:
    """Every earlier network, in the order of time: today's with its differences."""
    numbers = sorted({row.network for row in network.earlier})
    return tuple(_as_it_was(network, [row for row in network.earlier if row.network == number]) for number in numbers)


def stray_earlier_links(network: Network) -> Iterable[Finding]:
    """Say which rows name what the network does not have, stand there twice, or change nothing."""
    lines = {line.line_id for line in network.lines}
    there = {(link.line_id, _ends(link)): link for link in network.links}
    walks = {_ends(walk) for walk in network.transfers if walk.joins_fares and walk.from_id != walk.to_id}
    count = Counter(row.key for row in network.earlier)
    for row in network.earlier:
        link = there.get((row.line_id, frozenset((row.from_id, row.to_id))))
        for station in filter(None, (row.from_id, row.to_id)):
            if station not in network.rows:
                yield error(FILE, f"{station} is no station of this city", "correct the id", line=row.line)
        if row.line_id and row.line_id not in lines:
            yield error(FILE, f"{row.line_id} is no line of this city", "correct the id", line=row.line)
        elif row.distance_m is None and row.from_id and not (link if row.line_id else _ends(row) in walks):
            yield error(FILE, f"{row.place} is not there today either", "correct the row, or remove it", line=row.line)
        if count[row.key] > 1:
            yield error(FILE, f"{row.place} stands there {count[row.key]} times", "keep one", line=row.line)


def _as_it_was(network: Network, rows: list[EarlierLink]) -> Network:
    """Put the rows of one earlier network over the network of today."""
    told = {(row.line_id, _ends(row)): row for row in rows}
    gone = {row.line_id for row in rows if not row.from_id}
    kept = [link for link in network.links if link.line_id not in gone and (link.line_id, _ends(link)) not in told]
    then = [_link(row, row.distance_m) for row in rows if row.distance_m is not None]
    walks = tuple(walk for walk in network.transfers if ("", _ends(walk)) not in told)
    return replace(network, links=(*kept, *then), transfers=walks, earlier=())


def _link(row: EarlierLink, distance_m: int) -> Link:
    return Link(row.line_id, row.from_id, row.to_id, distance_m, row.source_m or distance_m, row.reason, "", row.provenance)


def _ends(between: Link | Transfer | EarlierLink) -> frozenset[StationId]:
    return frozenset((between.from_id, between.to_id))

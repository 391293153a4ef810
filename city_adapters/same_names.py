"""Two things under one name, of which a rider could only choose by chance: stations, lines, operators."""

from collections.abc import Iterable

from city_adapters.city import City
from city_adapters.findings import Finding, note, warning

Named = tuple[str, int, str]
"""What is named: its id, its line in the file, its name."""


def same_names(city: City) -> list[Finding]:
    """Name the second of two that share a Chinese or an English name, with the line of the first.

    Two stations between which a transfer runs are known to be two; that they share a name is only told.
    """
    joined = {frozenset((change.from_id, change.to_id)) for change in city.network.transfers}
    stations, lines, operators = city.stations, city.network.lines, city.operators
    findings = []
    for file, names in (
        ("stations.csv", [(one.station_id, one.position.line, one.name_zh) for one in stations]),
        ("stations.csv", [(one.station_id, one.position.line, one.name_en) for one in stations]),
        ("lines.csv", [(one.line_id, one.provenance.line, one.name_zh) for one in lines]),
        ("lines.csv", [(one.line_id, one.provenance.line, one.name_en) for one in lines]),
        ("operators.csv", [(str(one.number), one.provenance.line, one.name_zh) for one in operators]),
        ("operators.csv", [(str(one.number), one.provenance.line, one.name_en) for one in operators]),
    ):
        for first, second in _repeated(names):
            found = f"{second[0]} is called {second[2]!r}, as {first[0]} in line {first[1]} is"
            weigh, remedy = warning, "check that they are two, and tell their names apart"
            if file == "stations.csv" and frozenset((first[0], second[0])) in joined:
                weigh, remedy = note, "nothing to do: a transfer says that they are two"
            findings.append(weigh(file, found, remedy, line=second[1]))
    return list(dict.fromkeys(findings))  # one name in both languages is one finding


def _repeated(names: Iterable[Named]) -> Iterable[tuple[Named, Named]]:
    first: dict[str, Named] = {}
    for named in names:
        name = named[2].casefold()
        if name in first:
            yield first[name], named
        first.setdefault(name, named)

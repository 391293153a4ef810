"""A city's overrides beside its own rule: how many there are, which of them are needless, and which are far off."""

from city_adapters.city import City
from city_adapters.findings import Finding, note, warning
from city_adapters.overrides import Override, Overrides
from city_adapters.tables import CityTable

FAR_OFF_FEN = 200
"""An official fare further from the rule than this is more likely a slip than a fare."""


def overrides_beside_rule(city: City, rule: CityTable) -> list[Finding]:
    """Compare each version with the rule's fares; `rule` is the city's table compiled without overrides."""
    return [finding for overrides in city.overrides for finding in _beside_rule(city, rule, overrides)]


def _beside_rule(city: City, rule: CityTable, overrides: Overrides) -> list[Finding]:
    version = rule.version_at(overrides.validity.from_us)
    assert version is not None, "a version of overrides begins under a tariff and a split rule"
    places = city.network.rows
    rule_fen = {row.pair: int(version.fare_fen[places[row.from_id], places[row.to_id]]) for row in overrides.rows}
    everywhere = {row.pair: int(row.fare_fen) for row in overrides.rows if not row.is_narrowed}

    def without(row: Override) -> int:
        """What the pair would cost without this row."""
        return everywhere.get(row.pair, rule_fen[row.pair]) if row.is_narrowed else rule_fen[row.pair]

    needless = [row.line for row in overrides.rows if row.fare_fen == without(row)]
    findings = [note(overrides.file, f"{len(overrides.rows)} official fares stand in place of the rule's", "nothing to do")]
    if needless:
        found = f"{len(needless)} of {len(overrides.rows)} rows are needless: the rule gives these fares"
        findings.append(warning(overrides.file, found, "leave them out, unless the whole table is wanted", line=needless[0]))
    own = {(gates.station_id, gates.line_id) for gates in city.gates}
    for row in overrides.rows:
        if row.is_narrowed and not own & {(row.from_id, row.from_line), (row.to_id, row.to_line)}:
            found = f"{row.from_id} - {row.to_id} names gate lines, but neither has gates of its own: no effect"
            findings.append(warning(overrides.file, found, "add their gates to gates.csv", line=row.line))
        if abs(row.fare_fen - rule_fen[row.pair]) > FAR_OFF_FEN:
            found = f"{row.from_id} - {row.to_id} costs {row.fare_fen} fen, the rule gives {rule_fen[row.pair]}"
            findings.append(warning(overrides.file, found, "look for a slip in the row or in the links", line=row.line))
    return findings

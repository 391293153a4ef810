"""A folder's worked examples against its own tariff: what an expert wrote down must be what the tables say."""

from city_adapters.city import City
from city_adapters.findings import Finding, error
from city_adapters.tables import CityTable


def differing_examples(city: City, table: CityTable) -> list[Finding]:
    """Say which examples the city's table contradicts, in fare or in metres, on the service day they are dated."""
    rows = city.network.rows
    findings = []
    for example in city.examples:
        version = table.version_at(city.days.start_us(example.provenance.as_of))
        if version is None:
            found = f"{example.from_id} - {example.to_id} is of {example.provenance.as_of}, when no tariff was in force"
            findings.append(error("examples.csv", found, "correct its as_of, or add the tariff of that day", line=example.line))
            continue
        pair = rows[example.from_id], rows[example.to_id]
        ours = int(version.fare_fen[pair]), int(version.distance_m[pair])
        if ours != (example.fare_fen, ours[1] if example.distance_m is None else example.distance_m):
            wanted = f"{example.fare_fen} fen" + ("" if example.distance_m is None else f" for {example.distance_m} m")
            found = f"{example.from_id} - {example.to_id} should cost {wanted}, the tariff gives {ours[0]} fen for {ours[1]} m"
            findings.append(error("examples.csv", found, "correct the tariff, the links or the example", line=example.line))
    return findings

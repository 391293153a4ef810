"""Pairs of stations that no charge of a tariff prices, alone or joined with others: a rider could go in and not come out."""

import numpy as np

from city_adapters.city import City
from city_adapters.findings import Finding, error
from city_adapters.tables import CityTable


def unpriced_pairs(city: City, table: CityTable) -> list[Finding]:
    """Name one pair without a fare for each tariff that has such pairs, and say how many more there are."""
    findings: dict[str, Finding] = {}
    for version in table.versions:
        lacking = np.argwhere(np.triu(version.fare_fen < 0))
        if not len(lacking) or version.name in findings:
            continue
        origin, end = (city.stations[row] for row in lacking[0])
        more = f", nor have {len(lacking) - 1} other pairs" if len(lacking) > 1 else ""
        findings[version.name] = error(
            "stations.csv",
            f"{origin.station_id} - {end.station_id} has no fare under {version.name!r}{more}",
            "add the missing links, or the transfer through which fares run (joins_fares yes)",
            line=origin.position.line,
        )
    return list(findings.values())

"""Stations as reports write them: the id of the city folder, by the table in force."""

from dataclasses import dataclass, field

from settlement.core.rules import Rules


@dataclass(frozen=True, slots=True)
class Stations:
    """Names of stations under one set of rules, each city's looked up once."""

    rules: Rules
    _ids: dict[int, dict[int, str]] = field(default_factory=dict)

    def name(self, host: int, station: int) -> str:
        """A station's id; its number where the host's table does not have it."""
        if host not in self._ids:
            known = [city for city in self.rules.cities if city.city == host]
            self._ids[host] = {
                int(number): name for city in known for number, name in zip(city.station_numbers, city.station_ids, strict=True)
            }
        return self._ids[host].get(station, str(station))

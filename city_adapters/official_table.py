"""A city's official fare table beside its rule: the overrides that make the city charge what the table says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from city_adapters.city import City
from city_adapters.fare_list import ListedFare, RowProblem
from city_adapters.tables import CityTable
from city_adapters.tariff import Bands, Tariff
from fare_chain.errors import Conflict, Unknown

FAR_OFF_FEN = 200
NEAR_EDGE_M = 100
"""So far from a band's edge the length of a link decides; beyond it another cause is likely."""
GATE_LINE = "official table: by the line of the gate"
AS_RULE = "official table: as the rule"


@dataclass(slots=True)
class LoadedTable:
    """What a table comes to: rows of the overrides file, and how far the table agreed with the rule."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    checked: int = 0
    exact: int = 0
    far_off: int = 0
    unknown: list[RowProblem] = field(default_factory=list)


def load_table(city: City, rule: CityTable, listed: Sequence[ListedFare], *, as_of: date, whole: bool) -> LoadedTable:
    """Turn an official table into overrides: the fares that differ from the rule, or every one.

    Raises Conflict where a pair has two fares and no row says at which gates.
    """
    at_us = city.days.start_us(as_of)
    version = rule.version_at(at_us)
    tariff = next((one for one in city.tariffs if one.validity.from_us <= at_us < one.validity.to_us), None)
    if version is None or tariff is None:
        raise Unknown(f"{city.slug} has no tariff in force on {as_of}: give a day on which one is")
    loaded = LoadedTable()
    names = {name.casefold(): name for name in city.network.rows}
    rows = _each_once(listed)
    everywhere = {_stations(row): row.fare_fen for row in rows if not row.is_narrowed}
    for row in rows:
        first, second = names.get(row.from_id.casefold()), names.get(row.to_id.casefold())
        if first is None or second is None:
            loaded.unknown.append(RowProblem(row.line, f"{row.from_id} or {row.to_id} is no station of {city.slug}"))
            continue
        ends = city.network.rows[first], city.network.rows[second]
        rule_fen = int(version.fare_fen[ends])
        loaded.checked += 1
        loaded.exact += row.fare_fen == rule_fen
        loaded.far_off += abs(row.fare_fen - rule_fen) > FAR_OFF_FEN
        without = everywhere.get(_stations(row), rule_fen) if row.is_narrowed else rule_fen
        if whole or row.fare_fen != without:
            reason = _reason(tariff, row, rule_fen, int(version.distance_m[ends]))
            loaded.rows.append((first, second, row.from_line, row.to_line, str(row.fare_fen), reason, "high", as_of.isoformat()))
    loaded.rows.sort()
    return loaded


def rows_of(city: City, listed: Sequence[ListedFare]) -> tuple[ListedFare, ...]:
    """Keep the rows that are for this city: by its slug or code, or by their ids where the row names no city; Unknown for none."""
    own = {city.slug.casefold(), city.code.casefold()}
    rows = tuple(row for row in listed if (row.city or row.from_id.partition("-")[0]).casefold() in own)
    if not rows:
        raise Unknown(f"the list has no fare of {city.slug}: give it rows whose city is {city.slug} or {city.code}")
    return rows


def _each_once(listed: Sequence[ListedFare]) -> list[ListedFare]:
    seen: dict[tuple[tuple[str, str], ...], ListedFare] = {}
    for row in listed:
        key = tuple(sorted(((row.from_id.casefold(), row.from_line), (row.to_id.casefold(), row.to_line))))
        earlier = seen.setdefault(key, row)
        if earlier.fare_fen != row.fare_fen:
            raise Conflict(
                f"{row.from_id} - {row.to_id} costs {row.fare_fen} fen in line {row.line}, "
                f"{earlier.fare_fen} in line {earlier.line}: "
                "keep one, or name the gates' lines of each in columns from_line and to_line"
            )
    return list(seen.values())


def _stations(row: ListedFare) -> frozenset[str]:
    return frozenset((row.from_id.casefold(), row.to_id.casefold()))


def _reason(tariff: Tariff, row: ListedFare, rule_fen: int, metres: int) -> str:
    """Say why the table differs from the rule, as far as its own figures tell."""
    if row.is_narrowed:
        return GATE_LINE
    if row.fare_fen == rule_fen:
        return AS_RULE
    bands = tariff.charges[0].rule
    span = bands.metres_of(row.fare_fen) if isinstance(bands, Bands) else None
    if span is not None and (apart := min(abs(metres - edge) for edge in span)) <= NEAR_EDGE_M:
        return f"official table: {apart} m from a band edge"
    return f"official table: {abs(row.fare_fen - rule_fen)} fen off with no known cause"

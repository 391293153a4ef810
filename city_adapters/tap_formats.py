"""The gate logs we know, row by row: the columns of each format, and what they say of a tap."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import ClassVar, Protocol
from zoneinfo import ZoneInfo

from city_adapters.city import City
from city_adapters.log_stations import LogStations
from city_adapters.station_mapping import StationMapping
from city_adapters.tap_fields import NO_AMOUNT, Pseudonyms, category_of, chosen, kind_of, whole, yuan_as_fen
from city_adapters.tap_lines import GBK, UTF_8, BadField
from fare_chain.errors import Malformed
from fare_chain.tap import StationMode, TapKind

TapValues = tuple[int, bytes, bytes, int, int, int, int, int, int, int, int, int, int, int, int, int, int]
"""A tap's fields in their order, gate_seq 0; then recorded_at_us, amount_fen, line, and 1 where the log says discounted."""

_U32 = 2**32 - 1
_MOST_FEN = 10**11
_NORMAL = int(StationMode.NORMAL)


class FeedFormat(StrEnum):
    """The formats by the name on the command line."""

    HANGZHOU_2019 = "hangzhou2019"
    SHANGHAI_2015 = "shanghai2015"
    CSV = "csv"

    @property
    def city(self) -> str:
        """The city whose gates wrote a log of this format, blank where each row tells it."""
        return "" if self is FeedFormat.CSV else self.value.rstrip("0123456789")


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What a log is read with; `recorded_column` names the column of the moment at which a row came in, where it has one."""

    cities: Sequence[City]
    mapping: StationMapping
    pseudonyms: Pseudonyms
    moment: Callable[[str, str, ZoneInfo], int]
    host: City | None = None
    recorded_column: str | None = None


class RowReader(Protocol):
    """Reads the rows of one format."""

    encodings: ClassVar[Sequence[str]]
    headed: ClassVar[bool]
    """Whether the first line must be a header."""

    def open(self, first: list[str]) -> bool:
        """Take the first line and tell whether it was a header; Malformed where this is no log of the format."""

    def read(self, number: int, fields: list[str]) -> TapValues | str:
        """Read one row, or say which kind of row it is that concerns no metro gate; BadField where it is wrong."""


def row_reader(form: FeedFormat, settings: FeedSettings) -> RowReader:
    """Make the reader of a format; Malformed where the mapping leads to a station that no city has."""
    known = {str(station.station_id).casefold() for city in settings.cities for station in city.stations}
    for (station, _line), station_id in settings.mapping.stations.items():
        if station_id.casefold() not in known:
            raise Malformed(f"the mapping leads {station!r} to {station_id!r}, which no city's stations.csv has: correct it")
    if form is FeedFormat.CSV:
        return PlainRows(settings)
    if settings.host is None:
        raise Malformed(f"a log of format {form} is one city's: name the city")
    return NumberedRows(settings, settings.host) if form is FeedFormat.HANGZHOU_2019 else CardRows(settings, settings.host)


class _Columns:
    """The columns of a header: where each stands, and the text by which a row is known."""

    def __init__(self, header: list[str], needed: Sequence[str], recorded: str | None, *, spelled_as_is: bool) -> None:
        names = [name if spelled_as_is else name.lower() for name in header]
        lacking = [name for name in needed if name not in names]
        if lacking:
            raise Malformed(f"line 1 has the columns {', '.join(names)[:200]}; {', '.join(lacking)} must be there too")
        if len(set(names)) < len(names):
            raise Malformed("line 1 names a column twice: give each column a name of its own")
        self.count = len(names)
        self.at = {name: place for place, name in enumerate(names)}
        self.recorded = None if recorded is None else recorded_place(self.at, recorded)

    def check(self, fields: list[str]) -> None:
        """BadField unless the row has a field for each column."""
        if len(fields) != self.count:
            raise BadField("line", f"the row has {len(fields)} fields and the header {self.count}: give one for each column")

    def identity(self, fields: list[str]) -> str:
        """The row without the moment at which it came in: what a row that was sent again has in common with itself."""
        at = self.recorded
        return "\x1f".join(fields if at is None else fields[:at] + fields[at + 1 :])


def recorded_place(columns: Mapping[str, int], recorded: str) -> int:
    """Where the column of --as-of-recorded stands; Malformed where it does not."""
    for name, place in columns.items():
        if name.lower() == recorded.strip().lower():
            return place
    raise Malformed(f"the log has no column {recorded!r} to replay by: its columns are {', '.join(columns)}")


class NumberedRows:
    """One city's gates with anonymous station numbers: time, lineID, stationID, deviceID, status, userID, payType.

    Status 1 is in, 0 is out. A userID of payType 3 is a single ticket's: several riders have it, one after the other.
    """

    encodings: ClassVar[Sequence[str]] = (UTF_8,)
    headed: ClassVar[bool] = True
    COLUMNS = ("time", "lineID", "stationID", "deviceID", "status", "userID", "payType")
    _KINDS: ClassVar[Mapping[str, int]] = {"1": int(TapKind.ENTRY), "0": int(TapKind.EXIT)}
    _PAY_TYPES: ClassVar[Mapping[str, int]] = {text: int(text) for text in "0123"}

    def __init__(self, settings: FeedSettings, host: City) -> None:
        self._settings = settings
        self._host = LogStations(host, settings.mapping)

    def open(self, first: list[str]) -> bool:
        """Find the columns."""
        self._columns = _Columns(first, self.COLUMNS, self._settings.recorded_column, spelled_as_is=True)
        self._pick = itemgetter(*(self._columns.at[name] for name in self.COLUMNS))
        return True

    def read(self, number: int, fields: list[str]) -> TapValues | str:
        """Read one row."""
        self._columns.check(fields)
        time, line, station, device, status, user, pay_type = self._pick(fields)
        settings, host = self._settings, self._host
        at_us = settings.moment("time", time, host.zone)
        kind = chosen("status", status, self._KINDS)
        chosen("payType", pay_type, self._PAY_TYPES)
        place = host.by_number("stationID", station, line)
        recorded = self._columns.recorded
        medium = settings.pseudonyms.medium("userID", user, host.city)
        return (
            at_us, medium, settings.pseudonyms.digest(self._columns.identity(fields)),
            0, whole("deviceID", device, _U32), place.station, host.city, host.city, kind, _NORMAL, 0, 0, 0,
            at_us if recorded is None else settings.moment(settings.recorded_column or "", fields[recorded], host.zone),
            NO_AMOUNT, number, 0,
        )  # fmt: skip


class CardRows:
    """One city's stored-value cards: card, date, time, line and station, mode, amount in yuan, discount flag; without a header.

    The amount is 0 on entry and the fare on exit; rows of other modes than the metro are counted and left out.
    """

    encodings: ClassVar[Sequence[str]] = (UTF_8, GBK)
    headed: ClassVar[bool] = False
    FIELDS = 7
    METRO = "地铁"
    _FLAGS: ClassVar[Mapping[str, int]] = {"优惠": 1, "非优惠": 0}

    def __init__(self, settings: FeedSettings, host: City) -> None:
        self._settings = settings
        self._host = LogStations(host, settings.mapping)

    def open(self, first: list[str]) -> bool:
        """Tell whether somebody put a header there: then date and time hold no digit."""
        if self._settings.recorded_column is not None:
            raise Malformed("a log of this format names no columns, so --as-of-recorded has none to replay by: write it as csv")
        return len(first) == self.FIELDS and not any(character.isdecimal() for character in first[1] + first[2])

    def read(self, number: int, fields: list[str]) -> TapValues | str:
        """Read one row."""
        if len(fields) != self.FIELDS:
            expected = "card, date, time, line and station, mode, amount, discount flag"
            raise BadField("line", f"the row has {len(fields)} fields: give {self.FIELDS}, {expected}")
        card, day, time, station, mode, amount, flag = fields
        if mode != self.METRO:
            return mode
        settings, host = self._settings, self._host
        at_us = settings.moment("time", f"{day} {time}", host.zone)
        amount_fen = yuan_as_fen("amount", amount)
        discounted = chosen("discount flag", flag, self._FLAGS)
        place = host.by_name("station", station)
        kind = int(TapKind.EXIT if amount_fen else TapKind.ENTRY)
        return (
            at_us, settings.pseudonyms.medium("card", card, host.city), settings.pseudonyms.digest("\x1f".join(fields)),
            0, place.gate, place.station, host.city, host.city, kind, _NORMAL, 0, 0, 0,
            at_us, amount_fen, number, discounted,
        )  # fmt: skip


class PlainRows:
    """Any cities' gates: tapped_at, city, station_id, gate, kind, medium, issuer, category, in any order of columns.

    Further columns that are read where they are there: entitlement, amount_fen or amount_yuan, and that of --as-of-recorded.
    """

    encodings: ClassVar[Sequence[str]] = (UTF_8,)
    headed: ClassVar[bool] = True
    COLUMNS = ("tapped_at", "city", "station_id", "gate", "kind", "medium", "issuer", "category")

    def __init__(self, settings: FeedSettings) -> None:
        self._settings = settings
        hosts = {int(city.number): LogStations(city, settings.mapping) for city in settings.cities}
        self._cities = {name.casefold(): hosts[int(city.number)] for city in settings.cities for name in (city.slug, city.code)}

    def open(self, first: list[str]) -> bool:
        """Find the columns."""
        self._columns = _Columns(first, self.COLUMNS, self._settings.recorded_column, spelled_as_is=False)
        self._pick = itemgetter(*(self._columns.at[name] for name in self.COLUMNS))
        return True

    def read(self, number: int, fields: list[str]) -> TapValues | str:
        """Read one row."""
        self._columns.check(fields)
        tapped_at, city, station, gate, kind, medium, issuer, category = self._pick(fields)
        settings = self._settings
        host = self._city("city", city)
        at_us = settings.moment("tapped_at", tapped_at, host.zone)
        place = host.by_id("station_id", station)
        payer = self._city("issuer", issuer).city if issuer else host.city
        recorded = self._columns.recorded
        gate_number = whole("gate", gate, _U32) if gate else place.gate
        return (
            at_us, settings.pseudonyms.medium("medium", medium, payer, may_be_one=True),
            settings.pseudonyms.digest(self._columns.identity(fields)),
            0, gate_number, place.station, host.city, payer, int(kind_of("kind", kind)), _NORMAL,
            category_of("category", category), 0, self._optional(fields, "entitlement", 255, absent=0),
            at_us if recorded is None else settings.moment(settings.recorded_column or "", fields[recorded], host.zone),
            self._amount_fen(fields), number, 0,
        )  # fmt: skip

    def _city(self, field: str, text: str) -> LogStations:
        found = self._cities.get(text.casefold())
        if found is None:
            raise BadField(field, f"{field} is {text!r}: give a city's slug or code, one of {', '.join(self._cities)}")
        return found

    def _optional(self, fields: list[str], name: str, most: int, *, absent: int) -> int:
        at = self._columns.at.get(name)
        text = "" if at is None else fields[at]
        return whole(name, text, most) if text else absent

    def _amount_fen(self, fields: list[str]) -> int:
        at = self._columns.at.get("amount_yuan")
        text = "" if at is None else fields[at]
        return yuan_as_fen("amount_yuan", text) if text else self._optional(fields, "amount_fen", _MOST_FEN, absent=NO_AMOUNT)

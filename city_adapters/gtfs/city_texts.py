"""The files of a city's folder, written: one row a line, the columns of the format, the same bytes for the same values."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from city_adapters.gtfs.charges import FlatCharge
from city_adapters.provenance import Confidence


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a CSV file; a field is quoted where it has to be."""
    return "".join(",".join(_field(value) for value in row) + "\n" for row in (columns, *rows))


def thousandths(degrees: float) -> str:
    """Write a position with exactly three decimals."""
    value = round(degrees * 1000)
    return f"{'-' if value < 0 else ''}{abs(value) // 1000}.{abs(value) % 1000:03}"


def head_text(head: Mapping[str, str | int], remarks: Sequence[str], as_of: date) -> str:
    """Write city.toml; how many ride is not in a feed, and stands in as 1."""
    lines = [f"{name} = {_toml(value)}" for name, value in head.items()]
    listed = [f"  {_toml(remark)}," for remark in remarks]
    ridership = _table("ridership", {"riders_per_day": 1}, Confidence.UNCONFIRMED, as_of, "placeholder: a feed does not say it")
    return "\n".join([*lines, "unconfirmed = [", *listed, "]", *ridership]) + "\n"


def tariff_text(name: str, charges: Sequence[FlatCharge], as_of: date) -> str:
    """Write a tariff of flat charges; the rule for a ride to its own station is a placeholder."""
    lines = [f"name = {_toml(name)}", f"valid_from = {as_of}", 'confidence = "unconfirmed"', f"as_of = {as_of}"]
    lines.append('source = "a GTFS feed; the day it came into force is not confirmed"')
    for charge in charges:
        named = {"lines": list(charge.lines)} if charge.lines else {}
        values = {"name": charge.name, "kind": "flat", **named, "fare_fen": charge.amount}
        lines += _table("[charge]", values, charge.confidence, as_of, charge.source)
    own = {"charge": "lowest fare", "free_within_min": 0}
    lines += _table("same_station", own, Confidence.UNCONFIRMED, as_of, "placeholder: a feed does not say it")
    return "\n".join(lines) + "\n"


def split_text(name: str, as_of: date) -> str:
    """Write the plainest split rule: who carried the rider earns by the metres."""
    values = {"model": "metres on the shortest path", "shared_track": "equal parts"}
    lines = [f"name = {_toml(name)}", f"valid_from = {as_of}", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    return "\n".join([*lines, *_known(Confidence.UNCONFIRMED, as_of, "placeholder: a feed does not say it")]) + "\n"


def _table(name: str, values: Mapping[str, object], confidence: Confidence, as_of: date, source: str) -> list[str]:
    lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
    return ["", f"[{name}]", *lines, *_known(confidence, as_of, source)]


def _known(confidence: Confidence, as_of: date, source: str) -> list[str]:
    return [f"confidence = {_toml(str(confidence))}", f"as_of = {as_of}", f"source = {_toml(source)}"]


def _toml(value: object) -> str:
    """Write a text, a number or a list: JSON's form, which TOML shares once no control character is in a text."""
    return json.dumps(value, ensure_ascii=False)


def _field(value: object) -> str:
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & {",", '"', "\n", "\r"} else text

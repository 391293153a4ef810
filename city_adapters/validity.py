"""From when until when a dated version holds: versions follow one another, without overlap and without a gap.

A new version is a new file and edits none: a version without an end of its own ends where the next one begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest

from city_adapters.fields import Fields
from city_adapters.findings import Finding, error
from city_adapters.service_day import ServiceDays

FOREVER_US = 2**63 - 1
"""The end of a version that has none."""


@dataclass(frozen=True, slots=True)
class Validity:
    """A version holds from `from_us` until before `to_us`, in microseconds since 1970 UTC."""

    from_us: int
    to_us: int = FOREVER_US


@dataclass(frozen=True, slots=True)
class Dates:
    """The first service day of a version, and the first after it (None: until the next version); the line that says so."""

    file: str
    valid_from: date
    valid_to: date | None
    line: int = 0


def read_dates(fields: Fields) -> Dates:
    """Read `valid_from` and the optional `valid_to` of a version whose file is named for its first day."""
    first, end = fields.day("valid_from"), fields.optional_day("valid_to")
    if not fields.file.endswith(f"-{first.isoformat()}.toml"):
        fields.wrong("valid_from", f"is {first}, which the file's name does not say", "name the file for the day it begins")
    if end is not None and end <= first:
        fields.wrong("valid_to", f"is {end}, not after valid_from {first}", "give the first day on which it no longer holds")
    return Dates(fields.file, first, end, fields.line_of("valid_from" if end is None else "valid_to"))


def follow(dates: Sequence[Dates], days: ServiceDays) -> tuple[dict[str, Validity], list[Finding]]:
    """Turn the dates of all versions of one thing into validities by file, and say where they overlap or leave a gap."""
    ordered = sorted(dates, key=lambda version: (version.valid_from, version.file))
    findings, validities = [], {}
    for version, later in zip_longest(ordered, ordered[1:]):
        end = version.valid_to or (later.valid_from if later else None)
        validities[version.file] = Validity(days.start_us(version.valid_from), days.start_us(end) if end else FOREVER_US)
        if later and end and (end > later.valid_from or version.valid_from == later.valid_from):
            findings.append(_clash(version, f"overlaps {later.file}, which begins on {later.valid_from}"))
        elif later and end and end < later.valid_from:
            findings.append(_clash(version, f"ends on {end}, and nothing holds until {later.file} begins on {later.valid_from}"))
    return validities, findings


def _clash(version: Dates, message: str) -> Finding:
    return error(
        version.file,
        f"this version {message}",
        "change valid_to, or leave it out: it then ends where the next begins",
        line=version.line,
    )

"""One row of a CSV file or one table of a TOML file, read field by field; what is wrong becomes a finding.

Reading goes on after a wrong field with a stand-in, so that one reading of a folder names everything that is wrong with it.
A caller uses the values only when no error was found.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from city_adapters.findings import Finding, error
from city_adapters.provenance import Confidence, Provenance
from city_adapters.toml_lines import line_of

MOST = 2**31 - 1
Choice = TypeVar("Choice", bound=StrEnum)
Value = TypeVar("Value")


class YesOrNo(StrEnum):
    """A flag as people write it in a row."""

    YES = "yes"
    NO = "no"


class Fields:
    """The fields of one row or table.

    A row has its `line`. A table of a TOML file has its path `where`, as `charge[0].`, and the `lines` of all paths of the file.
    """

    def __init__(
        self,
        values: Mapping[str, object],
        file: str,
        findings: list[Finding],
        *,
        line: int = 0,
        where: str = "",
        lines: Mapping[str, int] | None = None,
    ) -> None:
        self.file = file
        self.line = line
        self._values = values
        self._where = where
        self._lines = lines or {}
        self._findings = findings
        self._read: set[str] = set()

    def wrong(self, name: str, found: str, remedy: str) -> None:
        """Note that a field is wrong: what was found, and what to do."""
        self._findings.append(error(self.file, f"{self._where}{name} {found}", remedy, line=self.line_of(name)))

    def line_of(self, name: str = "") -> int:
        """The line of a field, or of this row or table: in a TOML file the field's own, if it is there."""
        return self.line or line_of(self._lines, f"{self._where}{name}" if name else self._where.removesuffix("."))

    def has(self, name: str) -> bool:
        """Whether the field is there and not blank."""
        return self._values.get(name, "") != ""

    def text(self, name: str) -> str:
        """Read a text that is not blank and has no space around it."""
        value = self._take(name)
        if isinstance(value, str) and value and value == value.strip():
            return value
        return self._refuse(name, value, "a text without space around it", "")

    def optional_text(self, name: str) -> str:
        """Read a text that may be blank or absent."""
        return self.text(name) if self.has(name) else self._skip(name, "")

    def whole(self, name: str, least: int = 0, most: int = MOST) -> int:
        """Read a whole number between two bounds; in a row its plain decimal digits."""
        value = self._take(name)
        if isinstance(value, str) and self.line and value.isascii() and value.isdigit() and str(int(value)) == value:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        return self._refuse(name, value, f"a whole number from {least} to {most}", least)

    def optional_whole(self, name: str, least: int = 0, most: int = MOST) -> int | None:
        """Read a whole number that may be blank or absent."""
        return self.whole(name, least, most) if self.has(name) else self._skip(name, None)

    def thousandths(self, name: str) -> int:
        """Read a decimal of exactly three places, as 121.381 or -0.128, as whole thousandths."""
        value = self._take(name)
        if isinstance(value, str):
            before, point, after = value.removeprefix("-").partition(".")
            if point and before and len(after) == 3 and (before + after).isascii() and (before + after).isdigit():
                return int(before + after) * (-1 if value.startswith("-") else 1)
        return self._refuse(name, value, "a decimal with three places, as 121.381", 0)

    def decimal(self, name: str, places: int) -> int:
        """Read a plain decimal of a row, as 0.25, as whole parts of so many places."""
        value = self._take(name)
        if isinstance(value, str):
            before, _, after = value.partition(".")
            if before and len(before + after) <= places + 3 and len(after) <= places and _are_digits(before + after):
                return int(before + after.ljust(places, "0"))
        return self._refuse(name, value, f"a decimal of at most {places} places, as 0.25", 0)

    def ratio(self, name: str) -> Fraction:
        """Read a number above zero exactly as it is written: 0.2, 3, or a text as "1/3"."""
        value = self._take(name)
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                exact = Fraction(str(value))
            except (ValueError, ZeroDivisionError):
                exact = Fraction(0)
            if exact > 0 and max(exact.numerator, exact.denominator) <= MOST:
                return exact
        return self._refuse(name, value, 'a number above zero, as 0.2 or "1/3"', Fraction(1))

    def day(self, name: str) -> date:
        """Read a date: a TOML date, or YYYY-MM-DD in a row."""
        value = self._take(name)
        if isinstance(value, str) and self.line:
            try:
                return date.fromisoformat(value)
            except ValueError:
                return self._refuse(name, value, "a date as YYYY-MM-DD", date.min)
        if type(value) is date:
            return value
        return self._refuse(name, value, "a date as YYYY-MM-DD, without quotes", date.min)

    def optional_day(self, name: str) -> date | None:
        """Read a date that may be absent."""
        return self.day(name) if self.has(name) else self._skip(name, None)

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        """Read one word of a closed list."""
        value = self._take(name)
        if isinstance(value, str) and value in {choice.value for choice in choices}:
            return choices(value)
        known = list(choices)
        return self._refuse(name, value, f"one of {', '.join(known)}", known[0])

    def provenance(self) -> Provenance:
        """Read the fields `confidence`, `as_of` and the optional `source`."""
        return Provenance(self.choice("confidence", Confidence), self.day("as_of"), self.optional_text("source"), self.line_of())

    def yes_or_no(self, name: str) -> bool:
        """Read `yes` or `no`."""
        return self.choice(name, YesOrNo) is YesOrNo.YES

    def flag(self, name: str) -> bool:
        """Read `true` or `false` of a TOML file."""
        value = self._take(name)
        return value if isinstance(value, bool) else self._refuse(name, value, "true or false", stand_in=False)

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of texts, all different, at least one."""
        value = self._take(name)
        if (
            isinstance(value, list)
            and value
            and all(isinstance(item, str) and item for item in value)
            and len(set(value)) == len(value)
        ):
            return tuple(value)
        return self._refuse(name, value, "a list of different texts", ())

    def wholes(self, name: str, least: int = 0, most: int = MOST) -> tuple[int, ...]:
        """Read a list of whole numbers, at least one."""
        value = self._take(name)
        if isinstance(value, list) and value and all(type(item) is int and least <= item <= most for item in value):
            return tuple(value)
        return self._refuse(name, value, f"a list of whole numbers from {least} to {most}", ())

    def table(self, name: str) -> "Fields":
        """Read a table inside this one."""
        value = self._take(name)
        if not isinstance(value, dict):
            value = self._refuse(name, value, f"a table [{self._where}{name}]", {})
        return self._inside(value, name)

    def optional_table(self, name: str) -> "Fields | None":
        """Read a table that may be absent."""
        return self.table(name) if name in self._values else self._skip(name, None)

    def tables(self, name: str) -> list["Fields"]:
        """Read a list of tables, at least one."""
        value = self._take(name)
        if not (isinstance(value, list) and value and all(isinstance(item, dict) for item in value)):
            value = self._refuse(name, value, f"one or more tables [[{self._where}{name}]]", [])
        return [self._inside(item, f"{name}[{at}]") for at, item in enumerate(value)]

    def names(self) -> Iterable[str]:
        """Name every field of a table whose keys are themselves data."""
        return tuple(self._values)

    def done(self) -> None:
        """Say of every field that nobody has read that it means nothing here."""
        for name in self._values:
            if name not in self._read:
                self.wrong(name, "is not a field of this file", "remove it, or correct its name")

    def _inside(self, values: Mapping[str, object], name: str) -> "Fields":
        return Fields(values, self.file, self._findings, where=f"{self._where}{name}.", lines=self._lines)

    def _take(self, name: str) -> object:
        self._read.add(name)
        return self._values.get(name)

    def _skip(self, name: str, value: Value) -> Value:
        self._read.add(name)
        return value

    def _refuse(self, name: str, found: object, expected: str, stand_in: Value) -> Value:
        self.wrong(name, "is missing" if found is None else f"is {found!r}", f"give {expected}")
        return stand_in


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()

"""The fields of a gate log's row, one function for each kind of value: a value, or a BadField that says what to give."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from city_adapters.service_day import EPOCH
from city_adapters.tap_lines import BadField
from fare_chain.hashing import sha256, tagged_prefix
from fare_chain.tap import Category, TapKind

NO_AMOUNT = -1
"""The amount of a row whose log tells none."""
EARLIEST_US = 946_684_800 * 1_000_000
"""2000-01-01: no gate of a log that we read is older."""
LATEST_US = 4_102_444_800 * 1_000_000
"""2100-01-01: what a log tells of later days is a slip."""
_LONGEST_AMOUNT = 9
_REMEMBERED = 65_536
"""Texts whose meaning is remembered: rows of one second, of one device."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?")
_PSEUDONYM = re.compile(r"[0-9a-fA-F]{32}")


class LoggedKind(StrEnum):
    """A reading's kind as a log spells it."""

    ENTRY = "entry"
    EXIT = "exit"
    TRANSFER_ENTRY = "transfer_entry"
    TRANSFER_EXIT = "transfer_exit"
    MARKER = "marker"


_KINDS = {kind.value: TapKind[kind.name] for kind in LoggedKind}
_CATEGORIES = {name: int(category) for category in Category for name in (category.name.lower(), str(int(category)))} | {"": 0}


def moment_reader(before_us: int) -> Callable[[str, str, ZoneInfo], int]:
    """Make a reader of moments before `before_us`, in microseconds: of a field, its text, and the zone of a text without offset."""

    @lru_cache(_REMEMBERED)
    def read(field: str, text: str, zone: ZoneInfo) -> int:
        try:
            at = datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
        except ValueError:
            at = None
        if at is None:
            raise BadField(field, f"{field} is {text!r}: give a moment as 2019-01-01T08:30:00+08:00")
        passed = (at if at.tzinfo else at.replace(tzinfo=zone)) - EPOCH
        at_us = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
        if not EARLIEST_US <= at_us < before_us:
            until = (EPOCH + timedelta(microseconds=before_us)).date()
            raise BadField(field, f"{field} is {text!r}: give a moment from 2000 on, before {until}")
        return at_us

    return read


@lru_cache(_REMEMBERED)
def whole(field: str, text: str, most: int) -> int:
    """Read a whole number from 0 to `most`."""
    if text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) <= most:
        return int(text)
    raise BadField(field, f"{field} is {text!r}: give a whole number from 0 to {most}")


def yuan_as_fen(field: str, text: str) -> int:
    """Read an amount of yuan, as 4 or 4.00, in fen."""
    yuan, _, part = text.partition(".")
    part = part.rstrip("0")
    if text.isascii() and yuan.isdecimal() and len(yuan) <= _LONGEST_AMOUNT and len(part) <= 2 and (not part or part.isdecimal()):
        return int(yuan) * 100 + int(part.ljust(2, "0"))
    raise BadField(field, f"{field} is {text!r}: give yuan, as 4 or 4.00")


def kind_of(field: str, text: str) -> TapKind:
    """Read the kind of a reading."""
    kind = _KINDS.get(text.lower())
    if kind is None:
        raise BadField(field, f"{field} is {text!r}: give one of {', '.join(_KINDS)}")
    return kind


def category_of(field: str, text: str) -> int:
    """Read a category by its name or number; blank is an adult."""
    category = _CATEGORIES.get(text.lower())
    if category is None:
        raise BadField(field, f"{field} is {text!r}: give one of {', '.join(known.name.lower() for known in Category)}")
    return category


def chosen(field: str, text: str, choices: Mapping[str, int]) -> int:
    """Read one of a log's few codes."""
    if text not in choices:
        raise BadField(field, f"{field} is {text!r}: give one of {', '.join(choices)}")
    return choices[text]


class Pseudonyms:
    """Media and digests that tell nothing of who rode: hashed under their own domain, with a salt that only the importer has."""

    def __init__(self, salt: bytes) -> None:
        """Take the salt; whoever has it can try all card numbers, and nobody else can."""
        self._medium = tagged_prefix("import-medium", [sha256(salt)])
        self._row = tagged_prefix("import-row", [sha256(salt)])

    def medium(self, field: str, text: str, issuer: int, *, may_be_one: bool = False) -> bytes:
        """The pseudonym of an issuer's card or account; 32 hexadecimal digits that may be one already are taken as they are."""
        if not text:
            raise BadField(field, f"{field} is blank: give the card or account, any text")
        if may_be_one and len(text) == 32 and _PSEUDONYM.fullmatch(text):
            return bytes.fromhex(text)
        named = self._medium.copy()
        named.update(issuer.to_bytes(2, "little") + sha256(text.encode()))
        return named.digest()[:16]

    def digest(self, row: str) -> bytes:
        """What stands in the place of the rider code's hash: the hash of the row it came from."""
        hashed = self._row.copy()
        hashed.update(sha256(row.encode()))
        return hashed.digest()

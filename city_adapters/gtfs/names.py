"""What a feed calls its things in Chinese and in English, and ASCII names for ids."""

import unicodedata
from dataclasses import dataclass

from city_adapters.gtfs.feed import Feed
from city_adapters.provenance import Confidence

SPELLED = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "œ": "oe"})


@dataclass(frozen=True, slots=True)
class Named:
    """A name in both languages, and how far the English one is known."""

    zh: str
    en: str
    confidence: Confidence


class Names:
    """The translations of a feed, and the language of its own texts."""

    def __init__(self, feed: Feed) -> None:
        self._by_record: dict[tuple[str, str, str, str], str] = {}
        self._by_value: dict[tuple[str, str], str] = {}
        self._language = next((row["feed_lang"] for row in feed.rows("feed_info.txt")), "") or next(
            (row["agency_lang"] for row in feed.rows("agency.txt")), ""
        )
        for row in feed.rows("translations.txt"):
            language = _language(row["language"] or row["lang"])
            if row["record_id"]:
                self._by_record[row["table_name"], row["field_name"], row["record_id"], language] = row["translation"]
            else:
                self._by_value[row["field_value"] or row["trans_id"], language] = row["translation"]

    def of(self, table: str, field: str, record: str, value: str) -> Named:
        """Name a record in both languages; where a language has no word, the feed's own word stands for both."""
        own = tidy(value) or record
        zh, en = (
            tidy(self._by_record.get((table, field, record, language), "") or self._by_value.get((value, language), ""))
            for language in ("zh", "en")
        )
        known = Confidence.MEDIUM if en or _language(self._language) == "en" else Confidence.UNCONFIRMED
        return Named(zh or own, en or own, known)


def tidy(text: str) -> str:
    """One line of printable letters without space around it."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def slug(text: str) -> str:
    """Write a name in ASCII letters and digits with hyphens; nothing where it has letters that ASCII cannot tell."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(SPELLED))
    letters = [letter for letter in plain if not unicodedata.combining(letter)]
    if any(letter.isalnum() and not letter.isascii() for letter in letters):
        return ""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in letters if letter not in "'’.").split())


def unique(wanted: list[str]) -> list[str]:
    """Tell names apart that are the same: the second gets -2, the third -3."""
    taken: set[str] = set()
    names = []
    for name in wanted:
        number, told = 1, name
        while told in taken:
            number += 1
            told = f"{name}-{number}"
        taken.add(told)
        names.append(told)
    return names


def _language(code: str) -> str:
    """The language of a code, without its region: zh-Hans is zh."""
    return code.casefold().partition("-")[0].partition("_")[0]

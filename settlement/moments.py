"""Moments as people write them: ISO 8601 with an offset, or a second since 1970."""

from datetime import datetime

from fare_chain.errors import Malformed

_SECOND_US = 1_000_000


def read_moment_us(text: str) -> int:
    """Read a moment in microseconds since 1970 UTC; Malformed where the text does not say one without doubt."""
    if text.isascii() and text.isdigit():
        return int(text[:13]) * _SECOND_US
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"{text!r} is not a moment: write it like 2026-10-01T08:30:00+08:00") from error
    if moment.tzinfo is None:
        raise Malformed(f"{text!r} has no offset: write it like {text}+08:00")
    return int(moment.timestamp()) * _SECOND_US

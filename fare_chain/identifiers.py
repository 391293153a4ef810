"""The numbers and names by which things are known, as types."""

from typing import NewType

MemberNumber = NewType("MemberNumber", int)
"""A member of the scheme: 0 is the scheme itself, 1..65535 a city (its `number` in `city.toml`). u16 on the wire."""

CitySlug = NewType("CitySlug", str)
"""A city in lower case letters, as in file names and on the command line: `shanghai`."""

StationId = NewType("StationId", str)
"""A station for people: `SHA-xinzhuang`, the city's code, a hyphen and a name in lower case."""

StationNumber = NewType("StationNumber", int)
"""A station on the wire: its `number` in the host's `stations.csv`, from 1, never used twice. u32 in a tap."""

Medium = NewType("Medium", bytes)
"""A rider's pseudonym: the first 16 bytes of SHA-256 of the device public key."""

Fen = NewType("Fen", int)
"""Money: a hundredth of a yuan, always a whole number."""

Micros = NewType("Micros", int)
"""A moment: microseconds since 1970-01-01 UTC."""

SCHEME = MemberNumber(0)

FIRST_READER = MemberNumber(60_000)
"""From here on owners of keys are readers that are no members: regulators and auditors. They owe nothing and clear nothing."""

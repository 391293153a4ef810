"""Whose proof, and of what: how parties, lines and journeys are named by people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fare_chain.errors import Malformed, Unknown
from settlement.core.columns import Level, ObligationKind
from settlement.core.inner_paths import Line

_ID_BYTES = 16
_KINDS = {kind.name.lower().replace("_", "-"): kind for kind in ObligationKind}
_LARGEST_OPERATOR = 255
_LARGEST_MEMBER = 65_535


@dataclass(frozen=True, slots=True)
class Party:
    """A member by its number, or a beneficiary: host * 256 + number."""

    number: int
    is_member: bool

    @property
    def member(self) -> int:
        """The member in whose books it stands."""
        return self.number if self.is_member else self.number >> 8


def read_party(text: str, members: Callable[[], Mapping[str, int]]) -> Party:
    """A member as `shanghai` or 1, an operator of it as `shanghai.2` or 1.2; `members` gives numbers by name, if one is used."""
    name, dot, operator = text.partition(".")
    member = int(name) if _is_number(name, _LARGEST_MEMBER) else _named(name, members())
    if not dot:
        return Party(member, is_member=True)
    if not _is_number(operator, _LARGEST_OPERATOR) or member > _LARGEST_OPERATOR:
        raise Malformed(f"{text[:40]!r} is no operator: write its host and its number in operators.csv, as shanghai.2")
    return Party(member << 8 | int(operator), is_member=False)


def read_line(debtor: Party, creditor: Party, kind: str) -> Line:
    """A line between two members, or of a host and one of its operators; Malformed where there can be none."""
    if kind not in _KINDS:
        raise Malformed(f"kind is {kind[:40]!r}, expected one of {', '.join(_KINDS)}")
    if not debtor.is_member:
        raise Malformed("a beneficiary owes nothing: name its host as the debtor")
    level = Level.MEMBERS if creditor.is_member else Level.BENEFICIARIES
    return Line(int(level), int(_KINDS[kind]), debtor.number, creditor.number)


def read_journey_id(text: str) -> bytes:
    """A journey's id from its 32 hex digits."""
    try:
        journey_id = bytes.fromhex(text)
    except ValueError:
        journey_id = b""
    if len(journey_id) != _ID_BYTES or journey_id.hex() != text:
        raise Malformed(f"{text[:80]!r} is not a journey's id: give its {_ID_BYTES} bytes as lower case hex")
    return journey_id


def _named(name: str, numbers: Mapping[str, int]) -> int:
    if name.lower() not in numbers:
        raise Unknown(f"there is no member {name[:40]!r}: expected a number, or one of {', '.join(numbers)}")
    return numbers[name.lower()]


def _is_number(text: str, largest: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(largest)) and int(text) <= largest

"""Who may see what: every address of the house with one line, every role with its bases. What has no line here is not served.

Detail is a tap, a code, a journey, or anything by rider; aggregates are sums by member. A party of a ride (its host, its issuer)
sees its own detail. The scheme and the readers are no parties: each look of theirs names a basis and stands on the ledger first.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fare_chain.errors import Malformed, Untrusted
from fare_chain.governance import Basis
from fare_chain.identifiers import FIRST_READER, SCHEME


class Role(StrEnum):
    """What somebody with an access key is. Readers (numbers from 60,000) are auditors or regulators, as `access.toml` says."""

    SCHEME = "scheme"
    CITY = "city"
    AUDITOR = "auditor"
    REGULATOR = "regulator"


BASES: Mapping[Role, frozenset[Basis]] = {
    Role.SCHEME: frozenset({Basis.AUDIT, Basis.DISPUTE, Basis.RIDER_ASKED, Basis.COURT_ORDER}),
    Role.CITY: frozenset(),
    Role.AUDITOR: frozenset({Basis.AUDIT}),
    Role.REGULATOR: frozenset({Basis.AUDIT, Basis.SUPERVISION, Basis.COURT_ORDER}),
}
"""Why each role may look at detail that is not its own."""


class Permit(StrEnum):
    """Whom an address answers."""

    ANYBODY = "anybody"
    PROVEN = "anybody; what is sent proves its sender"
    MEMBERS = "cities, scheme, readers"
    CITIES = "cities"
    PARTIES = "host and issuer; scheme and readers by a look"
    LOOKERS = "scheme and readers"
    MEMBERS_ALONE = "cities and scheme"


_ADMITTED: Mapping[Permit, frozenset[Role]] = {
    Permit.MEMBERS: frozenset(Role),
    Permit.CITIES: frozenset({Role.CITY}),
    Permit.PARTIES: frozenset(Role),
    Permit.LOOKERS: frozenset(Role) - {Role.CITY},
    Permit.MEMBERS_ALONE: frozenset({Role.CITY, Role.SCHEME}),
}
OPEN = frozenset({Permit.ANYBODY, Permit.PROVEN})
"""Whoever asks here shows no token."""

PERMITS: Mapping[str, Permit] = {
    "POST /v1/batches": Permit.PROVEN,
    "POST /v1/cosignatures": Permit.PROVEN,
    "GET /v1/follow": Permit.CITIES,
    "GET /checkpoint": Permit.ANYBODY,
    "GET /v1/checkpoint": Permit.ANYBODY,
    "GET /v1/anchored": Permit.ANYBODY,
    "GET /log.vkey": Permit.ANYBODY,
    "GET /policy": Permit.ANYBODY,
    "GET /tile/{path:path}": Permit.ANYBODY,
    "GET /table/{digest}": Permit.ANYBODY,
    "GET /body/{digest}": Permit.PARTIES,
    "GET /codes/{digest}": Permit.PARTIES,
    "POST /v1/looks": Permit.LOOKERS,
    "POST /v1/evidence": Permit.PROVEN,
    "GET /evidence/{digest}": Permit.MEMBERS,
    "POST /v1/erasures": Permit.MEMBERS_ALONE,
    "GET /v1/proofs/tap": Permit.PARTIES,
    "GET /v1/proofs/journey": Permit.PARTIES,
    "GET /v1/proofs/window": Permit.ANYBODY,
    "GET /v1/proofs/line": Permit.MEMBERS_ALONE,
    "GET /v1/proofs/statement": Permit.ANYBODY,
    "GET /v1/health": Permit.ANYBODY,
    "GET /v1/status": Permit.ANYBODY,
    "GET /v1/windows": Permit.ANYBODY,
    "GET /v1/windows/{second}": Permit.MEMBERS,
    "GET /v1/cities/{city}/watermark": Permit.ANYBODY,
    "GET /v1/reports": Permit.ANYBODY,
    "GET /v1/reports/{name}": Permit.MEMBERS,
    "GET /v1/reports/{name}/manifest": Permit.MEMBERS,
    "POST /v1/reports/{name}/editions": Permit.MEMBERS_ALONE,
    "GET /v1/editions/{document}": Permit.MEMBERS,
    "GET /v1/editions/{document}/{number}": Permit.MEMBERS,
    "GET /v1/fares/quote": Permit.ANYBODY,
    "GET /v1/fares/quote.svg": Permit.ANYBODY,
    "GET /v1/journeys/{journey_id}/explanation": Permit.PARTIES,
    "GET /v1/journeys/{journey_id}/explanation.txt": Permit.PARTIES,
    "GET /v1/journeys/{journey_id}/explanation.svg": Permit.PARTIES,
    "GET /openapi.json": Permit.ANYBODY,
}
"""By method and address, as the routes spell it; HEAD goes with GET."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a member's or reader's number, and what it is."""

    owner: int
    role: Role


def role_of(owner: int, roles: Mapping[int, Role]) -> Role:
    """What the owner of an access key is; Untrusted for a reader to whom nobody gave a role."""
    if owner == SCHEME:
        return Role.SCHEME
    if owner < FIRST_READER:
        return Role.CITY
    if owner not in roles:
        raise Untrusted(f"reader {owner} has a key but no role: the scheme gives it one in access.toml")
    return roles[owner]


def admit(caller: Caller, permit: Permit) -> None:
    """Untrusted where an address is not for such a role."""
    if caller.role not in _ADMITTED[permit]:
        raise Untrusted(f"this is for {permit.value}, and {caller.owner} is a {caller.role.value}: {_instead(permit)}")


def hold_to_party(caller: Caller, parties: Collection[int], what: str) -> None:
    """Untrusted for a city that is no party of what it asks for; scheme and readers are held to a look instead."""
    if caller.role is Role.CITY and caller.owner not in parties:
        raise Untrusted(
            f"{what} is other cities' detail, not that of city {caller.owner}: ask with the key of its host or issuer; "
            "a mirror has what it needs through /v1/follow"
        )


def hold_report(caller: Caller, name: str, member: int | None, *, is_of_sums: bool) -> bool:
    """Whether a report needs a look; Untrusted for a city that asks for detail of all or of another."""
    if is_of_sums:
        return False
    if caller.role is Role.CITY:
        if member != caller.owner:
            raise Untrusted(f"report {name} is detail: city {caller.owner} has its own alone, ask with for=<your city>")
        return False
    return True


def read_basis(text: str | None, role: Role) -> Basis:
    """The basis of a look by its name; Malformed where there is none, Untrusted where it is not one of the role's."""
    names = {basis.name.lower().replace("_", "-"): basis for basis in Basis}
    own = ", ".join(name for name, basis in names.items() if basis in BASES[role])
    if text is None or text not in names:
        told = "no basis is named" if text is None else f"there is no basis {text[:40]!r}"
        raise Malformed(f"{told}: each look at others' detail is logged with why, give basis={own}")
    if names[text] not in BASES[role]:
        raise Untrusted(f"{text} is no basis of the {role.value}'s: give one of {own}")
    return names[text]


def _instead(permit: Permit) -> str:
    if permit is Permit.MEMBERS_ALONE:
        return "ask with a member's access key"
    if permit is Permit.CITIES:
        return "follow with a city's access key, or export the log by a look"
    return "a city looks at nothing but its own, and needs no look for that"

"""A report as it is asked for, resolved until nothing is open: whom it is for, its span, and the ledger size that it speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass

from fare_chain.errors import Malformed, Unknown
from fare_chain.identifiers import SCHEME
from settlement.moments import read_moment_us
from settlement.reports.catalogue import Readers, Report, choose, find_report
from settlement.reports.facts import SECOND_US, Asked, AsOf
from settlement.reports.manifest import Manifest

PARAMETERS = ("for", "from", "to", "basis", "per", "as_of", "format")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report's parameters as read, some still open: None where nobody said."""

    report: Report
    party: str | None
    from_second: int | None
    to_second: int | None
    basis: str
    per: str
    form: str
    as_of_size: int | None
    as_of_us: int | None


def read_wanted(name: str, given: Mapping[str, str]) -> Wanted:
    """Read what a request gives; Unknown or Malformed names what cannot be."""
    report = find_report(name)
    basis = choose("basis", given.get("basis"), report.bases)
    per = choose("per", given.get("per"), report.per)
    if basis == "event" and per == "second":
        raise Malformed("by exit time a second is never complete: ask per hour, day or span, or by settlement")
    as_of = given.get("as_of", "")
    is_size = as_of.isascii() and as_of.isdigit()
    if is_size and len(as_of) > 15:
        raise Malformed(f"as_of is {as_of[:40]!r}, expected a ledger size or a moment")
    return Wanted(
        report,
        given.get("for"),
        _second(given, "from"),
        _second(given, "to"),
        basis,
        per,
        choose("format", given.get("format"), report.forms if "format" in given else ("json",)),
        int(as_of) if is_size else None,
        read_moment_us(as_of) if as_of and not is_size else None,
    )


def resolve(wanted: Wanted, as_of: AsOf, known: tuple[int, int]) -> Asked:
    """Close what is open: without a beginning or an end, the windows known at that size (`known`, seconds [from, to)).

    By settlement the end is never after what is known, so that a span that is not over says so. Unknown for a party that is none.
    """
    begin = known[0] if wanted.from_second is None else wanted.from_second
    end = max(known[1], begin) if wanted.to_second is None else wanted.to_second
    if end < begin:
        raise Malformed(f"the span ends at {end}, before it begins at {begin}: give from before to")
    if wanted.basis == "settlement":
        end = max(min(end, known[1]), begin)
    party, beneficiary = _party(wanted, as_of)
    return Asked(wanted.report, party, beneficiary, begin, end, wanted.basis, wanted.per, wanted.form, as_of)


def asked_again(manifest: Manifest, as_of: AsOf) -> Asked:
    """The report that a manifest is of."""
    given = {"basis": manifest.basis, "per": manifest.per, "format": manifest.form}
    if manifest.party != "all":
        given["for"] = manifest.party
    party, beneficiary = _party(read_wanted(manifest.report, given), as_of)
    return Asked(
        find_report(manifest.report), party, beneficiary, manifest.from_second, manifest.to_second, manifest.basis, manifest.per,
        manifest.form, as_of,
    )  # fmt: skip


def _party(wanted: Wanted, as_of: AsOf) -> tuple[int | None, int | None]:
    """Member and operator by name; an operator only where a report is about operators."""
    if wanted.party is None:
        if wanted.report.readers is not Readers.PUBLIC:
            raise Malformed(f"{wanted.report.name} is for one member: say which, with for=CITY")
        return None, None
    slug, slash, operator = wanted.party.lower().partition("/")
    cities = {city.slug: city for city in as_of.rules.cities}
    if slug == "scheme" and not slash:
        return int(SCHEME), None
    if slug not in cities:
        raise Unknown(f"there is no member {wanted.party[:40]!r}: expected one of {', '.join(['scheme', *cities])}")
    city = cities[slug]
    if not slash:
        return city.city, None
    if wanted.report.readers is not Readers.HOST:
        raise Malformed(f"{wanted.report.name} is about members, not operators: ask for {slug}")
    if not operator.isdigit() or int(operator[:4]) not in city.beneficiaries:
        known = ", ".join(f"{slug}/{number}" for number in city.beneficiaries)
        raise Unknown(f"there is no operator {wanted.party[:40]!r}: expected one of {known}")
    return city.city, city.city * 256 + int(operator)


def _second(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    return read_moment_us(given[name]) // SECOND_US

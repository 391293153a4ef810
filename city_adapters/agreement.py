"""What the cities agreed between them: who takes part, commission and fee per ordered pair, how long a journey may last."""

from dataclasses import dataclass

from city_adapters.fields import Fields
from city_adapters.provenance import Provenance
from city_adapters.validity import Validity
from fare_chain.identifiers import Fen

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms for journeys of `issuer`'s riders at `host`; an empty city code stands for every member.

    The host owes the issuer the commission, in millionths of the fare; the issuer owes the scheme the fee, for each journey.
    `visitors_earn` says whether the host's discounts are for the issuer's riders too.
    """

    issuer: str
    host: str
    commission_ppm: int
    fee_fen: Fen
    visitors_earn: bool
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Agreement:
    """One dated version; later `terms` win over earlier ones, the first are for every pair."""

    file: str
    name: str
    validity: Validity
    members: tuple[str, ...]
    terms: tuple[Terms, ...]
    longest_ride_min: int
    provenance: Provenance


def read_agreement(fields: Fields, validity: Validity) -> Agreement:
    """Read an agreement's file whose dates were read before; what is wrong becomes findings of `fields`."""
    members = fields.texts("members")
    terms = tuple(_terms(table, members) for table in fields.tables("terms"))
    if terms and (terms[0].issuer or terms[0].host):
        fields.wrong("terms[0]", "is for one city only", "let the first terms be for every pair: without issuer and host")
    agreement = Agreement(
        fields.file,
        fields.text("name"),
        validity,
        members,
        terms,
        fields.whole("longest_ride_min", least=1, most=7 * 1440),
        fields.provenance(),
    )
    fields.done()
    return agreement


def _terms(fields: Fields, members: tuple[str, ...]) -> Terms:
    issuer, host = fields.optional_text("issuer"), fields.optional_text("host")
    for name, code in (("issuer", issuer), ("host", host)):
        if code and code not in members:
            fields.wrong(name, f"is {code!r}", f"give one of the members: {', '.join(members)}")
    terms = Terms(
        issuer, host, fields.whole("commission_ppm", most=PPM), Fen(fields.whole("fee_fen", most=10_000)),
        fields.flag("visitors_earn"), fields.provenance(),
    )  # fmt: skip
    fields.done()
    return terms

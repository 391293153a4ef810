"""What a tariff takes off a fare, for whom, when, and who pays for it: month tiers that the issuer attests, and concessions."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from city_adapters.day_hours import DayHours, read_day_hours
from city_adapters.fields import Fields
from city_adapters.provenance import Provenance
from city_adapters.tables import Funder
from fare_chain.identifiers import Fen
from fare_chain.tap import Category

PERCENT_PPM = 10_000
MOST_SPENT_FEN = 10_000_000
FUNDERS = {"issuer": Funder.ISSUER, "host": Funder.HOST, "third party": Funder.THIRD_PARTY}


class Spend(StrEnum):
    """What adds up to a rider's month."""

    NOMINAL = "nominal"
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class Tier:
    """Who spent at least `spent_fen` in the month before the ride pays `pays_percent` of its fare."""

    spent_fen: Fen
    pays_percent: int


@dataclass(frozen=True, slots=True)
class Discount:
    """One discount of a tariff; a concession has one tier, which asks for no attested step.

    `needs_step` is set where the tiers are month tiers: then tier i (from 1) is step i of the credential's entitlement, and
    `counts_paid` says whether what riders paid makes their month's spend, or the nominal fares.
    """

    name: str
    categories: tuple[Category, ...]
    hours: tuple[DayHours, ...]
    tiers: tuple[Tier, ...]
    needs_step: bool
    counts_paid: bool
    funder: Funder
    provenance: Provenance

    def step_of(self, spent_fen: int) -> int:
        """The step that the issuer attests to who has spent so much this month, the ride to come not counted; 0 below all."""
        return sum(tier.spent_fen <= spent_fen for tier in self.tiers) if self.needs_step else 0


def read_discount(fields: Fields) -> Discount:
    """Read one `[[discount]]` of a tariff; what is wrong becomes findings of `fields`."""
    monthly = fields.has("tier")
    if monthly:
        tiers = tuple(_read_tier(tier) for tier in fields.tables("tier"))
        if not all(one.spent_fen < other.spent_fen for one, other in pairwise(tiers)):
            fields.wrong("tier", "does not rise in spent_fen", "give the tiers by rising spend, each once")
    else:
        tiers = (Tier(Fen(0), fields.whole("pays_percent", most=100)),)
    funder = fields.text("funded_by")
    if funder and funder not in FUNDERS:
        fields.wrong("funded_by", f"is {funder!r}", f"give one of {', '.join(FUNDERS)}")
    discount = Discount(
        fields.text("name"),
        _read_categories(fields),
        read_day_hours(fields),
        tiers,
        monthly,
        monthly and fields.choice("spend_counts", Spend) is Spend.PAID,
        FUNDERS.get(funder, Funder.HOST),
        fields.provenance(),
    )
    fields.done()
    return discount


def _read_tier(fields: Fields) -> Tier:
    tier = Tier(Fen(fields.whole("spent_fen", most=MOST_SPENT_FEN)), fields.whole("pays_percent", most=100))
    fields.done()
    return tier


def _read_categories(fields: Fields) -> tuple[Category, ...]:
    known = {category.name.lower(): category for category in Category}
    names = fields.texts("categories")
    for name in names:
        if name not in known:
            fields.wrong("categories", f"has {name!r}", f"give some of {', '.join(known)}")
    return tuple(known[name] for name in names if name in known)

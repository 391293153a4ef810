"""An issuer's own books of what each owner of media has spent this month, and the step that it may attest for it.

Only the issuer knows which pseudonyms were one person's, so only it can add up a month; none of this ever reaches the ledger. It
is a fold over the cleared journeys of the issuer's riders in their home network, whatever order they come in: a late one counts
in the month of its own service day.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date

from city_adapters.city import City
from city_adapters.discount import Discount
from fare_chain.tap import Category


@dataclass(frozen=True, slots=True)
class Attestation:
    """The step to put into a credential, and the moment (microseconds since 1970 UTC) at which its month ends."""

    step: int
    until_us: int


class MonthAccounts:
    """Spend by owner and month of the home city's service days. Owners are whatever the issuer calls its riders by."""

    def __init__(self, home: City) -> None:
        """Begin with nothing spent."""
        self._home = home
        self._spent: Counter[tuple[Hashable, int, int]] = Counter()

    def add(self, owner: Hashable, *, entered_at_us: int, nominal_fen: int, paid_fen: int) -> None:
        """Count one cleared journey of an owner in the home network."""
        tiers = self._tiers(entered_at_us)
        counts_paid = tiers is not None and tiers.counts_paid
        self._spent[self._month(owner, entered_at_us)] += paid_fen if counts_paid else nominal_fen

    def spent_fen(self, owner: Hashable, at_us: int) -> int:
        """What an owner has spent in the month of a moment, as far as it is known here."""
        return self._spent[self._month(owner, at_us)]

    def attest(self, owner: Hashable, at_us: int, category: Category = Category.ADULT) -> Attestation:
        """The step that the owner has reached before the next ride; 0 where the home tariff has no tiers for the category."""
        tiers = self._tiers(at_us)
        reached = tiers.step_of(self.spent_fen(owner, at_us)) if tiers is not None and category in tiers.categories else 0
        day = self._home.days.day_of(at_us)
        following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        return Attestation(reached, self._home.days.start_us(following))

    def _month(self, owner: Hashable, at_us: int) -> tuple[Hashable, int, int]:
        day = self._home.days.day_of(at_us)
        return owner, day.year, day.month

    def _tiers(self, at_us: int) -> Discount | None:
        tariff = self._home.tariff_at(at_us)
        return tariff.month_tiers if tariff else None

"""One dated version of what a city charges: bands by distance, a flat fare, or a rate per kilometre, each for its own lines."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from city_adapters.discount import Discount, read_discount
from city_adapters.fields import Fields
from city_adapters.paths import Int64s
from city_adapters.provenance import Provenance
from city_adapters.validity import Validity
from fare_chain.identifiers import Fen

MOST_FEN = 50_000
"""No part of a fare reaches 500 yuan: a larger one is a slip of the unit."""


class ChargeKind(StrEnum):
    """How a charge makes a fare from metres."""

    BANDS = "bands"
    FLAT = "flat"
    PER_KM = "per km"


class Overstayed(StrEnum):
    """What a journey owes that took longer than the tariff allows."""

    SURCHARGE = "surcharge"
    HIGHEST_FARE = "highest fare"
    LOWEST_FARE = "lowest fare"
    NOT_STATED = "not stated"


class SameStation(StrEnum):
    """What a journey owes that ends where it began."""

    LOWEST_FARE = "lowest fare"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Bands:
    """A fare for each band of metres, closed on the right, then `step_fen` more for each `step_m` begun."""

    up_to_m: tuple[int, ...]
    fare_fen: tuple[Fen, ...]
    step_m: int
    step_fen: Fen

    def fares(self, metres: Int64s) -> Int64s:
        """Price each path: 6,000 m lies in the band that ends there, 6,001 m in the next."""
        band = np.minimum(np.searchsorted(np.array(self.up_to_m), metres, side="left"), len(self.up_to_m) - 1)
        steps = np.maximum(-((self.up_to_m[-1] - metres) // self.step_m), 0)
        fares: Int64s = np.array(self.fare_fen, dtype=np.int64)[band] + steps * self.step_fen
        return fares

    def metres_of(self, fare_fen: Fen) -> tuple[int, int] | None:
        """Tell which metres cost just this: more than the first, at most the second; nothing where no metres do."""
        if fare_fen in self.fare_fen:
            band = self.fare_fen.index(fare_fen)
            return (self.up_to_m[band - 1] if band else 0), self.up_to_m[band]
        steps, part = divmod(fare_fen - self.fare_fen[-1], self.step_fen)
        if part or steps < 1:
            return None
        return self.up_to_m[-1] + (steps - 1) * self.step_m, self.up_to_m[-1] + steps * self.step_m


@dataclass(frozen=True, slots=True)
class Flat:
    """One fare for every ride."""

    fare_fen: Fen

    def fares(self, metres: Int64s) -> Int64s:
        """Price each path."""
        return np.full(metres.shape, self.fare_fen, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class PerKilometre:
    """A rate for each class of link, rounded to `rounds_to_fen` with halves down, never less than `minimum_fen`."""

    rates_fen: tuple[tuple[str, Fen], ...]
    rounds_to_fen: Fen
    minimum_fen: Fen

    def fares(self, by_class: Int64s) -> Int64s:
        """Price each path from its metres in each class (..., classes in the order of `rates_fen`)."""
        thousandths = by_class @ np.array([rate for _, rate in self.rates_fen], dtype=np.int64)
        unit = 1000 * self.rounds_to_fen
        rounded = (thousandths + (unit - 1) // 2) // unit * self.rounds_to_fen
        fares: Int64s = np.maximum(rounded, self.minimum_fen)
        return fares


Rule = Bands | Flat | PerKilometre


@dataclass(frozen=True, slots=True)
class Charge:
    """One way of charging and the lines it is for; the charge without lines is for all that no other names."""

    name: str
    lines: tuple[str, ...]
    rule: Rule
    provenance: Provenance

    @property
    def rate_classes(self) -> tuple[str, ...]:
        """The classes of link that this charge tells apart."""
        return tuple(name for name, _ in self.rule.rates_fen) if isinstance(self.rule, PerKilometre) else ()

    def fares(self, metres: Int64s, by_class: Int64s) -> Int64s:
        """Price paths of so many metres, so many of them in each of `rate_classes` (..., classes)."""
        return self.rule.fares(by_class if isinstance(self.rule, PerKilometre) else metres)


@dataclass(frozen=True, slots=True)
class RideTime:
    """How long a rider may stay inside, and what follows."""

    limit_min: int
    beyond: Overstayed
    surcharge_fen: Fen
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class SameStationRule:
    """What a ride to its own station costs, and within how many minutes it is free."""

    charge: SameStation
    free_within_min: int
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Tariff:
    """One dated version; `charges` begins with the one for all other lines."""

    file: str
    name: str
    validity: Validity
    charges: tuple[Charge, ...]
    same_station: SameStationRule
    ride_time: RideTime | None
    discounts: tuple[Discount, ...]
    provenance: Provenance

    @property
    def month_tiers(self) -> Discount | None:
        """The discount whose tiers are steps of a rider's month, if the tariff has one."""
        return next((discount for discount in self.discounts if discount.needs_step), None)


def read_tariff(fields: Fields, validity: Validity) -> Tariff:
    """Read a tariff file whose dates were read before; what is wrong becomes findings of `fields`."""
    charges = [_charge(charge) for charge in fields.tables("charge")]
    rest = [charge for charge in charges if not charge.lines]
    if charges and len(rest) != 1:
        fields.wrong(
            "charge", f"has {len(rest)} entries without `lines`", "leave `lines` out of exactly one: it is for all other lines"
        )
    named = [line for charge in charges for line in charge.lines]
    if len(set(named)) < len(named):
        fields.wrong("charge", "names a line twice", "put each line under one charge")
    limits = fields.optional_table("ride_time")
    tariff = Tariff(
        fields.file,
        fields.text("name"),
        validity,
        tuple(rest + [charge for charge in charges if charge.lines]),
        _same_station(fields.table("same_station")),
        _ride_time(limits) if limits else None,
        tuple(read_discount(table) for table in fields.tables("discount")) if fields.has("discount") else (),
        fields.provenance(),
    )
    fields.done()
    return tariff


def _charge(fields: Fields) -> Charge:
    kind = fields.choice("kind", ChargeKind)
    readers: dict[ChargeKind, Callable[[Fields], Rule]] = {
        ChargeKind.BANDS: _bands,
        ChargeKind.FLAT: _flat,
        ChargeKind.PER_KM: _per_km,
    }
    lines = fields.texts("lines") if fields.has("lines") else ()
    charge = Charge(fields.text("name"), lines, readers[kind](fields), fields.provenance())
    fields.done()
    return charge


def _bands(fields: Fields) -> Bands:
    bands = fields.tables("bands")
    up_to_m = tuple(band.whole("up_to_m", least=1) for band in bands)
    fare_fen = tuple(_fen(band, "fare_fen", least=1) for band in bands)
    for band in bands:
        band.done()
    for name, values in (("up_to_m", up_to_m), ("fare_fen", fare_fen)):
        for at, (before, value) in enumerate(pairwise(values), 1):
            if value <= before:
                fields.wrong(
                    f"bands[{at}].{name}", f"is {value} after {before}", "give bands of strictly rising up_to_m and fare_fen"
                )
    return Bands(up_to_m, fare_fen, fields.whole("step_m", least=1), _fen(fields, "step_fen", least=1))


def _flat(fields: Fields) -> Flat:
    return Flat(_fen(fields, "fare_fen", least=1))


def _per_km(fields: Fields) -> PerKilometre:
    rates = fields.table("rates_fen_per_km")
    classes = tuple(sorted(rates.names()))
    if not classes:
        fields.wrong("rates_fen_per_km", "is empty", "give a rate for each rate_class of links.csv")
    by_class = tuple((name, _fen(rates, name, least=1)) for name in classes)
    return PerKilometre(by_class, _fen(fields, "rounds_to_fen", least=1), _fen(fields, "minimum_fen", least=1))


def _same_station(fields: Fields) -> SameStationRule:
    rule = SameStationRule(fields.choice("charge", SameStation), fields.whole("free_within_min", most=1440), fields.provenance())
    fields.done()
    return rule


def _ride_time(fields: Fields) -> RideTime:
    rule = RideTime(
        fields.whole("limit_min", least=1, most=1440),
        fields.choice("beyond", Overstayed),
        _fen(fields, "surcharge_fen", least=0),
        fields.provenance(),
    )
    if (rule.beyond is Overstayed.SURCHARGE) != (rule.surcharge_fen > 0):
        fields.wrong(
            "surcharge_fen",
            f"is {rule.surcharge_fen} where beyond is {rule.beyond.value!r}",
            "give a surcharge exactly where one is due",
        )
    fields.done()
    return rule


def _fen(fields: Fields, name: str, least: int) -> Fen:
    return Fen(fields.whole(name, least=least, most=MOST_FEN))

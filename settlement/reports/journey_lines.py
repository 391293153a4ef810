"""Lines out of cleared journeys and their shares: details, fees, revenue."""

from collections.abc import Iterator

import numpy as np

from city_adapters.tables import CityTable, Funder
from fare_chain.identifiers import SCHEME
from fare_chain.tap import Category
from settlement.core.columns import Int64, Mask, MoneyState, Records, column, pick
from settlement.core.rules import Rules
from settlement.reports.facts import SECOND_US, Asked, EndFacts, TickFacts, WindowFacts, city_of, day_text, moment
from settlement.reports.spans import Spans
from settlement.reports.stations import Stations
from settlement.reports.tally import Line
from settlement.reports.window_lines import LinesOfWindows, leaving_in

LATE_US = 2 * SECOND_US
"""A ride is late whose exit tap and window lie further apart: a label, no rule."""


class JourneyDetail(LinesOfWindows):
    """R04."""

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """A line for each journey in the ledger's order: by tick, then id."""
        for tick in facts.ticks:
            stations = Stations(tick.rules)
            for row in np.flatnonzero(journeys_for(self.asked, tick.journeys)):
                yield self._line(tick.journeys[row], stations, facts.window.second)

    def _line(self, journey: np.void, stations: Stations, second: int) -> Line:
        host, late_us = int(journey["host"]), second * SECOND_US - int(journey["exited_at_us"])
        return {
            "journey_id": journey["journey_id"].tobytes().hex(),
            "version": int(journey["version"]),
            "medium": journey["medium"].tobytes().hex(),
            "host": self.names.member(host),
            "issuer": self.names.member(int(journey["issuer"])),
            "category": _name(Category, int(journey["category"])),
            "legs": int(journey["legs"]),
            "from_station": stations.name(host, int(journey["from_station"])),
            "to_station": stations.name(host, int(journey["to_station"])),
            "entered": moment(int(journey["entered_at_us"])),
            "exited": moment(int(journey["exited_at_us"])),
            "distance_m": int(journey["distance_m"]),
            "tariff": version_name(city_of(stations.rules, host), int(journey["tariff"])),
            "nominal_fen": int(journey["nominal_fen"]),
            "discount_fen": int(journey["discount_fen"]),
            "funded_by": _name(Funder, int(journey["funder"])),
            "surcharge_fen": int(journey["surcharge_fen"]),
            "payable_fen": int(journey["nominal_fen"]) - int(journey["discount_fen"]) + int(journey["surcharge_fen"]),
            "fare_fen": int(journey["fare_fen"]),
            "commission_fen": int(journey["commission_fen"]),
            "fee_fen": int(journey["fee_fen"]),
            "state": MoneyState(int(journey["state"])).name,
            "second": second,
            "late_s": late_us // SECOND_US if late_us >= LATE_US else 0,
        }


class Fees(LinesOfWindows):
    """R13."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.spans = Spans.of(asked, "day")
        self.sums: dict[tuple[int, int, int, int], list[int]] = {}
        """(day, issuer, host, agreement's date): journeys, fare, commission, those with a fee, fees; agreements change."""
        self.rates: dict[tuple[int, int, int], tuple[int, int]] = {}

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """Nothing is complete before the end: there is a line for each pair and day at most."""
        for tick in facts.ticks:
            journeys = pick(tick.journeys, leaving_in(self.asked, tick.journeys))
            journeys = pick(journeys, journeys["host"] != journeys["issuer"])
            if len(journeys):
                self._count(journeys, tick.rules, days_of(self.asked, self.spans, facts, journeys))
        yield from ()

    def _count(self, journeys: Records, rules: Rules, day: Int64) -> None:
        agreement = rules.agreement_at(column(journeys, "entered_at_us"))
        keys = np.stack([day, column(journeys, "issuer"), column(journeys, "host"), agreement], axis=1).astype(np.int64)
        kinds, group = np.unique(keys, axis=0, return_inverse=True)
        fee = column(journeys, "fee_fen")
        amounts = [np.ones(len(fee), np.int64), journeys["fare_fen"], journeys["commission_fen"], (fee > 0).astype(np.int64), fee]
        for number, (on, issuer, host, place) in enumerate(kinds.tolist()):
            terms, rows = rules.agreements[place], group.reshape(-1) == number
            payer, payee = (int(np.searchsorted(terms.members, member)) for member in (issuer, host))
            key = issuer, host, terms.valid_from_us
            self.rates[key] = int(terms.commission_ppm[payer, payee]), int(terms.fee_fen[payer, payee])
            held = self.sums.setdefault((on, *key), [0] * 5)
            self.sums[on, *key] = [had + int(amount[rows].sum()) for had, amount in zip(held, amounts, strict=True)]

    def finish(self, end: EndFacts) -> Iterator[Line]:  # noqa: ARG002
        """Commission first, then the scheme's fees; by day, issuer, host, agreement."""
        for kind in ("commission", "scheme-fee"):
            for (on, issuer, host, since_us), sums in sorted(self.sums.items()):
                journeys, fare_fen, commission_fen, charged, fee_fen = sums
                ppm, each_fen = self.rates[issuer, host, since_us]
                of_fare = kind == "commission"
                payer, payee = (host, issuer) if of_fare else (issuer, int(SCHEME))
                if not self.is_about(issuer, host, payee) or not (commission_fen if of_fare else fee_fen):
                    continue
                yield {
                    "day": day_text(on),
                    "kind": kind,
                    "payer": self.names.member(payer),
                    "payee": self.names.member(payee),
                    "agreement": moment(since_us),
                    "rate": f"{ppm} ppm" if of_fare else f"{each_fen} fen each",
                    "journeys": journeys if of_fare else charged,
                    "basis_fen": fare_fen,
                    "fee_fen": commission_fen if of_fare else fee_fen,
                }


class OperatorRevenue(LinesOfWindows):
    """R17."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.spans = Spans.of(asked, "day")
        self.sums: dict[tuple[int, int, int], list[int]] = {}

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """Nothing is complete before the end: there is a line for each operator and pair of days at most."""
        settled = (facts.window.second + self.spans.offset_s) // self.spans.length_s
        for tick in facts.ticks:
            shares = pick(tick.shares, shares_for(self.asked, tick))
            own = column(tick.journeys, "host") == tick.journeys["issuer"]
            served = service_days(tick.rules, column(tick.journeys, "host"), column(tick.journeys, "entered_at_us"))
            self._count(shares, served[shares["journey"]], settled, own[shares["journey"]])
        yield from ()

    def _count(self, shares: Records, served: Int64, settled: int, own: Mask) -> None:
        keys = np.stack([served, shares["beneficiary"].astype(np.int64)], axis=1)
        kinds, group = np.unique(keys, axis=0, return_inverse=True)
        for number, (on, beneficiary) in enumerate(kinds.tolist()):
            here = group.reshape(-1) == number
            parts = [shares["amount_fen"][here & own], shares["amount_fen"][here & ~own]]
            # A share of 0 fen is a row of the ledger, but nothing was earned.
            added = [*((part > 0).sum() for part in parts), *(part.sum() for part in parts)]
            held = self.sums.setdefault((on, settled, beneficiary), [0] * 4)
            self.sums[on, settled, beneficiary] = [had + int(more) for had, more in zip(held, added, strict=True)]

    def finish(self, end: EndFacts) -> Iterator[Line]:  # noqa: ARG002
        """By service day, settlement day, operator."""
        for (served, settled, beneficiary), (own_n, visitors_n, own_fen, visitors_fen) in sorted(self.sums.items()):
            yield {
                "service_day": day_text(served),
                "settlement_day": day_text(settled),
                "beneficiary": self.names.beneficiary(beneficiary),
                "own_n": own_n,
                "visitors_n": visitors_n,
                "own_fen": own_fen,
                "visitors_fen": visitors_fen,
                "gross_fen": own_fen + visitors_fen,
            }


def service_days(rules: Rules, host: Records | np.ndarray[tuple[int], np.dtype[np.uint16]], at_us: Int64) -> Int64:
    """The hosts' service days of moments, as days since 1970-01-01: a day ends when the host says so, not at midnight."""
    shift_s = np.zeros(2**16, np.int64)
    for city in rules.cities:
        shift_s[city.city] = city.calendar.utc_offset_s - city.calendar.day_starts_s
    days: Int64 = (at_us + shift_s[host] * SECOND_US) // (86_400 * SECOND_US)
    return days


def journeys_for(asked: Asked, journeys: Records) -> Mask:
    """The journeys that a detail is about: in its span, and the member's as host or issuer."""
    chosen = leaving_in(asked, journeys)
    if asked.party is not None:
        chosen = chosen & ((journeys["host"] == asked.party) | (journeys["issuer"] == asked.party))
    return chosen


def shares_for(asked: Asked, tick: TickFacts) -> Mask:
    """The shares that a report about operators has: in its span, and of the host or the one operator."""
    chosen: Mask = leaving_in(asked, tick.journeys)[tick.shares["journey"]]
    if asked.beneficiary is not None:
        chosen &= tick.shares["beneficiary"] == asked.beneficiary
    elif asked.party is not None:
        chosen &= tick.shares["beneficiary"] >> 8 == asked.party
    return chosen


def days_of(asked: Asked, spans: Spans, facts: WindowFacts, journeys: Records) -> Int64:
    """The day of each journey by the report's basis: that of its window, or that of its exit."""
    if not asked.by_event:
        return np.full(len(journeys), (facts.window.second + spans.offset_s) // spans.length_s, np.int64)
    days: Int64 = (column(journeys, "exited_at_us") // SECOND_US + spans.offset_s) // spans.length_s
    return days


def version_name(city: CityTable | None, place: int) -> str:
    """The name of a dated version of a city's table."""
    return "" if city is None or place >= len(city.versions) else city.versions[place].name


def _name(numbered: type[Category | Funder], number: int) -> str:
    """The name of a number, or the number itself where it has none."""
    return numbered(number).name if number in set(numbered) else str(number)

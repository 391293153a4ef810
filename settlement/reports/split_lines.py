"""Lines about how fares were split: each share with its weight and draw, and how far the drawn points have drifted from exact."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from city_adapters.tables import NO_SET, CityTable, TariffVersion
from settlement.core.apportionment import draws
from settlement.core.columns import TAP_DTYPE, Int64, Records, Rows, column, pick
from settlement.core.journeys import id_numbers
from settlement.core.rules import Rules
from settlement.reports.facts import Asked, EndFacts, TickFacts, WindowFacts, city_of, day_text
from settlement.reports.journey_lines import days_of, journeys_for, shares_for, version_name
from settlement.reports.spans import Spans
from settlement.reports.tally import Line
from settlement.reports.window_lines import LinesOfWindows

_MOST_DIGITS = 60
_SHOWN_DIGITS = 12


class ClearingDetail(LinesOfWindows):
    """R16."""

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """A line for each share, journey by journey."""
        for tick in facts.ticks:
            chosen, split = journeys_for(self.asked, tick.journeys), Split(tick)
            draw, before = draws(tick.seed, id_numbers(column(tick.journeys, "journey_id"))), -1
            for share in np.flatnonzero(chosen[tick.shares["journey"]]):
                row = int(tick.shares["journey"][share])
                yield self._line(tick, int(share), split, int(draw[row]), first=row != before) | {"second": facts.window.second}
                before = row

    def _line(self, tick: TickFacts, share: int, split: "Split", draw: int, *, first: bool) -> dict[str, int | str]:
        row = int(tick.shares["journey"][share])
        journey, total = tick.journeys[row], int(split.total[row])
        return {
            "journey_id": journey["journey_id"].tobytes().hex(),
            "version": int(journey["version"]),
            "host": self.names.member(int(journey["host"])),
            "issuer": self.names.member(int(journey["issuer"])),
            "beneficiary": self.names.beneficiary(int(tick.shares["beneficiary"][share])),
            "tariff": version_name(city_of(tick.rules, int(journey["host"])), int(journey["tariff"])),
            "weight_set": int(journey["weight_set"]),
            "weight": str(split.weight[share]) if total else "",
            "weights_total": str(total) if total else "",
            "draw": str(draw),
            "fare_fen": int(journey["fare_fen"]) if first else 0,
            "amount_fen": int(tick.shares["amount_fen"][share]),
        }


class RoundingDrift(LinesOfWindows):
    """R12: exact shares are kept as one whole numerator for each sum of weights, so that nothing is rounded on the way."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.spans = Spans.of(asked, "day")
        self.exact: dict[tuple[int, int], dict[int, int]] = {}
        self.sums: dict[tuple[int, int], list[int]] = {}

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """Nothing is complete before the end: there is a line for each operator and day at most."""
        for tick in facts.ticks:
            day, split = days_of(self.asked, self.spans, facts, tick.journeys), Split(tick)
            for share in np.flatnonzero(shares_for(self.asked, tick)):
                row = int(tick.shares["journey"][share])
                key = int(day[row]), int(tick.shares["beneficiary"][share])
                fare_fen, amount_fen = int(tick.journeys["fare_fen"][row]), int(tick.shares["amount_fen"][share])
                total, sums = int(split.total[row]), self.sums.setdefault(key, [0] * 4)
                if total:
                    numerators = self.exact.setdefault(key, {})
                    numerators[total] = numerators.get(total, 0) + fare_fen * int(split.weight[share])
                    sums[0], sums[1] = sums[0] + 1, sums[1] + amount_fen
                else:
                    sums[2], sums[3] = sums[2] + 1, sums[3] + amount_fen
        yield from ()

    def finish(self, end: EndFacts) -> Iterator[Line]:  # noqa: ARG002
        """By day and operator."""
        for (on, beneficiary), (journeys, received_fen, marked, marked_fen) in sorted(self.sums.items()):
            exact = sum((Fraction(amount, total) for total, amount in self.exact.get((on, beneficiary), {}).items()), Fraction(0))
            yield {
                "day": day_text(on),
                "beneficiary": self.names.beneficiary(beneficiary),
                "journeys": journeys,
                "exact_fen": rational(exact),
                "received_fen": received_fen,
                "drift_fen": rational(received_fen - exact),
                "by_marker_journeys": marked,
                "by_marker_fen": marked_fen,
            }


class Split:
    """The weights of a tick's shares: `weight` of each share, `total` of each journey; 0 where markers proved the path."""

    def __init__(self, tick: TickFacts) -> None:
        journeys, shares = tick.journeys, tick.shares
        self.total, self.weight = np.zeros(len(journeys), np.int64), np.zeros(len(shares), np.int64)
        for city, version, priced in _versions(tick):
            rows = priced[journeys["weight_set"][priced] != version.marker_set] if version.marker_set != NO_SET else priced
            chosen = journeys["weight_set"][rows].astype(np.int64)
            start, end = (_area_rows(tick.rules, pick(journeys, rows), side) for side in ("from", "to"))
            weights = version.weights[chosen, start, end].astype(np.int64)
            self.total[rows] = weights.sum(axis=1)
            place = np.full(len(journeys), -1, np.int64)
            place[rows] = np.arange(len(rows))
            own = np.flatnonzero(place[shares["journey"]] >= 0)
            beneficiaries = np.array([city.city * 256 + number for number in city.beneficiaries], np.int64)
            order = np.argsort(beneficiaries)
            part = order[np.searchsorted(beneficiaries, shares["beneficiary"][own].astype(np.int64), sorter=order)]
            self.weight[own] = weights[place[shares["journey"][own]], part]


def rational(value: Fraction | int) -> str:
    """A rational as text: whole, or numerator/denominator; where that has too many digits, ≈ and a decimal cut after 12 places."""
    value = Fraction(value)
    if value.denominator == 1:
        return str(value.numerator)
    if value.denominator < 10**_MOST_DIGITS:
        return f"{value.numerator}/{value.denominator}"
    cut = abs(value.numerator) * 10**_SHOWN_DIGITS // value.denominator
    whole, places = divmod(cut, 10**_SHOWN_DIGITS)
    return f"≈{'-' if value < 0 else ''}{whole}.{places:0{_SHOWN_DIGITS}d}"


def _versions(tick: TickFacts) -> Iterator[tuple[CityTable, TariffVersion, Rows]]:
    """Each dated version of a host's table that priced a journey of the tick, and the rows of these."""
    keys = np.stack([column(tick.journeys, "host"), column(tick.journeys, "tariff")], axis=1).astype(np.int64)
    for host, place in np.unique(keys, axis=0).tolist():
        city = city_of(tick.rules, host)
        assert city is not None, "what priced a journey was in force at its tick"
        yield city, city.versions[place], np.flatnonzero((keys == (host, place)).all(axis=1))


def _area_rows(rules: Rules, journeys: Records, side: str) -> Int64:
    """The table rows of one end of each journey."""
    taps = np.zeros(len(journeys), TAP_DTYPE)
    taps["host"], taps["station"], taps["gate"] = journeys["host"], journeys[f"{side}_station"], journeys[f"{side}_gate"]
    return rules.area_rows(taps)

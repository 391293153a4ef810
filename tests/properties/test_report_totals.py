"""Over generated days every report's totals are those of the fold, and of every other report that tells the same money."""

import io
import json
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings

from settlement.core.columns import Level, ObligationKind
from settlement.reports.catalogue import REPORTS
from settlement.reports.facts import Asked, AsOf, EndFacts, Owed, TickFacts, WindowFacts
from settlement.reports.rendering import Rendering
from tests.properties.days import Run, day, generated, seed

LAST = 2**45
report_laws = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NUMBERS = {"scheme": 0, "alder": 1, "birch": 2, "cedar": 3, "dogwood": 4}


class Told:
    """A folded day as facts, and any report of it as rows and totals."""

    def __init__(self, ticks):
        self.run = Run.fresh(ticks[0][0] - 1)
        for at_us, taps in ticks:
            self.run.tick(at_us, taps)
        self.run.close()
        rules = self.run.state.rules
        self.as_of = AsOf(self.run.state.next_index, bytes(32), self.run.state.recorded_us, rules)
        by_second = {}
        for number, cleared in enumerate(self.run.cleared):
            by_second.setdefault(cleared.recorded_us // 1_000_000, []).append((seed(number), cleared))
        self.windows = []
        for window in self.run.windows:
            inside = by_second.pop(window.second, [])
            facts = tuple(TickFacts(it.recorded_us, drawn, rules, it.journeys, it.shares, it.exceptions) for drawn, it in inside)
            owed = Counter()
            for _drawn, cleared in inside:
                for row in cleared.sums[cleared.sums["level"] == Level.MEMBERS]:
                    key = tuple(int(row[name]) for name in ("kind", "debtor", "creditor"))
                    owed[key, "n"] += int(row["n"])
                    owed[key, "fen"] += int(row["amount_fen"])
            sums = tuple(Owed(*key, owed[key, "n"], owed[key, "fen"]) for key in sorted({key for key, _what in owed}))
            self.windows.append(WindowFacts(len(self.windows), 0, window, sums, facts))
        assert not by_second

    def report(self, name, party=None, basis="settlement", per=None):
        report, sink = REPORTS[name], io.BytesIO()
        begin = -LAST if basis == "event" else self.run.windows[0].second
        asked = Asked(report, party, None, begin, LAST, basis, per or (report.per or ("",))[0], "json", self.as_of)
        rendering = Rendering(asked, sink)
        rendering.take(self.windows)
        manifest = rendering.finish(EndFacts(self.run.state.open_taps))
        told = json.loads(sink.getvalue())
        assert (told["count"], told["totals"]) == (manifest.rows, manifest.sums)
        assert told["totals"] == {column: sum(row[column] for row in told["rows"]) for column in report.summed}
        return told

    def level_1(self, kind):
        """Fen by (debtor, creditor) of one kind."""
        found = Counter()
        for facts in self.windows:
            for owed in facts.owed:
                if owed.kind == kind:
                    found[owed.debtor, owed.creditor] += owed.amount_fen
        return found


def by(rows, *names, of):
    found = Counter()
    for row in rows:
        found[tuple(NUMBERS.get(row[name], row[name]) for name in names)] += row[of]
    return +found


@given(generated(day))
@report_laws
def test_what_members_owe_is_the_same_in_every_report(ticks):
    told = Told(ticks)
    owed = {kind: told.level_1(kind) for kind in (ObligationKind.FARE, ObligationKind.COMMISSION, ObligationKind.FEE)}
    for basis in ("settlement", "event"):
        for name, spans in (("pair-matrix", [None]), ("inter-city-position", ["day", "hour", "span"])):
            for per in spans:
                rows = told.report(name, basis=basis, per=per)["rows"]
                assert by(rows, "debtor", "creditor", of="fare_fen") == owed[ObligationKind.FARE]
                assert by(rows, "creditor", "debtor", of="commission_fen") == owed[ObligationKind.COMMISSION]
                assert by(rows, "debtor", "creditor", of="fee_fen") == owed[ObligationKind.FEE]
        fees = told.report("fees", basis=basis)["rows"]
        of_kind = {kind: [row for row in fees if row["kind"] == kind] for kind in ("commission", "scheme-fee")}
        assert by(of_kind["commission"], "payer", "payee", of="fee_fen") == owed[ObligationKind.COMMISSION]
        assert by(of_kind["scheme-fee"], "payer", "payee", of="fee_fen") == owed[ObligationKind.FEE]
    gross = sum(owed[ObligationKind.FARE].values())
    assert told.report("liquidity", per="second")["totals"]["gross_fen"] == gross == sum(it.gross_fen for it in told.run.windows)


@given(generated(day))
@report_laws
def test_statements_close_where_the_windows_stand(ticks):
    told = Told(ticks)
    last = dict(told.run.windows[-1].positions)
    nets = told.report("window-net")
    assert nets["totals"]["net_fen"] == 0
    assert {row["sum_check_fen"] for row in nets["rows"]} == {0}
    for member, name in ((number, name) for name, number in NUMBERS.items() if number in last):
        days = told.report("member-statement", member)["rows"]
        assert {row["member"] for row in days} == {name}
        assert days[0]["opening_fen"] == 0
        for row, after in zip(days, [*days[1:], None], strict=True):
            moved = sum(amount for column, amount in row.items() if column.endswith("_credit_fen"))
            moved -= sum(amount for column, amount in row.items() if column.endswith("_debit_fen"))
            assert row["closing_fen"] == row["opening_fen"] + row["net_fen"] == row["opening_fen"] + moved
            assert after is None or after["opening_fen"] == row["closing_fen"]
        assert all(row["seconds"] == 86_400 for row in days[1:-1])
        assert days[-1]["closing_fen"] == last[member]
        own = [row for row in nets["rows"] if row["member"] == name]
        assert own[-1]["position_after_fen"] == last[member] == sum(row["net_fen"] for row in own)


@given(generated(day))
@report_laws
def test_operators_of_a_host_earn_what_issuers_owe_it_and_its_own_riders_paid(ticks):
    told = Told(ticks)
    journeys = told.run.rows("journeys")
    fares = told.level_1(ObligationKind.FARE)
    for host in (1, 2, 3, 4):
        for basis in ("settlement", "event"):
            totals = told.report("operator-revenue", host, basis)["totals"]
            assert totals["visitors_fen"] == sum(amount for (_debtor, creditor), amount in fares.items() if creditor == host), "L14"
            assert totals["gross_fen"] == int(journeys["fare_fen"][journeys["host"] == host].sum())
        drift = told.report("rounding-drift", host)
        assert drift["totals"]["received_fen"] + drift["totals"]["by_marker_fen"] == totals["gross_fen"]
        for row in drift["rows"]:
            assert abs(Fraction(row["drift_fen"])) <= row["journeys"], "a share is within one fen of exact"
            assert Fraction(row["exact_fen"]) + Fraction(row["drift_fen"]) == row["received_fen"]
        if not drift["totals"]["by_marker_journeys"]:
            assert sum(Fraction(row["exact_fen"]) for row in drift["rows"]) == totals["gross_fen"]


@given(generated(day))
@report_laws
def test_details_have_every_journey_share_and_tap_once(ticks):
    told = Told(ticks)
    journeys, shares = told.run.rows("journeys"), told.run.rows("shares")
    for basis in ("settlement", "event"):
        rides = told.report("journey-detail", basis=basis)
        assert rides["count"] == len(journeys)
        for name in ("fare_fen", "commission_fen", "fee_fen", "nominal_fen", "discount_fen", "surcharge_fen"):
            assert rides["totals"][name] == int(journeys[name].sum())
        split = told.report("clearing-detail", basis=basis)
        assert split["count"] == len(shares)
        assert split["totals"]["fare_fen"] == split["totals"]["amount_fen"] == rides["totals"]["fare_fen"]
        for row in split["rows"]:
            assert (row["weight"] == "") == (row["weights_total"] == "")
    views = Counter(row["view"] for row in told.report("exceptions")["rows"])
    assert views["refused"] == len(told.run.rows("exceptions"))
    assert views["one-sided"] == len(told.run.state.open_taps)


@given(generated(day))
@report_laws
def test_a_drawn_share_follows_from_what_its_line_says(ticks):
    told = Told(ticks)
    lines = {}
    for row in told.report("clearing-detail")["rows"]:
        lines.setdefault(row["journey_id"], []).append(row)
    for own in lines.values():
        fare_fen = own[0]["fare_fen"]
        if own[0]["weight"]:
            total, edge, before = int(own[0]["weights_total"]), 0, 0
            for row in own:
                edge += int(row["weight"])
                cut = (fare_fen * edge + int(row["draw"]) % total) // total
                assert row["amount_fen"] == cut - before
                before = cut


@pytest.mark.parametrize("reader", [1, 2, 3, 4])
def test_a_member_sees_its_own_rides_and_no_others(reader):
    from random import Random

    rng = Random(7)
    told = Told(day(lambda options: options[rng.randrange(len(options))]))
    names = {number: name for name, number in NUMBERS.items()}
    for name in ("journey-detail", "clearing-detail", "exceptions"):
        every = told.report(name)["rows"]
        own = [row for row in every if names[reader] in (row["host"], row["issuer"])]
        shown = told.report(name, reader)["rows"]
        assert [{**row, "fare_fen": 0} for row in shown] == [{**row, "fare_fen": 0} for row in own]

"""What a folder says beside fares, compiled: gates of one line, terms, discounts, periods, markers, walks, borders, days."""

import pytest

from city_adapters.city_files import load_city, read_city
from city_adapters.table_compiler import ALWAYS_US, compile_city
from city_adapters.table_packing import pack_city, unpack_city
from city_adapters.tables import NO_SET, Beyond, Border, Concession, Funder, GateArea, Period, Walk
from fare_chain.errors import Malformed

GATES = "station_id,line_id,from_gate,to_gate,confidence,as_of\n"
MINUTE_US = 60_000_000


@pytest.fixture
def write(testville):
    """Add a file to Testville."""

    def add(name, text):
        (testville / name).write_text(text, encoding="utf-8")

    return add


@pytest.fixture
def append(testville):
    """Append to a file of Testville."""

    def add(name, text):
        with (testville / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return add


def compiled(testville):
    """The table, as it comes back from its bytes."""
    return unpack_city(pack_city(compile_city(load_city(testville))))


def fare(table, first, second, *, lines=("", "")):
    rows = [table.area_row(table.station_ids.index(f"TST-{name}"), line) for name, line in zip((first, second), lines, strict=True)]
    version = table.versions[-1]
    return int(version.fare_fen[*rows]), int(version.distance_m[*rows]), version.weights[0][*rows].tolist()


def test_gates_of_a_line_with_a_charge_of_its_own_cost_that_charge(testville, write, append):
    append("links.csv", "TST-T1,TST-d,TST-g,500,500,,,high,2026-01-01\n")
    write(
        "gates.csv",
        GATES + "TST-d,TST-TX,900,909,high,2026-01-01\nTST-f,TST-TX,910,919,high,2026-01-01\nTST-g,TST-TX,5,5,high,2026-01-01\n",
    )
    table = compiled(testville)
    assert table.gate_areas[0] == GateArea(3, 900, 909, "TST-TX")
    assert table.row_count == 7 + 3
    assert fare(table, "d", "g") == (200, 500, [500, 0, 0]), "the metro joins the two stations"
    assert fare(table, "d", "g", lines=("TST-TX", "TST-TX")) == (600, 14_000, [0, 0, 14_000])
    assert fare(table, "d", "a", lines=("TST-TX", "")) == fare(table, "d", "a"), "out of the express gates into the metro: as ever"


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("TST-a,TST-TX,1,2,high,2026-01-01\n", "gates.csv:2: error: TST-a is no stop of TST-TX"),
        ("TST-d,TST-TX,2,1,high,2026-01-01\n", "gates.csv:2: error: gates 2 to 1 are none"),
        (
            "TST-d,TST-TX,1,5,high,2026-01-01\nTST-f,TST-TX,5,6,high,2026-01-01\n",
            "gates.csv:3: error: gate 5 stands in line 2 too",
        ),
    ],
)
def test_gates_that_contradict_the_network_are_refused(testville, write, rows, found):
    write("gates.csv", GATES + rows)
    city, findings = read_city(testville)
    assert city is None
    assert found in str(findings[0])


def test_an_override_narrowed_to_gate_lines_is_for_their_gates_alone(testville, write):
    write("gates.csv", GATES + "TST-b,TST-T1,1,9,high,2026-01-01\nTST-b,TST-T2,10,19,high,2026-01-01\n")
    write(
        "overrides-2024-01-01.csv",
        "from_id,to_id,from_line,to_line,fare_fen,reason,confidence,as_of\nTST-b,TST-d,,,350,official table,high,2026-01-01\n"
        "TST-b,TST-d,TST-T2,TST-T2,250,official table,high,2026-01-01\n",
    )
    table = compiled(testville)
    assert fare(table, "b", "d")[0] == 350
    assert fare(table, "b", "d", lines=("TST-T1", ""))[0] == 350, "a row without lines is for every gate"
    assert fare(table, "b", "d", lines=("TST-T2", ""))[0] == 250
    assert table.versions[0].fare_fen[1, 3] == 300, "before the day of the file the rule holds"


def test_terms_come_from_the_tariff(testville, spoil, append):
    assert compiled(testville).versions[0].terms[:4] == (0, 0, Beyond.NOTHING, 0)
    spoil("tariff-2020-01-01.toml", "free_within_min = 0", "free_within_min = 12")
    append(
        "tariff-2020-01-01.toml",
        '\n[ride_time]\nlimit_min = 240\nbeyond = "surcharge"\nsurcharge_fen = 300\nconfidence = "high"\nas_of = 2026-01-01\n',
    )
    terms = compiled(testville).versions[0].terms
    assert terms == (12 * MINUTE_US, 240 * MINUTE_US, Beyond.SURCHARGE, 300, 200, 1000)
    spoil("tariff-2020-01-01.toml", 'charge = "lowest fare"', 'charge = "free"')
    spoil("tariff-2020-01-01.toml", 'beyond = "surcharge"\nsurcharge_fen = 300', 'beyond = "highest fare"\nsurcharge_fen = 0')
    assert compiled(testville).versions[0].terms[:4] == (ALWAYS_US, 240 * MINUTE_US, Beyond.HIGHEST_FARE, 0)


DISCOUNTS = """
[[discount]]
name = "month"
categories = ["adult", "student"]
spend_counts = "paid"
funded_by = "issuer"
confidence = "high"
as_of = 2026-01-01

[[discount.tier]]
spent_fen = 0
pays_percent = 90

[[discount.tier]]
spent_fen = 5000
pays_percent = 70

[[discount]]
name = "seniors"
categories = ["senior"]
days = ["weekday", "holiday"]
hours = ["07:00-09:00", "17:00-24:00"]
pays_percent = 50
funded_by = "third party"
confidence = "high"
as_of = 2026-01-01
"""


def test_discounts_become_rows_in_the_order_in_which_they_are_tried(testville, append):
    append("tariff-2020-01-01.toml", DISCOUNTS)
    assert compiled(testville).versions[0].concessions == (
        Concession(3, 2, 700_000, Funder.ISSUER),
        Concession(3, 1, 900_000, Funder.ISSUER),
        Concession(4, 0, 500_000, Funder.THIRD_PARTY, 5, 420, 540),
        Concession(4, 0, 500_000, Funder.THIRD_PARTY, 5, 1020, 1440),
    )


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("spent_fen = 5000", "spent_fen = 0", "discount[0].tier does not rise in spent_fen"),
        ('"student"', '"robot"', "discount[0].categories has 'robot'"),
        ('"third party"', '"nobody"', "discount[1].funded_by is 'nobody'"),
        ("07:00-09:00", "09:00-07:00", "discount[1].hours has '09:00-07:00'"),
        ("17:00-24:00", "17:00-24:01", "discount[1].hours has '17:00-24:01'"),
        ('"weekday", "holiday"', '"monday"', "discount[1].days has 'monday'"),
        ("pays_percent = 50", "pays_percent = 101", "discount[1].pays_percent is 101"),
        ('spend_counts = "paid"\n', "", "discount[0].spend_counts is missing"),
    ],
)
def test_a_discount_that_says_what_cannot_be_is_refused(testville, append, old, new, found):
    assert old in DISCOUNTS
    append("tariff-2020-01-01.toml", DISCOUNTS.replace(old, new, 1))
    city, findings = read_city(testville)
    assert city is None
    assert any(found in str(finding) for finding in findings), list(map(str, findings))


def test_periods_and_markers_have_weights_of_their_own(testville, append, spoil):
    append(
        "split-2020-01-01.toml",
        '\n[[period]]\nname = "peak"\ndays = ["weekday"]\nhours = ["07:00-09:00", "17:00-19:00"]\nmodel = "stations"\n',
    )
    spoil("split-2020-01-01.toml", 'name = "kilometres"', 'name = "kilometres"\nmarkers = true')
    version = compiled(testville).versions[0]
    assert version.periods == (Period(1, 420, 540, 1), Period(1, 1020, 1140, 1))
    assert (version.marker_set, len(version.weights)) == (2, 3)
    assert version.weights[0, 0, 3].tolist() == [1000, 3000, 0]
    assert version.weights[1, 0, 3].tolist() != version.weights[0, 0, 3].tolist()
    assert version.weights[2, 0, 3].tolist() == [1000, 3000, 0]


def test_without_markers_there_is_no_set_for_them(testville):
    version = compiled(testville).versions[0]
    assert (version.marker_set, len(version.weights), version.periods) == (NO_SET, 1, ())


def test_a_walk_with_a_time_limit_is_a_virtual_transfer_both_ways(testville, append):
    append("transfers.csv", "TST-b,TST-f,TST-T1,TST-TX,exit and re-enter,no,20,high,2026-01-01\n")
    append("transfers.csv", "TST-f,TST-b,TST-TX,TST-T2,exit and re-enter,no,30,high,2026-01-01\n")
    append("transfers.csv", "TST-a,TST-e,TST-T1,TST-T2,exit and re-enter,yes,,high,2026-01-01\n")
    assert compiled(testville).walks == (Walk(1, 5, 30 * MINUTE_US), Walk(5, 1, 30 * MINUTE_US)), "of two rows the longer limit"


def test_a_change_between_cities_is_a_border_and_needs_a_limit(testville, append, spoil):
    append("transfers.csv", "TST-a,OTH-a,TST-T1,OTH-T1,between cities,no,45,high,2026-01-01\n")
    assert compiled(testville).borders == (Border(0, "OTH-a", 45 * MINUTE_US),)
    spoil("transfers.csv", "no,45", "no,")
    city, findings = read_city(testville)
    assert city is None
    assert "TST-a - OTH-a has no time_limit_min" in str(findings[0])


def test_the_calendar_counts_days_and_hours_of_the_city(testville, write):
    write("calendar.csv", "date,day,confidence,as_of\n2026-10-01,holiday,high,2026-01-01\n2026-09-27,weekday,high,2026-01-01\n")
    calendar = compiled(testville).calendar
    assert calendar == (8 * 3600, 3 * 3600, ((20723, 0), (20727, 2)))


def test_a_day_that_stands_twice_in_the_calendar_is_refused(testville, write):
    write("calendar.csv", "date,day,confidence,as_of\n" + "2026-10-01,holiday,high,2026-01-01\n" * 2)
    city, findings = read_city(testville)
    assert city is None
    assert "calendar.csv:3: error: 2026-10-01 stands there more than once" in str(findings[0])


def test_a_city_that_moves_its_clocks_is_refused(testville, spoil):
    spoil("city.toml", "Asia/Shanghai", "Europe/Berlin")
    with pytest.raises(Malformed, match="moves its clocks"):
        compile_city(load_city(testville))

"""Fares that were made on earlier networks and hold still: which metres price a pair, and which rows cannot be."""

import pytest

from city_adapters.city_files import load_city, read_city
from city_adapters.earlier_networks import earlier_networks
from city_adapters.table_compiler import compile_city

HEADER = "network,line_id,from_id,to_id,distance_m,source_m,reason,confidence,as_of\n"


@pytest.fixture
def earlier(testville):
    """Write earlier-links.csv; each row is given without reason, confidence and as_of."""

    def write(*rows: str) -> None:
        text = HEADER + "".join(f"{row},opened later,low,2026-01-01\n" for row in rows)
        (testville / "earlier-links.csv").write_text(text, encoding="utf-8")

    return write


def priced(folder, first, second):
    """Fare, metres and weights of a pair."""
    table = compile_city(load_city(folder))
    at = table.station_ids.index(f"TST-{first}"), table.station_ids.index(f"TST-{second}")
    version = table.versions[-1]
    return int(version.fare_fen[at]), int(version.distance_m[at]), version.weights[0][at].tolist()


def test_a_short_cut_that_opened_later_does_not_change_what_older_pairs_cost(testville, earlier):
    assert priced(testville, "a", "d") == (400, 4000, [1000, 3000, 0])
    earlier("1,TST-T2,,,,")
    assert priced(testville, "a", "d") == (600, 6000, [1000, 3000, 0]), "metres of then, earned on the path of today"
    assert priced(testville, "a", "e") == (300, 2500, [1000, 1500, 0]), "a younger station goes by today's network"


def test_of_several_earlier_networks_the_shortest_prices(testville, earlier):
    earlier("1,TST-T2,,,,", "1,TST-T1,TST-c,TST-d,2500,3000", "2,TST-T2,TST-b,TST-e,,")
    assert priced(testville, "a", "d")[1] == 5500
    earlier("1,TST-T2,,,,", "1,TST-T1,TST-c,TST-d,2500,3000", "2,TST-T2,TST-b,TST-e,1400,1500")
    assert priced(testville, "a", "d")[1] == 3900


def test_a_link_over_a_station_that_opened_later_was_one_link(testville, earlier):
    earlier("1,TST-T2,,,,", "1,TST-T1,TST-b,TST-c,,", "1,TST-T1,TST-c,TST-d,,", "1,TST-T1,TST-b,TST-d,4800,5000")
    assert priced(testville, "a", "d")[1] == 5800
    assert priced(testville, "a", "c")[1] == 3000


def test_a_walk_can_have_come_later(testville, earlier, spoil):
    walk = "TST-a,TST-e,TST-T1,TST-T2,exit and re-enter,yes,30,high,2026-01-01\n"
    spoil("transfers.csv", "TST-b,TST-b,TST-T1", walk + "TST-b,TST-b,TST-T1")
    assert priced(testville, "a", "d")[1] == 1500
    earlier("1,,TST-a,TST-e,,")
    assert priced(testville, "a", "d")[1] == 4000
    assert len(earlier_networks(load_city(testville).network)) == 1


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("1,TST-T1,TST-a,TST-z,,", "TST-z is no station of this city"),
        ("1,TST-T9,TST-a,TST-b,,", "TST-T9 is no line of this city"),
        ("1,TST-T1,TST-a,TST-c,,", "network 1: TST-T1 TST-a TST-c is not there today either"),
        ("1,TST-T1,TST-b,TST-a,,", "network 1: TST-T1 TST-b TST-a stands there 2 times"),
        ("1,,TST-a,TST-e,,", "network 1: TST-a TST-e is not there today either"),
        ("1,TST-T1,TST-b,TST-c,1900,", "source_m stands without distance_m"),
        ("1,TST-T1,TST-b,,,", "to_id stands without from_id"),
        ("1,,TST-b,TST-c,1900,2000", "line_id is missing"),
        ("1,TST-T1,,,1900,2000", "from_id is missing"),
        ("0,TST-T1,TST-b,TST-c,,", "network is 0"),
    ],
)
def test_a_row_that_changes_nothing_or_cannot_be_is_refused_by_line(testville, earlier, row, found):
    earlier("1,TST-T1,TST-a,TST-b,,", row)
    city, findings = read_city(testville)
    assert city is None
    named = [str(finding) for finding in findings if found in str(finding)]
    assert named, "\n".join(map(str, findings))
    assert named[-1].startswith("earlier-links.csv:3: error: ")

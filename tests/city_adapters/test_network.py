"""Networks that contradict themselves are named; the nine real ones do not."""

import pytest

from city_adapters.catalogue import load_catalogue
from city_adapters.city_files import read_city
from fare_chain.errors import Unknown


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("links.csv", "TST-T1,TST-c,TST-d", "TST-T1,TST-c,TST-z", "ends at a station that stations.csv does not have"),
        ("links.csv", "TST-TX,TST-f", "TST-T9,TST-f", "belongs to a line that lines.csv does not have"),
        ("links.csv", "TST-T1,TST-c,TST-d", "TST-T1,TST-c,TST-c", "begins where it ends"),
        ("links.csv", "TST-T1,TST-c,TST-d", "TST-T1,TST-b,TST-a", "the link ('TST-T1', 'TST-a', 'TST-b') stands in line 2 already"),
        (
            "links.csv",
            "TST-TX,TST-d,TST-f,10000,10000,,fast,high,2026-01-01\n",
            "",
            "TST-f cannot be reached from the rest of the network, nor can the 1 beside it",
        ),
        ("links.csv", "TST-T1,TST-b,TST-c,2000,2000,,,high,2026-01-01\n", "", "in pieces: TST-c cannot be reached along it"),
        ("lines.csv", "TST-T1,一", "TST-T0,无,Line 0,metro,#000000,1,high,high,2026-01-01\nTST-T1,一", "TST-T0 has no link"),
        ("lines.csv", "TST-T2,二", "TST-T1,二", "line_id TST-T1 stands in line 2 already"),
        ("lines.csv", "#00FF00,2", "#00FF00,4", "run by operator 4, which operators.csv does not have"),
        ("lines.csv", "TST-T2,二", "OTH-T2,二", "'OTH-T2' is not an id of Testville"),
        ("stations.csv", "20,TST-b", "10,TST-b", "number 10 stands in line 2 already"),
        ("stations.csv", "20,TST-b", "90,TST-b", "not in the order of their numbers"),
        ("stations.csv", "20,TST-b", "20,TST-a", "station_id TST-a stands in line 2 already"),
        ("transfers.csv", "TST-b,TST-b,TST-T1", "TST-b,TST-b,TST-TX", "TST-b is no stop of TST-TX"),
        ("transfers.csv", "same station", "exit and re-enter", "TST-b - TST-b is called 'exit and re-enter'"),
        ("operators.csv", "3,丙", "2,丙", "number 2 stands in line 3 already"),
        ("examples.csv", "TST-a,TST-d", "TST-a,TST-z", "TST-z is no station of Testville"),
    ],
)
def test_a_contradiction_is_named_with_its_file(testville, spoil, file, old, new, found):
    spoil(file, old, new)
    city, findings = read_city(testville)
    assert city is None
    file = "stations.csv" if "cannot be reached from" in found else file
    assert any(found in finding.message and finding.file == file and finding.line for finding in findings), "\n".join(
        map(str, findings)
    )


def test_lines_at_a_station_come_from_its_links(testville):
    city, _ = read_city(testville)
    assert city.network.lines_at["TST-b"] == ("TST-T1", "TST-T2")
    assert city.network.lines_at["TST-g"] == ("TST-TX",)


def test_an_unknown_station_is_refused_by_name(testville):
    city, _ = read_city(testville)
    assert city.network.station("TST-a").number == 10
    with pytest.raises(Unknown, match="no station 'TST-nowhere'"):
        city.network.station("TST-nowhere")


def test_the_nine_networks_are_whole():
    cities = load_catalogue().cities
    assert [len(city.stations) for city in cities] == [418, 259, 170, 36, 183, 249, 235, 89, 57]
    assert sum(len(city.network.lines) for city in cities) == 81
    assert sum(len(city.network.links) for city in cities) == 1913
    assert sum(len(city.network.transfers) for city in cities) == 339, "337 within a city, one told by both its cities"
    assert sum(link.source_m for city in cities for link in city.network.links) == 3_184_631


def test_a_link_that_is_not_as_its_source_says_has_a_reason(testville, spoil):
    spoil("links.csv", "TST-b,1000,1000,,", "TST-b,1000,990,,")
    spoil("links.csv", "TST-c,2000,2000,,", "TST-c,2000,2000,surveyed,")
    spoil("links.csv", "TST-d,3000,3000,,", "TST-d,3000,2990,surveyed,")
    city, findings = read_city(testville)
    assert city is None
    assert [str(finding).split(" where ")[0] for finding in findings] == [
        "links.csv:2: error: the link TST-T1 TST-a - TST-b has the reason ''",
        "links.csv:3: error: the link TST-T1 TST-b - TST-c has the reason 'surveyed'",
    ]

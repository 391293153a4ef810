"""A folder is read whole or refused with file, line and remedy."""

import pytest

from city_adapters.city_files import lint, load_city, read_city
from city_adapters.findings import MalformedFolder, Severity
from fare_chain.errors import Malformed


def test_a_folder_in_order_has_no_finding(testville):
    city, findings = read_city(testville)
    assert findings == []
    assert (city.number, city.code, city.slug, city.daily_riders) == (77, "TST", "testville", 1000)
    assert city.stations[0].lon_e3 == 121_001


def test_a_refusal_is_malformed_and_tells_file_line_and_remedy(testville, spoil):
    spoil("links.csv", "TST-c,2000", "TST-c,2000.5")
    with pytest.raises(MalformedFolder, match=r"links\.csv:3: error: distance_m is '2000\.5'; give a whole number") as refused:
        load_city(testville)
    assert isinstance(refused.value, Malformed)
    assert [finding.line for finding in refused.value.findings] == [3]


def test_one_reading_names_everything_that_is_wrong(testville, spoil):
    spoil("links.csv", "TST-c,2000", "TST-c,-2000")
    spoil("stations.csv", "121.004", "121.4")
    spoil("tariff-2020-01-01.toml", "minimum_fen = 400", "minimum_fen = 0")
    city, findings = read_city(testville)
    assert city is None
    assert {finding.file for finding in findings} == {"links.csv", "stations.csv", "tariff-2020-01-01.toml"}


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("city.toml", "number = 77", "number = 65536", "city.toml:2: error: number is 65536"),
        ("city.toml", "number = 77", "number = 77\nmayor = 1", "city.toml:3: error: mayor is not a field of this file"),
        ("city.toml", "testville", "elsewhere", "slug is 'elsewhere' in the folder 'testville'"),
        ("city.toml", '"TST"', '"tst"', "code is 'tst'"),
        ("city.toml", "Asia/Shanghai", "Asia/Atlantis", "time_zone is 'Asia/Atlantis'"),
        ("city.toml", "Asia/Shanghai", "Europe/Berlin", "city.toml:7: error: time_zone is 'Europe/Berlin', which moves its clocks"),
        ("city.toml", "2026-01-01", '"2026-01-01"', "ridership.as_of is '2026-01-01'"),
        ("stations.csv", "number,", "nr,", "stations.csv:1: error: the columns are nr,"),
        ("stations.csv", ",high,2026-01-01\n20", ",sure,2026-01-01\n20", "stations.csv:2: error: confidence is 'sure'"),
        ("stations.csv", "2026-01-01\n20", "2026-13-01\n20", "stations.csv:2: error: as_of is '2026-13-01'"),
        ("stations.csv", "2026-01-01\n20", "2026-01-01,more\n20", "stations.csv:2: error: the row has 10 fields"),
        ("stations.csv", "10,TST-a", "010,TST-a", "stations.csv:2: error: number is '010'"),
        ("stations.csv", "10,TST-a", "10, TST-a", "stations.csv:2: error: station_id is ' TST-a'"),
        ("transfers.csv", "same station,yes", "same station,maybe", "transfers.csv:2: error: joins_fares is 'maybe'"),
        ("lines.csv", "metro,#FF0000", "bus,#FF0000", "lines.csv:2: error: kind is 'bus'"),
        ("operators.csv", "3,丙", "256,丙", "operators.csv:4: error: number is 256"),
        ("split-2020-01-01.toml", "metres on the shortest path", "as we like", "model is 'as we like'"),
    ],
)
def test_a_field_that_cannot_be_read_is_named_with_its_place(testville, spoil, file, old, new, found):
    spoil(file, old, new)
    city, findings = read_city(testville)
    assert city is None
    assert any(found in str(finding) for finding in findings), "\n".join(map(str, findings))


@pytest.mark.parametrize("name", ["city.toml", "stations.csv", "examples.csv", "tariff-2020-01-01.toml", "split-2020-01-01.toml"])
def test_a_missing_file_is_named(testville, name):
    (testville / name).unlink()
    city, findings = read_city(testville)
    assert city is None
    assert any("is missing" in finding.message and finding.file.split("-")[0] == name.split("-")[0] for finding in findings)


@pytest.mark.parametrize("name", ["stations.csv", "operators.csv"])
def test_an_empty_file_is_refused(testville, name):
    (testville / name).write_bytes(b"")
    city, findings = read_city(testville)
    assert city is None
    assert any(finding.file == name for finding in findings)


def test_a_station_list_without_a_station_is_refused(testville):
    for name in ("stations.csv", "lines.csv", "links.csv", "transfers.csv", "examples.csv"):
        header = (testville / name).read_text(encoding="utf-8").splitlines()[0]
        (testville / name).write_text(header + "\n", encoding="utf-8")
    city, findings = read_city(testville)
    assert city is None
    assert any(finding.message == "has no row" for finding in findings)


def test_a_byte_order_mark_and_windows_line_ends_are_read(testville):
    for path in testville.glob("*.csv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_city(testville)[1] == []


def test_a_file_that_is_not_utf8_is_refused_at_its_byte(testville):
    (testville / "lines.csv").write_bytes(b"line_id,\xff")
    city, findings = read_city(testville)
    assert city is None
    assert "lines.csv:1: error: is not UTF-8 at byte 8" in str(findings[0])


def test_a_slip_in_a_files_name_does_not_make_it_vanish(testville):
    (testville / "tarif-2030-01-01.toml").write_text("")
    city, findings = read_city(testville)
    assert city is not None
    assert [(finding.file, finding.severity) for finding in findings] == [("tarif-2030-01-01.toml", Severity.WARNING)]


def test_lint_tells_what_is_unconfirmed_and_which_example_fails(testville, spoil):
    spoil("examples.csv", "4000,400", "4000,300")
    spoil("links.csv", "3000,,,high", "3000,,,unconfirmed")
    found = [str(finding) for finding in lint(testville)]
    assert any("TST-a - TST-d should cost 300 fen for 4000 m, the tariff gives 400 fen for 4000 m" in line for line in found)
    assert any("1 of 7 link lengths are unconfirmed" in line for line in found)
    assert any("everything is made up" in line for line in found)

"""Faults planted into copies of real cities' folders: lint names each with its line and a remedy, and nothing else as an error."""

import shutil
from pathlib import Path

import pytest

from city_adapters.catalogue import PACKAGED
from city_adapters.city_files import lint
from city_adapters.findings import Severity, errors

CITIES = sorted(path.parent for path in (PACKAGED / "cities").glob("*/city.toml"))
TARIFF, LATER = "tariff-2015-01-01.toml", "tariff-2020-01-01.toml"


def change(file, old, new):
    def plant(folder):
        text = (folder / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")

    return plant


def drop(file, begins):
    def plant(folder):
        lines = (folder / file).read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(begins)]
        assert len(kept) == len(lines) - 1
        (folder / file).write_text("".join(kept), encoding="utf-8")

    return plant


def append(file, row):
    def plant(folder):
        with (folder / file).open("a", encoding="utf-8") as end:
            end.write(row + "\n")

    return plant


def later_tariff(first_ends):
    """A second tariff from 2020 on, and an end for the first one."""

    def plant(folder):
        text = (folder / TARIFF).read_text(encoding="utf-8")
        (folder / LATER).write_text(text.replace("valid_from = 2015-01-01", "valid_from = 2020-01-01"), encoding="utf-8")
        ended = text.replace("valid_from = 2015-01-01", f"valid_from = 2015-01-01\nvalid_to = {first_ends}")
        (folder / TARIFF).write_text(ended, encoding="utf-8")

    return plant


def not_utf8(file, old):
    def plant(folder):
        data = (folder / file).read_bytes()
        assert data.count(old) == 1
        (folder / file).write_bytes(data.replace(old, old.decode().encode("gb18030")))

    return plant


FAULTS = {
    # what is planted:   city, the planting, file, a text that stands on the line alone, severity, message
    "overlapping validity": (
        "xuzhou", later_tariff("2020-06-01"), TARIFF, "valid_to", "error", "overlaps tariff-2020-01-01.toml",
    ),
    "a gap between versions": (
        "xuzhou", later_tariff("2019-06-01"), TARIFF, "valid_to", "error", "ends on 2019-06-01, and nothing holds until",
    ),
    "an unreachable station": (
        "xuzhou", drop("links.csv", "XUZ-L1,XUZ-luwo,"), "stations.csv", "XUZ-luwo,", "error", "XUZ-luwo is on no line",
    ),
    "a line in pieces": (
        "xuzhou", drop("links.csv", "XUZ-L1,XUZ-pengchengguangchang,XUZ-minzhubeilu"), "links.csv", "XUZ-L1,XUZ-luwo,", "error",
        "XUZ-L1 is in pieces",
    ),
    "a transfer between nothing": (
        "xuzhou", change("transfers.csv", "XUZ-huaita,XUZ-L2,XUZ-L3", "XUZ-huaita,XUZ-L1,XUZ-L3"), "transfers.csv",
        "XUZ-huaita,XUZ-L1", "error", "XUZ-huaita is no stop of XUZ-L1",
    ),
    "a transfer told twice": (
        "xuzhou", append("transfers.csv", "XUZ-huaita,XUZ-huaita,XUZ-L3,XUZ-L2,same station,yes,5,high,2026-01-01"),
        "transfers.csv",
        "XUZ-huaita,XUZ-L3,XUZ-L2", "error", "stands in line 4 already",
    ),
    "two stations of one Chinese name": (
        "xuzhou", change("stations.csv", "XUZ-dalonghu,大龙湖", "XUZ-dalonghu,百果园"), "stations.csv", "XUZ-dalonghu,", "warning",
        "XUZ-dalonghu is called '百果园', as XUZ-baiguoyuan in line 2 is",
    ),
    "two stations of one English name": (
        "wenzhou", change("stations.csv", "动车南,South Railway Station", "动车南,olympic center"), "stations.csv", "动车南,",
        "warning", "is called 'olympic center', as WNZ-aotizhongxin in line 2 is",
    ),
    "two stations of one name in both languages": (
        "xuzhou", change("stations.csv", "XUZ-dalonghu,大龙湖,Dalonghu", "XUZ-dalonghu,百果园,Baiguoyuan"), "stations.csv",
        "XUZ-dalonghu,", "warning", "XUZ-dalonghu is called '百果园'",
    ),
    "two lines of one name": (
        "xuzhou", change("lines.csv", "3号线,Line 3", "3号线,Line 1"), "lines.csv", "XUZ-L3", "warning",
        "XUZ-L3 is called 'Line 1', as XUZ-L1 in line 2 is",
    ),
    "two operators of one name": (
        "xuzhou", append("operators.csv", "2,徐州地铁集团,Another,high,2026-01-01"), "operators.csv", "2,徐州", "warning",
        "2 is called '徐州地铁集团', as 1 in line 2 is",
    ),
    "bands that do not increase": (
        "xuzhou", change(TARIFF, "up_to_m = 19000", "up_to_m = 12000"), TARIFF, "fare_fen = 400", "error",
        "charge[0].bands[2].up_to_m is 12000 after 12000",
    ),
    "an example that does not hold": (
        "xuzhou", append("examples.csv", "XUZ-luwo,XUZ-xingshanzi,,900,a slip,low,2026-01-01"), "examples.csv", "a slip", "error",
        "XUZ-luwo - XUZ-xingshanzi should cost 900 fen, the tariff gives 200 fen",
    ),
    "an example before every tariff": (
        "xuzhou", append("examples.csv", "XUZ-luwo,XUZ-xingshanzi,,200,a slip,low,2014-12-31"), "examples.csv", "a slip", "error",
        "is of 2014-12-31, when no tariff was in force",
    ),
    "a line of an unknown operator": (
        "xuzhou", change("lines.csv", "#0AA4EC,1,", "#0AA4EC,7,"), "lines.csv", "XUZ-L3", "error", "XUZ-L3 is run by operator 7",
    ),
    "a link to an unknown station": (
        "xuzhou", change("links.csv", "XUZ-L1,XUZ-luwo,", "XUZ-L1,XUZ-lowu,"), "links.csv", "XUZ-lowu", "error",
        "ends at a station that stations.csv does not have",
    ),
    "a station number twice": (
        "xuzhou", change("stations.csv", "\n4,XUZ-dalonghu", "\n3,XUZ-dalonghu"), "stations.csv", "XUZ-dalonghu", "error",
        "number 3 stands in line 4 already",
    ),
    "station numbers out of order": (
        "xuzhou", change("stations.csv", "\n4,XUZ-dalonghu", "\n400,XUZ-dalonghu"), "stations.csv", "\n5,", "error",
        "number 5 stands after 400",
    ),
    "a day that no calendar has": (
        "xuzhou", change("lines.csv", "#0AA4EC,1,high,high,2025-01-23", "#0AA4EC,1,high,high,2025-02-29"), "lines.csv", "XUZ-L3",
        "error", "as_of is '2025-02-29'",
    ),
    "a day in quotes": (
        "xuzhou", change("city.toml", "as_of = 2024-12-31", 'as_of = "2024-12-31"'), "city.toml", '"2024-12-31"', "error",
        "ridership.as_of is '2024-12-31'",
    ),
    "an unknown key": (
        "shanghai", change(TARIFF, "surcharge_fen = 300", "surcharge_fen = 300\nsurcharge_yuan = 3"), TARIFF, "surcharge_yuan",
        "error", "ride_time.surcharge_yuan is not a field of this file",
    ),
    "a charge for an unknown line": (
        "shanghai", change(TARIFF, 'lines = ["SHA-LMAGLEV"]', 'lines = ["SHA-LMAGLEV", "SHA-L99"]'), TARIFF,
        '[[charge]]\nname = "maglev"', "error", "charge 'maglev' names SHA-L99",
    ),
    "a text that is not UTF-8": (
        "xuzhou", not_utf8("stations.csv", "大龙湖".encode()), "stations.csv", b"XUZ-dalonghu,", "error", "is not UTF-8 at byte",
    ),
    "a text that is not TOML": (
        "xuzhou", change(TARIFF, "step_m = 9000", "step_m == 9000"), TARIFF, "step_m ==", "error", "is not TOML",
    ),
    "a link of another unit": (
        "xuzhou", change("links.csv", "XUZ-luwo,XUZ-xingshanzi,1969,1969", "XUZ-luwo,XUZ-xingshanzi,19690,19690"), "links.csv",
        "XUZ-luwo", "warning", "is 19690 m long, more than 4 times the straight line of 1912",
    ),
    "a link shorter than the straight line": (
        "xuzhou", change("links.csv", "XUZ-luwo,XUZ-xingshanzi,1969,1969", "XUZ-luwo,XUZ-xingshanzi,900,900"), "links.csv",
        "XUZ-luwo", "warning", "is 900 m long, and the straight line between its ends is 1912",
    ),
}  # fmt: skip


def line_of(folder: Path, file: str, mark: str | bytes) -> int:
    mark = mark.encode() if isinstance(mark, str) else mark
    data = (folder / file).read_bytes()
    assert data.count(mark) == 1, f"{mark!r} stands {data.count(mark)} times in {file}"
    return data[: data.index(mark) + len(mark) - len(mark.lstrip(b"\n"))].count(b"\n") + 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_its_line_and_is_the_only_error(tmp_path, fault):
    city, plant, file, mark, severity, message = FAULTS[fault]
    folder = tmp_path / city
    shutil.copytree(PACKAGED / "cities" / city, folder)
    for dated in folder.glob("overrides-*.csv"):  # lengths and tariffs change here, and official fares would hide it
        dated.unlink()
    before = {(finding.file, finding.message) for finding in lint(folder)}
    plant(folder)
    findings = lint(folder)
    new = [finding for finding in findings if (finding.file, finding.message) not in before and message in finding.message]
    assert [(one.file, one.line, one.severity) for one in new] == [(file, line_of(folder, file, mark), severity)], fault
    assert new[0].remedy
    assert list(errors(findings)) == [one for one in new if one.severity is Severity.ERROR]


@pytest.mark.parametrize("folder", CITIES, ids=lambda folder: folder.name)
def test_every_packaged_city_is_without_an_error(folder):
    findings = lint(folder)
    assert errors(findings) == ()
    for finding in findings:
        assert finding.line or finding.message.endswith("in place of the rule's"), finding


def test_a_pair_without_a_fare_is_an_error_even_where_the_network_is_whole(testville, spoil):
    spoil("links.csv", "TST-TX,TST-d,TST-f,10000,10000,,fast,high,2026-01-01\n", "")
    spoil("transfers.csv", "same station,yes,,high,2026-01-01\n", "same station,yes,,high,2026-01-01\n" + WALK)
    (found,) = errors(lint(testville))
    assert (found.file, found.line) == ("stations.csv", 2)
    assert found.message == "TST-a - TST-f has no fare under 'bands', nor have 9 other pairs"


WALK = "TST-d,TST-f,TST-T1,TST-TX,exit and re-enter,no,,high,2026-01-01\n"


def test_stations_in_a_wrong_order_are_seen_on_the_map(testville, spoil):
    spoil("stations.csv", "121.003", "121.034")
    spoil("stations.csv", "121.002", "121.023")
    spoil("stations.csv", "121.004", "121.009")
    (found,) = (finding for finding in lint(testville) if "turns back" in finding.message)
    assert (found.file, found.line, found.severity) == ("links.csv", 4, "warning")
    assert "TST-T1 turns back at TST-c: TST-b and TST-d lie 0 degrees apart" in found.message


def test_fares_that_nobody_is_said_to_earn_are_an_error(testville):
    (testville / "split-2020-01-01.toml").rename(testville / "split-2021-01-01.toml")
    path = testville / "split-2021-01-01.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("2020-01-01", "2021-01-01"), encoding="utf-8")
    (found,) = errors(lint(testville))
    assert (found.file, found.line) == ("tariff-2020-01-01.toml", 1)
    assert "no split rule says who earns" in found.message

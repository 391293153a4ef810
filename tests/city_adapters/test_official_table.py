"""An official table loaded whole: what becomes an override, what is refused, and lengths written back as they were read."""

import json

import pytest
import typer
from typer.testing import CliRunner

from city_adapters.city_files import lint, load_city
from city_adapters.commands import add_to
from city_adapters.table_compiler import compile_city
from fare_chain.errors import Conflict, Unknown


@pytest.fixture
def run():
    app = typer.Typer()
    add_to(app)

    def run(*arguments):
        result = CliRunner().invoke(app, ["city", *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return run


@pytest.fixture
def table(tmp_path):
    """Write a list of published fares; each row is from, to, yuan and where needed the gates' lines."""

    def write(*rows, columns="city,from_id,to_id,fare_yuan"):
        path = tmp_path / "official.csv"
        path.write_text("\n".join([columns, *(f"testville,{row}" for row in rows)]) + "\n", encoding="utf-8")
        return path

    return write


def fare(folder, first, second):
    compiled = compile_city(load_city(folder))
    at = compiled.station_ids.index(f"TST-{first}"), compiled.station_ids.index(f"TST-{second}")
    return int(compiled.versions[-1].fare_fen[at])


def test_what_differs_from_the_rule_becomes_an_override_and_the_rest_is_counted(testville, run, table):
    path = table("TST-a,TST-d,5", "TST-d,TST-b,3", "tst-a,TST-c,8", "TST-a,TST-nowhere,3", "TST-a,TST-b,two")
    told = json.loads(run("load-fares", testville, path, "--as-of", "2026-01-01", "--write", "--json"))
    assert (told["checked"], told["exact"], told["far_off"], told["overrides"]) == (3, 1, 1, 2)
    assert [row["line"] for row in told["not_compared"]] == [6, 5]
    assert (testville / "overrides-2026-01-01.csv").read_text(encoding="utf-8") == (
        "from_id,to_id,from_line,to_line,fare_fen,reason,confidence,as_of\n"
        "TST-a,TST-c,,,800,official table: 500 fen off with no known cause,high,2026-01-01\n"
        "TST-a,TST-d,,,500,official table: 100 fen off with no known cause,high,2026-01-01\n"
    )
    assert (fare(testville, "a", "d"), fare(testville, "c", "a"), fare(testville, "b", "d")) == (500, 800, 300)


def test_a_fare_near_a_band_edge_says_how_near(testville, run, table, spoil):
    spoil("links.csv", "TST-e,TST-d,1500,1500", "TST-e,TST-d,2035,2035")
    run("load-fares", testville, table("TST-a,TST-d,4"), "--as-of", "2026-01-01", "--write")
    assert "official table: 35 m from a band edge" in (testville / "overrides-2026-01-01.csv").read_text(encoding="utf-8")


def test_the_whole_table_keeps_every_pair_and_lint_says_which_are_needless(testville, run, table):
    path = table("TST-a,TST-d,5", "TST-b,TST-d,3")
    assert "2 overrides found; --write keeps them" in run("load-fares", testville, path, "--as-of", "2026-01-01", "--whole")
    run("load-fares", testville, path, "--as-of", "2026-01-01", "--whole", "--write")
    assert any("1 of 2 rows are needless" in str(finding) for finding in lint(testville))


def test_loading_the_same_table_again_changes_nothing(testville, run, table):
    path = table("TST-a,TST-d,5", "TST-a,TST-d,5")
    run("load-fares", testville, path, "--as-of", "2026-01-01", "--write")
    first = (testville / "overrides-2026-01-01.csv").read_bytes()
    told = json.loads(run("load-fares", testville, path, "--as-of", "2026-01-01", "--write", "--json"))
    assert (testville / "overrides-2026-01-01.csv").read_bytes() == first
    assert (told["checked"], told["exact"], told["overrides"]) == (1, 0, 1)


def test_two_fares_of_one_pair_are_refused_unless_the_gates_tell_them_apart(testville, run, table):
    with pytest.raises(Conflict, match="TST-d - TST-b costs 400 fen in line 3, 300 in line 2: keep one, or name the gates' lines"):
        run("load-fares", testville, table("TST-b,TST-d,3", "TST-d,TST-b,4"), "--as-of", "2026-01-01")
    path = table("TST-b,TST-d,3,,", "TST-d,TST-b,4,TST-T1,TST-T2", columns="city,from_id,to_id,fare_yuan,from_line,to_line")
    run("load-fares", testville, path, "--as-of", "2026-01-01", "--write")
    assert "TST-d,TST-b,TST-T1,TST-T2,400,official table: by the line of the gate" in (
        testville / "overrides-2026-01-01.csv"
    ).read_text(encoding="utf-8")


def test_a_list_without_a_fare_of_the_city_changes_nothing(testville, run, tmp_path):
    path = tmp_path / "elsewhere.csv"
    path.write_text("city,from_id,to_id,fare_yuan\nelsewhere,ELS-a,ELS-b,3\n", encoding="utf-8")
    before = {file.name: file.read_bytes() for file in testville.iterdir()}
    for command in (("load-fares", testville, path, "--as-of", "2026-01-01"), ("calibrate", testville, "--fares", path)):
        with pytest.raises(Unknown, match="the list has no fare of testville"):
            run(*command, "--write")
    assert {file.name: file.read_bytes() for file in testville.iterdir()} == before


def test_a_day_without_a_tariff_is_refused(testville, run, table):
    with pytest.raises(Unknown, match="testville has no tariff in force on 2019-01-01"):
        run("load-fares", testville, table("TST-a,TST-d,5"), "--as-of", "2019-01-01")


def test_a_calibration_is_written_back_in_the_same_rows_and_only_on_demand(testville, run, table):
    before = (testville / "links.csv").read_bytes()
    # a - d is 4,000 m by the sources, and its fare is that of 3,500 m at most.
    path = table("TST-c,TST-d,3", "TST-b,TST-c,3", "TST-a,TST-c,3", "TST-a,TST-d,3", "TST-a,TST-e,2", "TST-a,TST-e,3")
    told = json.loads(run("calibrate", testville, "--fares", path, "--metre-price", "0.5", "--margin", "10", "--json"))
    assert (testville / "links.csv").read_bytes() == before
    assert told["calibrated"]["before"]["fares"] == 4
    assert told["calibrated"]["after"]["exact"] > told["calibrated"]["before"]["exact"]
    assert [row["message"] for row in told["skipped"]] == ["the pair has two fares"] * 2
    run("calibrate", testville, "--fares", path, "--metre-price", "0.5", "--margin", "10", "--write")
    after = (testville / "links.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:3] for row in after] == [row.split(",")[:3] for row in before.decode().splitlines()]
    moved = [link for link in load_city(testville).network.links if link.reason]
    assert moved
    assert all(link.reason.startswith("calibrated: ") and link.distance_m != link.source_m for link in moved)
    again = json.loads(run("calibrate", testville, "--fares", path, "--metre-price", "0.5", "--margin", "10", "--write", "--json"))
    assert again["calibrated"] == told["calibrated"], "it begins from the sources, not from what it gave before"
    assert (testville / "links.csv").read_text(encoding="utf-8").splitlines() == after


def test_a_length_set_by_hand_stays(testville, run, table, spoil):
    spoil("links.csv", "TST-e,TST-d,1500,1500,,", "TST-e,TST-d,1400,1500,surveyed,")
    path = table("TST-b,TST-d,2", "TST-b,TST-d,2", "TST-e,TST-d,2")
    run("calibrate", testville, "--fares", path, "--metre-price", "0.1", "--write")
    assert "TST-e,TST-d,1400,1500,surveyed," in (testville / "links.csv").read_text(encoding="utf-8")


def test_fares_kept_apart_do_not_help_to_foretell_themselves(testville, run, table):
    # Of these only a - d tells anything new, and it is the only fare of its origin.
    path = table("TST-a,TST-d,3", "TST-c,TST-d,3", "TST-b,TST-c,3")
    terms = ("--fares", path, "--metre-price", "0.5", "--margin", "10")
    told = json.loads(run("calibrate", testville, *terms, "--leave-out-origins", "--json"))
    assert (told["calibrated"]["before"]["exact"], told["calibrated"]["after"]["exact"]) == (2, 3)
    assert told["held_out"]["before"] == told["held_out"]["after"] == {"fares": 3, "exact": 2, "far_off": 0}
    part = json.loads(run("calibrate", testville, *terms, "--hold-out", "67", "--seed", "3", "--json"))
    assert part["held_out"]["before"]["fares"] == 2
    assert part == json.loads(run("calibrate", testville, *terms, "--hold-out", "67", "--seed", "3", "--json"))
    assert "held out: after  2 of 3 exact (66.66 %), 0 more than 2 yuan off" in run(
        "calibrate", testville, *terms, "--leave-out-origins"
    )

"""Official fares in place of the rule's: when they hold, what is refused, what lint says of them."""

import pytest

from city_adapters.city_files import lint, load_city, read_city
from city_adapters.table_compiler import compile_city

HEADER = "from_id,to_id,from_line,to_line,fare_fen,reason,confidence,as_of\n"


@pytest.fixture
def override(testville):
    """Write a file of overrides; each row is given without reason, confidence and as_of."""

    def write(day: str, *rows: str) -> None:
        text = HEADER + "".join(f"{row},official table,high,2026-01-01\n" for row in rows)
        (testville / f"overrides-{day}.csv").write_text(text, encoding="utf-8")

    return write


def fares(folder, first, second):
    """The fare of a pair in every version, both ways, with the day on which the version begins."""
    city = load_city(folder)
    table = compile_city(city)
    at = table.station_ids.index(f"TST-{first}"), table.station_ids.index(f"TST-{second}")
    return [
        (str(city.days.day_of(one.valid_from_us)), int(one.fare_fen[at]), int(one.fare_fen[at[::-1]])) for one in table.versions
    ]


def test_an_official_fare_wins_over_the_rule_from_its_day_until_the_next_file(testville, override):
    override("2024-01-01", "TST-d,TST-a,,,500")
    override("2025-01-01", "TST-a,TST-c,,,200")
    assert fares(testville, "a", "d") == [("2020-01-01", 400, 400), ("2024-01-01", 500, 500), ("2025-01-01", 400, 400)]
    assert fares(testville, "a", "c") == [("2020-01-01", 300, 300), ("2024-01-01", 300, 300), ("2025-01-01", 200, 200)]


def test_overrides_end_with_the_tariff_that_they_amend(testville, override, add_version):
    override("2024-01-01", "TST-a,TST-d,,,500")
    add_version("2025-01-01", ("fare_fen = 300", "fare_fen = 350"))
    assert fares(testville, "a", "d") == [("2020-01-01", 400, 400), ("2024-01-01", 500, 500), ("2025-01-01", 450, 450)]


def test_metres_and_weights_stay_those_of_the_rule(testville, override):
    override("2024-01-01", "TST-a,TST-d,,,500")
    before, after = compile_city(load_city(testville)).versions
    assert (before.distance_m == after.distance_m).all()
    assert (before.weights == after.weights).all()
    assert (before.fare_fen != after.fare_fen).sum() == 2


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("TST-a,TST-z,,,500", "overrides-2024-01-01.csv:3: error: TST-z is no station of this city"),
        ("TST-a,TST-d,TST-T2,TST-T1,500", "overrides-2024-01-01.csv:3: error: TST-a is no stop of TST-T2; give one of TST-T1"),
        ("TST-a,TST-d,TST-T1,,500", "overrides-2024-01-01.csv:3: error: from_line is 'TST-T1' where to_line is ''"),
        ("TST-c,TST-a,,,500", "overrides-2024-01-01.csv:3: error: TST-c - TST-a stands in line 2 already"),
        ("TST-a,TST-d,,,0", "overrides-2024-01-01.csv:3: error: fare_fen is 0"),
        ("TST-a,TST-d,,,50001", "overrides-2024-01-01.csv:3: error: fare_fen is 50001"),
    ],
)
def test_a_row_that_cannot_hold_is_refused_by_line(testville, override, row, found):
    override("2024-01-01", "TST-a,TST-c,,,200", row)
    city, findings = read_city(testville)
    assert city is None
    assert any(found in str(finding) for finding in findings), "\n".join(map(str, findings))


def test_one_pair_may_cost_differently_by_gate_lines(testville, override):
    override("2024-01-01", "TST-b,TST-d,TST-T1,TST-T1,500", "TST-b,TST-d,TST-T2,TST-T2,300", "TST-b,TST-d,,,400")
    assert fares(testville, "b", "d")[-1] == ("2024-01-01", 400, 400)


@pytest.mark.parametrize(
    ("day", "found"),
    [
        ("2019-12-31", "overrides-2019-12-31.csv: error: no tariff is in force on its first day"),
        ("soon", "overrides-soon.csv: error: its name does not say a day"),
    ],
)
def test_a_file_that_amends_nothing_is_refused(testville, override, day, found):
    override(day, "TST-a,TST-d,,,500")
    city, findings = read_city(testville)
    assert city is None
    assert any(found in str(finding) for finding in findings), "\n".join(map(str, findings))


def test_lint_counts_the_rows_and_names_the_needless_and_the_far_off(testville, override):
    override("2024-01-01", "TST-a,TST-d,,,400", "TST-a,TST-c,,,501", "TST-a,TST-b,,,400", "TST-b,TST-e,TST-T1,TST-T2,300")
    found = [str(finding).partition(";")[0] for finding in lint(testville) if finding.file.startswith("overrides")]
    assert found == [
        "overrides-2024-01-01.csv: note: 4 official fares stand in place of the rule's",
        "overrides-2024-01-01.csv:2: warning: 2 of 4 rows are needless: the rule gives these fares",
        "overrides-2024-01-01.csv:3: warning: TST-a - TST-c costs 501 fen, the rule gives 300",
        "overrides-2024-01-01.csv:5: warning: TST-b - TST-e names gate lines, but neither has gates of its own: no effect",
    ]

"""Split files and agreed pair tables as they are read; each planted contradiction is a finding with its remedy."""

import hashlib
from datetime import date

import pytest

from city_adapters.city_files import load_city, read_city
from city_adapters.day_hours import DayType
from city_adapters.split_rule import SharedTrack, SplitModel
from city_adapters.station_pairs import station_pairs

MULTI_PATH = """
name = "several paths"
valid_from = 2020-01-01
model = "path-size logit"
theta_per_min = 0.2
x_max = 1
shared_track = "service share"
markers = true
confidence = "illustrative"
as_of = 2026-01-01

[cost]
speed_kmh = 36
walk_s = 60
wait_s = 30
penalty_s = 0
gamma = "3/2"
[cost.line_speed_kmh]
TST-T2 = 40

[[shared]]
lines = ["TST-T1", "TST-T2"]
parts = [2, 1]

[station_weights]
boarding_ppm = 100000
alighting_ppm = 50000
confidence = "low"
as_of = 2026-01-01

[[period]]
name = "peak"
days = ["weekday"]
hours = ["07:00-09:00", "17:00-19:00"]
theta_per_min = 0.4
[period.cost]
wait_s = 10
[[period.shared]]
lines = ["TST-T1", "TST-T2"]
parts = [3, 1]

[[period]]
name = "weekend"
days = ["weekend", "holiday"]
model = "normal"
sigma = 0.1
"""
SHARES = """from_id,to_id,operator,share,confidence,as_of
TST-a,TST-d,1,0.75,high,2026-01-01
TST-a,TST-d,3,0.25,high,2026-01-01
TST-c,TST-e,2,1,high,2026-01-01
TST-a,TST-g,2,1,high,2026-01-01
"""


@pytest.fixture
def several_paths(testville, spoil):
    spoil(
        "links.csv",
        "TST-T2,TST-b,TST-e",
        "TST-T2,TST-a,TST-b,1000,1000,,,high,2026-01-01\nTST-T2,TST-b,TST-e",
    )
    (testville / "split-2020-01-01.toml").write_text(MULTI_PATH, encoding="utf-8")
    (testville / "shares-2021-01-01.csv").write_text(SHARES, encoding="utf-8")
    return testville


def test_a_split_file_is_read_whole(several_paths):
    city = load_city(several_paths)
    (rule,) = city.splits
    assert (rule.model, rule.shared_track, rule.markers) == (SplitModel.PATH_SIZE_LOGIT, SharedTrack.SERVICE_SHARE, True)
    assert (str(rule.terms.theta_per_min), str(rule.terms.cost.gamma)) == ("1/5", "3/2")
    peak, weekend = rule.periods
    assert [(hours.days, hours.from_min, hours.to_min) for hours in peak.hours] == [
        (DayType.WEEKDAY.bit, 420, 540),
        (DayType.WEEKDAY.bit, 1020, 1140),
    ]
    assert (peak.terms.model, str(peak.terms.theta_per_min), peak.terms.shared[0].parts) == (rule.model, "2/5", (3, 1))
    assert (peak.terms.cost.wait_s, peak.terms.cost.walk_s, peak.terms.cost.line_speeds_kmh) == (10, 60, (("TST-T2", 40),))
    assert peak.terms.cost.gamma == rule.terms.cost.gamma
    assert (weekend.terms.model, weekend.terms.shared) == (SplitModel.NORMAL, rule.terms.shared)
    assert "what a split gives to entry and exit stations is low" not in city.unconfirmed
    assert "the split rule is illustrative" in city.unconfirmed


def test_an_agreed_pair_table_holds_from_the_day_in_its_name(several_paths):
    (several_paths / "shares-2022-01-01.csv").write_text(SHARES.splitlines()[0] + "\n", encoding="utf-8")
    city = load_city(several_paths)
    first, second = city.agreed
    assert first.validity.to_us == second.validity.from_us == city.days.start_us(date(2022, 1, 1))
    assert [row.share for row in first.rows] == [75 * 10**8, 25 * 10**8, 10**10, 10**10]


def test_agreed_before_model_before_shortest_path_and_markers_have_metres(several_paths):
    city = load_city(several_paths)
    rows, operators = city.network.rows, (1, 2, 3)
    tariff, rule, agreed = city.tariffs[0], city.splits[0], city.agreed[0]

    def pair(pairs, first, second):
        return pairs.weights[rows[f"TST-{first}"], rows[f"TST-{second}"]].tolist()

    with_table = station_pairs(city.network, operators, tariff, rule, agreed)
    without = station_pairs(city.network, operators, tariff, rule)
    assert pair(with_table, "a", "d") == pair(with_table, "d", "a") == [3, 0, 1], "what was agreed"
    assert pair(without, "a", "d")[:2] != [3, 0], "what the model says"
    assert sum(pair(without, "a", "d")) == 100_000_000
    assert pair(without, "b", "b") == [50_000_000, 50_000_000, 0], "a ride without metres: who stops there"
    assert pair(without, "d", "g") == [0, 0, 14_000] or sum(pair(without, "d", "g")) == 100_000_000
    assert len(with_table.period_weights) == 2
    assert with_table.period_weights[0][rows["TST-a"], rows["TST-d"]].tolist() == [3, 0, 1], "agreed in every period"
    assert without.period_weights[0][rows["TST-b"], rows["TST-d"]].tolist() != pair(without, "b", "d")
    metres = without.marked_metres[rows["TST-a"], rows["TST-f"]]
    assert metres.tolist() == [667, 333 + 3000, 10_000], "a to b shared two to one, b to d by line 2, then the express"


def test_the_bytes_of_a_split_over_several_paths_never_change(several_paths):
    city = load_city(several_paths)
    pairs = station_pairs(city.network, (1, 2, 3), city.tariffs[0], city.splits[0], city.agreed[0])
    digest = hashlib.sha256(b"".join(array.tobytes() for array in (pairs.weights, *pairs.period_weights, pairs.marked_metres)))
    known = "db5b4b414145d40d574230cc7c8aa8e0137e086ecf0a4a1add7cab181254e5b3"
    assert digest.hexdigest() == known, "a model or a rounding changed: old ledgers name tables by such bytes"


def test_a_fare_of_two_charges_is_earned_part_by_part_in_every_period(several_paths):
    city = load_city(several_paths)
    pairs = station_pairs(city.network, (1, 2, 3), city.tariffs[0], city.splits[0], city.agreed[0])
    at = city.network.rows["TST-a"], city.network.rows["TST-f"]
    assert pairs.fare_fen[at] == 800
    assert pairs.weights[at].tolist() == [3_000_000, 0, 1_000_000 + 4_000_000], "the agreed pair to d, then the express"
    assert all(weights[at].sum() == 8_000_000 for weights in pairs.period_weights)
    part = city.network.rows["TST-b"], city.network.rows["TST-d"]
    whole = city.network.rows["TST-b"], city.network.rows["TST-f"]
    for weights in (pairs.weights, *pairs.period_weights):
        by_line_1 = int(weights[part][0]) * 3_000_000 // int(weights[part].sum())
        assert weights[whole].tolist() == [by_line_1, 3_000_000 - by_line_1, 4_000_000]
    assert len({weights[whole].tobytes() for weights in (pairs.weights, *pairs.period_weights)}) == 3
    across = city.network.rows["TST-a"], city.network.rows["TST-g"]
    assert pairs.weights[across].tolist() == [0, 1, 0], "a pair across two charges can be agreed too"


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("split", '"path-size logit"', '"wishes"', "model is 'wishes'"),
        ("split", "theta_per_min = 0.2\n", "", "theta_per_min is missing; give a number above zero"),
        ("split", "theta_per_min = 0.2\n", "theta_per_min = -1\n", "theta_per_min is -1; give a number above zero"),
        ("split", "x_max = 1\n", "x_max = 1\nsigma = 0.1\n", "sigma is not a field of this file"),
        ("split", "speed_kmh = 36", "speed_kmh = 0", "cost.speed_kmh is 0; give a whole number from 1 to 600"),
        ("split", "speed_kmh = 36", "speed_mph = 36", "cost.speed_mph is not a field of this file"),
        ("split", '"3/2"', '"30/2000"', "cost.gamma is 3/200; give a fraction of whole numbers up to 8"),
        ("split", '"3/2"', '"1/0"', "cost.gamma is '1/0'; give a number above zero"),
        ("split", "TST-T2 = 40", "TST-T9 = 40", "TST-T9 is no line of lines.csv; correct the line's id"),
        ("split", '["TST-T1", "TST-T2"]\nparts = [2', '["TST-T1", "TST-T7"]\nparts = [2', "TST-T7 is no line of lines.csv"),
        ("split", '["TST-T1", "TST-T2"]\nparts = [2', '["TST-T1", "TST-TX"]\nparts = [2', "link no two stations in common"),
        ("split", "parts = [2, 1]", "parts = [2]", "shared[0].parts has 2 lines and 1 parts"),
        ("split", "parts = [2, 1]", "parts = [2, 0]", "shared[0].parts is [2, 0]"),
        ("split", '"service share"', '"equal parts"', "shared_track is 'equal parts' with 1 tables [[shared]]"),
        ("split", "alighting_ppm = 50000", "alighting_ppm = 950000", "alighting_ppm and boarding_ppm sum to 1050000"),
        ("split", "[[period]]", '[[period]]\nname = "dawn"\ndays = ["weekday"]\nhours = ["08:59-10:00"]\n[[period]]', "overlaps"),
        ("split", 'name = "weekend"', 'name = "peak"', "period has one name twice"),
        ("split", '"holiday"]', '"sunday"]', "period[1].days has 'sunday'"),
        ("split", "07:00-09:00", "09:00-07:00", "period[0].hours has '09:00-07:00'"),
        ("split", "sigma = 0.1", "", "period[1].sigma is missing"),
        ("split", "wait_s = 10", "wait_m = 10", "period[0].cost.wait_m is not a field of this file"),
        ("split", "markers = true", 'markers = "yes"', "markers is 'yes'; give true or false"),
        ("shares", "3,0.25", "3,0.24", "shares-2021-01-01.csv:2: error: the shares of TST-a - TST-d sum to 0.9900000000"),
        ("shares", "3,0.25", "3,0.25000000001", "shares-2021-01-01.csv:3: error: share is '0.25000000001'"),
        ("shares", "3,0.25", "1,0.25", "shares-2021-01-01.csv:3: error: TST-a - TST-d names an operator twice"),
        ("shares", "3,0.25", "4,0.25", "shares-2021-01-01.csv:3: error: operators.csv has no operator 4"),
        ("shares", "TST-c,TST-e", "TST-c,TST-z", "shares-2021-01-01.csv:4: error: TST-z is no station of this city"),
        (
            "shares",
            "operator,share",
            "who,share",
            "shares-2021-01-01.csv:1: error: the columns are from_id, to_id, who, share",
        ),
    ],
)
def test_a_contradiction_is_found_with_its_remedy(several_paths, spoil, file, old, new, found):
    spoil({"split": "split-2020-01-01.toml", "shares": "shares-2021-01-01.csv"}[file], old, new)
    city, findings = read_city(several_paths)
    assert city is None
    assert any(found in str(one) for one in findings), "\n".join(map(str, findings))


def test_an_agreed_table_without_a_day_in_its_name_is_found(several_paths):
    (several_paths / "shares-2021-01-01.csv").rename(several_paths / "shares-new-year.csv")
    city, findings = read_city(several_paths)
    assert city is None
    assert "shares-new-year.csv: error: its name does not say a day; name it shares-YYYY-MM-DD.csv" in str(findings[0])

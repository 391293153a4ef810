"""A small city, whole on disk, that a test can spoil: Testville, seven stations on three lines of three operators.

A --1000-- B --2000-- C --3000-- D        T1, operator 1
           B --1500-- E --1500-- D        T2, operator 2     B to D: 5,000 m by T1, 3,000 m by T2
                                 D --10000 fast-- F --4000 slow-- G     TX, operator 3, per km
"""

import shutil
from pathlib import Path

import pytest

FILES = {
    "city.toml": """
number = 77
code = "TST"
slug = "testville"
name_zh = "试城"
name_en = "Testville"
time_zone = "Asia/Shanghai"
service_day_starts_at_hour = 3
unconfirmed = ["everything is made up"]

[ridership]
riders_per_day = 1000
confidence = "low"
as_of = 2026-01-01
""",
    "stations.csv": "number,station_id,name_zh,name_en,name_en_confidence,lon,lat,confidence,as_of\n"
    + "".join(
        f"{10 * at},TST-{name},站,{name.upper()},high,121.{at:03},31.000,high,2026-01-01\n" for at, name in enumerate("abcdefg", 1)
    ),
    "lines.csv": """line_id,name_zh,name_en,kind,colour,operator,operator_confidence,confidence,as_of
TST-T1,一,Line 1,metro,#FF0000,1,high,high,2026-01-01
TST-T2,二,Line 2,metro,#00FF00,2,high,high,2026-01-01
TST-TX,快,Express,suburban railway,#0000FF,3,high,high,2026-01-01
""",
    "links.csv": """line_id,from_id,to_id,distance_m,source_m,reason,rate_class,confidence,as_of
TST-T1,TST-a,TST-b,1000,1000,,,high,2026-01-01
TST-T1,TST-b,TST-c,2000,2000,,,high,2026-01-01
TST-T1,TST-c,TST-d,3000,3000,,,high,2026-01-01
TST-T2,TST-b,TST-e,1500,1500,,,high,2026-01-01
TST-T2,TST-e,TST-d,1500,1500,,,high,2026-01-01
TST-TX,TST-d,TST-f,10000,10000,,fast,high,2026-01-01
TST-TX,TST-f,TST-g,4000,4000,,slow,high,2026-01-01
""",
    "transfers.csv": """from_id,to_id,from_line,to_line,kind,joins_fares,time_limit_min,confidence,as_of
TST-b,TST-b,TST-T1,TST-T2,same station,yes,,high,2026-01-01
""",
    "operators.csv": """number,name_zh,name_en,confidence,as_of
1,甲,First,high,2026-01-01
2,乙,Second,high,2026-01-01
3,丙,Third,high,2026-01-01
""",
    "examples.csv": """from_id,to_id,distance_m,fare_fen,source,confidence,as_of
TST-a,TST-d,4000,400,by hand,high,2026-01-01
""",
    "tariff-2020-01-01.toml": """
name = "bands"
valid_from = 2020-01-01
confidence = "high"
as_of = 2026-01-01

[[charge]]
name = "metro"
kind = "bands"
bands = [{ up_to_m = 1000, fare_fen = 200 }, { up_to_m = 3500, fare_fen = 300 }]
step_m = 1000
step_fen = 100
confidence = "high"
as_of = 2026-01-01

[[charge]]
name = "express"
kind = "per km"
lines = ["TST-TX"]
rounds_to_fen = 100
minimum_fen = 400
confidence = "high"
as_of = 2026-01-01

[charge.rates_fen_per_km]
fast = 45
slow = 30

[same_station]
charge = "lowest fare"
free_within_min = 0
confidence = "high"
as_of = 2026-01-01
""",
    "split-2020-01-01.toml": """
name = "kilometres"
valid_from = 2020-01-01
model = "metres on the shortest path"
shared_track = "equal parts"
confidence = "high"
as_of = 2026-01-01
""",
}


@pytest.fixture
def testville(tmp_path: Path) -> Path:
    """The folder of Testville, in order until a test spoils it."""
    folder = tmp_path / "cities" / "testville"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def spoil(testville: Path):
    """Replace one text by another in a file of Testville; it has to be there."""

    def replace(name: str, old: str, new: str) -> None:
        text = (testville / name).read_text(encoding="utf-8")
        assert old in text
        (testville / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace


@pytest.fixture
def add_version(testville: Path):
    """Add a later tariff that begins on `day`, `changes` applied to the first one's text."""

    def add(day: str, *changes: tuple[str, str]) -> None:
        text = (
            (testville / "tariff-2020-01-01.toml")
            .read_text(encoding="utf-8")
            .replace("valid_from = 2020-01-01", f"valid_from = {day}")
        )
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (testville / f"tariff-{day}.toml").write_text(text, encoding="utf-8")

    return add


@pytest.fixture
def second_city(testville: Path) -> Path:
    """A copy of Testville under another name, number and code: Otherville."""
    other = testville.parent / "otherville"
    shutil.copytree(testville, other)
    for path in other.iterdir():
        text = path.read_text(encoding="utf-8").replace("TST-", "OTH-").replace('"TST"', '"OTH"')
        text = text.replace("number = 77", "number = 78").replace("testville", "otherville").replace("Testville", "Otherville")
        path.write_text(text, encoding="utf-8")
    return other

"""The house is under test: who imports whom, what stays pure, how money is computed."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ["fare_chain", "city_adapters", "settlement", "simulators"]
STOREYS = [
    *(
        "moments",
        "core",
        "ports",
        "reports",
        "mirror",
        "store",
        "sequencer",
        "evidence_intake",
        "intake",
        "clear_windows",
        "finality",
        "retention",
        "erasing",
        "anchoring",
        "upholding",
        "publishing",
        "terms",
    ),
    *(
        "pinned_cities",
        "hosted_rides",
        "quotes",
        "explanation",
        "cleared_journeys",
        "proving",
        "import_taps",
        "editions",
        "web",
        "house",
    ),
    "commands",
]
"""Inside settlement a room sees those before it."""
PURE = {
    *("base64", "binascii", "bisect", "collections", "csv", "dataclasses", "datetime", "enum", "fractions", "functools"),
    *(
        "hashlib",
        "heapq",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "statistics",
        "struct",
        "sys",
        "tomllib",
        "typing",
    ),
    *("unicodedata", "zoneinfo"),
    *FLOORS,
}
KEPT = {
    "nacl": "fare_chain.keys",
    "cryptography": "fare_chain.ml_dsa",
    "joserfc": "fare_chain.access_tokens",
    "llvmlite": "fare_chain.hash_lanes",
    "qrcode": "fare_chain.qr_symbol",
    "PIL": "fare_chain.qr_symbol",
    "scipy": "city_adapters",
    "sqlalchemy": "settlement.store",
    "asyncpg": "settlement.store",
    "alembic": "settlement.store",
}
"""Libraries that one room alone may touch; `tests` hold the migrations to the code's schema."""
ENGINE_TYPES = {"AsyncEngine", "AsyncConnection"}
"""What other rooms hold and hand on, without any SQL of their own."""
DOORS = {
    *(
        "key_files",
        "key_entries",
        "access_files",
        "log_reader",
        "log_export",
        "export_drops",
        "progress_file",
        "replayed_log",
        "command_line",
        "commands",
    ),
    *("evidence_commands", "evidence_folder", "kept_receipts", "receipt_commands"),
    *(
        "adapter",
        "gate_app",
        "gate_process",
        "log_lines",
        "uplink",
        "spool",
        "spool_files",
        "journal",
        "pseudonyms",
        "refused",
        "city_files",
        "catalogue",
        "gtfs_archive",
        "table_cache",
    ),
}
"""Rooms of the lower floors that touch disk, network or clock."""
LEFTOVERS = {
    "utils",
    "util",
    "common",
    "misc",
    "base",
    "manager",
    "service",
    "services",
    "handlers",
    "models",
    "schemas",
    "helpers",
}
FILES = [file for floor in FLOORS for file in (ROOT / floor).rglob("*.py")]
TREES = {".".join(file.relative_to(ROOT).with_suffix("").parts): ast.parse(file.read_text()) for file in FILES}
every_room = pytest.mark.parametrize("room", sorted(TREES))


def imports(room):
    for node in ast.walk(TREES[room]):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ([*(node.module or "relative").split("."), alias.name] for alias in node.names)


def is_pure(room):
    floor, storey = [*room.split("."), ""][:2]
    if floor == "settlement":
        return storey == "core"
    return floor in FLOORS[:2] and storey not in DOORS


def test_there_is_something_to_test():
    assert len(TREES) > 60
    assert {room.split(".")[0] for room in TREES} == set(FLOORS)


@every_room
def test_imports_go_down(room):
    floor, storey = [*room.split("."), ""][:2]
    for name in imports(room):
        above = FLOORS[FLOORS.index(floor) + 1 :]
        assert name[0] not in above, f"{room} imports {'.'.join(name)} from a floor above"
        if not ENGINE_TYPES & set(name):
            assert floor == "simulators" or room.startswith(KEPT.get(name[0], "")), f"{name[0]} belongs to {KEPT[name[0]]}"
        if name[0] == floor == "settlement" and storey in STOREYS:
            assert STOREYS.index(name[1]) <= STOREYS.index(storey), f"{room} imports {'.'.join(name)} from a room after it"
            assert storey != "mirror" or name[1] in ("core", "mirror"), f"{room}: a mirror is a stranger to the house"


@every_room
def test_every_room_of_settlement_has_its_place(room):
    floor, storey = [*room.split("."), ""][:2]
    assert floor != "settlement" or storey in (*STOREYS, "__init__", ""), f"give {storey} a place among the storeys"


@every_room
def test_pure_rooms_touch_nothing_outside(room):
    if not is_pure(room):
        return
    allowed = PURE | KEPT.keys() | ({"numpy"} if not room.startswith("fare_chain") else set())
    if room in ("fare_chain.keys", "fare_chain.qr_symbol"):
        allowed |= {"os", "io"}  # the system's randomness; a picture written into memory
    if room in ("fare_chain.hash_lanes", "fare_chain.row_hashing"):
        allowed |= {"ctypes", "threading"}  # the call into what was compiled; compiling beside the work
    outside = [".".join(name) for name in imports(room) if name[0] not in allowed or DOORS & set(name[:2])]
    assert outside == []
    called = {node.func.id for node in ast.walk(TREES[room]) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input"}


@every_room
def test_money_is_never_a_float(room):
    for node in ast.walk(TREES[room]):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "bincount":
            assert len(node.args) == 1, "bincount(..., weights) adds in float64"
            assert {keyword.arg for keyword in node.keywords} <= {"minlength"}, "bincount(..., weights=) adds in float64"
        if room.startswith("settlement.core"):
            word = getattr(node, "id", getattr(node, "attr", ""))
            assert word not in ("float", "float64", "mean"), "floats near money"
            assert not isinstance(node, ast.Div), "floats near money"


@every_room
def test_no_room_is_for_leftovers(room):
    assert not LEFTOVERS & set(room.split("."))


@every_room
def test_every_room_says_in_one_sentence_what_it_is_for(room):
    said = ast.get_docstring(TREES[room])
    assert said, f"{room} has no docstring"
    assert said.split("\n")[0].endswith((".", ":")), f"{room}: {said.splitlines()[0]!r}"

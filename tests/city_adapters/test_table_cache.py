"""Compiled tables between runs: the same table from the cache, another name for another folder, no trust in a touched file."""

import pytest

from city_adapters import table_cache
from city_adapters.catalogue import load_catalogue
from city_adapters.city_files import load_city
from city_adapters.table_cache import KEPT_TABLES, cached_table
from city_adapters.table_compiler import compile_city
from city_adapters.table_packing import pack_city


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def taken(testville, cache):
    """The table's bytes, and whether it had to be compiled."""
    compiled = []

    def compile_table():
        compiled.append(True)
        return compile_city(load_city(testville))

    return pack_city(cached_table(testville, "testville", cache, compile_table)), bool(compiled)


def files(cache):
    return sorted(cache.iterdir())


def test_a_table_is_compiled_once(testville, cache):
    first, again = taken(testville, cache), taken(testville, cache)
    assert (first[1], again[1]) == (True, False)
    assert first[0] == again[0] == pack_city(compile_city(load_city(testville)))


def test_another_price_is_another_table(testville, cache, spoil):
    before, _ = taken(testville, cache)
    spoil("tariff-2020-01-01.toml", "fare_fen = 200", "fare_fen = 250")
    after, compiled = taken(testville, cache)
    assert compiled
    assert after != before
    assert len(files(cache)) == 2


@pytest.mark.parametrize("spoilt", ["cut short", "one bit", "another format", "empty"])
def test_a_file_that_was_touched_is_compiled_anew(testville, cache, spoilt):
    whole, _ = taken(testville, cache)
    (file,) = files(cache)
    data = file.read_bytes()
    touched = {"cut short": data[:-1], "one bit": data[:-1] + bytes([data[-1] ^ 1]), "another format": b"x" * 900, "empty": b""}
    file.write_bytes(touched[spoilt])
    assert taken(testville, cache) == (whole, True)
    assert taken(testville, cache) == (whole, False)


def test_only_the_latest_tables_of_a_city_are_kept(testville, cache, spoil):
    for price in range(200, 210):
        taken(testville, cache)
        spoil("tariff-2020-01-01.toml", f"fare_fen = {price}", f"fare_fen = {price + 1}")
    assert len(files(cache)) == KEPT_TABLES


def test_a_disk_that_refuses_costs_time_alone(testville, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert [taken(testville, tmp_path / "cache")[1] for _ in range(2)] == [True, True]


def test_a_catalogue_takes_its_tables_from_the_cache(testville, cache):
    home = testville.parents[1]
    (home / "agreements").mkdir()
    known = 'confidence = "low"\nas_of = 2026-01-01\n'
    agreement = f'name = "alone"\nvalid_from = 2020-01-01\nmembers = ["TST"]\nlongest_ride_min = 600\n{known}'
    terms = f"[[terms]]\ncommission_ppm = 0\nfee_fen = 0\nvisitors_earn = false\n{known}"
    (home / "agreements" / "scheme-2020-01-01.toml").write_text(agreement + terms)
    tables = [pack_city(load_catalogue(home, cache).table("TST")) for _ in range(2)]
    assert tables[0] == tables[1]
    assert len(files(cache)) == 1


def test_another_program_is_another_table(testville, cache, tmp_path, monkeypatch):
    taken(testville, cache)
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    (rooms / "pricing.py").write_text("one rule")
    monkeypatch.setattr(table_cache, "_ROOMS", rooms)
    assert taken(testville, cache)[1]
    assert not taken(testville, cache)[1]
    (rooms / "pricing.py").write_text("another rule")
    assert taken(testville, cache)[1]

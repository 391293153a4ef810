"""Many short rows hashed in lanes: the same bytes as hashlib's, for every length, and plainly wherever lanes cannot be had."""

import hashlib
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain import hash_lanes
from fare_chain.hash_lanes import LANES, compile_lanes
from fare_chain.hashing import leaf_hash
from fare_chain.merkle import leaf_hashes, root, root_of_hashes, root_of_run
from fare_chain.row_hashing import FEWEST_ROWS, RowHashing, hash_rows_plainly

LANES_HERE = compile_lanes()
NOISE = random.Random(18).randbytes(1 << 17)

needs_lanes = pytest.mark.skipif(find_spec("llvmlite") is None, reason="LLVM is not installed here: rows are hashed one by one")


@needs_lanes
def test_lanes_can_be_had_wherever_llvm_is_installed():
    assert LANES_HERE is not None
    assert RowHashing().use_lanes()


@needs_lanes
@pytest.mark.parametrize("prefix", [b"", b"\x00", b"fare-chain/journey/v1\n"])
def test_lanes_hash_rows_of_every_width_as_hashlib_does(prefix):
    for width in range(1, 200):
        rows = NOISE[: width * (2 * LANES + 1)]
        assert LANES_HERE(prefix, rows, width) == hash_rows_plainly(prefix, rows, width), width


@needs_lanes
def test_lanes_hash_any_number_of_rows_as_hashlib_does():
    for count in range(6 * LANES + 2):
        assert LANES_HERE(b"\x01", NOISE[: 64 * count], 64) == hash_rows_plainly(b"\x01", NOISE[: 64 * count], 64), count


@needs_lanes
@given(st.binary(max_size=100), st.integers(1, 600), st.integers(0, 70), st.integers(0, 1000))
def test_lanes_hash_whatever_hashlib_hashes(prefix, width, count, begin):
    rows = NOISE[begin : begin + width * count]
    assert LANES_HERE(prefix, rows, width) == hash_rows_plainly(prefix, rows, width)


@needs_lanes
def test_two_threads_do_not_disturb_each_others_lanes():
    runs = [NOISE[begin : begin + 80 * 1000] for begin in range(40)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda run: LANES_HERE(b"\x00", run, 80), runs * 4))
    assert found == [hash_rows_plainly(b"\x00", run, 80) for run in runs] * 4


def test_a_row_alone_is_the_hash_of_the_standard_library():
    assert hash_rows_plainly(b"\x00", b"abc", 3) == hashlib.sha256(b"\x00abc").digest() == leaf_hash(b"abc")
    assert hash_rows_plainly(b"\x00", b"", 3) == b""


def test_lanes_are_compiled_once_hashlib_has_cost_as_much(monkeypatch):
    made = []
    monkeypatch.setattr("fare_chain.row_hashing.compile_lanes", lambda: made.append(1) or (lambda *_asked: b"from lanes"))
    hashing = RowHashing(rows_before_lanes=100)
    short, run = NOISE[: 8 * (FEWEST_ROWS - 1)], NOISE[: 8 * 50]
    for _turn in range(20):
        assert hashing.hash_rows(b"", short, 8) == hash_rows_plainly(b"", short, 8)
    assert [hashing.hash_rows(b"", run, 8) for _turn in range(2)] == [hash_rows_plainly(b"", run, 8)] * 2
    assert not made
    hashing.hash_rows(b"", run, 8)
    assert hashing.use_lanes()
    assert [hashing.hash_rows(b"", run, 8) for _turn in range(3)] == [b"from lanes"] * 3
    assert made == [1]
    assert hashing.hash_rows(b"", short, 8) == hash_rows_plainly(b"", short, 8)


def test_nobody_waits_for_the_compiler(monkeypatch):
    may_end = Event()
    monkeypatch.setattr("fare_chain.row_hashing.compile_lanes", lambda: may_end.wait(20) and (lambda *_asked: b"from lanes"))
    hashing, run = RowHashing(rows_before_lanes=0), NOISE[: 80 * 100]
    try:
        assert [hashing.hash_rows(b"\x00", run, 80) for _turn in range(3)] == [hash_rows_plainly(b"\x00", run, 80)] * 3
    finally:
        may_end.set()
    assert hashing.use_lanes()
    assert hashing.hash_rows(b"\x00", run, 80) == b"from lanes"


def test_where_llvm_is_missing_rows_are_hashed_one_by_one_and_it_is_looked_for_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    hashing = RowHashing()
    run = NOISE[: 80 * 100]
    assert not hashing.use_lanes()
    monkeypatch.undo()
    assert hashing.hash_rows(b"\x00", run, 80) == hash_rows_plainly(b"\x00", run, 80)
    assert not hashing.use_lanes()


@needs_lanes
def test_lanes_that_hash_anything_else_than_hashlib_are_not_used(monkeypatch):
    wrong = [*hash_lanes._ROUND_CONSTANTS[:-1], hash_lanes._ROUND_CONSTANTS[-1] ^ 1]
    monkeypatch.setattr(hash_lanes, "_ROUND_CONSTANTS", wrong)
    assert compile_lanes() is None


def test_a_run_whose_last_row_is_cut_keeps_its_cut_row():
    hashing = RowHashing(lanes=lambda *_asked: pytest.fail("a cut run is not for lanes"))
    cut = NOISE[: 80 * 100 - 3]
    assert hashing.hash_rows(b"\x00", cut, 80) == hash_rows_plainly(b"\x00", cut, 80)


@pytest.mark.parametrize("with_lanes", [False, pytest.param(True, marks=needs_lanes)])
def test_roots_over_runs_are_those_over_leaves(with_lanes, monkeypatch):
    hashing = RowHashing(lanes=LANES_HERE if with_lanes else None)
    monkeypatch.setattr("fare_chain.merkle.hash_rows", hashing.hash_rows)
    for count in [*range(140), 511, 512, 513, 1000]:
        run = NOISE[: 80 * count]
        leaves = [leaf_hash(run[at : at + 80]) for at in range(0, len(run), 80)]
        assert leaf_hashes(run, 80) == leaves
        assert root_of_run(run, 80) == root_of_hashes(b"".join(leaves)) == root(leaves), count

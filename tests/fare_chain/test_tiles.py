"""Tiles and bundles: their addresses, their widths, and a tree grown tick by tick against one grown at once."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain.errors import Malformed
from fare_chain.hashing import leaf_hash
from fare_chain.merkle import root, subtree_root
from fare_chain.proofs import prove_inclusion, verify_inclusion
from fare_chain.tiles import bundles_of, grow_tiles, node_reader, read_bundle, read_tile_path, tile_path, tiles_of, write_bundle

ENTRIES = [f"tap-{i}".encode() for i in range(70_000)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
KNOWN = {
    "tile/0/000": "e524c6834a706965172f26a25852cd5703807a5562136788425e23713237c207",
    "tile/0/273.p/112": "2c82cfd20617f415876cd3554b3686ec3c4a3a056a2f7f0f65ecedd3c30ee28b",
    "tile/1/000": "cedc6be7cb7a440b7f45377f736a24b12bdfbc3354f343ab5098d2f3c0515c85",
    "tile/1/001.p/17": "8c5dae2bb882fa63629ab82fa847f47bd9365c7be3048823126fc87706c335ad",
    "tile/2/000.p/1": "18409b2bd87c149de612d6df339a0939c170500a06ce67feb2cca1d70657a41f",
    "tile/entries/000": "d2b1410ad6ffe8baeedf9274bca4b570e44a26839908cd5c0f766539096dd5d3",
    "tile/entries/273.p/112": "26ba3ea5551e7d8f0120af995b493a848583b5008ee884cf1f72535ff8c29346",
}


@pytest.fixture(scope="module")
def stored():
    """The tiles of the 70,000 entries, grown in steps that cross tile borders in every way."""
    held, edge, size = {}, {}, 0
    for step in [1, 254, 1, 1, 255, 256, 300, 1000, 65_000, 10**6]:
        leaves = LEAVES[size : size + step]
        held |= grow_tiles(size, leaves, edge)
        size += len(leaves)
    assert size == 70_000
    return held


def test_the_tiles_have_the_published_bytes(stored):
    tiles = {tile_path(level, number, width): stored[level, number] for level, number, width in tiles_of(70_000)}
    for number, width in bundles_of(70_000):
        tiles[tile_path(None, number, width)] = write_bundle(ENTRIES[number * 256 : number * 256 + width])
    assert len(tiles) == 551
    for path, digest in KNOWN.items():
        assert hashlib.sha256(tiles[path]).hexdigest() == digest, path


def test_any_node_is_read_from_the_tiles(stored):
    size = 70_000
    read_node = node_reader(size, lambda level, number, width: stored[level, number][: width * 32])
    assert subtree_root(0, size, read_node).hex() == "09a92f54ba89095e223d047b4fbefef988abf9bca20ebb44ed6717d52ca1416f"
    for index in (0, 255, 256, 4242, 65_535, 65_536, 69_999):
        path = prove_inclusion(index=index, size=size, read_node=read_node)
        verify_inclusion(LEAVES[index], path, index=index, size=size, root=root(LEAVES))


@given(st.lists(st.integers(1, 400), max_size=5))
def test_growing_in_any_steps_gives_the_same_tiles(steps):
    one, one_edge, size = {}, {}, 0
    for step in steps:
        one |= grow_tiles(size, LEAVES[size : size + step], one_edge)
        size += step
    assert one == grow_tiles(0, LEAVES[:size], {})
    assert {(level, number) for level, number, _width in tiles_of(size)} == set(one)


@pytest.mark.parametrize(
    ("number", "path"),
    [
        (0, "000"),
        (999, "999"),
        (1000, "x001/000"),
        (4_096_000, "x004/x096/000"),
        (1_000_000_007, "x001/x000/x000/007"),
    ],
)
def test_numbers_are_written_in_groups_of_three(number, path):
    assert tile_path(3, number) == f"tile/3/{path}"
    assert read_tile_path(f"tile/3/{path}") == (3, number, 256)
    assert read_tile_path(tile_path(None, number, 7)) == (None, number, 7)


@pytest.mark.parametrize(
    "path",
    [
        *("tile/64/000", "tile/-1/000", "tile/00/000", "tile/word/000", "tile/0/00", "tile/0/0000", "tile/0/001/000"),
        *("tile/0/x001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p"),
        *("tile/0/x000/001", "tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile/0/\u0661\u0661\u0661", "tile/0/000\n"),
    ],
)
def test_any_other_spelling_is_refused(path):
    with pytest.raises(Malformed):
        read_tile_path(path)


def test_a_bundle_that_is_cut_or_has_another_width_is_refused():
    data = write_bundle([b"one", b"", b"three"])
    assert read_bundle(data, 3) == [b"one", b"", b"three"]
    for wrong, width in ((data[:-1], 3), (data, 2), (data, 4), (data + b"\0", 3), (data + b"\0\0", 3), (data[:-6], 3)):
        with pytest.raises(Malformed):
            read_bundle(wrong, width)


def test_an_entry_too_long_for_a_bundle_is_refused():
    with pytest.raises(Malformed, match="65536"):
        write_bundle([bytes(65_536)])

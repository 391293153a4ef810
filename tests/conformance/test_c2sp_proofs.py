"""Proofs of the fixed log: paths that are known, and every way to bend one is refused."""

import base64
import itertools

import pytest

from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import EMPTY_ROOT, leaf_hash
from fare_chain.merkle import root
from fare_chain.proofs import (
    ProofFile,
    prove_consistency,
    prove_inclusion,
    read_proof_file,
    verify_consistency,
    verify_inclusion,
)
from tests.conformance.bent_proofs import CONSISTENCIES, INCLUSIONS
from tests.conformance.c2sp_log import LEAVES, NOTE, ROOT, SIZE, leaf_root, read_node

FIXED_LEAVES = {
    0: "cc0b0ed83dd5f0fe45c676f46c353b1d6d210a62ab1550d672d8b8cffde20b36",
    1: "a05640328c5414d3df672e8784fd5dc003afd80cba6b72010e3893b1fc0cb816",
    2: "a1d9043f65746f596cdd2f11eeabce7da10191825759bf1385a6c5b09e3eac61",
    3: "73c548b9548bc8b3211437d98aeccf49275eb0f5fe64bed3be54c9990d3a6b09",
    4: "4c8a298b2ec71fc3065c79e664299663622dfc861130cc5fe0bf7955e87c17c9",
    5: "18670166b292325de44125955ff2c7732964a4926cd7cca5847b72fb37d367ce",
    6: "2a4c4c8a86c62f9d240ef94bf0c08af45edcc0116d87604c3ce4594e28286b97",
}
ROOT_2 = "322c66fb40988e6b5b263693438b17c74fc1fe0382ca44f4ac0655c98d4acb5a"
ROOT_4 = "2ccbcf37d8d02535bdf2c346921ce8ef890ea08097f2e6f007ad0d634cfa7dbe"
NODE_4_TO_5 = "0b6434cb6c3d5eef033f1687a4ac5d5e3326b505320031c3828b4d961cb8e8ef"
NODE_4_TO_6 = "91ed5dc60f2bbb80c80361f5bdf39cfc97d3d432db2db499cc2a9880efb3efc9"
LEAF_1, LEAF_2, LEAF_3, LEAF_6 = (FIXED_LEAVES[at] for at in (1, 2, 3, 6))


def hexes(path):
    return [node.hex() for node in path]


def test_leaves_and_the_two_kinds_of_nothing():
    assert {at: leaf.hex() for at, leaf in enumerate(LEAVES[:7])} == FIXED_LEAVES
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root(LEAVES[2:4]).hex() == "6704f79e2c85fba1a1b5e2df53f34a69dc5c0f4b80ca10f74e3047732d84c3dc"


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 1, []), (0, 2, [LEAF_1]), (2, 3, [ROOT_2]), (4, 5, [ROOT_4]),
        (3, 7, [LEAF_2, ROOT_2, NODE_4_TO_6]), (6, 7, [NODE_4_TO_5, ROOT_4]),
    ],
)  # fmt: skip
def test_inclusion_paths(index, size, path):
    assert hexes(prove_inclusion(index=index, size=size, read_node=read_node)) == path


@pytest.mark.parametrize(
    ("old", "size", "path"),
    [
        (1, 2, [LEAF_1]), (2, 3, [LEAF_2]), (4, 7, [NODE_4_TO_6]), (7, 7, []),
        (3, 7, [LEAF_2, LEAF_3, ROOT_2, NODE_4_TO_6]), (6, 7, [NODE_4_TO_5, LEAF_6, ROOT_4]),
    ],
)  # fmt: skip
def test_consistency_paths(old, size, path):
    assert hexes(prove_consistency(old=old, size=size, read_node=read_node)) == path


def test_long_paths():
    inclusion = prove_inclusion(index=4242, size=SIZE, read_node=read_node)
    assert len(inclusion) == 17
    assert base64.b64encode(inclusion[0]) == b"DOe5ZSpCHBmbimUUc6R7n31Hp8Tt8+22jlGiebvLyMU="
    consistency = prove_consistency(old=257, size=SIZE, read_node=read_node)
    assert len(consistency) == 18
    assert base64.b64encode(consistency[0]) == b"Gsq9eiQinPIX18ZDk3GIm1TRj2OmgBITDZ6Po7MldWE="
    assert base64.b64encode(consistency[-1]) == b"hOCHMi14iMoVPSJ7CNzlx6HwwOS9C1Gm3NfU1QTMPI4="


@pytest.mark.parametrize("name", INCLUSIONS)
def test_an_inclusion_that_does_not_hold_is_refused(name):
    leaf, path, index, size, tree_root = INCLUSIONS[name]
    with pytest.raises(Untrusted):
        verify_inclusion(leaf, path, index=index, size=size, root=tree_root)


@pytest.mark.parametrize("name", CONSISTENCIES)
def test_a_consistency_that_does_not_hold_is_refused(name):
    path, old, old_root, size, tree_root = CONSISTENCIES[name]
    with pytest.raises(Untrusted):
        verify_consistency(path, old=old, old_root=old_root, size=size, root=tree_root)


def test_every_right_proof_of_small_trees_holds():
    for size in range(1, 70):
        tree_root = leaf_root(size)
        for index in range(size):
            path = prove_inclusion(index=index, size=size, read_node=read_node)
            verify_inclusion(LEAVES[index], path, index=index, size=size, root=tree_root)
        for old in range(1, size + 1):
            path = prove_consistency(old=old, size=size, read_node=read_node)
            verify_consistency(path, old=old, old_root=leaf_root(old), size=size, root=tree_root)


@pytest.mark.parametrize(("index", "size"), [(7, 7), (-1, 7), (0, 0)])
def test_no_path_is_made_for_a_leaf_that_is_not_there(index, size):
    with pytest.raises(Malformed):
        prove_inclusion(index=index, size=size, read_node=read_node)


def check_file(text, index=4242):
    """What a reader of a proof file does, the signature apart."""
    read = read_proof_file(text)
    verify_inclusion(LEAVES[index], read.path, index=read.index, size=SIZE, root=ROOT)


@pytest.mark.parametrize("change", ["index-at-the-size", "one-longer", "one-shorter", "hash-of-31-bytes", "hash-of-33-bytes"])
def test_a_proof_file_that_is_read_but_does_not_hold(change):
    path = tuple(prove_inclusion(index=4242, size=SIZE, read_node=read_node))
    check_file(ProofFile(4242, path, NOTE).to_text())
    wrong = {
        "index-at-the-size": ProofFile(SIZE, path, NOTE),
        "one-longer": ProofFile(4242, (*path, path[-1]), NOTE),
        "one-shorter": ProofFile(4242, path[:-1], NOTE),
        "hash-of-31-bytes": ProofFile(4242, (path[0][:31], *path[1:]), NOTE),
        "hash-of-33-bytes": ProofFile(4242, (path[0] + b"\0", *path[1:]), NOTE),
    }[change]
    with pytest.raises(Malformed if change.startswith("hash") else Untrusted):
        check_file(wrong.to_text())


def test_there_are_enough_probes():
    kinds = {name.split("-", 3)[3] for name in itertools.chain(INCLUSIONS, CONSISTENCIES)}
    assert len(INCLUSIONS) > 150
    assert len(CONSISTENCIES) > 150
    assert {
        "empty",
        "roots-swapped",
        "sizes-reversed",
        "index-xor-2",
        "size-zero",
        "another-leaf",
        "root-within",
        "equal-sizes-two-roots",
    } <= kinds

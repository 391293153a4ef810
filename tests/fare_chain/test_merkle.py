"""Roots, frontiers and proofs against a naive reference and the known values of a 70,000-leaf tree."""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain.errors import FareChainError, Malformed, Untrusted
from fare_chain.hashing import EMPTY_ROOT, leaf_hash, node_hash
from fare_chain.merkle import Frontier, leaf_hashes, perfect_nodes, recent_nodes, root, subtree_root
from fare_chain.proofs import (
    ProofFile,
    prove_consistency,
    prove_inclusion,
    read_proof_file,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(f"tap-{i}".encode()) for i in range(700)]

KNOWN_ROOTS = {
    1: "cc0b0ed83dd5f0fe45c676f46c353b1d6d210a62ab1550d672d8b8cffde20b36",
    2: "322c66fb40988e6b5b263693438b17c74fc1fe0382ca44f4ac0655c98d4acb5a",
    3: "bbc959ef0f02341ebf8232145da5dade3748be4c8a758305adce4c0418cd88d6",
    7: "f8f7cc50c5f224168f2b05cf8b815f0e722c70a256ec6f284eb7d9321f595194",
    256: "7e705ee25b2b60a3ac8c9ac1eef1879a6f29190cde78b00e92f242b777f75f46",
    257: "5d90f152212892f82a441175d0cd8b49e6fee77075b263d76b5ec3379b4d32d6",
    511: "7fe695511a5dc2421d6f903b2d0ee1b6398eea6057404ea333ae0f28b84d57af",
}


def naive_root(leaves):
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def holds(leaf, path, *, index, size):
    try:
        verify_inclusion(leaf, path, index=index, size=size, root=root(LEAVES[:size]))
    except Untrusted:
        return False
    return True


def read_node_of(leaves):
    def read_node(level, index):
        assert (index + 1) << level <= len(leaves), "only perfect nodes within the tree may be asked for"
        return naive_root(leaves[index << level : (index + 1) << level])

    return read_node


@pytest.mark.parametrize(("size", "expected"), KNOWN_ROOTS.items())
def test_roots_are_the_published_ones(size, expected):
    assert root(LEAVES[:size]).hex() == expected


def test_the_empty_tree_and_the_empty_entry_differ():
    assert root([]) == EMPTY_ROOT == Frontier().root()
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@given(st.integers(0, 300))
def test_the_root_is_the_naive_one(size):
    assert root(LEAVES[:size]) == naive_root(LEAVES[:size])


@given(st.lists(st.integers(0, 90), max_size=6))
def test_a_frontier_grown_in_any_steps_has_the_root_of_all_leaves(steps):
    frontier, done = Frontier(), 0
    for step in steps:
        frontier = frontier.append(LEAVES[done : done + step])
        done += step
    assert frontier.size == done
    assert frontier.root() == root(LEAVES[:done])


def test_a_frontier_of_the_wrong_shape_is_refused():
    with pytest.raises(Malformed, match="2 nodes"):
        Frontier(3, (LEAVES[0],))


@given(st.integers(1, 400), st.data())
def test_subtrees_fold_from_perfect_nodes(size, data):
    begin = data.draw(st.integers(0, size - 1))
    level = (begin & -begin).bit_length() - 1 if begin else 9
    end = data.draw(st.integers(begin + 1, min(size, begin + (1 << level))))
    assert subtree_root(begin, end, read_node_of(LEAVES[:size])) == naive_root(LEAVES[begin:end])


@given(st.integers(0, 300), st.integers(1, 80))
def test_paths_of_new_leaves_need_no_storage(before, added):
    nodes = recent_nodes(Frontier().append(LEAVES[:before]), LEAVES[before : before + added])
    size = before + added
    for index in (before, before + added // 2, size - 1):
        path = prove_inclusion(index=index, size=size, read_node=lambda level, place: nodes[level, place])
        verify_inclusion(LEAVES[index], path, index=index, size=size, root=root(LEAVES[:size]))


def test_leaf_hashes_cut_a_run_into_records():
    assert leaf_hashes(b"aabbcc", 2) == [leaf_hash(b"aa"), leaf_hash(b"bb"), leaf_hash(b"cc")]


def test_perfect_nodes_cover_a_size_left_to_right():
    assert perfect_nodes(0, 7) == [(2, 0), (1, 2), (0, 6)]


@given(st.integers(1, 300), st.data())
def test_inclusion_proofs_hold_for_their_leaf_and_for_no_other(size, data):
    index = data.draw(st.integers(0, size - 1))
    path = prove_inclusion(index=index, size=size, read_node=read_node_of(LEAVES[:size]))
    expected = root(LEAVES[:size])
    verify_inclusion(LEAVES[index], path, index=index, size=size, root=expected)
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index) if size > 1 else st.just(size))
    for leaf, place in ((LEAVES[other], index), (LEAVES[index], other)):
        with pytest.raises(Untrusted):
            verify_inclusion(leaf, path, index=place, size=size, root=expected)


@given(st.integers(2, 300), st.data())
def test_a_tampered_inclusion_proof_never_holds(size, data):
    index = data.draw(st.integers(0, size - 1))
    path = prove_inclusion(index=index, size=size, read_node=read_node_of(LEAVES[:size]))
    bit = data.draw(st.integers(0, len(path) * 256 - 1))
    place, offset = divmod(bit, 256)
    flipped = (int.from_bytes(path[place], "big") ^ 1 << offset).to_bytes(32, "big")
    tampered = {
        "bit-flipped": [*path[:place], flipped, *path[place + 1 :]],
        "too-short": path[:-1],
        "too-long-at-the-end": [*path, LEAVES[0]],
        "too-long-at-the-start": [LEAVES[0], *path],
        "empty": [],
        "root-inside": [*path, root(LEAVES[:size])],
    }
    accepted = [name for name, wrong in tampered.items() if holds(LEAVES[index], wrong, index=index, size=size)]
    assert accepted == []


@given(st.integers(1, 300), st.data())
def test_consistency_proofs_hold_for_prefixes_alone(size, data):
    old = data.draw(st.integers(1, size))
    path = prove_consistency(old=old, size=size, read_node=read_node_of(LEAVES[:size]))
    roots = {"old_root": root(LEAVES[:old]), "root": root(LEAVES[:size])}
    verify_consistency(path, old=old, size=size, **roots)
    rewritten = [LEAVES[-1], *LEAVES[1:old]]
    with pytest.raises(Untrusted):
        verify_consistency(path, old=old, size=size, old_root=root(rewritten), root=roots["root"])
    with pytest.raises(Untrusted):
        verify_consistency([*path, LEAVES[0]], old=old, size=size, **roots)
    for place, bit in itertools.product(range(len(path)), (0, 255)):
        flipped = (int.from_bytes(path[place], "big") ^ 1 << bit).to_bytes(32, "big")
        with pytest.raises(Untrusted):
            verify_consistency([*path[:place], flipped, *path[place + 1 :]], old=old, size=size, **roots)


@pytest.mark.parametrize(("old", "size"), [(3, 2), (-1, 2), (5, 4)])
def test_sizes_that_run_backwards_are_refused(old, size):
    with pytest.raises(FareChainError):
        verify_consistency([], old=old, size=size, old_root=LEAVES[0], root=LEAVES[0])


def test_a_proof_file_reads_back_as_it_was_written():
    proof = ProofFile(6, (LEAVES[0], LEAVES[1]), "origin\n7\nroot\n\n— origin abc\n", b"beside")
    assert read_proof_file(proof.to_text()) == proof


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("another first line", lambda text: text.replace("@v1", "@v2")),
        ("extra that is not base64", lambda text: text.replace("extra ", "extra *")),
        ("no index", lambda text: text.replace("index 6\n", "")),
        ("negative index", lambda text: text.replace("index 6", "index -6")),
        ("leading zero", lambda text: text.replace("index 6", "index 06")),
        ("hash of 31 bytes", lambda text: text.replace("z/3iCzY=", "z/3iCw==")),
        ("no empty line", lambda text: text.replace("\n\n", "\n")),
        ("second extra line", lambda text: text.replace("extra", "extra YQ==\nextra", 1)),
    ],
)  # fmt: skip
def test_a_spoiled_proof_file_is_refused(name, spoil):
    text = ProofFile(6, (LEAVES[0], LEAVES[1]), "checkpoint", b"beside").to_text()
    assert spoil(text) != text, name
    with pytest.raises(Malformed):
        read_proof_file(spoil(text))

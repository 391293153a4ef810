"""RFC 6962 trees over SHA-256: the root of a run of leaves, and the compact frontier of a tree that grows.

Leaves enter as leaf hashes (`hashing.leaf_hash`). A *perfect node* (level, index) is the root over the leaves
[index << level, (index + 1) << level); everything else is folded from perfect nodes.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fare_chain.errors import Malformed
from fare_chain.hashing import EMPTY_ROOT, HASH_BYTES, node_hash
from fare_chain.row_hashing import FEWEST_ROWS, hash_rows

_PAIR_BYTES = 2 * HASH_BYTES

ReadNode = Callable[[int, int], bytes]
"""Give the hash of the perfect node (level, index)."""


def leaf_hashes(run: bytes, width: int) -> list[bytes]:
    """Hash a run of records of `width` bytes, a leaf for each; the run holds whole records."""
    hashes = hash_rows(b"\x00", run, width)
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def root_of_run(run: bytes, width: int) -> bytes:
    """The root over a run of records of `width` bytes, a leaf for each: what a taps_root is."""
    return root_of_hashes(hash_rows(b"\x00", run, width))


def root_of_hashes(hashes: bytes) -> bytes:
    """The root over leaf hashes one behind the other, as `root` gives it; long levels are hashed in one call each."""
    while len(hashes) > FEWEST_ROWS * _PAIR_BYTES:
        even = len(hashes) // _PAIR_BYTES * _PAIR_BYTES
        hashes = hash_rows(b"\x01", hashes[:even], _PAIR_BYTES) + hashes[even:]
    return root([hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)])


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, level by level: an odd last node rises unchanged, which is RFC 6962's split."""
    if not leaves:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    level = list(leaves)
    while len(level) > 1:
        above = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def perfect_nodes(begin: int, end: int) -> list[tuple[int, int]]:
    """The perfect nodes (level, index) that cover the leaves [begin, end), left to right.

    `begin` must be a multiple of the largest power of two within the range, as for every subtree of RFC 6962.
    """
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over perfect nodes given left to right, largest first; the empty tree's for none."""
    if not hashes:
        return EMPTY_ROOT
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = node_hash(left, folded)
    return folded


def subtree_root(begin: int, end: int, read_node: ReadNode) -> bytes:
    """The root over the leaves [begin, end) from perfect nodes."""
    return fold([read_node(level, index) for level, index in perfect_nodes(begin, end)])


@dataclass(frozen=True, slots=True)
class Frontier:
    """A growing tree as its perfect nodes, left to right: enough to append leaves and to give the root."""

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.nodes) != self.size.bit_count() or any(len(node) != HASH_BYTES for node in self.nodes):
            raise Malformed(
                f"a frontier of size {self.size} has {self.size.bit_count()} nodes of 32 bytes, found {len(self.nodes)}"
            )

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return fold(self.nodes)

    def append(self, leaves: Sequence[bytes]) -> "Frontier":
        """Add leaf hashes at the right."""
        size, nodes = self.size, list(self.nodes)
        for leaf in leaves:
            node, carry = leaf, size
            while carry & 1:
                node = node_hash(nodes.pop(), node)
                carry >>= 1
            nodes.append(node)
            size += 1
        return Frontier(size, tuple(nodes))


def recent_nodes(frontier: Frontier, leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """Every perfect node (level, index) that a path from one of the new leaves can need once they are appended.

    That is the old frontier, the leaves, and what follows from them: proofs of a tick's entries read no storage.
    """
    nodes = dict(zip(perfect_nodes(0, frontier.size), frontier.nodes, strict=True))
    row = {frontier.size + at: leaf for at, leaf in enumerate(leaves)}
    level = 0
    while row:
        nodes.update({(level, index): node for index, node in row.items()})
        above = {}
        for index in {index >> 1 for index in row}:
            left, right = nodes.get((level, 2 * index)), nodes.get((level, 2 * index + 1))
            if left is not None and right is not None:
                above[index] = node_hash(left, right)
        row, level = above, level + 1
    return nodes

"""Inclusion and consistency: which nodes a proof needs, and whether a proof holds.

Paths follow RFC 6962 sections 2.1.1 and 2.1.2 (leaf's sibling first); verification follows RFC 9162 sections 2.1.3.2 and
2.1.4.2. A proof file is a C2SP `.tlog-proof` (tlog-proof@v1): index, path and the signed checkpoint.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import EMPTY_ROOT, HASH_BYTES, node_hash
from fare_chain.merkle import ReadNode, subtree_root

_PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_LONGEST_PATH = 63


def inclusion_ranges(*, index: int, size: int) -> list[tuple[int, int]]:
    """The leaf ranges [begin, end) whose roots are the inclusion path of leaf `index` in the tree of `size`."""
    if not 0 <= index < size:
        raise Malformed(f"a tree of {size} leaves has no leaf {index}: expected an index from 0 to {size - 1}")
    begin, end, ranges = 0, size, []
    while end - begin > 1:
        split = begin + (1 << (end - begin - 1).bit_length() - 1)
        if index < split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((begin, split))
            begin = split
    return ranges[::-1]


def consistency_ranges(*, old: int, size: int) -> list[tuple[int, int]]:
    """The leaf ranges whose roots prove that the tree of `old` leaves is a prefix of the tree of `size`."""
    if not 0 < old <= size:
        raise Malformed(f"no consistency path leads from {old} to {size} leaves: expected 0 < old <= size")
    begin, end, whole, ranges = 0, size, True, []
    while old != end:
        split = begin + (1 << (end - begin - 1).bit_length() - 1)
        if old <= split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((begin, split))
            begin, whole = split, False
    if not whole:
        ranges.append((begin, end))
    return ranges[::-1]


def prove_inclusion(*, index: int, size: int, read_node: ReadNode) -> list[bytes]:
    """The inclusion path of leaf `index` in the tree of `size`, leaf's sibling first."""
    return [subtree_root(begin, end, read_node) for begin, end in inclusion_ranges(index=index, size=size)]


def prove_consistency(*, old: int, size: int, read_node: ReadNode) -> list[bytes]:
    """The consistency path from the tree of `old` leaves to that of `size`."""
    return [subtree_root(begin, end, read_node) for begin, end in consistency_ranges(old=old, size=size)]


def verify_inclusion(leaf: bytes, path: Sequence[bytes], *, index: int, size: int, root: bytes) -> None:
    """Check that the leaf hash stands at `index` in the tree of `size` with that root; Untrusted where it does not."""
    if not 0 <= index < size:
        raise Untrusted(f"leaf {index} is not within a tree of {size} leaves")
    position, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Untrusted(f"the inclusion path of leaf {index} is longer than a tree of {size} leaves allows")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last or node != root:
        raise Untrusted(f"the inclusion path of leaf {index} does not lead to the root of size {size}: another leaf, path or tree")


def verify_consistency(  # noqa: C901  RFC 9162's steps, in its order
    path: Sequence[bytes], *, old: int, old_root: bytes, size: int, root: bytes
) -> None:
    """Check that the tree of `old` leaves with `old_root` is a prefix of the one with `root`; Untrusted where it is not."""
    if not 0 <= old <= size:
        raise Untrusted(f"a tree of {size} leaves cannot extend one of {old}")
    if old in (0, size):
        if path or (old == size and old_root != root) or (old == 0 and old_root != EMPTY_ROOT):
            raise Untrusted(f"trees of {old} and {size} leaves need no path, and equal sizes need equal roots")
        return
    hashes = [old_root, *path] if old.bit_count() == 1 else list(path)
    position, last = old - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    if not hashes:
        raise Untrusted(f"the consistency path from {old} to {size} leaves is empty")
    old_node = node = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise Untrusted(f"the consistency path from {old} to {size} leaves is too long")
        if position & 1 or position == last:
            old_node, node = node_hash(sibling, old_node), node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last or old_node != old_root or node != root:
        raise Untrusted(
            f"the tree of {old} leaves is not a prefix of the tree of {size}: the log was rewritten, or the path is wrong"
        )


@dataclass(frozen=True, slots=True)
class ProofFile:
    """A `.tlog-proof`: where a leaf stands, its path, the checkpoint verbatim, and bytes that nothing here authenticates."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def to_text(self) -> str:
        """Write the file."""
        extra = [f"extra {base64.b64encode(self.extra).decode('ascii')}"] if self.extra else []
        path = [base64.b64encode(node).decode("ascii") for node in self.path]
        return "\n".join([_PROOF_HEADER, *extra, f"index {self.index}", *path, "", self.checkpoint])


def read_proof_file(text: str) -> ProofFile:
    """Read a `.tlog-proof`; Malformed says which line is not as the format wants it."""
    head, gap, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not gap or lines[0] != _PROOF_HEADER:
        raise Malformed(f"a proof file starts with {_PROOF_HEADER!r} and has an empty line before its checkpoint")
    at = 1
    extra = b""
    if at < len(lines) and lines[at].startswith("extra "):
        extra = decode_base64(lines[at].removeprefix("extra "), "extra")
        at += 1
    number = lines[at].removeprefix("index ") if at < len(lines) and lines[at].startswith("index ") else ""
    if not is_decimal(number):
        raise Malformed("a proof file names its leaf as 'index <decimal>' without sign or leading zeros")
    path = tuple(decode_base64(line, "path") for line in lines[at + 1 :])
    if len(path) > _LONGEST_PATH or any(len(node) != HASH_BYTES for node in path):
        raise Malformed("a proof file's path is at most 63 hashes of 32 bytes")
    return ProofFile(int(number), path, checkpoint, extra)


def is_decimal(text: str) -> bool:
    """Tell whether text is a decimal of at most 19 ASCII digits without sign or leading zeros."""
    return text.isascii() and text.isdigit() and len(text) <= 19 and (text == "0" or text[0] != "0")


def decode_base64(text: str, field: str) -> bytes:
    """Decode standard base64 with padding, accepting only the one canonical spelling; Malformed names the field."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed(f"{field}: {text[:60]!r} is not base64: {error}") from error
    if base64.b64encode(data).decode("ascii") != text:
        raise Malformed(f"{field}: {text[:60]!r} is not canonical base64: padding or trailing bits")
    return data

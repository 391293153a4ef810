"""SHA-256 with one domain for each use, so that no hash of one kind can stand for another.

Leaves and nodes follow RFC 6962 section 2.1: leaf = H(00 | entry), node = H(01 | left | right).
"""

import hashlib
from collections.abc import Iterable

HASH_BYTES = 32
ZERO_HASH = bytes(HASH_BYTES)
EMPTY_ROOT = hashlib.sha256(b"").digest()


def sha256(data: bytes | memoryview) -> bytes:
    """Hash bytes as they are: bodies, tables, whatever is named by its hash."""
    return hashlib.sha256(data).digest()


def leaf_hash(entry: bytes | memoryview) -> bytes:
    """Hash one leaf of a tree (RFC 6962)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash one inner node of a tree (RFC 6962)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tagged_hash(tag: str, parts: Iterable[bytes]) -> bytes:
    """Hash parts of fixed length under a named domain: SHA-256("fare-chain/<tag>/v1" LF | parts)."""
    return tagged_prefix(tag, parts).digest()


def tagged_prefix(tag: str, parts: Iterable[bytes]) -> "hashlib._Hash":
    """Begin a tagged hash with these parts, to be copied and gone on with where many hashes begin alike."""
    digest = hashlib.sha256(f"fare-chain/{tag}/v1\n".encode("ascii"))
    for part in parts:
        digest.update(part)
    return digest

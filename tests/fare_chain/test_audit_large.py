"""The audit of a log with several bundles and tiles above the leaves."""

import base64

import pytest

from fare_chain.audit import AuditFailure, audit, beside_path
from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import Unknown
from fare_chain.events import EntryKind, KeyEntry, TariffEntry
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.ledger import Head, append
from fare_chain.note import NoteVerifier
from fare_chain.tiles import bundles_of, grow_tiles, tile_path, tiles_of, write_bundle

SIZE = 700
KEY = SigningKey(bytes(range(32)))
VERIFIER = NoteVerifier("large.example/log", KEY.public)
TABLE = b"a table"


class FilesLog(dict):
    """A log as a mapping from address to bytes."""

    def read(self, path):
        if path not in self:
            raise Unknown(f"no {path}")
        return self[path]


@pytest.fixture
def log():
    head, entries, leaves = Head(), [], []
    key = PublicKey(0, KeyUse.LOG, KEY.public, 0, 10**18)
    payloads = [(EntryKind.KEY, KeyEntry.of(key, KEY).to_bytes())]
    payloads += [(EntryKind.TARIFF, TariffEntry(number % 9, len(TABLE), sha256(TABLE)).to_bytes()) for number in range(SIZE - 1)]
    for number, payload in enumerate(payloads):
        head, new, hashes = append(head, 1_000_000 + number, [payload])
        entries += new
        leaves += hashes
    held = grow_tiles(0, leaves, {})
    files = FilesLog({tile_path(level, number, width): held[level, number] for level, number, width in tiles_of(SIZE)})
    for number, width in bundles_of(SIZE):
        files[tile_path(None, number, width)] = write_bundle(entries[number * 256 : number * 256 + width])
    files[beside_path("table", sha256(TABLE))] = TABLE
    files["checkpoint"] = Checkpoint(VERIFIER.name, SIZE, head.root()).sign(KEY).encode()
    return files


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_large_log_holds(log):
    assert audit(log, [VERIFIER]).size == SIZE
    assert "tile/1/000.p/2" in log


@pytest.mark.parametrize(
    ("path", "at", "named"),
    [
        ("tile/1/000.p/2", 0, r"^tile/1/000\.p/2: does not follow"),
        ("tile/1/000.p/2", 63, r"^tile/1/000\.p/2: does not follow"),
        ("tile/0/001", 5000, r"^tile/0/001: .*entry 412"),
        ("tile/0/002.p/188", 187 * 32, r"^entry 699: its leaf hash"),
        ("tile/entries/001", 100 * 106 + 30, r"^entry 356: its prev_leaf"),
        ("tile/entries/002.p/188", 188 * 106 - 1, r"^entry 699: "),
    ],
)
def test_a_flipped_byte_far_inside_is_named(log, path, at, named):
    log[path] = flipped(log[path], at)
    with pytest.raises(AuditFailure, match=named):
        audit(log, [VERIFIER])


def test_a_missing_or_cut_upper_tile_is_named(log):
    whole = log.pop("tile/1/000.p/2")
    with pytest.raises(AuditFailure, match=r"^tile/1/000\.p/2: no "):
        audit(log, [VERIFIER])
    log["tile/1/000.p/2"] = whole[:32]
    with pytest.raises(AuditFailure, match=r"^tile/1/000\.p/2: does not follow"):
        audit(log, [VERIFIER])


def test_a_log_whose_key_is_not_registered_on_it_is_refused(log):
    other = SigningKey(bytes(32))
    size_and_root = [*log["checkpoint"].decode().split("\n")]
    root = base64.b64decode(size_and_root[2])
    log["checkpoint"] = Checkpoint(VERIFIER.name, SIZE, root).sign(other).encode()
    with pytest.raises(AuditFailure, match="not the one that the ledger lets sequence"):
        audit(log, [NoteVerifier(VERIFIER.name, other.public)])

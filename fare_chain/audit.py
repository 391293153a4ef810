"""Verify a log from zero, in numbered steps, and name the first thing that is wrong.

 1  the checkpoint is signed by the log's key
 2  every entry stands in its place: index, previous leaf hash, tick
 3  every entry's leaf hash is the one in the tiles, and every tile above follows from those below
 4  the root over all entries is the checkpoint's
 5  keys prove possession; tables are the bytes their entry names
 6  every batch: the city's signature, its place in the city's chain, body hash, taps root, well-formed records
 7  every rider code that is still kept is the one its tap digests, and (unless left out) carries its rider's signature
 8  windows follow each other without gap or overlap, count their taps, and sum to zero
 9  whatever the followers re-derive: the clearing of every window, where the floor above is installed

The audit streams: it holds one bundle of entries and one body at a time, and needs no secret.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from fare_chain import batch, rider_code, tap
from fare_chain.batch import HEADER_BYTES, BatchHeader, CityTail
from fare_chain.checkpoint import Checkpoint, read_checkpoint
from fare_chain.errors import FareChainError, Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind, WindowEntry, read_key_entry, read_tariff_entry, read_window_entry
from fare_chain.hashing import HASH_BYTES, sha256
from fare_chain.keys import KeyRing, KeyUse
from fare_chain.ledger import Entry, Head, follow, read_entry
from fare_chain.merkle import root
from fare_chain.note import NoteVerifier
from fare_chain.tiles import TILE_WIDTH, bundles_of, read_bundle, tile_path, tiles_of

T = TypeVar("T")


class LogSource(Protocol):
    """A log to read: an exported folder, or a house that serves one."""

    def read(self, path: str) -> bytes:
        """The resource at that address; Unknown where there is none."""


class AuditFailure(FareChainError):
    """The first thing that is wrong: where it stands, and why it cannot be right."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """An entry that held, with what travels beside it: a batch's taps, or a tariff's table."""

    entry: Entry
    body: bytes = b""
    table: bytes = b""
    window: WindowEntry | None = None


class Follower(Protocol):
    """Re-derives something from a verified log as it streams by; raises Untrusted where it comes out differently."""

    def follow(self, verified: VerifiedEntry) -> None:
        """Take the next entry."""

    def finish(self) -> dict[str, object]:
        """Say what was re-derived, for the audit's result."""


@dataclass(slots=True)
class AuditResult:
    """What a log that holds contains; money in fen by member number."""

    origin: str
    size: int
    root: str
    taps: int = 0
    batches: int = 0
    windows: int = 0
    rider_codes: int = 0
    rider_codes_dropped: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    rederived: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The result under stable names; positions by member number as text."""
        result = {name: getattr(self, name) for name in self.__slots__}
        return result | {"positions": {str(member): fen for member, fen in self.positions.items()}}

    def to_lines(self) -> list[str]:
        """The result for people."""
        dropped = f", {self.rider_codes_dropped} dropped" if self.rider_codes_dropped else ""
        return [
            f"{self.origin}, root {self.root}",
            f"{self.rider_codes} rider codes kept{dropped}",
            *(f"{name.replace('_', ' ')}: {value}" for name, value in self.rederived.items()),
            f"positions sum to {sum(self.positions.values())} fen over {len(self.positions)} members",
        ]


def beside_path(kind: str, digest: bytes) -> str:
    """The address of what travels beside the log: `body/<hex>`, `codes/<hex of the body's hash>`, `table/<hex>`."""
    return f"{kind}/{digest.hex()}"


def audit(
    source: LogSource,
    verifiers: Sequence[NoteVerifier],
    *,
    followers: Sequence[Follower] = (),
    rider_signatures: bool = True,
    progress: Callable[[int, int], None] = lambda _done, _size: None,
) -> AuditResult:
    """Verify a log from its first entry to its checkpoint; AuditFailure names the first thing that is wrong."""
    checkpoint = _step("checkpoint", lambda: read_checkpoint(source.read("checkpoint").decode(), verifiers))
    result = AuditResult(checkpoint.origin, checkpoint.size, checkpoint.root.hex())
    walk = _Walk(source, result, rider_signatures=rider_signatures)
    head = Head()
    leaf_tiles: list[bytes] = []
    for number, width in bundles_of(checkpoint.size):
        entries, tile = _read_leaves(source, number, width)
        leaf_tiles.append(tile)
        for at, data in enumerate(entries):
            where = f"entry {number * TILE_WIDTH + at}"
            head, entry = _step(where, lambda head=head, data=data: follow(head, data))  # type: ignore[misc]
            if head.last_leaf != tile[at * HASH_BYTES : (at + 1) * HASH_BYTES]:
                raise _leaf_failure(where, tile_path(0, number, width), head.last_leaf, entries[at + 1 :])
            verified = walk.take(where, entry)
            for follower in followers:
                _step(where, lambda follower=follower, verified=verified: follower.follow(verified))  # type: ignore[misc]
        progress(head.size, checkpoint.size)
    if head.root() != checkpoint.root:
        raise AuditFailure(
            "checkpoint", "its root is not the root over the entries: an entry at the end was changed, or the log forked"
        )
    _check_upper_tiles(source, checkpoint, leaf_tiles)
    walk.finish(verifiers)
    for follower in followers:
        result.rederived |= _step("the end of the log", follower.finish)
    return result


def _step(where: str, check: Callable[[], T]) -> T:
    try:
        return check()
    except AuditFailure:
        raise
    except (FareChainError, UnicodeDecodeError) as error:
        raise AuditFailure(where, str(error)) from error


def _read_leaves(source: LogSource, number: int, width: int) -> tuple[list[bytes], bytes]:
    """The entries of one bundle, and the hashes of the tile beside it."""
    bundle, tile = tile_path(None, number, width), tile_path(0, number, width)
    entries = _step(bundle, lambda: read_bundle(source.read(bundle), width))
    hashes = _step(tile, lambda: source.read(tile))
    if len(hashes) != width * HASH_BYTES:
        raise AuditFailure(tile, f"has {len(hashes)} bytes, expected {width * HASH_BYTES}")
    return entries, hashes


def _leaf_failure(where: str, tile: str, leaf: bytes, later: Sequence[bytes]) -> AuditFailure:
    """Entry and tile differ: the next entry's link tells which of the two was changed."""
    if later and read_entry(later[0]).prev_leaf == leaf:
        return AuditFailure(tile, f"its hash of {where} is not that entry's, which the next entry names: the tile was changed")
    return AuditFailure(where, f"its leaf hash is not the one in {tile}: the entry was changed after it was appended")


def _check_upper_tiles(source: LogSource, checkpoint: Checkpoint, leaf_tiles: Sequence[bytes]) -> None:
    """Compute every tile above the leaves from those below and hold the stored one to it."""
    below = {(0, number): tile for number, tile in enumerate(leaf_tiles)}
    for level, number, width in tiles_of(checkpoint.size):
        if level == 0:
            continue
        expected = b"".join(_tile_root(below[level - 1, number * TILE_WIDTH + at]) for at in range(width))
        below[level, number] = expected
        path = tile_path(level, number, width)
        if _step(path, lambda path=path: source.read(path)) != expected:  # type: ignore[misc]
            raise AuditFailure(path, "does not follow from the tiles below it: the tile was changed")


def _tile_root(tile: bytes) -> bytes:
    return root([tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)])


class _Walk:
    """What the audit remembers on its way: the key ring, each city's chain, and the open stretch before the next window."""

    def __init__(self, source: LogSource, result: AuditResult, *, rider_signatures: bool) -> None:
        self.source = source
        self.result = result
        self.rider_signatures = rider_signatures
        self.ring = KeyRing()
        self.tails: dict[int, CityTail] = {}
        self.unwindowed: deque[tuple[int, int, int]] = deque()  # (index, second, taps) of entries no window covers yet
        self.window: WindowEntry | None = None
        self.known_credentials: set[bytes] = set()

    def take(self, where: str, entry: Entry) -> VerifiedEntry:
        """Check one entry's own content; give it back with what travels beside it."""
        taps = 0
        verified = VerifiedEntry(entry)
        if entry.kind is EntryKind.BATCH:
            header, body = _step(where, lambda: self._batch(entry))
            taps = header.count
            verified = VerifiedEntry(entry, body=body)
        elif entry.kind is EntryKind.KEY:
            self.ring = self.ring.including(_step(where, lambda: read_key_entry(entry.payload)).key)
        elif entry.kind is EntryKind.TARIFF:
            verified = VerifiedEntry(entry, table=_step(where, lambda: self._table(entry)))
        elif entry.kind is EntryKind.WINDOW:
            window = _step(where, lambda: self._window(entry))
            verified = VerifiedEntry(entry, window=window)
        self.unwindowed.append((entry.index, entry.second, taps))
        return verified

    def finish(self, verifiers: Sequence[NoteVerifier]) -> None:
        """Check what only the whole log can show."""
        logs = {key.public for key in self.ring if key.use is KeyUse.LOG}
        if self.result.size and not logs & {verifier.public for verifier in verifiers}:
            raise AuditFailure("key ring", "the key that signed the checkpoint is not registered on the ledger as a log key")
        if self.window is not None:
            self.result.positions = dict(self.window.positions)

    def _batch(self, entry: Entry) -> tuple[BatchHeader, bytes]:
        if len(entry.payload) != batch.SIGNED_HEADER_BYTES:
            raise Malformed(f"a batch entry's payload has {batch.SIGNED_HEADER_BYTES} bytes, found {len(entry.payload)}")
        header = batch.read_header(entry.payload)
        batch.check_signature(header, entry.payload[HEADER_BYTES:], self.ring)
        tail = self.tails.get(header.city, CityTail())
        if (header.city_seq, header.prev_header) != (tail.next_seq, tail.header_hash):
            raise Untrusted(f"city {header.city}'s batch {header.city_seq} does not follow its batch {tail.next_seq - 1}")
        self.tails[header.city] = tail.after(header)
        path = beside_path("body", header.body_hash)
        body = _step(path, lambda: self.source.read(path))
        _step(path, lambda: batch.check_body(header, body))
        self._codes(header, body)
        self.result.batches += 1
        self.result.taps += header.count
        return header, body

    def _codes(self, header: BatchHeader, body: bytes) -> None:
        path = beside_path("codes", header.body_hash)
        try:
            codes = self.source.read(path)
        except Unknown:
            self.result.rider_codes_dropped += header.count  # evidence may be dropped after its retention; no hash breaks
            return
        if not codes:
            raise AuditFailure(path, "is empty: dropped evidence has no file at all")
        _step(path, lambda: batch.check_codes(body, codes))
        if self.rider_signatures:
            for number, (record, code) in enumerate(zip(tap.records(body), batch.read_codes(codes), strict=True)):
                _step(f"{path} code {number}", lambda record=record, code=code: self._rider(record, code))  # type: ignore[misc]
        self.result.rider_codes += header.count

    def _rider(self, record: bytes, scanned: bytes) -> None:
        """Hold one tap to its rider's own signature, and to the issuer's over the rider's key."""
        code, reading = rider_code.read(scanned), tap.read(record)
        attested = code.credential
        told = (code.medium, attested.issuer, attested.category, attested.entitlement)
        if told != (reading.medium, reading.issuer, reading.category, reading.entitlement):
            raise Untrusted("the tap's medium, issuer, category or entitlement is not its rider code's")
        rider_code.check_period(code, reading.tapped_at_us)
        rider_code.check_fresh(code, reading.tapped_at_us)
        key = rider_code.issuer_key(code, self.ring, reading.tapped_at_us)
        credential = scanned[: rider_code.CREDENTIAL_BYTES]
        if credential not in self.known_credentials:
            rider_code.verify_credential(code, key)
            self.known_credentials.add(credential)
        rider_code.verify_device(code)

    def _table(self, entry: Entry) -> bytes:
        tariff = read_tariff_entry(entry.payload)
        path = beside_path("table", tariff.table_hash)
        table = _step(path, lambda: self.source.read(path))
        if len(table) != tariff.table_bytes or sha256(table) != tariff.table_hash:
            raise AuditFailure(path, "is not the table whose hash the ledger names: it was changed or cut")
        return table

    def _window(self, entry: Entry) -> WindowEntry:
        window = read_window_entry(entry.payload)
        end = window.second + window.seconds
        if entry.second < end:
            raise Untrusted(f"the window of second {window.second} is recorded before that second was over")
        if self.window is not None and (window.second, window.from_index) != (
            self.window.second + self.window.seconds,
            self.window.to_index,
        ):
            raise Untrusted(f"the window of second {window.second} does not follow the one of second {self.window.second}")
        if self.window is None and window.from_index:
            raise Untrusted(f"the first window starts at entry {window.from_index}, expected 0")
        taps = sum(self._covered(window, end))
        if taps != window.taps:
            raise Untrusted(f"the window of second {window.second} says {window.taps} taps, its entries hold {taps}")
        self.window = window
        self.result.windows += 1
        return window

    def _covered(self, window: WindowEntry, end: int) -> Iterator[int]:
        """The taps of each entry in the window's range, which must be all entries of its seconds and no other."""
        while self.unwindowed and self.unwindowed[0][0] < window.to_index:
            index, second, taps = self.unwindowed.popleft()
            if not window.second <= second < end:
                raise Untrusted(f"entry {index} was recorded in second {second}, outside the window of second {window.second}")
            yield taps
        if self.unwindowed and self.unwindowed[0][1] < end:
            raise Untrusted(f"entry {self.unwindowed[0][0]} of second {self.unwindowed[0][1]} is in no window: it was left out")

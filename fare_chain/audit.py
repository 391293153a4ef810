"""Verify a log from zero, in numbered steps, and name the first thing that is wrong.

 1  the checkpoint is signed by the log's key, and by the quorum of the policy where one is given
 2  every entry stands in its place: index, previous leaf hash, tick
 3  every entry's leaf hash is the one in the tiles, and every tile above follows from those below
 4  the root over all entries is the checkpoint's
 5  keys prove possession; tables and evidence are the bytes their entry names; terms are signed by the cities
 6  every batch: the city's signature, its place in the city's chain, body hash, taps root, well-formed records
 7  every rider code that is still kept is the one its tap digests, and (unless left out) carries its rider's signature, or an
    objection to it stands on the ledger; codes are missing only where RETENTION or ERASURE entries let them go
 8  windows follow each other without gap or overlap, count their taps, and sum to zero
 9  whatever the followers re-derive: the clearing of every window, where the floor above is installed

The audit streams: it holds one bundle of entries and one body at a time, and needs no secret. It can be written down between two
ticks and gone on with. A public reader, who may not see taps, leaves out what needs them (`bodies=False`).
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fare_chain.checkpoint import Checkpoint, read_checkpoint
from fare_chain.errors import Malformed
from fare_chain.hashing import HASH_BYTES
from fare_chain.keys import KeyRing, KeyUse
from fare_chain.ledger import read_entry
from fare_chain.ledger_walk import AuditFailure, LedgerWalk, LogSource, VerifiedEntry, beside_path, step
from fare_chain.merkle import root_of_hashes
from fare_chain.note import KeyType, NoteVerifier, read_note
from fare_chain.policy import Policy
from fare_chain.rider_checks import RiderChecks
from fare_chain.tiles import TILE_WIDTH, bundles_of, read_bundle, tile_path, tiles_of

__all__ = ["AuditFailure", "AuditResult", "Follower", "LogSource", "VerifiedEntry", "audit", "beside_path"]

Saving = Callable[[Callable[[], bytes]], None]
"""Told at every tick that the audit can be written down now; calls what it is given where it wants the bytes."""


class Follower(Protocol):
    """Re-derives something from a verified log as it streams by; raises Untrusted where it comes out differently."""

    def follow(self, verified: VerifiedEntry) -> None:
        """Take the next entry."""

    def settle(self) -> None:
        """Work off what waits: the tick is complete."""

    def finish(self) -> dict[str, object]:
        """Say what was re-derived, for the audit's result."""

    def to_bytes(self) -> bytes:
        """Write down what is settled."""

    def resume(self, data: bytes, source: LogSource) -> None:
        """Go on from what was written down."""


@dataclass(slots=True)
class AuditResult:
    """What a log that holds contains; money in fen by member number."""

    origin: str
    size: int
    root: str
    bodies: bool = True
    cosigned: list[str] = field(default_factory=list)
    """The witnesses of the policy that cosigned the checkpoint, by name."""
    taps: int = 0
    batches: int = 0
    windows: int = 0
    rider_codes: int = 0
    rider_codes_dropped: int = 0
    rider_codes_withheld: int = 0
    terms: int = 0
    evidence: int = 0
    erasures: int = 0
    rider_codes_erased: int = 0
    looks: int = 0
    codes_days: int | None = None
    """For how many days rider codes are kept, by the last RETENTION entry; None where none says so."""
    codes_from: int = 0
    """Codes of batches below this entry may be gone."""
    positions: dict[int, int] = field(default_factory=dict)
    rederived: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The result under stable names; positions by member number as text."""
        result = {name: getattr(self, name) for name in self.__slots__}
        return result | {"positions": {str(member): fen for member, fen in self.positions.items()}}

    def to_lines(self) -> list[str]:
        """The result for people."""
        dropped = f", {self.rider_codes_dropped} dropped" if self.rider_codes_dropped else ""
        withheld = f", {self.rider_codes_withheld} withheld from this reader" if self.rider_codes_withheld else ""
        erased = f"; {self.rider_codes_erased} erased by {self.erasures} entries" if self.erasures else ""
        rule = (
            "" if self.codes_days is None else f"; retention: {self.codes_days} days, all from entry {self.codes_from} on are kept"
        )
        codes = f"{self.rider_codes} rider codes kept{dropped}{withheld}{erased}{rule}"
        return [
            f"{self.origin}, root {self.root}",
            *([f"cosigned by {len(self.cosigned)}: {', '.join(self.cosigned)}"] if self.cosigned else []),
            codes
            if self.bodies
            else "taps are not public: signatures, chain, tree and windows hold, clearing is not derived again",
            *(f"{name.replace('_', ' ')}: {value}" for name, value in self.rederived.items()),
            f"positions sum to {sum(self.positions.values())} fen over {len(self.positions)} members",
        ]


def audit(
    source: LogSource,
    verifiers: Sequence[NoteVerifier],
    *,
    policy: Policy | None = None,
    quorum: int = 0,
    followers: Sequence[Follower] = (),
    bodies: bool = True,
    rider_signatures: bool = True,
    every_code: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _size: None,
    saved: bytes = b"",
    save: Saving | None = None,
) -> AuditResult:
    """Verify a log from its first entry to its checkpoint; AuditFailure names the first thing that is wrong.

    `verifiers` are the log's keys; with a policy its keys and quorum count instead. Without one, `quorum` asks for so many members
    whose clearing keys stand on the ledger. With `every_code` none may be missing that the ledger does not let go, not even what
    is withheld from this reader. What `save` gets, `saved` takes to go on from there: what was verified is not read again.
    """
    note = step("checkpoint", lambda: source.read("checkpoint").decode())
    logs = verifiers if policy is None else policy.log_verifiers
    sealed = None if policy is None else step("checkpoint", lambda: policy.open_final(note))
    checkpoint = step("checkpoint", lambda: read_checkpoint(note, logs))
    checks = RiderChecks()
    walk = LedgerWalk(
        source,
        with_bodies=bodies,
        rider_check=(lambda _index, body, codes, ring: checks.bad_riders(body, codes, ring)) if rider_signatures else None,
        every_code=every_code,
    )
    course = _Course(walk, list(followers) if bodies else [])
    if saved:
        step("saved progress", lambda: course.resume(saved))
        if walk.head.size > checkpoint.size:
            raise AuditFailure(
                "checkpoint", f"size {checkpoint.size} is below the {walk.head.size} entries that were verified before"
            )
    course.to_end(checkpoint, progress, save)
    if walk.head.root() != checkpoint.root:
        raise AuditFailure(
            "checkpoint", "its root is not the root over the entries: an entry at the end was changed, or the log forked"
        )
    _check_upper_tiles(source, checkpoint, course.tile_roots)
    walk.finish()
    if checkpoint.size and not any(key in walk.log_keys() for key in _signers(note, logs)):
        raise AuditFailure("key ring", "the key that signed the checkpoint is not the one that the ledger lets sequence")
    result = _result(checkpoint, walk, bodies=bodies)
    result.cosigned = sorted(
        step("checkpoint", lambda: members_who_cosigned(note, walk.ring)) if sealed is None else sealed.cosigned
    )
    if len(result.cosigned) < quorum:
        raise AuditFailure(
            "checkpoint", f"{len(result.cosigned)} members cosigned it with keys of the ledger, {quorum} are asked for"
        )
    for follower in course.followers:
        result.rederived |= step("the end of the log", follower.finish)
    return result


def _result(checkpoint: Checkpoint, walk: LedgerWalk, *, bodies: bool) -> AuditResult:
    result = AuditResult(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), bodies=bodies)
    for name in walk.counts.__slots__:
        setattr(result, name, getattr(walk.counts, name))
    result.codes_days, result.codes_from = walk.kept.codes_days, walk.kept.codes_from
    if walk.window is not None:
        result.positions = dict(walk.window.positions)
    return result


def _signers(note: str, verifiers: Sequence[NoteVerifier]) -> list[bytes]:
    return [verifier.public for verifier, _line in read_note(note).signed_by(verifiers)]


def members_who_cosigned(note: str, ring: KeyRing) -> list[str]:
    """The names under which members cosigned a checkpoint by clearing keys of the ring, one a member; every line verified."""
    read, found = read_note(note), {}
    for key in ring:
        for line in read.lines:
            verifier = NoteVerifier(line.name, key.public, KeyType.COSIGNATURE)
            if key.use is KeyUse.CLEARING and verifier.key_id == line.key_id and read.signed_by([verifier]):
                found[key.owner] = line.name
    return list(found.values())


class _Course:
    """The way from one entry to the last: the walk, its followers, and the roots of the full leaf tiles passed."""

    def __init__(self, walk: LedgerWalk, followers: list[Follower]) -> None:
        self.walk = walk
        self.followers = followers
        self.tile_roots: list[bytes] = []

    def to_end(self, checkpoint: Checkpoint, progress: Callable[[int, int], None], save: Saving | None) -> None:
        """Take every entry that is not taken yet, bundle by bundle."""
        walk = self.walk
        for number, width in bundles_of(checkpoint.size):
            if (number + 1) * TILE_WIDTH <= walk.head.size:
                continue
            entries, tile = _read_leaves(walk.source, number, width)
            for at in range(walk.head.size - number * TILE_WIDTH, width):
                if save is not None and walk.head.size and self._is_new_tick(entries[at]):
                    save(self._saved)
                self._take(number, at, entries, tile)
            if width == TILE_WIDTH:
                self.tile_roots.append(_tile_root(tile))
            progress(walk.head.size, checkpoint.size)

    def _take(self, number: int, at: int, entries: Sequence[bytes], tile: bytes) -> None:
        where = f"entry {number * TILE_WIDTH + at}"

        def check_leaf(leaf: bytes) -> None:
            if leaf != tile[at * HASH_BYTES : (at + 1) * HASH_BYTES]:
                raise _leaf_failure(where, tile_path(0, number, len(entries)), leaf, entries[at + 1 :])

        verified = self.walk.take(entries[at], check_leaf)
        for follower in self.followers:
            step(where, lambda follower=follower: follower.follow(verified))  # type: ignore[misc]

    def _is_new_tick(self, data: bytes) -> bool:
        return step(f"entry {self.walk.head.size}", lambda: read_entry(data)).recorded_us != self.walk.head.recorded_us

    def _saved(self) -> bytes:
        where = f"entry {self.walk.head.size}"
        for follower in self.followers:
            step(where, follower.settle)
        told = {
            "format": _SAVED_FORMAT,
            "walk": self.walk.to_bytes().decode(),
            "tile_roots": [each.hex() for each in self.tile_roots],
            "followers": [base64.b64encode(follower.to_bytes()).decode("ascii") for follower in self.followers],
        }
        return json.dumps(told).encode()

    def resume(self, saved: bytes) -> None:
        """Go on from what was saved; Malformed where it is something else, or was made with other followers."""
        try:
            told = json.loads(saved)
            if told["format"] != _SAVED_FORMAT or len(told["followers"]) != len(self.followers):
                raise Malformed("the saved progress is of another version or another kind of audit: remove it and start again")
            self.walk.resume(told["walk"].encode())
            self.tile_roots = [bytes.fromhex(each) for each in told["tile_roots"]]
            for follower, data in zip(self.followers, told["followers"], strict=True):
                follower.resume(base64.b64decode(data), self.walk.source)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Malformed(f"the saved progress cannot be read ({error!r}): remove it and start again") from error


_SAVED_FORMAT = "fare-chain/audit-progress/v1"


def _read_leaves(source: LogSource, number: int, width: int) -> tuple[list[bytes], bytes]:
    """The entries of one bundle, and the hashes of the tile beside it."""
    bundle, tile = tile_path(None, number, width), tile_path(0, number, width)
    entries = step(bundle, lambda: read_bundle(source.read(bundle), width))
    hashes = step(tile, lambda: source.read(tile))
    if len(hashes) != width * HASH_BYTES:
        raise AuditFailure(tile, f"has {len(hashes)} bytes, expected {width * HASH_BYTES}")
    return entries, hashes


def _leaf_failure(where: str, tile: str, leaf: bytes, later: Sequence[bytes]) -> AuditFailure:
    """Entry and tile differ: the next entry's link tells which of the two was changed."""
    if later and read_entry(later[0]).prev_leaf == leaf:
        return AuditFailure(tile, f"its hash of {where} is not that entry's, which the next entry names: the tile was changed")
    return AuditFailure(where, f"its leaf hash is not the one in {tile}: the entry was changed after it was appended")


def _check_upper_tiles(source: LogSource, checkpoint: Checkpoint, tile_roots: Sequence[bytes]) -> None:
    """Compute every tile above the leaves from the roots of those below and hold the stored one to it."""
    roots = list(tile_roots)
    above: list[bytes] = []
    for level, number, width in tiles_of(checkpoint.size):
        if level == 0:
            continue
        if number == 0 and level > 1:
            roots, above = above, []
        expected = b"".join(roots[number * TILE_WIDTH : number * TILE_WIDTH + width])
        if width == TILE_WIDTH:
            above.append(_tile_root(expected))
        path = tile_path(level, number, width)
        if step(path, lambda path=path: source.read(path)) != expected:  # type: ignore[misc]
            raise AuditFailure(path, "does not follow from the tiles below it: the tile was changed")


def _tile_root(tile: bytes) -> bytes:
    return root_of_hashes(tile)

"""Hold what the house gives to all that went before, and derive every window's state root again; nothing is believed."""

import re
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fare_chain.batch import read_codes
from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import FareChainError, Unknown
from fare_chain.evidence import bad_rider_signature, read_evidence, wrong_state
from fare_chain.evidence_checks import check_evidence
from fare_chain.hashing import leaf_hash, sha256
from fare_chain.keys import KeyRing
from fare_chain.ledger import Head
from fare_chain.ledger_walk import AuditFailure, LedgerWalk, step
from fare_chain.mirror_feed import FeedSource, FeedTick
from fare_chain.policy import Policy
from fare_chain.rider_checks import BadRider, RiderChecks
from settlement.core.replay import Rederiving
from settlement.mirror.ends import Ends

_ENTRY = re.compile(r"entry ([0-9]+)")
ROOT_SAMPLE = 16
"""One taps root of so many is computed again, drawn by the last state root, which nobody knows before; every body hash is."""


@dataclass(frozen=True, slots=True)
class Accused:
    """A tap whose rider did not sign it, with what proves that."""

    index: int
    tap: int
    why: str
    entry: bytes
    body: bytes
    code: bytes

    def to_evidence(self, ring: KeyRing) -> str | None:
        """The evidence file; None where only who has more keys could tell, so that it convicts nobody."""
        text = bad_rider_signature(self.index, self.entry, self.tap, self.body, self.code)
        try:
            check_evidence(read_evidence(text), Policy(()), ring)
        except FareChainError:
            return None
        return text


class _Batch(NamedTuple):
    """A batch whose riders are being checked, with its entry's frame."""

    number: int
    entry: bytes
    body: bytes
    codes: bytes


class Tables(Protocol):
    """Where tables are kept by their address, `table/<hex>`."""

    def keep(self, path: str, data: bytes) -> None:
        """Keep a table; durable when this returns."""

    def read(self, path: str) -> bytes:
        """A table that was kept; Unknown where it was not."""


class Mirrored:
    """The ledger as far as this mirror has verified it."""

    def __init__(
        self, policy: Policy, tables: Tables, *, issuers: frozenset[int] | None, pool: Executor, every_root: bool = False
    ) -> None:
        """Begin before the first entry; check the riders of these issuers (everybody's for None) in the pool.

        `tables` keeps the tables that come: a state that goes on needs them again.
        """
        self.policy = policy
        self.pool = pool
        self.every_root = every_root
        self.source = FeedSource()
        self.walk = LedgerWalk(self, rider_check=self._check_riders, has_root=self._has_root)
        self.clearing = Rederiving()
        self.ends = Ends(policy)
        self.riders_checked = 0
        self._tables = tables
        self._checks = RiderChecks(issuers)
        self._running: list[tuple[_Batch, Future[list[BadRider]]]] = []
        self._entry = b""
        self._failing: tuple[Head, FeedTick] | None = None

    @property
    def size(self) -> int:
        """How many entries are verified."""
        return self.walk.head.size

    @property
    def state_root(self) -> bytes:
        """The state root of the last window on the ledger, as derived here and found there."""
        return b"" if self.walk.window is None else self.walk.window.state_root

    def read(self, path: str) -> bytes:
        """What travels beside the entries at hand; tables are kept, because a state needs them again."""
        if not path.startswith("table/"):
            return self.source.read(path)
        try:
            data = self.source.read(path)
        except Unknown:
            return self._tables.read(path)
        self._tables.keep(path, data)
        return data

    def take(self, ticks: Sequence[FeedTick]) -> list[Checkpoint]:
        """Verify some ticks and give their checkpoints; AuditFailure names the first thing that does not follow."""
        self.source = FeedSource(ticks)
        self._failing = None
        return [self._tick(tick) for tick in ticks]

    def accused(self) -> list[Accused]:
        """Wait for the riders' signatures of what was taken; those that do not hold."""
        running, self._running = self._running, []
        return [
            Accused(batch.number, bad.tap, bad.why, batch.entry, batch.body, read_codes(batch.codes)[bad.tap])
            for batch, future in running
            for bad in future.result()
        ]

    def wrong_state(self, failure: AuditFailure) -> str | None:
        """Evidence that the log signed the entry at which `take` has just failed; None where it signed another tree, or none."""
        found = _ENTRY.fullmatch(failure.where)
        if self._failing is None or found is None:
            return None
        before, tick = self._failing
        checkpoint = self.policy.open(tick.note).checkpoint
        frontier = before.frontier.append([leaf_hash(given.data) for given in tick.entries])
        if (frontier.size, frontier.root()) != (checkpoint.size, checkpoint.root) or int(found[1]) >= checkpoint.size:
            return None
        return wrong_state(tick.note, int(found[1]))

    def to_parts(self) -> tuple[bytes, bytes]:
        """Walk and clearing, written down."""
        return self.walk.to_bytes(), self.clearing.to_bytes()

    def resume(self, walk: bytes, clearing: bytes) -> None:
        """Go on from what was written down, with the tables kept."""
        self.walk.resume(walk)
        self.clearing.resume(clearing, self)

    def _tick(self, tick: FeedTick) -> Checkpoint:
        before = self.size
        where = f"the checkpoint after entry {before}"
        sealed = step(where, lambda: self.policy.open(tick.note))
        checkpoint = sealed.checkpoint
        if checkpoint.size != before + len(tick.entries) or not tick.entries:
            raise AuditFailure(where, f"it says size {checkpoint.size}, but {len(tick.entries)} entries come with it")
        self._failing = self.walk.head, tick
        for given in tick.entries:
            place, self._entry, frontier = f"entry {self.size}", given.data, self.walk.head.frontier.nodes
            verified = self.walk.take(given.data)
            step(place, lambda verified=verified: self.clearing.follow(verified))  # type: ignore[misc]
            self.ends.remember(verified.entry.index, given.data, self.walk.head.last_leaf, frontier)
        step(f"entry {self.size}", self.clearing.settle)
        if self.walk.head.root() != checkpoint.root:
            raise AuditFailure(where, "its root is not the root over the entries that came with it")
        signers = {verifier.public for verifier, _line in sealed.note.signed_by(self.policy.log_verifiers)}
        if not signers & self.walk.log_keys():
            raise AuditFailure(where, "it is not signed by the key that the ledger lets sequence")
        return checkpoint

    def _check_riders(self, index: int, body: bytes, codes: bytes, ring: KeyRing) -> list[BadRider]:
        """Let the pool check; what it finds does not stop the walk: whoever sequences cannot see who signed what."""
        bad_riders = self.pool.submit(lambda: list(self._checks.bad_riders(body, codes, ring)))
        self._running.append((_Batch(index, self._entry, body, codes), bad_riders))
        self.riders_checked += len(body) // 80
        return []

    def _has_root(self, index: int) -> bool:
        return self.every_root or sha256(self.state_root + index.to_bytes(8, "little"))[0] % ROOT_SAMPLE == 0

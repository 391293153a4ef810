"""Replay a log under a checkpoint that somebody signed, to see at which entry it fails: what `wrong-state` evidence rests on.

Every entry is bound to the signed root before any is judged: otherwise whoever accuses could alter a copy of the log and blame
the house for it. Bodies and tables are bound by the hashes in the entries; one that is missing or altered convicts nobody.
"""

import re
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points

from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import Untrusted
from fare_chain.hashing import leaf_hash
from fare_chain.ledger_walk import AuditFailure, LedgerWalk, LogSource, step
from fare_chain.merkle import root
from fare_chain.tiles import bundles_of, read_bundle, tile_path

_ENTRY = re.compile(r"entry ([0-9]+)")


def replay_under(source: LogSource) -> Callable[[Checkpoint], tuple[int, str] | None]:
    """How to replay that log under a signed checkpoint: (entry, why) of the first entry that fails, or None.

    Untrusted where the entries are not those that were signed; AuditFailure where what travels beside them is missing or altered.
    """

    def fails_at(checkpoint: Checkpoint) -> tuple[int, str] | None:
        leaves = [leaf_hash(data) for data in _entries(source, checkpoint.size)]
        if root(leaves) != checkpoint.root:
            raise Untrusted(
                f"the log given is another than the one signed at size {checkpoint.size}: pass the log as it was signed"
            )
        followers = [point.load()() for point in entry_points(group="fare_chain.audit")]
        walk = LedgerWalk(source)
        for index, data in enumerate(_entries(source, checkpoint.size)):
            if leaf_hash(data) != leaves[index]:
                raise Untrusted(f"the log given answers for entry {index} in two ways: pass an exported folder")
            try:
                verified = walk.take(data)
                for follower in followers:
                    step(f"entry {index}", lambda follower=follower, verified=verified: follower.follow(verified))  # type: ignore[misc]
            except AuditFailure as failure:
                found = _ENTRY.fullmatch(failure.where)
                if found is None:
                    raise
                return int(found[1]), failure.why
        return None

    return fails_at


def _entries(source: LogSource, size: int) -> Iterator[bytes]:
    for number, width in bundles_of(size):
        path = tile_path(None, number, width)
        yield from step(path, lambda path=path, width=width: read_bundle(source.read(path), width))  # type: ignore[misc]

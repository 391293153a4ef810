"""Replay a log under a checkpoint that somebody signed, to see at which entry it fails: what `wrong-state` evidence rests on."""

import re
from collections.abc import Callable
from importlib.metadata import entry_points

from fare_chain.audit import audit
from fare_chain.checkpoint import Checkpoint
from fare_chain.evidence import EvidenceFile
from fare_chain.ledger_walk import AuditFailure, LogSource
from fare_chain.policy import Policy

_ENTRY = re.compile(r"entry ([0-9]+)")


class _Under:
    """A log as it was under another checkpoint than its newest."""

    def __init__(self, source: LogSource, note: bytes) -> None:
        self.source = source
        self.note = note

    def read(self, path: str) -> bytes:
        """The resource at that address; the checkpoint is the one that was signed."""
        return self.note if path == "checkpoint" else self.source.read(path)


def replay_under(source: LogSource, file: EvidenceFile, policy: Policy) -> Callable[[Checkpoint], tuple[int, str] | None]:
    """How to replay that log under the evidence's own checkpoint: (entry, why) of the first entry that fails, or None."""

    def fails_at(_checkpoint: Checkpoint) -> tuple[int, str] | None:
        followers = [point.load()() for point in entry_points(group="fare_chain.audit")]
        try:
            audit(_Under(source, file.own()[0]), policy.log_verifiers, followers=followers, rider_signatures=False)
        except AuditFailure as failure:
            found = _ENTRY.fullmatch(failure.where)
            if found is None:
                raise
            return int(found[1]), failure.why
        return None

    return fails_at

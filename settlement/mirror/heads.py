"""Compare heads with the other mirrors: two checkpoints of one size and two roots, both signed by the log, prove a fork."""

import threading
from collections import OrderedDict

from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import Malformed, Untrusted
from fare_chain.evidence import two_of
from fare_chain.governance import EvidenceKind
from fare_chain.policy import Policy

KEPT_SIZES = 4096
"""So many sizes are remembered with their notes: a quarter of an hour at four checkpoints a second."""
_MOST_AHEAD = 256


class Heads:
    """The log's notes as this mirror was given them, and others' that are ahead of it."""

    def __init__(self, policy: Policy) -> None:
        """Remember nothing yet."""
        self.policy = policy
        self._lock = threading.Lock()
        self._ours: OrderedDict[int, tuple[Checkpoint, str]] = OrderedDict()
        self._ahead: OrderedDict[tuple[int, bytes], str] = OrderedDict()

    def remember(self, checkpoint: Checkpoint, note: str) -> str | None:
        """Remember a checkpoint that this mirror verified; evidence where another mirror showed another of that size before."""
        with self._lock:
            self._ours[checkpoint.size] = checkpoint, note
            while len(self._ours) > KEPT_SIZES:
                self._ours.popitem(last=False)
            reached = {key: self._ahead.pop(key) for key in list(self._ahead) if key[0] <= checkpoint.size}
        others = [theirs for (size, root), theirs in reached.items() if size == checkpoint.size and root != checkpoint.root]
        return _fork(note, others[0]) if others else None

    def compare(self, theirs: str) -> str | None:
        """Hold another mirror's checkpoint to ours; evidence (fork-same-size) where both cannot be of one log, else None.

        A note that the log did not sign says nothing, whoever shows it. One that is ahead is held against ours once we are there.
        """
        try:
            checkpoint = self.policy.open(theirs).checkpoint
        except (Malformed, Untrusted):
            return None
        with self._lock:
            ours = self._ours.get(checkpoint.size)
            if ours is None and checkpoint.size > next(reversed(self._ours), 0):
                self._ahead[checkpoint.size, checkpoint.root] = theirs
                while len(self._ahead) > _MOST_AHEAD:
                    self._ahead.popitem(last=False)
        return _fork(ours[1], theirs) if ours is not None and ours[0].root != checkpoint.root else None


def _fork(ours: str, theirs: str) -> str:
    return two_of(EvidenceKind.FORK_SAME_SIZE, ours.encode(), theirs.encode())

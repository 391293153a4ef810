"""Find a fork at any two sizes: entries are chained, so the last entry of another mirror's tree stands in ours, or the log forked.

A mirror shows the last entry under its checkpoint with its path, which is the frontier before it. Whoever is ahead holds that entry
to its own at the same place; whoever is behind will be ahead of a mirror that has stopped.
"""

from collections.abc import Iterable
from itertools import chain

from fare_chain.errors import FareChainError
from fare_chain.evidence import proof_item, read_evidence, two_of
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind
from fare_chain.hashing import leaf_hash
from fare_chain.ledger import read_entry
from fare_chain.merkle import root
from fare_chain.mirror_feed import read_feed
from fare_chain.policy import Policy
from fare_chain.proofs import ProofFile, prove_inclusion, read_proof_file, verify_inclusion

KEPT_LEAVES = 1 << 16
"""So many of the newest leaf hashes are at hand: what another mirror's end, seconds old, is held to."""


class Ends:
    """The newest leaves as this mirror verified them, and its own end."""

    def __init__(self, policy: Policy) -> None:
        """Nothing is verified yet."""
        self.policy = policy
        self._leaves: dict[int, bytes] = {}
        self._last: tuple[int, bytes, tuple[bytes, ...]] | None = None

    def remember(self, index: int, data: bytes, leaf: bytes, frontier: tuple[bytes, ...]) -> None:
        """Take the next verified entry, with the nodes of the frontier before it, largest first."""
        self._leaves[index] = leaf
        self._leaves.pop(index - KEPT_LEAVES, None)
        self._last = index, data, frontier[::-1]

    def shown(self, note: str) -> str:
        """The last entry under a checkpoint of just that size, as others hold it to theirs; empty before the first."""
        if self._last is None:
            return ""
        index, data, path = self._last
        return ProofFile(index, path, note, data).to_text()

    def differs(self, theirs: str) -> int | None:
        """The place at which another mirror's end is not the entry that stands here; None where it is, or says nothing.

        What the log did not sign, or what its path does not lead to, says nothing, whoever shows it.
        """
        try:
            read = read_proof_file(theirs)
            checkpoint = self.policy.open(read.checkpoint).checkpoint
            leaf = leaf_hash(read.extra)
            verify_inclusion(leaf, read.path, index=read.index, size=checkpoint.size, root=checkpoint.root)
        except FareChainError:
            return None
        return read.index if self._leaves.get(read.index, leaf) != leaf else None


def fork_evidence(feeds: Iterable[bytes], theirs: str, index: int, policy: Policy) -> str | None:
    """Evidence (fork-any-size) from all that this mirror was given and another's end; None where it would convict nobody.

    Reads the whole shelf: done once, by a mirror that is about to stop.
    """
    ticks = list(chain.from_iterable(map(read_feed, feeds)))
    entries = [entry.data for tick in ticks for entry in tick.entries]
    leaves = [leaf_hash(data) for data in entries]
    if not index < len(entries):
        return None
    path = prove_inclusion(
        index=index, size=len(leaves), read_node=lambda level, place: root(leaves[place << level : (place + 1) << level])
    )
    text = two_of(EvidenceKind.FORK_ANY_SIZE, proof_item(read_entry(entries[index]), path, ticks[-1].note), theirs.encode())
    try:
        check_evidence(read_evidence(text), policy)
    except FareChainError:
        return None
    return text

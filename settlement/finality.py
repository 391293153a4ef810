"""Collect the cities' cosignatures; a checkpoint is final, and published, once the policy's quorum has cosigned it."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from fare_chain.checkpoint import Checkpoint, read_text
from fare_chain.errors import Conflict, Untrusted
from fare_chain.note import read_note
from fare_chain.policy import Policy
from fare_chain.scheme_policy import is_members_own
from settlement.clear_windows import Latencies
from settlement.ports import CommittedTick
from settlement.store import finality as store

MOST_LINES = 16
"""A verifier need read no more (C2SP tlog-checkpoint)."""
_KEPT_SIZES = 4096
_Held = dict[int, dict[str, str]]
"""Signature lines by checkpoint size and witness name."""


class _Kept(NamedTuple):
    """What one commit has kept: the lines with it, the newest final checkpoint if there is a new one, the newest anchored one."""

    taken: _Held
    best: tuple[int, str] | None
    anchored: tuple[int, str]


class Finality:
    """What the quorum has agreed on, and who is how far."""

    def __init__(self, engine: AsyncEngine, policy: Policy, origin: str) -> None:
        """Before `restore`, nothing is known."""
        self.engine = engine
        self.policy = policy
        self.origin = origin
        self.public_witnesses = [each for each in policy.outside_witnesses() if not is_members_own(each, origin)]
        self.size = 0
        self.note = ""
        """The newest final checkpoint, as published; empty before the first."""
        self.anchored: tuple[int, str] = (0, "")
        """(size, note) of the newest final checkpoint that a witness of the public cosigned, of those that this run has seen."""
        self.refused_by: dict[str, str] = {}
        """Why a witness outside the quorum gets no more submissions, by its name: for people to look at."""
        self.final_us = -1
        """No entry recorded up to here can change any more."""
        self.latencies = Latencies()
        self.cosigned_to: dict[str, int] = {}
        self._lines: dict[int, dict[str, str]] = {}
        self._pending: deque[tuple[int, int, np.ndarray]] = deque()
        self._one_at_a_time = asyncio.Lock()

    async def restore(self) -> None:
        """Come to where the last house stopped."""
        async with self.engine.connect() as connection:
            self.size, self.note = await store.read_final(connection)
            self._lines = await store.cosignatures_from(connection, self.size)
        for size, lines in self._lines.items():
            for name in lines:
                self.cosigned_to[name] = max(size, self.cosigned_to.get(name, 0))

    def expect(self, tick: CommittedTick) -> None:
        """A tick was committed: its taps become final with the first final checkpoint that covers it."""
        if tick.entries:
            bodies = b"".join(verified.body for verified in tick.entries)
            end = tick.from_index + len(tick.entries)
            self._pending.append((end, tick.recorded_us, np.frombuffer(bodies, "<i8")[::10]))

    async def take(self, notes: Sequence[str]) -> None:
        """Take checkpoints with cosignatures; Untrusted or Conflict where a line or the checkpoint under it is not ours.

        All that holds is kept in one commit, and only then published. Dead before it: the mirrors send again. Dead after: `restore`
        finds the lines and publishes the same bytes.
        """
        read = [self._read(note) for note in notes]
        async with self._one_at_a_time:
            taken, best, anchored = await self._keep(read)
            for size, held in taken.items():
                self._lines[size] = held
                for name in held:
                    self.cosigned_to[name] = max(size, self.cosigned_to.get(name, 0))
            self.anchored = max(self.anchored, anchored)
            if best is not None:
                self.size, self.note = best
                self._count()
            for size in [size for size in self._lines if size < self.size][:-_KEPT_SIZES]:
                del self._lines[size]

    async def _keep(self, read: Sequence[tuple[Checkpoint, dict[str, str]]]) -> _Kept:
        """Write what is new in one commit.

        Memory follows the commit and never leads it: a line that is held here alone would be counted, and lost by a restart.
        """
        taken: _Held = {}
        best: tuple[int, str] | None = None
        anchored = (0, "")
        async with self.engine.begin() as connection:
            for checkpoint, lines in read:
                ours = await store.checkpoint_at(connection, checkpoint.size)
                if ours is None or read_note(ours).text != checkpoint.to_text():
                    raise Conflict(
                        f"this log signed no such checkpoint of size {checkpoint.size}: with our signature it is evidence"
                    )
                held = taken.get(checkpoint.size, self._lines.get(checkpoint.size, {}))
                added = {name: line for name, line in lines.items() if name not in held}
                await store.keep_cosignatures(connection, checkpoint.size, added)
                held = held | added
                taken[checkpoint.size] = held
                if not self.policy.is_quorum(held):
                    continue
                sealed = checkpoint.size, self._with_lines(ours, held)
                if checkpoint.size >= max(self.size, best[0] if best else 0):
                    best = sealed
                if any(witness.name in held for witness in self.public_witnesses):
                    anchored = max(anchored, sealed)
            if best is not None and best != (self.size, self.note):
                await store.write_final(connection, *best)
        return _Kept(taken, best, anchored)

    def covers(self, entries: int) -> bool:
        """Whether the first so many entries, and so what they cleared to, are final."""
        return self.size > entries

    def _read(self, text: str) -> tuple[Checkpoint, dict[str, str]]:
        note = read_note(text)
        checkpoint = read_text(note.text)
        if checkpoint.origin != self.origin:
            raise Untrusted(f"the checkpoint is of {checkpoint.origin!r}, this log is {self.origin!r}")
        names = {witness.verifier.to_vkey(): witness.name for witness in self.policy.witnesses}
        verified = note.signed_by([witness.verifier for witness in self.policy.witnesses])
        if not verified:
            raise Untrusted("no line of the note is by a witness of this log's policy: send one that is, or ask to be taken in")
        return checkpoint, {names[verifier.to_vkey()]: line.to_text() for verifier, line in verified}

    def _with_lines(self, ours: str, held: dict[str, str]) -> str:
        """Our note with the cosignatures of the quorum's members, then of the witnesses of the public, in the policy's order.

        The cities' own append-only lines stay at their mirrors' addresses: readers need not look at so many.
        """
        named = [*self.policy.quorum_witnesses(), *self.public_witnesses]
        told = [held[witness.name] for witness in named if witness.name in held]
        room = MOST_LINES - len(read_note(ours).lines)
        return ours + "".join(told[:room])

    def _count(self) -> None:
        """Count the taps that have just become final."""
        now_us = time.time_ns() // 1000
        while self._pending and self._pending[0][0] <= self.size:
            _end, self.final_us, tapped_at_us = self._pending.popleft()
            self.latencies.add(tapped_at_us, now_us)

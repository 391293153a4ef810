"""The life of a mirror's files, told the same way every time: feeds, a saved state, a term, a witness's line, a fork's evidence.

Run as a program it says each thing on its standard output once it holds: whoever kills it, or lets the disk fail under it, knows
by that what the world has heard. Told again on what is left, it comes to the same end.
"""

import os
import sys
from pathlib import Path

from fare_chain.checkpoint import Checkpoint
from fare_chain.governance import Term
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse
from fare_chain.mirror_feed import FeedTick, read_feed, write_feed
from fare_chain.note import read_note
from fare_chain.witness import WitnessRequest
from settlement.mirror.journal import KeyRole
from settlement.mirror.terms import approve_term
from simulators.small_house import ORIGIN, small_key
from tests.settlement.mirror.mirror_world import POLICY, Clock, make_mirror

STANDBY = small_key(9, KeyUse.LOG).public
SAVED_AFTER = 3
"""So many ticks, and then the clock lets the mirror save its state."""


def live(folder: Path, ticks: list[FeedTick], say) -> None:
    """One start of the mirror: it goes on where it stood; `say` hears what is true from then on."""
    clock = Clock()
    mirror = make_mirror(folder, clock=clock)
    for at, tick in enumerate([*ticks, None]):  # in the end the house has nothing new
        clock.now_s += 61 * (at == SAVED_AFTER)
        if tick is None or _size(tick.note) > mirror.mirrored.size:
            for note in mirror.take(write_feed([] if tick is None else [tick])):
                say("cosigned", str(_size(note)), POLICY.open(note).checkpoint.root.hex())
    if mirror.stopped is None:
        last = POLICY.open(ticks[-1].note).checkpoint
        term = Term(1, last.size, last.root, STANDBY, sha256(ORIGIN.encode()))
        say("approved", approve_term(folder, ORIGIN, term, member=1, key=small_key(1, KeyUse.CLEARING)).hex())
        if mirror.journal.last(KeyRole.WITNESS).size == 0:
            answer = mirror.witness(
                WitnessRequest(0, (), read_note(ticks[0].note), POLICY.open(ticks[0].note).checkpoint).to_bytes()
            )
            say("witnessed", answer)
        mirror.compare(Checkpoint(ORIGIN, last.size, bytes(32)).sign(small_key(0, KeyUse.LOG)))
    assert mirror.stopped is not None
    say("stopped", *mirror.shelf.evidence())
    mirror.shelf.close()
    mirror.journal.close()


def _size(note: str) -> int:
    return int(note.split("\n")[1])


if __name__ == "__main__":
    live(
        Path(sys.argv[1]),
        read_feed(Path(sys.argv[2]).read_bytes()),
        lambda *words: os.write(1, (" ".join(words).replace("\n", "") + "\n").encode()),
    )
    os._exit(0)  # the pool's thread has nothing left to do

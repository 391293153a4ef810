"""Submit the newest final checkpoint to the policy's witnesses outside the quorum: once they cosigned it, the log is anchored.

They hold no bodies and judge no clearing; they see that the log only grows. So a house whose database was set back learns it here:
a witness names a size that this log does not know.
"""

import asyncio
from collections.abc import Sequence

import httpx2
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from fare_chain.errors import FareChainError, Malformed, Overloaded, Untrusted
from fare_chain.merkle import perfect_nodes
from fare_chain.note import NoteLine, read_note
from fare_chain.policy import PolicyKey
from fare_chain.proofs import consistency_ranges, prove_consistency
from fare_chain.submissions import PATH, Behind, read_answer, write_submission
from fare_chain.tiles import node_reader
from settlement.finality import Finality
from settlement.store import finality as store
from settlement.store import ledger
from settlement.store.database import FAILURES

ANCHOR_EVERY_S = 10.0
_ANSWER_S = 10.0
_TRIES = 3
_SETBACKS: tuple[type[Exception], ...] = (httpx2.TransportError, httpx2.InvalidURL, Overloaded, Malformed, *FAILURES)
"""After these the witness is asked again at the next round."""

log = structlog.get_logger("anchoring")


class Anchoring:
    """The house as the client of witnesses; `finality` keeps their lines and publishes what is for everybody."""

    def __init__(
        self, engine: AsyncEngine, finality: Finality, client: httpx2.AsyncClient, every_s: float = ANCHOR_EVERY_S
    ) -> None:
        """Nothing is known of a witness before it answers: the first submission starts from 0, and it says where it stands."""
        self.engine = engine
        self.finality = finality
        self.client = client
        self.every_s = every_s
        self.places: Sequence[PolicyKey] = [witness for witness in finality.policy.outside_witnesses() if witness.url]

    async def run(self) -> None:
        """Submit every so many seconds until cancelled; a witness that does not answer is asked again."""
        while True:
            await asyncio.gather(*(self.submit(place) for place in self.places if place.name not in self.finality.refused_by))
            await asyncio.sleep(self.every_s)

    async def submit(self, place: PolicyKey) -> None:
        """Have one witness cosign the newest final checkpoint, and keep its line; a setback is logged, a refusal remembered.

        Dead after the witness signed and before its line is kept: the next submission is a refresh or goes on from its size.
        """
        try:
            await self._submit(place)
        except _SETBACKS as setback:
            log.info("a witness does not answer", witness=place.name, why=str(setback))
        except FareChainError as refusal:
            self.finality.refused_by[place.name] = str(refusal)
            log.critical("a witness refuses the log", witness=place.name, why=str(refusal))

    async def _submit(self, place: PolicyKey) -> None:
        size, old = self.finality.size, self.finality.cosigned_to.get(place.name, 0)
        for _ in range(_TRIES):
            if not size or old >= size:
                return
            ours, answer = await self._ask(place, size, old)
            if isinstance(answer, NoteLine):
                await self.finality.take([ours + answer.to_text()])
                return
            if answer.size == old:
                raise Untrusted(f"it stands at {old} and does not take the submission that starts from there")
            await self._check_ours(answer)
            old = answer.size
        # Others submit too: it moves faster than we ask. The next round starts from where it stands then.

    async def _ask(self, place: PolicyKey, size: int, old: int) -> tuple[str, NoteLine | Behind]:
        """Our checkpoint of that size, with the log's lines alone, and what the witness answers to it."""
        async with self.engine.connect() as connection:
            ours = await store.checkpoint_at(connection, size)
            assert ours is not None, f"a final checkpoint of size {size} is one that was signed"
            ranges = consistency_ranges(old=old, size=size) if old else []
            wanted = {ledger.node_tile(*node) for begin, end in ranges for node in perfect_nodes(begin, end)}
            read_tile = await ledger.tile_reader(connection, size, wanted)
        proof = prove_consistency(old=old, size=size, read_node=node_reader(size, read_tile)) if old else []
        note = read_note(ours)
        sent = await self.client.post(
            f"{place.url.rstrip('/')}/{PATH}", content=write_submission(note, old=old, proof=proof), timeout=_ANSWER_S
        )
        content_type = sent.headers.get("content-type", "")
        return ours, read_answer(sent.status_code, content_type, sent.content, text=note.text, verifier=place.verifier)

    async def _check_ours(self, behind: Behind) -> None:
        """Untrusted where a witness has cosigned a size that this log never signed: it was set back, or somebody has its key."""
        async with self.engine.connect() as connection:
            known = not behind.size or await store.checkpoint_at(connection, behind.size) is not None
        if not known:
            raise Untrusted(
                f"it has cosigned size {behind.size}, which this log never signed: the database was set back, or the log's key is "
                "in other hands; stop sequencing, keep everything, and ask the cities what they hold"
            )

"""Run a mirror as a process: ask the house for what is new, hand it over, send the cosignatures back, and serve."""

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import structlog
import uvicorn
import uvloop

from fare_chain.access_files import Access
from fare_chain.errors import Malformed
from fare_chain.hashing import sha256
from fare_chain.key_files import read_public_key, read_signing_key
from fare_chain.listening import check_address
from fare_chain.log_reader import read_text
from fare_chain.mirror_feed import FEED_TYPE
from fare_chain.policy import read_policy
from settlement.mirror.city_mirror import CityKeys, CityMirror, cosignatures
from settlement.mirror.journal import Journal
from settlement.mirror.mirror_app import make_mirror_app
from settlement.mirror.shelf import Shelf

WAIT_S = 10
"""How long the house may hold a question open until there is something new."""
PAUSE_S = 0.5
EXCHANGE_S = 1.0

log = structlog.get_logger("mirror")


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """Whose mirror it is, and where it finds its things."""

    city: str
    data: Path
    members: Path
    keys: Path
    policy: Path
    house: str
    host: str = "127.0.0.1"
    port: int = 8720
    riders: str = "own"
    public: bool = False
    parent: int | None = None


class _Server(uvicorn.Server):
    """A server that leaves signals to the mirror."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield

    def leave(self) -> None:
        """End."""
        self.should_exit = True


class FollowingMirror:
    """A city's mirror with its network."""

    def __init__(self, settings: MirrorSettings) -> None:
        """Read keys, policy and shelf; Conflict where it would listen on a public address without saying so."""
        check_address(settings.host, public=settings.public)
        if settings.riders not in ("own", "all"):
            raise Malformed(f"--riders is {settings.riders!r}, expected own or all")
        self.settings = settings
        self.policy = read_policy(read_text(settings.policy))
        described = read_public_key(settings.members / f"{settings.city}-access.pub")
        self.access = Access(read_signing_key(settings.keys / f"{settings.city}-access.key"), described)
        clearing, witness = (read_signing_key(settings.keys / f"{settings.city}-{use}.key") for use in ("clearing", "witness"))
        keys = CityKeys.of(settings.city, self.policy, clearing, witness)
        self.pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="riders")
        settings.data.mkdir(parents=True, exist_ok=True)
        self.mirror = CityMirror(
            Shelf(settings.data),
            Journal(settings.data / "cosigned"),
            keys,
            self.policy,
            issuers=frozenset({int(described.owner)}) if settings.riders == "own" else None,
            pool=self.pool,
        )
        self.origin = self.policy.logs[0].name
        self.unsent: list[str] = []
        """Cosignatures that the house has not answered for: sent again, because at rest no later one would cover them."""

    async def run(self) -> None:
        """Follow and serve until told to stop; a disk that fails ends it, so that whoever keeps it running learns of it."""
        config = uvicorn.Config(
            make_mirror_app(self.mirror, self.origin), host=self.settings.host, port=self.settings.port, log_config=None,
            access_log=False, http="httptools", timeout_graceful_shutdown=2,
        )  # fmt: skip
        server = _Server(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.leave)
        work = (self._follow(), self._exchange(), self._object(), _watch_parent(self.settings.parent, server))
        following = [asyncio.create_task(each) for each in work]
        for task in following:
            task.add_done_callback(lambda task: server.leave() if not task.cancelled() and task.exception() else None)
        try:
            await server.serve()
        finally:
            for task in following:
                task.cancel()
            ended = await asyncio.gather(*following, return_exceptions=True)
            self.pool.shutdown()
        for failed in ended:
            if isinstance(failed, Exception):
                raise failed

    async def _follow(self) -> None:
        """Ask, take, send; whatever the network does, again after a moment. Only what does not follow ends it."""
        async with httpx2.AsyncClient(base_url=self.settings.house, timeout=WAIT_S + 20, trust_env=False) as client:
            while self.mirror.stopped is None:
                try:
                    await self._once(client)
                except (httpx2.TransportError, httpx2.HTTPStatusError, Malformed) as error:
                    # Malformed: cut on its way, and signed by nobody; it convicts nobody.
                    log.info("the house does not answer", why=str(error))
                    await asyncio.sleep(PAUSE_S)
        log.critical("this mirror cosigns no more", why=self.mirror.stopped)

    async def _once(self, client: httpx2.AsyncClient) -> None:
        if self.unsent:
            await self._send(client)
        # The first question is not held open: with nothing new, this mirror has caught up.
        asked = {"from": self.mirror.mirrored.size, "wait": WAIT_S if self.mirror.caught_up else 0}
        answer = await client.get("/v1/follow", params=asked, headers=self.access.header(self.origin))
        answer.raise_for_status()
        # Beside the loop: monitors and witnesses are answered while a tick is verified.
        notes = await asyncio.to_thread(self.mirror.take, answer.content)
        if notes:
            self.unsent = notes
            await self._send(client)
        elif self.mirror.waiting is not None:
            await asyncio.sleep(PAUSE_S)

    async def _send(self, client: httpx2.AsyncClient) -> None:
        """Post what is unsent; what the house refuses it will refuse again, and it is not sent twice."""
        sent = await client.post("/v1/cosignatures", content=cosignatures(self.unsent), headers={"Content-Type": FEED_TYPE})
        if sent.is_success or sent.is_client_error:
            self.unsent = []
        sent.raise_for_status()

    async def _object(self) -> None:
        """Post every objection again and again until it stands on the ledger: then the mirror forgets it."""
        async with httpx2.AsyncClient(base_url=self.settings.house, timeout=WAIT_S, trust_env=False) as client:
            while True:
                for text in self.mirror.shelf.objections():
                    try:
                        answer = await client.post("/v1/evidence", content=text, headers={"Content-Type": "text/plain"})
                        if answer.is_client_error:
                            log.error("the house does not take an objection", why=answer.text)
                    except httpx2.TransportError:
                        break
                await asyncio.sleep(EXCHANGE_S)

    async def _exchange(self) -> None:
        """Ask the other mirrors every second what they were shown; one that does not answer is asked again."""
        own = self.mirror.keys.clearing_as.name
        places = [witness.url for witness in self.policy.quorum_witnesses() if witness.url and witness.name != own]
        log = f"/{sha256(self.origin.encode()).hex()}"
        async with httpx2.AsyncClient(timeout=EXCHANGE_S * 5, trust_env=False) as client:
            while self.mirror.stopped is None:
                for place in places:
                    await compare_with(self.mirror, client, place.rstrip("/") + log)
                await asyncio.sleep(EXCHANGE_S)


async def compare_with(mirror: CityMirror, client: httpx2.AsyncClient, place: str) -> None:
    """Hold to our own what another mirror shows at its address of this log: its head, and the entry at its end."""
    try:
        head, end = [await client.get(f"{place}/{name}") for name in ("checkpoint", "end")]
    except (httpx2.TransportError, httpx2.InvalidURL):
        return
    if head.status_code == httpx2.codes.OK:
        mirror.compare(head.text)
    if end.status_code == httpx2.codes.OK:
        # Beside the loop: where it differs, the whole shelf is read for the proof.
        await asyncio.to_thread(mirror.compare_end, end.text)


async def _watch_parent(parent: int | None, server: _Server) -> None:
    """Stop when the process that started us is gone."""
    while parent is not None and os.getppid() == parent:  # noqa: ASYNC110  the system tells nobody that a parent died
        await asyncio.sleep(1.0)
    if parent is not None:
        server.leave()


def run_mirror(settings: MirrorSettings) -> None:
    """Run a mirror until it is told to stop."""
    uvloop.run(FollowingMirror(settings).run())

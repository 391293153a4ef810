"""The house as a client of witnesses: it goes on from the size that they name, and learns from them when it was set back."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from fare_chain.checkpoint import Checkpoint
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.hashing import ZERO_HASH, leaf_hash
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.merkle import root
from fare_chain.note import KeyType, NoteVerifier, cosign, read_note
from fare_chain.policy import PolicyKey
from fare_chain.witness import Refused, judge
from settlement.anchoring import Anchoring
from settlement.finality import Finality
from settlement.mirror.mirror_app import make_mirror_app
from settlement.sequencer import Control
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.small_house import LOG_VERIFIER, ORIGIN, SmallHouse, small_key
from tests.conftest import _ride_about
from tests.settlement.mirror import mirror_world
from tests.settlement.mirror.mirror_world import OPENED, SLUGS, make_mirror, ticks_of

KEY = SigningKey(bytes(range(7, 39)))
PUBLIC = PolicyKey("oak", NoteVerifier("witness.example/oak", KEY.public, KeyType.COSIGNATURE), "http://oak")


class PublicWitness:
    """A witness that holds one size in memory: an httpx2 handler."""

    def __init__(self):
        self.size, self.root, self.asked, self.down = 0, ZERO_HASH, [], False

    def __call__(self, request):
        self.asked.append((str(request.url), request.content.split(b"\n", 1)[0].decode()))
        if self.down:
            return httpx2.Response(503, text="not now\n")
        judged = judge(request.content, [LOG_VERIFIER], self.size, self.root)
        if isinstance(judged, Refused):
            return httpx2.Response(judged.status, text=judged.body, headers={"content-type": judged.content_type})
        self.size, self.root = judged.size, judged.root
        return httpx2.Response(200, text=cosign(judged.to_text(), PUBLIC.verifier.name, KEY, 1_800_000_000).to_text())


class Scene:
    """A small house whose policy has a witness of the public beside the cities' own, at addresses of their own."""

    def __init__(self, house, finality, client, folder):
        self.house, self.finality, self.client = house, finality, client
        self.mirrors = {city: make_mirror(folder / slug, city) for city, slug in SLUGS.items()}
        self.oak = PublicWitness()
        apps = {slug: make_mirror_app(self.mirrors[city], ORIGIN) for city, slug in SLUGS.items()}
        mounts = {f"http://{slug}": httpx2.ASGITransport(app=app) for slug, app in apps.items()}
        self.outside = httpx2.AsyncClient(mounts={**mounts, "http://oak": httpx2.MockTransport(self.oak)})
        self.anchoring = Anchoring(house.engine, finality, self.outside)

    async def final(self):
        """Let all mirrors cosign what there is."""
        for mirror in self.mirrors.values():
            ticks = await ticks_of(self.house, mirror.mirrored.size)
            await self.finality.take(mirror.take(mirror_world.write_feed(ticks)))

    async def grow(self):
        """Close the second that is over, and let all mirrors cosign its window's entry."""
        await self.house.tick(1_000_000)
        later = PublicKey(9, KeyUse.BATCH, small_key(9, KeyUse.BATCH).public, len(self.oak.asked), 2**60)
        self.house.sequencer.stage_control(Control(EntryKind.KEY, KeyEntry.of(later, small_key(9, KeyUse.BATCH)).to_bytes()))
        await self.house.tick(1_000_000)
        await self.final()

    async def anchor(self):
        for place in self.anchoring.places:
            if place.name not in self.finality.refused_by:
                await self.anchoring.submit(place)


def policy_with_urls():
    known = mirror_world.POLICY
    urls = {f"{slug}-witness": f"http://{slug}/" for slug in SLUGS.values()}
    return replace(known, witnesses=(*(replace(each, url=urls.get(each.name, "")) for each in known.witnesses), PUBLIC))


@pytest.fixture
def played(database_url, tmp_path):
    """Play a story on it."""

    async def main(story):
        engine = make_engine(database_url)
        await migrate(engine)
        house = SmallHouse(engine)
        await house.start()
        await _ride_about(house)
        finality = Finality(engine, policy_with_urls(), ORIGIN)
        await finality.restore()
        names = {0: "scheme"} | SLUGS
        parts = Parts(engine, house.intake, house.sequencer, house.clearing, LOG_VERIFIER.to_vkey(), names, None, finality)
        transport = httpx2.ASGITransport(app=make_app(Running(parts)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://house") as client:
            scene = Scene(house, finality, client, tmp_path)
            async with scene.outside:
                await story(scene)
        await engine.dispose()

    yield lambda story: asyncio.run(main(story))
    while OPENED:
        OPENED.pop().close()


def test_nothing_is_submitted_before_a_checkpoint_is_final(played):
    async def story(scene):
        await scene.anchor()
        assert scene.oak.asked == []
        assert (await scene.client.get("/v1/anchored")).status_code == 404

    played(story)


def test_witnesses_inside_and_outside_cosign_and_the_line_of_the_public_one_is_published(played):
    async def story(scene):
        await scene.final()
        await scene.anchor()
        size = scene.house.sequencer.head.head.size
        assert scene.oak.asked == [("http://oak/add-checkpoint", "old 0")]
        assert {name: scene.finality.cosigned_to[name] for name in ("oak", "alder-witness", "cedar-witness")} == dict.fromkeys(
            ("oak", "alder-witness", "cedar-witness"), size
        )
        published = scene.finality.policy.open_final((await scene.client.get("/checkpoint")).text)
        assert set(published.cosigned) == {"alder", "birch", "cedar", "oak"}
        assert (await scene.client.get("/v1/anchored")).text == published.note.to_text()
        told = (await scene.client.get("/v1/status")).json()
        assert (told["anchored_size"], told["refused_by"]) == (size, {})
        await scene.anchor()
        assert len(scene.oak.asked) == 1, "what stands is not submitted again"

    played(story)


def test_it_goes_on_with_a_proof_and_after_a_restart_from_the_size_that_the_witness_names(played):
    async def story(scene):
        await scene.final()
        await scene.anchor()
        first = scene.oak.size
        await scene.grow()
        await scene.anchor()
        second = scene.oak.size
        assert second == scene.house.sequencer.head.head.size > first
        assert scene.oak.asked[1:] == [("http://oak/add-checkpoint", f"old {first}")]
        await scene.grow()
        scene.finality.cosigned_to.clear()
        await scene.anchor()
        assert [old for _url, old in scene.oak.asked[2:]] == ["old 0", f"old {second}"]
        assert scene.finality.anchored[0] == scene.oak.size == scene.house.sequencer.head.head.size
        assert scene.finality.refused_by == {}

    played(story)


def test_a_witness_that_is_down_is_asked_again_and_keeps_nobody_else_waiting(played):
    async def story(scene):
        await scene.final()
        scene.oak.down = True
        await scene.anchor()
        assert (scene.finality.refused_by, scene.mirrors[1].status()["witness_size"]) == ({}, scene.finality.size)
        scene.oak.down = False
        await scene.anchor()
        assert scene.finality.anchored[0] == scene.finality.size

    played(story)


def test_a_witness_that_knows_more_than_the_log_says_that_the_database_was_set_back(played):
    async def story(scene):
        await scene.final()
        leaves = [leaf_hash(b"%d" % at) for at in range(500)]
        lost = Checkpoint(ORIGIN, 500, root(leaves))
        scene.oak.size, scene.oak.root = lost.size, lost.root
        await scene.anchor()
        told = (await scene.client.get("/v1/status")).json()
        assert "size 500, which this log never signed" in told["refused_by"]["oak"]
        asked = len(scene.oak.asked)
        await scene.anchor()
        assert len(scene.oak.asked) == asked
        assert "alder-witness" not in told["refused_by"]

    played(story)


def test_a_line_by_another_key_is_not_kept(played):
    async def story(scene):
        await scene.final()
        honest = scene.oak

        def forger(request):
            text = read_note(request.content.decode().partition("\n\n")[2]).text
            return httpx2.Response(200, text=cosign(text, PUBLIC.verifier.name, small_key(1, KeyUse.WITNESS), 1).to_text())

        scene.outside._mounts[next(key for key in scene.outside._mounts if "oak" in key.pattern)] = httpx2.MockTransport(forger)
        await scene.anchor()
        assert "no line by the key" in scene.finality.refused_by["oak"]
        assert (honest.asked, scene.finality.anchored) == ([], (0, ""))

    played(story)

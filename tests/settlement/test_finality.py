"""Finality over HTTP: two of three cities make a checkpoint final, fewer do not, and it resumes by itself."""

import asyncio
import time

import httpx2
import pytest

from fare_chain import inner_proofs
from fare_chain.access_tokens import issue_token
from fare_chain.audit import audit
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.keys import KeyUse, PublicKey
from fare_chain.mirror_feed import FeedTick, read_feed, write_feed
from fare_chain.note import NoteVerifier, cosign, read_note
from settlement.core.replay import Rederiving
from settlement.finality import Finality
from settlement.mirror.city_mirror import cosignatures
from settlement.sequencer import Control
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.small_house import LOG_VERIFIER, ORIGIN, SmallHouse, small_access, small_key
from tests.conftest import AppLog, _ride_about, looks_taken
from tests.settlement.mirror.mirror_world import OPENED, POLICY, SLUGS, make_mirror

LATER = PublicKey(9, KeyUse.BATCH, small_key(9, KeyUse.BATCH).public, 0, 2**60)
NAMES = {0: "scheme"} | SLUGS


def token(city=1, audience=ORIGIN, use=KeyUse.ACCESS):
    """A city's signed token for now."""
    key = small_key(city, use)
    described = PublicKey(city, KeyUse.ACCESS, key.public, 0, 2**60)
    return {"Authorization": f"Bearer {issue_token(key, described, audience=audience, now_s=int(time.time()))}"}


class Scene:
    """A house with a policy, its client, and the three cities' mirrors."""

    def __init__(self, house, finality, client, folder):
        self.house, self.finality, self.client = house, finality, client
        self.mirrors = {city: make_mirror(folder / slug, city) for city, slug in SLUGS.items()}

    async def mirror(self, *cities):
        """Let these cities' mirrors follow, cosign, and send."""
        for city in cities:
            mirror = self.mirrors[city]
            asked = {"from": mirror.mirrored.size, "wait": 0}
            answer = await self.client.get("/v1/follow", params=asked, headers=token(city))
            assert answer.status_code == 200, answer.text
            notes = mirror.take(answer.content)
            if notes:
                sent = await self.client.post("/v1/cosignatures", content=cosignatures(notes))
                assert sent.status_code == 200, sent.text

    async def final(self):
        """The names under the published checkpoint and its size; none before the first."""
        answer = await self.client.get("/checkpoint")
        if answer.status_code == 404:
            return 0, set()
        sealed = POLICY.open_final(answer.text)
        return sealed.checkpoint.size, set(sealed.cosigned)


@pytest.fixture
def played(database_url, tmp_path):
    """Play a story on a house with mirrors."""

    async def main(story):
        engine = make_engine(database_url)
        try:
            return await on(engine, story)
        finally:
            # A story that fails must not leave connections behind: they would be found, and blamed on, whatever test runs then.
            await engine.dispose()

    async def on(engine, story):
        await migrate(engine)
        house = SmallHouse(engine)
        await house.start()
        await _ride_about(house)
        finality = Finality(engine, POLICY, ORIGIN)
        await finality.restore()
        parts = Parts(engine, house.intake, house.sequencer, house.clearing, LOG_VERIFIER.to_vkey(), NAMES, None, finality)
        app = make_app(Running(parts))
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://house") as client:
            scene = Scene(house, finality, client, tmp_path)
            scene.app = app
            return await story(scene)

    yield lambda story: asyncio.run(main(story))
    while OPENED:
        OPENED.pop().close()


def test_two_of_three_cities_make_it_final_and_the_third_is_added(played):
    async def story(scene):
        assert await scene.final() == (0, set())
        await scene.mirror(1)
        assert await scene.final() == (0, set())
        assert (await scene.client.get("/v1/status")).json()["provisional"]
        await scene.mirror(3)
        size = scene.house.sequencer.head.head.size
        assert await scene.final() == (size, {"alder", "cedar"})
        await scene.mirror(2)
        assert await scene.final() == (size, {"alder", "birch", "cedar"})
        told = (await scene.client.get("/v1/status")).json()
        assert (told["final_size"], told["provisional"]) == (size, False)
        assert set(told["cosigned_to"].values()) == {size}
        assert all(window["final"] for window in (await scene.client.get("/v1/windows")).json()["windows"][:-1])

    played(story)


def test_with_one_down_it_goes_on_with_two_it_stops_and_then_resumes_with_nothing_lost(played):
    async def story(scene):
        await scene.mirror(1, 2)
        before = (await scene.final())[0]
        await scene.house.tick(1_000_000)
        scene.house.sequencer.stage_control(Control(EntryKind.KEY, KeyEntry.of(LATER, small_key(9, KeyUse.BATCH)).to_bytes()))
        await scene.house.tick(1_000_000)
        await scene.mirror(2)
        assert (await scene.final())[0] == before
        assert scene.house.sequencer.head.head.size > before
        assert (await scene.client.get("/v1/checkpoint")).text == scene.house.sequencer.head.note
        await scene.mirror(3)
        assert (await scene.final())[0] == scene.house.sequencer.head.head.size

    played(story)


def test_a_restarted_house_publishes_the_same_bytes(played):
    async def story(scene):
        await scene.mirror(1, 2, 3)
        again = Finality(scene.house.engine, POLICY, ORIGIN)
        await again.restore()
        assert (again.size, again.note, again.cosigned_to) == (
            scene.finality.size,
            scene.finality.note,
            scene.finality.cosigned_to,
        )

    played(story)


@pytest.mark.parametrize("kept", [True, False])
def test_a_death_while_cosignatures_are_kept_loses_none(played, monkeypatch, kept):
    async def story(scene):
        await scene.mirror(1)
        from settlement import finality as room

        real = room.store.write_final

        async def dies(*given):
            if kept:
                await real(*given)
            raise OSError("died here")

        monkeypatch.setattr(room.store, "write_final", dies)
        with pytest.raises(AssertionError):
            await scene.mirror(2)
        monkeypatch.setattr(room.store, "write_final", real)
        again = Finality(scene.house.engine, POLICY, ORIGIN)
        await again.restore()
        assert again.size == 0  # one commit: nothing of it is there, the mirror sends again
        scene.finality._lines, scene.finality.size = again._lines, again.size
        await scene.client.post("/v1/cosignatures", content=cosignatures([scene.mirrors[2].note]))
        assert (await scene.final())[0] == scene.house.sequencer.head.head.size

    played(story)


def test_what_is_published_is_what_an_auditor_asks_for(played):
    async def story(scene):
        await scene.mirror(1, 2)
        source = AppLog(scene.app, asyncio.get_running_loop(), small_access(0, "audit"))
        work = asyncio.to_thread(audit, source, [], policy=POLICY, followers=[Rederiving()])
        result = await looks_taken(scene.house, work)
        await scene.mirror(1, 2)
        size, _names = await scene.final()
        assert size == scene.house.sequencer.head.head.size > result.size, "the look itself becomes final"
        return result

    assert played(story).cosigned == ["alder", "birch"]


def refusals(scene):
    """Posts that are refused: what is sent, the status, the reason."""
    text = read_note(scene.house.sequencer.head.note).text
    name, key = "alder.small.example/clearing", small_key(1, KeyUse.CLEARING)

    def posted(over, line):
        return write_feed([FeedTick(f"{over}\n{line.to_text()}", ())])

    other = text.replace(ORIGIN, "other.example/log")
    size = int(text.split("\n")[1])
    smaller = text.replace(f"\n{size}\n", f"\n{size - 1}\n")
    stranger = small_key(7, KeyUse.CLEARING)
    return [
        (posted(other, cosign(other, name, key, 9)), 403, "this log is"),
        (posted(smaller, cosign(smaller, name, key, 9)), 409, "signed no such checkpoint"),
        (posted(text, cosign(text, "x", stranger, 9)), 403, "by a witness of this log's policy"),
        (posted(text, cosign(smaller, name, key, 9)), 403, "does not verify"),
        (b"\x01\x02", 400, "cut"),
        (write_feed([FeedTick("no note", ())]), 400, "signed note"),
    ]


def test_cosignatures_that_are_not_are_refused_by_name(played):
    async def story(scene):
        for sent, status, named in refusals(scene):
            answer = await scene.client.post("/v1/cosignatures", content=sent)
            assert (answer.status_code, named in answer.text) == (status, True), answer.text
        assert await scene.final() == (0, set())

    played(story)


def test_bodies_go_to_cities_alone_and_codes_to_who_pays(played):
    async def story(scene):
        for headers in ({}, {"Authorization": "Bearer x"}, token(1, audience="other"), token(1, use=KeyUse.BATCH)):
            answer = await scene.client.get("/v1/follow", params={"from": 0}, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), answer.text
        ticks = read_feed((await scene.client.get("/v1/follow", params={"from": 0}, headers=token(2))).content)
        kept = [tick for tick in ticks for entry in tick.entries if entry.codes]
        assert kept
        mirror = scene.mirrors[2]
        mirror.take(write_feed(ticks))
        counts = mirror.mirrored.walk.counts
        assert (counts.rider_codes, counts.rider_codes_withheld) == (22, 44)
        answer = await scene.client.get("/v1/follow", params={"from": 1}, headers=token(2))
        assert answer.status_code == 409

    played(story)


def test_the_log_key_alone_never_counts_as_a_quorum():
    assert not POLICY.is_quorum([NoteVerifier(ORIGIN, small_key(0, KeyUse.LOG).public).name])


def test_a_proof_is_made_under_the_newest_final_checkpoint_and_of_nothing_beyond_it(played):
    async def story(scene):
        asked = {"second": (await scene.client.get("/v1/windows")).json()["windows"][0]["second"]}
        assert (await scene.client.get("/v1/proofs/window", params=asked)).status_code == 404
        await scene.mirror(1, 3)
        text = (await scene.client.get("/v1/proofs/window", params=asked)).text
        proved = inner_proofs.verify(text, lambda note: POLICY.open_final(note).checkpoint)
        assert (proved.window.second, proved.checkpoint.size) == (asked["second"], scene.house.sequencer.head.head.size)
        later = scene.house.clearing.state.second
        for _ in range(3):
            await scene.house.tick(1_000_000)
        answer = await scene.client.get("/v1/proofs/window", params={"second": later})
        assert (answer.status_code, "ask again" in answer.json()["detail"]) == (404, True)
        await scene.mirror(1, 3)
        assert (await scene.client.get("/v1/proofs/window", params={"second": later})).status_code == 200

    played(story)

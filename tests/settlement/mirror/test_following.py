"""A mirror's network: a post that was lost is sent again at rest, a refused one is not, and a disk that fails ends the process."""

import asyncio
from types import SimpleNamespace

import httpx2
import pytest

from fare_chain.errors import Malformed
from fare_chain.mirror_feed import read_feed
from settlement.mirror.following import FollowingMirror, MirrorSettings
from simulators import members


@pytest.fixture
def following(tmp_path):
    """Alder's mirror with its keys, policy and network; the house is not there."""
    cities = [SimpleNamespace(slug=slug, number=number) for number, slug in ((1, "alder"), (2, "birch"))]
    members.make_missing_keys(tmp_path / "keys", tmp_path / "members", members.key_names(cities), now_us=1_790_000_000_000_000)
    members.write_policy(tmp_path, "small.example/clearing", {})
    settings = MirrorSettings(
        "alder",
        tmp_path / "mirror",
        tmp_path / "members",
        tmp_path / "keys" / "alder",
        tmp_path / "policy",
        "http://127.0.0.1:9",
        port=0,
    )
    mirror = FollowingMirror(settings)
    yield mirror
    mirror.mirror.shelf.close()
    mirror.mirror.journal.close()


class House:
    """A house with nothing new to give, which answers posts as it is told: a status, or nothing at all."""

    def __init__(self, *answers):
        self.answers, self.posted = list(answers), []

    def __call__(self, request):
        if request.method == "GET":
            return httpx2.Response(200, content=b"")
        self.posted.append([tick.note for tick in read_feed(request.content)])
        status = self.answers.pop(0)
        if status is None:
            raise httpx2.ConnectError("lost")
        return httpx2.Response(status)


async def ask(mirror, house, times):
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(house), base_url="http://house") as client:
        for _time in range(times):
            try:
                await mirror._once(client)
            except (httpx2.TransportError, httpx2.HTTPStatusError):
                continue


@pytest.mark.parametrize(("answers", "sent"), [((None, 503, 200), 3), ((409,), 1), ((200,), 1)])
def test_what_the_house_did_not_answer_for_is_sent_again_and_what_it_refuses_is_not(following, monkeypatch, answers, sent):
    given = [["a note"]]
    monkeypatch.setattr(following.mirror, "take", lambda _feed: given.pop() if given else [])
    house = House(*answers)
    asyncio.run(ask(following, house, 5))
    assert house.posted == [["a note"]] * sent
    assert following.unsent == []


def test_a_disk_that_fails_ends_the_mirror_and_is_not_swallowed(following, monkeypatch):
    async def once(_client):
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(following, "_once", once)
    with pytest.raises(OSError, match="the disk is gone"):
        asyncio.run(asyncio.wait_for(following.run(), 30))


def test_what_was_cut_on_its_way_does_not_end_it(following, monkeypatch):
    asked = []

    async def once(_client):
        asked.append(1)
        raise Malformed("cut") if len(asked) == 1 else OSError("enough")

    monkeypatch.setattr(following, "_once", once)
    with pytest.raises(OSError, match="enough"):
        asyncio.run(asyncio.wait_for(following.run(), 30))
    assert len(asked) == 2

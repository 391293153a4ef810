"""A mirror objects to rides that its riders did not sign until the ledger has it, and its evidence convicts by the policy alone."""

import pytest

from fare_chain import evidence
from fare_chain.events import EntryKind
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind
from fare_chain.ledger import read_entry
from fare_chain.mirror_feed import FeedSource, FeedTick, write_feed
from fare_chain.policy import Policy
from fare_chain.replayed_log import replay_under
from fare_chain.tap import TapKind
from fare_chain.tiles import read_tile_path, write_bundle
from simulators.small_house import SmallAdapter, SmallRider, small_ring
from tests.settlement.mirror.mirror_world import POLICY, feed_of, make_mirror, ticks_of
from tests.settlement.mirror.test_mirror import forged, other_root
from tests.settlement.test_evidence_intake import forged as forged_scan


@pytest.fixture
def ride_about():
    """In cedar, an honest rider of alder's and two forged ones: of alder's and of birch's."""

    async def main(house):
        early = house.now_us - 10**6
        riders = (SmallRider(number, issuer) for number, issuer in ((1, 1), (2, 1), (3, 2)))
        honest, false, others = (rider.scan(3, 1, TapKind.ENTRY, early) for rider in riders)
        await house.take(SmallAdapter(3).seal([honest, forged_scan(false), forged_scan(others)]))
        await house.tick()

    return main


def convicted(mirror):
    files = [(mirror.shelf.folder / "evidence" / name).read_text() for name in mirror.shelf.evidence()]
    return [check_evidence(evidence.read_evidence(text), Policy(()), small_ring()) for text in files]


def test_a_mirror_objects_to_its_own_riders_forged_ride_until_the_ledger_has_it(told, tmp_path):
    async def story(house, client):
        mirror = make_mirror(tmp_path / "alder")
        assert mirror.take(await feed_of(house))
        (found,) = convicted(mirror)
        assert (found.kind, found.member) == (EvidenceKind.BAD_RIDER_SIGNATURE, 3)
        assert (mirror.status()["bad_riders"], mirror.status()["objections"], mirror.status()["stopped"]) == (1, 1, None)
        (text,) = mirror.shelf.objections()
        for _time in range(2):
            assert (await client.post("/v1/evidence", content=text)).status_code == 200
        assert len(mirror.shelf.objections()) == 1
        await house.tick()
        assert mirror.take(await feed_of(house, mirror.mirrored.size))
        assert (mirror.status()["objections"], len(mirror.status()["evidence"])) == (0, 1)
        again = make_mirror(tmp_path / "alder")
        assert (again.status()["objections"], again.status()["stopped"]) == (0, None)

    told(story)


def test_an_objection_outlives_the_mirror_that_dies_before_the_ledger_has_it(told, tmp_path, monkeypatch):
    async def story(house, _client):
        mirror = make_mirror(tmp_path / "alder")
        monkeypatch.setattr(mirror.shelf, "append", lambda _feed: (_ for _ in ()).throw(OSError("died here")))
        with pytest.raises(OSError, match="died"):
            mirror.take(await feed_of(house))
        again = make_mirror(tmp_path / "alder")
        assert again.mirrored.size == 0
        again.take(await feed_of(house))
        assert len(again.shelf.objections()) == 1
        assert len(make_mirror(tmp_path / "alder").shelf.objections()) == 1

    told(story)


def test_a_ride_that_only_more_keys_could_judge_is_counted_and_accuses_nobody(told, tmp_path):
    async def story(house, _client):
        mirror = make_mirror(tmp_path / "alder")
        mirror.mirrored._checks.check = lambda *_given: (_ for _ in ()).throw(evidence.Malformed("of no key known"))
        mirror.take(await feed_of(house))
        return mirror.status()

    status = told(story)
    assert (status["bad_riders"], status["objections"]) == (2, 1)


def test_a_wrong_state_is_kept_as_evidence_that_convicts_in_a_replay(told, tmp_path):
    async def story(house, _client):
        await house.seal_windows()
        return await ticks_of(house)

    ticks = told(story)
    window = a_window_of_any(ticks)
    lies = forged(ticks, window.index, other_root)
    mirror = make_mirror(tmp_path / "alder")
    mirror.take(write_feed(lies))
    kept = [(mirror.shelf.folder / "evidence" / name).read_bytes() for name in mirror.shelf.evidence()]
    (text,) = [data.decode() for data in kept if data.startswith(b"fare-chain/evidence@v1\nkind wrong-state")]
    assert any(data == write_feed(lies) for data in kept)

    found = check_evidence(evidence.read_evidence(text), POLICY, small_ring(), replay_under(FeedLog(lies)))
    assert (found.kind, found.member, found.index) == (EvidenceKind.WRONG_STATE, 0, window.index)


def test_a_feed_that_was_altered_on_its_way_convicts_nobody(told, tmp_path):
    async def story(house, _client):
        await house.seal_windows()
        return await ticks_of(house)

    ticks = told(story)
    window = a_window_of_any(ticks)
    lies = forged(ticks, window.index, other_root)
    altered = [FeedTick(honest.note, lie.entries) for honest, lie in zip(ticks, lies, strict=True)]
    mirror = make_mirror(tmp_path / "alder")
    mirror.take(write_feed(altered))
    (name,) = mirror.shelf.evidence()
    assert (mirror.shelf.folder / "evidence" / name).read_bytes() == write_feed(altered)


class FeedLog(FeedSource):
    """A whole log out of its feed."""

    def __init__(self, ticks):
        super().__init__(ticks)
        self.entries = [given.data for tick in ticks for given in tick.entries]

    def read(self, path):
        if not path.startswith("tile/"):
            return super().read(path)
        _level, number, width = read_tile_path(path)
        return write_bundle(self.entries[number * 256 : number * 256 + width])


def a_window_of_any(ticks):
    read = [read_entry(given.data) for tick in ticks for given in tick.entries]
    return next(entry for entry in read if entry.kind is EntryKind.WINDOW)

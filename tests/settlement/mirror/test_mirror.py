"""A mirror agrees with an honest house, goes on after any death, and signs nothing that does not follow."""

import re
from dataclasses import replace

import pytest

from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import Conflict
from fare_chain.events import EntryKind, read_window_entry
from fare_chain.hashing import leaf_hash
from fare_chain.keys import KeyUse
from fare_chain.ledger import Head, read_entry
from fare_chain.mirror_feed import FeedEntry, FeedTick, read_feed, write_feed
from settlement.mirror.journal import Cosigned, Journal, KeyRole
from simulators.small_house import ORIGIN, small_key
from tests.settlement.mirror.mirror_world import OPENED, POLICY, Clock, feed_of, make_mirror, ticks_of


@pytest.fixture
def feed(told):
    """The whole feed of a house where riders have ridden."""

    async def story(house, _client):
        return await feed_of(house)

    return told(story)


def test_a_mirror_cosigns_every_checkpoint_of_an_honest_house(feed, tmp_path):
    mirror = make_mirror(tmp_path / "alder")
    notes = mirror.take(feed)
    assert len(notes) == len(read_feed(feed)) > 5
    for note, tick in zip(notes, read_feed(feed), strict=True):
        sealed = POLICY.open(note)
        assert set(sealed.cosigned) == {"alder"}
        assert sealed.checkpoint == POLICY.open(tick.note).checkpoint
    told = mirror.status()
    assert told["cosigned_size"] == told["size"] == POLICY.open(notes[-1]).checkpoint.size
    assert (told["stopped"], told["bad_riders"], told["riders_checked"]) == (None, 0, 66)
    assert len(told["state_root"]) == 64


def test_a_mirror_goes_on_where_it_was_after_every_feed(feed, tmp_path):
    ticks = read_feed(feed)
    whole = make_mirror(tmp_path / "whole")
    whole.take(feed)
    for at in range(len(ticks)):
        mirror = make_mirror(tmp_path / "again")
        mirror.take(write_feed([ticks[at]]))
        mirror.shelf.close()
        mirror.journal.close()
    again = make_mirror(tmp_path / "again").status()
    assert {name: again[name] for name in ("size", "cosigned_size", "state_root", "windows")} == {
        name: whole.status()[name] for name in ("size", "cosigned_size", "state_root", "windows")
    }


def test_a_saved_state_spares_the_replay(feed, tmp_path):
    clock = Clock()
    mirror = make_mirror(tmp_path / "alder", clock=clock)
    ticks = read_feed(feed)
    mirror.take(write_feed(ticks[:4]))
    clock.now_s += 61
    mirror.take(write_feed(ticks[4:6]))
    assert mirror.shelf.read_state()[0] == mirror.status()["size"]
    again = make_mirror(tmp_path / "alder", clock=clock)
    assert list(again.shelf.feeds_from(again.status()["size"])) == []
    assert again.take(write_feed(ticks[6:]))
    assert again.status()["size"] == POLICY.open(ticks[-1].note).checkpoint.size


@pytest.mark.parametrize("lost", ["shelf", "journal"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_death_at_any_durable_write_leaves_one_history(feed, tmp_path, monkeypatch, lost, kept):
    """Each durable step fails before or after it is written; the next start comes to the same end."""
    ticks = read_feed(feed)
    for at in range(len(ticks)):
        folder = tmp_path / f"{lost}-{kept}-{at}"
        mirror = make_mirror(folder)
        if at:
            mirror.take(write_feed(ticks[:at]))
        owner, name = (mirror.shelf, "append") if lost == "shelf" else (mirror.journal, "commit")
        real = getattr(owner, name)

        def dies(*given, real=real, **named):
            if kept:
                real(*given, **named)
            raise OSError("died here")

        monkeypatch.setattr(owner, name, dies)
        with pytest.raises(OSError, match="died"):
            mirror.take(write_feed(ticks[at : at + 1]))
        again = make_mirror(folder)
        rest = [tick for tick in ticks if POLICY.open(tick.note).checkpoint.size > again.mirrored.size]
        again.take(write_feed(rest))
        told = again.status()
        assert told["stopped"] is None
        assert told["size"] == POLICY.open(ticks[-1].note).checkpoint.size
        if rest:
            assert told["cosigned_size"] == told["size"]


@pytest.mark.parametrize("cut", [1, 7, 63])
def test_a_torn_tail_is_cut(feed, tmp_path, cut):
    mirror = make_mirror(tmp_path / "alder")
    ticks = read_feed(feed)
    mirror.take(write_feed(ticks[:3]))
    mirror.take(write_feed(ticks[3:4]))
    mirror.shelf.close()
    for name in (f"ticks-{0:020d}.feed", "cosigned"):
        path = tmp_path / "alder" / name
        path.write_bytes(path.read_bytes()[:-cut])
    again = make_mirror(tmp_path / "alder")
    assert again.status()["size"] == again.status()["cosigned_size"] == POLICY.open(ticks[2].note).checkpoint.size
    assert again.take(write_feed(ticks[3:]))


def forged(ticks, at, change):
    """The ticks with one window altered, all after it chained and signed anew: a house with a straight face."""
    head, out = Head(), []
    for tick in ticks:
        entries = []
        for given in tick.entries:
            entry = replace(read_entry(given.data), prev_leaf=head.last_leaf, index=head.size)
            if entry.index == at:
                entry = replace(entry, payload=change(entry.payload))
            data = entry.to_bytes()
            head = Head(head.frontier.append([leaf_hash(data)]), leaf_hash(data), entry.recorded_us)
            entries.append(replace(given, data=data))
        note = Checkpoint(ORIGIN, head.size, head.root()).sign(small_key(0, KeyUse.LOG))
        out.append(FeedTick(note, tuple(entries)))
    return out


def a_window(ticks, seconds_back=0):
    windows = [read_entry(given.data) for tick in ticks for given in tick.entries]
    return [entry for entry in windows if entry.kind is EntryKind.WINDOW and read_window_entry(entry.payload).journeys][
        seconds_back
    ]


def other_positions(payload):
    window = read_window_entry(payload)
    (first, fen), (second, other), *rest = window.positions
    return replace(window, positions=((first, fen + 1), (second, other - 1), *rest)).to_bytes()


def other_root(payload):
    return replace(read_window_entry(payload), state_root=bytes(32)).to_bytes()


def back_dated(payload):
    window = read_window_entry(payload)
    return replace(window, second=window.second - 1).to_bytes()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (other_positions, "positions"),
        (other_root, "state_root"),
        (back_dated, "outside the window|does not follow|closes no second"),
    ],
    ids=["a-fen-moved", "another-state-root", "back-dated"],
)
def test_a_lying_house_is_stopped_by_name_and_not_cosigned(feed, tmp_path, change, named):
    ticks = read_feed(feed)
    window = a_window(ticks)
    lies = forged(ticks, window.index, change)
    honest = [tick for tick in lies if POLICY.open(tick.note).checkpoint.size <= window.index]
    mirror = make_mirror(tmp_path / "alder")
    mirror.take(write_feed(honest))
    before = mirror.status()["cosigned_size"]
    assert mirror.take(write_feed(lies[len(honest) :])) == []
    told = mirror.status()
    assert told["cosigned_size"] == before
    assert f"entry {window.index}" in told["stopped"]
    assert re.search(named, told["stopped"])
    assert len(told["evidence"]) == 2, "what was given, and the file that convicts the house"
    again = make_mirror(tmp_path / "alder")
    assert again.status()["stopped"] == told["stopped"]
    assert again.take(write_feed(ticks[len(honest) :])) == []


def test_a_body_that_is_not_the_signed_one_is_stopped(feed, tmp_path):
    ticks = read_feed(feed)
    at = next(n for n, tick in enumerate(ticks) if read_entry(tick.entries[0].data).kind is EntryKind.BATCH)
    first = ticks[at].entries[0]
    altered = FeedEntry(first.data, bytes([first.beside[0] ^ 1]) + first.beside[1:], first.codes)
    ticks[at] = FeedTick(ticks[at].note, (altered, *ticks[at].entries[1:]))
    mirror = make_mirror(tmp_path / "alder")
    assert mirror.take(write_feed(ticks)) == []
    assert "body_hash" in mirror.status()["stopped"]


def test_a_dropped_entry_is_stopped(feed, tmp_path):
    ticks = read_feed(feed)
    ticks[2] = FeedTick(ticks[2].note, ticks[2].entries[:-1])
    mirror = make_mirror(tmp_path / "alder")
    mirror.take(write_feed(ticks))
    assert "says size" in mirror.status()["stopped"]


def test_another_key_cannot_sign_for_the_house(feed, tmp_path):
    ticks = read_feed(feed)
    checkpoint = POLICY.open(ticks[0].note).checkpoint
    ticks[0] = FeedTick(checkpoint.sign(small_key(9, KeyUse.LOG)), ticks[0].entries)
    mirror = make_mirror(tmp_path / "alder")
    mirror.take(write_feed(ticks))
    assert "no log of the policy signed" in mirror.status()["stopped"]


def test_a_clock_that_runs_backwards_signs_nothing(feed, tmp_path):
    clock, ticks = Clock(), read_feed(feed)
    mirror = make_mirror(tmp_path / "alder", clock=clock)
    mirror.take(write_feed(ticks[:3]))
    clock.now_s -= 10
    assert mirror.take(write_feed(ticks[3:])) == []
    assert mirror.status()["cosigned_size"] == POLICY.open(ticks[2].note).checkpoint.size


def test_no_key_cosigns_a_second_history(tmp_path):
    journal = Journal(tmp_path / "cosigned")
    OPENED.append(journal)
    journal.commit(KeyRole.CLEARING, 5, b"a" * 32, 100)
    journal.commit(KeyRole.CLEARING, 5, b"a" * 32, 101)
    for size, root, named in ((5, b"b" * 32, "second history"), (4, b"a" * 32, "second history")):
        with pytest.raises(Conflict, match=named):
            journal.commit(KeyRole.CLEARING, size, root, 102)
    with pytest.raises(Conflict, match="stands at size 5"):
        journal.commit(KeyRole.CLEARING, 9, b"c" * 32, 103, expected=4)
    journal.commit(KeyRole.WITNESS, 3, b"w" * 32, 50)
    again = Journal(tmp_path / "cosigned")
    OPENED.append(again)
    assert again.last(KeyRole.CLEARING) == Cosigned(5, b"a" * 32, 101)
    assert again.last(KeyRole.WITNESS) == Cosigned(3, b"w" * 32, 50)


def test_only_own_riders_are_checked_and_a_false_one_is_counted(told, tmp_path):
    async def story(house, _client):
        return await ticks_of(house)

    ticks = told(story)
    mirror = make_mirror(tmp_path / "alder")
    mirror.mirrored._checks.check = lambda *_given: (_ for _ in ()).throw(Conflict("forged"))
    mirror.take(write_feed(ticks))
    assert mirror.status()["stopped"] is None
    assert mirror.status()["bad_riders"] == 22

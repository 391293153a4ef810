"""A mirror derives every state root again, cosigns what follows, and stops for good at the first thing that does not."""

import dataclasses

import pytest

from fare_chain.errors import Malformed
from fare_chain.events import EntryKind, read_window_entry
from fare_chain.keys import KeyUse
from fare_chain.mirror_feed import write_feed
from settlement.mirror.journal import KeyRole
from simulators.small_house import small_key


def take_all(mirror, feeds):
    return [note for feed in feeds for note in mirror.take(feed)]


def test_every_checkpoint_is_cosigned_and_the_state_roots_agree(ledger, mirror_at, tmp_path, policy):
    mirror = mirror_at(tmp_path / "alder")
    ticks = ledger.ticks()
    notes = take_all(mirror, ledger.feeds())

    last_window = read_window_entry(ledger.entries[ledger.places(EntryKind.WINDOW)[-1]][2])
    assert len(notes) == len(ticks)
    assert all(set(policy.open(note).cosigned) == {"alder"} for note in notes)
    assert policy.open(notes[-1]).checkpoint == policy.open(ticks[-1].note).checkpoint
    status = mirror.status()
    assert status["state_root"] == last_window.state_root.hex()
    assert (status["size"], status["cosigned_size"]) == (len(ledger.entries), len(ledger.entries))
    assert status["riders_checked"] > 0
    assert (status["bad_riders"], status["stopped"], status["waiting"]) == (0, None, None)


def test_several_ticks_of_one_feed_are_cosigned_each_at_its_size(ledger, mirror_at, tmp_path, policy):
    notes = mirror_at(tmp_path / "alder").take(write_feed(ledger.ticks()))

    sizes = [policy.open(note).checkpoint.size for note in notes]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == len(ledger.entries)


@pytest.mark.parametrize(("half", "has_state"), [(2, False), (4, True), (7, True)])
def test_a_mirror_started_again_goes_on_where_it_stood(ledger, mirror_at, tmp_path, clock, half, has_state):
    feeds = ledger.feeds()
    first = mirror_at(tmp_path / "alder")
    take_all(first, feeds[: half - 2])
    clock.now_s += 120 * has_state  # a state, and a tick after it
    take_all(first, feeds[half - 2 : half])
    again = mirror_at(tmp_path / "alder")

    assert again.mirrored.size == first.mirrored.size
    assert again.mirrored.to_parts() == first.mirrored.to_parts()
    assert len(take_all(again, feeds[half:])) == len(feeds) - half
    whole = mirror_at(tmp_path / "other")
    take_all(whole, feeds)
    assert again.mirrored.to_parts() == whole.mirrored.to_parts()


def busy_window(ledger):
    for at in ledger.places(EntryKind.WINDOW):
        window = read_window_entry(ledger.entries[at][2])
        if window.journeys and window.gross_fen:
            return at, window
    raise AssertionError("no window with journeys")


def wrong_gross(ledger):
    at, window = busy_window(ledger)
    ledger.entries[at][2] = dataclasses.replace(window, gross_fen=window.gross_fen + 1).to_bytes()


def wrong_state(ledger):
    at, window = busy_window(ledger)
    ledger.entries[at][2] = dataclasses.replace(window, state_root=bytes(32)).to_bytes()


def back_dated_window(ledger):
    at, window = busy_window(ledger)
    ledger.entries[at][2] = dataclasses.replace(window, second=window.second - 1).to_bytes()


def dropped_batch(ledger):
    del ledger.entries[ledger.places(EntryKind.BATCH)[1]]


def batch_twice(ledger):
    at = ledger.places(EntryKind.BATCH)[0]
    ledger.entries.insert(at + 1, list(ledger.entries[at]))


def altered_body(ledger):
    entry = ledger.entries[ledger.places(EntryKind.BATCH)[2]]
    entry[3] = bytes([entry[3][0] ^ 1]) + entry[3][1:]


def body_withheld(ledger):
    ledger.entries[ledger.places(EntryKind.BATCH)[2]][3] = b""


LIES = {
    wrong_gross: "entry",
    wrong_state: "entry",
    back_dated_window: "window",
    batch_twice: "does not follow",
    altered_body: "body/",
    body_withheld: "body/",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lie_that_the_log_signed_stops_the_mirror_for_good(ledger, mirror_at, tmp_path, policy, lie):
    truth = [policy.open(tick.note).checkpoint for tick in ledger.ticks()]
    lie(ledger)
    mirror = mirror_at(tmp_path / "alder")
    notes = take_all(mirror, ledger.feeds())

    assert LIES[lie] in mirror.stopped
    assert [policy.open(note).checkpoint for note in notes] == truth[: len(notes)], "nothing of the lie is cosigned"
    kept = 1 if LIES[lie] == "body/" else 2  # what was given; and where the entry itself is false, the file that convicts
    assert len(mirror.shelf.evidence()) == kept
    again = mirror_at(tmp_path / "alder")
    assert again.stopped == mirror.stopped
    assert again.take(ledger.feeds()[-1]) == []


def test_a_dropped_batch_shows_at_the_citys_next_one(ledger, mirror_at, tmp_path):
    dropped_batch(ledger)
    mirror = mirror_at(tmp_path / "alder")
    notes = take_all(mirror, ledger.feeds())

    assert "does not follow its batch" in mirror.stopped
    assert len(notes) < len(ledger.feeds())


def test_a_checkpoint_by_another_key_stops_it(ledger, mirror_at, tmp_path):
    mirror = mirror_at(tmp_path / "alder")

    assert mirror.take(write_feed(ledger.ticks(key=small_key(2, KeyUse.BATCH))[:1])) == []
    assert "signature" in mirror.stopped or "signed" in mirror.stopped


def test_a_feed_cut_on_its_way_convicts_nobody(ledger, mirror_at, tmp_path):
    mirror = mirror_at(tmp_path / "alder")
    feed = ledger.feeds()[0]

    with pytest.raises(Malformed):
        mirror.take(feed[:-1])
    assert mirror.stopped is None
    assert len(mirror.take(feed)) == 1


@pytest.mark.parametrize("goes_on", [0, 1], ids=["at-its-size", "beyond-its-size"])
def test_a_fork_after_the_shelf_was_lost_is_not_cosigned(ledger, mirror_at, tmp_path, goes_on):
    feeds = ledger.feeds()
    take_all(mirror_at(tmp_path / "alder"), feeds[: len(feeds) - goes_on])
    lost = tmp_path / "lost"
    lost.mkdir()
    (tmp_path / "alder" / "cosigned").rename(lost / "cosigned")
    forked_us = sorted({entry[0] for entry in ledger.entries})[-1 - goes_on]
    for entry in ledger.entries:
        entry[0] += entry[0] == forked_us  # that tick a microsecond later: all of it follows, and it is another tree
    mirror = mirror_at(lost)

    assert mirror.take(write_feed(ledger.ticks())) == []
    assert "second history" in mirror.stopped


def test_after_the_shelf_was_lost_nothing_smaller_is_cosigned_again(ledger, mirror_at, tmp_path, policy):
    feeds = ledger.feeds()
    take_all(mirror_at(tmp_path / "alder"), feeds[:-3])
    lost = tmp_path / "lost"
    lost.mkdir()
    (tmp_path / "alder" / "cosigned").rename(lost / "cosigned")
    mirror = mirror_at(lost)
    cosigned = mirror.journal.last(KeyRole.CLEARING).size
    notes = take_all(mirror, [write_feed(ledger.ticks())])

    assert mirror.stopped is None
    assert min(policy.open(note).checkpoint.size for note in notes) == cosigned
    assert len(notes) == 4


def test_while_the_clock_stands_in_the_past_nothing_is_cosigned(ledger, mirror_at, tmp_path, clock):
    feeds = ledger.feeds()
    mirror = mirror_at(tmp_path / "alder")
    take_all(mirror, feeds[:3])
    clock.now_s -= 5

    assert mirror.take(feeds[3]) == []
    assert "clock" in mirror.status()["waiting"]
    assert mirror.stopped is None
    clock.now_s += 5
    assert len(mirror.take(feeds[4])) == 1
    assert mirror.status()["waiting"] is None

"""A mirror's shelf lets scanned codes go as the ledger does: durable by rename, and what is left verifies from the first entry."""

import itertools
import os

import pytest

from fare_chain.batch import read_codes
from fare_chain.events import EntryKind
from fare_chain.governance import Basis, ErasureEntry, ErasureLevel, RetentionEntry
from fare_chain.hashing import ZERO_HASH
from fare_chain.mirror_feed import read_feed, write_feed
from fare_chain.tap import TAP_BYTES
from settlement.mirror.shelf import Shelf

DAY_US = 86_400_000_000


@pytest.fixture
def lets_go(ledger):
    """A ledger whose last day is three days later: it lets the codes of five batches go, and erases two taps of the sixth."""
    batches = ledger.places(EntryKind.BATCH)
    last_us = ledger.entries[-1][0]
    codes_from, erased = batches[5], (batches[6], (0, 2))
    told = [
        (last_us + 3 * DAY_US, EntryKind.RETENTION, RetentionEntry(1, 0, codes_from, 0, 0, ZERO_HASH)),
        (last_us + 3 * DAY_US + 1, EntryKind.ERASURE, ErasureEntry(ErasureLevel.SCANNED_CODES, Basis.RIDER_ASKED, *erased)),
    ]
    ledger.entries += [[at_us, kind, entry.to_bytes(), b"", b""] for at_us, kind, entry in told]
    return ledger, codes_from, erased


def held(folder):
    """The codes on a shelf by entry: how long each is."""
    shelf = Shelf(folder)
    ticks = [tick for feed in shelf.feeds_from(0) for tick in read_feed(feed)]
    shelf.close()
    entries = itertools.chain.from_iterable(tick.entries for tick in ticks)
    return {
        index: [len(code) for code in read_codes(given.codes)]
        for index, given in enumerate(entries)
        if len(given.beside) >= TAP_BYTES
    }


def follow(mirror, ledger, clock):
    """Give it all that it lacks, a state saved after every second tick and at the end."""
    ticks, size = ledger.ticks(), 0
    for number, tick in enumerate(ticks):
        size += len(tick.entries)
        if size > mirror.mirrored.size:
            clock.now_s += 120 if number % 2 or number == len(ticks) - 1 else 0
            mirror.take(write_feed([tick]))
    assert mirror.stopped is None


def test_codes_go_from_the_files_and_a_mirror_without_states_verifies_what_is_left(lets_go, mirror_at, tmp_path, clock):
    ledger, codes_from, (at, taps) = lets_go
    mirror = mirror_at(tmp_path / "alder")
    follow(mirror, ledger, clock)
    left = held(tmp_path / "alder")
    whole = {place: read_codes(ledger.entries[place][4]) for place in ledger.places(EntryKind.BATCH)}
    for place, codes in whole.items():
        expected = [0 if place == at and number in taps else len(code) for number, code in enumerate(codes)]
        assert left.get(place, []) == ([] if place < codes_from else expected), place
    assert sum(bool(codes) for codes in left.values()) == len(whole) - 5
    for path in (tmp_path / "alder").glob("state-*"):
        path.unlink()
    again = mirror_at(tmp_path / "alder")
    assert again.mirrored.size == mirror.mirrored.size
    assert again.mirrored.state_root == mirror.mirrored.state_root


def test_what_was_let_go_is_not_read_again(lets_go, mirror_at, tmp_path, clock, monkeypatch):
    ledger, codes_from, (at, taps) = lets_go
    mirror = mirror_at(tmp_path / "alder")
    follow(mirror, ledger, clock)
    monkeypatch.setattr("settlement.mirror.shelf.read_feed", None)
    mirror.shelf.let_go(codes_from, {at: taps}, 2)
    with pytest.raises(TypeError):
        mirror.shelf.let_go(codes_from, {at: taps}, 3)


class Death(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("call", "dies_at"), [*(("fsync", at) for at in range(6)), *(("replace", at) for at in range(3))])
def test_dead_at_any_durable_write_the_next_look_goes_on(lets_go, mirror_at, tmp_path, clock, monkeypatch, call, dies_at, before):
    ledger, codes_from, (at, taps) = lets_go
    folder = tmp_path / "alder"
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "let_go", lambda *_given: None)
        follow(mirror_at(folder), ledger, clock)
    assert len(list(folder.glob("ticks-*.feed"))) > 3
    counted = itertools.count()
    place = os if call == "fsync" else type(tmp_path)
    real = getattr(place, call)

    def dies(*given):
        if next(counted) != dies_at:
            return real(*given)
        if not before:
            real(*given)
        raise Death

    mirror = mirror_at(folder)
    with monkeypatch.context() as patch:
        patch.setattr(place, call, dies)
        with pytest.raises(Death):
            mirror.shelf.let_go(codes_from, {at: taps}, 2)
    again = mirror_at(folder)
    assert again.mirrored.size == mirror.mirrored.size
    again.shelf.let_go(codes_from, {at: taps}, 2)
    left = held(folder)
    assert not any(codes for place, codes in left.items() if place < codes_from)
    assert all(not left[at][tap] for tap in taps)
    assert mirror_at(folder).stopped is None

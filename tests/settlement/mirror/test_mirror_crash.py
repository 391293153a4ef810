"""A mirror that dies before or after any of its durable writes comes back, goes on, and never cosigned two histories."""

import itertools
import os

import pytest

from fare_chain.errors import Conflict, Overloaded
from fare_chain.mirror_feed import write_feed
from settlement.mirror.journal import Cosigned, Journal, KeyRole, read_journal
from settlement.mirror.shelf import Shelf


class Death(BaseException):
    """The process ends here."""


def deadly(real, dies_at, *, before, counted):
    """A durable call of the system that dies at its n-th time, before or after its effect."""

    def call(*given, **named):
        if next(counted) != dies_at:
            return real(*given, **named)
        if not before:
            real(*given, **named)
        raise Death

    return call


def take_until_dead(mirror, feeds):
    notes = []
    try:
        for feed in feeds:
            notes += mirror.take(feed)
    except Death:
        pass
    return notes


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("call", "dies_at"), [(call, at) for call, times in (("fdatasync", 6), ("fsync", 15), ("rename", 7)) for at in range(times)]
)
def test_dead_at_any_durable_write(ledger, mirror_at, tmp_path, policy, clock, monkeypatch, call, dies_at, before):
    ticks = ledger.ticks()
    mirror = mirror_at(tmp_path / "alder")
    clock.now_s += 120  # the first feed saves a state too
    with monkeypatch.context() as patch:
        place, name = (type(tmp_path), "replace") if call == "rename" else (os, call)
        patch.setattr(place, name, deadly(getattr(place, name), dies_at, before=before, counted=itertools.count()))
        cosigned = take_until_dead(mirror, [write_feed([tick]) for tick in ticks])
    for step in range(2):  # and dead once more after it went on for a tick
        mirror = mirror_at(tmp_path / "alder")
        ends = [policy.open(tick.note).checkpoint.size for tick in ticks]
        left = [tick for tick, end in zip(ticks, ends, strict=True) if end > mirror.mirrored.size]
        assert mirror.mirrored.size >= mirror.journal.last(KeyRole.CLEARING).size
        cosigned += take_until_dead(mirror, [write_feed([tick]) for tick in (left[:1] if step == 0 else left)])

    assert mirror.stopped is None
    assert mirror.waiting is None
    assert mirror.mirrored.size == ends[-1]
    read = [policy.open(note) for note in cosigned]
    truth = {policy.open(tick.note).checkpoint for tick in ticks}
    assert {sealed.checkpoint for sealed in read} <= truth
    assert [sealed.checkpoint.size for sealed in read] == sorted({sealed.checkpoint.size for sealed in read})


@pytest.mark.parametrize("torn", [0, 1, 11, 12, 40])
def test_a_torn_record_of_the_shelf_is_cut(tmp_path, torn):
    shelf = Shelf(tmp_path)
    shelf.append(b"first" * 20)
    shelf.append(b"second" * 20)
    shelf.close()
    path = next(tmp_path.glob("ticks-*.feed"))
    whole = path.read_bytes()
    end = 12 + 100
    path.write_bytes(whole[: end + torn])
    again = Shelf(tmp_path)
    again.append(b"third")
    again.close()

    assert list(again.feeds_from(0)) == [b"first" * 20, b"third"]


@pytest.mark.parametrize("torn", [1, 32, 63])
def test_a_torn_record_of_the_journal_counts_for_nothing(tmp_path, torn):
    path = tmp_path / "cosigned"
    journal = Journal(path)
    journal.commit(KeyRole.CLEARING, 5, b"a" * 32, 100)
    journal.commit(KeyRole.WITNESS, 9, b"b" * 32, 101)
    journal.close()
    path.write_bytes(path.read_bytes()[: 64 + torn])
    again = Journal(path)
    assert again.last(KeyRole.CLEARING) == Cosigned(5, b"a" * 32, 100)
    assert again.last(KeyRole.WITNESS) == Cosigned()
    again.commit(KeyRole.WITNESS, 3, b"c" * 32, 102)
    again.close()

    assert read_journal(path)[0] == {KeyRole.CLEARING: Cosigned(5, b"a" * 32, 100), KeyRole.WITNESS: Cosigned(3, b"c" * 32, 102)}


def test_a_key_never_goes_back_nor_aside(tmp_path):
    journal = Journal(tmp_path / "cosigned")
    journal.commit(KeyRole.CLEARING, 5, b"a" * 32, 100)
    for size, root, time_s, expected, why in (
        (4, b"a" * 32, 101, None, Conflict),
        (5, b"b" * 32, 101, None, Conflict),
        (6, b"c" * 32, 99, None, Overloaded),
        (6, b"c" * 32, 101, 4, Conflict),
    ):
        with pytest.raises(why):
            journal.commit(KeyRole.CLEARING, size, root, time_s, expected=expected)
    journal.commit(KeyRole.CLEARING, 5, b"a" * 32, 100)
    journal.commit(KeyRole.WITNESS, 1, b"d" * 32, 50)
    journal.close()

    assert journal.last(KeyRole.CLEARING).size == 5
    assert (tmp_path / "cosigned").stat().st_size == 3 * 64

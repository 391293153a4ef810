"""A city approves one term of a number, at the tree it cosigned; mirrors that were shown two trees find it out."""

import pytest

from fare_chain.errors import Conflict
from fare_chain.evidence import read_evidence
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import Term, read_term
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse
from fare_chain.mirror_feed import write_feed
from settlement.mirror.terms import approve_term, read_proposal
from simulators.small_house import ORIGIN, small_key

STANDBY = small_key(9, KeyUse.LOG).public


def approve(mirror, term):
    return approve_term(mirror.shelf.folder, ORIGIN, term, member=1, key=small_key(1, KeyUse.CLEARING))


def term_at(mirror, number=1, **changes):
    head = mirror.mirrored.walk.head
    told = {"size": head.size, "root": head.root(), "log_public": STANDBY, "origin_hash": sha256(ORIGIN.encode())} | changes
    return Term(number, **told)


@pytest.fixture
def half_way(ledger, mirror_at, tmp_path):
    """A mirror that has cosigned all but the last three ticks."""
    mirror = mirror_at(tmp_path / "alder")
    for feed in ledger.feeds()[:-3]:
        mirror.take(feed)
    return mirror


def test_a_term_at_the_cosigned_tree_is_signed_and_again_the_same(half_way):
    term = term_at(half_way)
    signed = approve(half_way, term)

    assert signed[:2] == b"\x01\x00"
    assert term.is_signed_by(small_key(1, KeyUse.CLEARING).public, signed[2:])
    assert approve(half_way, read_term(term.to_bytes())) == signed
    assert read_proposal(term.to_bytes().hex().encode()) == term


@pytest.mark.parametrize("changes", [{"root": bytes(32)}, {"size": 3}, {"size": 10**6}, {"origin_hash": bytes(32)}])
def test_a_term_elsewhere_is_refused(half_way, changes):
    with pytest.raises(Conflict):
        approve(half_way, term_at(half_way, **changes))


def test_a_second_term_of_a_number_is_refused_also_after_a_torn_record(half_way):
    approve(half_way, term_at(half_way, 2))
    with (half_way.shelf.folder / "terms").open("ab") as file:
        file.write(b"torn")

    for number in (1, 2):
        with pytest.raises(Conflict, match="higher number"):
            approve(half_way, term_at(half_way, number, log_public=bytes(32)))
    approve(half_way, term_at(half_way, 3))
    with pytest.raises(Conflict, match="higher number"):
        approve(half_way, term_at(half_way, 2, log_public=bytes(32)))


def test_after_a_term_was_approved_the_old_sequencer_is_not_followed(half_way, ledger):
    size = half_way.mirrored.size
    approve(half_way, term_at(half_way))

    assert half_way.take(write_feed(ledger.ticks()[-3:])) == []
    assert half_way.mirrored.size == size
    assert half_way.stopped is None
    assert "term 1" in half_way.status()["waiting"]


@pytest.fixture
def forked(ledger):
    """The last tick as it was, and as the log told it to another mirror."""
    last_us = ledger.entries[-1][0]
    told = ledger.ticks()
    for entry in ledger.entries:
        entry[0] += entry[0] == last_us
    return told, ledger.ticks()[-1].note


@pytest.mark.parametrize("is_ahead", [False, True])
def test_a_fork_shows_when_mirrors_compare_heads(forked, mirror_at, tmp_path, policy, is_ahead):
    ticks, other = forked
    mirror = mirror_at(tmp_path / "alder")
    mirror.take(write_feed(ticks[:-1]))
    if is_ahead:
        mirror.compare(other)
        assert mirror.stopped is None
        assert mirror.take(write_feed(ticks[-1:])) == []
    else:
        mirror.take(write_feed(ticks[-1:]))
        mirror.compare(other)

    assert "two trees" in mirror.stopped
    (name,) = mirror.shelf.evidence()
    text = (mirror.shelf.folder / "evidence" / name).read_text()
    assert check_evidence(read_evidence(text), policy) is not None


def test_honest_heads_and_strangers_notes_stop_nobody(half_way, ledger, mirror_at, tmp_path):
    for tick in ledger.ticks():
        half_way.compare(tick.note)
    half_way.compare("no note")
    half_way.compare(ledger.ticks(key=small_key(2, KeyUse.BATCH))[0].note)

    assert half_way.stopped is None
    assert len(half_way.take(write_feed(ledger.ticks()[-3:]))) == 3

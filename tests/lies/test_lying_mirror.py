"""A mirror that lies is caught by the mirrors beside it, by an auditor, or by whoever holds two of its terms; so is a fork that
the house shows to different mirrors at different sizes."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from fare_chain.checkpoint import read_text
from fare_chain.governance import Term
from fare_chain.hashing import sha256
from fare_chain.keys import KeyUse
from fare_chain.mirror_feed import write_feed
from fare_chain.note import read_note
from fare_chain.proofs import read_proof_file
from settlement.mirror.following import compare_with
from settlement.mirror.mirror_app import make_mirror_app
from simulators.adversary.house import LyingHouse
from simulators.small_house import ORIGIN, small_key
from tests.lies.liars import COSIGNING, lying_mirror, only, run, told
from tests.settlement.mirror.mirror_world import POLICY, make_mirror

ALDER = lying_mirror(1)


@pytest.fixture
def truth(exported_log):
    """The log as the house told it to honest mirrors."""
    return told(exported_log)


@pytest.fixture
def birch(truth, tmp_path):
    """An honest mirror that has followed the whole log."""
    mirror = make_mirror(tmp_path / "birch", 2)
    mirror.take(write_feed(truth.ticks()))
    assert mirror.stopped is None
    return mirror


def size_of(tick):
    return read_text(read_note(tick.note).text).size


async def ask(mirror, other):
    """Compare with what the other one answers over HTTP, as mirrors do every second."""
    transport = httpx2.ASGITransport(app=make_mirror_app(other, ORIGIN))
    async with httpx2.AsyncClient(transport=transport, base_url="http://other") as client:
        await compare_with(mirror, client, f"/clearing/{sha256(ORIGIN.encode()).hex()}")


def kept_by(mirror, tmp_path):
    """The one evidence file that a mirror kept, as it hands it out."""
    (name,) = mirror.shelf.evidence()
    return mirror.shelf.folder / "evidence" / name


def test_a_mirror_that_goes_back_is_seen_by_the_next_one_which_goes_on_and_keeps_both_notes(birch, truth, judge, tmp_path):
    notes = [tick.note for tick in truth.ticks()]
    birch.compare(ALDER.cosigns(notes[-1], 1_000))
    birch.compare(ALDER.cosigns(notes[-2], 1_000))
    assert birch.shelf.evidence() == [], "within one second the smaller may have come first"
    birch.compare(ALDER.cosigns(notes[-3], 1_001))
    assert birch.stopped is None, "another's lie is no reason to stop"
    birch.compare(ALDER.cosigns(notes[-4], 1_002))
    assert judge.convicts(kept_by(birch, tmp_path), "rollback", {"alder"})


def test_a_mirror_that_cosigns_two_trees_of_one_size_convicts_itself_and_the_log_that_signed_them(birch, truth, judge, tmp_path):
    honest, fork = truth.ticks()[-1].note, LyingHouse(truth).forks().ticks()[-1].note
    birch.compare(ALDER.cosigns(honest, 1_000))
    birch.compare(ALDER.cosigns(fork, 1_001))
    files = [birch.shelf.folder / "evidence" / name for name in birch.shelf.evidence()]
    parties = [set(judge.hears(file)[1]["parties"]) for file in files]
    assert "two trees" in birch.stopped, "the log itself has forked: that is a reason"
    assert {ORIGIN, "alder"} in parties, parties
    assert judge.convicts(files[parties.index({ORIGIN, "alder"})], "fork-same-size", {ORIGIN, "alder"})


def test_a_fork_shown_to_two_mirrors_at_sizes_that_never_meet_is_found_by_the_last_entry(birch, truth, judge, tmp_path):
    cedar = make_mirror(tmp_path / "cedar", 3)
    _at, otherwise = LyingHouse(truth).drops_a_batch()
    ticks, sizes = otherwise.ticks(), {size_of(tick) for tick in truth.ticks()}
    last = max(at for at, tick in enumerate(ticks) if size_of(tick) not in sizes and size_of(tick) < max(sizes))
    cedar.take(write_feed(ticks[: last + 1]))
    assert (cedar.stopped, cedar.mirrored.size in sizes) == (None, False), "that history has no flaw"
    birch.compare(cedar.note)
    assert birch.stopped is None, "checkpoints of different sizes say nothing of each other"
    asyncio.run(ask(cedar, birch))
    assert cedar.stopped is None, "who is behind cannot tell yet"
    asyncio.run(ask(birch, cedar))
    assert "different entries" in birch.stopped
    assert judge.convicts(kept_by(birch, tmp_path), "fork-any-size", {ORIGIN})


def test_honest_mirrors_ends_and_strangers_words_stop_nobody(birch, truth, tmp_path):
    cedar = make_mirror(tmp_path / "cedar", 3)
    for tick in truth.ticks():
        cedar.take(write_feed([tick]))
        birch.compare_end(cedar.end)
        birch.compare(cedar.note)
        cedar.compare_end(birch.end)
    changed = read_proof_file(cedar.end)
    forged = replace(changed, extra=changed.extra[:-1] + bytes([changed.extra[-1] ^ 1])).to_text()
    assert birch.mirrored.ends.differs(forged) is None, "what its path does not lead to is not looked into"
    for word in ("", "no proof", forged, cedar.end.replace("index ", "index 1"), cedar.end[:-9], truth.ticks()[0].note):
        birch.compare_end(word)
    assert (birch.stopped, cedar.stopped, birch.shelf.evidence(), cedar.shelf.evidence()) == (None, None, [], [])


def test_a_mirror_that_cosigns_a_wrong_state_stands_in_the_auditors_file_beside_the_house(truth, judge, tmp_path):
    lie = replace(LyingHouse(truth).splits_wrongly(), cosigning=tuple(COSIGNING))
    (tmp_path / "policy").write_text(POLICY.to_text())
    birch = make_mirror(tmp_path / "honest", 2)
    birch.take(write_feed(lie.ticks()))
    assert "says state_root" in birch.stopped, "an honest mirror stops there and cosigns nothing of it"
    folder = lie.export(tmp_path / "log")
    code, said = run(tmp_path, "verify", folder, "--policy", "policy", "--evidence", "found")
    assert (code, "says state_root" in said) == (1, True), said
    assert judge.convicts(only(tmp_path / "found"), "wrong-state", {ORIGIN, "alder", "birch"}, folder)


def test_a_city_that_gives_one_term_to_two_houses_is_convicted_by_whoever_holds_both(truth, judge, tmp_path):
    standbys = [small_key(owner, KeyUse.LOG).public for owner in (7, 8)]
    terms = [Term(1, 5, bytes(32), public, sha256(ORIGIN.encode())) for public in standbys]
    (tmp_path / "policy").write_text(POLICY.to_text())
    for name, entry in zip(("one", "other"), ALDER.approves(*terms), strict=True):
        (tmp_path / name).write_bytes(entry.to_bytes())
    code, said = run(tmp_path, "term", "compare", "one", "other", "--policy", "policy", "--evidence", "found")
    assert (code, "alder signed two terms 1" in said) == (1, True), said
    assert judge.convicts(only(tmp_path / "found"), "double-term", {"alder"})
    code, said = run(tmp_path, "term", "compare", "one", "one", "--policy", "policy", "--evidence", "found")
    assert (code, "no city" in said) == (0, True), said

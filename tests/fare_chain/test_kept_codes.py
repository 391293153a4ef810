"""What a ledger says of codes is held to its own rule, and what is missing against its word is named."""

import json

import pytest

from fare_chain.errors import Malformed, Untrusted
from fare_chain.events import EntryKind
from fare_chain.governance import Basis, ErasureEntry, ErasureLevel, RetentionEntry
from fare_chain.hashing import ZERO_HASH
from fare_chain.kept_codes import DAY_US, KeptCodes
from fare_chain.ledger import Entry


def entry(index, day, kind=EntryKind.BATCH):
    return Entry(kind, index, day * DAY_US + index, ZERO_HASH, b"")


def ten_days(**given):
    """Two batches a day for ten days, entries 0 to 19: day d begins at entry 2 d."""
    kept = KeptCodes(**given)
    for index in range(20):
        kept.see(entry(index, index // 2))
        kept.find(index, ())
    return kept


def let_go(kept, index, day, days, codes_from):
    told = entry(index, day, EntryKind.RETENTION)
    kept.see(told)
    kept.let_go(told, RetentionEntry(days, 0, codes_from, 0, 0, ZERO_HASH))


def erasure(index, *taps):
    return ErasureEntry(ErasureLevel.SCANNED_CODES, Basis.RIDER_ASKED, index, taps)


def test_codes_may_go_up_to_the_first_entry_that_is_as_young_as_the_rule_keeps():
    kept = ten_days()
    let_go(kept, 20, 10, 7, 6)
    assert (kept.codes_days, kept.codes_from) == (7, 6)


def test_a_rule_that_is_broken_by_one_entry_is_refused():
    with pytest.raises(Untrusted, match="it lets codes go from entry 6 on, which is younger than the 7 days"):
        let_go(ten_days(), 20, 10, 7, 7)


def test_what_may_be_gone_is_not_taken_back_and_what_is_not_there_is_not_let_go():
    kept = ten_days()
    let_go(kept, 20, 10, 5, 10)
    with pytest.raises(Untrusted, match="those below 10 may be gone already"):
        let_go(kept, 21, 10, 7, 6)
    with pytest.raises(Untrusted, match="entry 21 go, which is not on the ledger yet"):
        let_go(kept, 21, 10, 0, 22)


@pytest.mark.parametrize("days", [3, 6, 9, 4_000_000])
def test_a_longer_rule_lets_nothing_more_go_than_the_shorter_did_before(days):
    kept = ten_days()
    let_go(kept, 20, 10, 3, 13)
    with pytest.raises(Untrusted, match="younger than"):
        let_go(kept, 21, 10, days, 15)
    let_go(kept, 21, 10, days, 13)
    assert (kept.codes_days, kept.codes_from) == (days, 13)


def test_a_rule_of_no_days_lets_yesterday_go_and_never_today():
    kept = ten_days()
    kept.see(entry(20, 10))
    with pytest.raises(Untrusted, match="from entry 20 on"):
        let_go(kept, 21, 10, 0, 21)
    let_go(kept, 21, 10, 0, 20)
    assert kept.codes_from == 20


def test_missing_codes_are_named_from_the_first_rule_on_and_only_above_it():
    kept = ten_days()
    for index in (3, 7):
        kept.find(index, (), file=False)
    assert kept.broken() is None, "nothing is said yet"
    let_go(kept, 20, 10, 7, 6)
    index, why = kept.broken()
    assert index == 7
    assert why.startswith("its rider codes are gone, but retention keeps them from entry 6 on")
    let_go(kept, 21, 10, 6, 8)
    assert kept.broken() is None


def test_who_sees_all_codes_asks_for_each_from_the_first_entry_on():
    kept = ten_days(sees_all=True)
    kept.find(19, (0, 2))
    assert kept.broken()[0] == 19
    kept.erase(erasure(19, 0))
    assert "the rider code of tap 2 is gone, no ERASURE entry names it" in kept.broken()[1]
    kept.erase(erasure(19, 0, 2, 5))
    assert kept.broken() is None
    assert kept.erased_taps == 3, "a tap that is named twice is erased once"
    kept.find(20, (), file=False)
    assert kept.broken()[0] == 20
    assert "gone, but no RETENTION entry lets it go" in kept.broken()[1]


def test_who_sees_some_takes_a_code_of_0_bytes_as_withheld():
    kept = ten_days()
    let_go(kept, 20, 10, 7, 6)
    kept.find(19, (0, 2))
    assert kept.broken() is None


def test_it_goes_on_from_what_was_written_down():
    kept = ten_days(sees_all=True)
    kept.find(19, (0,))
    kept.erase(erasure(18, 3, 4))
    let_go(kept, 20, 10, 7, 6)
    told = json.loads(json.dumps(kept.to_json()))
    again = KeptCodes(sees_all=True)
    again.resume(told)
    assert again.to_json() == kept.to_json()
    assert again.broken() == kept.broken()
    assert again.broken()[0] == 19
    less = KeptCodes()
    less.resume(told)
    assert less.to_json()["erased"] == [[18, 3, 4]]
    with pytest.raises(Malformed, match="did not look for every code"):
        again.resume(less.to_json())


def test_what_is_remembered_shrinks_as_codes_go():
    kept = ten_days()
    for index in range(20):
        kept.erase(erasure(index, 1))
    let_go(kept, 20, 10, 2, 16)
    assert sorted(kept.erased) == [16, 17, 18, 19]
    assert len(kept.to_json()["days"]) == 3

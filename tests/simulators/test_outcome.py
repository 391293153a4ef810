"""A good run has no fault; each thing that may go wrong with one is found and said."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fare_chain.audit import AuditFailure, AuditResult
from settlement.core.columns import TAP_DTYPE
from simulators.gates import NO_ANSWER, Diary
from simulators.outcome import Evidence, find_faults, to_json
from simulators.status import Look

MEMBERS = {0: "scheme", 1: "shanghai", 2: "hangzhou"}
STARTED_US = 1_790_000_000_000_000
POSITIONS = {0: 2, 1: -302, 2: 300}
IN_WINDOWS = {"taps_in_windows": 5, "journeys_in_windows": 2, "gross_fen": 600, "net_fen": 302}


def ledger():
    """Five taps: one of an earlier run, then two rides of this one, by riders of shanghai in both cities."""
    run = np.zeros(5, TAP_DTYPE)
    run["tapped_at_us"] = STARTED_US + np.array([-1, 1, 2, 3, 4]) * 1_000_000
    run["host"] = [1, 1, 1, 2, 2]
    run["gate_seq"] = [1, 2, 3, 1, 2]
    run["issuer"] = 1
    run["code_digest"] = [bytes([number]) * 32 for number in range(1, 6)]
    return run


def opened(shanghai, hangzhou=None):
    gates = {"shanghai": {"accepted": shanghai}} | ({} if hangzhou is None else {"hangzhou": {"accepted": hangzhou}})
    return Look(good().last.house, gates, mirrors())


def mirrors(**changes):
    told = {"stopped": None, "cosigned_size": 9, "state_root": "ab"}
    return {"shanghai": dict(told), "hangzhou": told | changes}


def good(**changes):
    diary = Diary(opened={bytes([number]) * 32 for number in range(2, 6)}, began_us=STARTED_US)
    diary.answers.update({("OPEN", "OPEN"): 4, ("STALE", "STALE"): 2})
    diary.waits_us.extend([2000, 3000, 4000, 50_000])
    audited = AuditResult("log", 9, "00", taps=5, batches=3, windows=2, positions=POSITIONS, rederived=dict(IN_WINDOWS))
    house = {
        "positions": {MEMBERS[number]: fen for number, fen in POSITIONS.items()},
        "latency_ms": {"p50": 300, "p99": 500, "taps": 4, "final_p50": 400, "final_p99": 700},
        "size": 9,
    }
    look = Look(house, {"shanghai": {"accepted": 2}, "hangzhou": {"accepted": 2}}, mirrors())
    return replace(Evidence(diary, audited, ledger(), look, {}, MEMBERS, STARTED_US, seconds=4), **changes)


def audited(**changes):
    return replace(good().audited, **changes)


def diary(**changes):
    return replace(good().diary, **changes)


def tapped(at, field, value):
    run = ledger()
    run[field][at] = value
    return run


def house(**changes):
    return Look(good().last.house | changes, good().last.gates, mirrors())


def test_a_good_run_has_no_fault():
    assert find_faults(good()) == []


def test_a_mirror_that_stopped_is_named():
    evidence = good(last=replace(good().last, mirrors=mirrors(stopped="entry 7: another state root")))
    assert find_faults(evidence) == [
        "the mirror of hangzhou cosigns no more: entry 7: another state root",
        "1 of 2 mirrors agree on the whole ledger",
    ]


@pytest.mark.parametrize("lag", [{"cosigned_size": 8}, {"state_root": "cd"}])
def test_mirrors_that_lag_or_differ_do_not_agree(lag):
    assert find_faults(good(last=replace(good().last, mirrors=mirrors(**lag)))) == ["1 of 2 mirrors agree on the whole ledger"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"audited": AuditFailure("entry 7", "its leaf hash is wrong")}, "not verified: entry 7: its leaf hash is wrong"),
        ({"audited": audited(rederived=IN_WINDOWS | {"taps_in_windows": 4})}, "the ledger has 5 taps, but its windows cover 4"),
        ({"audited": audited(rider_codes_dropped=2)}, "2 rider codes are missing from the export"),
        ({"audited": audited(positions={0: 2, 1: -302, 2: 301})}, "the positions sum to 1 fen"),
        ({"last": house(positions={"scheme": 2, "shanghai": -303, "hangzhou": 301})}, r"'shanghai': \(-302, -303\)"),
        ({"last": Look({}, good().last.gates, mirrors())}, "the house did not answer at the end"),
        ({"diary": diary(opened={b"\x09" * 32, b"\x02" * 32})}, "1 of 2 scans that opened a gate are not on the ledger"),
        ({"taps": tapped(2, "code_digest", b"\x02" * 32)}, "1 rider codes stand on the ledger more than once"),
        ({"taps": tapped(2, "gate_seq", 2)}, "gate 0 of city 1: tap 2 stands twice"),
        ({"taps": tapped(2, "gate_seq", 4)}, "1 taps before tap 4 are missing"),
        (
            {"last": opened(2)},
            "the gates of hangzhou did not answer at the end",
        ),
        (
            {"last": opened(2, 3)},
            "hangzhou's gates opened 3 times, the ledger has 2",
        ),
        ({"diary": diary(unheard={b"\x08" * 32})}, "1 scans were never answered, and no city's gates had died"),
    ],
)
def test_each_fault_is_found(changes, fault):
    faults = find_faults(good(**changes))
    assert any(re.search(fault, found) for found in faults), faults


def test_an_answer_that_was_not_planned_is_a_fault():
    evidence = good()
    evidence.diary.answers["STALE", "OPEN"] += 3
    assert find_faults(evidence) == ["answers were not as planned: 3 scans were answered OPEN, expected STALE"]


def test_rides_that_did_not_end_are_a_fault():
    assert find_faults(good(diary=diary(unfinished=3))) == [
        "3 rides had not ended when the run was ended: the gates did not keep up"
    ]


def test_a_restart_explains_what_it_can_and_no_more():
    killed = good(
        restarts={"hangzhou": 1},
        last=opened(2, 0),
    )
    killed.diary.unheard.add(b"\x05" * 32)
    killed.diary.opened.remove(b"\x05" * 32)
    killed.diary.answers["OPEN", NO_ANSWER] += 1
    assert find_faults(killed) == [], "the tap that nobody heard of may be on the ledger, the gate's own count began anew"
    lost = replace(killed, taps=ledger()[:4])
    assert find_faults(lost) == [], "or it may not be there: the answer never came"
    lost = replace(killed, taps=ledger()[[0, 1, 2, 4]])
    assert [fault.split(",")[0] for fault in find_faults(lost)] == [
        "1 of 3 scans that opened a gate are not on the ledger",
        "gate 0 of city 2: 1 taps before tap 2 are missing",
    ]


def test_a_house_that_was_killed_does_not_excuse_the_gates():
    evidence = good(restarts={"house": 1}, last=opened(2, 3))
    assert find_faults(evidence) == ["hangzhou's gates opened 3 times, the ledger has 2 of these taps"]


def test_the_object_tells_the_ledgers_sums_and_the_runs_own_counts():
    told = to_json(good(), [], {"data_dir": "/data", "console_url": None})
    assert told == {
        "verified": True, "faults": [], "taps": 5, "journeys": 2, "joined_over_a_border": 0,
        "windows": 2, "batches": 3, "ledger_size": 9,
        "positions": {"scheme": 2, "shanghai": -302, "hangzhou": 300}, "positions_sum": 0, "gross_fen": 600, "net_fen": 302,
        "mirrors_agreeing": 2, "final_size": 0, "cosigned_by": 0, "refused": {"STALE": 2}, "p50_ms": 300, "p99_ms": 500,
        "p50_final_ms": 400, "p99_final_ms": 700,
        "gate_p50_ms": 3.0, "gate_p99_ms": 4.0, "seconds": 4, "taps_of_run": 4, "taps_per_second": 0, "hosts": 2, "issuers": 1,
        "city_pairs": 1, "opened": 4, "shown_again": 0, "unanswered": 0, "taps_of_others": 0, "restarts": {},
        "data_dir": "/data", "console_url": None,
    }  # fmt: skip


def test_a_log_that_is_not_verified_still_makes_an_object():
    evidence = good(audited=AuditFailure("entry 7", "wrong"), taps=ledger()[:0])
    told = to_json(evidence, find_faults(evidence), {})
    assert (told["verified"], told["taps"], told["city_pairs"]) == (False, 0, 0)
    assert told["faults"] == ["the exported log is not verified: entry 7: wrong"]

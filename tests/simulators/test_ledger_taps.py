"""Taps of a ledger as columns: whose they are, and what is doubled or missing among them."""

import numpy as np
import pytest

from fare_chain.audit import VerifiedEntry
from fare_chain.events import EntryKind, WindowEntry
from fare_chain.ledger import Entry
from settlement.core.columns import TAP_DTYPE
from simulators import ledger_taps
from simulators.ledger_taps import LedgerTaps

ENTRY = Entry(EntryKind.BATCH, 0, 0, bytes(32), b"")


def taps(*rows):
    """Taps of (host, gate, gate_seq)."""
    run = np.zeros(len(rows), TAP_DTYPE)
    run["host"], run["gate"], run["gate_seq"] = np.array(rows, "<u4").reshape(-1, 3).T
    run["code_digest"] = [number.to_bytes(32, "little") for number in range(len(rows))]
    return run


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([], []),
        ([(1, 4, 1), (1, 4, 2), (2, 4, 1), (1, 5, 1), (1, 4, 3)], []),
        ([(1, 4, 2), (1, 4, 1)], []),
        ([(1, 4, 1), (1, 4, 2), (1, 4, 2)], ["gate 4 of city 1: tap 2 stands twice"]),
        ([(1, 4, 1), (1, 4, 4)], ["gate 4 of city 1: 2 taps before tap 4 are missing"]),
        ([(1, 4, 1), (3, 0, 2)], ["gate 0 of city 3: 1 taps before tap 2 are missing"]),
    ],
)
def test_each_gate_counts_its_taps_without_gap_or_double(rows, broken):
    assert ledger_taps.broken_gate_runs(taps(*rows)) == broken


def test_digests_are_counted():
    run = taps((1, 1, 1), (1, 1, 2), (1, 1, 3))
    run["code_digest"][2] = run["code_digest"][0]
    assert ledger_taps.digests(run) == {bytes(32): 2, (1).to_bytes(32, "little"): 1}


def test_pairs_hosts_and_the_runs_own_taps():
    run = taps((1, 1, 1), (2, 1, 1), (2, 1, 2))
    run["issuer"] = [1, 1, 3]
    run["tapped_at_us"] = [10, 20, 30]
    assert ledger_taps.city_pairs(run) == {(1, 1), (1, 2), (3, 2)}
    assert ledger_taps.city_pairs(run[:0]) == set()
    assert ledger_taps.taps_by_host(run) == {1: 1, 2: 2}
    assert len(ledger_taps.of_this_run(run, 20)) == 2


def test_a_follower_keeps_the_taps_in_the_ledgers_order_and_adds_up_the_windows():
    follower, run = LedgerTaps(), taps((1, 1, 1), (2, 1, 1), (2, 1, 2))
    window = WindowEntry(5, 1, 0, 2, 3, 1, 300, 280, bytes(32), bytes(32), bytes(32), ())
    follower.follow(VerifiedEntry(ENTRY, body=run[:2].tobytes()))
    follower.follow(VerifiedEntry(ENTRY, table=b"no taps"))
    follower.follow(VerifiedEntry(ENTRY, body=run[2:].tobytes()))
    follower.follow(VerifiedEntry(ENTRY, window=window))
    assert (follower.taps() == run).all()
    assert follower.finish() == {"taps_in_windows": 3, "journeys_in_windows": 1, "gross_fen": 300, "net_fen": 280}


def test_only_a_few_sentences_are_shown():
    assert ledger_taps.first_few(["a", "b"]) == "a; b"
    assert ledger_taps.first_few("abcdef") == "a; b; c; and 3 more"

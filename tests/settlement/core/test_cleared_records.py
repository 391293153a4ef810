"""What a verifier reads is what clearing writes: layouts, shares and state roots held together."""

import random
import struct

import numpy as np
import pytest

from fare_chain import cleared_records
from fare_chain.cleared_records import Balance, read_balance, read_journey_leaf, read_sum_leaf, state_root_of, write_balance
from fare_chain.errors import FareChainError, Malformed, Untrusted
from fare_chain.events import WindowEntry
from fare_chain.hashing import sha256
from settlement.core import deltas
from settlement.core.columns import JOURNEY_DTYPE, JOURNEY_VERSION, SUM_DTYPE, ObligationKind
from settlement.core.state import balances_bytes, chain_root


def test_a_journey_is_read_as_clearing_wrote_it():
    chance = random.Random(4)
    for _ in range(200):
        record = np.frombuffer(chance.randbytes(128), JOURNEY_DTYPE).copy()
        record["version"], record["reserved"], record["fare_fen"] = JOURNEY_VERSION, b"\0", 12
        share = write_balance(Balance(513, 5)) + write_balance(Balance(514, 7))
        journey, shares = read_journey_leaf(deltas.JOURNEY_LEAF + record.tobytes() + share)
        assert shares == (Balance(513, 5), Balance(514, 7))
        names = [name for name in JOURNEY_DTYPE.names if name != "reserved"]
        assert list(journey.__slots__) == names
        for name in names:
            held = record[name][0]
            assert getattr(journey, name) == (held.tobytes() if isinstance(held, np.void) else int(held)), name


def test_a_sum_is_read_as_clearing_wrote_it():
    record = np.zeros(1, SUM_DTYPE)
    record["level"], record["kind"], record["debtor"], record["creditor"] = 2, 7, 258, 0x0304
    record["n"], record["amount_fen"] = 2**60 + 1, -(2**59)
    read = read_sum_leaf(deltas.SUM_LEAF + record.tobytes())
    assert (read.line, read.n, read.amount_fen) == ((2, 7, 258, 0x0304), 2**60 + 1, -(2**59))


def test_a_balance_is_written_as_the_books_write_it():
    for owner, fen in ((0, 0), (65_535, -1), (258, 2**62)):
        assert write_balance(Balance(owner, fen)) == balances_bytes(((owner, fen),))
        assert read_balance(write_balance(Balance(owner, fen))) == Balance(owner, fen)


def test_the_state_root_is_chained_as_clearing_chains_it():
    roots = [sha256(bytes([number])) for number in range(5)]
    positions = ((0, -7), (1, 3), (300, 4))
    window = WindowEntry(10**9, 3, 1, 2, 0, 0, 0, 0, roots[0], roots[1], roots[2], positions)
    expected = chain_root(
        roots[3], second=10**9, seconds=3, delta_root=roots[1], positions=positions, rules_hash=roots[2], earned_root=roots[4]
    )
    assert state_root_of(window, roots[3], roots[4]) == expected


def test_every_kind_of_obligation_has_a_word():
    from fare_chain.proof_words import KINDS

    assert set(KINDS) == {int(kind) for kind in ObligationKind}
    assert (bytes([cleared_records.JOURNEY_LEAF]), bytes([cleared_records.SUM_LEAF])) == (deltas.JOURNEY_LEAF, deltas.SUM_LEAF)


@pytest.mark.parametrize(
    ("leaf", "error"),
    [
        (b"", Malformed),
        (b"\x02" + bytes(128), Malformed),
        (b"\x01" + bytes(127), Malformed),
        (b"\x01" + bytes(128), Malformed),
        (b"\x01" + bytes(60) + struct.pack("<H", 1) + bytes(65) + b"\x01", Malformed),
        (b"\x01" + bytes(60) + struct.pack("<H", 1) + bytes(66) + bytes(15), Malformed),
        (b"\x01" + bytes(60) + struct.pack("<H", 1) + bytes(66) + write_balance(Balance(1, 1)), Untrusted),
        (b"\x01" + bytes(60) + struct.pack("<H", 1) + bytes(66) + b"\x01\x00\x01" + bytes(13), Malformed),
    ],
)
def test_a_leaf_that_is_no_journey_is_refused(leaf, error):
    with pytest.raises(error):
        read_journey_leaf(leaf)


@pytest.mark.parametrize("leaf", [b"", b"\x02", b"\x01" + bytes(24), b"\x02" + bytes(25), b"\x02" + bytes(6) + b"\x01" + bytes(17)])
def test_a_leaf_that_is_no_sum_is_refused(leaf):
    with pytest.raises(FareChainError):
        read_sum_leaf(leaf)

"""Obligations between the same parties are sums, in order, without rows of nothing; netting leaves what has to move."""

import numpy as np

from settlement.core.columns import SUM_DTYPE, Level, ObligationKind, no_rows, plain
from settlement.core.netting import net, net_debits_fen
from settlement.core.obligations import add_up


def sums(*rows):
    """Rows of level, kind, debtor, creditor, n, fen."""
    records = np.zeros(len(rows), SUM_DTYPE)
    for record, row in zip(records, rows, strict=True):
        for name, value in zip(("level", "kind", "debtor", "creditor", "n", "amount_fen"), row, strict=True):
            record[name] = value
    return records


FARE, COMMISSION, FEE = (Level.MEMBERS, ObligationKind.FARE), (1, ObligationKind.COMMISSION), (1, ObligationKind.FEE)


def test_sums_of_the_same_parties_and_kind_become_one_row():
    total = add_up(
        [sums((*FARE, 2, 1, 3, 900), (*FARE, 1, 2, 1, 300)), no_rows(SUM_DTYPE), sums((*FARE, 2, 1, 1, 100), (*FEE, 2, 0, 1, 1))]
    )
    assert plain(total) == [(*FARE, 1, 2, 1, 300), (*FARE, 2, 1, 4, 1000), (*FEE, 2, 0, 1, 1)]
    assert plain(add_up([])) == []


def test_party_numbers_beyond_a_byte_keep_their_order():
    total = add_up([sums((2, 1, 1, 258, 1, 5), (2, 1, 1, 257, 1, 5), (2, 1, 1, 9, 1, 5))])
    assert total["creditor"].tolist() == [9, 257, 258]


def test_netting_leaves_each_member_its_difference():
    owed = sums(
        (*FARE, 1, 2, 5, 1000), (*FARE, 2, 1, 2, 300), (*COMMISSION, 2, 1, 5, 10), (*FEE, 1, 0, 5, 5), (2, 1, 2, 513, 5, 1000)
    )
    assert net(owed) == {0: 5, 1: -695, 2: 690}
    assert net_debits_fen(owed) == 695
    assert net(no_rows(SUM_DTYPE)) == {}
    assert net_debits_fen(no_rows(SUM_DTYPE)) == 0

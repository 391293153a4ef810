"""Every line carries its balance before and after; each level and reason sums to zero."""

import numpy as np

from settlement.core.books import POSTING_DTYPE, Account, balances_after, post
from settlement.core.columns import SUM_DTYPE, no_rows, plain

SUMS = np.zeros(4, SUM_DTYPE)
for row, values in zip(SUMS, [(1, 1, 3, 1, 400), (1, 2, 1, 3, 4), (2, 1, 1, 257, 400), (2, 7, 1, 257, 90)], strict=True):
    row["level"], row["kind"], row["debtor"], row["creditor"], row["amount_fen"] = values

LEVEL, ACCOUNT, OWNER, REASON, AMOUNT, BEFORE, AFTER = range(7)


def test_lines_carry_balances_on_from_reason_to_reason():
    assert plain(post(SUMS, ((1, 50), (3, -50)), ((257, 30), (258, 7)))) == [
        (1, Account.POSITION, 1, 1, 400, 50, 450),
        (1, Account.POSITION, 1, 2, -4, 450, 446),
        (1, Account.POSITION, 3, 1, -400, -50, -450),
        (1, Account.POSITION, 3, 2, 4, -450, -446),
        (2, Account.FARES, 1, 1, -400, -37, -437),
        (2, Account.FARES, 1, 7, -90, -437, -527),
        (2, Account.EARNED, 257, 1, 400, 30, 430),
        (2, Account.EARNED, 257, 7, 90, 430, 520),
    ]


def test_balances_after_are_those_of_the_last_line_and_untouched_ones_stay():
    lines = post(SUMS, ((1, 50), (2, 0), (3, -50)), ((257, 30), (258, 7)))
    assert balances_after(((1, 50), (2, 0), (3, -50)), lines, Account.POSITION) == ((1, 446), (2, 0), (3, -446))
    assert balances_after(((257, 30), (258, 7)), lines, Account.EARNED) == ((257, 520), (258, 7))


def test_nothing_owed_posts_nothing():
    lines = post(no_rows(SUM_DTYPE), ((1, 5), (2, -5)), ())
    assert (len(lines), lines.dtype) == (0, POSTING_DTYPE)
    assert balances_after(((1, 5), (2, -5)), lines, Account.POSITION) == ((1, 5), (2, -5))

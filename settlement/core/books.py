"""Post: obligations into double-entry books that balance on both levels, every line with its balance before and after.

Level 1 knows one account of a member, POSITION: positive is to receive. Level 2 knows FARES of a host, which owes, and EARNED of
a beneficiary, which is owed. The lines of one level and reason sum to zero.
"""

from enum import IntEnum

import numpy as np

from settlement.core.columns import FIRST_BENEFICIARY, Level, Records, no_rows

Balances = tuple[tuple[int, int], ...]
"""(member or beneficiary, fen), by number, each once."""


class Account(IntEnum):
    """What kind of account a line is posted to. Numbers are never used twice; 2 and 3 are kept for prefund and bank."""

    POSITION = 1
    FARES = 4
    EARNED = 5


POSTING_DTYPE = np.dtype(
    {
        "names": ["level", "account", "owner", "reason", "reserved", "amount_fen", "before_fen", "after_fen"],
        "formats": ["u1", "u1", "<u2", "<u2", "<u2", "<i8", "<i8", "<i8"],
        "offsets": [0, 1, 2, 4, 6, 8, 16, 24],
        "itemsize": 32,
    }
)
"""One line of the books; `reason` is an ObligationKind, `owner` a member at level 1 and for FARES, a beneficiary for EARNED."""

_Place = tuple[int, int, int, int]
"""Level, account, owner, reason."""


def post(sums: Records, positions: Balances, earned: Balances) -> Records:
    """Post sums of obligations (SUM_DTYPE) on these balances: POSTING_DTYPE, in order of level, account, owner, reason."""
    amounts: dict[_Place, int] = {}
    for row in sums:
        level, reason, amount_fen = int(row["level"]), int(row["kind"]), int(row["amount_fen"])
        for party, fen in ((int(row["debtor"]), -amount_fen), (int(row["creditor"]), amount_fen)):
            place = (level, int(_account(level, party)), party, reason)
            amounts[place] = amounts.get(place, 0) + fen
    return _with_balances(amounts, _opening(positions, earned))


def _account(level: int, party: int) -> Account:
    if level == Level.MEMBERS:
        return Account.POSITION
    return Account.EARNED if party >= FIRST_BENEFICIARY else Account.FARES


def balances_after(balances: Balances, postings: Records, account: Account) -> Balances:
    """The balances of one kind of account once these lines are posted."""
    after = dict(balances)
    for line in postings[postings["account"] == account]:
        after[int(line["owner"])] = int(line["after_fen"])
    return tuple(sorted(after.items()))


def _opening(positions: Balances, earned: Balances) -> dict[tuple[int, int], int]:
    """Balances by account and owner; what beneficiaries have earned is what their hosts' FARES owe."""
    opening = {(int(Account.POSITION), member): fen for member, fen in positions}
    for beneficiary, fen in earned:
        opening[int(Account.EARNED), beneficiary] = fen
        fares = (int(Account.FARES), beneficiary >> 8)
        opening[fares] = opening.get(fares, 0) - fen
    return opening


def _with_balances(amounts: dict[_Place, int], opening: dict[tuple[int, int], int]) -> Records:
    lines = no_rows(POSTING_DTYPE) if not amounts else np.zeros(len(amounts), POSTING_DTYPE)
    balance = dict(opening)
    for line, (place, fen) in zip(lines, sorted(amounts.items()), strict=True):
        level, account, owner, reason = place
        before = balance.get((account, owner), 0)
        balance[account, owner] = before + fen
        line["level"], line["account"], line["owner"], line["reason"] = level, account, owner, reason
        line["amount_fen"], line["before_fen"], line["after_fen"] = fen, before, before + fen
    return lines

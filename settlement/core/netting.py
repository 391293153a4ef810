"""Net: what all obligations between members leave each of them to pay or to receive."""

from settlement.core.columns import Level, Records


def net(sums: Records) -> dict[int, int]:
    """Each member's change of position in fen, to receive being positive: level 1 of SUM_DTYPE rows; the changes sum to zero."""
    change: dict[int, int] = {}
    for row in sums[sums["level"] == Level.MEMBERS]:
        debtor, creditor, amount_fen = int(row["debtor"]), int(row["creditor"]), int(row["amount_fen"])
        change[debtor] = change.get(debtor, 0) - amount_fen
        change[creditor] = change.get(creditor, 0) + amount_fen
    return dict(sorted(change.items()))


def net_debits_fen(sums: Records) -> int:
    """What the debtors owe after netting, all together: the money that would have to move."""
    return sum(max(0, -change) for change in net(sums).values())

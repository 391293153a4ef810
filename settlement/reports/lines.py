"""The lines of each report out of cleared windows: numbers in, named values out."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from fare_chain.events import WindowEntry
from settlement.reports.tables import Line


def window_net_lines(
    window: WindowEntry, moved: Mapping[int, tuple[int, int]], names: Mapping[int, str], member: int | None
) -> Iterator[Line]:
    """A window's lines: `moved` gives (receivable, payable) fen by member; all members, or the one asked for."""
    check = sum(receivable - payable for receivable, payable in moved.values())
    for number, position_fen in window.positions:
        if member is not None and number != member:
            continue
        receivable, payable = moved.get(number, (0, 0))
        yield {
            "second": window.second,
            "seconds": window.seconds,
            "recorded": datetime.fromtimestamp(window.second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "member": names.get(number, str(number)),
            "journeys": window.journeys,
            "receivable_fen": receivable,
            "payable_fen": payable,
            "net_fen": receivable - payable,
            "position_after_fen": position_fen,
            "sum_check_fen": check,
            "state_root": window.state_root.hex(),
        }


def pair_matrix_line(row: Any, names: Mapping[int, str]) -> Line:
    """One pair's line; the net is what the debtor owes the creditor once commission is set off."""
    return {
        "debtor": names.get(row.debtor, str(row.debtor)),
        "creditor": names.get(row.creditor, str(row.creditor)),
        "journeys": int(row.journeys),
        "fare_fen": int(row.fare_fen),
        "commission_fen": int(row.commission_fen),
        "fee_fen": int(row.fee_fen),
        "net_fen": int(row.fare_fen) - int(row.commission_fen) + int(row.fee_fen),
    }

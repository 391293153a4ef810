"""The reports by name: their number in the scheme's catalogue, their columns, and what each column sums to."""

from dataclasses import dataclass

from fare_chain.errors import Unknown


@dataclass(frozen=True, slots=True)
class Report:
    """One report: `columns` in order; those in `summed` have a total in the last row. Money is in fen."""

    name: str
    number: str
    title_zh: str
    title_en: str
    columns: tuple[str, ...]
    summed: tuple[str, ...]


WINDOW_NET = Report(
    "window-net",
    "R01",
    "逐秒轧差单",
    "Net of each window",
    (
        *("second", "seconds", "recorded", "member", "journeys", "receivable_fen", "payable_fen", "net_fen"),
        *("position_after_fen", "sum_check_fen", "state_root"),
    ),
    ("receivable_fen", "payable_fen", "net_fen"),
)
"""One line a member and window; `journeys` counts the window's, `sum_check_fen` is the sum of all members' net: always 0."""

PAIR_MATRIX = Report(
    "pair-matrix",
    "R02",
    "城际应收应付",
    "What issuers owe hosts",
    ("debtor", "creditor", "journeys", "fare_fen", "commission_fen", "fee_fen", "net_fen"),
    ("journeys", "fare_fen", "commission_fen", "fee_fen", "net_fen"),
)
"""One line a pair over the whole span: fares owed by the issuer less the commission that the host owes it; fees to `scheme`."""

REPORTS = {report.name: report for report in (WINDOW_NET, PAIR_MATRIX)}


def find_report(name: str) -> Report:
    """The report of that name; Unknown lists those there are."""
    if name not in REPORTS:
        raise Unknown(f"there is no report {name!r}: choose one of {', '.join(REPORTS)}")
    return REPORTS[name]

"""Which lines make which report."""

from settlement.reports import catalogue
from settlement.reports.facts import Asked
from settlement.reports.journey_lines import Fees, JourneyDetail, OperatorRevenue
from settlement.reports.split_lines import ClearingDetail, RoundingDrift
from settlement.reports.statement_lines import Statement
from settlement.reports.tap_lines import Exceptions, TapDetail, Versions
from settlement.reports.window_lines import ChainProof, LinesOfWindows, Liquidity, Pairs, WindowNet

_MAKERS: dict[str, type[LinesOfWindows]] = {
    catalogue.WINDOW_NET.name: WindowNet,
    catalogue.INTER_CITY_POSITION.name: Pairs,
    catalogue.PAIR_MATRIX.name: Pairs,
    catalogue.MEMBER_STATEMENT.name: Statement,
    catalogue.JOURNEY_DETAIL.name: JourneyDetail,
    catalogue.LIQUIDITY.name: Liquidity,
    catalogue.CHAIN_PROOF.name: ChainProof,
    catalogue.ROUNDING_DRIFT.name: RoundingDrift,
    catalogue.FEES.name: Fees,
    catalogue.EXCEPTIONS.name: Exceptions,
    catalogue.TAP_DETAIL.name: TapDetail,
    catalogue.CLEARING_DETAIL.name: ClearingDetail,
    catalogue.OPERATOR_REVENUE.name: OperatorRevenue,
    catalogue.VERSIONS.name: Versions,
}
assert _MAKERS.keys() == catalogue.REPORTS.keys()


def maker_of(asked: Asked) -> LinesOfWindows:
    """What makes the lines of a report that was asked for."""
    return _MAKERS[asked.report.name](asked)

"""The reports by name, as data: number, titles and columns in Chinese and English, who may pull them, in which forms.

Numbers and names are the scheme's. A report stands here only where the ledger has what it tells: adjustments (R05), limits (R06),
disputes (R08), reconciliation (R09), payment cycles (R10) and station modes (R19) do not exist yet.
"""

from dataclasses import dataclass
from enum import Enum

from fare_chain.errors import Malformed, Unknown

SCHEMA = 1
"""Raised by every change of what a report's columns are or mean."""


class Kind(Enum):
    """What a column holds, and so how it is shown."""

    FEN = "fen"
    COUNT = "count"
    PPM = "ppm"
    SECOND = "second"
    SECONDS = "seconds"
    METRES = "metres"
    MOMENT = "moment"
    DAY = "day"
    STATION = "station"
    PARTY = "party"
    HEX = "hex"
    TEXT = "text"


NUMBERS = frozenset({Kind.FEN, Kind.COUNT, Kind.PPM, Kind.SECOND, Kind.SECONDS, Kind.METRES})
"""Kinds whose values are whole numbers; all others are text."""


class Readers(Enum):
    """Who may pull a report: anybody; the member that it is for; the host whose operators it is about."""

    PUBLIC = "public"
    MEMBER = "member"
    HOST = "host"


class Needs(Enum):
    """What of a window a report is made of."""

    WINDOWS = "windows"
    SUMS = "sums"
    TICKS = "ticks"
    TAPS = "taps"
    REGISTER = "register"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in files, its headings, what it holds, and whether the last row has its total."""

    name: str
    zh: str
    en: str
    kind: Kind
    summed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `bases` and `per` begin with what holds where nobody asks otherwise; `per` is empty where no row is a span."""

    name: str
    number: str
    title_zh: str
    title_en: str
    columns: tuple[Column, ...]
    needs: frozenset[Needs]
    readers: Readers = Readers.PUBLIC
    bases: tuple[str, ...] = ("settlement",)
    per: tuple[str, ...] = ()
    forms: tuple[str, ...] = ("csv", "json", "xlsx")

    @property
    def summed(self) -> tuple[str, ...]:
        """The columns that have a total."""
        return tuple(column.name for column in self.columns if column.summed)


_BOTH = ("settlement", "event")
_SPANS = ("day", "span", "hour", "second")
_EXPLAINED = {
    "member": ("成员", "Member", Kind.PARTY),
    "debtor": ("应付方", "Debtor", Kind.PARTY),
    "creditor": ("应收方", "Creditor", Kind.PARTY),
    "host": ("乘车城市", "Host", Kind.PARTY),
    "issuer": ("发码城市", "Issuer", Kind.PARTY),
    "beneficiary": ("受益方", "Beneficiary", Kind.PARTY),
    "journey_id": ("行程号", "Journey", Kind.HEX),
    "version": ("版本", "Version", Kind.COUNT),
    "medium": ("介质", "Medium", Kind.HEX),
    "second": ("记帐秒", "Second", Kind.SECOND),
    "recorded": ("记帐时间", "Recorded", Kind.MOMENT),
    "state_root": ("状态根", "State root", Kind.HEX),
    "delta_root": ("增量根", "Delta root", Kind.HEX),
    "rules_hash": ("规则哈希", "Rules hash", Kind.HEX),
    "begins": ("起始", "Begins", Kind.MOMENT),
    "day": ("日期", "Day", Kind.DAY),
    "service_day": ("运营日", "Service day", Kind.DAY),
    "tariff": ("票价版本", "Tariff version", Kind.TEXT),
    "station": ("车站", "Station", Kind.STATION),
    "gate": ("闸机", "Gate", Kind.COUNT),
    "gate_seq": ("闸机流水号", "Gate sequence", Kind.COUNT),
    "kind": ("类型", "Kind", Kind.TEXT),
    "tapped": ("刷码时间", "Tapped", Kind.MOMENT),
    "entry_index": ("账本序号", "Entry index", Kind.COUNT),
}
"""Columns that several reports share: the same name is the same thing everywhere."""


def _shared(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, *_EXPLAINED[name]) for name in names)


def _fen(name: str, zh: str, en: str, *, summed: bool = True) -> Column:
    return Column(name, zh, en, Kind.FEN, summed)


def _count(name: str, zh: str, en: str, *, summed: bool = True) -> Column:
    return Column(name, zh, en, Kind.COUNT, summed)


_SECONDS = Column("seconds", "秒数", "Seconds", Kind.SECONDS)
_JOURNEYS = _count("journeys", "行程数", "Journeys")
_FARE = _fen("fare_fen", "票款", "Fare")
_COMMISSION = _fen("commission_fen", "手续费", "Commission")
_FEE = _fen("fee_fen", "清分服务费", "Scheme fee")

WINDOW_NET = Report(
    "window-net",
    "R01",
    "逐秒轧差单",
    "Net of each window",
    (
        *_shared("second"),
        _SECONDS,
        *_shared("recorded", "member"),
        _count("journeys", "行程数", "Journeys", summed=False),
        _fen("receivable_fen", "应收", "Receivable"),
        _fen("payable_fen", "应付", "Payable"),
        _fen("net_fen", "净额", "Net"),
        _fen("position_after_fen", "轧差后头寸", "Position after", summed=False),
        _fen("sum_check_fen", "合计校验", "Sum check", summed=False),
        *_shared("state_root"),
    ),
    frozenset({Needs.SUMS}),
)
"""One line a member and window; `journeys` counts the window's, `sum_check_fen` is the sum of all members' net: always 0."""

_PAIR = (
    *_shared("debtor", "creditor"),
    _JOURNEYS,
    _FARE,
    _COMMISSION,
    _FEE,
    _fen("adjustment_fen", "调整", "Adjustments"),
    _fen("net_fen", "净额", "Net"),
)

INTER_CITY_POSITION = Report(
    "inter-city-position",
    "R02",
    "城际应收应付",
    "What issuers owe hosts",
    (*_shared("begins"), *_PAIR, _fen("cumulative_fen", "累计净额", "Cumulative net", summed=False)),
    frozenset({Needs.SUMS}),
    bases=_BOTH,
    per=_SPANS,
)
"""One line a pair and span: fares owed by the issuer less the commission that the host owes it; fees to `scheme`."""

PAIR_MATRIX = Report(
    "pair-matrix",
    "R02",
    "城际应收应付汇总",
    "What issuers owe hosts, over the whole span",
    _PAIR,
    frozenset({Needs.SUMS}),
    bases=_BOTH,
)
"""The same, one line a pair."""

MEMBER_STATEMENT = Report(
    "member-statement",
    "R03",
    "清算对账单",
    "Statement of a member",
    (
        *_shared("day", "member"),
        _fen("opening_fen", "期初头寸", "Opening position", summed=False),
        _fen("fares_credit_fen", "应收票款", "Fares to receive"),
        _fen("fares_debit_fen", "应付票款", "Fares to pay"),
        _fen("commission_credit_fen", "应收手续费", "Commission to receive"),
        _fen("commission_debit_fen", "应付手续费", "Commission to pay"),
        _fen("fees_credit_fen", "应收服务费", "Scheme fees to receive"),
        _fen("fees_debit_fen", "应付服务费", "Scheme fees to pay"),
        _fen("adjustments_credit_fen", "应收调整", "Adjustments to receive"),
        _fen("adjustments_debit_fen", "应付调整", "Adjustments to pay"),
        _fen("net_fen", "当期净额", "Net"),
        _fen("closing_fen", "期末头寸", "Closing position", summed=False),
        _count("fares_credit_n", "应收笔数", "Fares to receive, count"),
        _count("fares_debit_n", "应付笔数", "Fares to pay, count"),
        Column("seconds", "秒数", "Seconds covered", Kind.SECONDS),
    ),
    frozenset({Needs.SUMS}),
    forms=("csv", "json", "xlsx", "pdf"),
)
"""One line a day and member: closing = opening + net; a whole day covers 86,400 seconds."""

JOURNEY_DETAIL = Report(
    "journey-detail",
    "R04",
    "行程明细",
    "Journeys",
    (
        *_shared("journey_id", "version", "medium", "host", "issuer"),
        Column("category", "类别", "Category", Kind.TEXT),
        _count("legs", "段数", "Legs", summed=False),
        Column("from_station", "进站", "From", Kind.STATION),
        Column("to_station", "出站", "To", Kind.STATION),
        Column("entered", "进站时间", "Entered", Kind.MOMENT),
        Column("exited", "出站时间", "Exited", Kind.MOMENT),
        Column("distance_m", "计费里程", "Distance", Kind.METRES),
        *_shared("tariff"),
        _fen("nominal_fen", "应付票价", "Nominal fare"),
        _fen("discount_fen", "优惠", "Discount"),
        Column("funded_by", "优惠承担方", "Funded by", Kind.TEXT),
        _fen("surcharge_fen", "附加费", "Surcharge"),
        _fen("payable_fen", "乘客实付", "Payable by the rider"),
        _FARE,
        _COMMISSION,
        _FEE,
        Column("state", "状态", "State", Kind.TEXT),
        *_shared("second"),
        Column("late_s", "迟到秒数", "Late by", Kind.SECONDS),
    ),
    frozenset({Needs.TICKS}),
    Readers.MEMBER,
    _BOTH,
)
"""One line a journey of which the member is host or issuer; `late_s` lies between its exit and its window, if 2 s or more."""

LIQUIDITY = Report(
    "liquidity",
    "R07",
    "流动性节约",
    "What netting saves",
    (
        *_shared("begins"),
        _SECONDS,
        _count("windows", "窗口数", "Windows"),
        _fen("gross_fen", "轧差前总额", "Gross"),
        _fen("net_fen", "轧差后净额", "Net debits"),
        _fen("saved_fen", "节约额", "Saved"),
        Column("saving_ppm", "节约率(百万分比)", "Saving ratio, millionths", Kind.PPM),
    ),
    frozenset({Needs.SUMS}),
    per=("hour", "second", "day", "span"),
)
"""One line a span: fares owed before netting, what all debtors together owed after it in each window, and the difference."""

CHAIN_PROOF = Report(
    "chain-proof",
    "R11",
    "账本存证",
    "The chain of windows",
    (
        *_shared("second"),
        _SECONDS,
        Column("from_index", "起始序号", "From entry", Kind.COUNT),
        Column("to_index", "结束序号", "To entry (excluded)", Kind.COUNT),
        *_shared("delta_root", "rules_hash", "state_root", "entry_index"),
        Column("checkpoint_size", "检查点", "Checkpoint that covers it", Kind.COUNT),
    ),
    frozenset({Needs.WINDOWS}),
)
"""One line a window: where it stands on the ledger, its roots, and the size of the first checkpoint over its entry."""

ROUNDING_DRIFT = Report(
    "rounding-drift",
    "R12",
    "尾差",
    "Rounding drift",
    (
        *_shared("day", "beneficiary"),
        _JOURNEYS,
        Column("exact_fen", "精确份额", "Exact share (rational)", Kind.TEXT),
        _fen("received_fen", "实得份额", "Received"),
        Column("drift_fen", "尾差", "Drift (rational)", Kind.TEXT),
        _count("by_marker_journeys", "按标记清分行程数", "Journeys split by markers"),
        _fen("by_marker_fen", "按标记清分金额", "Received by markers"),
    ),
    frozenset({Needs.TICKS}),
    Readers.HOST,
    _BOTH,
)
"""One line a day and beneficiary: what its weights make of the fares exactly, and what the drawn points gave it.

Rides split along proven markers stand apart: their weights follow from marker taps and not from a table.
"""

FEES = Report(
    "fees",
    "R13",
    "服务费",
    "Commission and scheme fees",
    (
        *_shared("day", "kind"),
        Column("payer", "付款方", "Payer", Kind.PARTY),
        Column("payee", "收款方", "Payee", Kind.PARTY),
        Column("agreement", "协议生效", "Agreement from", Kind.MOMENT),
        Column("rate", "费率", "Rate", Kind.TEXT),
        _count("journeys", "行程数", "Journeys", summed=False),
        _fen("basis_fen", "计费基数", "Basis", summed=False),
        _fen("fee_fen", "费用", "Fee"),
    ),
    frozenset({Needs.TICKS}),
    bases=_BOTH,
)
"""One line a day, kind, pair and agreement: commission by millionths of the fare, the scheme's fee by fen of a journey.

Both kinds may be about the same journeys, so that these and their fares have no total.
"""

EXCEPTIONS = Report(
    "exceptions",
    "R14",
    "单边与可疑帐",
    "One-sided and refused taps",
    (
        Column("view", "类别", "View", Kind.TEXT),
        Column("reason", "原因", "Reason", Kind.TEXT),
        Column("missing", "缺失边", "Missing side", Kind.TEXT),
        *_shared("host", "station", "gate", "gate_seq", "kind", "issuer", "medium", "tapped"),
        Column("age_s", "账龄(秒)", "Age", Kind.SECONDS),
    ),
    frozenset({Needs.TICKS, Needs.REGISTER}),
    Readers.MEMBER,
)
"""First the taps that clearing refused in the span, each with its numbered reason; then those that wait for their other side.

What waits is told as of the report's ledger size, whatever the span. The age is that of the tap at that size.
"""

TAP_DETAIL = Report(
    "tap-detail",
    "R15",
    "交易明细",
    "Taps",
    (
        *_shared("host", "station"),
        Column("line", "线路专用区", "Line with gates of its own", Kind.TEXT),
        *_shared("gate", "gate_seq", "kind", "issuer", "medium"),
        Column("category", "类别", "Category", Kind.TEXT),
        *_shared("tapped", "recorded", "service_day"),
        Column("mode", "车站模式", "Station mode", Kind.TEXT),
        Column("key_id", "批次密钥", "Batch key", Kind.HEX),
        Column("batch_seq", "批次号", "Batch", Kind.COUNT),
        *_shared("entry_index"),
        Column("tap", "批内序号", "Tap in its batch", Kind.COUNT),
    ),
    frozenset({Needs.TAPS}),
    Readers.MEMBER,
    _BOTH,
)
"""One line a tap of which the member is host or issuer, in the order of the ledger."""

CLEARING_DETAIL = Report(
    "clearing-detail",
    "R16",
    "清分明细",
    "How each fare was split",
    (
        *_shared("journey_id", "version", "host", "issuer", "beneficiary", "tariff"),
        Column("weight_set", "权重组", "Weight set", Kind.COUNT),
        Column("weight", "权重", "Weight", Kind.TEXT),
        Column("weights_total", "权重合计", "Sum of weights", Kind.TEXT),
        Column("draw", "抽取点", "Draw", Kind.TEXT),
        _FARE,
        _fen("amount_fen", "份额", "Share"),
        *_shared("second"),
    ),
    frozenset({Needs.TICKS}),
    Readers.MEMBER,
    _BOTH,
)
"""One line a share. `fare_fen` stands in the first line of its journey and is 0 in the others, so that both totals agree.

Weights are empty where marker taps proved the path: `fare-chain explain` tells them.
"""

OPERATOR_REVENUE = Report(
    "operator-revenue",
    "R17",
    "收益日报",
    "What operators earned",
    (
        *_shared("service_day"),
        Column("settlement_day", "清算日", "Settlement day", Kind.DAY),
        *_shared("beneficiary"),
        _count("own_n", "本地码笔数", "Shares of own riders, count"),
        _count("visitors_n", "异地码笔数", "Shares of visitors, count"),
        _fen("own_fen", "本地码收益", "Of own riders"),
        _fen("visitors_fen", "异地码收益", "Of visitors"),
        _fen("gross_fen", "收益合计", "Gross"),
    ),
    frozenset({Needs.TICKS}),
    Readers.HOST,
    _BOTH,
)
"""One line a service day, settlement day and beneficiary; a host's `visitors_fen` sum to what issuers owe it at level 1."""

VERSIONS = Report(
    "versions",
    "R18",
    "密钥与参数版本",
    "Keys and tables in force",
    (
        Column("what", "类别", "What", Kind.TEXT),
        Column("owner", "所有者", "Owner", Kind.PARTY),
        Column("use", "用途", "Use", Kind.TEXT),
        Column("id", "标识", "Id", Kind.HEX),
        Column("valid_from", "生效", "Valid from", Kind.MOMENT),
        Column("valid_to", "失效", "Valid to", Kind.MOMENT),
        Column("in_force", "是否有效", "In force", Kind.TEXT),
        Column("published", "发布时间", "Published", Kind.MOMENT),
        *_shared("entry_index"),
        Column("age_s", "账龄(秒)", "Age", Kind.SECONDS),
    ),
    frozenset({Needs.REGISTER}),
)
"""One line a KEY or TARIFF entry below the report's ledger size, whatever the span; in force at the moment of that size."""

REPORTS = {
    report.name: report
    for report in (
        *(WINDOW_NET, INTER_CITY_POSITION, PAIR_MATRIX, MEMBER_STATEMENT, JOURNEY_DETAIL, LIQUIDITY, CHAIN_PROOF, ROUNDING_DRIFT),
        *(FEES, EXCEPTIONS, TAP_DETAIL, CLEARING_DETAIL, OPERATOR_REVENUE, VERSIONS),
    )
}


def find_report(name: str) -> Report:
    """The report of that name; Unknown lists those there are."""
    if name not in REPORTS:
        raise Unknown(f"there is no report {name!r}: choose one of {', '.join(REPORTS)}")
    return REPORTS[name]


def choose(what: str, given: str | None, allowed: tuple[str, ...]) -> str:
    """The value asked for, or the first that is allowed; Malformed where another is asked for, "" where there is no choice."""
    if not allowed:
        allowed = ("",)
    if given in (None, ""):
        return allowed[0]
    if given not in allowed:
        raise Malformed(f"{what} is {given!r}, expected {' or '.join(allowed) or 'nothing: this report has no choice of it'}")
    assert given is not None
    return given

"""Lines of a member's statement: days of windows, opened and closed where the windows stand."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from settlement.core.columns import ObligationKind
from settlement.reports.facts import Asked, EndFacts, Owed, WindowFacts, day_text
from settlement.reports.spans import Spans
from settlement.reports.tally import Line
from settlement.reports.window_lines import LinesOfWindows, Sums


class Statement(LinesOfWindows):
    """R03: days of windows; every member, or the one asked for."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.spans = Spans.of(asked, "day")
        self.day: _Day | None = None

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """A day is complete when a window of the next comes; a run of empty seconds may reach over several."""
        window = facts.window
        moved = _moved(facts.owed)
        before = {member: fen - moved.net(member) for member, fen in window.positions}
        for begin, seconds in self.spans.pieces(window.second, window.seconds):
            if self.day is not None and self.day.begin != begin:
                yield from self._lines(self.day)
                self.day = None
            if self.day is None:
                self.day = _Day(begin, before)
            self.day.seconds += seconds
        assert self.day is not None
        # Money moves in windows of one second alone, so that all of it belongs to the last day reached.
        self.day.moved.include(moved)
        self.day.closing = dict(window.positions)

    def finish(self, end: EndFacts) -> Iterator[Line]:  # noqa: ARG002
        """The last day, as far as it is asked for."""
        if self.day is not None:
            yield from self._lines(self.day)

    def _lines(self, day: "_Day") -> Iterator[Line]:
        # A day without an own window at its end: the next window's opening is its closing.
        closing = day.closing or day.opening
        for member in sorted(closing):
            if not self.is_about(member):
                continue
            line: dict[str, int | str] = {
                "day": day_text((day.begin + self.spans.offset_s) // self.spans.length_s),
                "member": self.names.member(member),
                "opening_fen": day.opening.get(member, 0),
            }
            for name, kinds in _MOVED:
                line[f"{name}_credit_fen"] = day.moved.credit(member, kinds)
                line[f"{name}_debit_fen"] = day.moved.debit(member, kinds)
            line |= {
                "net_fen": day.moved.net(member),
                "closing_fen": closing[member],
                "fares_credit_n": day.moved.counted_credit.get(member, 0),
                "fares_debit_n": day.moved.counted_debit.get(member, 0),
                "seconds": day.seconds,
            }
            yield line


_FARES, _COMMISSIONS, _FEES = int(ObligationKind.FARE), int(ObligationKind.COMMISSION), int(ObligationKind.FEE)
_OTHER = -1
_MOVED = (("fares", _FARES), ("commission", _COMMISSIONS), ("fees", _FEES), ("adjustments", _OTHER))
"""How a statement sorts what moved; whatever is no fare, commission or fee is an adjustment."""


@dataclass(slots=True)
class _Moved:
    """Fen received and paid by (member, kind), and how many fares."""

    received: Sums = field(default_factory=Sums)
    paid: Sums = field(default_factory=Sums)
    counted_credit: Sums = field(default_factory=Sums)
    counted_debit: Sums = field(default_factory=Sums)

    def credit(self, member: int, kind: int) -> int:
        return self.received.get((member, kind), 0)

    def debit(self, member: int, kind: int) -> int:
        return self.paid.get((member, kind), 0)

    def net(self, member: int) -> int:
        return sum(self.credit(member, kind) - self.debit(member, kind) for _name, kind in _MOVED)

    def include(self, other: "_Moved") -> None:
        for own, more in (
            (self.received, other.received),
            (self.paid, other.paid),
            (self.counted_credit, other.counted_credit),
            (self.counted_debit, other.counted_debit),
        ):
            for key, amount in more.items():
                own.add(key, amount)


def _moved(many: tuple[Owed, ...]) -> _Moved:
    moved = _Moved()
    for owed in many:
        kind = owed.kind if owed.kind in (_FARES, _COMMISSIONS, _FEES) else _OTHER
        moved.received.add((owed.creditor, kind), owed.amount_fen)
        moved.paid.add((owed.debtor, kind), owed.amount_fen)
        if kind == _FARES:
            moved.counted_credit.add(owed.creditor, owed.journeys)
            moved.counted_debit.add(owed.debtor, owed.journeys)
    return moved


@dataclass(slots=True)
class _Day:
    begin: int
    opening: dict[int, int]
    closing: dict[int, int] = field(default_factory=dict)
    seconds: int = 0
    moved: _Moved = field(default_factory=_Moved)

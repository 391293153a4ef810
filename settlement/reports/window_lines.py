"""Lines out of windows and what members owed each other in them: nets, pairs, what netting saves, the chain."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from settlement.core.columns import ObligationKind, Records, pick
from settlement.reports.facts import SECOND_US, Asked, EndFacts, Names, Owed, WindowFacts, moment
from settlement.reports.spans import Spans
from settlement.reports.tally import Line

_PPM = 1_000_000


class LinesOfWindows(ABC):
    """One line or more for each window, as it comes."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.names: Names = asked.names()

    @abstractmethod
    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """The lines that are ready once this window is known; windows come in order."""

    def finish(self, end: EndFacts) -> Iterator[Line]:  # noqa: ARG002  most lines need nothing of the end
        """The lines that had to wait for the last window."""
        return iter(())

    def is_about(self, *parties: int) -> bool:
        """Whether the report is for one of these members, or for all."""
        return self.asked.party is None or self.asked.party in parties


class WindowNet(LinesOfWindows):
    """R01."""

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """A line for each member."""
        window, receivable, payable = facts.window, Sums(), Sums()
        for owed in facts.owed:
            receivable.add(owed.creditor, owed.amount_fen)
            payable.add(owed.debtor, owed.amount_fen)
        check = sum(receivable.values()) - sum(payable.values())
        for member, position_fen in window.positions:
            if self.is_about(member):
                yield {
                    "second": window.second,
                    "seconds": window.seconds,
                    "recorded": moment(window.second * SECOND_US),
                    "member": self.names.member(member),
                    "journeys": window.journeys,
                    "receivable_fen": receivable.get(member, 0),
                    "payable_fen": payable.get(member, 0),
                    "net_fen": receivable.get(member, 0) - payable.get(member, 0),
                    "position_after_fen": position_fen,
                    "sum_check_fen": check,
                    "state_root": window.state_root.hex(),
                }


class ChainProof(LinesOfWindows):
    """R11."""

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """One line."""
        window = facts.window
        yield {
            "second": window.second,
            "seconds": window.seconds,
            "from_index": window.from_index,
            "to_index": window.to_index,
            "delta_root": window.delta_root.hex(),
            "rules_hash": window.rules_hash.hex(),
            "state_root": window.state_root.hex(),
            "entry_index": facts.entry_index,
            "checkpoint_size": facts.checkpoint_size,
        }


class Pairs(LinesOfWindows):
    """R02: by settlement the sums of each span's windows, by event the journeys whose exit lies in it."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.spans = Spans.of(asked, asked.per or "span")
        self.by_span: dict[int, dict[tuple[int, int], _Pair]] = {}
        self.cumulative = Sums()

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """By settlement a span is complete when a window of the next comes; by event none is before the end."""
        if self.asked.by_event:
            for tick in facts.ticks:
                self._count(pick(tick.journeys, leaving_in(self.asked, tick.journeys)))
            return
        begin = self.spans.begin_of(facts.window.second)
        for earlier in [known for known in self.by_span if known != begin]:
            yield from self._lines(earlier)
        pairs = self.by_span.setdefault(begin, {})
        for owed in facts.owed:
            _add(pairs, owed)

    def finish(self, end: EndFacts) -> Iterator[Line]:  # noqa: ARG002
        """The spans that are left."""
        for begin in sorted(self.by_span):
            yield from self._lines(begin)

    def _count(self, journeys: Records) -> None:
        for owed, second in _owed_by(journeys, self.spans):
            _add(self.by_span.setdefault(second, {}), owed)

    def _lines(self, begin: int) -> Iterator[Line]:
        for (debtor, creditor), pair in sorted(self.by_span.pop(begin).items()):
            if not self.is_about(debtor, creditor):
                continue
            net_fen = pair.fare_fen - pair.commission_fen + pair.fee_fen + pair.adjustment_fen
            self.cumulative.add((debtor, creditor), net_fen)
            yield {
                "begins": moment(begin * SECOND_US),
                "debtor": self.names.member(debtor),
                "creditor": self.names.member(creditor),
                "journeys": pair.journeys,
                "fare_fen": pair.fare_fen,
                "commission_fen": pair.commission_fen,
                "fee_fen": pair.fee_fen,
                "adjustment_fen": pair.adjustment_fen,
                "net_fen": net_fen,
                "cumulative_fen": self.cumulative[debtor, creditor],
            }


class Liquidity(LinesOfWindows):
    """R07."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.spans = Spans.of(asked, asked.per)
        self.sums: dict[int, list[int]] = {}

    def take(self, facts: WindowFacts) -> Iterator[Line]:
        """A span is complete when a window of the next comes."""
        window = facts.window
        for at, (begin, seconds) in enumerate(self.spans.pieces(window.second, window.seconds)):
            for earlier in [known for known in self.sums if known < begin]:
                yield self._line(earlier)
            span = self.sums.setdefault(begin, [0, 0, 0, 0])
            added = (seconds, 1, window.gross_fen, window.net_fen) if at == 0 else (seconds, 0, 0, 0)
            self.sums[begin] = [held + more for held, more in zip(span, added, strict=True)]

    def finish(self, end: EndFacts) -> Iterator[Line]:  # noqa: ARG002
        """The spans that are left."""
        for begin in sorted(self.sums):
            yield self._line(begin)

    def _line(self, begin: int) -> Line:
        seconds, windows, gross_fen, net_fen = self.sums.pop(begin)
        saved_fen = gross_fen - net_fen
        return {
            "begins": moment(begin * SECOND_US),
            "seconds": seconds,
            "windows": windows,
            "gross_fen": gross_fen,
            "net_fen": net_fen,
            "saved_fen": saved_fen,
            "saving_ppm": saved_fen * _PPM // gross_fen if gross_fen else 0,
        }


def leaving_in(asked: Asked, journeys: Records) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mark the journeys of a known window that belong into a report: all by settlement, those whose exit lies in it by event."""
    if not asked.by_event:
        return np.ones(len(journeys), np.bool_)
    exited_at_us = journeys["exited_at_us"]
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]]
    inside = (exited_at_us >= asked.from_second * SECOND_US) & (exited_at_us < asked.to_second * SECOND_US)
    return inside


class Sums(dict[int | tuple[int, int], int]):
    """Amounts by key."""

    def add(self, key: int | tuple[int, int], amount: int) -> None:
        """Add to what stands there, 0 before."""
        self[key] = self.get(key, 0) + amount


@dataclass(slots=True)
class _Pair:
    journeys: int = 0
    fare_fen: int = 0
    commission_fen: int = 0
    fee_fen: int = 0
    adjustment_fen: int = 0


def _add(pairs: dict[tuple[int, int], _Pair], owed: Owed) -> None:
    """Add a sum to its pair (issuer, host); the commission runs the other way, the fee from issuer to scheme names no host."""
    commission = owed.kind == ObligationKind.COMMISSION
    parties = (owed.creditor, owed.debtor) if commission else (owed.debtor, owed.creditor)
    pair = pairs.setdefault(parties, _Pair())
    if commission:
        pair.commission_fen += owed.amount_fen
    elif owed.kind == ObligationKind.FEE:
        pair.fee_fen += owed.amount_fen
    elif owed.kind == ObligationKind.FARE:
        pair.journeys += owed.journeys
        pair.fare_fen += owed.amount_fen
    else:
        pair.adjustment_fen += owed.amount_fen


def _owed_by(journeys: Records, spans: Spans) -> Iterator[tuple[Owed, int]]:
    """What journeys of visitors make owed at level 1, each by the span of its exit."""
    for journey in journeys[journeys["host"] != journeys["issuer"]]:
        host, issuer = int(journey["host"]), int(journey["issuer"])
        begin = spans.begin_of(int(journey["exited_at_us"]) // SECOND_US)
        for kind, debtor, creditor, name in (
            (ObligationKind.FARE, issuer, host, "fare_fen"),
            (ObligationKind.COMMISSION, host, issuer, "commission_fen"),
            (ObligationKind.FEE, issuer, 0, "fee_fen"),
        ):
            amount_fen = int(journey[name])
            if amount_fen > 0:
                yield Owed(int(kind), debtor, creditor, 1, amount_fen), begin

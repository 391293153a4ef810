"""A proof in words: what a file shows, line by line, for people who have nothing else."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from fare_chain.cleared_records import Journey, Sum
from fare_chain.events import WindowEntry
from fare_chain.inner_proofs import Proved
from fare_chain.window_proofs import ProvedJourney, ProvedLine, ProvedStatement

KINDS = {1: "fares", 2: "commission", 3: "fees", 4: "what corrections give back", 7: "fares of its own riders"}
_FUNDERS = {1: "the issuer", 2: "the host", 3: "a third party"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def in_words(proved: Proved) -> list[str]:
    """What is proved, for people: cities, stations and beneficiaries by number, moments in UTC, money in fen."""
    checkpoint, entry = proved.checkpoint, proved.entry
    said = [f"entry {entry.index} ({entry.kind.name}) stands in {checkpoint.origin} at size {checkpoint.size}"]
    if proved.tap is not None and proved.header is not None:
        shown = proved.tap
        said += [
            f"tap {proved.tap_number} of {proved.header.count} in city {proved.header.city}'s batch {proved.header.city_seq}",
            f"{shown.kind.name} at station {shown.station}, gate {shown.gate}, its tap {shown.gate_seq}, {shown.tapped_at_us} us",
            f"host {shown.host}, issuer {shown.issuer}, medium {shown.medium.hex()}",
        ]
    if proved.window is not None:
        said += _window(proved.window, proved.cleared)
    return said


def to_json(proved: Proved) -> dict[str, object]:
    """What is proved, for programs: money in fen, bytes as hex; `kind` says which of the other keys is there."""
    told: dict[str, object] = {"origin": proved.checkpoint.origin, "size": proved.checkpoint.size, "index": proved.entry.index}
    if proved.tap is not None:
        return told | {"kind": "tap", "tap": _plain(asdict(proved.tap))}
    if proved.window is None:
        return told | {"kind": "entry"}
    told |= {"second": proved.window.second, "seconds": proved.window.seconds}
    shown = proved.cleared
    if isinstance(shown, ProvedJourney):
        return told | {"kind": "journey", **_plain(asdict(shown))}
    if isinstance(shown, ProvedLine):
        return told | {"kind": "line", "amount_fen": shown.amount_fen, "complete": False, **_plain(asdict(shown))}
    if isinstance(shown, ProvedStatement):
        opening = None if shown.opening is None else shown.opening.second
        amounts = {name: getattr(shown, name) for name in ("owner", "is_member", "opening_fen", "closing_fen")}
        difference_fen = shown.closing_fen - shown.opening_fen
        return told | {"kind": "statement", "opening_second": opening, **amounts, "difference_fen": difference_fen}
    return told | {"kind": "window", "positions": {str(member): fen for member, fen in proved.window.positions}}


def _plain(value: Any) -> Any:
    """The same with bytes as hex, for JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(held) for name, held in value.items()}
    return [_plain(held) for held in value] if isinstance(value, list | tuple) else value


def _window(window: WindowEntry, cleared: ProvedJourney | ProvedLine | ProvedStatement | None) -> list[str]:
    if isinstance(cleared, ProvedJourney):
        return [f"{_second(window)}, one of its {window.journeys} journeys", *_journey(cleared)]
    if isinstance(cleared, ProvedLine):
        return [_second(window), *_line(cleared)]
    if isinstance(cleared, ProvedStatement):
        return _statement(cleared, window)
    said = [f"window {window.second} of {window.seconds} s: {window.journeys} journeys, {window.gross_fen} fen gross"]
    return [*said, *(f"member {member} stands at {fen} fen" for member, fen in window.positions)]


def _second(window: WindowEntry) -> str:
    return f"cleared in second {window.second} ({_moment(window.second * 1_000_000)})"


def _journey(shown: ProvedJourney) -> list[str]:
    journey = shown.journey
    return [
        f"journey {journey.journey_id.hex()} of medium {journey.medium.hex()}: host {journey.host}, issuer {journey.issuer}",
        f"in at station {journey.from_station}, gate {journey.from_gate}, {_moment(journey.entered_at_us)}",
        f"out at station {journey.to_station}, gate {journey.to_gate}, {_moment(journey.exited_at_us)}",
        f"{journey.distance_m} m, legs {journey.legs}, markers {journey.markers}, category {journey.category}",
        *_fare(journey),
        *(f"  {_beneficiary(share.owner)} earns {share.fen} fen" for share in shown.shares),
    ]


def _fare(journey: Journey) -> list[str]:
    paid_fen = journey.nominal_fen - journey.discount_fen + journey.surcharge_fen
    funder = f" (paid by {_FUNDERS.get(journey.funder, journey.funder)})" if journey.discount_fen else ""
    discount = f"discount {journey.discount_fen} fen{funder}"
    return [
        f"fare {journey.fare_fen} fen, the rider pays {paid_fen} fen",
        f"  nominal {journey.nominal_fen} fen, {discount}, surcharge {journey.surcharge_fen} fen",
        f"commission {journey.commission_fen} fen to the issuer, fee {journey.fee_fen} fen to the scheme",
    ]


def _line(shown: ProvedLine) -> list[str]:
    first: Sum = shown.sums[0]
    debtor, creditor = f"member {first.debtor}", f"member {first.creditor}"
    if first.level == 2:
        debtor, creditor = f"host {first.debtor}", _beneficiary(first.creditor)
    n = sum(each.n for each in shown.sums)
    return [
        f"{debtor} owes {creditor} {shown.amount_fen} fen of {KINDS.get(first.kind, f'kind {first.kind}')} (journeys: {n})",
        f"summed over so many ticks of that second: {len(shown.sums)}",
        "that nothing more was owed is not shown: a member's whole movement is the difference of two windows' positions",
    ]


def _statement(shown: ProvedStatement, window: WindowEntry) -> list[str]:
    who, what = (f"member {shown.owner}", "stands at") if shown.is_member else (_beneficiary(shown.owner), "has earned")
    begins = "before the log began"
    if shown.opening is not None:
        begins = f"after second {shown.opening.second + shown.opening.seconds - 1}"
    return [
        f"{who} {what} {shown.opening_fen} fen {begins}",
        f"{who} {what} {shown.closing_fen} fen after second {window.second + window.seconds - 1}",
        f"difference {shown.closing_fen - shown.opening_fen} fen",
    ]


def _beneficiary(number: int) -> str:
    return f"beneficiary {number >> 8}.{number & 0xFF}"


def _moment(at_us: int) -> str:
    """A moment in UTC to the microsecond; the number itself where no calendar has it."""
    try:
        return f"{(_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec='microseconds')[:-6]}Z"
    except OverflowError:
        return f"{at_us} us"

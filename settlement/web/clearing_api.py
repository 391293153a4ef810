"""Clearing over HTTP: health, status, windows, positions."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fare_chain.errors import Unknown
from fare_chain.events import read_window_entry
from settlement.store import books
from settlement.terms.standby import Standby
from settlement.web.answers import Json
from settlement.web.parts import Parts, parts_of

router = APIRouter()
_END_OF_TIME = 2**40
Second = Annotated[int, Query(ge=0, le=_END_OF_TIME)]


@router.get("/v1/health")
async def health(request: Request) -> Response:
    """Whether the house takes batches now; 503 while it starts."""
    parts = parts_of(request)
    return Json({"ready": True, "term": parts.sequencer.head.term})


@router.get("/v1/status")
async def status(request: Request) -> Response:
    """Where ledger and clearing stand: sizes, sums since the first entry, positions now, latencies since the house started."""
    parts = parts_of(request)
    clearing, finality = parts.clearing, parts.finality
    positions = {parts.members.get(member, str(member)): fen for member, fen in clearing.positions}
    return Json(
        {
            "origin": parts.sequencer.head.origin,
            "size": parts.sequencer.head.head.size,
            "cleared_to": 0 if clearing.state is None else clearing.state.next_index,
            **asdict(clearing.totals),
            "waiting_taps": 0 if clearing.state is None else len(clearing.state.waiting),
            "positions": positions,
            "positions_sum": sum(positions.values()),
            "latency_ms": {
                "p50": clearing.latencies.percentile_ms(50),
                "p99": clearing.latencies.percentile_ms(99),
                "taps": int(clearing.latencies.counts.sum()),
                "final_p50": None if finality is None else finality.latencies.percentile_ms(50),
                "final_p99": None if finality is None else finality.latencies.percentile_ms(99),
            },
            "final_size": 0 if finality is None else finality.size,
            "provisional": finality is None or finality.size < parts.sequencer.head.head.size,
            "cosigned_to": {} if finality is None else finality.cosigned_to,
            "anchored_size": 0 if finality is None else finality.anchored[0],
            "refused_by": {} if finality is None else finality.refused_by,
            "staged_batches": len(parts.sequencer.staging.batches),
            "standby": isinstance(parts.sequencer, Standby),
        }
    )


@router.get("/v1/windows")
async def windows(
    request: Request,
    from_second: Annotated[int, Query(alias="from", ge=0, le=_END_OF_TIME)] = 0,
    to_second: Annotated[int, Query(alias="to", ge=0, le=_END_OF_TIME)] = _END_OF_TIME,
    limit: Annotated[int, Query(ge=1, le=3600)] = 100,
) -> Response:
    """Windows that begin in [from, to), in order; go on with `from` = the last second + 1."""
    parts = parts_of(request)
    async with parts.engine.connect() as connection:
        rows = await books.read_windows(connection, from_second, to_second, limit)
    return Json({"windows": [_window(row.payload, parts) for row in rows]})


@router.get("/v1/windows/{second}")
async def window(request: Request, second: int) -> Response:
    """One window with the lines that it posted: by level and reason they sum to zero."""
    parts = parts_of(request)
    async with parts.engine.connect() as connection:
        rows = await books.read_windows(connection, second, second + 1, 1)
        if not rows:
            raise Unknown(f"no window begins at second {second}: it is open, or inside a run without entries")
        postings = await books.read_postings(connection, second)
    names = ("level", "account", "owner", "reason", "amount_fen", "before_fen", "after_fen")
    lines = [{name: getattr(line, name) for name in names} for line in postings]
    return Json(_window(rows[0].payload, parts) | {"postings": lines})


@router.get("/v1/cities/{city}/watermark")
async def watermark(request: Request, city: str) -> Response:
    """The sequence that the city's next batch must have, and the header hash that it must name."""
    parts = parts_of(request)
    tail = parts.sequencer.tail(_member(parts, city))
    return Json({"city": city, "next_seq": tail.next_seq, "prev_header": tail.header_hash.hex()})


def _member(parts: Parts, name: str) -> int:
    """A member's number by its name; Unknown lists the names."""
    numbers = {known: number for number, known in parts.members.items()}
    if name.lower() not in numbers:
        raise Unknown(f"there is no member {name!r}: expected one of {', '.join(numbers)}")
    return numbers[name.lower()]


def _window(payload: bytes, parts: Parts) -> dict[str, Any]:
    entry = read_window_entry(payload)
    # Its own entry is one of the next after the entries it covers.
    final = parts.finality is not None and parts.finality.covers(entry.to_index)
    return {
        "second": entry.second,
        "final": final,
        "seconds": entry.seconds,
        "from_index": entry.from_index,
        "to_index": entry.to_index,
        "taps": entry.taps,
        "journeys": entry.journeys,
        "gross_fen": entry.gross_fen,
        "net_fen": entry.net_fen,
        "state_root": entry.state_root.hex(),
        "positions": {parts.members.get(member, str(member)): fen for member, fen in entry.positions},
    }

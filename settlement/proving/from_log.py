"""Prove what a log cleared: its entries are walked and cleared again up to the window that is asked for."""

from collections.abc import Iterator
from functools import partial

from fare_chain import inner_proofs
from fare_chain.checkpoint import read_text
from fare_chain.errors import Unknown
from fare_chain.ledger_walk import LedgerWalk, LogSource, step
from fare_chain.note import read_note
from fare_chain.tiles import bundles_of, read_bundle, tile_path
from fare_chain.window_proofs import Opening
from settlement.core.clearing import Cleared
from settlement.core.columns import Level, ObligationKind
from settlement.core.inner_paths import ClearedWindow, Line, earned_inside, journey_inside, line_inside
from settlement.core.replay import Closed, Rederiving


def prove_journey(source: LogSource, journey_id: bytes | None) -> str:
    """A proof of a cleared journey with its shares (None: the log's first); Unknown where no window of the log has it."""
    for cleared in cleared_windows(source):
        wanted = _first_journey(cleared) if journey_id is None else journey_id
        inside = None if wanted is None else journey_inside(cleared, wanted)
        if inside is not None:
            return inner_proofs.prove_inside(source, cleared.index, inside)
    which = "any journey" if journey_id is None else f"journey {journey_id.hex()}"
    raise Unknown(f"no window of this log has cleared {which}: correct its id, or wait until its window is there")


def prove_line(source: LogSource, second: int, line: Line) -> str:
    """A proof of what one owes another in a second, tick by tick; Unknown where nothing of that is owed in it."""
    cleared = _window_over(source, second)
    inside = line_inside(cleared, line)
    if inside is None:
        raise Unknown(nothing_owed(line, second))
    return inner_proofs.prove_inside(source, cleared.index, inside)


def prove_earned(source: LogSource, beneficiary: int, from_second: int | None, to_second: int | None) -> str:
    """A proof of what a beneficiary had earned before `from_second` (None: the log began) and `to_second` (None: the log ends).

    Unknown where a window is not there, or where the beneficiary has no balance that could be shown.
    """
    inner_proofs.check_span(from_second, to_second)
    opening, closing = None, None
    for cleared in cleared_windows(source):
        if from_second is not None and _covers(cleared, from_second - 1):
            opening = cleared
        if to_second is None or _covers(cleared, to_second - 1):
            closing = cleared
        elif closing is not None:
            break
    if closing is None:
        raise Unknown(inner_proofs.no_window(None if to_second is None else to_second - 1))
    if from_second is None:
        return inner_proofs.prove_inside(source, closing.index, earned_inside(closing, None, beneficiary))
    if opening is None:
        raise Unknown(inner_proofs.no_window(from_second - 1))
    if opening.index == closing.index:
        raise Unknown(inner_proofs.no_span(opening.window, from_second, to_second))
    data, proof = inner_proofs.prove_entry(source, opening.index)
    opens = opening, Opening(opening.index, proof.path, data)
    return inner_proofs.prove_inside(source, closing.index, earned_inside(closing, opens, beneficiary))


def cleared_windows(source: LogSource) -> Iterator[ClearedWindow]:
    """Every window under the log's checkpoint, in order, verified and cleared again; AuditFailure names what does not hold."""
    open_ticks: list[Cleared] = []
    waiting: dict[int, tuple[Closed, tuple[Cleared, ...]]] = {}

    def take(what: Cleared | Closed) -> None:
        if isinstance(what, Cleared):
            open_ticks.append(what)
        else:
            waiting[what.window.second] = what, tuple(open_ticks)
            open_ticks.clear()

    walk, clearing = LedgerWalk(source), Rederiving(take)
    size = read_text(read_note(source.read("checkpoint").decode()).text).size
    for number, width in bundles_of(size):
        for data in read_bundle(source.read(tile_path(None, number, width)), width):
            verified = walk.take(data)
            step(f"entry {verified.entry.index}", partial(clearing.follow, verified))
            if verified.window is not None:
                closed, ticks = waiting.pop(verified.window.second)
                yield ClearedWindow(verified.entry.index, closed.window, closed.before.state_root, ticks, closed.after.earned)


def nothing_owed(line: Line, second: int) -> str:
    """Why there is no line to prove."""
    creditor = str(line.creditor) if line.level == Level.MEMBERS else f"{line.creditor >> 8}.{line.creditor & 0xFF}"
    what = ObligationKind(line.kind).name.lower().replace("_", "-")
    return f"{line.debtor} owes {creditor} no {what} in second {second}: name another second, kind or pair"


def _window_over(source: LogSource, second: int) -> ClearedWindow:
    for cleared in cleared_windows(source):
        if _covers(cleared, second):
            return cleared
    raise Unknown(inner_proofs.no_window(second))


def _covers(cleared: ClearedWindow, second: int) -> bool:
    return cleared.window.second <= second < cleared.window.second + cleared.window.seconds


def _first_journey(cleared: ClearedWindow) -> bytes | None:
    return next((bytes(tick.journeys["journey_id"][0].tobytes()) for tick in cleared.ticks if len(tick.journeys)), None)

"""From a running house to a proof on disk: wait for its last window, export the log, verify it from the files alone."""

import asyncio
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from fare_chain.access_files import Access
from fare_chain.audit import AuditFailure, AuditResult, LogSource, audit
from fare_chain.errors import Overloaded, Unknown
from fare_chain.events import EntryKind, read_window_entry
from fare_chain.ledger import read_entry
from fare_chain.log_export import export
from fare_chain.log_reader import FolderLog, HttpLog
from fare_chain.note import NoteVerifier
from fare_chain.policy import Policy
from fare_chain.tiles import TILE_WIDTH, read_bundle, tile_path
from simulators.ledger_taps import LedgerTaps

T = TypeVar("T")
Progress = Callable[[int, int], None]

PAUSE_S = 1.0
TRIES = 20
"""How often the house is asked again, so far apart, while it does not answer: it may be starting again."""


class Stopped(Exception):
    """Work in a thread was told to end."""


def windowed_to(source: LogSource) -> int:
    """The second before which every second is in a window on the ledger, as far as its last entries tell; else -1.

    Nothing is verified here: it is only to know when to export.
    """
    size = int(source.read("checkpoint").split(b"\n")[1])
    if not size:
        return -1
    number, at = divmod(size - 1, TILE_WIDTH)
    entries = read_bundle(source.read(tile_path(None, number, at + 1)), at + 1)
    windows = [entry for entry in map(read_entry, entries) if entry.kind is EntryKind.WINDOW]
    if not windows:
        return -1
    last = read_window_entry(windows[-1].payload)
    return last.second + last.seconds


async def is_windowed(source: LogSource, second: int) -> bool:
    """Whether a window on the ledger covers that second; not yet, where the house does not answer just now."""
    try:
        return await asyncio.to_thread(windowed_to, source) > second
    except (Unknown, Overloaded):
        return False


async def export_log(house_url: str, folder: Path, access: Access | None = None) -> None:
    """Export the house's log by HTTP; where the house dies meanwhile, go on when it is back. Without `access` the public log."""
    source = HttpLog(house_url, access, whole=True)
    for left in reversed(range(TRIES)):
        try:
            await stoppable(lambda progress: export(source, folder, progress, bodies=source.has_bodies))
        except Overloaded:
            if not left:
                raise
            await asyncio.sleep(PAUSE_S)
        else:
            return


async def verify_files(folder: Path, verifier: NoteVerifier, policy: Policy) -> tuple[AuditResult | AuditFailure, LedgerTaps]:
    """Audit an exported log in full: the quorum, every rider's signature, every window. A log that fails is a result too."""
    taps = LedgerTaps()
    followers = [*(point.load()() for point in entry_points(group="fare_chain.audit")), taps]

    def work(progress: Progress) -> AuditResult:
        return audit(FolderLog(folder), [verifier], policy=policy, followers=followers, progress=progress)

    try:
        return await stoppable(work), taps
    except AuditFailure as failure:
        return failure, LedgerTaps()


async def stoppable(work: Callable[[Progress], T]) -> T:
    """Do in a thread what reports its progress; whoever cancels it waits no longer than to the next report."""
    leave = threading.Event()

    def progress(_done: int, _size: int) -> None:
        if leave.is_set():
            raise Stopped

    task = asyncio.create_task(asyncio.to_thread(work, progress))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        leave.set()
        await asyncio.wait({task})
        raise

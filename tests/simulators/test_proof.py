"""Knowing when to export, and leaving a long work when asked."""

import asyncio
import threading
import time

import pytest

from fare_chain import ledger
from fare_chain.errors import Overloaded, Unknown
from fare_chain.events import EntryKind, WindowEntry
from fare_chain.tiles import TILE_WIDTH, bundles_of, tile_path, write_bundle
from simulators import proof


class FakeLog:
    """A log of these payloads; nothing is signed, as nothing is verified."""

    def __init__(self, payloads):
        _, self.entries, _ = ledger.append(ledger.Head(), 1, payloads)

    def read(self, path):
        if path == "checkpoint":
            return f"origin\n{len(self.entries)}\nroot\n".encode()
        for number, width in bundles_of(len(self.entries)):
            if path == tile_path(None, number, width):
                return write_bundle(self.entries[number * TILE_WIDTH : number * TILE_WIDTH + width])
        raise Unknown(path)


class NobodyThere:
    def read(self, path):
        raise Overloaded(f"the house does not answer for {path}")


def window(second, seconds=1):
    return EntryKind.WINDOW, WindowEntry(second, seconds, 0, 0, 0, 0, 0, 0, bytes(32), bytes(32), bytes(32), ()).to_bytes()


OTHER = (EntryKind.KEY, b"")


@pytest.mark.parametrize(
    ("payloads", "second"),
    [
        ([], -1),
        ([OTHER], -1),
        ([OTHER, window(7), OTHER], 8),
        ([window(7), window(8, seconds=5), OTHER], 13),
        ([window(7)] * 256 + [OTHER], -1),
        ([OTHER] * 300 + [window(9)], 10),
    ],
)
def test_the_last_bundle_tells_how_far_windows_reach(payloads, second):
    assert proof.windowed_to(FakeLog(payloads)) == second


def test_a_second_is_windowed_once_a_window_covers_it():
    log = FakeLog([window(8, seconds=5)])
    assert asyncio.run(proof.is_windowed(log, 12))
    assert not asyncio.run(proof.is_windowed(log, 13))
    assert not asyncio.run(proof.is_windowed(NobodyThere(), 0))


def test_work_in_a_thread_gives_its_result():
    assert asyncio.run(proof.stoppable(lambda progress: progress(1, 1) or "done")) == "done"


def test_work_in_a_thread_that_is_cancelled_ends_at_its_next_report():
    begun, ended = threading.Event(), threading.Event()

    def work(progress):
        begun.set()
        try:
            while True:
                time.sleep(0.01)
                progress(0, 1)
        finally:
            ended.set()

    async def story():
        task = asyncio.create_task(proof.stoppable(work))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(story())


def test_an_export_goes_on_when_the_house_is_back(monkeypatch, tmp_path):
    tries = []

    def export(_source, folder, _progress, *, bodies):
        tries.append(folder)
        if len(tries) < 3:
            raise Overloaded("the house does not answer")
        assert not bodies, "without an access key it is the public log"

    monkeypatch.setattr(proof, "export", export)
    monkeypatch.setattr(proof, "PAUSE_S", 0.0)
    asyncio.run(proof.export_log("http://127.0.0.1:1", tmp_path))
    assert tries == [tmp_path] * 3


def test_an_export_from_a_house_that_stays_away_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(proof, "TRIES", 2)
    monkeypatch.setattr(proof, "PAUSE_S", 0.0)
    with pytest.raises(Overloaded):
        asyncio.run(proof.export_log("http://127.0.0.1:1", tmp_path))

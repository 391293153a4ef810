"""Around a demo: the folder it lives in, the loop it runs on, and how it ends when somebody presses Ctrl-C."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from simulators.board import Display
from simulators.demo import Demo, Wish
from simulators.outcome import Evidence, find_faults, to_json

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal ended the demo; everything was stopped before this is raised."""

    def __init__(self, number: int) -> None:
        """Remember the signal's number."""
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def data_folder(named: Path | None, *, keep: bool) -> Iterator[Path]:
    """The folder that was named; or a temporary one, which is removed in the end unless it is to be kept."""
    if named is not None:
        yield named.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="fare-chain-demo-"))
    # PostgreSQL may run as another user than root, and must get through here to its own folder; private keys are closed below.
    folder.chmod(0o711)
    try:
        yield folder.resolve()
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def stage(wish: Wish, display: Display, environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Run a demo to its end: the JSON object, and what is not as it has to be. Interrupted where a signal ended it."""
    demo = Demo(wish, display, environment)
    caught: list[int] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            evidence = runner.run(_until_signalled(demo, caught))
        except asyncio.CancelledError as cancelled:
            if caught:
                raise Interrupted(caught[0]) from cancelled
            raise
    faults = find_faults(evidence)
    return to_json(evidence, faults, demo.about()), faults


async def _until_signalled(demo: Demo, caught: list[int]) -> Evidence:
    """Run the demo; the first signal cancels it, which stops everything in order, and later ones change nothing."""
    task = asyncio.create_task(demo.run())

    def leave(number: int) -> None:
        if not caught:
            caught.append(number)
            task.cancel()

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, leave, number)
    return await task

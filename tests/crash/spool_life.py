"""A day of a gate's spool, the same every time: taps journaled, sealed, sent, let go. It says what holds, once it holds."""

import os
import sys
from pathlib import Path

from city_adapters.spool import open_spool
from fare_chain.tap import TapKind
from tests.city_adapters.gate_world import CITY_KEY, code_of, make_tap


def live(folder: Path, say, *, first: int = 0) -> None:
    """Let gates open for eight taps, numbered from `first`, in two batches that are sent and one that is not."""
    spool = open_spool(folder, CITY_KEY)

    def open_gate(number: int, kind: TapKind) -> None:
        reading = make_tap(first + number, kind=kind, rider=number % 4)
        spool.append(reading, code_of(first + number))
        say("opened", reading.to_bytes().hex())

    def seal() -> None:
        spool.turn()
        while spool.turned:
            spool.seal(spool.turned[0])
            spool.turned.popleft()

    def send() -> None:
        """The house has it once this is said; whether the spool hears of it is another thing."""
        while spool.waiting:
            oldest = spool.waiting[0]
            say("sent", str(oldest.seq), oldest.path.read_bytes().hex())
            spool.acknowledge(oldest.seq)

    for number in range(3):
        open_gate(number, TapKind.ENTRY)
    seal()
    open_gate(3, TapKind.EXIT)
    send()
    seal()
    send()
    spool.let_go(10**15, 0)
    for number in range(4, 8):
        open_gate(number, TapKind.ENTRY)
    seal()
    spool.close()


if __name__ == "__main__":
    live(Path(sys.argv[1]), lambda *words: os.write(1, (" ".join(words) + "\n").encode()))

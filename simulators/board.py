"""What people see of a demo: a live board on a terminal, short lines elsewhere, nothing where only the result is wanted."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulators.status import Look

LINE_EVERY_S = 5
"""How often a line is written where there is no terminal."""
_EVENTS = 5


@dataclass(frozen=True, slots=True)
class View:
    """All that is shown at one moment; money in fen, waits in milliseconds (None before the first)."""

    phase: str
    elapsed_s: int
    cities: Mapping[str, str]
    """Names for people, by slug."""
    look: Look = field(default_factory=Look)
    taps_per_second: int = 0
    gate_p50_ms: float | None = None
    gate_p99_ms: float | None = None
    refused: Mapping[str, int] = field(default_factory=dict)


class Display(Protocol):
    """Where a demo shows how it goes."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *error: object) -> None:
        """Leave the screen to others."""

    def show(self, view: View) -> None:
        """Show how it stands now; called about once a second."""

    def say(self, sentence: str) -> None:
        """Tell of something that happened once."""


class Quiet:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def show(self, view: View) -> None:
        """Nobody looks."""

    def say(self, sentence: str) -> None:
        """Nobody listens."""


class Lines:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        self._stream = stream
        self._next_s = 0
        self._phase = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def show(self, view: View) -> None:
        """Write a line where the phase is new or the last line is old enough."""
        if view.phase == self._phase and view.elapsed_s < self._next_s:
            return
        self._phase, self._next_s = view.phase, view.elapsed_s + LINE_EVERY_S
        self.say(line(view))

    def say(self, sentence: str) -> None:
        """Write a line now."""
        print(sentence, file=self._stream, flush=True)


class Board:
    """The whole of it, drawn anew each second on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on this terminal."""
        console = Console(file=stream)
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._events: deque[str] = deque(maxlen=_EVENTS)
        self._view: View | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def show(self, view: View) -> None:
        """Draw the board."""
        self._view = view
        self._live.update(draw(view, self._events), refresh=True)

    def say(self, sentence: str) -> None:
        """Add a line below the board."""
        self._events.append(sentence)
        if self._view is None:
            self._live.update(Text(sentence), refresh=True)
        else:
            self.show(self._view)


def make_display(stream: TextIO, *, quiet: bool) -> Display:
    """The display that suits a stream: a board on a terminal, else lines; none where quiet is asked for."""
    if quiet:
        return Quiet()
    return Board(stream) if stream.isatty() else Lines(stream)


def line(view: View) -> str:
    """How it stands, on one line."""
    house = view.look.house
    if not house:
        return f"{view.elapsed_s:4d} s  {view.phase}"
    latency = house["latency_ms"]
    return (
        f"{view.elapsed_s:4d} s  {view.phase}: {house['taps']:,} taps ({view.taps_per_second}/s), {house['journeys']:,} journeys "
        f"in {house['windows']} windows; tap to cleared p50 {_ms(latency['p50'])}, p99 {_ms(latency['p99'])}, "
        f"to final p99 {_ms(latency.get('final_p99'))}, {view.look.going()} mirrors; "
        f"{sum(view.refused.values()):,} refused; positions sum to {yuan(house['positions_sum'])}"
    )


def draw(view: View, events: deque[str]) -> RenderableType:
    """The board: where the run stands, every member's position, the refusals, and what happened last."""
    house = view.look.house
    latency = house.get("latency_ms", {"p50": None, "p99": None})
    head = Text.assemble(
        ("FareChain demo", "bold"), f"  {view.phase}, {view.elapsed_s} s\n",
        f"{house.get('taps', 0):,} taps, {view.taps_per_second}/s   {house.get('journeys', 0):,} journeys   "
        f"{house.get('windows', 0)} windows   {house.get('size', 0):,} entries   {yuan(house.get('gross_fen', 0))} yuan in fares\n",
        f"tap to cleared p50 {_ms(latency['p50'])}, p99 {_ms(latency['p99'])}   "
        f"to final p50 {_ms(latency.get('final_p50'))}, p99 {_ms(latency.get('final_p99'))}   "
        f"at the gate p50 {_ms(view.gate_p50_ms)}, p99 {_ms(view.gate_p99_ms)}",
    )  # fmt: skip
    refused = ", ".join(f"{reason} {times}" for reason, times in sorted(view.refused.items())) or "none yet"
    return Group(head, _members(view), Text(f"refused: {refused}"), *(Text(event, style="yellow") for event in events))


def _members(view: View) -> Table:
    """A row for each city and for the scheme, and their sum, which is always zero."""
    table = Table(box=None, pad_edge=False, show_footer=True)
    positions = view.look.house.get("positions", {})
    table.add_column("member", footer="sum", min_width=10)
    table.add_column("position, yuan", justify="right", footer=yuan(sum(positions.values())), min_width=16)
    for heading in ("gates opened", "refused", "taps waiting", "mirror at"):
        table.add_column(heading, justify="right")
    for slug, name in view.cities.items():
        told = view.look.gates.get(slug, {})
        counts = (told.get("accepted", 0), sum(told.get("refused", {}).values()), view.look.waiting(slug))
        mirror = view.look.mirrors.get(slug, {})
        table.add_row(name, _coloured(positions.get(slug, 0)), *(f"{count:,}" for count in counts), _mirror(mirror))
    table.add_row("scheme", _coloured(positions.get("scheme", 0)))
    return table


def yuan(fen: int) -> str:
    """Money for people: whole yuan and two digits, from whole fen."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def _mirror(told: Mapping[str, Any]) -> Text:
    if not told:
        return Text("down", style="red")
    return Text(f"{told['cosigned_size']:,}") if told["stopped"] is None else Text("stopped", style="red")


def _coloured(fen: int) -> Text:
    return Text(yuan(fen), style="green" if fen > 0 else "red" if fen < 0 else "")


def _ms(wait: float | None) -> str:
    return "-" if wait is None else f"{wait:.0f} ms"

"""What people see: the right numbers on a board and on lines, and the display that suits the stream."""

import io
from collections import deque

import pytest
from rich.console import Console

from simulators import board
from simulators.board import Board, Lines, Quiet, View, make_display, yuan
from simulators.status import Look

HOUSE = {
    "taps": 12_345, "journeys": 6_000, "windows": 31, "size": 900, "gross_fen": 1_234_567, "positions_sum": 0,
    "positions": {"scheme": 250, "shanghai": -10_250, "hangzhou": 10_000}, "latency_ms": {"p50": 301, "p99": 540},
}  # fmt: skip
GATES = {"shanghai": {"accepted": 7_000, "refused": {"STALE": 3, "REPLAYED": 1}, "open_taps": 2, "spooled_taps": 40}}
VIEW = View(
    "riding",
    17,
    {"shanghai": "Shanghai 上海", "hangzhou": "Hangzhou 杭州"},
    Look(HOUSE, GATES, {"shanghai": {"stopped": None, "cosigned_size": 900}}),
    297,
    3.4,
    12.6,
    {"STALE": 3, "REPLAYED": 1},
)


def drawn(view, *events):
    console = Console(file=io.StringIO(), width=120)
    console.print(board.draw(view, deque(events)))
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("fen", "shown"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-12_345, "-123.45"), (100_000_000, "1,000,000.00")]
)
def test_money_is_shown_in_yuan_to_the_fen(fen, shown):
    assert yuan(fen) == shown


def test_the_board_shows_every_member_and_their_sum():
    rows = [row.split() for row in drawn(VIEW, "house was killed").splitlines()]
    assert ["Shanghai", "上海", "-102.50", "7,000", "4", "42", "900"] in rows
    assert ["Hangzhou", "杭州", "100.00", "0", "0", "0", "down"] in rows
    assert ["scheme", "2.50"] in rows
    assert ["sum", "0.00"] in rows
    assert ["refused:", "REPLAYED", "1,", "STALE", "3"] in rows
    assert ["house", "was", "killed"] in rows


def test_the_board_shows_latencies_and_totals():
    shown = drawn(VIEW)
    for part in ("12,345 taps, 297/s", "31 windows", "12,345.67 yuan", "p50 301 ms, p99 540 ms", "p50 3 ms, p99 13 ms"):
        assert part in shown


def test_before_anything_answers_there_is_a_board_all_the_same():
    shown = drawn(View("starting", 0, VIEW.cities))
    assert "p50 -, p99 -" in shown
    assert "refused: none yet" in shown


def test_a_line_says_how_it_stands():
    assert board.line(VIEW) == (
        "  17 s  riding: 12,345 taps (297/s), 6,000 journeys in 31 windows; tap to cleared p50 301 ms, p99 540 ms, "
        "to final p99 -, 1 mirrors; 4 refused; positions sum to 0.00"
    )
    assert board.line(View("starting", 3, {})) == "   3 s  starting"


def test_lines_come_when_the_phase_is_new_and_then_every_few_seconds():
    stream = io.StringIO()
    with make_display(stream, quiet=False) as display:
        assert isinstance(display, Lines)
        for second in range(8):
            display.show(View("riding", second, {}))
        display.show(View("coming to rest", 8, {}))
        display.say("done")
    assert stream.getvalue() == "   0 s  riding\n   5 s  riding\n   8 s  coming to rest\ndone\n"


def test_a_terminal_gets_a_board_and_quiet_gets_nothing():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    assert isinstance(make_display(terminal, quiet=False), Board)
    with make_display(terminal, quiet=False) as display:
        display.say("house was killed")
        display.show(VIEW)
        display.say("hangzhou was killed")
    assert "house was killed" in terminal.getvalue()
    assert "-102.50" in terminal.getvalue()
    quiet = make_display(Terminal(), quiet=True)
    with quiet:
        quiet.show(VIEW)
        quiet.say("nobody listens")
    assert isinstance(quiet, Quiet)

"""Golden cases: a readable taps.txt each, and beside it what clearing makes of it, in cleared.txt.

FARE_CHAIN_REWRITE_GOLDEN=1 writes cleared.txt anew; its difference is for a person to read.

A line `tick <day> <time>` records a tick at that moment; the taps below it came with it:

    medium  kind  city/station[/gate]  <day> <time>  [of issuer]  [as student|senior]  [step n]

A tap after the word `object` is one that an entry of the tick objects to: its rider did not sign it.

Day 1 is the small scheme's first day, a Friday; day 2 that of the new tariff and agreement; day 90 is 1 January 2025
(`simulators/small_cities.py`). A line `clock <hours>` says how far the times of the case are ahead of UTC: dogwood's are 8.
"""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from city_adapters.tables import Funder
from fare_chain.tap import Category, TapKind
from settlement.core.clearing import Tick, clear
from settlement.core.columns import FIRST_BENEFICIARY, ClearingReason, ObligationKind
from settlement.core.laws import laws, window_laws
from settlement.core.state import State
from settlement.core.windows import close
from simulators.small_cities import DAY_US, OPENING_US, SECOND_US, small_scheme, small_tap, tap_records
from tests.properties.days import objection

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/taps.txt"))
REWRITE = os.environ.get("FARE_CHAIN_REWRITE_GOLDEN") == "1"
CITIES = {"scheme": 0, "alder": 1, "birch": 2, "cedar": 3, "dogwood": 4, "nowhere": 9}
NAMES = {number: name for name, number in CITIES.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_clearing_makes_of_the_taps_what_stands_beside_them(case):
    found = cleared_text(*read_case((case / "taps.txt").read_text()))
    if REWRITE:
        (case / "cleared.txt").write_text(found)
    assert found == (case / "cleared.txt").read_text()


def test_there_are_cases():
    assert len(CASES) >= 11


@dataclass(frozen=True)
class Clock:
    """How a case writes moments: day and time, so many hours ahead of UTC."""

    ahead_hours: int = 0

    def moment(self, day, time):
        hours, minutes, seconds = (int(part) for part in time.split(":"))
        return OPENING_US + (int(day) - 1) * DAY_US + ((hours - self.ahead_hours) * 3600 + minutes * 60 + seconds) * SECOND_US

    def when(self, at_us):
        day, second = divmod((int(at_us) - OPENING_US) // SECOND_US + self.ahead_hours * 3600, 86_400)
        return f"{day + 1} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def read_case(text):
    """The ticks of a case, (recorded_us, taps, taps objected to), and its clock."""
    ticks, clock = [], Clock()
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["clock"]:
            clock = Clock(int(words[1]))
        elif words[:1] == ["tick"]:
            ticks.append((clock.moment(*words[1:]), [], []))
        elif words[:1] == ["object"]:
            ticks[-1][2].append(read_tap(words[1:], clock))
        elif words:
            ticks[-1][1].append(read_tap(words, clock))
    return ticks, clock


def read_tap(words, clock):
    medium, kind, place, day, time, *more = words
    city, station, *gate = place.split("/")
    told = dict(zip(more[::2], more[1::2], strict=True))
    assert told.keys() <= {"of", "as", "step"}
    return small_tap(
        int(medium), TapKind[kind.upper()], clock.moment(day, time), host=CITIES[city], station=int(station),
        issuer=CITIES[told.get("of", city)], gate=int(gate[0]) if gate else 1,
        category=Category[told.get("as", "adult").upper()], entitlement=int(told.get("step", 0)),
    )  # fmt: skip


def cleared_text(ticks, clock):
    """Fold the ticks, laws held, and write everything that came of them."""
    state, results, windows = State.genesis(ticks[0][0] // SECOND_US), [], []
    for number, (recorded_us, taps, objected) in enumerate(ticks):
        while state.second < recorded_us // SECOND_US:
            seconds = 1 if state.window.delta_roots else recorded_us // SECOND_US - state.second
            state, windows = close_one(state, seconds, windows)
        tables = () if number else small_scheme()
        seed = sha256(b"tick %d" % number).digest()
        before = state
        objections = tuple(objection(number, tap, windows, results) for tap in objected)
        state, cleared = clear(state, Tick(recorded_us, number, number + 1, seed, tap_records(taps), tables, objections))
        assert laws(before, cleared, state) == []
        results.append(cleared)
    state, windows = close_one(state, 1, windows)
    sections = {
        "journeys": journey_rows(results, clock),
        "fares": fare_rows(results, clock),
        "shares": share_rows(results, clock),
        "joins": join_rows(results, clock),
        "obligations": obligation_rows(results),
        "falls": fall_rows(results, clock),
        "exceptions": exception_rows(results, clock),
        "waiting": [tap_row(tap, clock) for tap in state.open_taps],
        "windows": [window_row(window, clock) for window in windows],
        "positions": [(NAMES[member], fen) for member, fen in state.positions],
        "earned": [(beneficiary_name(beneficiary), fen) for beneficiary, fen in state.earned],
        "state root": [(state.state_root.hex(),)],
    }
    if not sections["falls"]:
        del sections["falls"]
    return "\n".join(f"{name}\n{table(HEADS[name], rows)}" for name, rows in sections.items())


HEADS = {
    "journeys": ("tick", "medium", "host", "issuer", "from", "to", "entered", "exited", "legs", "markers", "category", "step"),
    "fares": (
        "tick", "medium", "entered", "metres", "tariff", "set", "nominal", "discount", "funder", "surcharge", "earned",
        "commission", "fee",
    ),
    "shares": ("tick", "medium", "entered", "beneficiary", "amount_fen"),
    "joins": ("tick", "medium", "first", "left", "second", "entered"),
    "obligations": ("tick", "level", "kind", "debtor", "creditor", "n", "amount_fen"),
    "falls": ("tick", "host", "issuer", "cleared", "fare", "commission", "fee", "back"),
    "exceptions": ("tick", "medium", "kind", "place", "issuer", "tapped", "reason"),
    "waiting": ("medium", "kind", "place", "issuer", "tapped"),
    "windows": ("second", "seconds", "taps", "journeys", "gross_fen", "net_fen"),
    "positions": ("member", "fen"),
    "earned": ("beneficiary", "fen"),
    "state root": ("",),
}  # fmt: skip


def close_one(state, seconds, windows):
    after, window = close(state, state.second, seconds)
    assert window_laws(state, window, after) == []
    return after, [*windows, window]


def medium_of(row):
    return int.from_bytes(row["medium"].tobytes(), "little")


def riders(results):
    """Journeys for reading: by tick, host, medium and entry, with their row."""
    for tick, cleared in enumerate(results, 1):
        order = sorted(
            range(len(cleared.journeys)),
            key=lambda row: (
                int(cleared.journeys["host"][row]), medium_of(cleared.journeys[row]), int(cleared.journeys["entered_at_us"][row])
            ),
        )  # fmt: skip
        yield from ((tick, cleared, row, cleared.journeys[row]) for row in order)


def journey_rows(results, clock):
    return [
        (
            tick, medium_of(row), NAMES[int(row["host"])], NAMES[int(row["issuer"])], area(row, "from"), area(row, "to"),
            clock.when(row["entered_at_us"]), clock.when(row["exited_at_us"]), row["legs"], row["markers"],
            Category(row["category"]).name.lower(), row["entitlement"],
        )
        for tick, _, _, row in riders(results)
    ]  # fmt: skip


def area(row, side):
    """The station, and the gate where it is not an ordinary one."""
    gate = row[f"{side}_gate"]
    return f"{row[f'{side}_station']}" if gate == 1 else f"{row[f'{side}_station']}/{gate}"


def fare_rows(results, clock):
    names = ("distance_m", "tariff", "weight_set", "nominal_fen", "discount_fen")
    return [
        (
            tick, medium_of(row), clock.when(row["entered_at_us"]), *(row[name] for name in names),
            Funder(row["funder"]).name.lower(), *(row[name] for name in ("surcharge_fen", "fare_fen", "commission_fen", "fee_fen")),
        )
        for tick, _, _, row in riders(results)
    ]  # fmt: skip


def share_rows(results, clock):
    return [
        (tick, medium_of(row), clock.when(row["entered_at_us"]), beneficiary_name(share["beneficiary"]), share["amount_fen"])
        for tick, cleared, number, row in riders(results)
        for share in cleared.shares[np.flatnonzero(cleared.shares["journey"] == number)]
    ]


def join_rows(results, clock):
    known = {row["journey_id"].tobytes(): row for _, _, _, row in riders(results)}
    pairs = [
        (tick, known[row["first"].tobytes()], known[row["second"].tobytes()])
        for tick, cleared in enumerate(results, 1)
        for row in cleared.joins
    ]
    rows = [
        (
            tick, medium_of(one), f"{NAMES[int(one['host'])]}/{one['to_station']}", clock.when(one["exited_at_us"]),
            f"{NAMES[int(other['host'])]}/{other['from_station']}", clock.when(other["entered_at_us"]),
        )
        for tick, one, other in pairs
    ]  # fmt: skip
    return sorted(rows)


def obligation_rows(results):
    return [
        (
            tick, row["level"], ObligationKind(row["kind"]).name, party_name(row["debtor"]), party_name(row["creditor"]), row["n"],
            row["amount_fen"],
        )
        for tick, cleared in enumerate(results, 1)
        for row in cleared.sums
    ]  # fmt: skip


def party_name(number):
    return beneficiary_name(number) if number >= FIRST_BENEFICIARY else NAMES[int(number)]


def fall_rows(results, clock):
    rows = []
    for number, cleared in enumerate(results, 1):
        adjustments, shares = cleared.upheld
        for place, row in enumerate(adjustments):
            own = shares[shares["journey"] == place]
            back = ", ".join(f"{beneficiary_name(each['beneficiary'])} {each['amount_fen']}" for each in own)
            money = (int(row[name]) for name in ("fare_fen", "commission_fen", "fee_fen"))
            rows.append(
                (number, NAMES[int(row["host"])], NAMES[int(row["issuer"])], clock.when(row["second"] * SECOND_US), *money, back)
            )
    return rows


def exception_rows(results, clock):
    rows = [
        (tick, *tap_row(row, clock), ClearingReason(row["reason"]).name)
        for tick, cleared in enumerate(results, 1)
        for row in cleared.exceptions
    ]
    return sorted(rows, key=lambda row: (row[0], row[5], row[1]))


def tap_row(row, clock):
    place = f"{NAMES[int(row['host'])]}/{row['station']}"
    return medium_of(row), TapKind(row["kind"]).name.lower(), place, NAMES[int(row["issuer"])], clock.when(row["tapped_at_us"])


def window_row(window, clock):
    return clock.when(window.second * SECOND_US), window.seconds, window.taps, window.journeys, window.gross_fen, window.net_fen


def beneficiary_name(number):
    return f"{NAMES[int(number) >> 8]}/{int(number) & 255}"


def table(head, rows):
    """Aligned text, two blanks between columns; `none` for no rows."""
    if not rows:
        return "  none\n"
    cells = [head, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "".join(f"  {line}".rstrip() + "\n" for line in lines if line)

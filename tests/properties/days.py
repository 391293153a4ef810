"""Random days over the small scheme: stories of riders, told in any order, cut into ticks anywhere."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from hypothesis import strategies as st

from fare_chain.tap import TapKind
from settlement.core.clearing import Tick, clear
from settlement.core.laws import laws, window_laws
from settlement.core.state import State
from settlement.core.windows import close
from simulators.small_cities import (
    CHANGE_US,
    DAY_US,
    HOUR_US,
    MINUTE_US,
    NEW_YEAR_US,
    OPENING_US,
    SECOND_US,
    small_scheme,
    small_tap,
    tap_records,
)

SCHEME = small_scheme()
# Dogwood's clocks show 10:30 on a Friday; 11:00 on Saturday, three hours after birch's change; 10:30 on Monday; 6:00 on New Year.
MORNING_US = OPENING_US + 150 * MINUTE_US
BASES = (MORNING_US, CHANGE_US + 3 * HOUR_US, MORNING_US + 3 * DAY_US, NEW_YEAR_US + 2 * HOUR_US)
# Media 0, 2^120 and 2^50 share their first 48 bits, and so their lane keys.
MEDIA = (1, 1, 1, 2, 2, *range(3, 14), 0, 1 << 120, 1 << 50)
IN, OUT = (TapKind.ENTRY, TapKind.TRANSFER_ENTRY), (TapKind.EXIT, TapKind.TRANSFER_EXIT)
STATIONS = {1: (1, 4, 1, 2, 3, 4), 2: (1, 2, 3, 3), 3: (1, 1, 2), 4: (3, 6, 1, 2, 3, 4, 5, 3)}
WALKS = ((3, 5), (5, 3), (3, 6), (6, 2))
LASTED = (0, 1, MINUTE_US, 9 * MINUTE_US, 10 * MINUTE_US, 25 * MINUTE_US, HOUR_US, 3 * HOUR_US, 4 * HOUR_US, 4 * HOUR_US + 1)
PAUSED = (5 * MINUTE_US, 0, 1, 8 * MINUTE_US, 10 * MINUTE_US, 20 * MINUTE_US, 30 * MINUTE_US, 30 * MINUTE_US + 1, -1)
PASSED = (250_000, SECOND_US, 299 * SECOND_US, 5 * MINUTE_US, 25 * MINUTE_US, 40 * MINUTE_US, 5 * HOUR_US, DAY_US)

LATE = (0, 0, 0, SECOND_US, MINUTE_US, 5 * MINUTE_US - 1, 5 * MINUTE_US, -5 * MINUTE_US)


@dataclass
class Run:
    """A state and what its ticks came to, laws held."""

    state: State
    cleared: list
    windows: list

    @classmethod
    def fresh(cls, at_us, tables=SCHEME):
        run = cls(State.genesis(at_us // SECOND_US), [], [])
        run.tick(at_us, [], tables)
        return run

    def tick(self, at_us, taps, tables=()):
        """Clear one more tick; every second before it is closed first."""
        while at_us // SECOND_US > self.state.second:
            self.close(1 if self.state.window.delta_roots else at_us // SECOND_US - self.state.second)
        index = self.state.next_index
        after, cleared = clear(self.state, Tick(at_us, index, index + 2, seed(len(self.cleared)), tap_records(taps), tables))
        assert laws(self.state, cleared, after) == []
        self.state = after
        self.cleared.append(cleared)
        return cleared

    def close(self, seconds=1):
        after, window = close(self.state, self.state.second, seconds)
        assert window_laws(self.state, window, after) == []
        self.state = after
        self.windows.append(window)
        return window

    def rows(self, what):
        """All rows of a kind that the ticks came to."""
        return np.concatenate([getattr(cleared, what) for cleared in self.cleared])


def seed(number):
    return sha256(number.to_bytes(4, "little")).digest()


@st.composite
def rides(draw, base_us):
    """One rider's story: leg after leg, on foot or over the border or anywhere, with taps forgotten or sent twice."""
    host = draw(st.sampled_from((1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4, 4)))
    who = {
        "issuer": draw(st.sampled_from((host, host, host, 1, 2, 3, 4))),
        "category": draw(st.sampled_from((0, 0, 1, 2))),
        "entitlement": draw(st.sampled_from((0, 0, 1, 2, 3, 4))),
    }
    medium, at_us, taps = draw(st.sampled_from(MEDIA)), base_us - draw(st.integers(0, 300)) * MINUTE_US, []
    begin = draw(st.sampled_from(STATIONS[host]))
    for _leg in range(draw(st.sampled_from((1, 2, 3, 1, 2, 3, 4)))):
        gates = draw(st.sampled_from(((1, 1), (1, 2), (55, 1), (55, 41), (40, 44), (50, 59))))
        end, lasted_us = draw(st.sampled_from(STATIONS[host])), draw(st.sampled_from(LASTED))
        taps.append(small_tap(medium, draw(st.sampled_from(IN)), at_us, host=host, station=begin, gate=gates[0], **who))
        for passed in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
            station = draw(st.sampled_from(STATIONS[host]))
            marked_us = at_us + lasted_us * (passed + 1) // 3
            taps.append(small_tap(medium, TapKind.MARKER, marked_us, host=host, station=station, gate=gates[1], **who))
        at_us += lasted_us
        taps.append(small_tap(medium, draw(st.sampled_from(OUT)), at_us, host=host, station=end, gate=gates[1], **who))
        at_us += draw(st.sampled_from(PAUSED))
        host, begin = draw(st.sampled_from(onward(host, end)))
    return tuple(tap for tap in taps if draw(st.integers(0, 15)) > 0)


def onward(host, end):
    """Where a rider may go in next: anywhere in the city, but rather on the other side of a walk or border."""
    if (host, end) in ((2, 3), (3, 1)):
        return ((5 - host, 4 - end), (5 - host, 4 - end), (host, end))
    walked = [(host, to) for begin, to in WALKS if (host, begin) == (4, end)]
    return (*walked, *walked, *walked, (host, 1), (host, end))


@st.composite
def odd_taps(draw, base_us):
    """A tap that may make no sense at all."""
    moments = (base_us, CHANGE_US - 1, NEW_YEAR_US, base_us + 400 * SECOND_US, OPENING_US - SECOND_US, -(2**63), 2**63 - 1)
    return small_tap(
        draw(st.sampled_from(MEDIA)), draw(st.sampled_from(tuple(TapKind)[:5])), draw(st.sampled_from(moments)),
        host=draw(st.sampled_from((1, 2, 3, 4, 9))), station=draw(st.sampled_from((0, 1, 3, 4, 5, 7))),
        issuer=draw(st.sampled_from((1, 2, 3, 4, 8))),
    )  # fmt: skip


@st.composite
def told_taps(draw, base_us, least=1, most=8, odd=3):
    """The taps of some stories and some odd ones, in no order."""
    stories = draw(st.lists(rides(base_us), min_size=least, max_size=most))
    return [tap for story in stories for tap in story] + draw(st.lists(odd_taps(base_us), max_size=odd))


@st.composite
def days(draw, least=1, most=8):
    """Some taps twice, each in time or in any tick at all: (recorded_us, taps) for each tick."""
    base_us = draw(st.sampled_from(BASES))
    taps = draw(told_taps(base_us, least, most))
    taps += draw(st.lists(st.sampled_from(taps), max_size=2)) if taps else []
    moments = [base_us + draw(st.sampled_from((-HOUR_US, 0))) + 250_000]
    for step in [*draw(st.lists(st.sampled_from(PASSED), max_size=5)), draw(st.sampled_from((9 * HOUR_US, SECOND_US)))]:
        moments.append(moments[-1] + step)
    arrived = [[] for _ in moments]
    for tap in taps:
        in_time = next((at for at, moment in enumerate(moments) if moment >= tap.tapped_at_us), len(moments) - 1)
        least = draw(st.sampled_from((in_time, in_time, in_time, 0)))
        arrived[draw(st.sampled_from((in_time, draw(st.integers(least, len(moments) - 1)))))].append(tap)
    return [(moment, draw(st.permutations(some))) for moment, some in zip(moments, arrived, strict=True)]


@st.composite
def patient_days(draw):
    """Each tap once, at most five minutes early or late: (recorded_us, taps) for each tick."""
    base_us = draw(st.sampled_from(BASES))
    arrived = {}
    for tap in {tap for tap in draw(told_taps(base_us, odd=0)) if tap.tapped_at_us >= OPENING_US}:
        arrived.setdefault(tap.tapped_at_us + draw(st.sampled_from(LATE)), []).append(tap)
    return sorted(arrived.items())

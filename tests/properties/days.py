"""Random days over the small scheme: stories of riders, told in any order, cut into ticks anywhere."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from hypothesis import strategies as st

from fare_chain.tap import TapKind
from fare_chain.window_proofs import read_journey
from settlement.core.clearing import Tick, clear
from settlement.core.inner_paths import ClearedWindow, journey_inside
from settlement.core.journeys import journey_ids
from settlement.core.laws import laws, window_laws
from settlement.core.objections import Objection
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
STATIONS = {1: (1, 4, 1, 2, 3, 4), 2: (1, 2, 3, 3), 3: (1, 1, 2), 4: (3, 6, 1, 2, 3, 4, 5, 6)}
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

    def peek(self, *brought):
        """What a tick with these objections would come to now."""
        at_us, index = self.state.second * SECOND_US, self.state.next_index
        return clear(self.state, Tick(at_us, index, index + 2, bytes(32), tap_records([]), (), brought))[1]

    def tick(self, at_us, taps, tables=(), objections=(), brought=()):
        """Clear one more tick; every second before it is closed first. Objections are taps, each brings its cleared journey."""
        self.close_before(at_us)
        index = self.state.next_index
        brought = brought or tuple(self.objection(index, tap) for tap in objections)
        tick = Tick(at_us, index, index + 2, seed(len(self.cleared)), tap_records(taps), tables, brought)
        after, cleared = clear(self.state, tick)
        assert laws(self.state, cleared, after) == []
        self.state = after
        self.cleared.append(cleared)
        return cleared

    def close_before(self, at_us):
        """Close every second that is over."""
        while at_us // SECOND_US > self.state.second:
            self.close(1 if self.state.window.delta_roots else at_us // SECOND_US - self.state.second)

    def objection(self, index, tap):
        """The objection to a tap, with the journey that the tap begins or ends once that journey's window is closed."""
        return objection(index, tap, self.windows, self.cleared)

    def close(self, seconds=1):
        after, window = close(self.state, self.state.second, seconds)
        assert window_laws(self.state, window, after) == []
        self.state = after
        self.windows.append(window)
        return window

    def rows(self, what):
        """All rows of a kind that the ticks came to."""
        return np.concatenate([getattr(cleared, what) for cleared in self.cleared])


def objection(index, tap, windows, cleared):
    """Entry `index` objects to a tap; it brings the journey that the tap begins or ends, if it stands in one of these windows."""
    record, name = tap.to_bytes(), journey_ids(tap_records([tap]))[0].tobytes()
    last = (tap.medium, tap.host, tap.station, tap.gate, tap.tapped_at_us)
    for at, window in enumerate(windows):
        ticks = tuple(each for each in cleared if window.from_index <= each.from_index < window.to_index)
        for journey in (row for tick in ticks for row in tick.journeys):
            names = ("medium", "host", "to_station", "to_gate", "exited_at_us")
            ends = tap.kind in OUT and tuple(journey[each].item() for each in names) == last
            if journey["journey_id"].tobytes() == name or ends:
                whole = ClearedWindow(0, window, windows[at - 1].state_root, ticks)
                return Objection(index, record, window.second, read_journey(journey_inside(whole, journey["journey_id"].tobytes())))
    return Objection(index, record)


def seed(number):
    return sha256(number.to_bytes(4, "little")).digest()


def story(pick, base_us):
    """One rider's taps: leg after leg, on foot or over the border or anywhere, some of them forgotten."""
    host = pick((1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4, 4))
    issuer = pick((host, host, host, 1, 2, 3, 4))
    who = {"issuer": issuer, "category": pick((0, 0, 1, 2)), "entitlement": pick((0, 0, 1, 2, 3, 4))}
    medium, at_us, walker, taps = pick(MEDIA), base_us - pick(range(300)) * MINUTE_US, pick((False, True)), []
    begin = pick(STATIONS[host])
    for _leg in range(pick((1, 1, 2, 2, 3, 4))):
        gates = pick(((1, 1), (1, 2), (55, 1), (55, 41), (40, 44), (50, 59)))
        end, lasted_us = pick((3, 6) if walker and host == 4 else STATIONS[host]), pick(LASTED)
        taps.append(small_tap(medium, pick(IN), at_us, host=host, station=begin, gate=gates[0], **who))
        for passed in range(pick((0, 0, 0, 1, 2))):
            marked_us = at_us + lasted_us * (passed + 1) // 3
            taps.append(small_tap(medium, TapKind.MARKER, marked_us, host=host, station=pick(STATIONS[host]), gate=gates[1], **who))
        at_us += lasted_us
        taps.append(small_tap(medium, pick(OUT), at_us, host=host, station=end, gate=gates[1], **who))
        at_us += pick(PAUSED[:4] if walker else PAUSED)
        host, begin = pick(onward(host, end))
    return [tap for tap in taps if pick(range(16))]


def onward(host, end):
    """Where a rider may go in next: anywhere in the city, but rather on the other side of a walk or border."""
    if (host, end) in ((2, 3), (3, 1)):
        return ((5 - host, 4 - end), (5 - host, 4 - end), (host, end))
    walked = [(host, to) for begin, to in WALKS if (host, begin) == (4, end)]
    return (*walked, *walked, *walked, (host, 1), (host, end))


def odd_tap(pick, base_us):
    """A tap that may make no sense at all."""
    moments = (base_us, CHANGE_US - 1, NEW_YEAR_US, base_us + 400 * SECOND_US, OPENING_US - SECOND_US, -(2**63), 2**63 - 1)
    return small_tap(
        pick(MEDIA), pick(tuple(TapKind)[:5]), pick(moments), host=pick((1, 2, 3, 4, 9)), station=pick((0, 1, 3, 4, 5, 7)),
        issuer=pick((1, 2, 3, 4, 8)),
    )  # fmt: skip


def told_taps(pick, base_us, odd=3):
    """The taps of some stories and some odd ones, in no order."""
    taps = [tap for _ in range(pick(range(1, 9))) for tap in story(pick, base_us)]
    return taps + [odd_tap(pick, base_us) for _ in range(pick(range(odd + 1)))]


def shuffled(pick, some):
    """The same things in an order that was picked."""
    rest = list(some)
    return [rest.pop(pick(range(len(rest)))) for _ in some]


def day(pick):
    """Some taps twice, each in time or in any tick at all: (recorded_us, taps) for each tick."""
    base_us = pick(BASES)
    taps = told_taps(pick, base_us)
    taps += [pick(taps) for _ in range(pick(range(3)))] if taps else []
    moments = [base_us + pick((-HOUR_US, 0)) + 250_000]
    for step in [*(pick(PASSED) for _ in range(pick(range(6)))), pick((9 * HOUR_US, SECOND_US))]:
        moments.append(moments[-1] + step)
    arrived = [[] for _ in moments]
    for tap in taps:
        in_time = next((at for at, moment in enumerate(moments) if moment >= tap.tapped_at_us), len(moments) - 1)
        arrived[pick((in_time, pick(range(pick((in_time, in_time, in_time, 0)), len(moments)))))].append(tap)
    return [(moment, shuffled(pick, some)) for moment, some in zip(moments, arrived, strict=True)]


def patient_day(pick):
    """Each tap once, at most five minutes early or late: (recorded_us, taps) for each tick."""
    arrived, told = {}, told_taps(pick, pick(BASES), odd=0)
    for tap in dict.fromkeys(tap for tap in told if tap.tapped_at_us >= OPENING_US):
        arrived.setdefault(tap.tapped_at_us + pick(LATE), []).append(tap)
    return sorted(arrived.items())


def generated(make):
    """A strategy of what `make` makes with picks of Hypothesis; with those of a seeded generator it makes the like."""
    return st.composite(lambda draw: make(lambda options: draw(st.sampled_from(options))))()

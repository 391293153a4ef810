"""The fold alone: ticks of real demand cleared over the nine cities' tables, as a whole and step by step."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from fare_chain.batch import MOST_TAPS
from fare_chain.hashing import sha256
from settlement.core.apportionment import apportion_fares, draws
from settlement.core.border_joins import join_at_borders
from settlement.core.clearing import Cleared, Tick, clear
from settlement.core.deltas import delta_root
from settlement.core.discounts import discount, earned_fen
from settlement.core.journeys import id_numbers, identify, record
from settlement.core.laws import laws
from settlement.core.obligations import charge, oblige
from settlement.core.pairing import pair
from settlement.core.pricing import price
from settlement.core.replay import close_before
from settlement.core.state import State
from settlement.core.windows import close
from simulators.clock import SECOND_US
from simulators.figures import Fact, Figure, Rate, percentile, rate_of
from simulators.nine_cities import NineCities, runs_of, rush_hour

TICK_TAPS = 16 * MOST_TAPS
"""Taps in one tick: a quarter of a second at 262,000 taps a second."""
TICKS = 8
LAWS = "laws"
_TICK_US = SECOND_US // 4


def fold_figures(cities: NineCities, seconds: float, tick_taps: int = TICK_TAPS) -> Iterator[Figure]:
    """Fold ticks of real demand over the nine real cities' tables: the whole, then its steps, then the laws beside it.

    A step's `share` is its part of all steps' time; the laws are not in the fold but are held by the house for every tick.
    """
    ticks = list(_ticks(cities, tick_taps))
    taps = sum(len(tick.taps) for tick in ticks)
    rates: list[float] = []
    steps = _Steps({})
    began = time.perf_counter()
    while time.perf_counter() - began < 2 * seconds or not rates:
        whole_s, journeys = _clear_all(ticks, steps)
        rates.append(taps / whole_s)
    facts: dict[str, Fact] = {"taps": taps, "journeys": journeys, "ticks": len(ticks), "taps_a_tick": tick_taps}
    yield Figure("fold", "taps", rate_of(rates), facts=facts)
    fold_s = sum(passed for step, passed in steps.spent.items() if step != LAWS)
    for step, passed in steps.spent.items():
        yield Figure(f"fold/{step}", "taps", Rate(len(rates) * taps / passed), facts={"share": round(passed / fold_s, 3)})


def close_figure(cities: NineCities, seconds: float, tick_taps: int = TICK_TAPS) -> Figure:
    """Close the window of a second whose ticks are cleared: postings, books, roots, whatever the second held."""
    state = _after_a_second(cities, tick_taps)
    waits_ms: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or not waits_ms:
        asked = time.perf_counter()
        close(state, state.second)
        waits_ms.append((time.perf_counter() - asked) * 1000)
    facts: dict[str, Fact] = {
        "taps_in_the_window": state.window.taps,
        "p50_ms": round(percentile(waits_ms, 50), 2),
        "p99_ms": round(percentile(waits_ms, 99), 2),
    }
    return Figure("close", "windows", Rate(1000 / percentile(waits_ms, 50)), facts=facts)


def _after_a_second(cities: NineCities, tick_taps: int) -> State:
    """The state when all ticks of one second are cleared and it is not closed."""
    ticks = list(_ticks(cities, tick_taps))
    state = State.genesis(ticks[0].second)
    for tick in ticks:
        if tick.second != ticks[0].second:
            break
        state, _cleared = clear(state, tick)
    return state


def _clear_all(ticks: list[Tick], steps: "_Steps") -> tuple[float, int]:
    """Clear ticks from nothing: (seconds in the fold, journeys); each once more in steps, outside that time."""
    state, whole_s, journeys = State.genesis(ticks[0].second), 0.0, 0
    for tick in ticks:
        before, _closed = close_before(state, tick.second, has_entries=True)
        began = time.perf_counter()
        state, cleared = clear(before, tick)
        whole_s += time.perf_counter() - began
        journeys += len(cleared.journeys)
        steps.clear(before, tick, state, cleared)
    return whole_s, journeys


def _ticks(cities: NineCities, tick_taps: int) -> Iterator[Tick]:
    """Ticks of a rush hour's taps by time, a quarter of a second apart; the first brings the tables."""
    taps = rush_hour(cities, rides=TICKS * tick_taps // 2, seed=1).taps
    for number, run in enumerate(runs_of(taps, tick_taps)):
        recorded_us = cities.now_us + number * _TICK_US
        tables = () if number else cities.pins
        yield Tick(recorded_us, number, number + 1, sha256(number.to_bytes(8, "little")), run, tables)


@dataclass(slots=True)
class _Steps:
    """The seconds spent in each step, added up over ticks."""

    spent: dict[str, float]
    _began: float = 0.0

    def clear(self, before: State, tick: Tick, after: State, cleared: Cleared) -> None:
        """Clear a tick once more, a step at a time, as `clearing.clear` does where every ride can be paid."""
        rules = before.rules.including(tick.tables)
        self._start()
        pairing = pair(before.waiting, before.due, before.counted, tick.taps, rules, tick.recorded_us)
        self._took("pair")
        rides, between = identify(pairing.ridden, pairing.between)
        self._took("journey-ids")
        draw = draws(tick.seed, id_numbers(rides.journey_id))
        fares = price(rides, rules)
        self._took("price")
        discounts = discount(rides.entries, fares, rules)
        fare_fen = earned_fen(fares, discounts)
        self._took("discount")
        charges = charge(rides.entries, fare_fen.clip(0), rules, draw)
        self._took("charge")
        journeys = record(
            rides, fare_fen=fare_fen, nominal_fen=fares.nominal_fen, discount_fen=discounts.discount_fen, funder=discounts.funder,
            surcharge_fen=fares.surcharge_fen, distance_m=fares.distance_m, tariff=fares.version, weight_set=fares.weight_set,
            commission_fen=charges.commission_fen, fee_fen=charges.fee_fen,
        )  # fmt: skip
        self._took("record")
        shares = apportion_fares(fares, fare_fen, between, rules, draw)
        self._took("apportion")
        sums = oblige(journeys, shares)
        self._took("oblige")
        joined = join_at_borders(before.sides, rides, rules, tick.recorded_us)
        self._took("border-joins")
        root = delta_root(journeys, shares, sums, pairing.exceptions, joined.joins)
        self._took("delta-root")
        assert root == cleared.delta_root, "the steps of this room are no longer those of clearing"
        assert not laws(before, cleared, after)
        self._took(LAWS)

    def _start(self) -> None:
        self._began = time.perf_counter()

    def _took(self, step: str) -> None:
        now = time.perf_counter()
        self.spent[step] = self.spent.get(step, 0.0) + now - self._began
        self._began = time.perf_counter()

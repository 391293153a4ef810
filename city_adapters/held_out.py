"""How well calibrated lengths agree with the fares that made them, and how well they foretell fares that were kept apart."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from city_adapters.calibration import Calibrated, PricePaths, Terms, calibrate
from city_adapters.length_problem import BandList, LengthProblem
from city_adapters.paths import Int64s

FAR_OFF_FEN = 200


@dataclass(frozen=True, slots=True)
class Agreed:
    """Of so many published fares the rule gives so many exactly, and so many more than 2 yuan off."""

    fares: int = 0
    exact: int = 0
    far_off: int = 0

    def __add__(self, other: "Agreed") -> "Agreed":
        """Count two runs of fares together."""
        return Agreed(self.fares + other.fares, self.exact + other.exact, self.far_off + other.far_off)

    def __str__(self) -> str:
        """`42,000 of 42,860 exact (97.99 %), 0 more than 2 yuan off`."""
        share = f" ({10_000 * self.exact // self.fares / 100:.2f} %)" if self.fares else ""
        return f"{self.exact:,} of {self.fares:,} exact{share}, {self.far_off:,} more than 2 yuan off"


@dataclass(frozen=True, slots=True)
class BeforeAndAfter:
    """The same fares with the metres of the source and with calibrated ones."""

    before: Agreed = Agreed()
    after: Agreed = Agreed()

    def __add__(self, other: "BeforeAndAfter") -> "BeforeAndAfter":
        """Count two runs of fares together."""
        return BeforeAndAfter(self.before + other.before, self.after + other.after)


@dataclass(frozen=True)
class Trial:
    """A calibration on all fares, and where some were kept apart: what it foretold of these when they were left out."""

    answer: Calibrated
    calibrated: BeforeAndAfter
    held_out: BeforeAndAfter | None

    def lines(self) -> list[str]:
        """Say it to people."""
        both = (("calibrated on", self.calibrated), ("held out", self.held_out))
        return [
            f"{name}: {when} {agreed}"
            for name, pair in both
            if pair
            for when, agreed in (("before", pair.before), ("after ", pair.after))
        ]


def trial(problem: LengthProblem, listed: BandList, terms: Terms, *, percent: int, seed: int, by_origin: bool) -> Trial:
    """Calibrate, after foretelling each origin in turn, or a random part of the pairs, or nothing."""
    if by_origin:
        return with_origins_held_out(problem, listed, terms)
    if percent:
        return with_part_held_out(problem, listed, terms, percent=percent, seed=seed)
    return on_all(problem, listed, terms)


def on_all(problem: LengthProblem, listed: BandList, terms: Terms) -> Trial:
    """Calibrate on every fare."""
    answer = calibrate(problem.track, listed.bands, terms)
    every = np.arange(len(listed.bands))
    return Trial(answer, _compared(problem, listed, every, answer), None)


def with_part_held_out(problem: LengthProblem, listed: BandList, terms: Terms, *, percent: int, seed: int) -> Trial:
    """Keep a random part of the pairs apart, foretell it, then calibrate on all."""
    order = np.random.default_rng(seed).permutation(len(listed.bands))
    count = len(order) * percent // 100
    return _held_out(problem, listed, terms, iter([np.sort(order[:count])]))


def with_origins_held_out(problem: LengthProblem, listed: BandList, terms: Terms) -> Trial:
    """Keep the fares of each origin apart in turn, foretell them from the others, then calibrate on all."""
    origins = np.array([fare.from_id for fare in listed.rows])
    return _held_out(problem, listed, terms, (np.flatnonzero(origins == one) for one in np.unique(origins)))


def _held_out(problem: LengthProblem, listed: BandList, terms: Terms, parts: Iterator[Int64s]) -> Trial:
    foretold = BeforeAndAfter()
    for apart in parts:
        rest = np.setdiff1d(np.arange(len(listed.bands)), apart)
        foretold += _compared(problem, listed, apart, calibrate(problem.track, listed.bands.taken(rest), terms))
    final = on_all(problem, listed, terms)
    return Trial(final.answer, final.calibrated, foretold)


def _compared(problem: LengthProblem, listed: BandList, which: Int64s, answer: Calibrated) -> BeforeAndAfter:
    return BeforeAndAfter(*(_agreed(problem, listed, which, metres) for metres in (problem.track.source_m, answer.metres)))


def _agreed(problem: LengthProblem, listed: BandList, which: Int64s, lengths_m: Int64s) -> Agreed:
    metres = PricePaths(problem.track, lengths_m, listed.bands.pairs[which]).metres
    published = np.array([fare.fare_fen for fare in listed.rows], dtype=np.int64)[which]
    apart = np.abs(listed.rule.fares(metres) - published)
    return Agreed(len(which), int((apart == 0).sum()), int((apart > FAR_OFF_FEN).sum()))

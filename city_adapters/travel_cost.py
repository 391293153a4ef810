"""What a path costs a rider, as the agreement counts it, in whole milliseconds: ride, walk, wait, and a penalty for each change.

    cost = ride + alpha * walk^gamma + beta * wait + penalty, the last three once for each change, in seconds

Whole numbers throughout: a root is taken of an integer, so that two machines never disagree on which of two paths is cheaper.
"""

from dataclasses import dataclass
from fractions import Fraction

from city_adapters.fields import Fields

MOST_OF_GAMMA = 8
"""Numerator and denominator of gamma at most."""
ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class TravelCost:
    """Speeds in km/h, the parts of a change in seconds, and how heavily they weigh."""

    speed_kmh: int
    line_speeds_kmh: tuple[tuple[str, int], ...]
    walk_s: int
    outside_walk_s: int
    wait_s: int
    penalty_s: int
    alpha: Fraction = ONE
    beta: Fraction = ONE
    gamma: Fraction = ONE

    def ride_ms(self, line_id: str, metres: int) -> int:
        """Cost of riding so far on a line: never nothing, so that each link leads on."""
        speed = dict(self.line_speeds_kmh).get(line_id, self.speed_kmh)
        return max(1, metres * 3600 // speed)

    def change_ms(self, *, outside: bool = False) -> int:
        """Cost of one change, inside a station or by a walk outside."""
        walk_s = self.outside_walk_s if outside else self.walk_s
        waiting = self.beta * self.wait_s + self.penalty_s
        return max(1, _weighed_ms(walk_s, self.alpha, self.gamma) + int(waiting * 1000))


def read_travel_cost(fields: Fields, base: TravelCost | None = None) -> TravelCost:
    """Read a table of costs; what it leaves out is as in `base`, where there is one."""

    def whole(name: str, least: int, most: int, otherwise: int | None) -> int:
        return fields.whole(name, least, most) if otherwise is None or fields.has(name) else otherwise

    def ratio(name: str) -> Fraction:
        return fields.ratio(name) if fields.has(name) else getattr(base, name, ONE)

    walk_s = whole("walk_s", 0, 3600, base.walk_s if base else None)
    cost = TravelCost(
        whole("speed_kmh", 1, 600, base.speed_kmh if base else None),
        _line_speeds(fields) or (base.line_speeds_kmh if base else ()),
        walk_s,
        whole("outside_walk_s", 0, 7200, base.outside_walk_s if base else walk_s),
        whole("wait_s", 0, 3600, base.wait_s if base else None),
        whole("penalty_s", 0, 3600, base.penalty_s if base else None),
        ratio("alpha"),
        ratio("beta"),
        ratio("gamma"),
    )
    if max(cost.gamma.numerator, cost.gamma.denominator) > MOST_OF_GAMMA:
        fields.wrong("gamma", f"is {cost.gamma}", f"give a fraction of whole numbers up to {MOST_OF_GAMMA}, as 3/2")
    fields.done()
    return cost


def _line_speeds(fields: Fields) -> tuple[tuple[str, int], ...]:
    speeds = fields.optional_table("line_speed_kmh")
    return tuple((line, speeds.whole(line, least=1, most=600)) for line in speeds.names()) if speeds else ()


def _weighed_ms(walk_s: int, alpha: Fraction, gamma: Fraction) -> int:
    """Weigh a walk, alpha * walk^gamma, in whole milliseconds, cut down: the integer root of a whole number."""
    root = gamma.denominator
    scaled = Fraction(walk_s**gamma.numerator) * (alpha * 1000) ** root
    return _integer_root(int(scaled), root)


def _integer_root(value: int, root: int) -> int:
    """Find the largest whole number whose power `root` is not above `value`."""
    low, high = 0, 1 << (value.bit_length() // root + 1)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**root <= value else (low, middle)
    return low

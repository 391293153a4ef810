"""What each beneficiary gets of an amount, exactly and by the draw.

With amount A, weights w_0, w_1, ... of total T, C_i = w_0 + ... + w_i and the drawn point p (a whole number below T), the edges
are E_i = (A * C_i + p) // T, and beneficiary i gets E_i - E_(i-1), where the edge before the first is 0. So each gets
floor(A * w_i / T) fen, or one more where p lies in certain half-open intervals: these are told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from settlement.hosted_rides import HostedRide
from settlement.quotes import commission_ppm

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class ExplainedShare:
    """One beneficiary of a fare; `expected_fen` is a fraction in lowest terms, `fen` what it got, None where nothing is drawn."""

    beneficiary: int
    name_zh: str
    name_en: str
    weight: int
    expected_fen: str
    floor_fen: int
    one_more_where_point_in: tuple[tuple[int, int], ...]
    fen: int | None


@dataclass(frozen=True, slots=True)
class ExplainedDraw:
    """The drawn point: the first 8 bytes (little-endian) of the journey's id and of the seed, added modulo 2^64, halved.

    `point` is the draw modulo `total`.
    """

    journey_id: str
    seed: str
    draw: int
    total: int
    point: int


@dataclass(frozen=True, slots=True)
class ExplainedCommission:
    """What the host owes the issuer for a visitor's ride: `ppm` millionths of the fare.

    Drawn like a share, by the same draw and of a total of a million.
    """

    ppm: int
    expected_fen: str
    floor_fen: int
    one_more_where_point_in: tuple[tuple[int, int], ...]
    point: int | None
    fen: int | None
    fee_fen: int


def one_more(amount: int, weights: Sequence[int], which: int) -> tuple[tuple[int, int], ...]:
    """The half-open intervals of the point in which a beneficiary gets a fen more than its floor."""
    total = sum(weights)
    before, upto = sum(weights[:which]), sum(weights[: which + 1])
    # An edge passes on to the next fen where the point reaches its threshold; one that is whole never does.
    begin, end = total - amount * upto % total, total - amount * before % total
    pieces = ((begin, end),) if begin <= end else ((0, end), (begin, total))
    return tuple(piece for piece in pieces if piece[0] < piece[1])


def explained_shares(ride: HostedRide, *, is_drawn: bool) -> tuple[ExplainedShare, ...]:
    """Explain who gets what of the fare, beneficiaries with a weight alone, as the table lists them."""
    one, city = ride.one, ride.city
    weights = [int(weight) for weight in one.weights]
    total = sum(weights)
    names = {operator.number: (operator.name_zh, operator.name_en) for operator in city.operators} if city else {}
    return tuple(
        ExplainedShare(
            ride.table.city * 256 + number,
            *names.get(number, ("", f"beneficiary {number}")),
            weights[at],
            str(Fraction(one.fare_fen * weights[at], total)),
            one.fare_fen * weights[at] // total,
            one_more(one.fare_fen, weights, at),
            int(one.shares_fen[at]) if is_drawn else None,
        )
        for at, number in enumerate(ride.table.beneficiaries)
        if weights[at]
    )


def explained_draw(ride: HostedRide, seed: bytes) -> ExplainedDraw:
    """Explain the point that a cleared journey drew."""
    total = int(ride.one.weights.sum())
    journey_id = ride.one.rides.journey_id[0].tobytes()
    return ExplainedDraw(journey_id.hex(), seed.hex(), ride.one.draw, total, ride.one.draw % total)


def explained_commission(ride: HostedRide, *, is_drawn: bool) -> ExplainedCommission | None:
    """Explain commission and fee of a visitor's ride; None for a city's own rider."""
    one = ride.one
    if int(one.rides.entries["host"][0]) == int(one.rides.entries["issuer"][0]):
        return None
    ppm = commission_ppm(ride)
    return ExplainedCommission(
        ppm,
        str(Fraction(one.fare_fen * ppm, PPM)),
        one.fare_fen * ppm // PPM,
        one_more(one.fare_fen, (ppm, PPM - ppm), 0),
        one.draw % PPM if is_drawn else None,
        int(one.charges.commission_fen[0]) if is_drawn else None,
        int(one.charges.fee_fen[0]),
    )

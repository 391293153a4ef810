"""What clearing must keep, written once: property tests, the referee and the clearing itself, before it commits, ask the same.

The laws are worked out from the results alone, by sums that clearing did not use: two mistakes would have to agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from city_adapters.tables import Funder
from fare_chain.events import WindowEntry
from fare_chain.merkle import root
from settlement.core.books import Account, Balances
from settlement.core.clearing import Cleared
from settlement.core.columns import Level, ObligationKind, Records, column
from settlement.core.state import State, chain_root, earned_leaves
from settlement.core.windows import window_postings


class Law(IntEnum):
    """The laws by number; numbers are never used twice."""

    EACH_TAP_ONCE = 1
    SHARES_SUM_TO_THE_FARE = 2
    OBLIGATIONS_EQUAL_THE_JOURNEYS = 3
    JOURNEYS_IN_ORDER = 4
    LEDGER_ADVANCES = 5
    POSITIONS_SUM_TO_ZERO = 6
    POSTINGS_BALANCE = 7
    POSTINGS_REACH_THE_BALANCES = 8
    VISITORS_EQUAL_ON_BOTH_LEVELS = 9
    WINDOW_EQUALS_ITS_TICKS = 10
    STATE_ROOT_FOLLOWS = 11
    FARE_IS_WHAT_WAS_EARNED = 12
    JOINS_NAME_JOURNEYS_ONCE = 13
    A_JOURNEY_FALLS_ONCE = 14


@dataclass(frozen=True, slots=True)
class Breach:
    """A law that does not hold: what was found, what the law expects."""

    law: Law
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.law.name}: found {self.found}, expected {self.expected}"


def laws(before: State, cleared: Cleared, after: State) -> list[Breach]:
    """Find every law that a cleared tick breaks; none is the only good answer."""
    return [
        *_taps_kept(before, cleared, after),
        *_shares_sum(cleared),
        *_fares_earned(cleared),
        *_joined_once(cleared),
        *_obligations_equal(cleared),
        *_fallen_once(before, cleared, after),
        *_in_order(before, cleared, after),
    ]


def window_laws(before: State, window: WindowEntry, after: State) -> list[Breach]:
    """Find every law that a closed window breaks; `before` is the state that was closed."""
    postings = window_postings(before)
    return [
        *_zero("positions", window.positions),
        *_postings_balance(postings),
        *_postings_reach(postings, before, after),
        *_levels_agree(before.window.sums),
        *_window_equals(before, window, after),
        *_root_follows(before, window, after),
    ]


def _unless(holds: object, law: Law, found: object, expected: object) -> Iterator[Breach]:
    if not holds:
        yield Breach(law, str(found), str(expected))


def _taps_kept(before: State, cleared: Cleared, after: State) -> Iterator[Breach]:
    came = len(before.waiting) + cleared.taps
    ridden = 2 * int(cleared.journeys["legs"].sum()) + int(cleared.journeys["markers"].sum())
    went = ridden + len(cleared.exceptions) + len(after.waiting)
    yield from _unless(
        came == went, Law.EACH_TAP_ONCE, f"{went} taps in legs, exceptions and waiting", f"the {came} that were there"
    )


def _shares_sum(cleared: Cleared) -> Iterator[Breach]:
    shared = np.zeros(len(cleared.journeys), np.int64)
    np.add.at(shared, column(cleared.shares, "journey"), column(cleared.shares, "amount_fen"))
    wrong = np.flatnonzero(shared != cleared.journeys["fare_fen"])
    for row in wrong[:1]:
        journey = cleared.journeys[row]
        found = f"{shared[row]} fen shared of journey {journey['journey_id'].tobytes().hex()} (and {len(wrong) - 1} others)"
        yield Breach(Law.SHARES_SUM_TO_THE_FARE, found, f"its fare of {journey['fare_fen']} fen")
    least = int(cleared.shares["amount_fen"].min(initial=0))
    yield from _unless(least >= 0, Law.SHARES_SUM_TO_THE_FARE, f"a share of {least} fen", "no share below 0")


def _fares_earned(cleared: Cleared) -> Iterator[Breach]:
    rows = cleared.journeys
    nominal, discount, surcharge = (rows[name].astype(np.int64) for name in ("nominal_fen", "discount_fen", "surcharge_fen"))
    due = nominal + surcharge - discount * (rows["funder"] != Funder.ISSUER)
    wrong = np.flatnonzero((rows["fare_fen"] != due) | (discount > nominal) | ((discount > 0) != (rows["funder"] != Funder.NOBODY)))
    for row in wrong[:1]:
        found = f"a fare of {rows['fare_fen'][row]} fen of journey {rows['journey_id'][row].tobytes().hex()}"
        yield Breach(Law.FARE_IS_WHAT_WAS_EARNED, f"{found} (and {len(wrong) - 1} others)", f"{due[row]} fen, funded by somebody")


def _joined_once(cleared: Cleared) -> Iterator[Breach]:
    for side in ("first", "second"):
        named = cleared.joins[side].tolist()
        yield from _unless(len(set(named)) == len(named), Law.JOINS_NAME_JOURNEYS_ONCE, f"a journey twice as the {side}", "once")
    if len(cleared.joins):
        here = set(cleared.journeys["journey_id"].tolist())
        stale = [pair for pair in cleared.joins.tolist() if here.isdisjoint(pair) or pair[0] == pair[1]]
        found, expected = (
            f"{len(stale)} joins without a journey of the tick, or of one with itself",
            "a join with its second journey",
        )
        yield from _unless(not stale, Law.JOINS_NAME_JOURNEYS_ONCE, found, expected)


def _obligations_equal(cleared: Cleared) -> Iterator[Breach]:
    journeys, sums = cleared.journeys, cleared.sums
    visitor = journeys["host"] != journeys["issuer"]
    owed = {
        (Level.MEMBERS, ObligationKind.FARE): journeys["fare_fen"][visitor].sum(),
        (Level.MEMBERS, ObligationKind.COMMISSION): journeys["commission_fen"].sum(),
        (Level.MEMBERS, ObligationKind.FEE): journeys["fee_fen"].sum(),
        (Level.BENEFICIARIES, ObligationKind.FARE): journeys["fare_fen"][visitor].sum(),
        (Level.BENEFICIARIES, ObligationKind.LOCAL_FARE): journeys["fare_fen"][~visitor].sum(),
        (Level.MEMBERS, ObligationKind.DELTA): _owed_back(cleared.upheld.adjustments),
        (Level.BENEFICIARIES, ObligationKind.DELTA): cleared.upheld.adjustments["fare_fen"].sum(),
    }
    for (level, kind), expected in owed.items():
        found = sums["amount_fen"][(sums["level"] == level) & (sums["kind"] == kind)].sum()
        law = Law.OBLIGATIONS_EQUAL_THE_JOURNEYS
        yield from _unless(found == expected, law, f"{found} fen of {kind.name} at level {int(level)}", f"the journeys' {expected}")


def _owed_back(adjustments: Records) -> int:
    """What members owe back for journeys that fell: a visitor's fare, its commission, its fee."""
    abroad = adjustments[adjustments["host"] != adjustments["issuer"]]
    return int(abroad["fare_fen"].sum() + abroad["commission_fen"].sum() + abroad["fee_fen"].sum())


def _fallen_once(before: State, cleared: Cleared, after: State) -> Iterator[Breach]:
    """A journey falls once, and with the whole of its fare."""
    adjustments, shares = cleared.upheld
    fallen = adjustments["journey_id"].tolist()
    law = Law.A_JOURNEY_FALLS_ONCE
    twice = len(fallen) - len(set(fallen)) + len(set(fallen) & set(before.reversed["journey_id"].tolist()))
    yield from _unless(not twice, law, f"{twice} journeys that fell before", "each once")
    kept = set(fallen) <= set(after.reversed["journey_id"].tolist())
    yield from _unless(kept, law, "a journey that fell and is not remembered", "all of them")
    back = np.zeros(len(adjustments), np.int64)
    np.add.at(back, column(shares, "journey"), column(shares, "amount_fen"))
    wrong = int((back != adjustments["fare_fen"]).sum())
    yield from _unless(not wrong, law, f"{wrong} journeys of which beneficiaries owe another sum back", "their fares")


def _in_order(before: State, cleared: Cleared, after: State) -> Iterator[Breach]:
    high, low = column(cleared.journeys, "journey_id").view(">u8").reshape(-1, 2).T
    rises = (high[1:] > high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] > low[:-1]))
    yield from _unless(rises.all(), Law.JOURNEYS_IN_ORDER, "journeys out of order or twice", "by id, each once")
    backwards = int((cleared.journeys["exited_at_us"] < cleared.journeys["entered_at_us"]).sum())
    yield from _unless(not backwards, Law.JOURNEYS_IN_ORDER, f"{backwards} journeys that end before they begin", "none")
    followed = cleared.from_index == before.next_index < cleared.to_index == after.next_index
    advanced = before.recorded_us < cleared.recorded_us == after.recorded_us
    found = f"entries {cleared.from_index} to {cleared.to_index} at {cleared.recorded_us} us"
    yield from _unless(
        followed and advanced, Law.LEDGER_ADVANCES, found, f"from {before.next_index}, after {before.recorded_us} us"
    )


def _zero(what: str, balances: Balances) -> Iterator[Breach]:
    total = sum(fen for _number, fen in balances)
    yield from _unless(total == 0, Law.POSITIONS_SUM_TO_ZERO, f"{what} that sum to {total} fen", "0")


def _postings_balance(postings: Records) -> Iterator[Breach]:
    totals: dict[tuple[int, int], int] = {}
    for line in postings:
        place = (int(line["level"]), int(line["reason"]))
        totals[place] = totals.get(place, 0) + int(line["amount_fen"])
        after = int(line["before_fen"]) + int(line["amount_fen"])
        yield from _unless(after == line["after_fen"], Law.POSTINGS_BALANCE, f"a line that ends at {line['after_fen']}", after)
    for (level, reason), total in totals.items():
        found = f"lines of level {level}, reason {reason} that sum to {total} fen"
        yield from _unless(total == 0, Law.POSTINGS_BALANCE, found, 0)


def _postings_reach(postings: Records, before: State, after: State) -> Iterator[Breach]:
    for account, opening, closing in (
        (Account.POSITION, before.positions, after.positions),
        (Account.EARNED, before.earned, after.earned),
    ):
        moved = dict(opening)
        for line in postings[postings["account"] == account]:
            moved[int(line["owner"])] = moved.get(int(line["owner"]), 0) + int(line["amount_fen"])
        named = {number: moved.get(number, 0) for number in {*moved, *dict(closing)}}
        found, expected = dict(closing), dict(sorted(named.items()))
        yield from _unless(found == expected, Law.POSTINGS_REACH_THE_BALANCES, f"{account.name} {found}", expected)


def _levels_agree(sums: Records) -> Iterator[Breach]:
    """What a host's visitors owe it between members is what it owes its beneficiaries for them."""
    for host in np.unique(sums["debtor"][sums["level"] == Level.BENEFICIARIES]).tolist():
        fares = sums[sums["kind"] == ObligationKind.FARE]
        owed = int(fares["amount_fen"][(fares["level"] == Level.MEMBERS) & (fares["creditor"] == host)].sum())
        owes = int(fares["amount_fen"][(fares["level"] == Level.BENEFICIARIES) & (fares["debtor"] == host)].sum())
        yield from _unless(owes == owed, Law.VISITORS_EQUAL_ON_BOTH_LEVELS, f"host {host} owing {owes} fen inside", owed)


def _window_equals(before: State, window: WindowEntry, after: State) -> Iterator[Breach]:
    law, opened = Law.WINDOW_EQUALS_ITS_TICKS, before.window
    between = opened.sums[opened.sums["level"] == Level.MEMBERS]
    owed = int(between["amount_fen"].sum())
    yield from _unless(0 <= window.net_fen <= owed, law, f"net of {window.net_fen} fen", f"0 to the {owed} fen owed")
    gross = owed - int(between["amount_fen"][between["kind"] != ObligationKind.FARE].sum())
    found = (window.second, window.from_index, window.to_index, window.taps, window.journeys, window.gross_fen)
    expected = (before.second, opened.from_index, before.next_index, opened.taps, opened.journeys, gross)
    yield from _unless(found == expected, law, found, expected)
    left = (after.window.taps, after.window.journeys, len(after.window.sums), len(after.window.delta_roots))
    yield from _unless(after.second == window.second + window.seconds and not any(left), law, f"{left} left open", "nothing")


def _root_follows(before: State, window: WindowEntry, after: State) -> Iterator[Breach]:
    expected = chain_root(
        before.state_root,
        second=window.second,
        seconds=window.seconds,
        delta_root=window.delta_root,
        positions=window.positions,
        rules_hash=window.rules_hash,
        earned_root=root(earned_leaves(after.earned)),
    )
    found = (window.state_root, after.state_root)
    yield from _unless(found == (expected, expected), Law.STATE_ROOT_FOLLOWS, [each.hex() for each in found], expected.hex())

"""What is taken off: by category, attested step, day and hour of entry; for visitors only where the agreement says so."""

from dataclasses import replace

import numpy as np
import pytest

from city_adapters.tables import Concession, Funder
from fare_chain.tap import Category, TapKind
from settlement.core.discounts import discount, earned_fen
from settlement.core.pricing import Fares
from settlement.core.rules import PinnedTable, Rules
from simulators.small_cities import CHANGE_US, HOUR_US, MINUTE_US, NEW_YEAR_US, OPENING_US, small_scheme, small_tap, tap_records

SCHEME = small_scheme()
RULES = Rules().including(SCHEME)
OLD, NEW = 4, 5
"""Dogwood's tariffs among all: alder has one, birch two, cedar one."""
MONDAY_US = OPENING_US + 2 * 24 * HOUR_US + 16 * HOUR_US
"""Midnight of a Monday in dogwood."""
ADULT, STUDENT, SENIOR = Category


def at(hour, minute=0):
    return MONDAY_US + hour * HOUR_US + minute * MINUTE_US


def taken(rules=RULES, *, nominal=375, surcharge=0, tariff=OLD, at_us=None, issuer=4, category=ADULT, step=0):
    """Discount, funder and what the host earned of one ride in dogwood."""
    entry = small_tap(
        1, TapKind.ENTRY, at(12) if at_us is None else at_us, host=4, issuer=issuer, category=category, entitlement=step
    )
    columns = (tariff, 0, 0, 1, nominal, surcharge, 1000, 0)
    fares = Fares(*(np.array([value]) for value in columns))
    discounts = discount(tap_records([entry]), fares, rules)
    return int(discounts.discount_fen[0]), Funder(discounts.funder[0]), int(earned_fen(fares, discounts)[0])


@pytest.mark.parametrize(("step", "discount_fen"), [(0, 0), (1, 38), (2, 113), (3, 188), (4, 188), (255, 188)])
def test_the_attested_step_says_what_an_adult_pays_and_the_host_earns_it_all(step, discount_fen):
    assert taken(step=step) == (discount_fen, Funder.ISSUER if discount_fen else Funder.NOBODY, 375)


@pytest.mark.parametrize(
    ("at_us", "told"),
    [
        (at(6, 59), (188, Funder.HOST, 187)),
        (at(7), (0, Funder.NOBODY, 375)),
        (at(8, 59), (0, Funder.NOBODY, 375)),
        (at(9), (188, Funder.HOST, 187)),
        (at(3, 59), (375, Funder.THIRD_PARTY, 0)),  # Sunday's service day still
        (at(4), (188, Funder.HOST, 187)),
    ],
)
def test_a_senior_pays_by_the_hour_and_day_of_entry(at_us, told):
    assert taken(category=SENIOR, at_us=at_us) == told


def test_the_first_concession_that_fits_is_the_one_and_steps_are_not_added():
    assert taken(category=SENIOR, step=3) == (188, Funder.HOST, 187)
    assert taken(category=STUDENT, step=3) == (188, Funder.HOST, 187)


def test_a_surcharge_is_never_discounted():
    assert taken(step=3, surcharge=300) == (188, Funder.ISSUER, 675)
    assert taken(category=STUDENT, surcharge=300) == (188, Funder.HOST, 487)


@pytest.mark.parametrize(
    ("issuer", "at_us", "discount_fen"),
    [(4, CHANGE_US - 1, 188), (1, CHANGE_US, 188), (1, CHANGE_US - 1, 0), (2, CHANGE_US, 0), (3, CHANGE_US, 0), (9, CHANGE_US, 0)],
)
def test_a_visitor_has_a_discount_only_where_the_agreement_at_entry_says_so(issuer, at_us, discount_fen):
    assert taken(issuer=issuer, step=3, at_us=at_us)[0] == discount_fen


def test_who_may_earn_is_an_ordered_pair():
    agreement = SCHEME[4].table
    earn = agreement.visitors_earn.T.copy()
    rules = Rules().including([*SCHEME[:4], SCHEME[5], PinnedTable(replace(agreement, visitors_earn=earn), bytes(32))])
    assert taken(rules, issuer=1, step=3)[0] == 0


def test_another_tariff_may_say_that_a_step_is_worth_something_else():
    assert taken(tariff=NEW, at_us=NEW_YEAR_US, step=3) == (19, Funder.THIRD_PARTY, 356)
    assert taken(tariff=NEW, at_us=NEW_YEAR_US, category=STUDENT, step=3) == (0, Funder.NOBODY, 375)


def test_a_rider_pays_whole_fen_cut_down_and_a_fare_of_nothing_has_no_discount():
    assert [taken(step=1, nominal=nominal)[0] for nominal in (1, 9, 10, 11)] == [1, 1, 1, 2]
    assert taken(step=3, nominal=0) == (0, Funder.NOBODY, 0)


def test_a_ride_without_a_fare_has_no_discount():
    assert taken(tariff=-1, nominal=-1, step=3)[:2] == (0, Funder.NOBODY)


def test_categories_are_bits():
    dogwood = SCHEME[-1].table
    both = Concession((1 << STUDENT) | (1 << 31), 0, 0, Funder.HOST)
    changed = replace(dogwood, versions=(replace(dogwood.versions[0], concessions=(both,)), dogwood.versions[1]))
    rules = Rules().including([*SCHEME[:-1], PinnedTable(changed, bytes(32))])
    assert [taken(rules, category=category)[0] for category in (0, 1, 2, 31)] == [0, 375, 0, 375]

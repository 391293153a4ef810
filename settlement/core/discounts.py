"""Discount: what a host's tariff takes off a fare for this rider at this hour, and who bears it.

A rider's month is not on the ledger: the step of it that counts is attested by the issuer in the credential and stands in the tap
(docs/decisions/0009-the-issuer-attests-a-step.md).
"""

from dataclasses import dataclass

import numpy as np

from city_adapters.tables import Concession, Funder
from settlement.core.columns import Columns, Fens, Int64, Mask, Records, column
from settlement.core.local_hours import local_hours
from settlement.core.pricing import Fares
from settlement.core.rules import Rules

_PPM = 1_000_000


@dataclass(frozen=True)
class Discounts(Columns):
    """What is taken off each fare, and who bears it (a Funder; NOBODY where nothing is)."""

    discount_fen: Fens
    funder: Int64


def discount(rides_from: Records, fares: Fares, rules: Rules) -> Discounts:
    """Find each ride's discount from its entry tap (TAP_DTYPE): the first concession of its tariff version that fits.

    A rider pays whole fen, cut down in their favour. A visitor has a discount only where the agreement in force at entry says so.
    """
    taken, funder = (np.zeros(len(fares), np.int64) for _ in range(2))
    if any(tariff.version.concessions for tariff in rules.tariffs):
        earns = _earns(rides_from, rules)
        for number, tariff in enumerate(rules.tariffs):
            if not tariff.version.concessions:
                continue
            rows = np.flatnonzero((fares.tariff == number) & earns)
            hours = local_hours(tariff.city.calendar, column(rides_from, "tapped_at_us")[rows])
            who = rides_from["category"][rows], rides_from["entitlement"][rows]
            for concession in reversed(tariff.version.concessions):
                fits = rows[_suits(concession, *who) & hours.within(concession)]
                nominal = fares.nominal_fen[fits]
                taken[fits] = nominal - nominal * concession.pays_ppm // _PPM
                funder[fits] = concession.funder
    return Discounts(taken, np.where(taken > 0, funder, Funder.NOBODY))


def earned_fen(fares: Fares, discounts: Discounts) -> Fens:
    """What the host earned of each ride: all of it, less what was taken off and is not the issuer's to pay."""
    borne = np.where(discounts.funder == Funder.ISSUER, 0, discounts.discount_fen)
    return fares.nominal_fen + fares.surcharge_fen - borne


def _earns(rides_from: Records, rules: Rules) -> Mask:
    """Mark the rides that the host's discounts are for: its own riders', and visitors' where the agreement says so."""
    host, issuer = column(rides_from, "host"), column(rides_from, "issuer")
    earns: Mask = host == issuer
    agreement = rules.agreement_at(column(rides_from, "tapped_at_us"))
    for number, terms in enumerate(rules.agreements):
        parties = (agreement == number) & np.isin(host, terms.members) & np.isin(issuer, terms.members)
        rows = np.flatnonzero(parties)
        places = np.searchsorted(terms.members, issuer[rows]), np.searchsorted(terms.members, host[rows])
        earns[rows] = terms.visitors_earn[places] == 1
    return earns


def _suits(concession: Concession, category: Int64, entitlement: Int64) -> Mask:
    suits: Mask = ((concession.categories >> category.astype(np.int64)) & 1 == 1) & (entitlement >= concession.least_step)
    return suits

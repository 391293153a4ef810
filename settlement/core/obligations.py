"""Oblige: the issuer owes the host the fare, the host owes the issuer its commission, the issuer owes the scheme its fee.

That is level 1, between members, for visitors only. At level 2 the host owes every beneficiary its shares, its own riders'
included. A journey that falls is owed back in the same ways. Obligations between the same two parties are kept as sums: a tick has
a few hundred of them at most.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fare_chain.identifiers import SCHEME
from settlement.core.apportionment import apportion
from settlement.core.columns import SUM_DTYPE, Columns, Fens, Int64, Keys, Level, Mask, ObligationKind, Records, column, join, pick
from settlement.core.rules import Rules

_PPM = 1_000_000


@dataclass(frozen=True)
class Charges(Columns):
    """What the agreement in force at entry adds to each fare: 0 for a local ride; `agreed` is False where a visitor has none."""

    agreed: Mask
    commission_fen: Fens
    fee_fen: Fens


def charge(rides_from: Records, fare_fen: Fens, rules: Rules, draw: Int64) -> Charges:
    """Work out commission and fee of each ride from its entry tap (TAP_DTYPE) and fare."""
    host, issuer = column(rides_from, "host"), column(rides_from, "issuer")
    agreement = rules.agreement_at(column(rides_from, "tapped_at_us"))
    agreed = host == issuer
    commission_fen, fee_fen = np.zeros(len(fare_fen), np.int64), np.zeros(len(fare_fen), np.int64)
    for number, terms in enumerate(rules.agreements):
        parties = (host != issuer) & np.isin(host, terms.members) & np.isin(issuer, terms.members)
        rows = np.flatnonzero((agreement == number) & parties)
        payer, payee = np.searchsorted(terms.members, issuer[rows]), np.searchsorted(terms.members, host[rows])
        agreed[rows] = True
        fee_fen[rows] = terms.fee_fen[payer, payee]
        commission = terms.commission_ppm[payer, payee].astype(np.int64)
        commission_fen[rows] = apportion(fare_fen[rows], np.stack([commission, _PPM - commission], axis=1), draw[rows])[:, 0]
    return Charges(agreed, commission_fen, fee_fen)


def oblige(journeys: Records, shares: Records) -> Records:
    """Sum what journeys (JOURNEY_DTYPE) and their shares make owed: SUM_DTYPE, in order of level, kind, debtor, creditor."""
    visitor = journeys["host"] != journeys["issuer"]
    abroad = pick(journeys, visitor)
    host, issuer = abroad["host"], abroad["issuer"]
    scheme = np.full(len(abroad), SCHEME, np.uint16)
    sharer = visitor[shares["journey"]]
    carrier = journeys["host"][shares["journey"]]
    return add_up(
        [
            _sums(Level.MEMBERS, ObligationKind.FARE, issuer, host, abroad["fare_fen"]),
            _sums(Level.MEMBERS, ObligationKind.COMMISSION, host, issuer, abroad["commission_fen"]),
            _sums(Level.MEMBERS, ObligationKind.FEE, issuer, scheme, abroad["fee_fen"]),
            _shared(ObligationKind.FARE, carrier[sharer], pick(shares, sharer)),
            _shared(ObligationKind.LOCAL_FARE, carrier[~sharer], pick(shares, ~sharer)),
        ]
    )


def owe_back(adjustments: Records, shares: Records) -> Records:
    """Sum what journeys that fall (ADJUSTMENT_DTYPE) and their shares make owed the other way: SUM_DTYPE."""
    visitor = adjustments["host"] != adjustments["issuer"]
    abroad = pick(adjustments, visitor)
    host, issuer = abroad["host"], abroad["issuer"]
    scheme = np.full(len(abroad), SCHEME, np.uint16)
    carrier = adjustments["host"][shares["journey"]]
    delta = ObligationKind.DELTA
    return add_up(
        [
            _sums(Level.MEMBERS, delta, host, issuer, abroad["fare_fen"]),
            _sums(Level.MEMBERS, delta, issuer, host, abroad["commission_fen"]),
            _sums(Level.MEMBERS, delta, scheme, issuer, abroad["fee_fen"]),
            _sums(Level.BENEFICIARIES, delta, shares["beneficiary"], carrier, shares["amount_fen"]),
        ]
    )


def add_up(many: list[Records]) -> Records:
    """Add sums (SUM_DTYPE) of the same level, kind, debtor and creditor into one row each, in that order."""
    rows = join(many, SUM_DTYPE)
    if not len(rows):
        return rows
    key = _key(rows)
    rank = np.argsort(key, kind="stable")
    rows, key = pick(rows, rank), key[rank]
    starts = np.flatnonzero(np.diff(key, prepend=~key[:1]))
    sums = pick(rows, starts)
    sums["n"] = np.add.reduceat(rows["n"], starts)
    sums["amount_fen"] = np.add.reduceat(rows["amount_fen"], starts)
    return sums


def _shared(kind: ObligationKind, host: npt.NDArray[np.uint16], shares: Records) -> Records:
    return _sums(Level.BENEFICIARIES, kind, host, shares["beneficiary"], shares["amount_fen"])


def _sums(
    level: Level, kind: ObligationKind, debtor: npt.NDArray[np.uint16], creditor: npt.NDArray[np.uint16], amount_fen: Fens
) -> Records:
    """One row for each two parties; an obligation of 0 fen is none."""
    owed = amount_fen > 0
    parties, pair = np.unique((debtor[owed].astype(np.int64) << 16) | creditor[owed], return_inverse=True)
    rows = np.zeros(len(parties), SUM_DTYPE)
    rows["level"], rows["kind"], rows["debtor"], rows["creditor"] = level, kind, parties >> 16, parties & 0xFFFF
    rows["n"] = np.bincount(pair, minlength=len(parties))
    total = np.zeros(len(parties), np.int64)
    np.add.at(total, pair, amount_fen[owed])
    rows["amount_fen"] = total
    return rows


def _key(rows: Records) -> Keys:
    """Level, kind, debtor and creditor as one number that sorts like them."""
    level, kind, debtor, creditor = (rows[name].astype(np.uint64) for name in ("level", "kind", "debtor", "creditor"))
    key: Keys = (level << np.uint64(40)) | (kind << np.uint64(32)) | (debtor << np.uint64(16)) | creditor
    return key

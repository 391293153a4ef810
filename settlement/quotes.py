"""Quote one ride: fare, split and what the cities owe each other for it, from the same tables that clearing reads."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from city_adapters.catalogue import Catalogue
from city_adapters.city import City
from city_adapters.table_compiler import compile_agreement
from city_adapters.table_packing import pack_city
from city_adapters.tables import CityTable, TariffVersion
from fare_chain.errors import Conflict, Unknown
from fare_chain.hashing import sha256

_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class QuotedShare:
    """One beneficiary's part: `weight` of the pair's total (metres), and the fen that are its own before the draw."""

    name: str
    name_zh: str
    weight: int
    floor_fen: int


@dataclass(frozen=True, slots=True)
class Quote:
    """One ride priced; money in fen. What the shares' floors leave over is drawn, at most a fen a beneficiary."""

    from_id: str
    to_id: str
    host: str
    issuer: str
    at: str
    tariff: str
    distance_m: int
    fare_fen: int
    shares: tuple[QuotedShare, ...]
    drawn_fen: int
    commission_fen: int
    fee_fen: int
    table_hash: str
    unconfirmed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The quote under stable names."""
        told = {name: getattr(self, name) for name in self.__slots__ if name not in ("from_id", "to_id", "shares", "unconfirmed")}
        shares = [{name: getattr(share, name) for name in QuotedShare.__slots__} for share in self.shares]
        return {
            "from": self.from_id,
            "to": self.to_id,
            **told,
            "fare_yuan": yuan(self.fare_fen),
            "shares": shares,
            "unconfirmed": list(self.unconfirmed),
        }

    def to_lines(self) -> list[str]:
        """The quote for people."""
        total = sum(share.weight for share in self.shares)
        lines = [
            f"{self.from_id} -> {self.to_id}: {yuan(self.fare_fen)} yuan for {self.distance_m:,} m, {self.tariff}",
            *(
                f"  {share.name}: {share.weight:,} of {total:,}, {share.floor_fen} fen" + (" or one more" if self.drawn_fen else "")
                for share in self.shares
            ),
        ]
        if self.issuer != self.host:
            lines.append(
                f"  {self.issuer} owes {self.host} {yuan(self.fare_fen)} yuan; {self.host} owes {self.issuer} a commission of "
                f"{yuan(self.commission_fen)}; {self.issuer} owes the scheme {self.fee_fen} fen"
            )
        return lines + [f"  unconfirmed: {text}" for text in self.unconfirmed]


def quote(catalogue: Catalogue, from_id: str, to_id: str, *, at_us: int, issuer: str | None = None) -> Quote:
    """Quote a ride of one host; Unknown for a station or city that is not here, Conflict where two cities would price it."""
    host, start = catalogue.station(from_id)
    other, end = catalogue.station(to_id)
    if host.number != other.number:
        raise Conflict(
            f"{from_id} is {host.slug}'s and {to_id} {other.slug}'s, and each city prices its own ride: "
            "quote from and to the station where the rider changes networks, one city at a time"
        )
    table = catalogue.table(host.slug)
    version = table.version_at(at_us)
    if version is None:
        raise Unknown(f"{host.slug} has no tariff in force at that moment")
    pair = tuple(table.rows([start.number, end.number]))
    fare_fen = int(version.fare_fen[pair])
    if fare_fen < 0:
        raise Unknown(f"{host.slug} has no fare from {from_id} to {to_id}")
    payer = host if issuer is None else catalogue.city(issuer)
    commission_fen, fee_fen = _charges(catalogue, payer, host, fare_fen, at_us)
    shares = _shares(host, table, version, pair, fare_fen)
    return Quote(
        from_id=str(start.station_id),
        to_id=str(end.station_id),
        host=str(host.slug),
        issuer=str(payer.slug),
        at=datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat(),
        tariff=version.name,
        distance_m=int(version.distance_m[pair]),
        fare_fen=fare_fen,
        shares=shares,
        drawn_fen=fare_fen - sum(share.floor_fen for share in shares),
        commission_fen=commission_fen,
        fee_fen=fee_fen,
        table_hash=sha256(pack_city(table)).hex(),
        unconfirmed=host.unconfirmed,
    )


def yuan(fen: int) -> str:
    """Fen as yuan for people: whole numbers at this edge alone."""
    return f"{fen // 100}.{fen % 100:02d}"


def _shares(host: City, table: CityTable, version: TariffVersion, pair: tuple[Any, ...], fare_fen: int) -> tuple[QuotedShare, ...]:
    weights = version.weights[(0, *pair)].astype(np.int64)
    total = int(weights.sum())
    operators = {operator.number: operator for operator in host.operators}
    return tuple(
        QuotedShare(operators[number].name_en, operators[number].name_zh, int(weight), fare_fen * int(weight) // total)
        for number, weight in zip(table.beneficiaries, weights, strict=True)
        if weight
    )


def _charges(catalogue: Catalogue, issuer: City, host: City, fare_fen: int, at_us: int) -> tuple[int, int]:
    """Commission and fee of a visitor's ride under the agreement in force; nothing for a city's own rider."""
    if issuer.number == host.number:
        return 0, 0
    tables = [compile_agreement(agreement, catalogue.member_numbers) for agreement in catalogue.agreements]
    held = [table for table in tables if table.valid_from_us <= at_us]
    if not held:
        raise Unknown("no agreement between the cities was in force at that moment")
    terms = max(held, key=lambda table: table.valid_from_us)
    pair = tuple(np.searchsorted(terms.members, [issuer.number, host.number]))
    return fare_fen * int(terms.commission_ppm[pair]) // _PPM, int(terms.fee_fen[pair])

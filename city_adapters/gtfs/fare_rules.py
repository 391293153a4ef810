"""The fares of a feed as rules of one shape: so much between these places on these lines. Fares v2, else fares v1.

What a rule says beyond that, as times of day, transfers or zones passed, a city folder cannot say: it is left out by name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from city_adapters.findings import note, warning
from city_adapters.gtfs.feed import Feed, Row
from city_adapters.gtfs.stops import Places
from city_adapters.tariff import MOST_FEN

HOME_CURRENCY = "CNY"
BY_HAND = "write it by hand, if the folder can say it"


@dataclass(frozen=True, slots=True)
class FareRule:
    """`amount` hundredths between two sets of places on a set of routes; None stands for all of them."""

    row: Row
    name: str
    amount: int
    routes: frozenset[str] | None
    from_places: frozenset[str] | None
    to_places: frozenset[str] | None
    priority: int

    @property
    def is_flat(self) -> bool:
        """Whether it holds wherever a rider goes."""
        return self.from_places is None and self.to_places is None


def read_fare_rules(feed: Feed, places: Places) -> list[FareRule]:
    """Read the fares that a feed has."""
    if feed.has("fare_leg_rules.txt"):
        if feed.has("fare_attributes.txt"):
            feed.found(note("fare_attributes.txt", "is not used: the feed has fares v2 as well", "nothing to do"))
        return list(_second_version(feed, places))
    return list(_first_version(feed, places))


def amount_of(feed: Feed, row: Row, column: str, currency: str) -> int | None:
    """Read an amount in hundredths, None with a finding where the folder cannot say it."""
    parts = re.fullmatch(r"(\d{1,7})(?:\.(\d{0,2})0*)?", row[column])
    amount = int(parts[1]) * 100 + int((parts[2] or "").ljust(2, "0")) if parts else 0
    if not parts or not 0 < amount <= MOST_FEN:
        found = f"{column} {row[column]!r} is no amount from 0.01 to {MOST_FEN // 100}: the fare is not carried"
        feed.left(row, found, BY_HAND)
        return None
    if row[currency] != HOME_CURRENCY:
        found = f"amounts are in {row[currency] or 'no currency'}: their hundredths are carried as if they were fen"
        feed.left(row, found, "convert them before the city clears with others")
    return amount


def _second_version(feed: Feed, places: Places) -> Iterable[FareRule]:
    areas: dict[str, set[str]] = {row["area_id"]: set() for row in feed.rows("areas.txt", "area_id")}
    for row in feed.rows("stop_areas.txt", "area_id", "stop_id"):
        if row["stop_id"] in places.root_of:
            areas.setdefault(row["area_id"], set()).add(places.root_of[row["stop_id"]])
    rows = list(feed.rows("fare_leg_rules.txt", "fare_product_id"))
    ranked = any("rule_priority" in row.values for row in rows)
    for file in ("fare_transfer_rules.txt", "fare_leg_join_rules.txt"):
        for row in feed.rows(file):
            feed.left(row, "rules between legs are not carried: a journey has one fare from entry to exit", BY_HAND)
    listed = {end: {row[end] for row in rows} - {""} for end in ("from_area_id", "to_area_id")}
    amounts, networks = _products(feed), _networks(feed)
    for row in rows:
        if _is_carried(feed, row, amounts, networks, areas):
            ends = [_places_in(row[end], areas, listed[end], ranked=ranked) for end in ("from_area_id", "to_area_id")]
            flat = not (row["from_area_id"] or row["to_area_id"])
            routes = networks[row["network_id"]] if row["network_id"] else None
            product = row["fare_product_id"]
            priority = row.whole("rule_priority", blank=0) or 0
            yield FareRule(row, product, amounts[product], routes, None if flat else ends[0], None if flat else ends[1], priority)


def _is_carried(
    feed: Feed, row: Row, amounts: Mapping[str, int], networks: Mapping[str, object], areas: Mapping[str, object]
) -> bool:
    """Whether a leg's rule can be said in a city folder; otherwise a finding says why not."""
    if row["from_timeframe_group_id"] or row["to_timeframe_group_id"]:
        feed.left(row, "the fare holds at certain times only (timeframes): it is not carried", BY_HAND)
    elif {row["from_area_id"], row["to_area_id"]} - {""} - areas.keys():
        feed.left(row, "the fare names an area that areas.txt does not have: it is not carried", "correct it in the feed")
    elif row["network_id"] and row["network_id"] not in networks:
        feed.left(row, "the fare names a network that no route is in: it is not carried", "correct it in the feed")
    elif row["fare_product_id"] not in amounts:
        feed.left(row, "the fare's product has no amount that can be carried", "see what is said of fare_products.txt")
    elif row.whole("rule_priority", blank=0) is None:
        feed.left(row, "rule_priority is no whole number: the fare is not carried", "correct it in the feed")
    else:
        return True
    return False


def _products(feed: Feed) -> dict[str, int]:
    """What each fare product costs an adult who pays at the gate: where several media differ, the dearest."""
    usual = {row["rider_category_id"] for row in feed.rows("rider_categories.txt") if row["is_default_fare_category"] == "1"}
    amounts: dict[str, int] = {}
    for row in feed.rows("fare_products.txt", "fare_product_id", "amount"):
        if row["rider_category_id"] and row["rider_category_id"] not in usual:
            feed.left(row, "the fare is for a category of riders: it is not carried", BY_HAND)
            continue
        amount = amount_of(feed, row, "amount", "currency")
        if amount is None:
            continue
        product = row["fare_product_id"]
        if amounts.get(product, amount) != amount:
            feed.left(
                row, "the product has several amounts (fare media): the highest is carried", "check it against the fare table"
            )
        amounts[product] = max(amount, amounts.get(product, 0))
    return amounts


def _networks(feed: Feed) -> dict[str, frozenset[str]]:
    """The routes of each network: a file of its own, or a column of the routes."""
    pairs = [(row["network_id"], row["route_id"]) for row in feed.rows("route_networks.txt", "network_id", "route_id")]
    pairs += [(row["network_id"], row["route_id"]) for row in feed.rows("routes.txt", "route_id") if row["network_id"]]
    return {network: frozenset(route for other, route in pairs if other == network) for network, _ in pairs}


def _places_in(area: str, areas: Mapping[str, set[str]], listed: set[str], *, ranked: bool) -> frozenset[str] | None:
    """The places a rule means: of its area; without one all, or, where rules have no priority, those of areas that none lists."""
    if area:
        return frozenset(areas.get(area, ()))
    if ranked:
        return None
    return frozenset(place for name, inside in areas.items() if name not in listed for place in inside)


def _first_version(feed: Feed, places: Places) -> Iterable[FareRule]:
    if not feed.has("fare_attributes.txt"):
        found = "the feed has no fares: a placeholder stands in the tariff"
        feed.found(warning("fare_attributes.txt", found, "write the tariff as docs/formats/city-folder.md says"))
    zones: dict[str, set[str]] = {}
    for stop in places.stops.values():
        if stop.row["zone_id"]:
            zones.setdefault(stop.row["zone_id"], set()).add(places.root_of[stop.stop_id])
    rules: dict[str, list[Row]] = {}
    for row in feed.rows("fare_rules.txt", "fare_id"):
        rules.setdefault(row["fare_id"], []).append(row)
    for fare in feed.rows("fare_attributes.txt", "fare_id", "price"):
        if fare["transfer_duration"] or fare["transfers"] in ("0", "1", "2"):
            found = "how many and how long transfers are covered is not carried: a journey has one fare from entry to exit"
            feed.left(fare, found, BY_HAND)
        amount = amount_of(feed, fare, "price", "currency_type")
        if amount is not None:
            yield from _by_zone(feed, fare, amount, rules.get(fare["fare_id"], [fare]), zones)


def _by_zone(feed: Feed, fare: Row, amount: int, rows: Iterable[Row], zones: Mapping[str, set[str]]) -> Iterable[FareRule]:
    """The rules of one fare of version 1; a fare without any holds everywhere."""
    for row in rows:
        ends = [row["origin_id"], row["destination_id"]]
        if row["contains_id"]:
            feed.left(row, "the fare depends on the zones passed (contains_id): it is not carried", BY_HAND)
        elif set(ends) - {""} - zones.keys():
            feed.left(row, "the fare names a zone that no stop is in: it is not carried", "correct it in the feed")
        else:
            routes = frozenset((row["route_id"],)) if row["route_id"] else None
            origin, destination = (frozenset(zones[end]) if end else None for end in ends)
            yield FareRule(row, fare["fare_id"], amount, routes, origin, destination, 0)

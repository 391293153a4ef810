"""An explanation as a picture: its paths over the networks of the cities that hosted the ride."""

from collections.abc import Iterator
from itertools import pairwise

from city_adapters.catalogue import Catalogue
from city_adapters.map_legend import MOST_PATHS, Legend, LegendLine, LegendOperator, LegendPath, LegendPaths
from city_adapters.network import Line
from city_adapters.path_map import MapLeg, MapPath, PathMap, draw
from fare_chain.errors import Unknown
from settlement.explanation.explained import Explanation, JoinedExplanation
from settlement.explanation.split import ExplainedPath
from settlement.quotes import yuan

_MILLION, WHOLE = 1_000_000, 100_000_000


def picture(told: Explanation | JoinedExplanation, catalogue: Catalogue) -> str:
    """Draw an explanation as SVG; Unknown where no folder tells where its stations are."""
    legs = told.legs if isinstance(told, JoinedExplanation) else (told,)
    networks = []
    for leg in legs:
        network = catalogue.city(leg.host).network
        if any(end.station_id not in network.rows for end in (leg.from_station, leg.to_station)):
            raise Unknown(f"{leg.host}'s folder here does not have both stations of this ride: no map can be drawn")
        networks.append(network)
    lines = {line.line_id: line for network in networks for line in network.lines}
    operators = [share.beneficiary for leg in legs for share in leg.shares]
    return draw(
        PathMap(
            tuple(networks),
            tuple(_map_path(path, lines, operators) for leg in legs for path in leg.split.paths),
            tuple(_price_stations(leg) for leg in legs),
            legs[0].from_station.station_id,
            legs[-1].to_station.station_id,
            tuple((one.to_station.station_id, other.from_station.station_id) for one, other in pairwise(legs)),
            _legend(told, legs, lines),
        )
    )


def _map_path(path: ExplainedPath, lines: dict[str, Line], operators: list[int]) -> MapPath:
    """A path with the place of each leg's operator in the legend, -1 for one that has no share."""
    hosts = {part.beneficiary // 256 for part in path.operator_metres}
    host = min(hosts, default=0)
    places = {number: place for place, number in reversed(list(enumerate(operators)))}
    return MapPath(
        path.probability,
        tuple(
            MapLeg(
                leg.line,
                places.get(host * 256 + lines[leg.line].operator, -1) if leg.line else -1,
                tuple(station.station_id for station in leg.stations),
            )
            for leg in path.legs
        ),
    )


def _price_stations(leg: Explanation) -> tuple[str, ...]:
    links = [link for part in leg.price.parts for link in part.links]
    return (links[0].from_station, *(link.to_station for link in links)) if links else ()


def _legend(told: Explanation | JoinedExplanation, legs: tuple[Explanation, ...], lines: dict[str, Line]) -> Legend:
    first, last = legs[0].from_station, legs[-1].to_station
    total = " + ".join(yuan(leg.rider_pays_fen) for leg in legs)
    facts = [f"{yuan(told.rider_pays_fen)} 元 yuan" + (f" = {total}, cut at {legs[0].to_station.name_en}" if len(legs) > 1 else "")]
    facts += [f"{leg.host}: {leg.price.distance_m / 1000:.3f} km, {leg.tables.tariff}" for leg in legs]
    if any(leg.split.period for leg in legs):
        facts.append(", ".join(leg.split.period for leg in legs if leg.split.period))
    notes = ["Width: probability of the path. Dashed: the price path. Colour: the operator."]
    if any("illustrative" in remark or "unconfirmed" in remark for leg in legs for remark in leg.remarks):
        notes.append("Some values are unconfirmed or illustrative: the explanation in words lists them.")
    return Legend(
        f"{first.name_zh} → {last.name_zh}",
        f"{first.name_en} → {last.name_en}",
        tuple(facts),
        tuple(paths for leg in legs for paths in _legend_paths(leg, lines)),
        tuple(
            LegendOperator(share.name_zh, share.name_en, _share_note(leg, share.weight, share.fen, share.floor_fen))
            for leg in legs
            for share in leg.shares
        ),
        tuple(notes),
    )


def _legend_paths(leg: Explanation, lines: dict[str, Line]) -> Iterator[LegendPaths]:
    """The most probable paths of each part of a leg, and what the others have together."""
    for number in sorted({path.part for path in leg.split.paths}):
        ranked = sorted((path for path in leg.split.paths if path.part == number), key=lambda path: -path.probability)
        rest = WHOLE - sum(path.probability for path in ranked[:MOST_PATHS])
        ends = [leg.price.parts[number].from_station.name_zh, leg.price.parts[number].to_station.name_zh]
        where = leg.host if len(leg.price.parts) == 1 else f"{leg.host}: {' → '.join(ends)}"
        note = f"all others together {_percent(rest)}" if rest else ""
        yield LegendPaths(where, tuple(_legend_path(path, lines) for path in ranked), note)


def _legend_path(path: ExplainedPath, lines: dict[str, Line]) -> LegendPath:
    changes = f"{path.transfers} change{'' if path.transfers == 1 else 's'}"
    chips = [LegendLine(lines[leg.line].name_zh, lines[leg.line].colour) for leg in path.legs if leg.line]
    return LegendPath(_percent(path.probability), f"{path.metres / 1000:.3f} km, {changes}", tuple(chips))


def _percent(parts: int) -> str:
    hundredths = (parts + _MILLION // 200) // (_MILLION // 100)
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


def _share_note(leg: Explanation, weight: int, fen: int | None, floor_fen: int) -> str:
    """A share in hundredths of a per cent of the weights, and the fen: drawn, or the floor that is certain."""
    ten_thousandths = (weight * 10_000 + leg.split.weights_total // 2) // leg.split.weights_total
    got = f"{fen} fen drawn" if fen is not None else f"{floor_fen} fen or one more"
    certain = f"{floor_fen} fen" if weight == leg.split.weights_total else got
    return f"{ten_thousandths // 100}.{ten_thousandths % 100:02d} % of {leg.fare_fen} fen: {certain}"

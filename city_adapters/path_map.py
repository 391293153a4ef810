"""A ride's paths drawn over its cities' networks, as SVG: lines in muted colours, paths as wide as they are probable.

Values in, text out; the same values give the same bytes. The picture has no scripts and asks nothing of a network.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from city_adapters.map_labels import ANYTHING, NOTHING, PATHS_ONLY, Label, LabelBoard, PlacedLabel, escaped, second_size
from city_adapters.map_legend import INK, MUTED_INK, Legend, legend_height, legend_lines, operator_colour, plain_colour
from city_adapters.map_view import Frame, Point, View, view_of
from city_adapters.network import Network, Station

WIDTH, LEAST_HEIGHT, PANEL = 1280, 800, 400
INSET_WIDTH, INSET_HEIGHT, INSET_EDGE = 210, 160, 16
MOST_OF_INSET = 0.8
"""Where the map shows more of the networks than this, it needs no small picture of the whole."""
PAPER, BORDER = "#FFFFFF", "#C00000"
WHOLE = 100_000_000
FONTS = "font-family=\"'Noto Sans CJK SC','Noto Sans SC','Microsoft YaHei','PingFang SC',sans-serif\""
THIN, WIDE = 4.0, 9.0
"""A path of no probability has the width THIN, a certain one WIDE more."""


@dataclass(frozen=True, slots=True)
class MapLeg:
    """A part of a path on one line; a blank line is a walk. `operator` numbers the legend's operators."""

    line_id: str
    operator: int
    stations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MapPath:
    """One path and its probability, in parts of a hundred million."""

    parts: int
    legs: tuple[MapLeg, ...]


@dataclass(frozen=True, slots=True)
class PathMap:
    """All that a picture shows: networks side by side, paths of the clearing, the price path, and where networks meet."""

    networks: tuple[Network, ...]
    paths: tuple[MapPath, ...]
    price_path: tuple[tuple[str, ...], ...]
    start: str
    end: str
    borders: tuple[tuple[str, str], ...]
    legend: Legend


def draw(drawn: PathMap) -> str:
    """Draw a picture of WIDTH units, as high as its legend needs, as one SVG document."""
    height = max(LEAST_HEIGHT, legend_height(drawn.legend, PANEL))
    frame = Frame(0, 0, WIDTH - PANEL, height)
    inset = Frame(INSET_EDGE, height - INSET_EDGE - INSET_HEIGHT, INSET_WIDTH, INSET_HEIGHT)
    stations: dict[str, Station] = {station.station_id: station for network in drawn.networks for station in network.stations}
    ridden = _flat([leg.stations for path in drawn.paths for leg in path.legs]) + _flat(drawn.price_path)
    view = view_of([stations[name] for name in (*ridden, drawn.start, drawn.end)], frame, margin=120)
    at = {name: view.place(station) for name, station in stations.items()}
    flows = _flows(drawn.paths)
    size = f'width="{WIDTH}" height="{_n(height)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_n(height)}" {size} {FONTS}>',
        f"<title>{escaped(drawn.legend.title_zh)} {escaped(drawn.legend.title_en)}</title>",
        f'<defs><clipPath id="map"><rect width="{_n(frame.width)}" height="{_n(height)}"/></clipPath></defs>',
        f'<rect {size} fill="{PAPER}"/>',
        '<g clip-path="url(#map)">',
        *_network_lines(drawn.networks, at, 2.4),
        *_flow_lines(flows, at),
        *_price_lines(drawn.price_path, at),
        *_stops(drawn, _Placed(stations, at, flows), LabelBoard(frame, [], [inset])),
        "</g>",
        *_inset(drawn, view, inset),
        *legend_lines(drawn.legend, Frame(frame.width, 0, PANEL, height)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


Hop = tuple[str, str, str, int]
"""Two stations in the order of their ids, the line between them and its operator in the legend."""


def _flows(paths: Sequence[MapPath]) -> dict[Hop, int]:
    """How probable it is that the rider goes over each hop, whichever way."""
    flows: dict[Hop, int] = {}
    for path in paths:
        for leg in path.legs:
            for one, other in pairwise(leg.stations):
                hop = min(one, other), max(one, other), leg.line_id, leg.operator
                flows[hop] = flows.get(hop, 0) + path.parts
    return dict(sorted(flows.items(), key=lambda flow: (flow[1], flow[0])))


def _network_lines(networks: Sequence[Network], at: Mapping[str, Point], width: float) -> Iterable[str]:
    """Every line of the networks, in its own colour mixed with white."""
    for network in networks:
        for line in network.lines:
            track = " ".join(
                f"M{_p(at[link.from_id])}L{_p(at[link.to_id])}" for link in network.links if link.line_id == line.line_id
            )
            colour = _muted(plain_colour(line.colour))
            yield (
                f'<path class="line" d="{track}" fill="none" stroke="{colour}" stroke-width="{_n(width)}" stroke-linecap="round">'
                f"<title>{escaped(line.name_zh)} {escaped(line.name_en)}</title></path>"
            )


def _flow_lines(flows: Mapping[Hop, int], at: Mapping[str, Point]) -> Iterable[str]:
    """The ways of the paths: first all their white edges, then all their colours, so that no edge cuts a colour."""
    for is_edge in (True, False):
        for (one, other, line, operator), parts in flows.items():
            width = THIN + WIDE * parts / WHOLE
            colour = "#FFFFFF" if is_edge else operator_colour(operator)
            dash = ' stroke-dasharray="2 7"' if not line else ""
            told = "" if is_edge else f' class="flow" data-line="{escaped(line)}" data-parts="{parts}"'
            yield (
                f'<path{told} d="M{_p(at[one])}L{_p(at[other])}" fill="none" stroke="{colour}" '
                f'stroke-width="{_n(width + 4 if is_edge else width)}" stroke-linecap="round"{dash}/>'
            )


def _price_lines(price_path: Iterable[tuple[str, ...]], at: Mapping[str, Point]) -> Iterable[str]:
    for part in price_path:
        points = " ".join(_p(at[name]) for name in part)
        yield (
            f'<polyline class="price-path" points="{points}" fill="none" stroke="{INK}" stroke-width="1.6" stroke-dasharray="5 5" '
            'stroke-linejoin="round"/>'
        )


class _Placed(NamedTuple):
    """The stations, where they are in the picture, and how probable each hop is."""

    stations: Mapping[str, Station]
    at: Mapping[str, Point]
    flows: Mapping[Hop, int]


def _stops(drawn: PathMap, placed: _Placed, board: LabelBoard) -> Iterable[str]:
    """The stations of the paths: ends and borders with both names; changes with both, one or none as there is room."""
    stations, at, flows = placed
    ends = (drawn.start, drawn.end)
    border = [near for near, _far in drawn.borders if near not in ends]
    apart = {*ends, *_flat(drawn.borders)}
    changes = {name for path in drawn.paths for leg in path.legs for name in (leg.stations[0], leg.stations[-1])} - apart
    inner = sorted(changes, key=lambda name: (-max(parts for hop, parts in flows.items() if name in hop[:2]), name))
    rest = sorted(({name for hop in flows for name in hop[:2]} | set(_flat(drawn.price_path))) - changes - apart)
    board.lines += [(at[one], at[other]) for one, other, _line, _operator in flows]
    board.lines += [(at[one], at[other]) for part in drawn.price_path for one, other in pairwise(part)]
    board.dots += [_around(at[name], 8) for name in (*ends, *border, *inner)]
    yield from (_dot(at[name], 2.8, MUTED_INK, 1) for name in rest)
    yield from (_dot(at[name], 5, INK, 2) for name in inner)
    for name in border:
        x, y = at[name]
        yield f'<path class="border" d="M{_n(x)} {_n(y - 26)}v52" stroke="{BORDER}" stroke-width="2.5" stroke-dasharray="4 3"/>'
        yield _dot(at[name], 6, BORDER, 2.5)
    yield from (_dot(at[name], 8.5, INK, 3.5) for name in ends)
    for names, size, gap, most_cost in ((ends, 17, 15, ANYTHING), (border, 14, 12, ANYTHING), (inner, 13, 10, PATHS_ONLY)):
        for name in names:
            found = board.place(_label(stations[name], at[name], size, gap, most_cost))
            yield from _text(found or board.place(Label(at[name], (stations[name].name_zh,), 11, gap, most_cost)))
    for name in rest:
        yield from _text(board.place(Label(at[name], (stations[name].name_zh,), 10.5, 8, NOTHING, is_bold=False)))


def _label(station: Station, point: Point, size: float, gap: float, most_cost: int) -> Label:
    return Label(point, (station.name_zh, station.name_en), size, gap, most_cost)


def _text(placed: PlacedLabel | None) -> Iterable[str]:
    """A label with a white halo, so that it stands clear of the lines below it; one that is far has a thin line to its point."""
    if placed is None:
        return
    box, label = placed.box, placed.label
    x = {"start": box.left, "middle": box.left + box.width / 2, "end": box.left + box.width}[placed.anchor]
    rows, y = [], box.top + label.size * 0.95
    for number, line in enumerate(label.lines):
        font = label.size if number == 0 else second_size(label.size)
        weight = ' font-weight="700"' if number == 0 and label.is_bold else ""
        rows.append(f'<tspan x="{_n(x)}" y="{_n(y)}" font-size="{_n(font)}"{weight}>{escaped(line)}</tspan>')
        y += second_size(label.size) * 1.2
    near = (min(max(label.point[0], box.left), box.left + box.width), min(max(label.point[1], box.top), box.top + box.height))
    if max(abs(near[0] - label.point[0]), abs(near[1] - label.point[1])) > label.gap * 1.7:
        yield f'<path d="M{_p(label.point)}L{_p(near)}" stroke="{MUTED_INK}" stroke-width="1"/>'
    fill = INK if label.is_bold else MUTED_INK
    yield (
        f'<text class="stop" text-anchor="{placed.anchor}" fill="{fill}" stroke="{PAPER}" stroke-width="3.5" '
        f'stroke-linejoin="round" paint-order="stroke">{"".join(rows)}</text>'
    )


def _inset(drawn: PathMap, view: View, inset: Frame) -> Iterable[str]:
    """The whole of the networks, small, with the part that the map shows; left out where the map shows nearly all."""
    everywhere = [station for network in drawn.networks for station in network.stations]
    whole = view_of(everywhere, inset, margin=10)
    wide, high = view.frame.width / view.scale * whole.scale, view.frame.height / view.scale * whole.scale
    if max(wide / inset.width, high / inset.height) > MOST_OF_INSET:
        return
    at: dict[str, Point] = {station.station_id: whole.place(station) for station in everywhere}
    left = inset.left + (view.west - whole.west) * whole.squeeze * whole.scale
    top = inset.top + (whole.north - view.north) * whole.scale
    box = f'x="{_n(inset.left)}" y="{_n(inset.top)}" width="{_n(inset.width)}" height="{_n(inset.height)}"'
    yield f'<rect {box} fill="{PAPER}"/>'
    yield from _network_lines(drawn.networks, at, 0.9)
    shown = f'x="{_n(left)}" y="{_n(top)}" width="{_n(wide)}" height="{_n(high)}"'
    yield f'<rect {shown} fill="{INK}" fill-opacity="0.06" stroke="{INK}"/>'
    yield f'<rect {box} fill="none" stroke="#C8CDD2"/>'


def _dot(point: Point, radius: float, stroke: str, width: float) -> str:
    fill = "#FFFFFF" if width else stroke
    place = f'cx="{_n(point[0])}" cy="{_n(point[1])}" r="{_n(radius)}"'
    return f'<circle {place} fill="{fill}" stroke="{stroke}" stroke-width="{_n(width)}"/>'


def _around(point: Point, reach: float) -> Frame:
    return Frame(point[0] - reach, point[1] - reach, 2 * reach, 2 * reach)


def _flat(many: Iterable[tuple[str, ...]]) -> list[str]:
    return [name for names in many for name in names]


def _muted(colour: str) -> str:
    """A colour (#RRGGBB) mixed with white, two parts in five its own."""
    channels = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{(channel * 2 + 255 * 3) // 5:02X}" for channel in channels)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _p(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"

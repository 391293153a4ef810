"""The panel beside a map: what is drawn, path by path and operator by operator."""

from collections.abc import Iterable
from dataclasses import dataclass

from city_adapters.map_labels import escaped, text_width
from city_adapters.map_view import Frame

INK, MUTED_INK, RULE, NO_COLOUR = "#1B1F23", "#5A636B", "#DDE1E5", "#8A939B"
_COLOURS = ("#D1495B", "#00798C", "#EDAE49", "#5C4D9A", "#66A182", "#2E4057", "#B56576", "#8D6A3F")
_LEFT, _RIGHT, _TOP, _BELOW = 24.0, 24.0, 44.0, 20.0
MOST_PATHS = 6
"""So many paths of each city are listed."""


@dataclass(frozen=True, slots=True)
class LegendLine:
    """A metro line as a chip: its Chinese name on its own colour."""

    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class LegendPath:
    """One path: how probable it is, what it comes to, and the lines it takes."""

    probability: str
    note: str
    lines: tuple[LegendLine, ...]


@dataclass(frozen=True, slots=True)
class LegendPaths:
    """The paths of one city's leg, the most probable first; `note` says what those that are not listed come to."""

    city: str
    paths: tuple[LegendPath, ...]
    note: str


@dataclass(frozen=True, slots=True)
class LegendOperator:
    """One beneficiary and what it gets."""

    name_zh: str
    name_en: str
    note: str


@dataclass(frozen=True, slots=True)
class Legend:
    """Title, what the ride costs, its paths and operators, and what the reader must know."""

    title_zh: str
    title_en: str
    facts: tuple[str, ...]
    paths: tuple[LegendPaths, ...]
    operators: tuple[LegendOperator, ...]
    notes: tuple[str, ...]


def operator_colour(number: int) -> str:
    """The colour of an operator by its place in the legend; grey for who is not in it."""
    return _COLOURS[number % len(_COLOURS)] if number >= 0 else NO_COLOUR


def plain_colour(text: str) -> str:
    """A colour as lines.csv has it, #RRGGBB; grey for anything else."""
    is_plain = len(text) == 7 and text[0] == "#" and all(letter in "0123456789abcdefABCDEF" for letter in text[1:])
    return text if is_plain else NO_COLOUR


def legend_height(legend: Legend, width: float) -> float:
    """How high a panel of that width is."""
    y = _TOP
    for draw in _SECTIONS:
        _, y = draw(legend, 0, y, width - _LEFT - _RIGHT)
    return y + _BELOW


def legend_lines(legend: Legend, frame: Frame) -> Iterable[str]:
    """Draw the panel from top to bottom."""
    yield f'<rect x="{_n(frame.left)}" y="{_n(frame.top)}" width="{_n(frame.width)}" height="{_n(frame.height)}" fill="#F7F8F9"/>'
    y = frame.top + _TOP
    for draw in _SECTIONS:
        drawn, y = draw(legend, frame.left + _LEFT, y, frame.width - _LEFT - _RIGHT)
        yield from drawn


def _title(legend: Legend, left: float, y: float, room: float) -> tuple[list[str], float]:
    drawn = []
    for text, size, fill in ((legend.title_zh, 20.0, INK), (legend.title_en, 13.0, MUTED_INK)):
        for row in _wrapped(text, size, room):
            drawn.append(_row(left, y, row, size=size, fill=fill, is_bold=size > 15))
            y += size * 1.35
    for row in (row for fact in legend.facts for row in _wrapped(fact, 13, room)):
        drawn.append(_row(left, y + 4, row, size=13))
        y += 19
    return drawn, y + 14


def _paths(legend: Legend, left: float, y: float, room: float) -> tuple[list[str], float]:
    drawn = []
    for city in legend.paths:
        drawn.append(_heading(left, y, f"路径 Paths, {city.city}", room))
        y += 26
        for path in city.paths[:MOST_PATHS]:
            rows, y = _path(path, left, y, room)
            drawn += rows
        if city.note:
            drawn.append(_row(left, y, city.note, size=12, fill=MUTED_INK))
            y += 20
        y += 8
    return drawn, y


def _operators(legend: Legend, left: float, y: float, room: float) -> tuple[list[str], float]:
    drawn = [_heading(left, y, "运营方 Operators", room)]
    y += 26
    for number, operator in enumerate(legend.operators):
        drawn += [
            f'<rect x="{_n(left)}" y="{_n(y - 11)}" width="22" height="12" rx="3" fill="{operator_colour(number)}"/>',
            _row(left + 32, y, operator.name_zh, size=13, is_bold=True),
            _row(left + 32, y + 16, operator.name_en, size=11, fill=MUTED_INK),
            _row(left + 32, y + 32, operator.note, size=12),
        ]
        y += 54
    return drawn, y


def _notes(legend: Legend, left: float, y: float, room: float) -> tuple[list[str], float]:
    rows = [row for note in legend.notes for row in _wrapped(note, 11, room)]
    return [_row(left, y + 15 * at, row, size=11, fill=MUTED_INK) for at, row in enumerate(rows)], y + 15 * len(rows)


_SECTIONS = (_title, _paths, _operators, _notes)


def _path(path: LegendPath, left: float, y: float, room: float) -> tuple[list[str], float]:
    """One path's two rows: its numbers, and a chip for each line."""
    drawn = [_row(left, y, path.probability, size=13, is_bold=True), _row(left + 92, y, path.note, size=12, fill=MUTED_INK)]
    x, y = left, y + 10
    for line in path.lines:
        width, colour = text_width(line.name, 11) + 12, plain_colour(line.colour)
        if x + width > left + room:
            x, y = left, y + 22
        ink = INK if _is_light(colour) else "#FFFFFF"
        drawn.append(f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="17" rx="3" fill="{colour}"/>')
        drawn.append(_row(x + 6, y + 12.5, line.name, size=11, fill=ink))
        x += width + 5
    return drawn, y + 38


def _heading(left: float, y: float, text: str, room: float) -> str:
    return (
        _row(left, y, text, size=12, fill=MUTED_INK, is_bold=True)
        + f'<path d="M{_n(left)} {_n(y + 7)}h{_n(room)}" stroke="{RULE}" stroke-width="1"/>'
    )


def _row(x: float, y: float, text: str, *, size: float, fill: str = INK, is_bold: bool = False) -> str:
    weight = ' font-weight="700"' if is_bold else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{fill}"{weight}>{escaped(text)}</text>'


def _wrapped(text: str, size: float, room: float) -> list[str]:
    """Break a text at spaces where it would leave the panel."""
    rows = [""]
    for word in text.split(" "):
        longer = f"{rows[-1]} {word}".strip()
        if rows[-1] and text_width(longer, size) > room:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows


def _is_light(colour: str) -> bool:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red * 299 + green * 587 + blue * 114 > 150_000


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

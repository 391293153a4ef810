"""Where labels go on a map: each beside its point, where it covers least; what does not fit may stay away."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from city_adapters.map_view import Frame, Point

Segment = tuple[Point, Point]

ON_LABEL, OFF_MAP, ON_DOT, ON_PATH = 10_000, 4_000, 60, 20
"""What a label costs for each thing that it covers; one that may cost ANYTHING is always shown."""
NOTHING, PATHS_ONLY, ANYTHING = 0, 6 * ON_PATH, 10**9


@dataclass(frozen=True, slots=True)
class Label:
    """Lines of text at a point: `size` of the first line, the others are smaller; `most_cost` is what it may cover."""

    point: Point
    lines: tuple[str, ...]
    size: float
    gap: float
    most_cost: int
    is_bold: bool = True


@dataclass(frozen=True, slots=True)
class PlacedLabel:
    """A label with its box and the corner from which its text grows: `anchor` is start, middle or end."""

    label: Label
    box: Frame
    anchor: str


@dataclass(slots=True)
class LabelBoard:
    """What lies on the map already: boxes of labels, dots of stations, and the lines of paths."""

    frame: Frame
    lines: list[Segment]
    dots: list[Frame]
    boxes: list[Frame] = field(default_factory=list)

    def place(self, label: Label) -> PlacedLabel | None:
        """Put a label where it covers least; None where that is more than it may."""
        costs = [(self._cost(box), rank, box, anchor) for rank, (box, anchor) in enumerate(_candidates(label))]
        cost, _, box, anchor = min(costs, key=lambda found: found[:2])
        if cost > label.most_cost:
            return None
        self.boxes.append(box)
        return PlacedLabel(label, box, anchor)

    def _cost(self, box: Frame) -> int:
        covered = sum(_overlap(box, other) for other in self.boxes)
        outside = not _within(box, self.frame)
        dotted = sum(_overlap(box, dot) for dot in self.dots)
        crossed = sum(_crosses(box, segment) for segment in self.lines)
        return ON_LABEL * covered + OFF_MAP * outside + ON_DOT * dotted + ON_PATH * crossed


def text_width(text: str, size: float) -> float:
    """About how wide a text is: a Chinese character is as wide as it is high, a Latin one about half."""
    return size * sum(1.0 if ord(letter) > 0x2E80 else 0.56 for letter in text)


def escaped(text: str) -> str:
    """Text as it may stand inside an XML element or a quoted attribute."""
    plain = "".join(letter for letter in text if letter >= " ")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def second_size(size: float) -> float:
    """The size of the lines below the first."""
    return round(size * 0.76, 1)


def _candidates(label: Label) -> Iterable[tuple[Frame, str]]:
    """Eight places round the point, the right side first, then further away: the further, the more must be shown there."""
    first, *others = label.lines
    width = max(text_width(first, label.size), *(text_width(line, second_size(label.size)) for line in others), 0.0)
    height = label.size * 1.15 + len(others) * second_size(label.size) * 1.2
    x, y = label.point
    for gap in (label.gap, label.gap * 2.2, label.gap * 4, label.gap * 7)[: 4 if label.most_cost == ANYTHING else 2]:
        aside = gap * 0.75
        for anchor, left, top in (
            ("start", x + gap, y - height / 2),
            ("end", x - gap - width, y - height / 2),
            ("start", x + aside, y - aside - height),
            ("start", x + aside, y + aside),
            ("end", x - aside - width, y - aside - height),
            ("end", x - aside - width, y + aside),
            ("middle", x - width / 2, y - gap - height),
            ("middle", x - width / 2, y + gap),
        ):
            yield Frame(left, top, width, height), anchor


def _overlap(one: Frame, other: Frame) -> bool:
    return (
        one.left < other.left + other.width
        and other.left < one.left + one.width
        and one.top < other.top + other.height
        and other.top < one.top + one.height
    )


def _within(box: Frame, frame: Frame) -> bool:
    edge = 6
    return (
        box.left >= frame.left + edge
        and box.top >= frame.top + edge
        and box.left + box.width <= frame.left + frame.width - edge
        and box.top + box.height <= frame.top + frame.height - edge
    )


def _crosses(box: Frame, segment: Segment) -> bool:
    """Whether a line touches a box: it is cut down to the box side by side (Liang-Barsky)."""
    (x0, y0), (x1, y1) = segment
    low, high = 0.0, 1.0
    for start, step, least, most in (
        (x0, x1 - x0, box.left - 3, box.left + box.width + 3),
        (y0, y1 - y0, box.top - 3, box.top + box.height + 3),
    ):
        if not step:
            if not least <= start <= most:
                return False
            continue
        near, far = sorted(((least - start) / step, (most - start) / step))
        low, high = max(low, near), min(high, far)
    return low <= high

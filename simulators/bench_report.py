"""A bench's figures as one JSON object with stable keys, or as a table for people."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simulators.figures import Figure


def to_json(figures: Sequence[Figure], about: dict[str, object]) -> dict[str, object]:
    """Where and how it was measured, and every figure by name."""
    return {**about, "figures": {figure.name: figure.to_json() for figure in figures}}


def to_table(figures: Sequence[Figure], about: dict[str, object]) -> RenderableType:
    """One line a figure, then what stands beside them, then the machine."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("figure", "rate", "", "ns each", "ratio", "of"):
        table.add_column(title, justify="right" if title in ("rate", "ns each", "ratio") else "left", no_wrap=True)
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        rate = f"{figure.rate.per_second:,.0f}"
        table.add_row(figure.name, rate, f"{figure.unit}/s", f"{figure.ns_each:,.0f}", ratio, figure.ceiling or "")
    beside = [_line(figure.name, figure.facts) for figure in figures if figure.facts]
    where = [_line(name, value if isinstance(value, dict) else {"": value}) for name, value in about.items() if value]
    return Group(table, Text(), *beside, Text(), *where)


def show(figures: Sequence[Figure], about: dict[str, object]) -> None:
    """Print the table on standard output, as wide as the terminal is."""
    Console(highlight=False).print(to_table(figures, about))


def _line(name: str, facts: object) -> Text:
    assert isinstance(facts, dict)
    told = ", ".join(f"{key.replace('_', ' ')} {value}".strip() for key, value in facts.items())
    return Text(f"{name}: {told}", style="dim")

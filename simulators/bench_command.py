"""The command `bench`: this machine's figures as a table or as one JSON object."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simulators.figures import Fact, Figure


def add_bench(app: typer.Typer) -> None:
    """Register the command."""
    app.command("bench")(bench)


def bench(
    name: Annotated[str | None, typer.Argument(help="One of them; all without it")] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="How long each figure is measured")] = 5.0,
    data: Annotated[Path | None, typer.Option(help="Folder on the disk that is meant; PostgreSQL runs in it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Nothing but one JSON object on standard output")] = False,
) -> None:
    """Measure each stage of a tap's way beside what this machine can do at all, in one run, with PostgreSQL's fsync on."""
    from rich.console import Console

    from simulators.bench import BENCHES, Bench, measuring_folder

    terminal = Console(stderr=True)
    with measuring_folder(data) as folder, terminal.status("") as status:
        run = Bench(seconds, folder, say=lambda what: status.update(f"measuring {what}"))
        figures = list(run.figures([name] if name else BENCHES))
        about = run.about()
    if as_json:
        print(json.dumps({**about, "figures": {figure.name: figure.to_json() for figure in figures}}))
    else:
        _show(figures, about)


def _show(figures: "list[Figure]", about: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for title in ("figure", "rate", "", "ns each", "ratio", "of"):
        table.add_column(title, justify="right" if title in ("rate", "ns each", "ratio") else "left", no_wrap=True)
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        rate, each = figure.rate.per_second, figure.ns_each
        table.add_row(figure.name, f"{rate:,.0f}", f"{figure.unit}/s", f"{each:,.0f}", ratio, figure.ceiling or "")
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    for figure in figures:
        if figure.facts:
            console.print(
                f"  {figure.name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in figure.facts.items())
            )
    for key, value in about.items():
        console.print(f"{key}: {value}")

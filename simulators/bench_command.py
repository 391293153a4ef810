"""The command `bench`: this machine's figures as a table or as one JSON object."""

import json
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer


def add_bench(app: typer.Typer) -> None:
    """Register the command."""
    app.command("bench")(bench)


def bench(
    name: Annotated[str | None, typer.Argument(help="One bench; all of them without it")] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="How long each figure is measured")] = 4.0,
    data: Annotated[Path | None, typer.Option(help="Folder on the disk that is meant; PostgreSQL runs in it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Nothing but one JSON object on standard output")] = False,
) -> None:
    """Measure each stage of a tap's way beside what this machine can do at all, in one run, with PostgreSQL's fsync on."""
    from simulators.bench import BENCHES, Bench, measuring_folder  # noqa: PLC0415  imports inside functions keep --help quick
    from simulators.bench_report import show, to_json  # noqa: PLC0415  the same

    with ExitStack() as after:
        run = after.enter_context(closing(Bench(seconds, after.enter_context(measuring_folder(data)), _say)))
        figures = list(run.figures([name] if name else BENCHES))
        about = run.about()
    _say("")
    if as_json:
        print(json.dumps(to_json(figures, about)))
    else:
        show(figures, about)


def _say(what: str) -> None:
    """Show on a terminal what is measured now: one write and no thread, which would take its part of a core."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)

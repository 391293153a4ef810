"""The command `bench`: this machine's figures as a table or as one JSON object."""

import json
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer


def add_bench(app: typer.Typer) -> None:
    """Register the command."""
    app.command("bench")(bench)


def bench(
    name: Annotated[str | None, typer.Argument(help="One bench; all of them without it")] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="How long each figure is measured")] = 5.0,
    data: Annotated[Path | None, typer.Option(help="Folder on the disk that is meant; PostgreSQL runs in it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Nothing but one JSON object on standard output")] = False,
) -> None:
    """Measure each stage of a tap's way beside what this machine can do at all, in one run, with PostgreSQL's fsync on."""
    from rich.console import Console  # noqa: PLC0415  imports inside functions keep --help quick

    from simulators.bench import BENCHES, Bench, measuring_folder  # noqa: PLC0415  the same
    from simulators.bench_report import show, to_json  # noqa: PLC0415  the same

    with ExitStack() as after:
        folder, status = after.enter_context(measuring_folder(data)), after.enter_context(Console(stderr=True).status(""))
        run = after.enter_context(closing(Bench(seconds, folder, say=status.update)))
        figures = list(run.figures([name] if name else BENCHES))
        about = run.about()
    if as_json:
        print(json.dumps(to_json(figures, about)))
    else:
        show(figures, about)

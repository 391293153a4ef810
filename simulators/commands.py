"""The world's commands: the demo, the bench, simulations."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from city_adapters.commands import tables_cache
from simulators.bench_command import add_bench
from simulators.simulate_command import add_simulate


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("demo")(demo)
    add_bench(app)
    add_simulate(app)


def demo(
    seconds: Annotated[int, typer.Option(min=1, help="How long riders set out; the last of them need up to 21 s more")] = 30,
    taps_per_second: Annotated[int, typer.Option(min=2, help="Taps at all gates together")] = 300,
    data: Annotated[Path | None, typer.Option(help="Folder to keep keys, ledger and spools in; run again, it goes on")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_500, help="The house's port, the cities' follow; else free ones")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data, also where no --data is named")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The world's seed: who rides where and when")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Nothing but one JSON object on standard output")] = False,
) -> None:
    """Run everything on this machine: PostgreSQL, the clearing house, nine cities' gates, their riders; and prove the result.

    Exit code 0 only where the exported log is verified, positions sum to zero, and every tap of an opened gate is there once.
    """
    from simulators.board import make_display
    from simulators.demo import Wish
    from simulators.staging import Interrupted, data_folder, stage

    # All that a demo talks to is on this machine: a proxy that the environment names must not come between.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    with data_folder(data, keep=keep) as folder:
        wish = Wish(seconds, taps_per_second, seed, folder, port, tables_cache(None))
        with make_display(sys.stderr, quiet=as_json) as display:
            try:
                told, faults = stage(wish, display, os.environ)
            except Interrupted as interrupted:
                display.say(str(interrupted))
                raise typer.Exit(128 + interrupted.number) from interrupted
        told["data_kept"] = keep or data is not None
        with suppress(BrokenPipeError):
            print(json.dumps(told, ensure_ascii=False, indent=None if as_json else 2))
        for fault in faults:
            print(f"not as it has to be: {fault}", file=sys.stderr)
    if faults:
        raise typer.Exit(1)

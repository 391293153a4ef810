"""The commands `simulate ...`: worlds whose truth is known, beside what the system says of them."""

import json
from typing import Annotated

import typer


def add_simulate(app: typer.Typer) -> None:
    """Register the commands."""
    simulate = typer.Typer(no_args_is_help=True, help="Let simulated riders ride, and compare with what the system says.")
    simulate.callback()(_simulate)
    simulate.command("split")(split)
    app.add_typer(simulate, name="simulate")


def _simulate() -> None:
    """Let simulated riders ride, and compare with what the system says."""


def split(
    city: Annotated[str, typer.Option(help="Slug or code of a city of several operators: shanghai, SHA")] = "shanghai",
    riders: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many ride; some thousand a second")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="The world's seed: who rides where, and what everyone likes")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Nothing but one JSON object on standard output")] = False,
) -> None:
    """Hold a city's split against riders whose true paths are known; exit 0 only where it beats the shortest path."""
    from city_adapters.catalogue import load_catalogue  # noqa: PLC0415  imports inside functions keep --help quick
    from simulators.route_choice import try_split  # noqa: PLC0415  the same

    trial = try_split(load_catalogue().city(city), riders=riders, seed=seed)
    if as_json:
        print(json.dumps(trial.to_json(), ensure_ascii=False))
    else:
        print(f"{trial.riders:,} riders of {trial.city} rode for {trial.fares_fen / 100:,.2f} yuan. To the wrong operator went:")
        print(f"{'':24}{'of the totals':>16}{'ride by ride':>16}")
        for name, error in (("the rule", trial.by_rule), ("the shortest path", trial.by_shortest_path)):
            print(f"  {name:22}{error.of_totals:>16.2%}{error.of_rides:>16.2%}")
        print(f"The rule: {trial.rule}.")
    if trial.by_rule.of_rides >= trial.by_shortest_path.of_rides:
        raise typer.Exit(1)

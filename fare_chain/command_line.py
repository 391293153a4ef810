"""The `fare-chain` program, collected from what each installed package contributes."""

import sys
from importlib.metadata import entry_points

import typer

from fare_chain.errors import FareChainError


def main() -> None:
    """Run the program; a refusal of ours prints its sentence on standard error and ends with 1."""
    app = typer.Typer(
        name="fare-chain",
        help="Clear metro fares between cities, second by second, and prove it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for contribution in sorted(entry_points(group="fare_chain.commands"), key=lambda point: point.name):
        contribution.load()(app)
    try:
        app()
    except FareChainError as refusal:
        print(f"{type(refusal).__name__}: {refusal}", file=sys.stderr)
        sys.exit(1)

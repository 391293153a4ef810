"""The commands `fare-chain prove journey`, `prove line` and `prove statement`: a log in, a `.tlog-proof` out."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from city_adapters.commands import CitiesFolder
from fare_chain.identifiers import SCHEME

Log = Annotated[str, typer.Argument(help="An exported folder with its bodies, or the address of a house that gives them to you")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The .tlog-proof file to write")]


def add_to(app: typer.Typer) -> None:
    """Register the commands beside those that prove a tap and a window."""
    group = next((held.typer_instance for held in app.registered_groups if held.name == "prove"), None)
    if group is None:
        group = typer.Typer(no_args_is_help=True)
        app.add_typer(group, name="prove")
    group.command("journey")(prove_journey)
    group.command("line")(prove_line)
    group.command("statement")(prove_statement)


def prove_journey(
    log: Log,
    output: Output,
    journey_id: Annotated[
        str | None, typer.Argument(metavar="JOURNEY_ID", help="32 hex digits; the first journey of the log without it")
    ] = None,
) -> None:
    """Prove one cleared journey with its split; the log is cleared again until it is found."""
    from fare_chain.log_reader import open_log
    from settlement.proving import from_log
    from settlement.proving.asked import read_journey_id

    _write(output, from_log.prove_journey(open_log(log), None if journey_id is None else read_journey_id(journey_id)))


def prove_line(
    log: Log,
    second: Annotated[int, typer.Option(help="A second since 1970")],
    debtor: Annotated[str, typer.Option(help="Who owes: shanghai, or its number")],
    creditor: Annotated[str, typer.Option(help="Who is owed: a member, or an operator of the debtor as shanghai.2")],
    output: Output,
    kind: Annotated[str, typer.Option(help="fare, commission, fee, or local-fare (what its own riders paid)")] = "fare",
    cities: CitiesFolder = None,
) -> None:
    """Prove what one owes another in a second, tick by tick."""
    from fare_chain.log_reader import open_log
    from settlement.proving import from_log
    from settlement.proving.asked import read_line, read_party

    members = partial(_members, cities)
    line = read_line(read_party(debtor, members), read_party(creditor, members), kind)
    _write(output, from_log.prove_line(open_log(log), second, line))


def prove_statement(
    log: Log,
    party: Annotated[str, typer.Option("--for", help="An operator as shanghai.2 (earned), or a member as shanghai (position)")],
    output: Output,
    begin: Annotated[
        str | None,
        typer.Option("--from", help="First moment, ISO 8601 with offset or a second since 1970"),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Moment before which it ends; the whole log without both")] = None,
    cities: CitiesFolder = None,
) -> None:
    """Prove opening, closing and difference of an operator's earnings or a member's position."""
    from fare_chain import inner_proofs
    from fare_chain.log_reader import open_log
    from settlement.moments import read_moment_us
    from settlement.proving import from_log
    from settlement.proving.asked import read_party

    whose = read_party(party, partial(_members, cities))
    begins, ends = (None if moment is None else read_moment_us(moment) // 1_000_000 for moment in (begin, end))
    prove = inner_proofs.prove_position if whose.is_member else from_log.prove_earned
    _write(output, prove(open_log(log), whose.number, begins, ends))


def _members(cities: Path | None) -> Mapping[str, int]:
    from city_adapters.catalogue import load_catalogue

    return {"scheme": SCHEME, **{city.slug: city.number for city in load_catalogue(cities).cities}}


def _write(output: Path, text: str) -> None:
    output.write_text(text, encoding="utf-8")
    print(f"{output}: {len(text.encode()):,} bytes")

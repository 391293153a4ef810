"""The command `fare-chain import-taps`: options and files in, a report out."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, TextIO

import typer

from city_adapters.commands import CacheFolder, tables_cache
from fare_chain.errors import Malformed, Unknown

_BLOCK = 1 << 20
_DAY_US = 86_400 * 1_000_000
_SALT_BYTES = 32
_LEAST_SALT = 16


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("import-taps")(import_taps)


def import_taps(
    file: Annotated[Path, typer.Argument(help="The gate log; - reads standard input")],
    form: Annotated[str, typer.Option("--format", help="hangzhou2019, shanghai2015 or csv")],
    city: Annotated[str | None, typer.Option(help="The log's city, where it is not the one that the format is named for")] = None,
    mapping: Annotated[Path | None, typer.Option(help="Which stations the log's numbers or names are: TOML or CSV")] = None,
    as_of_recorded: Annotated[
        str | None, typer.Option(help="Column of the moment at which a row came in: taps are replayed as they came")
    ] = None,
    salt_file: Annotated[
        Path | None, typer.Option(help="Secret bytes that media are hashed with; a new salt for this run without it")
    ] = None,
    journeys: Annotated[Path | None, typer.Option(help="Write one line a journey to this CSV file")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the cities' spools, for the sealed batches; with --house alone, import-spools beside the keys"
        ),
    ] = None,
    house: Annotated[str | None, typer.Option(help="Send the batches to this house: http://127.0.0.1:8700")] = None,
    keys: Annotated[Path | None, typer.Option(help="Folder of the cities' <slug>-batch.key; fresh keys without it")] = None,
    members: Annotated[Path | None, typer.Option(help="Folder of all members' public keys (*.pub)")] = None,
    cities: Annotated[Path | None, typer.Option(help="Folder of city folders; the packaged ones without it")] = None,
    cache: CacheFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output")] = False,
) -> None:
    """Read a real gate log into signed batches, clear them, and compare our fares with the log's; exit 1 where no row is a tap."""
    import os
    import time

    from city_adapters.catalogue import load_catalogue
    from city_adapters.station_mapping import StationMapping, read_mapping
    from city_adapters.tap_fields import LATEST_US, Pseudonyms, moment_reader
    from city_adapters.tap_formats import FeedFormat, FeedSettings
    from settlement.import_taps.member_keys import KeyFolders
    from settlement.import_taps.run import ImportPlan
    from settlement.import_taps.run import import_taps as run

    if form not in set(FeedFormat):
        raise Malformed(f"--format is {form!r}, expected one of {', '.join(FeedFormat)}")
    if (keys is None) != (members is None):
        raise Malformed("--keys and --members go together: the private keys, and the public ones that say what they are good for")
    if house is not None and keys is None:
        raise Malformed("--house takes batches of keys that it knows: give --keys and --members")
    known = FeedFormat(form)
    catalogue = load_catalogue(cities, tables_cache(cache))
    name = city or known.city
    now_us = time.time_ns() // 1000
    settings = FeedSettings(
        cities=catalogue.cities,
        mapping=read_mapping(_read(mapping), str(mapping)) if mapping else StationMapping(),
        pseudonyms=Pseudonyms(_read_salt(salt_file) if salt_file else os.urandom(_SALT_BYTES)),
        # A house takes nothing from the future; a log that is only replayed may tell of any day.
        moment=moment_reader(now_us + _DAY_US if house else LATEST_US),
        host=catalogue.city(name) if name else None,
        recorded_column=as_of_recorded,
    )
    with _opened(file) as source, _journeys_file(journeys) as written, _progress(quiet=as_json) as progress:
        folders = KeyFolders(keys, members) if keys and members else None
        plan = ImportPlan(known, settings, folders, out, written, house, progress)
        report, names = run(_blocks(source), catalogue, plan, until_us=max(now_us, LATEST_US) + 2 * _DAY_US)
    if as_json:
        print(json.dumps(report.to_json(names), ensure_ascii=False))
    else:
        print("\n".join(report.to_lines(names)))
    if not report.tally.taps:
        raise typer.Exit(1)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        source = file.open("rb")
    except OSError as error:
        raise Unknown(f"{file} cannot be read: {error.strerror}") from error
    with source:
        yield source


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    while block := source.read(_BLOCK):
        yield block


@contextmanager
def _journeys_file(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise Unknown(f"{path} cannot be written: {error.strerror}") from error
    with file:
        yield file


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show how far it is on a terminal's standard error; silent where there is none."""
    shown = sys.stderr.isatty() and not quiet

    def show(text: str) -> None:
        if shown:
            print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)

    yield show
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unknown(f"{file} cannot be read: {error.strerror}") from error


def _read_salt(file: Path) -> bytes:
    salt = _read(file)
    if len(salt) < _LEAST_SALT:
        raise Malformed(f"{file} has {len(salt)} bytes: a salt that cannot be guessed has {_LEAST_SALT} or more random ones")
    return salt

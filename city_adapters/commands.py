"""The cities' commands: run a city's gates, look through a city's folder."""

import json
import sys
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from city_adapters.adapter import Adapter
    from city_adapters.fare_list import FareList, RowProblem

CityFolder = Annotated[Path, typer.Argument(help="A city's folder")]


CitiesFolder = Annotated[
    Path | None, typer.Option("--cities", help="Folder that holds cities/ and agreements/; the packaged ones without it")
]
CacheFolder = Annotated[
    Path | None,
    typer.Option("--cache", envvar="FARE_CHAIN_CACHE", help="Folder for compiled tables; .cache/fare-chain at home without it"),
]


def tables_cache(named: Path | None) -> Path | None:
    """Where compiled tables are kept: as named, else below the user's cache folder; nowhere for who has no home."""
    import os

    if named is not None:
        return named
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "fare-chain"
    return Path(os.environ["HOME"]) / ".cache" / "fare-chain" if os.environ.get("HOME") else None


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    from city_adapters import receipt_commands

    receipt_commands.add_to(app)
    city = typer.Typer(no_args_is_help=True, help="Run a city's gates; look through a city's folder.")
    city.command("gate")(city_gate)
    city.command("lint")(city_lint)
    city.command("import-gtfs")(city_import_gtfs)
    city.command("calibrate")(city_calibrate)
    city.command("load-fares")(city_load_fares)
    app.add_typer(city, name="city")


def city_gate(
    city: Annotated[str, typer.Option(help="Slug or code: shanghai, SHA")],
    house: Annotated[str, typer.Option(help="Address of the clearing house: http://127.0.0.1:8900", envvar="FARE_CHAIN_HOUSE")],
    members: Annotated[Path, typer.Option(help="Folder of all members' public keys (*.pub), the log's among them")],
    keys: Annotated[Path, typer.Option(help="Folder of this city's private key <slug>-batch.key")],
    data: Annotated[Path, typer.Option(help="Folder of this city's spool")],
    port: Annotated[int, typer.Option(help="Where gates post their scans")],
    cities: CitiesFolder = None,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    public: Annotated[bool, typer.Option("--public", help="Allow an address that other machines reach")] = False,
    parent: Annotated[int | None, typer.Option(help="Stop when the process of this number is gone")] = None,
) -> None:
    """Run one city's gates: answer scans, keep taps, send batches. Ends on SIGTERM, with everything sealed."""
    from city_adapters.gate_app import make_gate_app
    from city_adapters.gate_process import serve
    from city_adapters.log_lines import log_as_lines
    from fare_chain.listening import check_address

    check_address(host, public=public)
    log_as_lines()
    adapter = _open_adapter(city, cities, house, members, keys, data)
    serve(make_gate_app(adapter), host=host, port=port, parent=parent)


def city_lint(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of cities")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, one for each folder")] = False,
) -> None:
    """Say what is wrong with cities' folders, what is worth a look, and what nobody has confirmed; exit 1 on an error."""
    from city_adapters.city_files import lint
    from city_adapters.findings import errors, in_order

    failed = False
    for folder in folders:
        findings = in_order(lint(folder))
        count = len(errors(findings))
        if as_json:
            rows = [finding.to_json() for finding in findings]
            print(json.dumps({"folder": str(folder), "errors": count, "findings": rows}, ensure_ascii=False))
        else:
            told = [f"{len(findings)} findings" if len(findings) != 1 else "1 finding", f"{count} error" + "s" * (count != 1)]
            print("\n".join([*map(str, findings), f"{folder}: {', '.join(told)}"]))
        failed |= count > 0
    if failed:
        sys.exit(1)


def city_import_gtfs(
    feed: Annotated[Path, typer.Argument(metavar="FEED.zip", help="A GTFS feed, as it was published")],
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must not be there yet")],
    number: Annotated[int, typer.Option(help="The city's member number, fixed for ever")],
    code: Annotated[str, typer.Option(help="Three capital letters, as the ids of its stations will begin")],
    slug: Annotated[str, typer.Option(help="The city's name in ids: the folder's name")],
    name_zh: Annotated[str | None, typer.Option(help="Its Chinese name; the slug without it")] = None,
    name_en: Annotated[str | None, typer.Option(help="Its English name; the slug without it")] = None,
    agency: Annotated[str | None, typer.Option(help="Take the routes of this agency_id alone")] = None,
    route_type: Annotated[str | None, typer.Option(help="Take these route types alone: 1,2; all on rails without it")] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of the feed; its feed_start_date without it")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output")] = False,
) -> None:
    """Build a city's folder from a GTFS feed, and say what of the feed it does not carry; exit 1 on an error."""
    from city_adapters.findings import in_order
    from city_adapters.gtfs.city_import import Asked
    from city_adapters.gtfs_archive import import_archive

    name = slug.capitalize()
    types = tuple(map(_whole, route_type.split(","))) if route_type else None
    asked = Asked(number, code, slug, name_zh or name, name_en or name, agency, types, as_of.date() if as_of else None)
    done = import_archive(feed, folder, asked)
    in_feed, in_folder = in_order(done.imported.findings), in_order(done.lint)
    if as_json:
        told = {"folder": str(folder), "written": done.written, **done.imported.counts}
        found = {"feed": [one.to_json() for one in in_feed], "findings": [one.to_json() for one in in_folder]}
        print(json.dumps({**told, **found}, ensure_ascii=False))
    else:
        print("\n".join([*map(str, in_feed), *(f"{folder.name}/{one}" for one in in_folder)]))
        counted = ", ".join(f"{count} {name}" for name, count in done.imported.counts.items())
        print(f"{folder}: {counted}" if done.written else f"{folder} is not written: correct the errors first")
    if done.failed:
        sys.exit(1)


def _whole(text: str) -> int:
    from fare_chain.errors import Malformed

    if not (text.strip().isascii() and text.strip().isdigit()):
        raise Malformed(f"{text!r} is no route type: give whole numbers with commas between, as 0,1,2")
    return int(text)


def city_calibrate(
    folder: CityFolder,
    fares: Annotated[Path, typer.Option(help="CSV with columns city, from_id, to_id, fare_yuan")],
    hold_out: Annotated[int, typer.Option(help="Per cent of the pairs to keep apart and foretell first", min=0, max=90)] = 0,
    seed: Annotated[int, typer.Option(help="Which pairs those are")] = 1,
    leave_out_origins: Annotated[
        bool, typer.Option("--leave-out-origins", help="Foretell each origin from the others first")
    ] = False,
    metre_price: Annotated[float, typer.Option(help="Price of a metre that a link moves; a metre a pair misses costs 1")] = 1.5,
    margin: Annotated[int, typer.Option(help="Metres that a pair should lie inside its band", min=0, max=1000)] = 40,
    reach: Annotated[int, typer.Option(help="Per cent of its source that a length may move at most", min=0, max=100)] = 100,
    write: Annotated[bool, typer.Option("--write", help="Rewrite the lengths in the folder")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Calibrate link lengths from published fares; say how well they agree before and after, and foretell those kept apart."""
    from city_adapters import held_out
    from city_adapters.calibration import Terms
    from city_adapters.city_files import load_city, write_lengths
    from city_adapters.length_problem import bands_of, calibrated_network, length_problem
    from city_adapters.official_table import rows_of

    city = load_city(folder)
    listed = _fare_list(fares)
    bands, problem = bands_of(city, rows_of(city, listed.fares)), length_problem(city, reach)
    terms = Terms(metre_price=metre_price, margin_m=margin)
    trial = held_out.trial(problem, bands, terms, percent=hold_out, seed=seed, by_origin=leave_out_origins)
    network = calibrated_network(city.network, problem, trial.answer)
    moved = sum(link.distance_m != link.source_m for link in network.links)
    if write:
        write_lengths(folder, network)
    skipped = (*listed.unreadable, *bands.skipped)
    if as_json:
        told = {"city": city.slug, "moved": moved, "calibrated": asdict(trial.calibrated), "written": write}
        told["held_out"] = asdict(trial.held_out) if trial.held_out else None
        print(json.dumps(told | {"skipped": [asdict(row) for row in skipped]}, ensure_ascii=False))
        return
    print("\n".join(trial.lines()))
    print(
        f"{moved} of {len(network.links)} links are not as their source says" + ("; written" if write else "; --write keeps them")
    )
    _print_problems(skipped)


def city_load_fares(
    folder: CityFolder,
    file: Annotated[
        Path, typer.Argument(help="The official table: city, from_id, to_id, fare_yuan, where needed from_line, to_line")
    ],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First service day on which it holds")],
    whole: Annotated[bool, typer.Option("--whole", help="Keep every pair, not only those that differ from the rule")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write overrides-DATE.csv into the folder")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Load an official fare table: compare it with the rule, and keep what differs as overrides."""
    from city_adapters.city_files import load_city, write_overrides
    from city_adapters.official_table import load_table, rows_of
    from city_adapters.table_compiler import compile_city

    city = replace(load_city(folder), overrides=())
    listed = _fare_list(file)
    loaded = load_table(city, compile_city(city), rows_of(city, listed.fares), as_of=as_of.date(), whole=whole)
    path = write_overrides(folder, as_of.date(), loaded.rows) if write else None
    unknown = (*listed.unreadable, *loaded.unknown)
    if as_json:
        counts = {"checked": loaded.checked, "exact": loaded.exact, "far_off": loaded.far_off, "overrides": len(loaded.rows)}
        told = {
            "city": city.slug,
            **counts,
            "not_compared": [asdict(row) for row in unknown],
            "written": str(path) if path else None,
        }
        print(json.dumps(told, ensure_ascii=False))
        return
    print(f"{loaded.checked:,} fares checked, {loaded.exact:,} as the rule, {loaded.far_off:,} more than 2 yuan off")
    print(f"{len(loaded.rows):,} overrides " + (f"written to {path}" if path else "found; --write keeps them"))
    _print_problems(unknown)


def _fare_list(file: Path) -> "FareList":
    from city_adapters.fare_list import read_fare_list
    from fare_chain.errors import Unknown

    try:
        return read_fare_list(file.read_bytes())
    except OSError as error:
        raise Unknown(f"{file} cannot be read: {error.strerror}") from error


def _print_problems(problems: "Sequence[RowProblem]") -> None:
    for problem in problems[:20]:
        print(f"  line {problem.line}: {problem.message}")
    if len(problems) > 20:
        print(f"  and {len(problems) - 20} more: --json lists all")


def _open_adapter(name: str, cities: Path | None, house: str, members: Path, keys: Path, data: Path) -> "Adapter":
    """Everything that a city's gates need, from the folders that hold it."""
    import time

    from city_adapters.adapter import Adapter
    from city_adapters.batch_receipt import log_keys
    from city_adapters.catalogue import load_catalogue
    from city_adapters.spool import CityKey, open_spool
    from fare_chain.errors import Unknown, Untrusted
    from fare_chain.key_files import read_public_folder, read_signing_key
    from fare_chain.keys import KeyUse

    catalogue = load_catalogue(cities)
    city = catalogue.city(name)
    ring = read_public_folder(members)
    if not log_keys(ring):
        raise Unknown(f"{members} has no key of the log (owner=0 use=LOG): without it no receipt can be checked, fetch log.pub")
    path = keys / f"{city.slug}-batch.key"
    key = read_signing_key(path)
    known = [found for found in ring if found.public == key.public and found.owner == city.number and found.use is KeyUse.BATCH]
    if not known:
        raise Untrusted(
            f"{path} is not the key of any of {city.slug}'s BATCH keys in {members}: put its .pub there, or take another"
        )
    spool = open_spool(data, CityKey(city.number, key, known[0].key_id))
    return Adapter(
        slug=city.slug,
        host=city.number,
        stations={station.station_id: station.number for station in city.stations},
        ring=ring,
        spool=spool,
        house=house,
        clock=lambda: time.time_ns() // 1000,
        passages=catalogue.passages(city),
        markers=any(split.markers for split in city.splits),
    )

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
    city = typer.Typer(no_args_is_help=True, help="Run a city's gates; look through a city's folder.")
    city.command("gate")(city_gate)
    city.command("lint")(city_lint)
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
    adapter = _open_adapter(city, house, members, keys, data)
    serve(make_gate_app(adapter), host=host, port=port, parent=parent)


def city_lint(
    folder: Annotated[Path, typer.Argument(help="A city's folder")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say what is wrong with a city's folder, what is worth a look, and what nobody has confirmed; exit 1 on an error."""
    from city_adapters.city_files import lint
    from city_adapters.findings import errors

    findings = lint(folder)
    if as_json:
        rows = [
            {"file": one.file, "line": one.line, "severity": one.severity, "message": one.message, "remedy": one.remedy}
            for one in findings
        ]
        print(json.dumps({"folder": str(folder), "errors": len(errors(findings)), "findings": rows}, ensure_ascii=False))
    else:
        print("\n".join([*map(str, findings), f"{folder}: {len(findings)} findings, {len(errors(findings))} errors"]))
    if errors(findings):
        sys.exit(1)


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


def _open_adapter(name: str, house: str, members: Path, keys: Path, data: Path) -> "Adapter":
    """Everything that a city's gates need, from the folders that hold it."""
    import time

    from city_adapters.adapter import Adapter
    from city_adapters.batch_receipt import log_keys
    from city_adapters.catalogue import load_catalogue
    from city_adapters.spool import CityKey, open_spool
    from fare_chain.errors import Unknown, Untrusted
    from fare_chain.key_files import read_public_folder, read_signing_key
    from fare_chain.keys import KeyUse

    catalogue = load_catalogue()
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

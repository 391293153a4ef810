"""The cities' commands: run a city's gates, look through a city's folder."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from city_adapters.adapter import Adapter


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

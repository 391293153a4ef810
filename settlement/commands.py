"""The money's commands: run the house, export its log, quote fares and check them against published ones."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from city_adapters.commands import CacheFolder, CitiesFolder, tables_cache
from fare_chain.commands import DEFAULT_ORIGIN, AccessBasis, AccessFile
from fare_chain.errors import Unknown
from settlement.editions import commands as editions
from settlement.erasing import commands as erasing
from settlement.import_taps import commands as import_taps
from settlement.proving import commands as proving
from settlement.terms import commands as terms

HouseUrl = Annotated[str, typer.Option("--house", envvar="FARE_CHAIN_HOUSE", help="Address of the clearing house")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    fares = typer.Typer(no_args_is_help=True, help="Compare our fares with published ones.")
    fares.command("check")(fares_check)
    app.add_typer(fares, name="fares")
    app.command("house")(house)
    app.command("mirror")(mirror)
    app.command("approve-term")(approve_term)
    app.command("export-log")(export_log)
    app.command("fare")(fare)
    app.command("explain")(explain_journey)
    import_taps.add_to(app)
    proving.add_to(app)
    erasing.add_to(app)
    editions.add_to(app)
    terms.add_to(app)


def house(
    data: Annotated[Path, typer.Option(help="Folder of the house's own data; PostgreSQL lives in it")],
    members: Annotated[Path, typer.Option(help="Folder with every member's NAME.entry and NAME.pub")],
    keys: Annotated[Path, typer.Option(help="Folder with the house's private key, house-log.key")],
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on")] = 8700,
    origin: Annotated[str, typer.Option(help="Name of the log; fixed by its first start")] = DEFAULT_ORIGIN,
    database_url: Annotated[
        str | None, typer.Option(envvar="DATABASE_URL", help="A PostgreSQL to use instead of our own: postgresql+asyncpg://...")
    ] = None,
    postgres_bin: Annotated[
        Path | None, typer.Option(envvar="FARE_CHAIN_PG_BIN", help="Folder with postgres and initdb to use for our own")
    ] = None,
    cities: CitiesFolder = None,
    cache: CacheFolder = None,
    policy: Annotated[
        Path | None, typer.Option(help="Whose cosignatures make a checkpoint final (tlog-policy); without it nothing does")
    ] = None,
    term: Annotated[Path | None, typer.Option(help="Take over with this term, signed by the cities")] = None,
    anchor_every: Annotated[
        float, typer.Option(help="Seconds between submissions to the policy's witnesses outside the quorum; 0: none", min=0)
    ] = 10.0,
    codes_days: Annotated[
        int, typer.Option(envvar="FARE_CHAIN_CODES_DAYS", help="For how many days scanned rider codes are kept; 0 for ever")
    ] = 90,
    standby: Annotated[
        bool, typer.Option("--standby", help="Show mirrors what is stored and append nothing, until a term")
    ] = False,
    public: Annotated[bool, typer.Option(help="Listen on an address that other machines reach; there is no TLS here")] = False,
    parent: Annotated[int | None, typer.Option(help="Stop when this process is gone", hidden=True)] = None,
) -> None:
    """Run the clearing house until it is stopped."""
    from city_adapters.log_lines import log_as_lines
    from settlement.house import Settings, run_house

    log_as_lines()
    settings = Settings(
        data,
        members,
        keys,
        host,
        port,
        origin,
        database_url,
        postgres_bin,
        cities,
        tables_cache(cache),
        public,
        parent,
        policy,
        term,
        anchor_every,
        codes_days,
        standby,
    )
    run_house(settings)


def mirror(
    city: Annotated[str, typer.Option(help="Whose mirror it is: shanghai")],
    data: Annotated[Path, typer.Option(help="Folder of the mirror's own data")],
    members: Annotated[Path, typer.Option(help="Folder with the members' public keys")],
    keys: Annotated[Path, typer.Option(help="Folder with the city's private keys: CITY-clearing, CITY-witness, CITY-access")],
    policy: Annotated[Path, typer.Option(help="Whose signatures count (tlog-policy); has this city's two keys")],
    house_url: HouseUrl = "http://127.0.0.1:8700",
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on")] = 8720,
    riders: Annotated[str, typer.Option(help="Whose riders' signatures to check: own or all whose codes are given")] = "own",
    public: Annotated[bool, typer.Option(help="Listen on an address that other machines reach; there is no TLS here")] = False,
    parent: Annotated[int | None, typer.Option(help="Stop when this process is gone", hidden=True)] = None,
) -> None:
    """Run a city's mirror: verify the ledger as it grows, derive every window again, and cosign."""
    from city_adapters.log_lines import log_as_lines
    from settlement.mirror.following import MirrorSettings, run_mirror

    log_as_lines()
    run_mirror(MirrorSettings(city, data, members, keys, policy, house_url.rstrip("/"), host, port, riders, public, parent))


def approve_term(
    file: Annotated[Path, typer.Argument(help="The proposed term: 112 bytes, or their hex digits")],
    city: Annotated[str, typer.Option(help="Who approves: shanghai")],
    data: Annotated[Path, typer.Option(help="Folder of the city's mirror; it may be running")],
    members: Annotated[Path, typer.Option(help="Folder with the members' public keys")],
    keys: Annotated[Path, typer.Option(help="Folder with CITY-clearing.key")],
    policy: Annotated[Path, typer.Option(help="The policy (tlog-policy) of the log")],
    out: Annotated[Path, typer.Option(help="File to write: member u16 and the signature, 66 bytes")],
) -> None:
    """Sign, for a city, who may sequence from the tree on that its mirror cosigned last."""
    from fare_chain.key_files import read_public_key, read_signing_key
    from fare_chain.log_reader import read_text
    from fare_chain.policy import read_policy
    from settlement.mirror import terms

    origin = read_policy(read_text(policy)).logs[0].name
    term = terms.read_proposal(_read(file))
    member = int(read_public_key(members / f"{city}-clearing.pub").owner)
    signature = terms.approve_term(data, origin, term, member=member, key=read_signing_key(keys / f"{city}-clearing.key"))
    out.write_bytes(signature)
    print(f"term {term.number} from size {term.size} on is approved by {city}: {out}")


def export_log(
    folder: Annotated[Path, typer.Argument(help="Folder to write; an earlier export of the same log is continued")],
    house_url: HouseUrl = "http://127.0.0.1:8700",
    access: AccessFile = None,
    basis: AccessBasis = "",
    as_json: AsJson = False,
) -> None:
    """Write the log as static files: checkpoint, tiles, entries, tables; with an access key the taps and rider codes too."""
    from fare_chain.access_files import read_access
    from fare_chain.commands import progress_bar
    from fare_chain.log_export import export
    from fare_chain.log_reader import open_log

    with progress_bar(quiet=as_json) as progress:
        source = open_log(house_url, read_access(access, basis), whole=True)
        size = export(source, folder, progress, bodies=source.has_bodies)
    told = f"{size:,} entries written to {folder}" + ("" if source.has_bodies else ": the public log, without taps and rider codes")
    print(json.dumps({"folder": str(folder), "size": size, "bodies": source.has_bodies}) if as_json else told)


def fare(
    origin: Annotated[str, typer.Argument(metavar="FROM", help="Station id as in the city folders: SHA-xinzhuang")],
    destination: Annotated[str, typer.Argument(metavar="TO", help="Station id: SHA-huaqiao")],
    at: Annotated[str | None, typer.Option(help="Moment of entry, ISO 8601 with offset; now without it")] = None,
    issuer: Annotated[str | None, typer.Option(help="The rider's city; the host without it")] = None,
    category: Annotated[str, typer.Option(help="What the issuer attests: adult, student or senior")] = "adult",
    step: Annotated[int, typer.Option(help="Step of the issuer's month that the credential attests; 0 for none")] = 0,
    from_line: Annotated[str, typer.Option(help="Enter by this line's own gates: SHA-LMAGLEV")] = "",
    to_line: Annotated[str, typer.Option(help="Leave by this line's own gates")] = "",
    minutes: Annotated[int, typer.Option(help="How long the ride lasts in each city")] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Everything needed to recompute it by hand")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw the paths on the city's map into this file")] = None,
    cities: CitiesFolder = None,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Quote one ride: its fare, who earns it, and what the cities owe each other for it; or explain all of that."""
    from city_adapters.catalogue import load_catalogue
    from fare_chain.tap import category_named
    from settlement.explanation.explained import explain_all
    from settlement.explanation.picture import picture
    from settlement.explanation.words import in_words
    from settlement.hosted_rides import AskedRide, hosted_rides
    from settlement.pinned_cities import PinnedCities
    from settlement.quotes import quote

    asked = AskedRide(origin, destination, _moment_us(at), issuer, category_named(category), step, from_line, to_line, minutes)
    pinned = PinnedCities(load_catalogue(cities, tables_cache(cache)))
    if svg is not None:
        _write(svg, picture(explain_all(hosted_rides(pinned, asked), pinned), pinned.catalogue))
    if explain:
        explained = explain_all(hosted_rides(pinned, asked), pinned)
        print(json.dumps(explained.to_json(), ensure_ascii=False) if as_json else "\n".join(in_words(explained)))
    else:
        told = quote(pinned, asked)
        print(json.dumps(told.to_json(), ensure_ascii=False) if as_json else "\n".join(told.to_lines()))


def explain_journey(
    journey_id: Annotated[str, typer.Argument(metavar="JOURNEY_ID", help="32 hex digits, as on the journey's receipt")],
    begin: Annotated[str | None, typer.Option("--from", help="Look for it from this recorded moment on; a day without it")] = None,
    end: Annotated[str | None, typer.Option("--to", help="And before this one; now without it")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw its paths into this file too")] = None,
    house_url: HouseUrl = "http://127.0.0.1:8700",
    access: AccessFile = None,
    basis: AccessBasis = "",
    as_json: AsJson = False,
) -> None:
    """Explain a cleared journey to the fen: its price, its split, and the draw that it had; for its host and its issuer."""
    from fare_chain.access_files import read_access
    from fare_chain.log_reader import HttpLog

    log = HttpLog(house_url, read_access(access, basis))
    given: dict[str, int | str] = {
        key: value for key, value in {"from": _second(begin), "to": _second(end)}.items() if value is not None
    }
    if log.access is not None and log.access.looks and basis:
        given["basis"] = basis
    address = f"{log.url}/v1/journeys/{journey_id}/explanation"
    if svg is not None:
        _write(svg, _got(f"{address}.svg", given, log.who()))
    print(_got(address if as_json else f"{address}.txt", given, log.who()).rstrip("\n"))


def _got(address: str, given: dict[str, int | str], who: dict[str, str]) -> str:
    """The house's answer as text; where it refuses, its own words."""
    import httpx2

    from fare_chain.log_reader import refused

    try:
        answer = httpx2.get(address, params=given, headers=who, timeout=60.0)
    except httpx2.TransportError as error:
        raise Unknown(f"no house answers at {address}: {error}; start one, or name it with --house") from error
    if answer.status_code != 200:
        raise refused(answer)
    return answer.text


def fares_check(
    file: Annotated[Path, typer.Argument(help="CSV with columns city, from_id, to_id, fare_yuan")],
    at: Annotated[str | None, typer.Option(help="Moment of the fares, ISO 8601 with offset; now without it")] = None,
    least: Annotated[float, typer.Option("--at-least", help="Share of exact fares below which the exit code is 1")] = 0.0,
    cities: CitiesFolder = None,
    rule_only: Annotated[bool, typer.Option("--rule-only", help="Leave official fares that override the rule aside")] = False,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare published fares with those that our distances, tariffs and overrides give."""
    from city_adapters.catalogue import load_catalogue
    from city_adapters.fare_list import check_fares, read_fare_list

    listed = read_fare_list(_read(file))
    catalogue = load_catalogue(cities, tables_cache(cache))
    check = check_fares(listed, (catalogue.by_rule if rule_only else catalogue).table, _moment_us(at))
    total = check.total
    skipped = [*check.unreadable, *check.unknown]
    if as_json:
        told = {
            "checked": total.checked,
            "exact": total.exact,
            "within_one_yuan": total.within_one_yuan,
            "mismatches": [asdict(mismatch) for mismatch in total.mismatches],
            "cities": {
                slug: {"checked": city.checked, "exact": city.exact, "within_one_yuan": city.within_one_yuan}
                for slug, city in check.by_city.items()
            },
            "not_compared": [asdict(problem) for problem in skipped],
        }
        print(json.dumps(told, ensure_ascii=False))
    else:
        for slug, city in check.by_city.items():
            print(f"{slug}: {city.exact:,} of {city.checked:,} exact, {city.within_one_yuan:,} within one yuan")
        for mismatch in total.mismatches[:20]:
            print(
                f"  line {mismatch.line}: {mismatch.from_id} -> {mismatch.to_id} is published at {mismatch.published_fen} fen, "
                f"ours is {mismatch.ours_fen} for {mismatch.distance_m:,} m"
            )
        if len(total.mismatches) > 20:
            print(f"  and {len(total.mismatches) - 20} more: --json lists all")
        for problem in skipped[:20]:
            print(f"  line {problem.line}: {problem.message}")
    if not total.checked or total.exact < least * total.checked:
        raise typer.Exit(1)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unknown(f"{file} cannot be read: {error.strerror}") from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unknown(f"{file} cannot be written: {error.strerror}") from error


def _second(text: str | None) -> int | None:
    return None if text is None else _moment_us(text) // 1_000_000


def _moment_us(text: str | None) -> int:
    from settlement.moments import read_moment_us

    return int(datetime.now().astimezone().timestamp()) * 1_000_000 if text is None else read_moment_us(text)

"""Commands for reports: list them, pull or publish one, and hold one to its manifest and to the ledger."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fare_chain.commands import AccessBasis, AccessFile
from fare_chain.errors import FareChainError, Malformed, Unknown

HouseUrl = Annotated[str, typer.Option("--house", envvar="FARE_CHAIN_HOUSE", help="Address of the clearing house")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output")]

_TIMEOUT_S = 600.0
"""A long report is made before its first byte is sent."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("reports")(reports)
    app.command("report")(report)
    app.command("verify-report")(verify_report)


def reports(as_json: AsJson = False) -> None:
    """List the reports that there are, in Chinese and English."""
    from settlement.reports.catalogue import REPORTS

    if as_json:
        told = [
            {"name": it.name, "number": it.number, "zh": it.title_zh, "en": it.title_en, "readers": it.readers.value,
             "bases": it.bases, "per": it.per, "formats": it.forms, "columns": [column.name for column in it.columns]}
            for it in REPORTS.values()
        ]  # fmt: skip
        print(json.dumps({"reports": told}, ensure_ascii=False))
        return
    for it in REPORTS.values():
        print(f"{it.number}  {it.name:<20} {it.title_zh}  {it.title_en} ({it.readers.value}; {', '.join(it.forms)})")


def report(
    name: Annotated[str, typer.Argument(help="One of `fare-chain reports`: window-net, member-statement ...")],
    member: Annotated[str | None, typer.Option("--for", help="A city, scheme, or an operator as shanghai/3")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="First moment, ISO 8601 with offset, or a second since 1970")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Moment before which it ends")] = None,
    basis: Annotated[str | None, typer.Option(help="settlement: by recorded second; event: by the gate's clock")] = None,
    per: Annotated[
        str | None, typer.Option(help="A line for each second, hour, day or span, where a report has the choice")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="A ledger size, or a moment; as far as is cleared without it")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="csv, json, xlsx or pdf")] = "csv",
    out: Annotated[Path | None, typer.Option(help="Folder to write it into, under its document number, with its manifest")] = None,
    access: AccessFile = None,
    look: Annotated[int | None, typer.Option(help="Detail that is not one's own: the look on the ledger that opens it")] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Publish it as an edition; the scheme's to do")] = False,
    house_url: HouseUrl = "http://127.0.0.1:8700",
    as_json: AsJson = False,
) -> None:
    """Pull a report from the clearing house, or publish it; without --out it goes to standard output."""
    import httpx2

    from fare_chain.access_files import read_access
    from fare_chain.log_reader import HttpLog

    house = house_url.rstrip("/")
    asked = {"for": member, "from": begin, "to": end, "basis": basis, "per": per, "as_of": as_of, "format": form, "look": look}
    given = {key: str(value) for key, value in asked.items() if value is not None}
    with httpx2.Client(timeout=_TIMEOUT_S) as client:
        headers = HttpLog(house, read_access(access), client=client).who()
    told: dict[str, Any] = {}
    address = f"{house}/v1/reports/{name}"
    if publish:
        with _asked("POST", f"{address}/editions", given, headers) as (_headers, pieces):
            told = json.loads(b"".join(pieces))
        address, given = f"{house}/v1/editions/{told['document']}/{told['edition']}", {}
        if out is None:
            print(json.dumps(told) if as_json else f"edition {told['edition']} of {told['document']}: {told['sha256']}")
            return
    told |= _pull(address, given, headers, out)
    if out is not None:
        print(json.dumps(told) if as_json else f"{told['file']}\n{told['manifest_file'] or 'no manifest: this house has no key'}")


def verify_report(
    file: Annotated[Path, typer.Argument(help="The report")],
    manifest: Annotated[Path, typer.Argument(help="Its manifest")],
    members: Annotated[Path | None, typer.Option(help="Folder of .pub files, with the scheme's reports key")] = None,
    log: Annotated[str | None, typer.Option(help="A log, exported or a house's address: make the report again from it")] = None,
    vkey: Annotated[list[str] | None, typer.Option(help="The log's verifier key; without it, the one the log offers")] = None,
    access: AccessFile = None,
    basis: AccessBasis = "",
    as_json: AsJson = False,
) -> None:
    """Verify a report: signature, hash, rows and sums; with a log, that the ledger alone gives the same bytes."""
    from fare_chain.access_files import read_access
    from fare_chain.log_reader import open_log, read_text
    from fare_chain.note import read_vkey
    from settlement.editions.checking import check_report
    from settlement.editions.from_log import reproduce
    from settlement.reports.manifest import read_manifest

    if members is None and log is None:
        raise Malformed("name whose signature counts: the members' keys (--members) or a log that registers them (--log)")
    try:
        note = read_text(manifest)
        if members is not None:
            told = read_manifest(note, _signers(note, members))
        if log is not None:
            source = open_log(log, read_access(access, basis), whole=True)
            trusted = [read_vkey(text) for text in vkey or source.read("log.vkey").decode().splitlines()]
            told = reproduce(source, trusted, note)
        added = check_report(told, _read(file))
    except FareChainError as failure:
        print(json.dumps({"verified": False, "why": str(failure)}) if as_json else f"NOT VERIFIED\n  {failure}")
        raise typer.Exit(1) from failure
    result = {
        "verified": True, "document": told.document, "edition": told.edition, "as_of_size": told.as_of_size, "rows": told.rows,
        "sums": told.sums, "rows_added_up": added, "reproduced_from_ledger": log is not None,
    }  # fmt: skip
    if as_json:
        print(json.dumps(result))
        return
    print(f"verified: {told.document}, {told.rows} rows as of {told.as_of_size} entries")
    print(f"  its rows were {'added up again' if added else 'not read: the hash holds'}")
    print("  made again from the ledger alone: the same bytes" if log else "  give --log to make it again from the ledger")


def _pull(address: str, given: dict[str, str], headers: dict[str, str], out: Path | None) -> dict[str, str | None]:
    """Stream a report to standard output, or into a folder with its manifest."""
    import base64

    with _asked("GET", address, given, headers) as (told, pieces):
        if out is None:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return {}
        out.mkdir(parents=True, exist_ok=True)
        # The house names files; only the last part of a name counts here.
        file = out / Path(told["content-disposition"].split('"')[1]).name
        with file.open("wb") as sink:
            for piece in pieces:
                sink.write(piece)
    if "report-manifest" not in told:
        return {"file": str(file), "manifest_file": None}
    beside = file.with_name(f"{file.name}.manifest")
    beside.write_bytes(base64.b64decode(told["report-manifest"]))
    return {"file": str(file), "manifest_file": str(beside)}


@contextmanager
def _asked(
    method: str, address: str, given: dict[str, str], headers: dict[str, str]
) -> Iterator[tuple[dict[str, str], Iterator[bytes]]]:
    """Headers and pieces of a house's answer; Unknown with its own words where it refuses."""
    import httpx2

    try:
        with httpx2.stream(method, address, params=given, headers=headers, timeout=_TIMEOUT_S) as answer:
            if answer.status_code != 200:
                answer.read()
                problem = answer.json() if answer.headers.get("content-type", "").endswith("json") else {}
                raise Unknown(problem.get("detail", f"the house answers {answer.status_code}"))
            yield {key.lower(): value for key, value in answer.headers.items()}, answer.iter_bytes()
    except httpx2.TransportError as error:
        raise Unknown(f"no house answers at {address}: {error}; start one, or name it with --house") from error


def _signers(note: str, members: Path) -> list[Any]:
    """The members' reports keys under the names that the manifest's lines give: the name says which log's scheme it is."""
    from fare_chain.identifiers import SCHEME
    from fare_chain.key_files import read_public_folder
    from fare_chain.keys import KeyUse
    from fare_chain.note import NoteVerifier, read_note

    keys = [key.public for key in read_public_folder(members) if (key.owner, key.use) == (SCHEME, KeyUse.REPORT)]
    names = {line.name for line in read_note(note).lines if line.name.endswith("/reports")}
    return [NoteVerifier(name, public) for name in sorted(names) for public in keys]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unknown(f"{file} cannot be read: {error.strerror}") from error

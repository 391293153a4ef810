"""The evidence's commands: make and show keys, verify a log."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from fare_chain.errors import FareChainError, Malformed

DEFAULT_ORIGIN = "fare-chain.example/clearing"
"""The log's name where nobody gives one; in production it is the address at which the log is served."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    keys = typer.Typer(no_args_is_help=True, help="Make and show keys.")
    keys.command("new")(keys_new)
    keys.command("show")(keys_show)
    app.add_typer(keys, name="keys")
    app.command("verify")(verify)


def keys_new(
    name: Annotated[str, typer.Argument(help="File name without ending: shanghai-batch")],
    owner: Annotated[int, typer.Option(help="Member number: 0 for the scheme, else the city's")],
    use: Annotated[str, typer.Option(help="log, batch or issuer")],
    keys: Annotated[Path, typer.Option(help="Folder of the private key; keep it on this machine")],
    members: Annotated[Path, typer.Option(help="Folder of the public half, to be handed around")],
    days: Annotated[int, typer.Option(help="How long the key is valid")] = 365,
    first_day: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC) of its validity, for older logs; now without it"),
    ] = None,
) -> None:
    """Make a key: NAME.key (private), NAME.pub and NAME.entry (public)."""
    from fare_chain.identifiers import MemberNumber, Micros
    from fare_chain.key_entries import write_member_key
    from fare_chain.keys import KeyUse, PublicKey, SigningKey

    uses = {known.name.lower(): known for known in KeyUse}
    if use not in uses:
        raise Malformed(f"--use is {use!r}, expected one of {', '.join(uses)}")
    begin = first_day.replace(tzinfo=UTC) if first_day else datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    key = SigningKey.generate()
    valid = [Micros(int(moment.timestamp()) * 1_000_000) for moment in (begin, begin + timedelta(days=days))]
    described = PublicKey(MemberNumber(owner), uses[use], key.public, *valid)
    write_member_key(keys, members, name, key, described)
    print(f"{members / name}.pub: key {described.key_id.hex()}; the private half is {keys / name}.key")


def keys_show(
    members: Annotated[Path, typer.Argument(help="Folder of public keys (*.pub)")] = Path("members"),
    log: Annotated[bool, typer.Option("--log", help="The log's keys alone")] = False,
    vkey: Annotated[bool, typer.Option("--vkey", help="The log's keys as signed-note verifier keys")] = False,
    origin: Annotated[str, typer.Option(help="The log's name, for --vkey")] = DEFAULT_ORIGIN,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show the public keys of a folder."""
    from fare_chain.key_files import public_line, read_public_folder
    from fare_chain.keys import KeyUse
    from fare_chain.note import NoteVerifier

    held = [key for key in read_public_folder(members) if key.use is KeyUse.LOG or not (log or vkey)]
    if vkey:
        lines = [NoteVerifier(origin, key.public).to_vkey() for key in held]
    else:
        lines = [f"{key.key_id.hex()} {public_line(key)}" for key in held]
    print(json.dumps({"keys": lines}) if as_json else "\n".join(lines))


def verify(
    log: Annotated[str, typer.Argument(help="An exported folder, or the address of a house")],
    vkey: Annotated[list[str] | None, typer.Option(help="The log's verifier key; without it, the one the log offers")] = None,
    rider_signatures: Annotated[bool, typer.Option(help="Check every rider's signature, not only the codes' hashes")] = True,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Verify a log from its first entry; exit 1 and name the first thing that is wrong."""
    from importlib.metadata import entry_points

    from fare_chain.audit import AuditFailure, audit
    from fare_chain.log_reader import open_log
    from fare_chain.note import read_vkey

    try:
        source = open_log(log)
        offered = not vkey
        verifiers = [read_vkey(text) for text in vkey or [source.read("log.vkey").decode().removesuffix("\n")]]
        followers = [point.load()() for point in entry_points(group="fare_chain.audit")]
        with progress_bar(quiet=as_json) as progress:
            result = audit(source, verifiers, followers=followers, rider_signatures=rider_signatures, progress=progress)
    except (FareChainError, UnicodeDecodeError) as failure:
        where = failure.where if isinstance(failure, AuditFailure) else "log"
        if as_json:
            print(json.dumps({"verified": False, "where": where, "why": str(failure)}))
        else:
            print(f"NOT VERIFIED\n  {failure}", file=sys.stderr)
        raise typer.Exit(1) from failure
    if as_json:
        print(json.dumps({"verified": True, "key_offered_by_log": offered, **result.to_json()}))
        return
    print(f"verified: {result.size} entries, {result.batches} batches, {result.taps} taps, {result.windows} windows")
    for line in result.to_lines():
        print(f"  {line}")
    if offered:
        print("  the log's key came from the log itself: pass --vkey to hold it to a key that you know")


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how many entries are verified on a terminal's standard error; silent where there is none."""
    shown = sys.stderr.isatty() and not quiet

    def show(done: int, size: int) -> None:
        if shown:
            print(f"\r{done:,} of {size:,} entries", end="", file=sys.stderr, flush=True)

    yield show
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)

"""The command with which a member lets the scanned codes of single taps go."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fare_chain.errors import Malformed, Unknown
from fare_chain.governance import Basis, ErasureEntry, ErasureLevel

if TYPE_CHECKING:
    import httpx2


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("erase")(erase)


def erase(
    entry: Annotated[int, typer.Option(help="Index of the BATCH entry on the ledger", min=0)],
    tap: Annotated[list[int], typer.Option(help="Number of a tap in that batch, from 0; may be given again", min=0)],
    access: Annotated[
        Path, typer.Option(envvar="FARE_CHAIN_ACCESS", help="The member's access key, NAME.key with NAME.pub beside it")
    ],
    basis: Annotated[str, typer.Option(help="Why: rider-asked, court-order, dispute, supervision or audit")] = "rider-asked",
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Say too that the issuer, who asks, has dropped whose taps they were")
    ] = False,
    house_url: Annotated[
        str, typer.Option("--house", envvar="FARE_CHAIN_HOUSE", help="Address of the clearing house")
    ] = "http://127.0.0.1:8700",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output")] = False,
) -> None:
    """Let the scanned codes of these taps go for good: an ERASURE entry first, then the codes; the log still verifies."""
    import httpx2

    level = ErasureLevel.PSEUDONYMS if pseudonyms else ErasureLevel.SCANNED_CODES
    payload = ErasureEntry(level, basis_named(basis), entry, tuple(sorted({*tap}))).to_bytes()
    try:
        with httpx2.Client(base_url=house_url, timeout=60.0) as client:
            headers = {"Authorization": f"Bearer {_token(client, access)}"}
            answer = client.post("/v1/erasures", content=payload, headers=headers)
    except httpx2.TransportError as error:
        raise Unknown(f"no house answers at {house_url}: {error}; start one, or name it with --house") from error
    told = answer.json() if answer.headers.get("content-type", "").startswith("application/") else {}
    if answer.status_code != 200:
        raise Unknown(told.get("detail", f"the house answers {answer.status_code}"))
    words = f"erased by entry {told['index']}: {told['codes_gone']} codes of entry {entry} are gone"
    print(json.dumps(told) if as_json else words)


def basis_named(name: str) -> Basis:
    """Find a basis by its name with hyphens; Malformed lists the names."""
    known = {each.name.lower().replace("_", "-"): each for each in Basis}
    if name not in known:
        raise Malformed(f"--basis is {name!r}, expected one of {', '.join(known)}")
    return known[name]


def _token(client: "httpx2.Client", access: Path) -> str:
    """A token for the log that this house serves, signed by the access key."""
    from fare_chain.access_tokens import issue_token
    from fare_chain.key_files import read_public_key, read_signing_key

    key, described = read_signing_key(access), read_public_key(access.with_suffix(".pub"))
    origin = client.get("/v1/status").raise_for_status().json()["origin"]
    return issue_token(key, described, audience=origin, now_s=int(time.time()))

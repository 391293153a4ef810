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

AccessFile = Annotated[
    Path | None,
    typer.Option(
        "--access", envvar="FARE_CHAIN_ACCESS", help="Your access key, NAME.key with NAME.pub beside it; the public log without it"
    ),
]
AccessBasis = Annotated[
    str,
    typer.Option(
        "--basis", envvar="FARE_CHAIN_BASIS", help="Why you look at others' detail, for the ledger: audit, supervision, ..."
    ),
]
DEFAULT_ORIGIN = "fare-chain.example/clearing"
"""The log's name where nobody gives one; in production it is the address at which the log is served."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    from fare_chain import evidence_commands

    evidence_commands.add_to(app)
    keys = typer.Typer(no_args_is_help=True, help="Make and show keys.")
    keys.command("new")(keys_new)
    keys.command("show")(keys_show)
    app.add_typer(keys, name="keys")
    app.command("policy")(policy)
    app.command("verify")(verify)
    prove = typer.Typer(no_args_is_help=True, help="Prove one thing that stands on a log, without its neighbours.")
    prove.command("tap")(prove_tap)
    prove.command("window")(prove_window)
    app.add_typer(prove, name="prove")
    app.command("verify-proof")(verify_proof)
    app.command("verify-evidence")(verify_evidence)


def keys_new(
    name: Annotated[str, typer.Argument(help="File name without ending: shanghai-batch")],
    owner: Annotated[int, typer.Option(help="Member number: 0 for the scheme, else the city's")],
    use: Annotated[str, typer.Option(help="log, batch, issuer, witness, clearing or access")],
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


def policy(
    members: Annotated[Path, typer.Option(help="Folder of the members' public keys (*.pub)")],
    origin: Annotated[str, typer.Option(help="The log's name")] = DEFAULT_ORIGIN,
    quorum: Annotated[int | None, typer.Option(min=1, help="How many cities; three quarters, rounded up, without it")] = None,
    mirror: Annotated[list[str] | None, typer.Option(help="Where a city's mirror answers: shanghai=https://...")] = None,
) -> None:
    """Write the scheme's policy (tlog-policy): the log's keys, the cities' clearing keys, and how many of them must agree."""
    from fare_chain.key_files import read_public_key
    from fare_chain.keys import KeyUse
    from fare_chain.scheme_policy import cosigners_of, scheme_policy

    urls = dict(given.split("=", 1) for given in mirror or [] if "=" in given)
    named = [(path.stem, read_public_key(path)) for path in sorted(members.glob("*.pub"))]
    logs = [key.public for _name, key in named if key.use is KeyUse.LOG]
    print(scheme_policy(origin, logs, cosigners_of(named, urls), quorum).to_text(), end="")


def verify(
    log: Annotated[str, typer.Argument(help="An exported folder, or the address of a house")],
    vkey: Annotated[list[str] | None, typer.Option(help="The log's verifier key; without it, the one the log offers")] = None,
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Whose signatures count (tlog-policy), and how many cities must have cosigned")
    ] = None,
    quorum: Annotated[int, typer.Option(help="Without a policy: how many members must have cosigned, by keys of the ledger")] = 0,
    bodies: Annotated[
        bool | None,
        typer.Option(help="Verify the taps too, and derive the clearing again; without it, where the taps are there"),
    ] = None,
    rider_signatures: Annotated[bool, typer.Option(help="Check every rider's signature, not only the codes' hashes")] = True,
    every_code: Annotated[
        bool,
        typer.Option("--every-code", help="Accept no rider code that is missing unless a RETENTION or ERASURE entry lets it go"),
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="Write progress into this file every few seconds, and go on from it if it is there")
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="With --policy: keep what convicts whoever answers for a failure in this folder")
    ] = None,
    access: AccessFile = None,
    basis: AccessBasis = "",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Verify a log from its first entry; exit 1 and name the first thing that is wrong."""
    from importlib.metadata import entry_points

    from fare_chain.access_files import read_access
    from fare_chain.audit import AuditFailure, audit
    from fare_chain.log_reader import open_log, read_text
    from fare_chain.note import read_vkey
    from fare_chain.policy import read_policy
    from fare_chain.progress_file import ProgressFile

    try:
        source = open_log(log, read_access(access, basis), whole=True)
        offered = not vkey and policy_file is None
        trusted = None if policy_file is None else read_policy(read_text(policy_file))
        verifiers = [read_vkey(text) for text in vkey or ([] if trusted else source.read("log.vkey").decode().splitlines())]
        progress_file = ProgressFile(resume)
        followers = [point.load()() for point in entry_points(group="fare_chain.audit")]
        with progress_bar(quiet=as_json) as progress:
            result = audit(
                source, verifiers, policy=trusted, quorum=quorum, followers=followers, rider_signatures=rider_signatures,
                every_code=every_code, bodies=source.has_bodies if bodies is None else bodies, progress=progress,
                saved=progress_file.read(), save=progress_file.save,
            )  # fmt: skip
    except (FareChainError, UnicodeDecodeError) as failure:
        where = failure.where if isinstance(failure, AuditFailure) else "log"
        kept = _keep_evidence(failure, log, policy_file, evidence)
        if as_json:
            print(json.dumps({"verified": False, "where": where, "why": str(failure), "evidence": kept and str(kept)}))
        else:
            print(f"NOT VERIFIED\n  {failure}" + (f"\n  evidence: {kept}" if kept else ""), file=sys.stderr)
        raise typer.Exit(1) from failure
    if as_json:
        print(json.dumps({"verified": True, "key_offered_by_log": offered, **result.to_json()}))
        return
    print(f"verified: {result.size} entries, {result.batches} batches, {result.taps} taps, {result.windows} windows")
    for line in result.to_lines():
        print(f"  {line}")
    if offered:
        print("  the log's key came from the log itself: pass --vkey to hold it to a key that you know")


def _keep_evidence(failure: Exception, log: str, policy_file: Path | None, folder: Path | None) -> Path | None:
    """Keep what proves a failed audit to others: its path, or None where it is asked for by nobody or convicts nobody."""
    from fare_chain.audit import AuditFailure
    from fare_chain.audit_evidence import evidence_of
    from fare_chain.evidence_folder import keep_evidence
    from fare_chain.log_reader import open_log, read_text
    from fare_chain.policy import read_policy
    from fare_chain.replayed_log import replay_under

    if policy_file is None or folder is None or not isinstance(failure, AuditFailure):
        return None
    source = open_log(log)
    text = evidence_of(failure, source, read_policy(read_text(policy_file)), replay_under(source))
    return None if text is None else keep_evidence(folder, text)


def prove_tap(
    log: Annotated[str, typer.Argument(help="An exported folder with its bodies, or the address of a house")],
    batch: Annotated[int, typer.Option(help="Index of the batch's entry on the log")],
    tap: Annotated[int, typer.Option(help="Number of the tap in its batch, from 0")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tlog-proof file to write")],
    access: AccessFile = None,
    basis: AccessBasis = "",
) -> None:
    """Prove one tap."""
    from fare_chain import inner_proofs
    from fare_chain.access_files import read_access
    from fare_chain.log_reader import open_log

    text = inner_proofs.prove_tap(open_log(log, read_access(access, basis)), batch, tap)
    output.write_text(text, encoding="utf-8")
    print(f"{output}: {len(text.encode()):,} bytes")


def prove_window(
    log: Annotated[str, typer.Argument(help="An exported folder, or the address of a house")],
    second: Annotated[int, typer.Option(help="A second since 1970 that the window covers")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tlog-proof file to write")],
) -> None:
    """Prove one window: every member's position after it."""
    from fare_chain import inner_proofs
    from fare_chain.log_reader import open_log

    text = inner_proofs.prove_window(open_log(log), second)
    output.write_text(text, encoding="utf-8")
    print(f"{output}: {len(text.encode()):,} bytes")


def verify_proof(
    file: Annotated[Path, typer.Argument(help="A .tlog-proof file")],
    policy_file: Annotated[Path | None, typer.Option("--policy", help="Whose signatures count, and how many")] = None,
    vkey: Annotated[list[str] | None, typer.Option(help="Without a policy: the log's verifier key")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Verify a proof with nothing but the file and a policy (or the log's key); exit 1 and say why where it does not hold."""
    from fare_chain import inner_proofs
    from fare_chain.checkpoint import read_checkpoint
    from fare_chain.log_reader import read_text
    from fare_chain.note import read_vkey
    from fare_chain.policy import read_policy
    from fare_chain.proof_words import in_words, to_json

    if (policy_file is None) == (not vkey):
        raise Malformed("name whose signatures count: either --policy FILE or --vkey KEY")
    try:
        text = read_text(file)
        if policy_file is not None:
            trusted = read_policy(read_text(policy_file))
            proved = inner_proofs.verify(text, lambda note: trusted.open_final(note).checkpoint)
        else:
            verifiers = [read_vkey(key) for key in vkey or []]
            proved = inner_proofs.verify(text, lambda note: read_checkpoint(note, verifiers))
    except FareChainError as failure:
        print(json.dumps({"verified": False, "why": str(failure)}) if as_json else f"NOT VERIFIED\n  {failure}")
        raise typer.Exit(1) from failure
    is_final = policy_file is not None and trusted.quorum != "none"
    finality = "final: the policy's quorum has cosigned the checkpoint"
    said = [*in_words(proved), finality if is_final else "not shown to be final: the log alone was asked for its signature"]
    told = {"verified": True, "final": is_final, **to_json(proved), "proves": said}
    print(json.dumps(told) if as_json else "\n  ".join(["verified", *said]))


def verify_evidence(
    file: Annotated[Path, typer.Argument(help="An evidence file")],
    policy_file: Annotated[Path, typer.Option("--policy", help="Whose signatures count")],
    members: Annotated[Path | None, typer.Option(help="Folder of .pub files, for city keys that the file does not bring")] = None,
    log: Annotated[str | None, typer.Option(help="The log, where only a replay can show it (wrong-state)")] = None,
    access: AccessFile = None,
    basis: AccessBasis = "",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say who did what by an evidence file; exit 1 and why where it shows nothing. Nobody needs to be trusted but the policy."""
    from fare_chain.access_files import read_access
    from fare_chain.evidence import kind_name, read_evidence
    from fare_chain.evidence_checks import check_evidence
    from fare_chain.key_files import read_public_folder
    from fare_chain.log_reader import open_log, read_text
    from fare_chain.policy import read_policy
    from fare_chain.replayed_log import replay_under

    try:
        trusted = read_policy(read_text(policy_file))
        evidence = read_evidence(read_text(file))
        ring = None if members is None else read_public_folder(members)
        replay = None if log is None else replay_under(open_log(log, read_access(access, basis), whole=True))
        found = check_evidence(evidence, trusted, ring, replay)
    except FareChainError as failure:
        told = {"convicts": False, "why": str(failure)}
        print(json.dumps(told) if as_json else f"SHOWS NOTHING\n  {failure}")
        raise typer.Exit(1) from failure
    told = {"convicts": True, "kind": kind_name(found.kind), "parties": list(found.parties), "words": found.words}
    print(json.dumps(told) if as_json else f"{kind_name(found.kind)}: {found.words}")


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

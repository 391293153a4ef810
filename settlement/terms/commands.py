"""Commands for a change of sequencer: propose a term, and join the cities' signatures over it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fare_chain.checkpoint import read_text
from fare_chain.errors import Malformed, Unknown
from fare_chain.governance import Term, TermEntry, read_term, read_term_entry
from fare_chain.hashing import sha256
from fare_chain.key_files import read_public_key
from fare_chain.note import read_note

_SIGNATURE_FILE_BYTES = 2 + 64


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    term = typer.Typer(no_args_is_help=True, help="Let the cities give the right to sequence to another key.")
    term.command("propose")(propose)
    term.command("join")(join)
    term.command("compare")(compare)
    app.add_typer(term, name="term")


def propose(
    log_key: Annotated[Path, typer.Option("--log-key", help="The standby's .pub file")],
    number: Annotated[int, typer.Option(help="The term's number: one more than the last", min=1)],
    checkpoint: Annotated[Path | None, typer.Option(help="The last checkpoint, as a mirror has it")] = None,
    house_url: Annotated[str | None, typer.Option("--house", help="Or where a house still serves it")] = None,
) -> None:
    """Write the 112 bytes that the cities sign; each city's mirror holds the checkpoint to its own copy before it signs."""
    from fare_chain.log_reader import open_log

    if (checkpoint is None) == (house_url is None):
        raise Malformed("a term continues from one checkpoint: give --checkpoint or --house, one of them")
    note = _read(checkpoint) if checkpoint is not None else open_log(str(house_url)).read("v1/checkpoint")
    # Nobody's word is taken here: who signs compares size and root with the ledger that it verified itself.
    last = read_text(read_note(note.decode()).text)
    term = Term(number, last.size, last.root, read_public_key(log_key).public, sha256(last.origin.encode()))
    sys.stdout.buffer.write(term.to_bytes())


def join(
    proposed: Annotated[Path, typer.Argument(help="The 112 bytes of `term propose`")],
    signatures: Annotated[list[Path], typer.Argument(help="A file from each city: its number (u16) and 64 bytes of signature")],
) -> None:
    """Write the term with its signatures, as the ledger takes it."""
    held: dict[int, bytes] = {}
    for file in signatures:
        data = _read(file)
        if len(data) != _SIGNATURE_FILE_BYTES:
            raise Malformed(f"{file} has {len(data)} bytes, a city's signature of a term has {_SIGNATURE_FILE_BYTES}")
        held[int.from_bytes(data[:2], "little")] = data[2:]
    sys.stdout.buffer.write(TermEntry(read_term(_read(proposed)), tuple(sorted(held.items()))).to_bytes())


def compare(
    one: Annotated[Path, typer.Argument(help="A term as `term join` writes it, or a TERM entry's payload")],
    other: Annotated[Path, typer.Argument(help="Another, from somebody else")],
    policy: Annotated[Path, typer.Option(help="Whose signatures count (tlog-policy)")],
    evidence: Annotated[Path, typer.Option(help="Folder to keep evidence in")],
) -> None:
    """Hold two signed terms against each other; exit 1 and keep evidence against each city that signed two of one number."""
    from fare_chain.contradictions import double_terms
    from fare_chain.evidence import read_evidence
    from fare_chain.evidence_checks import check_evidence
    from fare_chain.evidence_folder import keep_evidence
    from fare_chain.log_reader import read_text
    from fare_chain.policy import read_policy

    trusted = read_policy(read_text(policy))
    found = double_terms(read_term_entry(_read(one)), read_term_entry(_read(other)), trusted)
    for text in found:
        print(f"{check_evidence(read_evidence(text), trusted).words}; evidence: {keep_evidence(evidence, text)}")
    if found:
        raise typer.Exit(1)
    print("no city signed two terms of one number here")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unknown(f"{file} cannot be read: {error.strerror}") from error

"""The commands of whoever holds two signed things that cannot both be: compare logs, complete a file with the keys it rests on."""

from pathlib import Path
from typing import Annotated

import typer

PolicyFile = Annotated[Path, typer.Option("--policy", help="Whose signatures count")]
EvidenceFolder = Annotated[Path, typer.Option("--evidence", help="Folder to keep evidence in")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("compare-logs")(compare_logs)
    app.command("complete-evidence")(complete_evidence)


def compare_logs(
    one: Annotated[str, typer.Argument(help="An exported folder, or the address of a house")],
    other: Annotated[str, typer.Argument(help="The same log as somebody else was shown it")],
    policy_file: PolicyFile,
    evidence: EvidenceFolder,
) -> None:
    """Hold two copies of a log against each other; exit 1 and keep the evidence where both cannot be one log."""
    from fare_chain.contradictions import SignedLog, fork_between
    from fare_chain.evidence_folder import keep_evidence
    from fare_chain.log_reader import open_log, read_text
    from fare_chain.policy import read_policy

    trusted = read_policy(read_text(policy_file))
    logs = [SignedLog.of(open_log(place), trusted) for place in (one, other)]
    text = fork_between(logs[0], logs[1], trusted)
    sizes = " and ".join(str(log.checkpoint.size) for log in logs)
    if text is None:
        print(f"one log: the copies of sizes {sizes} have one beginning")
        return
    print(f"FORKED: the copies of sizes {sizes} cannot be one log; evidence: {keep_evidence(evidence, text)}")
    raise typer.Exit(1)


def complete_evidence(
    file: Annotated[Path, typer.Argument(help="An evidence file about a city's batch")],
    log: Annotated[str, typer.Option(help="The log that registers the keys: an exported folder, or the address of a house")],
    policy_file: PolicyFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write")],
) -> None:
    """Put the keys that a file rests on into it, as the cities cosigned them: it then convicts with the policy alone."""
    from fare_chain.contradictions import SignedLog, with_keys
    from fare_chain.evidence import read_evidence
    from fare_chain.evidence_checks import check_evidence
    from fare_chain.log_reader import open_log, read_text
    from fare_chain.policy import read_policy

    trusted = read_policy(read_text(policy_file))
    text = with_keys(read_text(file), SignedLog.of(open_log(log), trusted), trusted)
    found = check_evidence(read_evidence(text), trusted)
    output.write_text(text, encoding="utf-8")
    print(f"{output}: {found.words}")

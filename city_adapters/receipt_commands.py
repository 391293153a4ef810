"""The city's command over its kept receipts: whether the log that the house shows now still has what it promised."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("check-receipts")(check_receipts)


def check_receipts(
    spool: Annotated[Path, typer.Argument(help="The city's data folder; its adapter may be running")],
    log: Annotated[str, typer.Option(help="The log as it is shown now: an exported folder, or the address of a house")],
    policy_file: Annotated[Path, typer.Option("--policy", help="Whose signatures count")],
    evidence: Annotated[Path, typer.Option("--evidence", help="Folder to keep evidence in")],
    let_go: Annotated[
        bool, typer.Option("--let-go", help="Remove files of receipts that a final checkpoint honours, but the last")
    ] = False,
) -> None:
    """Hold a log to every receipt that this city was given; exit 1 and keep the evidence where a promised batch is not there."""
    from city_adapters.kept_receipts import read_receipts, receipt_files
    from fare_chain.contradictions import SignedLog, broken_receipt
    from fare_chain.errors import Unknown
    from fare_chain.evidence_folder import keep_evidence
    from fare_chain.log_reader import open_log, read_text
    from fare_chain.policy import read_policy

    trusted = read_policy(read_text(policy_file))
    shown = SignedLog.of(open_log(log), trusted)
    is_final = trusted.open(shown.note).is_final
    said: Counter[str] = Counter()
    files = receipt_files(spool)
    for path in files:
        before = said["honoured"]
        held = 0
        for receipt in read_receipts(path):
            held += 1
            try:
                text = broken_receipt(receipt, shown, trusted)
            except Unknown:
                said["beyond the log given"] += 1
                continue
            said["honoured" if text is None else "BROKEN"] += 1
            if text is not None:
                print(f"BROKEN: {keep_evidence(evidence, text)}")
        # Dead before this: the receipts are checked again. What is final here, seven cities hold too.
        if let_go and is_final and path != files[-1] and said["honoured"] - before == held:
            path.unlink()
    print(f"{said.total()} receipts under size {shown.checkpoint.size}: " + ", ".join(f"{n} {name}" for name, n in said.items()))
    if said["BROKEN"]:
        raise typer.Exit(1)

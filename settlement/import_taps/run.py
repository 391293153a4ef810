"""An import from end to end: read, order, seal, clear, compare; and send, where a house is named."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from city_adapters.batch_receipt import log_keys
from city_adapters.catalogue import Catalogue
from city_adapters.city import BENEFICIARIES
from city_adapters.table_compiler import compile_agreement
from city_adapters.table_packing import pack_agreement, pack_city
from city_adapters.tap_feed import FeedTally, LoggedTaps, read_feed
from city_adapters.tap_formats import FeedFormat, FeedSettings
from fare_chain.errors import Unknown
from fare_chain.identifiers import SCHEME
from fare_chain.key_files import read_public_folder
from settlement.core.clearing import Cleared
from settlement.import_taps.amounts import AmountCheck
from settlement.import_taps.folding import Fold
from settlement.import_taps.journey_file import JourneyFile
from settlement.import_taps.member_keys import KeyFolders, Signers, signers
from settlement.import_taps.recorded_order import in_recorded_order
from settlement.import_taps.report import ImportReport, Names
from settlement.import_taps.sealing import minutes, seal_minute
from settlement.import_taps.sending import send_all

SPOOLS = "import-spools"
"""Where batches for a house wait if nobody says where: beside the keys."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What is done with a log besides reading and clearing it."""

    form: FeedFormat
    settings: FeedSettings
    keys: KeyFolders | None = None
    out: Path | None = None
    journeys: TextIO | None = None
    house: str | None = None
    progress: Callable[[str], None] = lambda _text: None


def import_taps(blocks: Iterable[bytes], catalogue: Catalogue, plan: ImportPlan, *, until_us: int) -> tuple[ImportReport, Names]:
    """Import a log's bytes; fresh keys are valid until `until_us`. The report, and what its numbers are called.

    Malformed where this is no such log; Unknown or Untrusted for keys; Conflict where a house does not take a batch.
    """
    began = time.perf_counter()
    tables = _packed(catalogue)
    report, names = ImportReport(FeedTally(), AmountCheck()), _names(catalogue)
    with ExitStack() as held:
        work = Path(held.enter_context(TemporaryDirectory(prefix="import-taps-")))
        ring = read_public_folder(plan.keys.public) if plan.keys and plan.house else None
        if ring is not None and not log_keys(ring):
            raise Unknown("the members' folder has no key of the log (owner=0 use=LOG): without it no receipt can be checked")
        slugs = {int(city.number): str(city.slug) for city in catalogue.cities}
        # The end of a chain must live as long as the key that signs it, or the next import would fork the chain.
        spools = plan.out or (plan.keys.private / SPOOLS if plan.keys and plan.house else None)
        sealing = held.enter_context(signers(slugs, plan.keys, spools, until_us))
        logged = _told(read_feed(blocks, plan.form, plan.settings, report.tally), report.tally, plan.progress)
        _clear(logged, tables, sealing, report, plan, names, work)
        report.seconds = time.perf_counter() - began
        if ring is not None and plan.house:
            report.acknowledged = send_all(
                (signer.spool for signer in sealing.made.values() if signer.spool), ring, plan.house,
                lambda sent: plan.progress(f"{sent:,} of {report.batches:,} batches sent"),
            )  # fmt: skip
    return report, names


def _clear(
    logged: Iterable[LoggedTaps], tables: list[tuple[int, bytes]], sealing: Signers, report: ImportReport, plan: ImportPlan,
    names: Names, work: Path,
) -> None:  # fmt: skip
    """Seal and clear every minute of the log, in order."""
    fold: Fold | None = None
    journeys = JourneyFile(plan.journeys, names) if plan.journeys else None

    def count(cleared: Cleared) -> None:
        report.count_cleared(cleared)
        theirs = report.amounts.compare(cleared.journeys)
        if journeys is not None:
            journeys.write(cleared, theirs)

    replayed = plan.settings.recorded_column is not None
    for minute in minutes(in_recorded_order(logged, work, sealing.gate_counts(), replayed=replayed)):
        fold = fold or Fold(tables, minute.recorded_us)
        batches = seal_minute(minute, sealing.of)
        report.batches += len(batches)
        report.count_taps(minute.taps)
        report.amounts.expect(minute.taps)
        count(fold.take(minute.recorded_us, batches, sealing.news()))
    if fold is not None:
        for cleared in fold.finish():
            count(cleared)
        report.close(fold.state)


def _packed(catalogue: Catalogue) -> list[tuple[int, bytes]]:
    """Every member's tables as a ledger names them: the scheme's dated agreements, then each city's."""
    agreements = [pack_agreement(compile_agreement(dated, catalogue.member_numbers)) for dated in catalogue.agreements]
    return [(int(SCHEME), data) for data in agreements] + [
        (int(city.number), pack_city(catalogue.table(city.slug))) for city in catalogue.cities
    ]


def _names(catalogue: Catalogue) -> Names:
    operators = {
        int(city.number) * BENEFICIARIES + operator.number: operator.name_en
        for city in catalogue.cities
        for operator in city.operators
    }
    return Names.of([catalogue.table(city.slug) for city in catalogue.cities], operators)


def _told(runs: Iterable[LoggedTaps], tally: FeedTally, progress: Callable[[str], None]) -> Iterator[LoggedTaps]:
    for run in runs:
        progress(f"{tally.rows:,} rows read")
        yield run

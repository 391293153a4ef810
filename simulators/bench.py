"""The bench: each stage of a tap's way and the whole of it, beside what this machine can do at all, all in one run.

A run measures a ceiling when the first figure asks for it and keeps it, so every ratio compares two figures of the same minutes.
"""

import os
import platform
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from fare_chain.batch import MOST_TAPS
from fare_chain.errors import Unknown
from fare_chain.tap import TAP_BYTES
from settlement.house import clock_us
from settlement.store import supervisor
from simulators import stages, whole_house
from simulators.ceilings import COPY, IN_THE_DATABASE, LEAF, MEGABYTE, ON_THE_PROCESSOR, SIGN, VERIFY
from simulators.figures import Figure
from simulators.fold_steps import TICK_TAPS, close_figure, fold_figures
from simulators.mirror_figure import mirror_figure
from simulators.nine_cities import NineCities, load_nine_cities
from simulators.table_figures import cached_figure, compile_figure


@dataclass
class Bench:
    """One run: how long each figure is measured, where its files lie, and what it has measured already.

    `say` is told what is measured next. The folder is the run's own: it has to be empty, and on the disk that is meant.
    """

    seconds: float
    folder: Path
    say: Callable[[str], None] = lambda _what: None
    tick_taps: int = TICK_TAPS
    ceilings: dict[str, Figure] = field(default_factory=dict)
    after: ExitStack = field(default_factory=ExitStack)

    def ceiling(self, name: str) -> Figure:
        """What this machine can do; measured once a run."""
        if name in IN_THE_DATABASE:
            return self.database[name]
        if name not in self.ceilings:
            self.say(name)
            self.ceilings[name] = ON_THE_PROCESSOR[name](self.seconds)
        return self.ceilings[name]

    @cached_property
    def server_url(self) -> str:
        """A PostgreSQL of our own in the run's folder: every figure makes a new database on it."""
        self.say("starting PostgreSQL")
        server = supervisor.start(self.folder / "postgres")
        self.after.callback(supervisor.stop, server)
        return server.url

    def close(self) -> None:
        """Stop what was started."""
        self.after.close()

    @cached_property
    def database(self) -> dict[str, Figure]:
        """The ceilings that PostgreSQL sets."""
        self.say("copy, commit")
        return whole_house.database_ceilings(self.server_url, self.seconds)

    @cached_property
    def cities(self) -> NineCities:
        """The packaged cities, compiled."""
        self.say("compiling nine cities")
        return load_nine_cities(clock_us())

    @cached_property
    def batches(self) -> Path:
        """Sealed batches for a house, more than it will take."""
        self.say("sealing batches for the house")
        file = self.folder / "batches"
        whole_house.prepare_batches(self.cities, file, self.seconds)
        return file

    @cached_property
    def house(self) -> tuple[Figure, Figure, Path]:
        """The whole house's figure, that of another which starts after it, and the log that it wrote meanwhile."""
        batches, log = self.batches, self.folder / "log"
        self.say("clearing")
        return *whole_house.house_figures(self.cities, self.server_url, batches, self.seconds, log), log

    @cached_property
    def signed_log(self) -> Path:
        """A log in which every tap has its rider code."""
        log = self.folder / "signed-log"
        self.say("issuing rider codes")
        taps = int(self.seconds * whole_house.SIGNED_TAPS_A_SECOND)
        whole_house.write_signed_log(self.cities, self.server_url, taps, log)
        return log

    def figures(self, names: Iterable[str]) -> Iterator[Figure]:
        """Measure what is named, in that order; Unknown where there is no such name."""
        wanted = list(names)
        unknown = [name for name in wanted if name not in BENCHES]
        if unknown:
            raise Unknown(f"there is no bench {unknown[0]!r}; there are {', '.join(BENCHES)}")
        for name in wanted:
            self.say(name)
            yield from BENCHES[name](self)

    def about(self) -> dict[str, object]:
        """The machine, and the settings under which PostgreSQL ran (none where no figure needed it)."""
        settings = whole_house.server_settings(self.server_url) if "server_url" in self.__dict__ else {}
        return {"machine": describe_machine(), "seconds": self.seconds, "postgresql": settings}


@contextmanager
def measuring_folder(disk: Path | None) -> Iterator[Path]:
    """A new folder on the disk that is meant (else where the system keeps temporary files), removed in the end."""
    if disk is not None:
        disk.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="fare-chain-bench-", dir=disk))
    folder.chmod(0o711)  # PostgreSQL may run as another user than root, and has to get through to its own folder
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def describe_machine() -> dict[str, str | int | float]:
    """What a reader needs to compare: processor, cores, what else runs on them, versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "openssl": ssl.OPENSSL_VERSION,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _ceilings(bench: Bench) -> Iterator[Figure]:
    yield from (bench.ceiling(name) for name in (*ON_THE_PROCESSOR, *IN_THE_DATABASE))


def _tables(bench: Bench) -> Iterator[Figure]:
    yield compile_figure(bench.cities.numbers, bench.seconds)
    yield cached_figure(bench.cities.numbers, bench.seconds)


def _seal(bench: Bench) -> Iterator[Figure]:
    yield stages.seal_figure(bench.cities, bench.seconds).against(bench.ceiling(LEAF))


def _intake(bench: Bench) -> Iterator[Figure]:
    for width in (MOST_TAPS, stages.SMALL_BATCH):
        yield stages.intake_figure(bench.cities, bench.seconds, width).against(bench.ceiling(LEAF))


def _codes(bench: Bench) -> Iterator[Figure]:
    yield stages.code_issue_figure(bench.cities, bench.seconds).against(bench.ceiling(SIGN))
    yield stages.code_verify_figure(bench.cities, bench.seconds).against(bench.ceiling(VERIFY))


def _gate(bench: Bench) -> Iterator[Figure]:
    yield stages.gate_figure(bench.cities, bench.seconds).against(bench.ceiling(VERIFY))


def _fold(bench: Bench) -> Iterator[Figure]:
    for figure in fold_figures(bench.cities, bench.seconds, bench.tick_taps):
        yield figure.against(bench.ceiling(LEAF)) if figure.name == "fold" else figure


def _close(bench: Bench) -> Iterator[Figure]:
    yield close_figure(bench.cities, bench.seconds, bench.tick_taps)


def _ledger(bench: Bench) -> Iterator[Figure]:
    batches = bench.batches
    bench.say("ledger")
    figure = whole_house.ledger_figure(bench.cities, bench.server_url, batches, bench.seconds)
    yield figure.against(bench.ceiling(COPY), each=TAP_BYTES / MEGABYTE)


def _clearing(bench: Bench) -> Iterator[Figure]:
    ceiling = bench.ceiling(LEAF)  # before the house: its lanes are compiled by then
    yield bench.house[0].against(ceiling)


def _restart(bench: Bench) -> Iterator[Figure]:
    yield bench.house[1]


def _mirror(bench: Bench) -> Iterator[Figure]:
    log = bench.house[2]
    bench.say("mirror")
    yield mirror_figure(log).against(bench.ceiling(LEAF))


def _audit(bench: Bench) -> Iterator[Figure]:
    log = bench.house[2]
    bench.say("audit")
    yield whole_house.audit_figure("audit", log, bench.seconds, rider_signatures=False).against(bench.ceiling(LEAF))
    log = bench.signed_log
    bench.say("audit-signatures")
    yield whole_house.audit_figure("audit-signatures", log, bench.seconds, rider_signatures=True).against(bench.ceiling(VERIFY))


BENCHES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "ceilings": _ceilings,
    "tables": _tables,
    "seal": _seal,
    "intake": _intake,
    "codes": _codes,
    "gate": _gate,
    "fold": _fold,
    "close": _close,
    "ledger": _ledger,
    "clearing": _clearing,
    "restart": _restart,
    "mirror": _mirror,
    "audit": _audit,
}
"""Every bench by name; what `fare-chain bench` without a name measures, in this order."""

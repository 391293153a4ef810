"""The stages that need a house: the ledger alone, the ledger with its clearing, and the audit of what they wrote."""

import math
import struct
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import BinaryIO

import uvloop

from fare_chain.audit import audit
from fare_chain.batch import MOST_TAPS
from fare_chain.identifiers import SCHEME
from fare_chain.keys import KeyUse
from fare_chain.log_reader import FolderLog
from settlement.core.replay import Rederiving
from settlement.house import boot, clock_us
from settlement.store.database import make_engine
from simulators.bench_house import ORIGIN, VERIFIER, BenchHouse, open_database, open_house
from simulators.ceilings import IN_THE_DATABASE
from simulators.durability import running_settings, wal_counts
from simulators.figures import Fact, Figure, Rate, rate_of
from simulators.nine_cities import NineCities, Sealer, count_on, member_key, rush_hour, show_codes

FASTEST = 1_000_000
"""Taps a second for which sealed batches are prepared: more than a house takes."""
SIGNED_TAPS_A_SECOND = 12_000
"""Taps a second for which a log with rider codes is made: about what one core verifies."""
_HOUR_RIDES = 250_000
_WARM_UP_BATCHES = 16
_WARM_UP_TAPS = _WARM_UP_BATCHES * MOST_TAPS
_LENGTH = struct.Struct("<I")


def prepare_batches(cities: NineCities, file: Path, seconds: float) -> None:
    """Seal taps for so many seconds into a file, each batch with its length before it: one hour's rides after another's."""
    taps = _WARM_UP_TAPS + int(seconds * FASTEST)
    sealer, written, seed = Sealer(), 0, 0
    counts: dict[int, int] = {}
    with file.open("wb") as to:
        while written < taps:
            hour = rush_hour(cities, rides=min(_HOUR_RIDES, -(-(taps - written) // 2)), seed=seed)
            count_on(hour.taps, counts)
            for batch in sealer.seal(hour.taps):
                data = batch.to_bytes()
                to.write(_LENGTH.pack(len(data)) + data)
            written, seed = written + len(hour.taps), seed + 1


def database_ceilings(server_url: str, seconds: float) -> dict[str, Figure]:
    """COPY and commit on a database of their own."""

    async def measured() -> dict[str, Figure]:
        async with open_database(server_url) as engine:
            return {name: await ceiling(engine, seconds) for name, ceiling in IN_THE_DATABASE.items()}

    return uvloop.run(measured())


def server_settings(server_url: str) -> dict[str, str]:
    """The settings on which durability rests, as the running server says them."""

    async def asked() -> dict[str, str]:
        engine = make_engine(server_url)
        try:
            return await running_settings(engine)
        finally:
            await engine.dispose()

    return uvloop.run(asked())


def ledger_figure(cities: NineCities, server_url: str, batches: Path, seconds: float) -> Figure:
    """Intake and sequencer: sealed batches in, receipts out, every tick durable; nothing is cleared."""

    async def story(source: BinaryIO) -> Figure:
        async with open_house(server_url, cities, clears=False) as house:
            return await _fed("ledger", house, _read(source), seconds)

    with batches.open("rb") as source:
        return uvloop.run(story(source))


def house_figures(cities: NineCities, server_url: str, batches: Path, seconds: float, log: Path) -> tuple[Figure, Figure]:
    """The whole house: sealed batches in, receipts out, journeys, books and positions durable; and another house after it.

    Its log is exported to a folder. The house that comes after takes over what is stored and clears again what no snapshot has.
    """

    async def story(source: BinaryIO) -> tuple[Figure, Figure]:
        async with open_house(server_url, cities) as house:
            figure = await _fed("clearing", house, _read(source), seconds)
            await house.seal_windows()
            await house.export(log)
            return figure, await _restarted(house)

    with batches.open("rb") as source:
        return uvloop.run(story(source))


def write_signed_log(cities: NineCities, server_url: str, taps: int, log: Path) -> None:
    """Export the log of a house that took so many taps with the rider codes of real device keys."""
    shown = show_codes(rush_hour(cities, rides=-(-taps // 2), seed=0), seed=0)

    async def story() -> None:
        async with open_house(server_url, cities) as house:
            await house.feed([batch.to_bytes() for batch in Sealer().seal(*shown)], math.inf)
            await house.seal_windows()
            await house.export(log)

    uvloop.run(story())


def audit_figure(name: str, log: Path, seconds: float, *, rider_signatures: bool) -> Figure:
    """Verify an exported log from its first entry, as `fare-chain verify` does, clearing every window again."""
    rates: list[float] = []
    cpu_ns: list[float] = []
    began_all = time.perf_counter()
    while time.perf_counter() - began_all < seconds or not rates:
        began, cpu_began = time.perf_counter(), time.process_time()
        result = audit(FolderLog(log), [VERIFIER], followers=[Rederiving()], rider_signatures=rider_signatures)
        rates.append(result.taps / (time.perf_counter() - began))
        cpu_ns.append((time.process_time() - cpu_began) / result.taps * 1e9)
    facts: dict[str, Fact] = {"taps": result.taps, "entries": result.size, "windows": result.windows, "codes": result.rider_codes}
    facts["cpu_ns_a_tap"] = round(median(cpu_ns))
    return Figure(name, "taps", rate_of(rates), facts=facts)


async def _restarted(house: BenchHouse) -> Figure:
    """A house that starts on what another has stored, until it could serve: taps of the whole ledger over that time."""
    began = time.perf_counter()
    sequencer, clearing = await boot(house.engine, key=member_key(int(SCHEME), KeyUse.LOG), origin=ORIGIN, clock=clock_us)
    passed = time.perf_counter() - began
    assert clearing.totals == house.clearing.totals, "another house came to something else"
    facts: dict[str, Fact] = {"seconds": round(passed, 2), "taps": clearing.totals.taps, "entries": sequencer.head.head.size}
    return Figure("restart", "taps", Rate(clearing.totals.taps / passed), facts=facts)


async def _fed(name: str, house: BenchHouse, batches: Iterator[bytes], seconds: float) -> Figure:
    """Warm the house up with some batches, feed it for so long, and say what that was beside what PostgreSQL synced for it."""
    await house.feed(islice(batches, _WARM_UP_BATCHES), math.inf)
    before = await wal_counts(house.engine)
    fed = await house.feed(batches, seconds)
    wal = (await wal_counts(house.engine)).since(before)
    return Figure(name, "taps", Rate(fed.taps / fed.seconds), facts={**fed.facts(), **wal})


def _read(source: BinaryIO) -> Iterator[bytes]:
    """The batches of a prepared file, one at a time: however many there are, memory holds those in flight."""
    while head := source.read(_LENGTH.size):
        yield source.read(_LENGTH.unpack(head)[0])

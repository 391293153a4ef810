"""The stages of a tap's way that need no database and no history: seal, intake's check, rider codes, the gate's decision."""

import time
from itertools import cycle

from city_adapters.deny_list import NOBODY_DENIED
from city_adapters.gate import GateState, Scan, decide
from city_adapters.tables import CityTable
from fare_chain import rider_code
from fare_chain.batch import MOST_TAPS, unseal
from fare_chain.tap import TapKind
from settlement.core.columns import Taps, pick
from simulators.figures import Figure, measure, rate_of
from simulators.nine_cities import NineCities, Sealer, new_device, rush_hour

SMALL_BATCH = 64
"""What a small city's gates gather in the quarter of a second after which a batch is sent anyway."""
_CODES = 2_000
_GATE_RIDERS = 1_000


def seal_figure(cities: NineCities, seconds: float) -> Figure:
    """Seal taps as batches of 4,096: checks, hash, root, signature."""
    taps = _one_city(cities)
    sealer = Sealer()

    def work() -> int:
        sealer.seal(taps)
        return len(taps)

    return Figure("seal", "taps", measure(work, seconds), facts={"taps_a_batch": min(MOST_TAPS, len(taps))})


def intake_figure(cities: NineCities, seconds: float, width: int) -> Figure:
    """Read and check sealed batches of `width` taps: signature, hash, root, records; no rider codes."""
    taps = _one_city(cities)
    ring = cities.ring()
    sealed = cycle([(batch.header.count, batch.to_bytes()) for batch in Sealer().seal(taps, width=width)])

    def work() -> int:
        count, data = next(sealed)
        unseal(data, ring)
        return count

    name = "intake" if width == MOST_TAPS else f"intake-{width}"
    return Figure(name, "taps", measure(work, seconds), facts={"taps_a_batch": width})


def code_issue_figure(cities: NineCities, seconds: float) -> Figure:
    """Make fresh rider codes of one device."""
    key, credential = new_device(1, 1, cities.numbers[0], cities.now_us)

    def work() -> int:
        for counter in range(100):
            rider_code.issue(key, credential, cities.now_us, counter)
        return 100

    return Figure("codes-issue", "codes", measure(work, seconds))


def code_verify_figure(cities: NineCities, seconds: float) -> Figure:
    """Read codes and check everything but the credential's own signature, which is checked once a rider and remembered."""
    key, credential = new_device(1, 1, cities.numbers[0], cities.now_us)
    ring = cities.ring()
    codes = cycle([rider_code.issue(key, credential, cities.now_us, counter) for counter in range(_CODES)])

    def work() -> int:
        for _turn in range(100):
            code = rider_code.read(next(codes))
            rider_code.check_period(code, cities.now_us)
            rider_code.check_fresh(code, cities.now_us)
            rider_code.issuer_key(code, ring, cities.now_us)
            rider_code.verify_device(code)
        return 100

    return Figure("codes-verify", "codes", measure(work, seconds), facts={"signatures_a_code": 1})


def gate_figure(cities: NineCities, seconds: float) -> Figure:
    """Let gates decide in one thread: each rider in and out twice, with a fresh code each time, the credential new at first."""
    ring, table = cities.ring(), cities.tables[0]
    scans = _scans(cities, table)
    stations = frozenset(table.station_numbers.tolist())
    rates: list[float] = []
    began_all = time.perf_counter()
    while time.perf_counter() - began_all < seconds or not rates:
        state, began = GateState(table.city, stations), time.perf_counter()
        opened = 0
        for at_us, scan in scans:
            decision = decide(scan, state, ring, NOBODY_DENIED, at_us)
            state.after(decision)
            opened += decision.opens
        rates.append(len(scans) / (time.perf_counter() - began))
        assert opened == len(scans), f"{opened} of {len(scans)} scans opened"
    return Figure("gate", "scans", rate_of(rates), facts={"signatures_a_scan": 1.25})


def _one_city(cities: NineCities) -> Taps:
    """Some full batches of taps in the first city."""
    taps = rush_hour(cities, rides=8 * MOST_TAPS, seed=1).taps
    return pick(taps, taps["host"] == cities.numbers[0])[: 4 * MOST_TAPS]


def _scans(cities: NineCities, table: CityTable) -> list[tuple[int, Scan]]:
    """(moment, scan) of riders who go in and out twice, in order of time; every code is made at its scan."""
    devices = [new_device(2, rider, table.city, cities.now_us) for rider in range(_GATE_RIDERS)]
    scans: list[tuple[int, Scan]] = []
    for turn in range(4):
        kind = TapKind.EXIT if turn % 2 else TapKind.ENTRY
        for rider, (key, credential) in enumerate(devices):
            at_us = cities.now_us + (turn * _GATE_RIDERS + rider) * 1_000
            station = int(table.station_numbers[rider % len(table.station_numbers)])
            code = rider_code.issue(key, credential, at_us, turn)
            scans.append((at_us, Scan(code, station, station, len(scans), kind, table.city)))
    return scans

"""The whole of it on one machine: the house, every city's gates, mirror and riders, each a process; then the proof.

    DATA/keys/<holder>/   private keys, each holder's in a folder of its own      DATA/members/   the public halves
    DATA/house/           the house's data, PostgreSQL in it                      DATA/gates/<city>/   a city's spool
    DATA/policy           whose signatures make a second final                    DATA/mirrors/<city>/ a city's mirror
    DATA/logs/            what each process writes                                DATA/log/       the exported log
    DATA/processes.json   who runs under which process id

Run again on the same data, all go on where they stopped.
"""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from city_adapters.catalogue import Catalogue, load_catalogue
from city_adapters.service_day import ServiceDays
from fare_chain.access_files import read_access
from fare_chain.errors import Conflict
from fare_chain.identifiers import SCHEME
from fare_chain.key_files import read_public_key
from fare_chain.log_reader import HttpLog
from fare_chain.note import NoteVerifier
from settlement.store import supervisor
from simulators import demand, members, proof, riders
from simulators.board import Display, View
from simulators.clock import SECOND_US, DemoClock, actor_seed
from simulators.crossings import joints
from simulators.gates import Crowd, Diary, gate_line
from simulators.itineraries import Pace, legs_of
from simulators.outcome import Evidence
from simulators.phones import Phones
from simulators.processes import Children, Role, program
from simulators.status import Look, Statuses

ORIGIN = "fare-chain.example/clearing"
FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Where free ports are looked for: below those that outgoing connections take, which might take a dead gate's."""
REST_S = 120.0
"""How long the last riders may queue, and then the spools take to empty and the house to close its last window."""
AGREE_S = 30.0
"""How long the mirrors may need for what the ledger holds once nothing more comes."""
LONGEST_RIDE_US = 10_000_000
"""No leg takes longer (40 minutes of the demo's clock), and no ride has more than two: no wait across a province."""
VISIT_S = 3_600
"""How much longer than the run the riders' credentials are valid."""
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; `port` is the house's, the cities' gates and then their mirrors have the following; None picks free ones.

    Compiled tables are kept in `cache`, where there is one.
    """

    seconds: int
    taps_per_second: int
    seed: int
    data: Path
    port: int | None = None
    cache: Path | None = None


class Demo:
    """One run. `run` is to be called once."""

    def __init__(self, wish: Wish, display: Display, environment: Mapping[str, str]) -> None:
        """Load the cities and make what keys are missing; children get `environment`."""
        self.wish = wish
        self.display = display
        self.catalogue = load_catalogue(cache=wish.cache)
        self.slugs = [str(city.slug) for city in self.catalogue.cities]
        self.port: int = wish.port or free_ports(1 + 2 * len(self.slugs))
        self.house_url = f"http://127.0.0.1:{self.port}"
        self.gate_urls = {slug: f"http://127.0.0.1:{self.port + place}" for place, slug in enumerate(self.slugs, start=1)}
        first = self.port + 1 + len(self.slugs)
        self.mirror_urls = {slug: f"http://127.0.0.1:{first + place}" for place, slug in enumerate(self.slugs)}
        self.environment = environment
        self.diary = Diary()
        self.look = Look()
        self.phase = ""
        self.began_s = time.monotonic()
        self.started_us = _wall_us()
        wish.data.mkdir(parents=True, exist_ok=True)
        names = members.key_names(self.catalogue.cities)
        members.make_missing_keys(wish.data / "keys", wish.data / "members", names, now_us=self.started_us)
        self.policy = members.write_policy(wish.data, ORIGIN, self.mirror_urls)

    async def run(self) -> Evidence:
        """Start everything, ride, come to rest, export, stop everything, verify; nothing of ours runs when this returns."""
        children = Children(self.wish.data / "logs", self.wish.data / "processes.json", self.display.say, self.environment)
        try:
            plan = asyncio.create_task(asyncio.to_thread(make_plan, self.catalogue, self.wish, self.started_us))
            self._show("starting the clearing house")
            await children.start([self.house_role()])
            self._show("starting gates and mirrors")
            await children.start([*self.gate_roles(), *self.mirror_roles()])
            await children.guard(self._ride_and_rest(await plan))
            self._show("exporting the log")
            key = self.wish.data / "keys" / members.HOUSE / f"{members.ACCESS_KEY}.key"
            await children.guard(proof.export_log(self.house_url, self.wish.data / "log", read_access(key, "audit")))
        finally:
            await self._stop(children)
        self._show("verifying")
        log_key = read_public_key(self.wish.data / "members" / f"{members.LOG_KEY}.pub")
        audited, taps = await proof.verify_files(self.wish.data / "log", NoteVerifier(ORIGIN, log_key.public), self.policy)
        names = {int(SCHEME): "scheme"} | {int(city.number): str(city.slug) for city in self.catalogue.cities}
        restarts = dict(children.restarts)
        return Evidence(
            self.diary, audited, taps.taps(), self.look, restarts, names, started_us=self.started_us, seconds=self.wish.seconds
        )

    def about(self) -> dict[str, Any]:
        """Where things are, for the JSON object."""
        return {
            "data_dir": str(self.wish.data),
            "log_dir": str(self.wish.data / "log"),
            "house_url": self.house_url,
            "policy": str(self.wish.data / members.POLICY),
            "console_url": None,
            "wall_seconds": round(time.monotonic() - self.began_s, 1),
        }

    def house_role(self) -> Role:
        """The clearing house as a process; it starts PostgreSQL itself."""
        data = self.wish.data
        folders = ("--data", data / "house", "--members", data / "members", "--keys", data / "keys" / members.HOUSE)
        command = (program(), "house", *folders, *self._policy(), "--origin", ORIGIN, "--port", self.port, "--parent", os.getpid())
        return Role("house", tuple(map(str, command)), f"{self.house_url}/v1/health")

    def gate_roles(self) -> list[Role]:
        """The gates of each city, a process a city; each is given its own city's keys and no others."""
        data = self.wish.data
        roles = []
        for slug, url in self.gate_urls.items():
            folders = ("--data", data / "gates" / slug, "--members", data / "members", "--keys", data / "keys" / slug)
            where = ("--house", self.house_url, "--port", url.rpartition(":")[2], "--parent", os.getpid())
            command = (program(), "city", "gate", "--city", slug, *folders, *where)
            roles.append(Role(slug, tuple(map(str, command)), f"{url}/v1/health"))
        return roles

    def mirror_roles(self) -> list[Role]:
        """The mirror of each city: it is given its own city's keys, and of the house no more than its address."""
        data = self.wish.data
        roles = []
        for slug, url in self.mirror_urls.items():
            folders = ("--data", data / "mirrors" / slug, "--members", data / "members", "--keys", data / "keys" / slug)
            where = ("--house", self.house_url, "--port", url.rpartition(":")[2], "--parent", os.getpid())
            command = (program(), "mirror", "--city", slug, *folders, *self._policy(), *where)
            roles.append(Role(mirror_name(slug), tuple(map(str, command)), f"{url}/v1/health"))
        return roles

    def _policy(self) -> tuple[str, Path]:
        return "--policy", self.wish.data / members.POLICY

    async def _ride_and_rest(self, plan: riders.Plan) -> None:
        """Let all rides of the plan be ridden, then wait until every tap is cleared in a closed window."""
        issuer_keys = members.issuer_keys(self.wish.data / "keys", self.catalogue.cities)
        days = {int(city.number): city.days for city in self.catalogue.cities}
        phones = make_phones(plan, issuer_keys, self.wish, self.started_us, days)
        async with AsyncExitStack() as stack:
            statuses = await stack.enter_async_context(Statuses(self.house_url, self.gate_urls, self.mirror_urls))
            lines = {
                int(city.number): await stack.enter_async_context(gate_line(city, self.gate_urls[city.slug]))
                for city in self.catalogue.cities
            }
            watching = asyncio.create_task(self._watch(statuses))
            try:
                self.phase = "riding"
                most_s = self.wish.seconds + 2 * LONGEST_RIDE_US / SECOND_US + REST_S
                await Crowd(plan, phones, lines, self.diary).ride(at_most_s=most_s)
                self.phase = "coming to rest"
                await self._rest(statuses)
                self.look = await agreed(statuses)
            finally:
                watching.cancel()

    async def _rest(self, statuses: Statuses) -> None:
        """Wait until all spools are empty and a window covers what they held; after REST_S the evidence speaks for itself."""
        ends_at = time.monotonic() + REST_S
        log = HttpLog(self.house_url)
        acknowledged_at_s: int | None = None
        while time.monotonic() < ends_at:
            if acknowledged_at_s is None and (await statuses.look()).is_all_sent(self.slugs):
                acknowledged_at_s = _wall_us() // SECOND_US
            if acknowledged_at_s is not None and await proof.is_windowed(log, acknowledged_at_s):
                return
            await asyncio.sleep(0.2)
        self.display.say(f"after {REST_S:.0f} s not all taps are in a window: what is there is verified all the same")

    async def _watch(self, statuses: Statuses) -> None:
        """Look at everybody once a second, and show it."""
        opened, at_s = 0, time.monotonic()
        while True:
            self.look = await statuses.look()
            now_s = time.monotonic()
            rate = int((len(self.diary.opened) - opened) / max(now_s - at_s, 0.001))
            opened, at_s = len(self.diary.opened), now_s
            self._show(self.phase, taps_per_second=rate)
            await asyncio.sleep(_LOOK_S)

    async def _stop(self, children: Children) -> None:
        """Stop the gates, which seal what they hold, then the house; and PostgreSQL where a killed house has left it."""
        self._show("stopping")
        await children.stop(self.slugs)
        await children.stop(map(mirror_name, self.slugs))
        await children.stop()
        await asyncio.to_thread(stop_left_behind, self.wish.data / "house" / "postgres")

    def _show(self, phase: str, *, taps_per_second: int = 0) -> None:
        self.phase = phase
        names = {str(city.slug): f"{city.name_en} {city.name_zh}" for city in self.catalogue.cities}
        self.display.show(
            View(
                phase,
                int(time.monotonic() - self.began_s),
                names,
                self.look,
                taps_per_second,
                self.diary.wait_ms(50, of_last=4096),
                self.diary.wait_ms(99, of_last=4096),
                self.diary.refused,
            )
        )


def mirror_name(slug: str) -> str:
    """Under which name a city's mirror runs."""
    return f"{slug}-mirror"


async def agreed(statuses: Statuses) -> Look:
    """How everybody stands once all mirrors stand at the house's size; after AGREE_S, how they stand then."""
    ends_at = time.monotonic() + AGREE_S
    look = await statuses.look()
    while look.agreeing() < len(statuses.mirrors) and time.monotonic() < ends_at:
        await asyncio.sleep(0.2)
        look = await statuses.look()
    return look


def make_plan(catalogue: Catalogue, wish: Wish, now_us: int) -> riders.Plan:
    """Plan all rides of a run: two taps a ride, most of the time, at the rate that is asked for."""
    clock, pace = DemoClock(), Pace(most_us=LONGEST_RIDE_US)
    assert clock.speed_up == pace.speed_up, "a ride must last as long as the day's clock says"
    cities = tuple(demand.city_demand(city, catalogue.table(city.slug), now_us) for city in catalogue.cities)
    world = demand.World(cities, demand.load_shape(demand.DayKind.WEEKDAY))
    departures = demand.steady_departures(
        clock, rides_per_second=max(wish.taps_per_second // 2, 1), seconds=wish.seconds, seed=wish.seed
    )
    rides = demand.intended_rides(world, departures, wish.seed)
    tiers = {int(city.number): city.month_tiers_fen(now_us) for city in catalogue.cities}
    return riders.plan(rides, legs_of(rides, pace, wish.seed), wish.seed, joints=joints(catalogue), tiers=tiers)


def make_phones(
    plan: riders.Plan, issuer_keys: Mapping[int, Any], wish: Wish, now_us: int, days: Mapping[int, ServiceDays] | None = None
) -> Phones:
    """New phones for every run: on old data, riders of the last run may still be inside under their old pseudonyms."""
    seed = int.from_bytes(actor_seed(wish.seed, "run", now_us)[:8], "little")
    now_s = now_us // SECOND_US
    until_s = now_s + wish.seconds + VISIT_S
    return Phones(plan.riders, issuer_keys, seed=seed, not_before_s=now_s - 60, not_after_s=until_s, days=days)


def free_ports(count: int) -> int:
    """The first of `count` ports in a row on which nobody listens; Conflict where there are none."""
    begin = FIRST_PORT + os.getpid() * 16 % (LAST_PORT - FIRST_PORT)  # demos side by side look in different places
    for first in chain(range(begin, LAST_PORT, count), range(FIRST_PORT, begin, count)):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise Conflict(f"there are no {count} free ports in a row from {FIRST_PORT} to {LAST_PORT}: name some with --port")


def stop_left_behind(folder: Path) -> None:
    """Stop a PostgreSQL that runs on this folder without anybody to keep it; does nothing where none does."""
    if folder.exists() and supervisor.describe(folder).pid:
        supervisor.stop(supervisor.start(folder))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _wall_us() -> int:
    return time.time_ns() // 1000

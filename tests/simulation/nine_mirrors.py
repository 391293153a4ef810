"""Nine cities' mirrors and a house in one process, on a clock that is turned: real keys, files, database; a network that is told.

A mirror asks for what is new each quarter of a second, as the real one does by HTTP; what it is given and what it sends back may
be lost, late or cut off. Every second all that reach each other compare heads.
"""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fare_chain import scheme_policy
from fare_chain.audit import audit
from fare_chain.checkpoint import read_text
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.governance import Term, TermEntry
from fare_chain.hashing import leaf_hash, sha256
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.merkle import root
from fare_chain.mirror_feed import FeedTick, write_feed
from fare_chain.note import read_note
from fare_chain.proofs import prove_consistency
from fare_chain.tap import TapKind
from fare_chain.witness import WitnessRequest
from settlement.core.replay import Rederiving
from settlement.finality import Finality
from settlement.house import boot
from settlement.intake import Intake
from settlement.mirror.city_mirror import CityKeys, CityMirror
from settlement.mirror.journal import Journal
from settlement.mirror.shelf import Shelf
from settlement.mirror.terms import approve_term
from settlement.sequencer import Control
from settlement.store import finality as final_store
from settlement.store.database import make_engine
from settlement.store.migrating import migrate
from settlement.web.app import make_app
from settlement.web.parts import Parts, Running
from simulators.small_cities import FOREVER_US, SECOND_US
from simulators.small_house import LOG_VERIFIER, ORIGIN, SmallAdapter, SmallHouse, SmallRider, door_ring, small_key
from tests.conftest import AppLog
from tests.simulation.other_history import OtherHistory

CITIES = {name: at for at, name in enumerate(["alder", "birch", "cedar", "dogwood", "elm", "fir", "gum", "hazel", "iris"], start=1)}
QUORUM = 7
TICK_US = 250_000
STANDBY = SigningKey(sha256(b"the standby's log key"))
POLICY = scheme_policy.scheme_policy(
    ORIGIN,
    [LOG_VERIFIER.public, STANDBY.public],
    [
        scheme_policy.Cosigner(name, small_key(number, KeyUse.CLEARING).public, small_key(number, KeyUse.WITNESS).public)
        for name, number in CITIES.items()
    ],
)


async def begin(url: str) -> int:
    """The ledger on which every scenario begins: keys, tables, the nine clearing keys and the standby's; what time it is then."""
    engine = make_engine(url)
    await migrate(engine)
    house = SmallHouse(engine)
    await house.start()
    uses = [(number, KeyUse.CLEARING, small_key(number, KeyUse.CLEARING)) for number in CITIES.values()]
    for owner, use, key in [*uses, (0, KeyUse.LOG, STANDBY)]:
        public = PublicKey(MemberNumber(owner), use, key.public, Micros(0), Micros(FOREVER_US))
        house.sequencer.stage_control(Control(EntryKind.KEY, KeyEntry.of(public, key).to_bytes()))
    await house.seal_windows()
    await engine.dispose()
    return house.now_us


@dataclass(slots=True)
class City:
    """A city's mirror, or None while it is dead, with the files it comes back to and the way between it and the house."""

    name: str
    mirror: CityMirror | None = None
    clock_s: int = 0
    """How far its clock is off."""
    delay_us: int = 0
    lost_feeds: int = 0
    lost_lines: int = 0
    side: int = 0
    """On which side of a partition it is; the house is on side 0."""
    busy_until_us: int = 0
    given: bytes = b""
    unsent: list[str] = field(default_factory=list)
    history: OtherHistory | None = None
    """What it is shown instead of the ledger; None for the truth."""


@dataclass(slots=True)
class World:
    """Everything that a scenario plays with."""

    url: str
    folder: object
    now_us: int
    chance: random.Random
    cities: dict[str, City] = field(default_factory=lambda: {name: City(name) for name in CITIES})
    finals: list[str] = field(default_factory=list)
    """Every final checkpoint that was published, in order."""
    house: SmallHouse | None = None
    finality: Finality | None = None
    key: SigningKey = field(default_factory=lambda: small_key(0, KeyUse.LOG))
    old: object = None
    """A sequencer that was replaced and does not know it."""
    adapters: dict[int, SmallAdapter] = field(default_factory=dict)
    riders: int = 0
    seconds: int = 0
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    async def start_house(self, term: TermEntry | None = None) -> None:
        """Boot a house on what is stored; it publishes the final checkpoint that was published, to the byte."""
        engine = make_engine(self.url)
        self.house = house = SmallHouse(engine, self.now_us)
        try:
            house.sequencer, house.clearing = await boot(engine, key=self.key, origin=ORIGIN, clock=lambda: self.now_us, term=term)
        except BaseException:
            self.house = None
            await engine.dispose()
            raise
        house.intake = Intake(engine, house.sequencer, door_ring())
        self.finality = Finality(engine, POLICY, ORIGIN)
        await self.finality.restore()
        assert not self.finals or self.finality.note == self.finals[-1], "the same bytes are published again"

    async def kill_house(self) -> None:
        """The house is gone, with all that it had in memory."""
        house, self.house, self.finality = self.house, None, None
        await house.engine.dispose()

    def start(self, name: str) -> None:
        """Start a city's mirror on its files."""
        city, number = self.cities[name], CITIES[name]
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        clearing, witness = (small_key(number, use) for use in (KeyUse.CLEARING, KeyUse.WITNESS))
        city.mirror = CityMirror(
            Shelf(folder), Journal(folder / "cosigned"), CityKeys.of(name, POLICY, clearing, witness), POLICY,
            issuers=frozenset({number}), pool=self.pool, clock=lambda: self.now_us // SECOND_US + city.clock_s,
        )  # fmt: skip
        city.busy_until_us, city.given, city.unsent = self.now_us, b"", []

    def kill(self, name: str) -> None:
        """A city's mirror is gone, its files stay."""
        mirror, self.cities[name].mirror = self.cities[name].mirror, None
        mirror.shelf.close()
        mirror.journal.close()

    async def end(self) -> None:
        """Close everything."""
        for name, city in self.cities.items():
            if city.mirror is not None:
                self.kill(name)
        if self.house is not None:
            await self.kill_house()
        self.pool.shutdown()

    async def run(self, seconds: float, *, riding: bool = True) -> None:
        """Let time pass, a tick at a time; riders ride in one city or another."""
        for _tick in range(round(seconds * SECOND_US / TICK_US)):
            self.now_us += TICK_US
            if self.house is not None:
                self.house.now_us = self.now_us
                await self._sequence(riding=riding)
            for city in self.cities.values():
                if city.mirror is not None and city.busy_until_us <= self.now_us:
                    await self._follow(city)
            if self.now_us // SECOND_US > self.seconds:
                self.seconds = self.now_us // SECOND_US
                self._compare_heads()

    async def _sequence(self, *, riding: bool) -> None:
        number = self.chance.randint(1, 3)
        posted = []
        if riding and self.chance.random() < 0.75:
            self.riders += 1
            rider = SmallRider(self.riders, 1 + self.riders % 3)
            adapter = SmallAdapter(number, self.house.sequencer.tail(number))
            scans = [rider.scan(number, station, kind, self.now_us - 900 * SECOND_US + 600 * SECOND_US * (station - 1))
                     for station, kind in ((1, TapKind.ENTRY), (2, TapKind.EXIT))]  # fmt: skip
            posted = [asyncio.create_task(self.house.intake.accept(adapter.seal(scans).to_bytes()))]
            await asyncio.sleep(0)
        before = self.house.sequencer.head.head.size
        await self.house.clearing.take(await self.house.sequencer.tick())
        await asyncio.gather(*posted)
        for history in {id(city.history): city.history for city in self.cities.values() if city.history is not None}.values():
            history.follow(self.house.sequencer.ticks_after(before, 1 << 30) or [], self.house.sequencer.last_us)

    async def _follow(self, city: City) -> None:
        """A mirror takes what it was given, sends its cosignatures, and asks again."""
        if city.given:
            given, city.given = city.given, b""
            await self._send(city, city.mirror.take(given))
        if self.house is None or city.side != 0:
            return
        if city.unsent:
            await self._send(city, city.unsent)
        ticks = await self._ticks_for(city)
        if not ticks:
            await self._send(city, city.mirror.take(b""))
            return
        if city.lost_feeds:
            city.lost_feeds -= 1
        elif city.delay_us:
            city.given, city.busy_until_us = write_feed(ticks), self.now_us + city.delay_us
        else:
            await self._send(city, city.mirror.take(write_feed(ticks)))

    async def _ticks_for(self, city: City) -> list[FeedTick]:
        size = city.mirror.mirrored.size
        if city.history is not None and size >= city.history.begin:
            return city.history.ticks_after(size)
        async with self.house.engine.connect() as connection:
            ticks = await final_store.read_ticks(connection, size, 64)
        if city.history is not None:
            ticks = [tick for tick in ticks if _size(tick.note) <= city.history.begin]
        return ticks

    async def _send(self, city: City, notes: list[str]) -> None:
        city.unsent = notes or city.unsent
        if not notes or self.house is None or city.side != 0:
            return
        if city.lost_lines:
            city.lost_lines -= 1
            return
        city.unsent = []
        try:
            await self.finality.take(notes)
        except Exception:  # noqa: BLE001  a house that forks refuses what it does not have, and the mirror tries again
            assert city.history is not None
            return
        if self.finality.note and (not self.finals or self.finals[-1] != self.finality.note):
            assert _size(self.finality.note) >= (_size(self.finals[-1]) if self.finals else 0), "final never goes back"
            self.finals.append(self.finality.note)

    def _compare_heads(self) -> None:
        alive = [city for city in self.cities.values() if city.mirror is not None]
        for city in alive:
            for other in alive:
                if other is not city and other.side == city.side and other.mirror.note:
                    city.mirror.compare(other.mirror.note)

    async def change_term(self, names: list[str]) -> None:
        """These cities sign for the standby at the tree they cosigned; it takes over, and the old sequencer knows nothing of it."""
        head = self.house.sequencer.head
        term = Term(1, head.head.size, head.head.root(), STANDBY.public, sha256(ORIGIN.encode()))
        signed = []
        for name in names:
            member, key = CITIES[name], small_key(CITIES[name], KeyUse.CLEARING)
            answer = approve_term(self.folder / name, ORIGIN, term, member=member, key=key)
            signed.append((member, answer[2:]))
        old, key = self.house, self.key
        self.key = STANDBY
        try:
            await self.start_house(TermEntry(term, tuple(signed)))
        except BaseException:
            self.house, self.key = old, key
            raise
        self.old = old

    async def submission(self, old: int, size: int) -> bytes:
        """What a witness is asked to cosign."""
        async with self.house.engine.connect() as connection:
            ticks = await final_store.read_ticks(connection, 0, 1 << 20)
        leaves = [leaf_hash(entry.data) for tick in ticks for entry in tick.entries]
        note = read_note(next(tick.note for tick in ticks if _size(tick.note) == size))

        def read_node(level: int, index: int) -> bytes:
            return root(leaves[index << level : (index + 1) << level])

        proof = prove_consistency(old=old, size=size, read_node=read_node) if 0 < old < size else []
        return WitnessRequest(old, tuple(proof), note, read_text(note.text)).to_bytes()

    async def verify(self) -> int:
        """Audit the whole log over HTTP with the quorum; its size."""
        house = self.house
        names = {0: "scheme"} | {number: name for name, number in CITIES.items()}
        vkey = LOG_VERIFIER.to_vkey()
        parts = Parts(house.engine, house.intake, house.sequencer, house.clearing, vkey, names, None, self.finality)
        source = AppLog(make_app(Running(parts)), asyncio.get_running_loop())
        told = await asyncio.to_thread(lambda: audit(source, [], policy=POLICY, followers=[Rederiving()]))
        return told.size


def _size(note: str) -> int:
    return int(note.split("\n")[1])

"""A clearing house on a small scheme and a clock that is turned by hand: its parts are the real ones, on a real database."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from city_adapters.table_packing import pack_agreement, pack_city
from city_adapters.tables import AgreementTable, CityTable
from fare_chain import rider_code
from fare_chain.access_files import Access
from fare_chain.batch import CityTail, SealedBatch, seal
from fare_chain.events import EntryKind, KeyEntry, TariffEntry
from fare_chain.hashing import sha256
from fare_chain.identifiers import SCHEME, MemberNumber, Micros
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.note import NoteVerifier
from fare_chain.tap import Tap, TapKind
from settlement.clear_windows import ClearWindows
from settlement.house import boot
from settlement.intake import Intake
from settlement.sequencer import Control, Sequencer
from settlement.store.ledger import keep_table
from settlement.upholding import Upholding
from settlement.web.permits import Role
from simulators.small_cities import FOREVER_US, OPENING_US, SECOND_US, small_scheme

ORIGIN = "small.example/clearing"
CITIES = (1, 2, 3)
AUDITOR, REGULATOR = 60_001, 60_002
READERS = {AUDITOR: Role.AUDITOR, REGULATOR: Role.REGULATOR}


def small_key(owner: int, use: KeyUse) -> SigningKey:
    """A key that every run has again; for a world that is not real."""
    return SigningKey(sha256(f"small {owner} {use}".encode()))


def small_ring() -> KeyRing:
    """The public keys of the small scheme: the log's, and two for each city."""
    owners = [(0, KeyUse.LOG), *((city, use) for city in CITIES for use in (KeyUse.BATCH, KeyUse.ISSUER))]
    return KeyRing(
        PublicKey(MemberNumber(owner), use, small_key(owner, use).public, Micros(0), Micros(FOREVER_US)) for owner, use in owners
    )


def access_ring() -> KeyRing:
    """The public access keys of the scheme, its cities, and its readers; not on the ledger before somebody puts them there."""
    owners = (int(SCHEME), *CITIES, *READERS)
    return KeyRing(
        PublicKey(MemberNumber(owner), KeyUse.ACCESS, small_key(owner, KeyUse.ACCESS).public, Micros(0), Micros(FOREVER_US))
        for owner in owners
    )


def door_ring() -> KeyRing:
    """The keys that the small house's intake and door know."""
    return KeyRing([*small_ring(), *access_ring()])


def small_access(owner: int, basis: str = "") -> Access:
    """Who asks the small house."""
    (described,) = (key for key in access_ring() if key.owner == owner)
    return Access(small_key(owner, KeyUse.ACCESS), described, basis)


LOG_VERIFIER = NoteVerifier(ORIGIN, small_key(0, KeyUse.LOG).public)


@dataclass(slots=True)
class SmallAdapter:
    """One city's chain of batches; `refuse` spoils nothing here: tests do that to what it seals."""

    city: int
    tail: CityTail = field(default_factory=CityTail)

    def seal(self, scans: Sequence[tuple[Tap, bytes]]) -> SealedBatch:
        """Seal taps and their rider codes as the city's next batch."""
        key = small_key(self.city, KeyUse.BATCH)
        key_id = PublicKey(MemberNumber(self.city), KeyUse.BATCH, key.public, Micros(0), Micros(1)).key_id
        taps = b"".join(tap.to_bytes() for tap, _code in scans)
        batch = seal(taps, [code for _tap, code in scans], city=self.city, tail=self.tail, key=key, key_id=key_id)
        self.tail = self.tail.after(batch.header)
        return batch


@dataclass(slots=True)
class SmallRider:
    """A rider with a device key and a credential of one city."""

    number: int
    issuer: int
    counter: int = 0

    def scan(self, host: int, station: int, kind: TapKind, at_us: int) -> tuple[Tap, bytes]:
        """Show a fresh code at a gate that opens: the tap, and the code as scanned."""
        device = SigningKey(sha256(f"rider {self.number} of {self.issuer}".encode()))
        begins_s = OPENING_US // SECOND_US
        credential = rider_code.issue_credential(
            small_key(self.issuer, KeyUse.ISSUER), self.issuer, device.public, not_before_s=begins_s, not_after_s=begins_s + 10**8
        )
        self.counter += 1
        code = rider_code.issue(device, credential, at_us, self.counter)
        tap = Tap(at_us, credential.medium, sha256(code), self.counter, self.number, station, host, self.issuer, kind)
        return tap, code


class SmallHouse:
    """The house's parts over a database; whoever holds it turns the clock and calls the ticks."""

    sequencer: Sequencer
    clearing: ClearWindows
    intake: Intake
    upholding: Upholding

    def __init__(self, engine: AsyncEngine, now_us: int = OPENING_US + 8 * 3600 * SECOND_US) -> None:
        """Nothing runs before `start`."""
        self.engine = engine
        self.now_us = now_us

    async def start(self) -> None:
        """Boot as after any death; a new ledger begins with the scheme's keys and tables."""
        self.sequencer, self.clearing = await boot(
            self.engine, key=small_key(0, KeyUse.LOG), origin=ORIGIN, clock=lambda: self.now_us
        )
        self.intake = Intake(self.engine, self.sequencer, door_ring())
        await self.intake.evidence.restore()
        self.upholding = Upholding(self.engine, self.intake.evidence)
        await self.upholding.restore()
        if self.sequencer.head.head.size == 0:
            for control in await self._genesis():
                self.sequencer.stage_control(control)
            await self.tick()

    async def tick(self, after_us: int = 250_000) -> None:
        """Turn the clock, sequence what is staged, and clear it."""
        self.now_us += after_us
        tick = await self.sequencer.tick()
        await self.clearing.take(tick)
        await self.upholding.follow(tick)

    async def take(self, *batches: SealedBatch) -> list[str]:
        """Post batches at once, tick, and give their receipts."""
        posted = [asyncio.create_task(self.intake.accept(batch.to_bytes())) for batch in batches]
        while not all(task.done() for task in posted):
            await asyncio.sleep(0)
            if self.sequencer.staging.batches:
                await self.tick()
        return [await task for task in posted]

    async def seal_windows(self) -> None:
        """Let time pass until every window with taps has its entry on the ledger."""
        for _tick in range(3):
            await self.tick(SECOND_US)

    async def _genesis(self) -> list[Control]:
        controls = [Control(EntryKind.KEY, KeyEntry.of(key, small_key(key.owner, key.use)).to_bytes()) for key in small_ring()]
        async with self.engine.begin() as connection:
            for table, digest in small_scheme():
                member, data = _packed(table)
                await keep_table(connection, digest, data)
                controls.append(Control(EntryKind.TARIFF, TariffEntry(member, len(data), digest).to_bytes(), data))
        return controls


def _packed(table: CityTable | AgreementTable) -> tuple[int, bytes]:
    if isinstance(table, AgreementTable):
        return int(SCHEME), pack_agreement(table)
    return table.city, pack_city(table)

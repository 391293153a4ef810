"""A city's mirror over the ledger of a small house: what the house gives, and lies that it may give instead."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from fare_chain.batch import read_header
from fare_chain.checkpoint import Checkpoint
from fare_chain.events import EntryKind, read_tariff_entry
from fare_chain.keys import KeyUse
from fare_chain.ledger import Head, append, read_entry
from fare_chain.mirror_feed import FeedEntry, FeedTick, write_feed
from fare_chain.note import KeyType, NoteVerifier
from fare_chain.policy import Group, Policy, PolicyKey
from fare_chain.tiles import bundles_of, read_bundle, tile_path
from settlement.mirror.city_mirror import CityKeys, CityMirror
from settlement.mirror.journal import Journal
from settlement.mirror.shelf import Shelf
from simulators.small_house import LOG_VERIFIER, ORIGIN, small_key
from tests.settlement.mirror.mirror_world import OPENED

NAMES = {1: "alder", 2: "birch", 3: "cedar"}


def witness_key(city, use, kind):
    public = small_key(city, use).public
    name = f"{NAMES[city]}.small.example/{kind}"
    return PolicyKey(NAMES[city] + ("" if kind == "clearing" else "-witness"), NoteVerifier(name, public, KeyType.COSIGNATURE))


POLICY = Policy(
    (PolicyKey(ORIGIN, LOG_VERIFIER),),
    (
        *(witness_key(city, KeyUse.CLEARING, "clearing") for city in NAMES),
        *(witness_key(city, KeyUse.WITNESS, "witness") for city in NAMES),
    ),
    {"cities": Group(2, tuple(NAMES.values()))},
    "cities",
)


def beside(folder, entry):
    """What travels beside an entry: a batch's taps and codes, a tariff's table."""
    if entry.kind is EntryKind.BATCH:
        digest = read_header(entry.payload).body_hash.hex()
        return (folder / "body" / digest).read_bytes(), (folder / "codes" / digest).read_bytes()
    if entry.kind is EntryKind.TARIFF:
        return (folder / "table" / read_tariff_entry(entry.payload).table_hash.hex()).read_bytes(), b""
    return b"", b""


class ToldLedger:
    """What a house told, to be told again truly or otherwise: [recorded_us, kind, payload, beside, codes] of each entry."""

    def __init__(self, folder):
        size = int((folder / "checkpoint").read_text().split("\n")[1])
        bundles = [read_bundle((folder / tile_path(None, number, width)).read_bytes(), width) for number, width in bundles_of(size)]
        read = [read_entry(data) for data in itertools.chain.from_iterable(bundles)]
        self.entries = [[entry.recorded_us, entry.kind, entry.payload, *beside(folder, entry)] for entry in read]

    def places(self, kind):
        return [at for at, entry in enumerate(self.entries) if entry[1] is kind]

    def ticks(self, key=None):
        """The whole ledger as ticks, chained and signed by the log."""
        head, ticks = Head(), []
        for recorded_us, group in itertools.groupby(self.entries, key=lambda entry: entry[0]):
            tick = list(group)
            head, new, _hashes = append(head, recorded_us, [(kind, payload) for _at, kind, payload, *_beside in tick])
            given = [FeedEntry(data, told[3], told[4]) for data, told in zip(new, tick, strict=True)]
            note = Checkpoint(ORIGIN, head.size, head.root()).sign(key or small_key(0, KeyUse.LOG))
            ticks.append(FeedTick(note, tuple(given)))
        return ticks

    def feeds(self):
        return [write_feed([tick]) for tick in self.ticks()]


class Clock:
    def __init__(self):
        self.now_s = 1_900_000_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def ledger(exported_log):
    """A ledger of three cities that rode about, to be told."""
    return ToldLedger(exported_log)


@pytest.fixture
def clock():
    """A clock turned by hand."""
    return Clock()


@pytest.fixture
def mirror_at(clock):
    """Start alder's mirror on a folder, as after any death."""
    with ThreadPoolExecutor(max_workers=1) as pool, ExitStack() as open_files:

        def start(folder):
            folder.mkdir(exist_ok=True)
            keys = CityKeys.of(NAMES[1], POLICY, small_key(1, KeyUse.CLEARING), small_key(1, KeyUse.WITNESS))
            shelf, journal = Shelf(folder), Journal(folder / "cosigned")
            open_files.callback(shelf.close)
            open_files.callback(journal.close)
            return CityMirror(shelf, journal, keys, POLICY, issuers=None, pool=pool, clock=clock)

        yield start


@pytest.fixture
def policy():
    """The policy of the small scheme: the log, and three cities of which two are enough."""
    return POLICY


@pytest.fixture(autouse=True)
def closing():
    """Close what a test of the mirror's world opened."""
    yield
    while OPENED:
        OPENED.pop().close()

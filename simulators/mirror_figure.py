"""A city's mirror at work on a whole log: feeds in, cosignatures out, every window derived again, durable before it is signed."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from fare_chain.batch import read_header
from fare_chain.checkpoint import Checkpoint, read_checkpoint
from fare_chain.events import EntryKind, read_tariff_entry
from fare_chain.hashing import leaf_hash
from fare_chain.identifiers import SCHEME
from fare_chain.keys import KeyUse, SigningKey
from fare_chain.ledger import Entry, Head, read_entry
from fare_chain.ledger_walk import LogSource, beside_path
from fare_chain.log_reader import FolderLog
from fare_chain.mirror_feed import FeedEntry, FeedTick, write_feed
from fare_chain.note import KeyType, NoteVerifier
from fare_chain.policy import Group, Policy, PolicyKey
from fare_chain.tiles import bundles_of, read_bundle, tile_path
from settlement.mirror.city_mirror import CityKeys, CityMirror
from settlement.mirror.journal import Journal
from settlement.mirror.shelf import Shelf
from simulators.bench_house import ORIGIN, VERIFIER
from simulators.figures import Fact, Figure, Rate
from simulators.nine_cities import member_key

_NAME = "bench-city"


def mirror_figure(log: Path) -> Figure:
    """Give a new mirror the ticks of an exported log, one feed after another, as a house does; no rider codes are in it."""
    source = FolderLog(log)
    taps, notes = 0, 0
    with TemporaryDirectory(dir=log.parent) as folder, ThreadPoolExecutor(1) as pool:
        shelf, journal = Shelf(Path(folder)), Journal(Path(folder) / "cosigned")
        with closing(shelf), closing(journal):
            keys = [SigningKey(leaf_hash(bytes([number]))) for number in range(2)]
            policy = _policy(keys)
            mirror = CityMirror(shelf, journal, CityKeys.of(_NAME, policy, *keys), policy, issuers=frozenset(), pool=pool)
            passed = cpu_s = 0.0
            for tick in _ticks(source):
                feed = write_feed([tick])
                began, cpu_began = time.perf_counter(), time.process_time()
                notes += len(mirror.take(feed))
                passed += time.perf_counter() - began
                cpu_s += time.process_time() - cpu_began
            taps, size, stopped = mirror.mirrored.walk.counts.taps, mirror.mirrored.size, mirror.stopped
    assert size == read_checkpoint(source.read("checkpoint").decode(), [VERIFIER]).size, f"the mirror stopped at {size}: {stopped}"
    facts: dict[str, Fact] = {"taps": taps, "entries": size, "cosignatures": notes, "cpu_ns_a_tap": round(cpu_s / taps * 1e9)}
    return Figure("mirror", "taps", Rate(taps / passed), facts=facts)


def _policy(keys: list[SigningKey]) -> Policy:
    """The bench's log, and one city's two keys."""
    named = zip((_NAME, f"{_NAME}-witness"), keys, strict=True)
    witnesses = tuple(
        PolicyKey(name, NoteVerifier(f"bench.example/{name}", key.public, KeyType.COSIGNATURE)) for name, key in named
    )
    return Policy((PolicyKey(ORIGIN, VERIFIER),), witnesses, {"cities": Group(1, (_NAME,))}, "cities")


def _ticks(source: LogSource) -> Iterator[FeedTick]:
    """The log's ticks, each with the checkpoint that the house signed when it was new."""
    head = Head()
    key = member_key(int(SCHEME), KeyUse.LOG)
    for _recorded_us, group in itertools.groupby(_entries(source), key=lambda read: read[0].recorded_us):
        tick = list(group)
        leaves = [leaf_hash(data) for _entry, data in tick]
        head = Head(head.frontier.append(leaves), leaves[-1], tick[0][0].recorded_us)
        given = tuple(FeedEntry(data, _beside(source, entry)) for entry, data in tick)
        yield FeedTick(Checkpoint(ORIGIN, head.size, head.root()).sign(key), given)


def _entries(source: LogSource) -> Iterator[tuple[Entry, bytes]]:
    size = read_checkpoint(source.read("checkpoint").decode(), [VERIFIER]).size
    for number, width in bundles_of(size):
        for data in read_bundle(source.read(tile_path(None, number, width)), width):
            yield read_entry(data), data


def _beside(source: LogSource, entry: Entry) -> bytes:
    if entry.kind is EntryKind.BATCH:
        return source.read(beside_path("body", read_header(entry.payload).body_hash))
    if entry.kind is EntryKind.TARIFF:
        return source.read(beside_path("table", read_tariff_entry(entry.payload).table_hash))
    return b""

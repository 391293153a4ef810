"""A house that lies with a straight face: chain, tree and checkpoint all hold, and the audit still names the lie."""

import dataclasses
import itertools
import shutil

import pytest

from fare_chain.audit import AuditFailure, audit
from fare_chain.checkpoint import Checkpoint
from fare_chain.events import EntryKind, read_window_entry
from fare_chain.keys import KeyUse
from fare_chain.ledger import Head, append, read_entry
from fare_chain.log_reader import FolderLog
from fare_chain.tiles import bundles_of, grow_tiles, read_bundle, tile_path, tiles_of, write_bundle
from settlement.core.replay import Rederiving
from simulators.small_house import LOG_VERIFIER, ORIGIN, small_key

SECOND_US = 1_000_000


def entries_of(folder):
    """(recorded_us, kind, payload) of every entry."""
    size = int((folder / "checkpoint").read_text().split("\n")[1])
    for number, width in bundles_of(size):
        for data in read_bundle((folder / tile_path(None, number, width)).read_bytes(), width):
            entry = read_entry(data)
            yield entry.recorded_us, entry.kind, entry.payload


def relog(folder, target, lie):
    """Write the log again as the house would have with this lie in it: chained, in tiles, and signed."""
    shutil.copytree(folder, target)
    shutil.rmtree(target / "tile")
    head, entries, leaves = Head(), [], []
    told = list(entries_of(folder))
    lie(told)
    for recorded_us, tick in itertools.groupby(told, key=lambda entry: entry[0]):
        head, new, hashes = append(head, recorded_us, [(kind, payload) for _at, kind, payload in tick])
        entries += new
        leaves += hashes
    held = grow_tiles(0, leaves, {})
    files = {tile_path(level, number, width): held[level, number] for level, number, width in tiles_of(head.size)}
    for number, width in bundles_of(head.size):
        files[tile_path(None, number, width)] = write_bundle(entries[number * 256 : number * 256 + width])
    for path, data in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(data)
    (target / "checkpoint").write_text(Checkpoint(ORIGIN, head.size, head.root()).sign(small_key(0, KeyUse.LOG)))
    return target


def verify(folder):
    return audit(FolderLog(folder), [LOG_VERIFIER], followers=[Rederiving()])


def places(told, kind):
    return [at for at, entry in enumerate(told) if entry[1] is kind]


def busy_window(told):
    """The place of the first window with journeys, and the window."""
    for at in places(told, EntryKind.WINDOW):
        window = read_window_entry(told[at][2])
        if window.journeys and window.gross_fen:
            return at, window
    raise AssertionError("no window with journeys")


def change_window(**changes):
    def lie(told):
        at, window = busy_window(told)
        changed = {name: change(getattr(window, name)) for name, change in changes.items()}
        told[at] = (told[at][0], EntryKind.WINDOW, dataclasses.replace(window, **changed).to_bytes())

    return lie


def move_a_fen(positions):
    (one, fen), (other, more), *rest = positions
    return ((one, fen + 1), (other, more - 1), *rest)


def forge_signature(told):
    at = places(told, EntryKind.BATCH)[0]
    recorded_us, kind, payload = told[at]
    told[at] = (recorded_us, kind, payload[:-1] + bytes([payload[-1] ^ 1]))


def drop_a_batch(told):
    del told[places(told, EntryKind.BATCH)[0]]


def repeat_a_batch(told):
    at = places(told, EntryKind.BATCH)[-1]
    told.insert(at, told[at])


def drop_a_window(told):
    del told[places(told, EntryKind.WINDOW)[2]]


def move_a_batch_to_a_later_second(told):
    at = places(told, EntryKind.BATCH)[-1]
    later = next(place for place in range(at, len(told)) if told[place][0] // SECOND_US > told[at][0] // SECOND_US)
    _recorded_us, kind, payload = told[at]
    told.insert(later, (told[later][0], kind, payload))
    del told[at]


def drop_a_key(told):
    del told[places(told, EntryKind.KEY)[1]]


LIES = {
    "a-fen-moved": (change_window(positions=move_a_fen), "says positions"),
    "state-root-made-up": (change_window(state_root=lambda _root: bytes(32)), "says state_root"),
    "rules-hash-made-up": (change_window(rules_hash=lambda _hash: bytes(32)), "says rules_hash"),
    "gross-made-up": (change_window(gross_fen=lambda fen: fen + 100), "says gross_fen"),
    "taps-made-up": (change_window(taps=lambda taps: taps + 1), "its entries hold"),
    "window-cut-short": (change_window(to_index=lambda index: index - 1), "is in no window: it was left out"),
    "window-too-long": (change_window(to_index=lambda index: index + 1), "outside the window"),
    "window-dropped": (drop_a_window, "does not follow the one of second"),
    "window-of-seconds-to-come": (change_window(seconds=lambda _one: 50), "recorded before that second was over"),
    "batch-signature-forged": (forge_signature, "signature of city"),
    "batch-dropped": (drop_a_batch, "does not follow its batch"),
    "batch-repeated": (repeat_a_batch, "does not follow its batch"),
    "batch-moved-to-a-later-second": (move_a_batch_to_a_later_second, "outside the window of second"),
    "key-dropped": (drop_a_key, "has no BATCH key|has no ISSUER key|no issuer key"),
}


def test_the_log_written_again_without_a_lie_holds(exported_log, tmp_path):
    assert verify(relog(exported_log, tmp_path / "log", lambda _told: None)).windows > 3


@pytest.mark.parametrize("name", LIES)
def test_each_lie_is_named(exported_log, tmp_path, name):
    lie, named = LIES[name]
    folder = relog(exported_log, tmp_path / "log", lie)
    with pytest.raises(AuditFailure, match=named):
        verify(folder)

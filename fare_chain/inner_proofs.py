"""Proofs of what stands inside an entry: one tap of a batch, one window or what it cleared, in a C2SP `.tlog-proof` of that entry.

The file proves the entry (index, path, checkpoint); `extra` carries what leads from there, little-endian:

    entry: its 56-byte frame names its length; where it is a BATCH: tap number u32, n u8, tap 80 B, n <= 12 hashes to taps_root
    where it is a WINDOW: nothing more, or the journey, line or statement of `window_proofs`

A verifier needs the file and the policy, or the log's key, and nothing else; the file shows no other tap and no other journey.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from fare_chain import tap, window_proofs
from fare_chain.batch import BatchHeader, read_header
from fare_chain.checkpoint import Checkpoint, read_text
from fare_chain.errors import Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind, WindowEntry, read_window_entry
from fare_chain.hashing import HASH_BYTES, leaf_hash
from fare_chain.ledger import FRAME_BYTES, Entry, read_entry
from fare_chain.ledger_walk import LogSource, beside_path
from fare_chain.merkle import leaf_hashes, root
from fare_chain.note import Note, read_note
from fare_chain.proofs import ProofFile, prove_inclusion, read_proof_file, verify_inclusion
from fare_chain.tap import TAP_BYTES, Tap
from fare_chain.tiles import TILE_WIDTH, node_reader, read_bundle, tile_path

LONGEST_LINE = 96
"""Bytes of the longest signature kept in a proof: Ed25519's of both types; an ML-DSA-44 line alone has 2,428."""
_TAP = struct.Struct("<IB")
_MOST_HASHES = 12


@dataclass(frozen=True, slots=True)
class Proved:
    """What a proof shows: an entry of a log under a checkpoint, and the tap in it, or the window that it is and what it cleared."""

    checkpoint: Checkpoint
    entry: Entry
    header: BatchHeader | None = None
    tap_number: int = 0
    tap: Tap | None = None
    window: WindowEntry | None = None
    cleared: window_proofs.Proved | None = None


def prove_tap(source: LogSource, index: int, number: int) -> str:
    """A proof of tap `number` of the batch that entry `index` holds; Unknown or Malformed where there is none."""
    data, proof = prove_entry(source, index)
    entry = read_entry(data)
    if entry.kind is not EntryKind.BATCH:
        raise Malformed(f"entry {index} is a {entry.kind.name}: a tap is proved in a BATCH entry")
    body = source.read(beside_path("body", read_header(entry.payload).body_hash))
    return checked(ProofFile(index, proof.path, proof.checkpoint, data + tap_inside(data, body, number)))


def tap_inside(data: bytes, body: bytes, number: int) -> bytes:
    """What proves a tap, after its BATCH entry; Unknown where the batch has none of that number."""
    header = read_header(read_entry(data).payload)
    if not 0 <= number < header.count:
        raise Unknown(f"the batch of entry {read_entry(data).index} has taps 0 to {header.count - 1}, not {number}")
    leaves = leaf_hashes(body, TAP_BYTES)
    path = prove_inclusion(index=number, size=len(leaves), read_node=_nodes_of(leaves))
    return _TAP.pack(number, len(path)) + body[number * TAP_BYTES : (number + 1) * TAP_BYTES] + b"".join(path)


def prove_window(source: LogSource, second: int) -> str:
    """A proof of the WINDOW entry that covers a second; Unknown where the log has none."""
    return prove_inside(source, find_window(source, second)[0], b"")


def prove_position(source: LogSource, member: int, from_second: int | None, to_second: int | None) -> str:
    """A proof of a member's position before `from_second` (None: the log began) and before `to_second` (None: the log ends).

    It needs entries alone, which everybody may read. Unknown where a window or the member is not there.
    """
    check_span(from_second, to_second)
    index, window = find_window(source, None if to_second is None else to_second - 1)
    if member not in dict(window.positions):
        raise Unknown(f"window {window.second} has no position of member {member}: name a city that is in it")
    opening = None
    if from_second is not None:
        begin, before = find_window(source, from_second - 1)
        if begin >= index:
            raise Unknown(no_span(before, from_second, to_second))
        data, proof = prove_entry(source, begin)
        opening = window_proofs.Opening(begin, proof.path, data)
    return prove_inside(source, index, window_proofs.write_position(member, opening))


def check_span(from_second: int | None, to_second: int | None) -> None:
    """Malformed where a statement would end before it begins."""
    if from_second is not None and to_second is not None and from_second > to_second:
        raise Malformed(f"the statement would begin at second {from_second} and end at {to_second}: exchange them")


def no_span(window: WindowEntry, from_second: int, to_second: int | None) -> str:
    """Why a statement over these seconds has nothing to say."""
    ends = "the log's end" if to_second is None else f"second {to_second}"
    return (
        f"second {from_second} and {ends} are no span of windows: the last before both is {window.second}; "
        "give moments with a window between them"
    )


def find_window(source: LogSource, second: int | None) -> tuple[int, WindowEntry]:
    """The WINDOW entry that covers a second (None: the last), with its index; Unknown where the checkpoint covers none."""
    size = read_text(read_note(source.read("checkpoint").decode()).text).size
    for number in reversed(range(-(-size // TILE_WIDTH))):
        width = min(TILE_WIDTH, size - number * TILE_WIDTH)
        for data in reversed(read_bundle(source.read(tile_path(None, number, width)), width)):
            entry = read_entry(data)
            if entry.kind is EntryKind.WINDOW:
                window = read_window_entry(entry.payload)
                if second is None or window.second <= second < window.second + window.seconds:
                    return entry.index, window
    raise Unknown(no_window(second))


def no_window(second: int | None) -> str:
    """Why there is no window to prove."""
    if second is None:
        return "this log has no window yet: ask again in a moment"
    return f"no window of this log covers second {second}: it is open, not final yet, or before the log's first"


def verify(text: str, open_checkpoint: Callable[[str], Checkpoint]) -> Proved:
    """Check a proof file against a checkpoint that the caller's keys open; Malformed or Untrusted names what does not hold."""
    file = read_proof_file(text)
    checkpoint = open_checkpoint(file.checkpoint)
    entry, rest = _cut_entry(file.extra)
    data = file.extra[: len(file.extra) - len(rest)]
    _hold_entry(checkpoint, file.index, file.path, data)
    if entry.kind is EntryKind.BATCH and rest:
        header, number, shown = _verify_tap(entry, rest)
        return Proved(checkpoint, entry, header, number, shown)
    if entry.kind is EntryKind.WINDOW:
        cleared = window_proofs.verify(entry, rest, lambda *given: _hold_entry(checkpoint, *given)) if rest else None
        return Proved(checkpoint, entry, window=read_window_entry(entry.payload), cleared=cleared)
    if rest:
        raise Malformed(f"{len(rest)} bytes follow the entry in `extra`: a {entry.kind.name} entry has no inner proof")
    return Proved(checkpoint, entry)


def prove_inside(source: LogSource, index: int, rest: bytes) -> str:
    """A proof of an entry, with what leads further inside."""
    data, proof = prove_entry(source, index)
    return checked(ProofFile(index, proof.path, proof.checkpoint, data + rest))


def checked(proof: ProofFile) -> str:
    """The file, once it has verified as its reader will verify it, but for the signatures; Untrusted where it does not hold.

    A log whose entries are not those under its checkpoint gives a proof that holds nowhere: better said here than there.
    """
    text = proof.to_text()
    verify(text, lambda note: read_text(read_note(note).text))
    return text


def shortened(note: str) -> str:
    """A checkpoint without its long signature lines, as a proof carries it."""
    read = read_note(note)
    return Note(read.text, tuple(line for line in read.lines if len(line.signature) <= LONGEST_LINE)).to_text()


def prove_entry(source: LogSource, index: int) -> tuple[bytes, ProofFile]:
    """An entry with its path under the log's checkpoint, whose long signature lines are left out; Unknown where it has none."""
    note = source.read("checkpoint").decode()
    size = read_text(read_note(note).text).size
    if not 0 <= index < size:
        raise Unknown(f"the log has entries 0 to {size - 1} under its checkpoint, not {index}")
    number, at = divmod(index, TILE_WIDTH)
    width = min(TILE_WIDTH, size - number * TILE_WIDTH)
    data = read_bundle(source.read(tile_path(None, number, width)), width)[at]

    def read_tile(level: int, place: int, width: int) -> bytes:
        return source.read(tile_path(level, place, width))

    path = prove_inclusion(index=index, size=size, read_node=node_reader(size, read_tile))
    return data, ProofFile(index, tuple(path), shortened(note))


def _hold_entry(checkpoint: Checkpoint, index: int, path: tuple[bytes, ...], data: bytes) -> None:
    """Untrusted unless this entry stands at its index under the checkpoint."""
    verify_inclusion(leaf_hash(data), path, index=index, size=checkpoint.size, root=checkpoint.root)
    if read_entry(data).index != index:
        raise Untrusted(f"the entry says index {read_entry(data).index}, but it is proved at {index}")


def _nodes_of(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    return lambda level, place: root(leaves[place << level : (place + 1) << level])


def _cut_entry(extra: bytes) -> tuple[Entry, bytes]:
    """The entry at the head of `extra`, and what follows it."""
    if len(extra) < FRAME_BYTES:
        raise Malformed(f"`extra` begins with an entry of at least {FRAME_BYTES} bytes, found {len(extra)}")
    end = FRAME_BYTES + int.from_bytes(extra[4:8], "little")
    return read_entry(extra[:end]), extra[end:]


def _verify_tap(entry: Entry, rest: bytes) -> tuple[BatchHeader, int, Tap]:
    if len(rest) < _TAP.size + TAP_BYTES:
        raise Malformed(f"a tap's inner proof has at least {_TAP.size + TAP_BYTES} bytes, found {len(rest)}")
    number, hashes = _TAP.unpack_from(rest)
    record, run = rest[_TAP.size : _TAP.size + TAP_BYTES], rest[_TAP.size + TAP_BYTES :]
    if hashes > _MOST_HASHES or len(run) != hashes * HASH_BYTES:
        raise Malformed(
            f"a tap's path of {hashes} hashes has {hashes * HASH_BYTES} bytes, at most {_MOST_HASHES}; found {len(run)}"
        )
    header = read_header(entry.payload)
    path = [run[at : at + HASH_BYTES] for at in range(0, len(run), HASH_BYTES)]
    verify_inclusion(leaf_hash(record), path, index=number, size=header.count, root=header.taps_root)
    tap.check_run(record)
    return header, number, tap.read(record)

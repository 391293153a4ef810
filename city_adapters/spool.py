"""A city's batches on disk, from the moment a gate opens until the house has proved that it has them, and a little longer.

    <seq>.journal   the open batch (see `journal`); the highest seq, and any that could not be sealed yet
    <seq>.batch     sealed, not acknowledged: the bytes that are sent
    <seq>.sent      acknowledged; kept while its codes could be shown again, and until `tail` and `inside` cover it
    tail            JSON: the chain's end and each gate's last gate_seq, once the batches before it are gone
    inside          the entry taps, 80 bytes each, of those who were inside at that end (or a little later)
    <seq>.torn      a journal whose end could not be read, for people to look at; never read again
    receipts/       the house's receipts, until somebody has held the log to them (see `kept_receipts`)
    lock            held while an adapter runs: two of them would fork the city's chain

`append`, `turn` and `acknowledge` are quick and belong to the thread that answers gates; `seal`, `sync` and `let_go` wait for the
disk and may run in one other thread, one at a time. docs/formats/batch.md has the formats.
"""

import fcntl
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from city_adapters import journal as journals
from city_adapters.journal import CLOSED, Journal, NotKept
from city_adapters.kept_receipts import KeptReceipts
from city_adapters.open_taps import last_gate_seqs, open_entries
from city_adapters.spool_files import Spooled, Tail, name_of, read_spooled, read_tail, sync_folder, write_durably, write_tail
from fare_chain.batch import CityTail, SealedBatch, seal
from fare_chain.errors import Conflict, Untrusted
from fare_chain.keys import SigningKey
from fare_chain.tap import Tap

MOST_BYTES = 64 << 30
"""What a spool may hold: at 280 bytes a tap, ten days of the busiest city."""
MOST_UNSEALED = 64
"""How many journals may wait for a disk that seals none before gates stay shut."""


@dataclass(frozen=True, slots=True)
class CityKey:
    """The city's number, and the key with which it signs batches."""

    city: int
    key: SigningKey
    key_id: bytes


class Spool:
    """One city's spool. Made by `open_spool`, which first finishes what an earlier process left."""

    def __init__(self, folder: Path, city_key: CityKey, tail: Tail, lock: int, *, most_bytes: int) -> None:
        """Stand at the end of the chain; `open_spool` fills in the rest."""
        self.folder = folder
        self.city_key = city_key
        self.chain = tail.chain
        self.gates = dict(tail.gates)
        self.waiting: deque[Spooled] = deque()
        """Sealed and not acknowledged, in order."""
        self.sent: deque[Spooled] = deque()
        """Acknowledged and still here, in order."""
        self.turned: deque[Journal] = deque()
        """Full or due, to be sealed, in order."""
        self.receipts = KeptReceipts(folder)
        self.batch_bytes = 0
        self.most_bytes = most_bytes
        self._tail = tail
        self._lock = lock
        self._open: Journal | None = None

    @property
    def open(self) -> Journal:
        """The journal that takes the next tap; NotKept where the disk has no room for one."""
        if self._open is None:
            after = self.turned[-1].seq + 1 if self.turned else self.chain.next_seq
            self._open = journals.create(self.folder / name_of(after, "journal"), after)
        return self._open

    @property
    def unsealed(self) -> list[Journal]:
        """The journals that hold taps and are not sealed, oldest first."""
        sealed = self.chain.next_seq
        return [journal for journal in (*self.turned, self._open) if journal and journal.taps and journal.seq >= sealed]

    def append(self, tap: Tap, code: bytes) -> None:
        """Keep one tap; when this returns, its gate may open. NotKept: it was not kept, the gate must stay shut."""
        if self.batch_bytes + self.open.file_bytes >= self.most_bytes or len(self.turned) >= MOST_UNSEALED:
            raise NotKept(f"the spool {self.folder} is full: see why the house takes no batches, or give it a larger disk")
        if self.open.is_full or self.open.broken:
            self.turn()
        self.open.append(tap.to_bytes(), code, tap.tapped_at_us)
        self.gates[tap.gate] = tap.gate_seq

    def turn(self) -> None:
        """End the open batch: it waits to be sealed, and the next tap begins another."""
        ended, self._open = self._open, None
        if ended is None:
            return
        if ended.taps:
            self.turned.append(ended)
        else:
            ended.close()
            ended.path.unlink()

    def seal(self, journal: Journal) -> None:
        """Sign a turned journal as the city's next batch and bring it to the disk; `waiting` has it when this returns.

        An OSError leaves the journal as it was, to be sealed again; a journal that is sealed already is left alone.
        """
        if journal.seq < self.chain.next_seq:
            return
        if journal.seq > self.chain.next_seq:
            raise Conflict(f"journal {journal.seq} cannot be sealed as batch {self.chain.next_seq}: seal them in order")
        # Dead before this: the journal is there, and is sealed at the next start.
        self._write_batch(journal.seq, journal.taps, journal.codes)
        # Dead here, or the removal fails, or a power cut undoes it: batch and journal are there with the same taps; the batch
        # counts, and the journal is removed at the next start.
        with suppress(OSError):
            journal.close()
            journal.path.unlink()

    def put(self, taps: bytes) -> SealedBatch:
        """Seal taps that no gate of this adapter took, and that have no codes, as the city's next batch; `waiting` has it then.

        Conflict while taps of this adapter's gates wait to be sealed: their place in the chain is taken.
        """
        if self.unsealed:
            raise Conflict(f"the spool {self.folder} holds taps that are not sealed yet: let its adapter seal and stop first")
        sealed = self._write_batch(self.chain.next_seq, [taps], [])
        self._count_gates(taps)
        return sealed

    def sync(self) -> None:
        """Bring the taps of all journals to the disk itself, for the hours in which none is sealed."""
        for journal in self.unsealed:
            journal.sync()

    def acknowledge(self, seq: int) -> None:
        """Take note that the house has the oldest waiting batch, proved."""
        oldest = self.waiting[0] if self.waiting else None
        if oldest is None or oldest.seq != seq:
            raise Conflict(f"batch {seq} is not the oldest that waits here: acknowledge batches in order")
        # Dead before this rename, or a power cut that takes it back: the batch is sent again and gets the same receipt.
        done = oldest.moved_to(self.folder / name_of(seq, "sent"))
        oldest.path.rename(done.path)
        self.waiting.popleft()
        self.sent.append(done)

    def let_go(self, before_us: int, inside_since_us: int) -> int:
        """Remove the acknowledged batches whose last tap is older than `before_us`; how many went.

        `inside_since_us`: entries before it are over. First what they told is written elsewhere.
        """
        going = []
        for spooled in list(self.sent):
            if spooled.header.last_us >= before_us:
                break
            going.append(spooled)
        if not going:
            return 0
        run = self._read_inside() + b"".join(read_spooled(spooled.path).body for spooled in going)
        write_durably(self.folder / "inside", open_entries(run, since_us=inside_since_us))
        # Dead here: `inside` covers more than `tail`. The batches are still there and are told again; what a medium did last
        # stands, so hearing it twice changes nothing.
        self._tail = self._tail.after(going[-1].header, last_gate_seqs(run))
        write_tail(self.folder / "tail", self.city_key.city, self._tail)
        # Dead here or between two removals: batches before the tail are removed at the next start.
        for spooled in going:
            spooled.path.unlink()
            self.sent.popleft()
            self.batch_bytes -= spooled.file_bytes
        return len(going)

    def told_so_far(self) -> bytes:
        """The run of taps that a fresh gate state must be told after a restart, oldest first."""
        batches = [read_spooled(spooled.path).body for spooled in (*self.sent, *self.waiting)]
        return self._read_inside() + b"".join(batches)

    def close(self) -> None:
        """Let the folder go, if that was not done before. A journal that holds taps stays, and is sealed at the next start."""
        for journal in (*self.turned, self._open):
            if journal is not None:
                journal.close()
        self.receipts.close()
        lock, self._lock = self._lock, CLOSED
        if lock != CLOSED:
            os.close(lock)

    def _write_batch(self, seq: int, taps: Sequence[bytes], codes: Sequence[bytes]) -> SealedBatch:
        """Seal taps as the next batch and write it durably; the chain then ends with it."""
        key = self.city_key
        sealed = seal(b"".join(taps), codes, city=key.city, tail=self.chain, key=key.key, key_id=key.key_id)
        path = self.folder / name_of(seq, "batch")
        data = sealed.to_bytes()
        # Dead within: a file that is called .tmp and counts as nothing. Ed25519 gives the same signature for the same taps, so a
        # batch that is sealed twice is the same batch.
        write_durably(path, data)
        spooled = Spooled(path, sealed.header, sealed.signed_header, len(data))
        self.chain = self.chain.after(sealed.header)
        self.batch_bytes += len(data)
        self.waiting.append(spooled)
        return sealed

    def _read_inside(self) -> bytes:
        path = self.folder / "inside"
        return path.read_bytes() if path.exists() else b""

    def _recover(self) -> None:
        """Finish what an earlier process left: removals, batches, journals, in this order."""
        for path in self.folder.glob("*.tmp"):
            path.unlink()
        for path in sorted([*self.folder.glob("*.batch"), *self.folder.glob("*.sent")]):
            self._take_batch(path)
        for path in sorted(self.folder.glob("*.journal")):
            self._take_journal(path)

    def _take_batch(self, path: Path) -> None:
        """Take a batch file back: removed if the tail covers it, else the chain's next."""
        if int(path.stem) < self._tail.chain.next_seq:
            path.unlink()
            return
        batch = read_spooled(path)
        header = batch.header
        if header.city != self.city_key.city or CityTail(header.city_seq, header.prev_header) != self.chain:
            raise Untrusted(
                f"{path} is city {header.city}'s batch {header.city_seq} and does not follow batch {self.chain.next_seq - 1} of "
                f"city {self.city_key.city}: a file of the spool is missing or changed, bring it back from a copy"
            )
        spooled = Spooled(path, header, batch.signed_header, path.stat().st_size)
        if path.suffix == ".sent" and self.waiting:
            # A power cut took back the rename of an earlier one: send this again too, in order.
            spooled = spooled.moved_to(path.with_suffix(".batch"))
            path.rename(spooled.path)
        (self.sent if spooled.path.suffix == ".sent" else self.waiting).append(spooled)
        self.chain = self.chain.after(header)
        self.batch_bytes += spooled.file_bytes
        self._count_gates(batch.body)

    def _take_journal(self, path: Path) -> None:
        """Seal what an earlier process had open, or drop it where its batch is there or it holds nothing."""
        remains = journals.read(path)
        if int(path.stem) < self.chain.next_seq or not (remains.taps or remains.torn_bytes):
            path.unlink()
            return
        if remains.taps:
            # A power cut may have taken the journal before it, all of it: then this one's batch moves up, under its new name
            # first, so that dying here never seals the same taps twice.
            renamed = path.rename(path.with_name(name_of(self.chain.next_seq, "journal")))
            sync_folder(self.folder)
            self._write_batch(self.chain.next_seq, remains.taps, remains.codes)
            self._count_gates(b"".join(remains.taps))
            path = renamed
        if remains.torn_bytes:
            path.rename(path.with_suffix(".torn"))
        else:
            path.unlink()

    def _count_gates(self, body: bytes) -> None:
        for gate, gate_seq in last_gate_seqs(body).items():
            self.gates[gate] = max(gate_seq, self.gates.get(gate, 0))


def open_spool(folder: Path, city_key: CityKey, *, most_bytes: int = MOST_BYTES) -> Spool:
    """Open a city's spool, made if need be, and finish what an earlier process left there.

    Conflict where another adapter runs on it or it is another city's; Untrusted where its batches do not follow one another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"an adapter runs on {folder} already: stop it first, or give this one its own folder") from error
        spool = Spool(folder, city_key, read_tail(folder / "tail", city_key.city), lock, most_bytes=most_bytes)
        spool._recover()  # noqa: SLF001  the constructor's second half
    except BaseException:
        os.close(lock)
        raise
    return spool

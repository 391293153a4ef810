"""Walk a ledger entry by entry and hold each to all that went before: chain, keys, cities' chains, windows, terms, evidence.

The walk streams: it remembers the key ring, the end of each city's chain and the stretch that no window covers yet, and can be
written down between two ticks and gone on with. Auditors and mirrors walk the same way; where bodies and codes come from is theirs.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from fare_chain import batch
from fare_chain.batch import HEADER_BYTES, BatchHeader, CityTail
from fare_chain.errors import FareChainError, Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind, WindowEntry, read_key_entry, read_tariff_entry, read_window_entry
from fare_chain.evidence import read_evidence
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import (
    EvidenceEntry,
    EvidenceKind,
    check_term,
    read_erasure_entry,
    read_evidence_entry,
    read_look_entry,
    read_retention_entry,
    read_term_entry,
)
from fare_chain.hashing import sha256
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.kept_codes import KeptCodes
from fare_chain.keys import KeyRing, KeyUse, PublicKey
from fare_chain.ledger import Entry, Head, follow, read_entry
from fare_chain.merkle import Frontier
from fare_chain.policy import Policy
from fare_chain.rider_checks import BadRider

T = TypeVar("T")


class LogSource(Protocol):
    """A log to read: an exported folder, a house that serves one, what a mirror was just given."""

    def read(self, path: str) -> bytes:
        """The resource at that address; Unknown where there is none."""


class AuditFailure(FareChainError):
    """The first thing that is wrong: where it stands, and why it cannot be right."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """An entry that held, with what travels beside it: a batch's taps, a tariff's table, a piece of evidence."""

    entry: Entry
    body: bytes = b""
    table: bytes = b""
    window: WindowEntry | None = None
    evidence: bytes = b""


@dataclass(slots=True)
class Counts:
    """What the walk has seen so far."""

    taps: int = 0
    batches: int = 0
    windows: int = 0
    rider_codes: int = 0
    rider_codes_dropped: int = 0
    rider_codes_withheld: int = 0
    terms: int = 0
    evidence: int = 0
    erasures: int = 0
    rider_codes_erased: int = 0
    looks: int = 0


RiderCheck = Callable[[int, bytes, bytes, KeyRing], Iterable[BadRider]]
"""Check the riders of a batch: (entry index, taps, codes, ring) to those that did not sign."""


def beside_path(kind: str, digest: bytes) -> str:
    """The address of what travels beside the log: `body`, `codes` (by the body's hash), `table` or `evidence`, then the hex."""
    return f"{kind}/{digest.hex()}"


def step(where: str, check: Callable[[], T]) -> T:
    """Do one check; AuditFailure names the place where it fails, unless a check inside named a better one."""
    try:
        return check()
    except AuditFailure:
        raise
    except (FareChainError, UnicodeDecodeError) as error:
        raise AuditFailure(where, str(error)) from error


class LedgerWalk:
    """A ledger as far as it is verified."""

    def __init__(
        self,
        source: LogSource,
        *,
        with_bodies: bool = True,
        rider_check: RiderCheck | None = None,
        quorum: int | None = None,
        has_root: Callable[[int], bool] = lambda _index: True,
        every_code: bool = False,
    ) -> None:
        """Begin before the first entry. `source` has what travels beside the entries; without bodies, headers alone are checked.

        `quorum` is how many cities must sign a term, three quarters of those with clearing keys where it is not given; `has_root`
        says of which entry's batch the taps root is computed again (a mirror may draw a sample; the body hash is always checked).
        With `every_code` none is taken as withheld from this reader: one that is missing must be let go by the ledger.
        """
        self.source = source
        self.with_bodies = with_bodies
        self.rider_check = rider_check
        self.quorum = quorum
        self.has_root = has_root
        self.head = Head()
        self.counts = Counts()
        self.ring = KeyRing()
        self.tails: dict[int, CityTail] = {}
        self.unwindowed: deque[tuple[int, int, int]] = deque()
        """(index, second, taps) of entries that no window covers yet."""
        self.window: WindowEntry | None = None
        self.term = 0
        self.log_public = b""
        """The key that the last TERM entry gave the right to sequence; empty before the first."""
        self.kept = KeptCodes(sees_all=every_code)
        self.accused: dict[tuple[int, int], tuple[str, str]] = {}
        """(entry index, tap) of riders who did not sign: why, and the header's hash, until an objection that holds answers it."""

    def take(self, data: bytes, check_leaf: Callable[[bytes], None] = lambda _leaf: None) -> VerifiedEntry:
        """Take the next entry; AuditFailure where it does not follow. `check_leaf` is asked before its content is looked at."""
        where = f"entry {self.head.size}"
        head, entry = step(where, lambda: follow(self.head, data))
        check_leaf(head.last_leaf)
        verified = step(where, lambda: self._content(entry))
        self.head = head
        return verified

    def finish(self) -> None:
        """Check what only the whole log can show: that who did not sign was objected to, and that no code is gone too early."""
        for (index, number), (why, _header) in self.accused.items():
            raise AuditFailure(f"entry {index} tap {number}", f"{why}; and no objection to it stands on the ledger")
        broken = self.kept.broken()
        if broken is not None:
            raise AuditFailure(f"codes of entry {broken[0]}", broken[1])

    def log_keys(self) -> set[bytes]:
        """The public keys that may have signed the checkpoint over the ledger as walked: one, or none.

        It is the last term's; before any term the log key that was registered first: a standby's stands there early, and the right
        to sequence is the cities' to give.
        """
        registered = [key.public for key in self.ring if key.use is KeyUse.LOG]
        return set(registered) & {self.log_public} if self.log_public else set(registered[:1])

    def to_bytes(self) -> bytes:
        """Write the walk down, between two ticks: the same walk gives the same bytes."""
        told: dict[str, Any] = {
            "size": self.head.size,
            "nodes": [node.hex() for node in self.head.frontier.nodes],
            "last_leaf": self.head.last_leaf.hex(),
            "recorded_us": self.head.recorded_us,
            "counts": asdict(self.counts),
            "keys": [[key.owner, int(key.use), key.public.hex(), key.not_before_us, key.not_after_us] for key in self.ring],
            "tails": [[city, tail.next_seq, tail.header_hash.hex()] for city, tail in sorted(self.tails.items())],
            "unwindowed": list(self.unwindowed),
            "window": None if self.window is None else self.window.to_bytes().hex(),
            "term": self.term,
            "log_public": self.log_public.hex(),
            "accused": [[index, number, *why] for (index, number), why in sorted(self.accused.items())],
            "kept": self.kept.to_json(),
        }
        return json.dumps(told, separators=(",", ":"), sort_keys=True).encode()

    def resume(self, data: bytes) -> None:
        """Go on where a walk was written down; Malformed where these bytes are not a walk's."""
        try:
            told = json.loads(data)
            nodes = tuple(map(bytes.fromhex, told["nodes"]))
            self.head = Head(Frontier(told["size"], nodes), bytes.fromhex(told["last_leaf"]), told["recorded_us"])
            self.counts = Counts(**told["counts"])
            self.ring = KeyRing(
                PublicKey(MemberNumber(owner), KeyUse(use), bytes.fromhex(public), Micros(begins), Micros(ends))
                for owner, use, public, begins, ends in told["keys"]
            )
            self.tails = {city: CityTail(seq, bytes.fromhex(header)) for city, seq, header in told["tails"]}
            self.unwindowed = deque((index, second, taps) for index, second, taps in told["unwindowed"])
            self.window = None if told["window"] is None else read_window_entry(bytes.fromhex(told["window"]))
            self.term, self.log_public = told["term"], bytes.fromhex(told["log_public"])
            self.accused = {(index, number): (why, header) for index, number, why, header in told["accused"]}
            self.kept.resume(told["kept"])
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"this is no walk that was written down: {error!r}; verify from the first entry") from error

    def _content(self, entry: Entry) -> VerifiedEntry:
        taps = 0
        self.kept.see(entry)
        verified = VerifiedEntry(entry)
        if entry.kind is EntryKind.BATCH:
            header, body = self._batch(entry)
            taps = header.count
            verified = VerifiedEntry(entry, body=body)
        elif entry.kind is EntryKind.KEY:
            self.ring = self.ring.including(read_key_entry(entry.payload).key)
        elif entry.kind is EntryKind.TARIFF:
            verified = VerifiedEntry(entry, table=self._table(entry))
        elif entry.kind is EntryKind.WINDOW:
            verified = VerifiedEntry(entry, window=self._window(entry))
        elif entry.kind is EntryKind.TERM:
            self._term(entry)
        elif entry.kind is EntryKind.EVIDENCE:
            verified = VerifiedEntry(entry, evidence=self._evidence(entry))
        else:
            self._note(entry)
        self.unwindowed.append((entry.index, entry.second, taps))
        return verified

    def _note(self, entry: Entry) -> None:
        """Entries that change nothing here but must be whole: erasures, retention, looks."""
        if entry.kind is EntryKind.ERASURE:
            erased = read_erasure_entry(entry.payload)
            if erased.index >= entry.index:
                raise Untrusted("it erases taps of a batch that is not on the ledger yet")
            self.kept.erase(erased)
            self.counts.erasures += 1
            self.counts.rider_codes_erased = self.kept.erased_taps
        elif entry.kind is EntryKind.RETENTION:
            self.kept.let_go(entry, read_retention_entry(entry.payload))
        elif entry.kind is EntryKind.LOOK:
            read_look_entry(entry.payload)
            self.counts.looks += 1

    def _batch(self, entry: Entry) -> tuple[BatchHeader, bytes]:
        if len(entry.payload) != batch.SIGNED_HEADER_BYTES:
            raise Malformed(f"a batch entry's payload has {batch.SIGNED_HEADER_BYTES} bytes, found {len(entry.payload)}")
        header = batch.read_header(entry.payload)
        batch.check_signature(header, entry.payload[HEADER_BYTES:], self.ring)
        tail = self.tails.get(header.city, CityTail())
        if (header.city_seq, header.prev_header) != (tail.next_seq, tail.header_hash):
            raise Untrusted(f"city {header.city}'s batch {header.city_seq} does not follow its batch {tail.next_seq - 1}")
        self.tails[header.city] = tail.after(header)
        body = b""
        if self.with_bodies:
            path = beside_path("body", header.body_hash)
            body = step(path, lambda: self.source.read(path))
            step(path, lambda: batch.check_body(header, body, with_root=self.has_root(entry.index)))
            self._codes(entry.index, header, body)
        self.counts.batches += 1
        self.counts.taps += header.count
        return header, body

    def _codes(self, index: int, header: BatchHeader, body: bytes) -> None:
        path = beside_path("codes", header.body_hash)
        try:
            codes = self.source.read(path)
        except Unknown:
            self.counts.rider_codes_dropped += header.count  # no hash breaks; whether they may be gone, the end of the log says
            self.kept.find(index, (), file=False)
            return
        if not codes:
            raise AuditFailure(path, "is empty: dropped evidence has no file at all")
        kept = step(path, lambda: batch.check_codes(body, codes, withheld=True))
        if kept < header.count:
            self.kept.find(index, [tap for tap, code in enumerate(batch.read_codes(codes)) if not code])
        if self.rider_check is not None:
            for bad in self.rider_check(index, body, codes, self.ring):
                self.accused[index, bad.tap] = f"{path} code {bad.tap}: {bad.why}", header.hash().hex()
        self.counts.rider_codes += kept
        self.counts.rider_codes_withheld += header.count - kept

    def _table(self, entry: Entry) -> bytes:
        tariff = read_tariff_entry(entry.payload)
        path = beside_path("table", tariff.table_hash)
        table = step(path, lambda: self.source.read(path))
        if len(table) != tariff.table_bytes or sha256(table) != tariff.table_hash:
            raise AuditFailure(path, "is not the table whose hash the ledger names: it was changed or cut")
        return table

    def _term(self, entry: Entry) -> None:
        told = read_term_entry(entry.payload)
        if (told.term.size, told.term.root) != (self.head.size, self.head.root()):
            raise Untrusted(f"term {told.term.number} continues from size {told.term.size}, but it stands at {self.head.size}")
        if told.term.number <= self.term:
            raise Untrusted(f"term {told.term.number} does not follow term {self.term}")
        clearing = [(int(key.owner), key.public) for key in self.ring if key.use is KeyUse.CLEARING]
        members = len({member for member, _public in clearing})
        check_term(told, clearing, members - members // 4 if self.quorum is None else self.quorum)
        self.term, self.log_public = told.term.number, told.term.log_public
        self.counts.terms += 1

    def _evidence(self, entry: Entry) -> bytes:
        told = read_evidence_entry(entry.payload)
        if told.index >= entry.index:
            raise Untrusted("it is about an entry that is not on the ledger yet")
        self.counts.evidence += 1
        if not self.with_bodies:
            return b""
        path = beside_path("evidence", told.file_hash)
        file = step(path, lambda: self.source.read(path))
        if len(file) != told.file_bytes or sha256(file) != told.file_hash:
            raise AuditFailure(path, "is not the evidence whose hash the ledger names: it was changed or cut")
        if told.kind is EvidenceKind.BAD_RIDER_SIGNATURE:
            step(path, lambda: self._answer(told, file.decode()))
        return file

    def _answer(self, told: EvidenceEntry, text: str) -> None:
        """An objection answers an accusation only where its file convicts, and is about that very batch and tap."""
        read = read_evidence(text)
        found = check_evidence(read, Policy(()), self.ring)
        if (found.kind, found.member, found.index, found.tap) != (told.kind, told.accused, told.index, told.tap):
            raise Untrusted(f"the file is about tap {found.tap} of entry {found.index}, its entry says {told.tap} of {told.index}")
        header = batch.read_header(read_entry(read.own()[0]).payload).hash().hex()
        _why, accused = self.accused.pop((told.index, told.tap), ("", header))
        if accused != header:
            raise Untrusted(f"the file frames another batch than that of entry {told.index}")

    def _window(self, entry: Entry) -> WindowEntry:
        window = read_window_entry(entry.payload)
        end = window.second + window.seconds
        if entry.second < end:
            raise Untrusted(f"the window of second {window.second} is recorded before that second was over")
        if self.window is not None and (window.second, window.from_index) != (
            self.window.second + self.window.seconds,
            self.window.to_index,
        ):
            raise Untrusted(f"the window of second {window.second} does not follow the one of second {self.window.second}")
        if self.window is None and window.from_index:
            raise Untrusted(f"the first window starts at entry {window.from_index}, expected 0")
        taps = sum(self._covered(window, end))
        if taps != window.taps:
            raise Untrusted(f"the window of second {window.second} says {window.taps} taps, its entries hold {taps}")
        self.window = window
        self.counts.windows += 1
        return window

    def _covered(self, window: WindowEntry, end: int) -> Iterator[int]:
        """The taps of each entry in the window's range, which must be all entries of its seconds and no other."""
        while self.unwindowed and self.unwindowed[0][0] < window.to_index:
            index, second, taps = self.unwindowed.popleft()
            if not window.second <= second < end:
                raise Untrusted(f"entry {index} was recorded in second {second}, outside the window of second {window.second}")
            yield taps
        if self.unwindowed and self.unwindowed[0][1] < end:
            raise Untrusted(f"entry {self.unwindowed[0][0]} of second {self.unwindowed[0][1]} is in no window: it was left out")

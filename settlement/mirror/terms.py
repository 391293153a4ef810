"""What a city has agreed to as the next term: signed once per number, at the tree that it has cosigned, and kept before the answer.

A record of the file `terms` has 120 bytes: the term (112 B) and the first 8 bytes of SHA-256 over it. One process at a
time holds the file's lock: whoever approves a term, or the mirror while it writes its journal, so that neither passes the other.
"""

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fare_chain.errors import Conflict, Malformed
from fare_chain.governance import TERM_BYTES, Term, read_term
from fare_chain.hashing import sha256
from fare_chain.keys import SigningKey
from settlement.mirror.journal import KeyRole, read_journal

_RECORD_BYTES = TERM_BYTES + 8
_SIGNATURE = struct.Struct("<H64s")
"""What `approve_term` gives: member u16, signature over the term."""


@dataclass(frozen=True, slots=True)
class HeldTerms:
    """The file of terms while its lock is held."""

    descriptor: int
    approved: Sequence[Term]

    @property
    def latest(self) -> Term | None:
        """The term of the highest number that this city approved."""
        return max(self.approved, key=lambda term: term.number, default=None)


@contextmanager
def held_terms(folder: Path) -> Iterator[HeldTerms]:
    """Hold the folder's terms: nobody else approves one, or cosigns, until it is let go. A torn tail counts for nothing."""
    descriptor = os.open(folder / "terms", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        held = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        records = [held[at : at + _RECORD_BYTES] for at in range(0, len(held), _RECORD_BYTES)]
        yield HeldTerms(descriptor, [read_term(data[:TERM_BYTES]) for data in records if _is_whole(data)])
    finally:
        os.close(descriptor)


def approve_term(folder: Path, origin: str, term: Term, *, member: int, key: SigningKey) -> bytes:
    """Sign a term with the clearing key of `member`: 66 bytes for whoever joins the signatures.

    Conflict where the term is of another log, does not stand at the tree that this mirror cosigned last, or where another term of
    that number, or one of a higher number, has been approved. The same term may be approved again: the same bytes.
    Dead before the record is on the disk: nobody has the signature. Dead after: it is given again for this term, for no other.
    """
    if term.origin_hash != sha256(origin.encode()):
        raise Conflict(f"the term is of another log than {origin!r}: sign terms of your policy's log alone")
    with held_terms(folder) as held:
        if term not in held.approved:
            _check_follows(held, term, folder)
            data = term.to_bytes()
            whole = len(held.approved) * _RECORD_BYTES
            os.ftruncate(held.descriptor, whole)
            os.pwrite(held.descriptor, data + sha256(data)[:8], whole)
            os.fsync(held.descriptor)
        return _SIGNATURE.pack(member, term.sign(key))


def read_proposal(data: bytes) -> Term:
    """A proposed term as its 112 bytes or their hex digits; Malformed where it is neither."""
    if len(data) == TERM_BYTES:
        return read_term(data)
    try:
        return read_term(bytes.fromhex(data.decode("ascii")))
    except ValueError as error:
        raise Malformed(f"a proposed term is {TERM_BYTES} bytes, or their hex digits; found {len(data)} bytes") from error


def _check_follows(held: HeldTerms, term: Term, folder: Path) -> None:
    if held.latest is not None and term.number <= held.latest.number:
        raise Conflict(f"this city approved term {held.latest.number} already: a second one needs a higher number than that")
    cosigned = read_journal(folder / "cosigned")[0][KeyRole.CLEARING]
    if term.size != cosigned.size:
        raise Conflict(
            f"the term continues from size {term.size}, this mirror cosigned size {cosigned.size} last: "
            "propose it at that size, or let the mirror catch up"
        )
    if term.root != cosigned.root:
        raise Conflict(f"the term's tree of size {term.size} is not the one that this mirror cosigned: a second history")


def _is_whole(record: bytes) -> bool:
    return len(record) == _RECORD_BYTES and sha256(record[:TERM_BYTES])[:8] == record[TERM_BYTES:]

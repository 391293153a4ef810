"""Checkpoints (C2SP tlog-checkpoint): origin, size and root of a log as a signed note without extension lines."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from fare_chain.errors import Malformed
from fare_chain.hashing import HASH_BYTES
from fare_chain.keys import SigningKey
from fare_chain.note import Note, NoteVerifier, open_note, sign
from fare_chain.proofs import decode_base64, is_decimal


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself at one size."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """Write the three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"

    def sign(self, key: SigningKey) -> str:
        """The checkpoint as a note signed by the log's key, whose name is the origin."""
        return sign(self.to_text(), self.origin, key)


def read_checkpoint(note: str, verifiers: Sequence[NoteVerifier]) -> Checkpoint:
    """Read a checkpoint that one of these keys, the log's, signed; Malformed or Untrusted says what is wrong with it."""
    return read_text(open_note(note, verifiers))


def read_text(text: str) -> Checkpoint:
    """Read a checkpoint's three lines, whoever signed them; Malformed where they are not the one spelling."""
    lines = text.split("\n")
    if len(lines) != 4 or not lines[0]:
        raise Malformed(f"a checkpoint has three lines (origin, size, root) and no extension, found {len(lines) - 1}")
    origin, size, root, _end = lines
    if not is_decimal(size):
        raise Malformed(f"the checkpoint's size {size!r} is not a decimal without sign or leading zeros")
    digest = decode_base64(root, "checkpoint root")
    if len(digest) != HASH_BYTES:
        raise Malformed(f"the checkpoint's root has {len(digest)} bytes, expected {HASH_BYTES}")
    return Checkpoint(origin, int(size), digest)


def with_lines_of(note: Note, wanted: Sequence[NoteVerifier]) -> Note:
    """The same checkpoint with the lines of these keys alone, for readers that take only so many bytes or lines."""
    names = {(verifier.name, verifier.key_id) for verifier in wanted}
    return Note(note.text, tuple(line for line in note.lines if (line.name, line.key_id) in names))

"""Signed notes (C2SP signed-note 1.0): a text, an empty line, and one signature line for each key.

Only Ed25519 notes (type 01) are signed and verified here; lines of unknown keys are passed over, a known key's line that does
not verify refuses the whole note.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fare_chain.errors import Malformed, Untrusted
from fare_chain.keys import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, is_signed
from fare_chain.proofs import decode_base64

ED25519 = 0x01
_MARK = "\u2014 "
_MOST_LINES = 64


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """A key as a note names it: the pair (name, key id) and its 32 public bytes."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(mark.isspace() or ord(mark) < 0x20 for mark in self.name):
            raise Malformed(f"a note key's name {self.name!r} is empty or has a space, '+' or control character")
        if len(self.public) != PUBLIC_BYTES:
            raise Malformed(f"a note key has {len(self.public)} public bytes, expected {PUBLIC_BYTES}")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name LF type public)[:4]."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([ED25519]) + self.public).digest()[:4]

    def to_vkey(self) -> str:
        """Write the verifier key: name+hex(key id)+base64(type | public)."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([ED25519]) + self.public).decode('ascii')}"


def read_vkey(text: str) -> NoteVerifier:
    """Read a verifier key; Malformed where name, key id, type or length is not as written there."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Malformed(f"a verifier key is name+key id+base64, found {text[:80]!r}")
    name, key_id, encoded = parts
    key = decode_base64(encoded, "verifier key")
    if not key or key[0] != ED25519:
        raise Malformed(f"the verifier key of {name!r} is of type {key[:1].hex()}, expected 01 (Ed25519)")
    verifier = NoteVerifier(name, key[1:])
    if key_id != verifier.key_id.hex():
        raise Malformed(f"the verifier key of {name!r} says key id {key_id!r}, but its bytes give {verifier.key_id.hex()}")
    return verifier


def sign(text: str, name: str, key: SigningKey) -> str:
    """Make a note of one signature; Malformed unless the text ends in a line feed and has no other control character."""
    _check_text(text)
    verifier = NoteVerifier(name, key.public)
    blob = verifier.key_id + key.sign(text.encode())
    return f"{text}\n{_MARK}{name} {base64.b64encode(blob).decode('ascii')}\n"


def open_note(note: str, verifiers: Sequence[NoteVerifier]) -> str:
    """The text of a note that at least one of these keys signed; Malformed or Untrusted says why not."""
    gap = note.rfind("\n\n")
    if gap < 0 or not note.endswith("\n"):
        raise Malformed("a signed note is a text, an empty line, and signature lines that each end in a line feed")
    text, lines = note[: gap + 1], note[gap + 2 : -1].split("\n")
    _check_text(text)
    if len(lines) > _MOST_LINES:
        raise Malformed(f"a signed note has {len(lines)} signature lines, at most {_MOST_LINES} are read")
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    verified = 0
    for line in lines:
        name, blob = _read_line(line)
        verifier = known.get((name, blob[:4]))
        if verifier is None:
            continue
        if len(blob) != 4 + SIGNATURE_BYTES or not is_signed(verifier.public, text.encode(), blob[4:]):
            raise Untrusted(f"the note's signature by {name!r} does not verify: the text or the signature was changed")
        verified += 1
    if not verified:
        names = ", ".join(sorted(verifier.name for verifier in verifiers)) or "no key"
        raise Untrusted(f"no signature of the note is by a key given here ({names}): pass the log's own verifier key")
    return text


def _read_line(line: str) -> tuple[str, bytes]:
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space or not name or "+" in name:
        raise Malformed(f"{line[:60]!r} is not a signature line: expected an em dash, a key name and base64")
    blob = decode_base64(encoded, "signature line")
    if len(blob) < 5:
        raise Malformed(f"the signature line of {name!r} is too short to hold a key id and a signature")
    return name, blob


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(ord(mark) < 0x20 and mark != "\n" for mark in text):
        raise Malformed("a note's text ends in a line feed and has no other control character")

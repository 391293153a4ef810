"""Signed notes (C2SP signed-note 1.0): a text, an empty line, and one signature line for each key.

Lines of unknown keys are passed over, a known key's line that does not verify refuses the whole note. Types signed and verified
here: 01 Ed25519 over the text; 04 a cosignature by Ed25519 and 06 one by ML-DSA-44 (C2SP tlog-cosignature 1.0.1), each with the
moment at which it was made. Every other type has no verifier, so that its lines are unknown.
"""

import base64
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import HASH_BYTES
from fare_chain.keys import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, is_signed
from fare_chain.ml_dsa import ML_DSA_PUBLIC_BYTES, ML_DSA_SIGNATURE_BYTES, MlDsaKey, is_ml_dsa_signed
from fare_chain.proofs import decode_base64, is_decimal

_MARK = "\u2014 "
_MOST_LINES = 64
_TIME = struct.Struct(">Q")
_LATEST_S = 2**63
_KEY_ID_BYTES = 4


class KeyType(IntEnum):
    """What a note's key signs, and how: the byte that stands before the public key."""

    ED25519 = 0x01
    COSIGNATURE = 0x04
    ML_DSA_44 = 0x06


_PUBLIC_BYTES = {KeyType.ED25519: PUBLIC_BYTES, KeyType.COSIGNATURE: PUBLIC_BYTES, KeyType.ML_DSA_44: ML_DSA_PUBLIC_BYTES}
_SIGNATURE_BYTES = {
    KeyType.ED25519: SIGNATURE_BYTES,
    KeyType.COSIGNATURE: _TIME.size + SIGNATURE_BYTES,
    KeyType.ML_DSA_44: _TIME.size + ML_DSA_SIGNATURE_BYTES,
}


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """A key as a note names it: the pair (name, key id), its public bytes and its type."""

    name: str
    public: bytes
    type: KeyType = KeyType.ED25519

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != _PUBLIC_BYTES[self.type]:
            raise Malformed(f"a note key of this type has {_PUBLIC_BYTES[self.type]} public bytes, found {len(self.public)}")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name LF type public)[:4]."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:_KEY_ID_BYTES]

    def to_vkey(self) -> str:
        """Write the verifier key: name+hex(key id)+base64(type | public)."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.type]) + self.public).decode('ascii')}"

    def is_by(self, text: str, signature: bytes) -> bool:
        """Tell whether what stands in a signature line after the key id is this key's over that text."""
        if len(signature) != _SIGNATURE_BYTES[self.type]:
            return False
        if self.type is KeyType.ED25519:
            return is_signed(self.public, text.encode(), signature)
        time_s = signed_at_s(signature)
        if time_s >= _LATEST_S:
            return False
        if self.type is KeyType.COSIGNATURE:
            return is_signed(self.public, cosigned_message(text, time_s), signature[_TIME.size :])
        try:
            message = subtree_message(text, self.name, time_s)
        except Malformed:
            return False
        return is_ml_dsa_signed(self.public, message, signature[_TIME.size :])


@dataclass(frozen=True, slots=True)
class NoteLine:
    """One signature line as read: whose it says it is, and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def to_text(self) -> str:
        """Write the line, its line feed included."""
        return f"{_MARK}{self.name} {base64.b64encode(self.key_id + self.signature).decode('ascii')}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart, nothing of it verified yet."""

    text: str
    lines: tuple[NoteLine, ...]

    def to_text(self) -> str:
        """Write the note."""
        return f"{self.text}\n{''.join(line.to_text() for line in self.lines)}"

    def signed_by(self, verifiers: Sequence[NoteVerifier]) -> list[tuple[NoteVerifier, NoteLine]]:
        """The lines of these keys, all of them verified; Untrusted where one of them does not verify."""
        known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
        verified = []
        for line in self.lines:
            verifier = known.get((line.name, line.key_id))
            if verifier is None:
                continue
            if not verifier.is_by(self.text, line.signature):
                raise Untrusted(f"the note's signature by {line.name!r} does not verify: the text or the signature was changed")
            verified.append((verifier, line))
        return verified


def read_vkey(text: str) -> NoteVerifier:
    """Read a verifier key; Malformed where name, key id, type or length is not as written there."""
    parts = text.split("+", 2)  # base64 has plus signs of its own
    if len(parts) != 3:
        raise Malformed(f"a verifier key is name+key id+base64, found {text[:80]!r}")
    name, key_id, encoded = parts
    key = decode_base64(encoded, "verifier key")
    if not key or key[0] not in set(KeyType):
        types = ", ".join(f"{known:02x}" for known in KeyType)
        raise Malformed(f"the verifier key of {name!r} is of type {key[:1].hex()}, expected one of {types}")
    verifier = NoteVerifier(name, key[1:], KeyType(key[0]))
    if key_id != verifier.key_id.hex():
        raise Malformed(f"the verifier key of {name!r} says key id {key_id!r}, but its bytes give {verifier.key_id.hex()}")
    return verifier


def sign(text: str, name: str, key: SigningKey) -> str:
    """Make a note of one signature (type 01); Malformed unless the text ends in a line feed and has no other control character."""
    _check_text(text)
    return Note(text, (NoteLine(name, NoteVerifier(name, key.public).key_id, key.sign(text.encode())),)).to_text()


def cosign(text: str, name: str, key: SigningKey, time_s: int) -> NoteLine:
    """Cosign a checkpoint's text (type 04): the largest consistent tree that this key has seen of that origin at that second."""
    _check_text(text)
    key_id = NoteVerifier(name, key.public, KeyType.COSIGNATURE).key_id
    return NoteLine(name, key_id, _TIME.pack(time_s) + key.sign(cosigned_message(text, time_s)))


def cosign_ml_dsa(text: str, name: str, key: MlDsaKey, time_s: int) -> NoteLine:
    """Cosign a checkpoint's text (type 06), or sign it where `name` is the origin: other bytes each time."""
    _check_text(text)
    key_id = NoteVerifier(name, key.public, KeyType.ML_DSA_44).key_id
    return NoteLine(name, key_id, _TIME.pack(time_s) + key.sign(subtree_message(text, name, time_s)))


def signed_at_s(signature: bytes) -> int:
    """The Unix second at the head of a cosignature (04 or 06)."""
    return int(_TIME.unpack_from(signature)[0])


def cosigned_message(text: str, time_s: int) -> bytes:
    """What a type 04 cosignature signs: "cosignature/v1" LF "time <seconds>" LF, then the checkpoint's whole text."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def subtree_message(text: str, name: str, time_s: int) -> bytes:
    r"""What a type 06 cosignature signs: "subtree/v1\n\0", cosigner, time, origin, start 0, end = size, root; no extension line."""
    lines = text.split("\n")
    if len(lines) < 4 or not is_decimal(lines[1]):
        raise Malformed("a type 06 cosignature is over a checkpoint: origin, size, root")
    origin, root = lines[0].encode(), decode_base64(lines[2], "checkpoint root")
    if len(root) != HASH_BYTES or not 1 <= len(origin) < 256 or len(name.encode()) >= 256:
        raise Malformed("a type 06 cosignature is over a root of 32 bytes, its names have 1 to 255 bytes")
    cosigner = name.encode()
    return b"".join(
        [
            b"subtree/v1\n\0", bytes([len(cosigner)]), cosigner, _TIME.pack(time_s),
            bytes([len(origin)]), origin, _TIME.pack(0), _TIME.pack(int(lines[1])), root,
        ]
    )  # fmt: skip


def read_note(note: str) -> Note:
    """Take a note apart; Malformed says what is not as the format wants it. The text ends at the last empty line."""
    gap = note.rfind("\n\n")
    if gap < 0 or not note.endswith("\n"):
        raise Malformed("a signed note is a text, an empty line, and signature lines that each end in a line feed")
    text, lines = note[: gap + 1], note[gap + 2 : -1].split("\n")
    _check_text(text)
    if len(lines) > _MOST_LINES:
        raise Malformed(f"a signed note has {len(lines)} signature lines, at most {_MOST_LINES} are read")
    return Note(text, tuple(_read_line(line) for line in lines))


def open_note(note: str, verifiers: Sequence[NoteVerifier]) -> str:
    """The text of a note that at least one of these keys signed; Malformed or Untrusted says why not."""
    read = read_note(note)
    if not read.signed_by(verifiers):
        names = ", ".join(sorted({verifier.name for verifier in verifiers})) or "no key"
        raise Untrusted(f"no signature of the note is by a key given here ({names}): pass the log's own verifier key")
    return read.text


def check_name(name: str) -> None:
    """Malformed unless a note's key may be called so: not empty, no space of any script, no plus sign, no control character."""
    if not name or "+" in name or any(mark.isspace() or ord(mark) < 0x20 for mark in name):
        raise Malformed(f"a note key's name {name!r} is empty or has a space, '+' or control character")


def _read_line(line: str) -> NoteLine:
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space:
        raise Malformed(f"{line[:60]!r} is not a signature line: expected an em dash, a key name and base64")
    check_name(name)
    blob = decode_base64(encoded, "signature line")
    if len(blob) <= _KEY_ID_BYTES:
        raise Malformed(f"the signature line of {name!r} is too short to hold a key id and a signature")
    return NoteLine(name, blob[:_KEY_ID_BYTES], blob[_KEY_ID_BYTES:])


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(ord(mark) < 0x20 and mark != "\n" for mark in text):
        raise Malformed("a note's text ends in a line feed and has no other control character")

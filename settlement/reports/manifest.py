"""The manifest of a report: what the file beside it is, its sums and its hash, as a note that the scheme's reports key signs."""

from dataclasses import dataclass, field, fields

from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import HASH_BYTES, sha256
from fare_chain.keys import SigningKey
from fare_chain.note import NoteVerifier, open_note, sign
from fare_chain.proofs import is_decimal

_HEAD = "fare-chain/report/v1"
_NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One rendered report. Roots and hashes are 32 bytes, state roots and rules empty where no window lies in the span.

    `edition` is 0 for a report that is not published; a later edition names the hash of the one that it supersedes.
    """

    document: str
    report: str
    number: str
    schema: int
    party: str
    from_second: int
    to_second: int
    basis: str
    per: str
    form: str
    as_of_size: int
    as_of_root: bytes
    first_state_root: bytes
    last_state_root: bytes
    rules_hash: bytes
    rows: int
    length: int
    sha256: bytes
    edition: int = 0
    supersedes: bytes = b""
    sums: dict[str, int] = field(default_factory=dict)

    def to_text(self) -> str:
        """Write the text that is signed: a line for each field, then one for each sum."""
        lines = [_HEAD]
        for name in _FIELDS:
            value = getattr(self, name)
            lines.append(f"{_LABELS.get(name, name)} {(value.hex() if isinstance(value, bytes) else str(value)) or _NOTHING}")
        lines += [f"sum {name} {amount}" for name, amount in self.sums.items()]
        return "\n".join(lines) + "\n"

    def sign(self, origin: str, key: SigningKey) -> str:
        """The manifest as a note signed by the scheme's reports key."""
        return sign(self.to_text(), signer_name(origin), key)


_KINDS = {it.name: it.type for it in fields(Manifest)}
_FIELDS = tuple(name for name in _KINDS if name != "sums")
_LABELS = {"party": "for", "from_second": "from", "to_second": "to", "form": "format", "length": "bytes"}
"""Fields that the text calls by words that are Python's own."""


def signer_name(origin: str) -> str:
    """Under which name a log's scheme signs manifests: never that of the log, whose key signs checkpoints alone."""
    return f"{origin}/reports"


def reports_verifier(origin: str, public: bytes) -> NoteVerifier:
    """The verifier of a log's manifests, by the public half of its reports key."""
    return NoteVerifier(signer_name(origin), public)


def read_manifest(note: str, verifiers: list[NoteVerifier]) -> Manifest:
    """Read a manifest that one of these keys signed; Malformed or Untrusted says what is wrong with it."""
    return read_manifest_text(open_note(note, verifiers))


def read_manifest_text(text: str) -> Manifest:
    """Read a manifest's text, whoever signed it; Malformed unless it is spelled as `to_text` spells it."""
    lines = text.split("\n")
    if lines[0] != _HEAD or len(lines) < len(_FIELDS) + 2:
        raise Malformed(
            f"a manifest begins with {_HEAD!r} and has {len(_FIELDS)} fields, found {lines[0][:60]!r}, {len(lines) - 2}"
        )
    values: dict[str, int | str | bytes] = {}
    for name, line in zip(_FIELDS, lines[1:], strict=False):
        found, _space, value = line.partition(" ")
        if found != _LABELS.get(name, name):
            raise Malformed(f"the manifest's field {_LABELS.get(name, name)} is expected where {found[:40]!r} stands")
        values[name] = _value(name, value)
    sums = {}
    for line in lines[1 + len(_FIELDS) : -1]:
        word, name, amount = [*line.split(" "), "", ""][:3]
        if word != "sum" or not is_decimal(amount.removeprefix("-")):
            raise Malformed(f"{line[:60]!r} is no sum of a manifest: expected sum, a column and whole fen")
        sums[name] = int(amount)
    manifest = Manifest(**values, sums=sums)  # type: ignore[arg-type]
    if manifest.to_text() != text:
        raise Malformed("the manifest is not written as these fields are: fetch it again")
    return manifest


def check_file(manifest: Manifest, data: bytes) -> None:
    """Untrusted where bytes are not those that the manifest names."""
    if len(data) != manifest.length or sha256(data) != manifest.sha256:
        raise Untrusted(
            f"the file has {len(data)} bytes with hash {sha256(data).hex()}, its manifest says {manifest.length} bytes with hash "
            f"{manifest.sha256.hex()}: the file was changed, or belongs to another manifest"
        )


def _value(name: str, value: str) -> int | str | bytes:
    if _KINDS[name] is int:
        if not is_decimal(value):
            raise Malformed(f"the manifest's {name} is {value[:40]!r}, expected a whole number")
        return int(value)
    value = "" if value == _NOTHING else value
    if _KINDS[name] is bytes:
        try:
            digest = bytes.fromhex(value)
        except ValueError:
            digest = b"?"
        if len(digest) not in (0, HASH_BYTES):
            raise Malformed(f"the manifest's {name} is {value[:70]!r}, expected the hex of {HASH_BYTES} bytes")
        return digest
    return value

"""The witness's rule (C2SP tlog-witness): cosign a checkpoint that extends the last one cosigned, or refuse and say why.

A request is `old <size>` LF, 0 to 63 base64 proof lines, an empty line, and the checkpoint. Checks run in this order:
400 malformed, 404 origin unknown, 403 no valid signature by a known key, 400 old above the size, 409 old is not the last cosigned
size (with that size as the body), 422 the proof does not hold, 200.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from fare_chain.checkpoint import Checkpoint, read_text
from fare_chain.errors import Malformed, Untrusted
from fare_chain.hashing import EMPTY_ROOT, HASH_BYTES
from fare_chain.note import Note, NoteVerifier, read_note
from fare_chain.proofs import decode_base64, is_decimal, verify_consistency

SIZE_TYPE = "text/x.tlog.size"
MOST_PROOF_LINES = 63
LONGEST_REQUEST = 64 << 10


@dataclass(frozen=True, slots=True)
class WitnessRequest:
    """What a submission says: the size that the log thinks was cosigned last, the proof from there, and the checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint

    def to_bytes(self) -> bytes:
        """Write the request's body."""
        lines = [f"old {self.old}", *(base64.b64encode(node).decode("ascii") for node in self.proof), "", self.note.to_text()]
        return "\n".join(lines).encode()


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer without a signature: status, body, content type."""

    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"


def read_request(data: bytes) -> WitnessRequest:
    """Read a submission; Malformed where it is not in its one spelling."""
    if len(data) > LONGEST_REQUEST:
        raise Malformed(f"a submission has at most {LONGEST_REQUEST} bytes, found {len(data)}")
    try:
        head, gap, rest = data.decode().partition("\n\n")
    except UnicodeDecodeError as error:
        raise Malformed(f"a submission is UTF-8: {error}") from error
    lines = head.split("\n")
    old = lines[0].removeprefix("old ")
    if not gap or not lines[0].startswith("old ") or not is_decimal(old):
        raise Malformed("a submission begins with 'old <size>', has its proof, an empty line, and then a checkpoint")
    proof = tuple(decode_base64(line, "proof") for line in lines[1:])
    if len(proof) > MOST_PROOF_LINES or any(len(node) != HASH_BYTES for node in proof):
        raise Malformed(f"a consistency proof is at most {MOST_PROOF_LINES} hashes of {HASH_BYTES} bytes")
    note = read_note(rest)
    return WitnessRequest(int(old), proof, note, read_text(note.text))


def judge(data: bytes, logs: Sequence[NoteVerifier], last_size: int, last_root: bytes) -> Refused | Checkpoint:  # noqa: PLR0911  the specification's steps
    """What to answer to a submission: a refusal, or the checkpoint to cosign.

    The caller makes it durable in one step with the check that the last size is still this one, and only then signs.
    """
    try:
        request = read_request(data)
    except Malformed as malformed:
        return Refused(400, f"{malformed}\n")
    checkpoint = request.checkpoint
    known = [verifier for verifier in logs if verifier.name == checkpoint.origin]
    if not known:
        return Refused(404, f"this witness does not know a log {checkpoint.origin!r}\n")
    try:
        signed = request.note.signed_by(known)
    except Untrusted as untrusted:
        return Refused(403, f"{untrusted}\n")
    if not signed:
        return Refused(403, "no signature is by a key that this witness knows for that log\n")
    if request.old > checkpoint.size:
        return Refused(400, f"old {request.old} is above the checkpoint's size {checkpoint.size}\n")
    if request.old != last_size:
        return Refused(409, f"{last_size}\n", SIZE_TYPE)
    try:
        _check_extends(request, last_root)
    except Untrusted as untrusted:
        return Refused(422, f"{untrusted}\n")
    return checkpoint


def _check_extends(request: WitnessRequest, last_root: bytes) -> None:
    checkpoint = request.checkpoint
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise Untrusted("a tree without leaves has one root, this is another")
    verify_consistency(
        request.proof,
        old=request.old,
        old_root=last_root if request.old else EMPTY_ROOT,
        size=checkpoint.size,
        root=checkpoint.root,
    )

"""The log's side of a witness (C2SP tlog-witness): what it submits, and what the answer means.

A witness answers 200 with signature lines, or 409 with the size that it cosigned last: the next submission starts from there. Any
other 4xx is final, a 5xx is a matter of time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fare_chain.checkpoint import read_text
from fare_chain.errors import Malformed, Overloaded, Untrusted
from fare_chain.note import Note, NoteLine, NoteVerifier, read_note
from fare_chain.proofs import is_decimal
from fare_chain.witness import SIZE_TYPE, WitnessRequest

PATH = "add-checkpoint"
LONGEST_ANSWER = 16 << 10
_OK, _CONFLICT, _OURS_TO_MEND = 200, 409, 500


@dataclass(frozen=True, slots=True)
class Behind:
    """The witness cosigned another size last than the submission started from."""

    size: int


def write_submission(note: Note, *, old: int, proof: Sequence[bytes]) -> bytes:
    """The body of a request: `note` has the log's own lines alone, `proof` leads from the tree of `old` leaves; none from 0."""
    return WitnessRequest(old, tuple(proof), note, read_text(note.text)).to_bytes()


def read_answer(status: int, content_type: str, body: bytes, *, text: str, verifier: NoteVerifier) -> NoteLine | Behind:
    """The witness's line under the checkpoint `text`, or where it stands.

    Untrusted where it refuses for good or its line does not verify, Malformed where the answer cannot be read, Overloaded where it
    asks for time.
    """
    if len(body) > LONGEST_ANSWER:
        raise Malformed(f"a witness answers with at most {LONGEST_ANSWER} bytes, found {len(body)}")
    try:
        said = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{verifier.name} does not answer in UTF-8: {error}") from error
    if status == _CONFLICT and content_type.partition(";")[0].strip() == SIZE_TYPE:
        size = said.removesuffix("\n")
        if not is_decimal(size):
            raise Malformed(f"{verifier.name} answers 409 with {said[:40]!r}, expected the size that it cosigned last")
        return Behind(int(size))
    if status >= _OURS_TO_MEND:
        raise Overloaded(f"{verifier.name} answers {status} now: {said[:200].strip()!r}")
    if status != _OK:
        raise Untrusted(f"{verifier.name} refuses the checkpoint with {status}: {said[:200].strip()!r}")
    for _verifier, line in read_note(f"{text}\n{said}").signed_by([verifier]):
        return line
    raise Untrusted(f"{verifier.name} answers 200, but with no line by the key that the policy names")

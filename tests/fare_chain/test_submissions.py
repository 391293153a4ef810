"""What a log reads in a witness's answer: a line that verifies, a size to go on from, or a refusal by name."""

import pytest

from fare_chain.checkpoint import Checkpoint
from fare_chain.errors import Malformed, Overloaded, Untrusted
from fare_chain.keys import SigningKey
from fare_chain.note import KeyType, NoteVerifier, cosign, read_note
from fare_chain.submissions import Behind, read_answer, write_submission
from fare_chain.witness import read_request

LOG = SigningKey(bytes(range(32)))
KEY = SigningKey(bytes(range(1, 33)))
WITNESS = NoteVerifier("witness.example/w", KEY.public, KeyType.COSIGNATURE)
NOTE = read_note(Checkpoint("log.example/one", 20, bytes(32)).sign(LOG))
LINE = cosign(NOTE.text, WITNESS.name, KEY, 1_800_000_000)
SIZE = "text/x.tlog.size"


def answer(status, body, content_type="text/plain; charset=utf-8"):
    return read_answer(status, content_type, body.encode(), text=NOTE.text, verifier=WITNESS)


def test_a_submission_is_what_a_witness_reads():
    read = read_request(write_submission(NOTE, old=12, proof=[b"\x07" * 32, b"\x08" * 32]))
    assert (read.old, read.proof, read.note) == (12, (b"\x07" * 32, b"\x08" * 32), NOTE)


def test_the_line_of_the_witness_is_found_among_others():
    other = cosign(NOTE.text, "else.example/w", SigningKey(bytes(32)), 1_800_000_000)
    assert answer(200, other.to_text() + LINE.to_text()) == LINE


@pytest.mark.parametrize("content_type", [SIZE, f"{SIZE}; charset=utf-8"])
def test_a_conflict_names_the_size_to_go_on_from(content_type):
    assert answer(409, "17\n", content_type) == Behind(17)


@pytest.mark.parametrize(
    ("status", "body", "content_type", "kind", "said"),
    [
        (200, LINE.to_text().replace("AAA", "AAB", 1), "text/plain", (Malformed, Untrusted), "base64|verify|no line"),
        (200, cosign(NOTE.text, WITNESS.name, LOG, 1_800_000_000).to_text(), "text/plain", Untrusted, "no line by the key"),
        (
            200,
            cosign("log.example/one\n21\n" + "A" * 43 + "=\n", WITNESS.name, KEY, 1).to_text(),
            "text/plain",
            Untrusted,
            "verify",
        ),
        (200, "", "text/plain", Malformed, "not a signature line"),
        (200, "x" * 20_000, "text/plain", Malformed, "at most 16384"),
        (409, "seventeen\n", SIZE, Malformed, "expected the size"),
        (409, "-1\n", SIZE, Malformed, "expected the size"),
        (409, "1\n2\n", SIZE, Malformed, "expected the size"),
        (409, "17\n", "text/plain", Untrusted, "refuses .* 409"),
        (400, "malformed", "text/plain", Untrusted, "refuses .* 400"),
        (403, "who?", "text/plain", Untrusted, "refuses .* 403"),
        (404, "which log?", "text/plain", Untrusted, "refuses .* 404"),
        (422, "the proof is wrong", "text/plain", Untrusted, "refuses .* 422"),
        (503, "my clock is wrong", "text/plain", Overloaded, "503 now"),
    ],
)
def test_everything_else_is_refused_by_name(status, body, content_type, kind, said):
    with pytest.raises(kind, match=said):
        answer(status, body, content_type)


def test_an_answer_is_text():
    with pytest.raises(Malformed, match="UTF-8"):
        read_answer(200, "text/plain", b"\xff\xfe\n", text=NOTE.text, verifier=WITNESS)

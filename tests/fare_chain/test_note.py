"""Signed notes and checkpoints against fixed values and every way of spoiling them."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain.checkpoint import Checkpoint, read_checkpoint
from fare_chain.errors import FareChainError, Malformed, Untrusted
from fare_chain.keys import SigningKey
from fare_chain.note import NoteVerifier, open_note, read_vkey, sign

ORIGIN = "ledger.example/clearing"
KEY = SigningKey(bytes(range(32)))
VERIFIER = NoteVerifier(ORIGIN, KEY.public)
VKEY = "ledger.example/clearing+bb4de0a3+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
ROOT = base64.b64decode("CakvVLqJCV4iPQR7T77++Yir+byiDrtE7WcX1SyhQW8=")
NOTE = (
    "ledger.example/clearing\n70000\nCakvVLqJCV4iPQR7T77++Yir+byiDrtE7WcX1SyhQW8=\n\n"
    "— ledger.example/clearing u03go4XyVEGi5wfSEP9GNU1ps2LTYEPfbg7Pz8yYKzf1NUEOaw2BkI0q7DUHyYwogOmHeMTM/CcTipDuFdfRGoPg4A0=\n"
)
WITNESS_LINE = (
    "— city-a.example/witness 7VsxBQAAAABqsTuAPyyjl1HDhKjbhruZPuLFPK/R++IIW3tzJVbxpAQNq8udLw4epk1ahZ26WECbPTzC0qNYhc+Sdy8/"
    "iZOEXm/fCA==\n"
)


def test_a_checkpoint_has_the_published_bytes():
    assert Checkpoint(ORIGIN, 70_000, ROOT).sign(KEY) == NOTE
    assert VERIFIER.to_vkey() == VKEY


def test_a_checkpoint_reads_back():
    assert read_checkpoint(NOTE, [VERIFIER]) == Checkpoint(ORIGIN, 70_000, ROOT)


def test_lines_of_unknown_keys_are_passed_over():
    head, line = NOTE.rsplit("\n— ", 1)
    assert read_checkpoint(NOTE + WITNESS_LINE, [VERIFIER]).size == 70_000
    assert read_checkpoint(f"{head}\n{WITNESS_LINE}— {line}", [VERIFIER]).size == 70_000


@given(st.data())
def test_any_flipped_bit_is_refused(data):
    raw = NOTE.encode()
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    flipped = bytearray(raw)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises((FareChainError, UnicodeDecodeError)):
        read_checkpoint(bytes(flipped).decode(), [VERIFIER])


@pytest.mark.parametrize(
    ("name", "note"),
    {
        "no final newline": NOTE[:-1],
        "carriage returns": NOTE.replace("\n", "\r\n"),
        "size with a leading zero": NOTE.replace("70000", "070000"),
        "base64 without padding": NOTE.replace("W8=\n\n", "W8\n\n"),
        "stray trailing bits": NOTE.replace("QW8=\n\n", "QW9=\n\n"),
        "url alphabet": NOTE.replace("++Yir+by", "--Yir-by"),
        "the witness line alone": NOTE.split("— ", maxsplit=1)[0] + WITNESS_LINE,
        "no signature": NOTE.split("— ", maxsplit=1)[0],
    }.items(),
)  # fmt: skip
def test_a_spoiled_checkpoint_is_refused(name, note):
    assert note != NOTE, name
    with pytest.raises(FareChainError):
        read_checkpoint(note, [VERIFIER])


@pytest.mark.parametrize("size", ["-1", "+1", " 1", "1_0", "\u0661"])
def test_a_size_that_python_would_take_is_refused(size):
    text = f"{ORIGIN}\n{size}\n{base64.b64encode(ROOT).decode()}\n"
    with pytest.raises(Malformed):
        read_checkpoint(sign(text, ORIGIN, KEY), [VERIFIER])


@pytest.mark.parametrize("root", [bytes(31), bytes(33)])
def test_a_root_of_another_length_is_refused(root):
    with pytest.raises(Malformed):
        read_checkpoint(Checkpoint(ORIGIN, 1, root).sign(KEY), [VERIFIER])


def test_an_extension_line_is_refused():
    with pytest.raises(Malformed):
        read_checkpoint(sign(Checkpoint(ORIGIN, 1, ROOT).to_text() + "more\n", ORIGIN, KEY), [VERIFIER])


@pytest.mark.parametrize(
    "vkey",
    [
        "ledger.example/clearing+2e7e363b+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4AA==",
        "ledger.example/clearing+608b4651+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTE=",
        "ledger.example/clearing+164fec25+ZQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        VKEY[1:],
        VKEY[:-1],
        "",
        "+bb4de0a3+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        *(VKEY[:24] + re.sub(".", "0", VKEY[24:25]) + VKEY[25:] for _ in (1,)),
    ],
)
def test_a_spoiled_verifier_key_is_refused(vkey):
    assert vkey != VKEY
    with pytest.raises(Malformed):
        read_vkey(vkey)


def test_a_verifier_key_reads_back():
    assert read_vkey(VKEY) == VERIFIER


def test_a_known_keys_bad_line_refuses_the_whole_note():
    other = SigningKey(bytes(32))
    both = sign("text\n", "a", KEY) + sign("other\n", "b", other).split("\n\n")[1]
    with pytest.raises(Untrusted, match="'b' does not verify"):
        open_note(both, [NoteVerifier("a", KEY.public), NoteVerifier("b", other.public)])
    assert open_note(both, [NoteVerifier("a", KEY.public)]) == "text\n"

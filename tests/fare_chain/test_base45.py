import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain import base45
from fare_chain.errors import Malformed

RFC_9285 = [(b"", ""), (b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")]


@pytest.mark.parametrize(("data", "text"), RFC_9285)
def test_the_examples_of_rfc_9285_read_and_write(data, text):
    assert base45.encode(data) == text
    assert base45.decode(text) == data


@given(st.binary(max_size=300))
def test_what_was_written_reads_back(data):
    assert base45.decode(base45.encode(data)) == data


@given(st.text(alphabet=base45.ALPHABET.decode(), max_size=12))
def test_bytes_have_one_text_only(text):
    try:
        data = base45.decode(text)
    except Malformed:
        return
    assert base45.encode(data) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("A", "has 1 characters"),
        ("BB8A", "has 4 characters"),
        ("GGW", r"'GGW' is 65536, expected at most 65535 \(offset 0\)"),
        ("BB8:::", r"':::' is 91124, expected at most 65535 \(offset 3\)"),
        ("BB8V5", r"'V5' is 256, expected at most 255 \(offset 3\)"),
        ("BB8bb8", r"has 'b'.*\(offset 3\)"),
        ("BB8\n", r"has '\\n'.*\(offset 3\)"),
        ("BBé", r"has 'é'.*\(offset 2\)"),
        ("B票8", r"has '票'.*\(offset 1\)"),
        ("B\N{PISTOL}8", r"\(offset 1\)"),
        ("\ud800B8", r"\(offset 0\)"),
    ],
)
def test_text_that_is_not_strictly_base45_is_refused_with_its_place(text, complaint):
    with pytest.raises(Malformed, match=complaint):
        base45.decode(text)


def test_the_largest_groups_are_read():
    assert base45.decode("FGW") == b"\xff\xff"
    assert base45.decode("U5") == b"\xff"

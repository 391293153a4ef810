"""Whatever is changed in an evidence file, it convicts nobody else and of nothing else."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fare_chain.errors import FareChainError
from fare_chain.governance import EvidenceKind
from simulators.small_house import ORIGIN
from tests.lies import nine_files
from tests.lies.nine_files import judged

FILES = {kind: text.encode() for kind, text in nine_files.FILES.items()}
FOUND = {kind: judged(data.decode()) for kind, data in FILES.items()}
MARKS = st.sampled_from([b"\n", b" ", b"=", b"A", b"item ", b"index 0", b"key", b"\n\n", b"0"])


def holds(kind, data):
    """The changed file is refused, or says the same; a signature line that is spoilt lets off only whose line it was."""
    try:
        found = judged(data.decode())
    except (FareChainError, UnicodeDecodeError):
        return False
    told = FOUND[kind]
    assert (found.kind, found.tap) == (told.kind, told.tap)
    assert set(found.parties) <= set(told.parties)
    assert found.member == (None if ORIGIN in set(told.parties) - set(found.parties) else told.member)
    return True


def test_each_kind_convicts():
    assert set(FILES) == set(EvidenceKind)
    assert all(holds(kind, data) for kind, data in FILES.items())


@pytest.mark.parametrize("kind", EvidenceKind)
@settings(max_examples=120, deadline=None)
@given(draw=st.data())
def test_any_changed_byte_is_refused_or_convicts_the_same_of_the_same(kind, draw):
    data = FILES[kind]
    at = draw.draw(st.integers(0, len(data) - 1))
    byte = draw.draw(st.integers(0, 255))
    holds(kind, data[:at] + bytes([byte]) + data[at + 1 :])


@pytest.mark.parametrize("kind", EvidenceKind)
@settings(max_examples=120, deadline=None)
@given(draw=st.data())
def test_bytes_put_in_cut_out_or_given_twice_change_nobody(kind, draw):
    data = FILES[kind]
    for _edit in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data)))
        end = draw.draw(st.integers(at, min(len(data), at + 90)))
        data = data[:at] + draw.draw(st.one_of(st.binary(max_size=4), MARKS, st.just(data[at:end] * 2))) + data[end:]
    holds(kind, data)


@settings(max_examples=400, deadline=None)
@given(kind=st.sampled_from(EvidenceKind), other=st.sampled_from(EvidenceKind), order=st.randoms(use_true_random=False))
@example(EvidenceKind.ROLLBACK, EvidenceKind.FORK_SAME_SIZE, None)
def test_items_of_several_files_shuffled_together_convict_no_one_who_was_not_convicted(kind, other, order):
    lines = FILES[kind].decode().splitlines(keepends=True)
    items = lines[2:] + FILES[other].decode().splitlines(keepends=True)[2:]
    if order is not None:
        order.shuffle(items)
    text = "".join([lines[0], lines[1], *items[: len(lines) - 2]])
    try:
        found = judged(text)
    except FareChainError:
        return
    assert set(found.parties) <= {party for each in FOUND.values() for party in each.parties}

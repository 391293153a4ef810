"""Nothing bent is believed: every bit, every cut, every swap of every kind of proof."""

from dataclasses import replace

import pytest

from fare_chain import inner_proofs
from fare_chain.checkpoint import Checkpoint, read_checkpoint, read_text
from fare_chain.errors import FareChainError, Malformed, Untrusted
from fare_chain.events import EntryKind, WindowEntry
from fare_chain.hashing import sha256
from fare_chain.inner_proofs import read_proof_file
from fare_chain.keys import KeyUse
from fare_chain.ledger import FRAME_BYTES, Entry
from fare_chain.note import NoteVerifier, cosign, read_note
from fare_chain.policy import Policy, PolicyKey
from fare_chain.proofs import ProofFile
from fare_chain.window_proofs import (
    Books,
    Cut,
    DeltaLeaf,
    Opening,
    Place,
    write_earned,
    write_journey,
    write_position,
)
from settlement.core.inner_paths import books_inside, line_inside
from settlement.proving import from_log
from simulators.small_house import LOG_VERIFIER, ORIGIN, small_key
from tests.settlement.proving.proofs_of_a_log import by_log, journey_ids, line_of, opened

KINDS = ["journey", "line", "statement", "statement-since-the-log-began", "position", "position-since-the-log-began"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def unsigned(note):
    """The checkpoint as it says: where signatures are not what is bent, they cost nothing."""
    return read_text(read_note(note).text)


def with_extra(file, extra):
    return ProofFile(file.index, file.path, file.checkpoint, extra).to_text()


def inside(file):
    """Where the entry ends in `extra`."""
    return FRAME_BYTES + int.from_bytes(file.extra[4:8], "little")


def places(file):
    """The bytes of `extra` that say how a path is folded: number and size of each place."""
    cut = Cut(file.extra)
    cut.entry()
    begins = []

    class Noted(Cut):
        def place(self):
            begins.append(self.at)
            return super().place()

    noted = Noted(file.extra[cut.at :])
    kind = noted.byte()
    if kind == 1:
        noted.take(32), noted.place(), noted.place()
    elif kind == 2:
        for _ in range(int.from_bytes(noted.take(2), "little")):
            noted.take(32), noted.place(), noted.place(), noted.take(25)
    elif kind == 3:
        noted.books()
        if noted.flag():
            noted.take(8), noted.path(), noted.entry(), noted.books()
    return {cut.at + at + byte for at in begins for byte in range(8)}


@every_kind
def test_no_flipped_bit_of_entry_record_or_hash_is_believed(proofs, kind):
    honest, file = opened(proofs[kind]), read_proof_file(proofs[kind])
    folding = places(file)
    for bit in range(8 * len(file.extra)):
        bent = bytearray(file.extra)
        bent[bit >> 3] ^= 1 << (bit & 7)
        try:
            proved = inner_proofs.verify(with_extra(file, bytes(bent)), unsigned)
        except (Malformed, Untrusted):
            continue
        if kind.startswith("position") and bit >> 3 in (inside(file) + 1, inside(file) + 2):
            assert proved.cleared.closing_fen == dict(honest.window.positions)[proved.cleared.owner], "of another, and true"
            continue
        assert bit >> 3 in folding, f"bit {bit & 7} of byte {bit >> 3}"
        assert proved == honest, "a number that says how to fold proves nothing else"


@every_kind
def test_no_flipped_bit_of_the_outer_path_is_believed(proofs, kind):
    file = read_proof_file(proofs[kind])
    for at, node in enumerate(file.path):
        for bit in range(256):
            bent = (int.from_bytes(node) ^ 1 << bit).to_bytes(32)
            path = (*file.path[:at], bent, *file.path[at + 1 :])
            with pytest.raises(Untrusted):
                inner_proofs.verify(ProofFile(file.index, path, file.checkpoint, file.extra).to_text(), unsigned)


@every_kind
def test_no_flipped_bit_of_the_checkpoint_is_believed(proofs, kind):
    honest, (head, note) = opened(proofs[kind]), proofs[kind].split("\n\n", 1)
    for bit in range(8 * len(note)):
        bent = bytearray(note.encode())
        bent[bit >> 3] ^= 1 << (bit & 7)
        try:
            proved = opened(f"{head}\n\n{bent.decode()}")
        except (FareChainError, UnicodeDecodeError):
            continue
        assert proved == honest, bit


@every_kind
def test_nothing_cut_or_lengthened_is_believed(proofs, kind):
    file = read_proof_file(proofs[kind])
    for length in range(len(file.extra)):
        if length != inside(file):  # the WINDOW entry by itself is a proof of the window
            with pytest.raises((Malformed, Untrusted)):
                inner_proofs.verify(with_extra(file, file.extra[:length]), unsigned)
    for more in (b"\x00", b"\x01", bytes(32), file.extra):
        with pytest.raises(Malformed):
            inner_proofs.verify(with_extra(file, file.extra + more), unsigned)
    for longer in ((*file.path, bytes(32)), (bytes(32), *file.path), file.path[1:], file.path[:-1], file.path[::-1], ()):
        with pytest.raises(Untrusted):
            inner_proofs.verify(ProofFile(file.index, longer, file.checkpoint, file.extra).to_text(), unsigned)


@every_kind
def test_no_other_index_size_or_root_is_believed(proofs, kind):
    file, held = read_proof_file(proofs[kind]), unsigned(read_proof_file(proofs[kind]).checkpoint)
    for index in (file.index - 1, file.index + 1, file.index ^ 2, held.size, 2**62):
        with pytest.raises(Untrusted):
            inner_proofs.verify(ProofFile(index, file.path, file.checkpoint, file.extra).to_text(), unsigned)
    for other in (
        replace(held, size=held.size // 2),
        replace(held, size=held.size * 2),
        replace(held, root=held.root[::-1]),
        Checkpoint(ORIGIN, held.size, sha256(b"another log")),
    ):
        with pytest.raises(Untrusted):
            inner_proofs.verify(proofs[kind], lambda _note, other=other: other)


@every_kind
def test_the_inside_of_one_window_is_not_believed_in_another(log, windows, proofs, kind):
    file = read_proof_file(proofs[kind])
    inner = file.extra[inside(file) :]
    for window in windows:
        if window.index != file.index:
            data, outer = inner_proofs.prove_entry(log, window.index)
            if kind.startswith("position"):
                continue  # what a position proof says stands in the entries alone: it is another statement, and a true one
            with pytest.raises(Untrusted):
                opened(with_extra(outer, data + inner))


def test_parts_of_two_journeys_do_not_make_one(log, windows):
    texts = [from_log.prove_journey(log, journey_id) for journey_id in journey_ids(windows)]
    files = [read_proof_file(text) for text in texts]
    same = [file for file in files if file.index == files[0].index]
    assert len(same) > 3
    for one in same:
        for other in same:
            if one is not other and len(one.extra) == len(other.extra):
                tail = len(one.extra) - 161 - 2
                for spliced in (one.extra[:tail] + other.extra[tail:], other.extra[:-32] + one.extra[-32:]):
                    try:
                        proved = opened(with_extra(one, spliced))
                    except FareChainError:
                        continue
                    assert proved in (opened(with_extra(one, one.extra)), opened(with_extra(other, other.extra)))


def test_no_tick_of_a_line_is_counted_twice(log, windows):
    window = next(window for window in windows if sum(len(tick.sums) > 0 for tick in window.ticks))
    line = line_of(next(tick.sums[0] for tick in window.ticks if len(tick.sums)))
    inner = line_inside(window, line)
    data, outer = inner_proofs.prove_entry(log, window.index)
    once = inner[3:]
    assert opened(with_extra(outer, data + inner)).cleared.sums
    for many in (b"\x02\x02\x00" + once + once, b"\x02\x00\x00"):
        with pytest.raises(Untrusted, match="a line has one sum"):
            opened(with_extra(outer, data + many))


@every_kind
def test_a_reader_with_another_policy_believes_nothing(proofs, kind):
    stranger = NoteVerifier(ORIGIN, small_key(1, KeyUse.LOG).public)
    elsewhere = NoteVerifier("elsewhere.example/log", LOG_VERIFIER.public)
    for verifier in (stranger, elsewhere):
        with pytest.raises((Untrusted, Malformed)):
            inner_proofs.verify(proofs[kind], lambda note, verifier=verifier: read_checkpoint(note, [verifier]))
        policy = Policy((PolicyKey(verifier.name, verifier),))
        with pytest.raises(Untrusted):
            inner_proofs.verify(proofs[kind], lambda note, policy=policy: policy.open_final(note).checkpoint)
    assert inner_proofs.verify(proofs[kind], by_log) == opened(proofs[kind])


def test_a_statement_that_runs_backwards_or_changes_its_operator_is_refused(log, windows):
    busy = [window for window in windows if window.window.journeys]
    early, late = busy[0], busy[-1]
    first, second = early.earned[0][0], early.earned[1][0]

    def opening(window):
        data, outer = inner_proofs.prove_entry(log, window.index)
        return Opening(window.index, outer.path, data)

    def proof_at(window, inner):
        data, outer = inner_proofs.prove_entry(log, window.index)
        return with_extra(outer, data + inner)

    with pytest.raises(Untrusted, match="runs backwards"):
        opened(proof_at(early, write_earned(books_inside(early, first), (opening(late), books_inside(late, first)))))
    with pytest.raises(Untrusted, match="runs backwards"):
        opened(proof_at(early, write_position(1, opening(early))))
    with pytest.raises(Untrusted, match="opens with the balance"):
        opened(proof_at(late, write_earned(books_inside(late, first), (opening(early), books_inside(early, second)))))
    with pytest.raises(Untrusted, match="do not give the state root"):
        opened(proof_at(late, write_earned(books_inside(early, first), None)))
    batch = inner_proofs.prove_entry(log, 20)
    with pytest.raises(Untrusted, match="not with a BATCH"):
        opened(proof_at(late, write_position(1, Opening(20, batch[1].path, batch[0]))))
    with pytest.raises(Untrusted, match="no position of member 9"):
        opened(proof_at(late, write_position(9, None)))


def test_a_busy_journey_takes_at_most_5_kb_and_a_statement_at_most_7():
    """Of a tick with 8,192 records, with six shares, among 64 operators, in a log of 2^40 entries with nine cosignatures."""
    window = WindowEntry(10**9, 1, 0, 9, 0, 0, 0, 0, bytes(32), bytes(32), bytes(32), tuple((city, 0) for city in range(10)))
    entry = Entry(EntryKind.WINDOW, 2**39, 10**15, bytes(32), window.to_bytes()).to_bytes()
    checkpoint = Checkpoint("fare-chain.example/clearing", 2**40, bytes(32))
    note = checkpoint.sign(small_key(0, KeyUse.LOG))
    for city in range(9):
        name = f"shanghai-{city}.fare-chain.example/clearing"
        note += cosign(checkpoint.to_text(), name, small_key(city, KeyUse.CLEARING), 9).to_text()

    def file_bytes(inner):
        return len(ProofFile(2**39, (bytes(32),) * 40, note, entry + inner).to_text().encode())

    in_tick, in_second, in_books = (Place(0, 2**height, (bytes(32),) * height) for height in (13, 2, 6))
    journey = file_bytes(write_journey(DeltaLeaf(bytes(32), in_second, in_tick, bytes(129 + 6 * 16))))
    books = Books(bytes(32), bytes(32), in_books, bytes(16))
    statement = file_bytes(write_earned(books, (Opening(2**38, (bytes(32),) * 40, entry), books)))
    assert journey <= 5 * 1024, journey
    assert statement <= 7 * 1024, statement

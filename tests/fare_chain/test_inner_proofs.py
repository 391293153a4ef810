"""One tap, one window: proved by a file and a policy alone, with no neighbour in it; and nothing altered is believed."""

import random

import pytest
import typer
from typer.testing import CliRunner

from fare_chain import inner_proofs, note
from fare_chain.batch import MOST_TAPS, CityTail, read_header, seal
from fare_chain.checkpoint import Checkpoint, read_checkpoint
from fare_chain.commands import add_to
from fare_chain.errors import FareChainError, Malformed, Unknown, Untrusted
from fare_chain.events import EntryKind
from fare_chain.hashing import node_hash
from fare_chain.keys import KeyUse
from fare_chain.ledger import Head, append, read_entry
from fare_chain.log_reader import FolderLog
from fare_chain.ml_dsa import MlDsaKey
from fare_chain.proof_words import in_words
from fare_chain.tap import TAP_BYTES, Tap, TapKind
from fare_chain.tiles import read_bundle, tile_path, write_bundle
from simulators.small_house import LOG_VERIFIER, ORIGIN, small_key


def by_log(text):
    return read_checkpoint(text, [LOG_VERIFIER])


def entries_of(folder):
    size = int((folder / "checkpoint").read_text().split("\n")[1])
    return [read_entry(data) for data in read_bundle((folder / tile_path(None, 0, size)).read_bytes(), size)]


def batches_of(folder):
    return [entry for entry in entries_of(folder) if entry.kind is EntryKind.BATCH]


def test_every_tap_is_proved_and_shows_no_neighbour(exported_log):
    source = FolderLog(exported_log)
    for entry in batches_of(exported_log):
        body = source.read(f"body/{read_header(entry.payload).body_hash.hex()}")
        taps = [body[at : at + TAP_BYTES] for at in range(0, len(body), TAP_BYTES)]
        for number, record in enumerate(taps):
            text = inner_proofs.prove_tap(source, entry.index, number)
            proved = inner_proofs.verify(text, by_log)
            assert proved.tap.to_bytes() == record
            assert (proved.entry, proved.tap_number) == (entry, number)
            extra = inner_proofs.read_proof_file(text).extra
            assert not any(other[:72] in extra for at, other in enumerate(taps) if at != number)


def test_every_window_is_proved(exported_log):
    windows = [entry for entry in entries_of(exported_log) if entry.kind is EntryKind.WINDOW]
    for entry in windows:
        second = int.from_bytes(entry.payload[:8], "little")
        proved = inner_proofs.verify(inner_proofs.prove_window(FolderLog(exported_log), second), by_log)
        assert proved.window.to_bytes() == entry.payload
        assert f"window {second}" in "\n".join(in_words(proved))
    with pytest.raises(Unknown, match="covers second 5"):
        inner_proofs.prove_window(FolderLog(exported_log), 5)


def test_no_flipped_bit_is_believed(exported_log):
    chance = random.Random(3)
    honest = inner_proofs.prove_tap(FolderLog(exported_log), batches_of(exported_log)[2].index, 1)
    data = honest.encode()
    for at in chance.sample(range(len(data)), 400):
        altered = bytearray(data)
        altered[at] ^= 1 << chance.randrange(7)
        try:
            proved = inner_proofs.verify(altered.decode(), by_log)
        except (FareChainError, UnicodeDecodeError):
            continue
        assert proved == inner_proofs.verify(honest, by_log), at


def test_a_tap_of_another_place_is_not_believed(exported_log):
    source, entry = FolderLog(exported_log), batches_of(exported_log)[1]
    file = inner_proofs.read_proof_file(inner_proofs.prove_tap(source, entry.index, 1))
    other = inner_proofs.read_proof_file(inner_proofs.prove_tap(source, entry.index, 2))
    end = len(entry.to_bytes())
    for extra in (
        file.extra[: end + 5] + other.extra[end + 5 : end + 85] + file.extra[end + 85 :],
        file.extra[:end] + b"\x02" + file.extra[end + 1 :],
        file.extra + bytes(32),
        file.extra[:-32],
        file.extra[:40],
    ):
        with pytest.raises(FareChainError):
            inner_proofs.verify(inner_proofs.ProofFile(file.index, file.path, file.checkpoint, extra).to_text(), by_log)


@pytest.mark.parametrize(("index", "tap", "named"), [(10**6, 0, "not 1000000"), (0, 0, "is a KEY")])
def test_what_is_not_there_is_named(exported_log, index, tap, named):
    with pytest.raises((Unknown, Malformed), match=named):
        inner_proofs.prove_tap(FolderLog(exported_log), index, tap)


def app():
    made = typer.Typer()
    add_to(made)
    return made


class Held(dict):
    """A log in memory."""

    def read(self, path):
        return self[path]


def test_a_tap_of_a_full_batch_under_nine_cosignatures_takes_at_most_5_kb():
    """Also with an ML-DSA-44 line under the checkpoint, which a proof leaves out."""
    key = small_key(1, KeyUse.BATCH)
    taps = b"".join(Tap(10**15 + at, bytes(16), bytes(32), at, 1, 1, 1, 2, TapKind.ENTRY).to_bytes() for at in range(MOST_TAPS))
    batch = seal(taps, [], city=1, tail=CityTail(), key=key, key_id=bytes(4))
    head, entries, leaves = append(Head(), 10**15, [(EntryKind.BATCH, batch.signed_header)] * 200)
    checkpoint = Checkpoint(ORIGIN, head.size, head.root())
    text = checkpoint.sign(small_key(0, KeyUse.LOG))
    text += note.cosign_ml_dsa(checkpoint.to_text(), ORIGIN, MlDsaKey(bytes(32)), 9).to_text()
    for city in range(9):
        line = note.cosign(checkpoint.to_text(), f"city{city}.fare-chain.example/clearing", small_key(city, KeyUse.CLEARING), 9)
        text += line.to_text()
    log = Held({
        "checkpoint": text.encode(),
        tile_path(None, 0, 200): write_bundle(entries),
        tile_path(0, 0, 200): b"".join(leaves),
        f"body/{batch.header.body_hash.hex()}": taps,
    })  # fmt: skip
    proof = inner_proofs.prove_tap(log, 77, 4095)
    assert inner_proofs.verify(proof, by_log).tap.gate_seq == 4095
    # A log of 2^40 entries has a path of 40 hashes, 45 bytes a line: 32 lines more than here.
    assert len(proof.encode()) + 32 * 45 <= 5 * 1024


def test_the_commands_prove_and_verify(exported_log, tmp_path):
    run, file = CliRunner(), tmp_path / "tap.tlog-proof"
    batch = str(batches_of(exported_log)[0].index)
    made = run.invoke(app(), ["prove", "tap", str(exported_log), "--batch", batch, "--tap", "0", "-o", str(file)])
    assert made.exit_code == 0, made.output
    held = run.invoke(app(), ["verify-proof", str(file), "--vkey", LOG_VERIFIER.to_vkey()])
    assert (held.exit_code, "ENTRY at station" in held.output) == (0, True)
    file.write_text(file.read_text().replace("index ", "index 1"))
    assert run.invoke(app(), ["verify-proof", str(file), "--vkey", LOG_VERIFIER.to_vkey()]).exit_code == 1


def test_an_entry_that_stands_where_it_does_not_say_is_refused():
    """Nobody would sign such a log; a proof of it is refused all the same."""
    _head, entries, leaves = append(Head(), 10**15, [(EntryKind.KEY, bytes(120))] * 2)
    file = inner_proofs.ProofFile(0, (leaves[0],), Checkpoint(ORIGIN, 2, node_hash(leaves[1], leaves[0])).to_text(), entries[1])
    with pytest.raises(Untrusted, match="says index 1, but it is proved at 0"):
        inner_proofs.verify(file.to_text(), lambda _note: Checkpoint(ORIGIN, 2, node_hash(leaves[1], leaves[0])))

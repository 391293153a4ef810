"""Judges that read a whole log's folder: they accept ours, and name a single bit that was flipped in it."""

import subprocess

import pytest

from fare_chain.checkpoint import read_checkpoint
from fare_chain.note import read_vkey
from fare_chain.proofs import ProofFile, prove_inclusion
from tests.conformance.c2sp_log import CHECKPOINT, ENTRIES, LOG, NOTE, SIZE, WITNESS, read_node
from tests.judges import judging

BITS = {
    "tile of leaves": ("tile/0/016", 147 * 32),
    "last, partial tile": ("tile/0/273.p/112", 7),
    "tile above": ("tile/1/000", 40 * 32 + 3),
    "bundle": ("tile/entries/016", 146 * 10 + 5),
    "root in the checkpoint": ("checkpoint", 40),
    "size in the checkpoint": ("checkpoint", 28),
    "log's signature": ("checkpoint", 140),
    "cosignature": ("checkpoint", 300),
}
"""(file, byte) whose lowest bit is flipped; entry 4242 is the 146th of its tile, and a judge of it alone reads its sibling."""


def told_by_sumdb(sumdb, folder, vkey, *cosigners):
    """What golang.org/x/mod says of a folder: "" where it accepts it."""
    ran = subprocess.run([sumdb, "folder", folder, vkey, *cosigners], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode in (0, 1)
    return ran.stderr if ran.returncode else ""


def test_sumdb_accepts_the_fixed_log(sumdb, fixed_log):
    assert told_by_sumdb(sumdb, fixed_log, LOG.to_vkey(), WITNESS.to_vkey()) == ""


@pytest.mark.parametrize("bit", BITS)
def test_sumdb_names_a_flipped_bit(sumdb, spoilt, bit):
    assert told_by_sumdb(sumdb, spoilt(*BITS[bit]), LOG.to_vkey(), WITNESS.to_vkey()) != ""


def test_sumdb_accepts_the_log_of_a_house(sumdb, exported_log):
    vkey = (exported_log / "log.vkey").read_text().strip()
    assert told_by_sumdb(sumdb, exported_log, vkey) == ""
    assert told_by_sumdb(sumdb, exported_log, LOG.to_vkey()) != ""


def questions_on(folder, checkpoint=CHECKPOINT, log=LOG, cosigners=(WITNESS,)):
    """Whether the checkpoint is signed by all of them, and whether every tile and bundle belongs to that root."""
    note = (folder / "checkpoint").read_bytes().decode()
    return [
        {"ask": "note", "note": note, "vkey": log.to_vkey(), "cosigners": [each.to_vkey() for each in cosigners]},
        {"ask": "folder", "folder": str(folder), "size": checkpoint.size, "root": checkpoint.root.hex()},
    ]


def test_aics_tlog_accepts_the_fixed_log(fixed_log):
    assert judging.ask_python("aics-tlog", questions_on(fixed_log)) == ["", ""]


@pytest.mark.parametrize("bit", BITS)
def test_aics_tlog_names_a_flipped_bit(spoilt, bit):
    said = judging.ask_python("aics-tlog", questions_on(spoilt(*BITS[bit])))
    in_note = BITS[bit][0] == "checkpoint"
    assert [verdict == "" for verdict in said] == [not in_note, in_note]


def test_aics_tlog_accepts_the_log_of_a_house(exported_log):
    log = read_vkey((exported_log / "log.vkey").read_text().strip())
    checkpoint = read_checkpoint((exported_log / "checkpoint").read_text(), [log])
    assert judging.ask_python("aics-tlog", questions_on(exported_log, checkpoint, log, ())) == ["", ""]


def tlog_scales(*arguments):
    command = [judging.program("tlog-scales", "tlog-tiles"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False)


@pytest.mark.parametrize("index", [0, 4242, 69_999])
def test_tlog_scales_finds_an_entry_and_makes_the_same_proof_file(fixed_log, index):
    found = tlog_scales("get-leaf", "--check", fixed_log, index)
    assert (found.returncode, found.stdout) == (0, ENTRIES[index])
    made = tlog_scales("gen-proof", fixed_log, index)
    ours = ProofFile(index, tuple(prove_inclusion(index=index, size=SIZE, read_node=read_node)), NOTE)
    assert made.stdout.decode() == ours.to_text()


@pytest.mark.parametrize("bit", ["tile of leaves", "tile above", "bundle", "root in the checkpoint"])
def test_tlog_scales_names_a_flipped_bit(spoilt, bit):
    assert tlog_scales("get-leaf", "--check", spoilt(*BITS[bit]), 4242).returncode != 0

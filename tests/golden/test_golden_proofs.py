"""Golden proofs: files that this version and every later one verify, each with its words beside it.

FARE_CHAIN_REWRITE_GOLDEN=1 proves anew from the small house's log, and writes both; the difference is for a person to read.
"""

import os
from pathlib import Path

import pytest

from fare_chain import inner_proofs
from fare_chain.checkpoint import read_checkpoint
from fare_chain.log_reader import FolderLog
from fare_chain.note import read_vkey
from fare_chain.proof_words import in_words
from simulators.small_house import LOG_VERIFIER
from tests.settlement.proving.proofs_of_a_log import cleared, one_of_each

FOLDER = Path(__file__).parent / "proofs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.tlog-proof"))
REWRITE = os.environ.get("FARE_CHAIN_REWRITE_GOLDEN") == "1"


def test_golden_proofs_are_written_anew_where_that_is_asked(exported_log):
    if not REWRITE:
        pytest.skip("FARE_CHAIN_REWRITE_GOLDEN is not 1")
    (FOLDER / "log.vkey").write_text(LOG_VERIFIER.to_vkey() + "\n")
    log = FolderLog(exported_log)
    for name, text in one_of_each(log, cleared(log)).items():
        (FOLDER / f"{name}.tlog-proof").write_text(text)
        (FOLDER / f"{name}.txt").write_text(words(text))


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_proof_says_what_stands_beside_it(name):
    assert words((FOLDER / f"{name}.tlog-proof").read_text()) == (FOLDER / f"{name}.txt").read_text()


def test_there_is_a_golden_proof_of_each_kind():
    assert len(NAMES) == 6


def words(text):
    verifier = read_vkey((FOLDER / "log.vkey").read_text().strip())
    return "\n".join([*in_words(inner_proofs.verify(text, lambda note: read_checkpoint(note, [verifier]))), ""])

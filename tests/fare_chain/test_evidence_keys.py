"""Which key convicts: the one that the file brings under a final checkpoint, unless the reader knows better."""

from dataclasses import replace

import pytest

from fare_chain import evidence
from fare_chain.contradictions import SignedLog, with_keys
from fare_chain.errors import Malformed, Untrusted
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind
from fare_chain.keys import KeyRing, KeyUse
from fare_chain.log_reader import FolderLog
from simulators.small_house import small_ring
from tests.lies.liars import COSIGNING, told
from tests.lies.nine_files import AT_US, BATCH, FILES
from tests.settlement.mirror.mirror_world import POLICY

DOUBLE = evidence.read_evidence(FILES[EvidenceKind.DOUBLE_BATCH])


def test_a_key_that_the_file_brings_convicts_also_after_it_was_withdrawn_elsewhere():
    assert check_evidence(DOUBLE, POLICY).member == 1


def test_a_reader_who_knows_that_the_key_was_withdrawn_before_the_batch_is_not_talked_out_of_it():
    withdrawn = [replace(key, not_after_us=AT_US) if key.use is KeyUse.BATCH else key for key in small_ring()]
    with pytest.raises(Untrusted, match="is valid from"):
        check_evidence(DOUBLE, POLICY, KeyRing(withdrawn))
    assert check_evidence(DOUBLE, POLICY, small_ring()).member == 1


def test_keys_are_brought_from_a_final_log_alone_and_once(exported_log, tmp_path):
    bare = evidence.two_of(EvidenceKind.DOUBLE_BATCH, *DOUBLE.own())
    provisional = SignedLog.of(FolderLog(exported_log), POLICY)
    with pytest.raises(Untrusted, match="provisional"):
        with_keys(bare, provisional, POLICY)
    final = SignedLog.of(FolderLog(told(exported_log, COSIGNING).export(tmp_path / "final")), POLICY)
    text = with_keys(bare, final, POLICY)
    assert with_keys(text, final, POLICY) == text
    assert len(evidence.read_evidence(text).keys()) == 1
    assert check_evidence(evidence.read_evidence(text), POLICY).member == BATCH.header.city


def test_what_rests_on_the_policys_keys_alone_takes_no_others(exported_log, tmp_path):
    final = SignedLog.of(FolderLog(told(exported_log, COSIGNING).export(tmp_path / "final")), POLICY)
    with pytest.raises(Malformed, match="policy's keys alone"):
        with_keys(FILES[EvidenceKind.ROLLBACK], final, POLICY)

"""A folder of evidence: named for kind and hash, each file once, never more than agreed."""

import pytest

from fare_chain import evidence_folder
from fare_chain.errors import Malformed
from fare_chain.evidence_folder import keep_evidence
from tests.lies.nine_files import FILES


def test_each_file_is_kept_once_under_its_kind_and_hash(tmp_path):
    folder = tmp_path / "evidence"
    paths = {keep_evidence(folder, text) for text in [*FILES.values(), *FILES.values()]}
    assert len(paths) == len(FILES) == len(list(folder.iterdir()))
    assert {path.read_text() for path in paths} == set(FILES.values())
    assert any(path.name.startswith("double-batch-") for path in paths)


def test_a_full_folder_takes_no_more_and_still_knows_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence_folder, "MOST_FILES", 2)
    one, other, third, *_rest = FILES.values()
    kept = [keep_evidence(tmp_path, text) for text in (one, other, third, one)]
    assert [path is None for path in kept] == [False, False, True, False]


def test_what_is_no_evidence_is_not_kept(tmp_path):
    with pytest.raises(Malformed):
        keep_evidence(tmp_path, "gossip")
    assert list(tmp_path.iterdir()) == []

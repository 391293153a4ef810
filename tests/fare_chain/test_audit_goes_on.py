"""An audit that is interrupted goes on where it was, believes no forged progress, and asks for the cosignatures it is told to."""

import json
import shutil

import pytest

from fare_chain import note, scheme_policy
from fare_chain.audit import AuditFailure, audit
from fare_chain.errors import Unknown
from fare_chain.keys import KeyUse
from fare_chain.log_reader import FolderLog
from fare_chain.progress_file import ProgressFile
from settlement.core.replay import Rederiving
from simulators.small_house import LOG_VERIFIER, ORIGIN, small_key

CITIES = [scheme_policy.Cosigner(f"city{number}", small_key(number, KeyUse.CLEARING).public) for number in (1, 2, 3)]
POLICY = scheme_policy.scheme_policy(ORIGIN, [LOG_VERIFIER.public], CITIES, quorum=2)


class Counted(FolderLog):
    """A folder that remembers what was read."""

    def __init__(self, folder):
        super().__init__(folder)
        self.paths = []

    def read(self, path):
        self.paths.append(path)
        return super().read(path)


def saved_progress(folder):
    """What can be written down at each tick of an audit."""
    written = []
    audit(FolderLog(folder), [LOG_VERIFIER], followers=[Rederiving()], save=lambda write_down: written.append(write_down()))
    return written


def test_an_audit_goes_on_from_every_tick_to_the_same_result(exported_log):
    whole = audit(FolderLog(exported_log), [LOG_VERIFIER], followers=[Rederiving()])
    written = saved_progress(exported_log)
    assert len(written) > 5
    for progress in written:
        assert audit(FolderLog(exported_log), [LOG_VERIFIER], followers=[Rederiving()], saved=progress) == whole


def test_what_was_verified_is_not_read_again(exported_log):
    source = Counted(exported_log)
    audit(source, [LOG_VERIFIER], followers=[Rederiving()], saved=saved_progress(exported_log)[-1])
    assert not [path for path in source.paths if path.startswith("codes/")]


def test_progress_over_another_log_is_not_believed(exported_log):
    progress = json.loads(saved_progress(exported_log)[-1])
    walk = json.loads(progress["walk"])
    walk["nodes"][0] = "00" * 32
    progress["walk"] = json.dumps(walk)
    with pytest.raises(AuditFailure, match="root"):
        audit(FolderLog(exported_log), [LOG_VERIFIER], followers=[Rederiving()], saved=json.dumps(progress).encode())


@pytest.mark.parametrize("garbage", [b"x", b"{}", b'{"format":"fare-chain/audit-progress/v1","followers":[""]}'])
def test_progress_that_is_none_is_refused(exported_log, garbage):
    with pytest.raises(AuditFailure, match="saved progress"):
        audit(FolderLog(exported_log), [LOG_VERIFIER], followers=[Rederiving()], saved=garbage)


def test_the_progress_file_is_whole_or_not_there(tmp_path, monkeypatch):
    file = ProgressFile(tmp_path / "progress")
    assert file.read() == b""
    file.save(lambda: b"too early")
    assert file.read() == b""
    monkeypatch.setattr("fare_chain.progress_file.SAVE_EVERY_S", 0.0)
    file.save(lambda: b"one")
    file.save(lambda: b"two")
    assert ProgressFile(tmp_path / "progress").read() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["progress"]


def cosigned(folder, tmp_path, cities, spoil=False):
    """A copy of the log whose checkpoint these cities cosigned."""
    copy = tmp_path / "log"
    shutil.copytree(folder, copy)
    told = (copy / "checkpoint").read_text()
    text = note.read_note(told).text
    for number in cities:
        over = text.replace("\n", "\n9", 1) if spoil else text
        told += note.cosign(
            over, f"city{number}.small.example/clearing", small_key(number, KeyUse.CLEARING), 1_790_000_000
        ).to_text()
    (copy / "checkpoint").write_text(told)
    return FolderLog(copy)


def test_a_policy_asks_for_its_quorum(exported_log, tmp_path):
    with pytest.raises(AuditFailure, match="provisional"):
        audit(FolderLog(exported_log), [], policy=POLICY)
    result = audit(cosigned(exported_log, tmp_path, (1, 3)), [], policy=POLICY, followers=[Rederiving()])
    assert result.cosigned == ["city1", "city3"]


def test_one_city_too_few_is_named(exported_log, tmp_path):
    with pytest.raises(AuditFailure, match="city1, city3"):
        audit(cosigned(exported_log, tmp_path, (2,)), [], policy=POLICY)


def test_a_cosignature_over_another_text_refuses_the_checkpoint(exported_log, tmp_path):
    with pytest.raises(AuditFailure, match="does not verify"):
        audit(cosigned(exported_log, tmp_path, (1, 2), spoil=True), [], policy=POLICY)


def test_a_public_reader_verifies_everything_but_the_clearing(exported_log, tmp_path):
    public = tmp_path / "log"
    shutil.copytree(exported_log, public)
    shutil.rmtree(public / "body")
    with pytest.raises(AuditFailure, match="body/"):
        audit(FolderLog(public), [LOG_VERIFIER])
    result = audit(FolderLog(public), [LOG_VERIFIER], followers=[Rederiving()], bodies=False)
    assert (result.taps, result.bodies, result.rederived) == (66, False, {})


def test_a_policy_needs_cities():
    with pytest.raises(Unknown, match="clearing keys"):
        scheme_policy.scheme_policy(ORIGIN, [LOG_VERIFIER.public], [])

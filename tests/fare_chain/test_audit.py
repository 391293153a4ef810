"""The audit of a real log: it holds as exported, and any flipped byte of any file is found and named."""

import itertools
import json
import random
import shutil
import subprocess
import sys

import pytest

from fare_chain.audit import AuditFailure, audit
from fare_chain.errors import FareChainError, Unknown
from fare_chain.log_reader import FolderLog
from fare_chain.note import NoteVerifier, read_vkey
from settlement.core.replay import Rederiving
from simulators.small_house import LOG_VERIFIER


def verify(folder, verifier=LOG_VERIFIER, **given):
    return audit(FolderLog(folder), [verifier], followers=[Rederiving()], **given)


def files_of(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_a_log_as_exported_holds(exported_log):
    result = verify(exported_log)
    assert result.batches == 12
    assert result.taps == result.rider_codes == 66
    assert result.rederived["journeys_rederived"] == 30
    assert result.rederived["windows_rederived"] == result.windows > 3
    assert result.rederived["waiting_taps"] == 6
    assert sum(result.positions.values()) == 0
    assert any(result.positions.values())


def test_the_export_is_a_c2sp_log(exported_log):
    names = {str(path) for path in files_of(exported_log)}
    assert {"checkpoint", "log.vkey"} < names
    assert any(name.startswith("tile/0/000") for name in names)
    assert any(name.startswith("tile/entries/000") for name in names)


def flips(folder):
    """Three bytes of every file: the first, the last, and one between, drawn from a fixed seed."""
    chance = random.Random(7)
    for path in files_of(folder):
        size = (folder / path).stat().st_size
        for at in sorted({0, size - 1, chance.randrange(size)}):
            yield path, at, 1 << chance.randrange(8)


def is_believed(folder):
    """Verify with the key that the folder offers, as the command does without --vkey."""
    try:
        verify(folder, read_vkey((folder / "log.vkey").read_text().removesuffix("\n")))
    except (FareChainError, UnicodeDecodeError):
        return False
    return True


def test_any_flipped_byte_of_any_file_is_found(exported_log, tmp_path):
    folder = tmp_path / "log"
    shutil.copytree(exported_log, folder)
    believed = []
    flipped = list(flips(folder))
    for path, at, bit in flipped:
        whole = (folder / path).read_bytes()
        (folder / path).write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        if is_believed(folder):
            believed.append((path, at))
        (folder / path).write_bytes(whole)
    assert len(flipped) > 90
    assert believed == []
    verify(folder)


def test_every_byte_of_a_bundle_and_of_a_body_counts(exported_log, tmp_path):
    folder = tmp_path / "log"
    shutil.copytree(exported_log, folder)
    bundle = next(path for path in files_of(folder) if str(path).startswith("tile/entries"))
    body = next(path for path in files_of(folder) if str(path).startswith("body"))
    for path, step in ((bundle, 97), (body, 7)):
        whole = (folder / path).read_bytes()
        for at in range(0, len(whole), step):
            (folder / path).write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            with pytest.raises(AuditFailure):
                verify(folder, rider_signatures=False)
        (folder / path).write_bytes(whole)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("body", r"^body/[0-9a-f]{64}: body_hash"),
        ("codes", r"^codes/[0-9a-f]{64}: the rider code of tap"),
        ("table", r"^table/[0-9a-f]{64}: is not the table"),
        ("tile/0", r"^tile/0/000.* the tile was changed"),
        ("tile/entries", r"^entry \d+: its leaf hash"),
        ("checkpoint", r"^checkpoint: .* does not verify"),
    ],
)
def test_the_first_thing_that_is_wrong_is_named(exported_log, tmp_path, kind, named):
    folder = tmp_path / "log"
    shutil.copytree(exported_log, folder)
    path = next(folder / path for path in files_of(folder) if str(path).startswith(kind))
    at = 40 if kind in ("body", "codes", "tile/0") else 200 if kind == "tile/entries" else 30
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(AuditFailure, match=named):
        verify(folder)


@pytest.mark.parametrize("kind", ["body", "table", "tile/0", "tile/entries"])
def test_a_missing_file_is_named(exported_log, tmp_path, kind):
    folder = tmp_path / "log"
    shutil.copytree(exported_log, folder)
    path = next(path for path in files_of(folder) if str(path).startswith(kind))
    (folder / path).unlink()
    with pytest.raises(AuditFailure, match=f"^{path}"):
        verify(folder)


def test_dropped_rider_codes_break_nothing_and_are_counted(exported_log, tmp_path):
    folder = tmp_path / "log"
    shutil.copytree(exported_log, folder)
    shutil.rmtree(folder / "codes")
    result = verify(folder)
    assert (result.rider_codes, result.rider_codes_dropped) == (0, 66)


def test_another_logs_key_is_not_believed(exported_log):
    with pytest.raises(AuditFailure, match="no signature of the note is by a key given here"):
        verify(exported_log, NoteVerifier(LOG_VERIFIER.name, bytes(32)))


def test_progress_reaches_the_size(exported_log):
    seen = []
    verify(exported_log, progress=lambda done, size: seen.append((done, size)))
    assert seen[-1][0] == seen[-1][1]
    assert all(one < two for one, two in itertools.pairwise(seen))


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(Unknown, match="checkpoint"):
        FolderLog(tmp_path)


def run_verify(*words):
    return subprocess.run(
        [sys.executable, "-c", "from fare_chain.command_line import main; main()", "verify", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_tells_and_exits(exported_log, tmp_path):
    good = run_verify(str(exported_log), "--vkey", LOG_VERIFIER.to_vkey(), "--json")
    assert (good.returncode, json.loads(good.stdout)["verified"]) == (0, True)
    folder = tmp_path / "log"
    shutil.copytree(exported_log, folder)
    body = next(folder / path for path in files_of(folder) if str(path).startswith("body"))
    body.write_bytes(b"\xff" + body.read_bytes()[1:])
    bad = run_verify(str(folder), "--json")
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["where"].startswith("body/")
    loud = run_verify(str(folder))
    assert (loud.returncode, "NOT VERIFIED" in loud.stderr) == (1, True)
    lost = tmp_path / "nowhere"
    assert run_verify(str(lost)).returncode == 1


def test_a_folder_without_taps_is_verified_as_the_public_log_and_says_so(exported_log, tmp_path):
    folder = tmp_path / "log"
    shutil.copytree(exported_log, folder)
    shutil.rmtree(folder / "codes")
    bodies = sorted((folder / "body").iterdir())
    bodies[0].unlink()
    assert json.loads(run_verify(str(folder), "--json").stdout)["where"].startswith("body/"), "some taps are not the public log"
    assert json.loads(run_verify(str(folder), "--no-bodies", "--json").stdout)["bodies"] is False
    shutil.rmtree(folder / "body")
    told = json.loads(run_verify(str(folder), "--json").stdout)
    assert (told["verified"], told["bodies"], told["rederived"]) == (True, False, {})
    assert "taps are not public" in run_verify(str(folder)).stdout
    asked = run_verify(str(folder), "--bodies", "--json")
    assert (asked.returncode, json.loads(asked.stdout)["where"].startswith("body/")) == (1, True)

"""The evidence's commands as people run them."""

import json
import stat
import subprocess
import sys

import pytest

from fare_chain.key_entries import read_key_entries
from fare_chain.key_files import read_public_folder
from fare_chain.keys import KeyUse
from fare_chain.note import read_vkey


def run(*words):
    program = [sys.executable, "-c", "from fare_chain.command_line import main; main()"]
    return subprocess.run([*program, *map(str, words)], capture_output=True, text=True, check=False)


def test_the_program_lists_what_every_floor_contributes():
    shown = run("--help").stdout
    for command in ("verify", "keys", "city", "house", "fare", "fares", "report", "export-log", "import-taps", "demo", "bench"):
        assert command in shown, command


def test_keys_are_made_shown_and_never_overwritten(tmp_path):
    places = ("--keys", tmp_path / "keys", "--members", tmp_path / "members")
    made = run("keys", "new", "house-log", "--owner", 0, "--use", "log", *places)
    assert made.returncode == 0, made.stderr
    assert run("keys", "new", "ningbo-batch", "--owner", 3, "--use", "batch", "--days", 30, *places).returncode == 0
    assert stat.S_IMODE((tmp_path / "keys" / "house-log.key").stat().st_mode) == 0o600
    assert {path.suffix for path in (tmp_path / "members").iterdir()} == {".pub", ".entry"}
    assert {(key.owner, key.use) for key in read_public_folder(tmp_path / "members")} == {(0, KeyUse.LOG), (3, KeyUse.BATCH)}
    assert len(read_key_entries(tmp_path / "members")) == 2
    again = run("keys", "new", "house-log", "--owner", 0, "--use", "log", *places)
    assert (again.returncode, again.stderr[:10]) == (1, "Conflict: ")
    shown = json.loads(run("keys", "show", tmp_path / "members", "--json").stdout)["keys"]
    assert len(shown) == 2
    (line,) = run("keys", "show", tmp_path / "members", "--log", "--vkey", "--origin", "metro.example/log").stdout.splitlines()
    assert read_vkey(line).name == "metro.example/log"


def test_a_key_for_an_old_log_begins_when_the_log_does(tmp_path):
    places = ("--keys", tmp_path / "keys", "--members", tmp_path / "members")
    made = run("keys", "new", "old-batch", "--owner", 1, "--use", "batch", "--from", "2015-01-01", "--days", 31, *places)
    assert made.returncode == 0, made.stderr
    (key,) = read_public_folder(tmp_path / "members")
    assert (key.not_before_us, key.not_after_us) == (1_420_070_400_000_000, 1_422_748_800_000_000)
    wrong = run("keys", "new", "new-batch", "--owner", 1, "--use", "batch", "--from", "yesterday", *places)
    assert wrong.returncode != 0
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "new", "x", "--owner", "0", "--use", "everything", "--keys", "k", "--members", "m"),
        ("keys", "show", "nowhere"),
        ("verify", "nowhere"),
        ("verify", "http://127.0.0.1:9"),
    ],
)
def test_refusals_are_one_sentence_and_exit_1(words, tmp_path):
    program = [sys.executable, "-c", "from fare_chain.command_line import main; main()"]
    answer = subprocess.run([*program, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert answer.stderr.strip()

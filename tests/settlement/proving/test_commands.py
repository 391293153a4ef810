"""The commands prove and verify, say what is proved, and refuse with a way out."""

import json

import pytest
import typer
from typer.testing import CliRunner

from fare_chain import commands as evidence
from fare_chain.errors import FareChainError, Malformed, Unknown
from settlement import commands as money
from settlement.proving.asked import Party, read_journey_id, read_line, read_party
from simulators.small_house import LOG_VERIFIER

VKEY = LOG_VERIFIER.to_vkey()
MEMBERS = {"alder": 1, "birch": 2}


@pytest.fixture
def run(tmp_path):
    """Prove into a file and verify it: (exit code, words, JSON)."""
    app = typer.Typer()
    evidence.add_to(app)
    money.add_to(app)
    file = tmp_path / "made.tlog-proof"

    def prove(*words):
        made = CliRunner().invoke(app, ["prove", *words, "-o", str(file)], catch_exceptions=False)
        assert made.exit_code == 0, made.output
        said = CliRunner().invoke(app, ["verify-proof", str(file), "--vkey", VKEY])
        told = CliRunner().invoke(app, ["verify-proof", str(file), "--vkey", VKEY, "--json"])
        assert (said.exit_code, told.exit_code) == (0, 0)
        return said.output, json.loads(told.output)

    return prove


def test_a_journey_is_proved_and_told(run, exported_log, windows):
    record = windows[0].ticks[1].journeys[0] if len(windows[0].ticks[1].journeys) else windows[0].ticks[0].journeys[0]
    said, told = run("journey", str(exported_log), record["journey_id"].tobytes().hex())
    assert f"fare {record['fare_fen']} fen" in said
    assert "not shown to be final" in said
    assert (told["kind"], told["journey"]["host"], told["final"]) == ("journey", int(record["host"]), False)
    assert run("journey", str(exported_log))[1]["second"] == windows[0].window.second
    assert sum(share["fen"] for share in told["shares"]) == told["journey"]["fare_fen"]


def test_a_line_is_proved_and_told(run, exported_log, windows):
    second = windows[0].window.second
    said, told = run("line", str(exported_log), "--second", str(second), "--debtor", "2", "--creditor", "1")
    assert "member 2 owes member 1" in said
    assert (told["kind"], told["complete"], told["second"]) == ("line", False, second)
    said, told = run("line", str(exported_log), "--second", str(second), "--debtor", "1", "--creditor", "1.1", "--kind", "fare")
    assert "host 1 owes beneficiary 1.1" in said


def test_statements_are_proved_and_told(run, exported_log, windows):
    begin, end = str(windows[0].window.second + 1), str(windows[-1].window.second + 1)
    _said, told = run("statement", str(exported_log), "--for", "1.1", "--from", begin, "--to", end)
    assert told["difference_fen"] == dict(windows[-1].earned)[257] - dict(windows[0].earned)[257]
    _said, told = run("statement", str(exported_log), "--for", "2", "--to", end)
    assert (told["opening_second"], told["closing_fen"]) == (None, dict(windows[-1].window.positions)[2])
    assert run("statement", str(exported_log), "--for", "2")[1]["closing_fen"] == told["closing_fen"]
    assert run("statement", str(exported_log), "--for", "1.1")[1]["closing_fen"] == dict(windows[-1].earned)[257]
    for named, numbered in (("hangzhou", "2"), ("shanghai.1", "1.1"), ("scheme", "0")):
        assert run("statement", str(exported_log), "--for", named)[1] == run("statement", str(exported_log), "--for", numbered)[1]
    _said, told = run("window", str(exported_log), "--second", begin)
    assert told["kind"] == "window"


@pytest.mark.parametrize(
    ("text", "party"),
    [("alder", Party(1, True)), ("7", Party(7, True)), ("BIRCH.3", Party(515, False)), ("255.255", Party(65_535, False))],  # noqa: FBT003
)
def test_parties_are_named_or_numbered(text, party):
    assert read_party(text, lambda: MEMBERS) == party


@pytest.mark.parametrize("text", ["", "nobody", "1.", "1.256", "256.1", "1.2.3", "-1", "alder.x", "65536"])
def test_other_parties_are_refused(text):
    with pytest.raises((Malformed, Unknown)):
        read_party(text, lambda: MEMBERS)


@pytest.mark.parametrize(("debtor", "kind"), [("1.1", "fare"), ("1", "fares")])
def test_lines_that_cannot_be_are_refused(debtor, kind):
    with pytest.raises(Malformed):
        read_line(read_party(debtor, dict), Party(2, is_member=True), kind)


@pytest.mark.parametrize("text", ["", "00", "ZZ" * 16, "AB" * 16, "ab" * 17])
def test_what_is_no_journeys_id_is_refused(text):
    with pytest.raises(FareChainError):
        read_journey_id(text)

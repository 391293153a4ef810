import json

import pytest
import typer
from typer.testing import CliRunner

from city_adapters.commands import add_to
from fare_chain.errors import Conflict, Unknown, Untrusted
from fare_chain.key_files import write_key_pair
from tests.city_adapters.gate_world import BATCH, BATCH_KEY, ISSUER, ISSUER_KEY, LOG, LOG_KEY


@pytest.fixture
def run(tmp_path, monkeypatch):
    # Logs would go on into this test's captured standard error, which is closed when the next test begins.
    monkeypatch.setattr("city_adapters.log_lines.log_as_lines", lambda: None)
    app = typer.Typer()
    add_to(app)

    def run(*arguments):
        result = CliRunner().invoke(app, ["city", *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def gate(run, folder, *more, city="shanghai"):
    return run(
        "gate", "--city", city, "--house", "http://127.0.0.1:9", "--members", folder, "--keys", folder,
        "--data", folder / "data", "--port", 1, *more,
    )  # fmt: skip


def test_an_address_that_others_reach_must_be_meant(run, tmp_path):
    with pytest.raises(Conflict, match="say --public"):
        gate(run, tmp_path, "--host", "0.0.0.0")


def test_gates_without_the_logs_key_could_check_no_receipt(run, tmp_path):
    write_key_pair(tmp_path, "shanghai-batch", BATCH_KEY, BATCH)
    with pytest.raises(Unknown, match="no key of the log"):
        gate(run, tmp_path)


def test_gates_sign_with_a_key_that_their_members_know_as_the_citys(run, tmp_path):
    write_key_pair(tmp_path, "log", LOG_KEY, LOG)
    write_key_pair(tmp_path, "shanghai-batch", ISSUER_KEY, ISSUER)
    with pytest.raises(Untrusted, match="BATCH keys"):
        gate(run, tmp_path)


def test_an_unknown_city_is_named(run, tmp_path):
    with pytest.raises(Unknown, match="atlantis"):
        gate(run, tmp_path, city="atlantis")


def test_a_good_folder_passes_and_says_what_nobody_confirmed(run, testville):
    result = run("lint", testville, "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["errors"]) == (0, 0)
    assert {"file", "line", "severity", "message", "remedy"} == set(report["findings"][0])


def test_several_folders_are_looked_through_and_one_error_fails_all(run, testville, second_city):
    (second_city / "operators.csv").unlink()
    result = run("lint", second_city, testville, "--json")
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(report["folder"], report["errors"] > 0) for report in reports] == [(str(second_city), True), (str(testville), False)]
    assert result.exit_code == 1
    severities = [finding["severity"] for finding in reports[0]["findings"]]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)


def test_a_folder_with_an_error_fails_and_names_file_and_remedy(run, testville):
    (testville / "operators.csv").unlink()
    result = run("lint", testville)
    assert result.exit_code == 1
    assert "operators.csv" in result.stdout

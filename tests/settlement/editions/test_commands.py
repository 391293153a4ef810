"""The commands against a house that is really served: an operator's own statement, from its key to the proof by the ledger."""

import asyncio
import contextlib
import json
import socket
from dataclasses import replace

import pytest
import typer
import uvicorn
from typer.testing import CliRunner

from fare_chain.identifiers import Micros
from fare_chain.key_files import write_key_pair
from fare_chain.keys import KeyUse
from fare_chain.log_export import export
from settlement.editions import commands
from settlement.reports.catalogue import REPORTS
from simulators.small_house import small_key
from tests.conftest import AppLog
from tests.settlement.editions.reporting_world import access_of, app_of, public_key


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


def run(*words):
    app = typer.Typer()
    commands.add_to(app)
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def served(asking, tmp_path):
    """Tell a story with the address of a served house and a folder of keys; the story's commands run on another thread."""
    for name, owner, use in (
        ("birch-access", 2, KeyUse.ACCESS),
        ("house-access", 0, KeyUse.ACCESS),
        ("house-reports", 0, KeyUse.REPORT),
    ):
        described = replace(public_key(owner, use), not_after_us=Micros(4 * 10**15))
        write_key_pair(tmp_path, name, small_key(owner, use), described)

    def tell(story):
        async def served_story(client):
            app, loop = app_of(client.house), asyncio.get_running_loop()
            await asyncio.to_thread(export, AppLog(app, loop, *map(access_of, (1, 2, 3, 4))), tmp_path / "log")
            with socket.create_server(("127.0.0.1", 0)) as listener:
                server = _Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                try:
                    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
                    return await asyncio.to_thread(story, address, tmp_path)
                finally:
                    server.should_exit = True
                    await serving

        return asking(served_story)

    return tell


def test_an_operator_pulls_its_statement_and_the_ledger_alone_gives_it_again(served):
    def story(address, folder):
        out, log = folder / "out", folder / "log"
        pulled = run(
            "report", "operator-revenue", "--for", "birch/4", "--format", "xlsx", "--out", out, "--house", address,
            "--access", folder / "birch-access.key", "--json",
        )  # fmt: skip
        assert pulled.exit_code == 0, (pulled.output, pulled.exception)
        told = json.loads(pulled.stdout)
        verified = run("verify-report", told["file"], told["manifest_file"], "--members", folder, "--log", log, "--json")
        assert verified.exit_code == 0, verified.output
        words = run("verify-report", told["file"], told["manifest_file"], "--log", log).stdout
        return told, json.loads(verified.stdout), words

    told, verified, words = served(story)
    assert "R17_operator-revenue_birch.4_" in told["file"]
    assert told["file"].endswith(".xlsx")
    assert verified["verified"]
    assert verified["reproduced_from_ledger"]
    assert verified["sums"]["visitors_fen"] == 675
    assert "made again from the ledger alone: the same bytes" in words


def test_a_changed_file_and_a_strangers_key_are_refused_with_exit_code_1(served):
    def story(address, folder):
        out = folder / "out"
        asked = ("report", "member-statement")
        told = json.loads(run(*asked, "--access", folder / "birch-access.key", "--out", out, "--house", address, "--json").stdout)
        file, manifest = told["file"], told["manifest_file"]
        good = run("verify-report", file, manifest, "--members", folder)
        with open(file, "r+b") as opened:  # noqa: PTH123  a byte in place
            opened.seek(700)
            opened.write(b"9")
        bent = run("verify-report", file, manifest, "--members", folder, "--json")
        (folder / "house-reports.pub").unlink()
        stranger = run("verify-report", file, manifest, "--members", folder)
        nobody = run("verify-report", file, manifest)
        return good, bent, stranger, nobody

    good, bent, stranger, nobody = served(story)
    assert good.exit_code == 0, good.output
    assert "its rows were added up again" in good.stdout
    assert bent.exit_code == 1
    assert "the file was changed" in json.loads(bent.stdout)["why"]
    assert stranger.exit_code == 1
    assert "no signature of the note" in stranger.stdout
    assert nobody.exit_code == 1


def test_the_scheme_publishes_and_pulls_the_edition(served):
    def story(address, folder):
        asked = ("report", "window-net", "--house", address, "--format", "json", "--as-of", 45)
        refused = run(*asked, "--publish", "--access", folder / "birch-access.key")
        published = [run(*asked, "--publish", "--access", folder / "house-access.key") for _ in range(2)]
        stored = run(*asked, "--publish", "--access", folder / "house-access.key", "--out", folder / "out", "--json")
        told = json.loads(stored.stdout)
        return refused, published, told, run("verify-report", told["file"], told["manifest_file"], "--members", folder, "--json")

    refused, published, told, verified = served(story)
    assert "only the scheme publishes" in str(refused.exception)
    assert published[0].stdout == published[1].stdout
    assert published[0].stdout.startswith("edition 1 of R01_window-net_all_")
    assert told["file"].endswith("_e1.json")
    assert json.loads(verified.stdout)["edition"] == 1


def test_a_report_goes_to_standard_output_and_a_refusal_has_the_houses_words(served):
    def story(address, folder):
        access = ("--access", folder / "birch-access.key")
        shown = run("report", "pair-matrix", "--format", "csv", "--house", address, *access)
        private = run("report", "tap-detail", "--for", "birch", "--house", address)
        return shown, private

    shown, private = served(story)
    assert shown.stdout.splitlines()[-1].startswith("S,")
    assert "this is not for everybody" in str(private.exception)


def test_the_catalogue_is_listed_without_a_house():
    words, told = run("reports").stdout, json.loads(run("reports", "--json").stdout)["reports"]
    assert [report["name"] for report in told] == list(REPORTS)
    for report in REPORTS.values():
        assert f"{report.number}  {report.name}" in words
        assert report.title_zh in words
        assert report.title_en in words

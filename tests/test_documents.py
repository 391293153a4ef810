"""What the documents promise is there: commands, options, links, versions, reasons."""

import re
import shlex
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from city_adapters.adapter import AdapterReason
from city_adapters.gate import Reason
from fare_chain.events import EntryKind
from settlement.reports.catalogue import REPORTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = sorted({line.split("  #")[0].strip(" &") for line in README.splitlines() if line.startswith(".venv/bin/fare-chain ")})


@pytest.fixture(scope="module")
def program():
    app = typer.Typer()
    for point in entry_points(group="fare_chain.commands"):
        point.load()(app)
    return app


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_exists_with_its_options(program, line):
    words = shlex.split(line)[1:]
    groups = {group.name for group in program.registered_groups}
    command = words[: 2 if words[0] in groups else 1]
    shown = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(program, [*command, "--help"])
    assert shown.exit_code == 0, shown.output
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output, f"{command[0]} has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_has_the_targets_that_the_readme_names():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_changelog_begins_with_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version


def test_every_reason_of_a_gate_is_documented_with_its_number():
    written = (ROOT / "docs" / "formats" / "rider-code.md").read_text() + (ROOT / "docs" / "formats" / "batch.md").read_text()
    for reason in (*Reason, *AdapterReason):
        assert re.search(rf"\b{reason.value}\b[^\n]*{reason.name}|{reason.name}[^\n]*\b{reason.value}\b", written), reason


def test_every_kind_of_entry_and_every_report_is_documented():
    ledger = (ROOT / "docs" / "formats" / "ledger.md").read_text()
    assert all(f"{kind.value} {kind.name}" in ledger for kind in EntryKind)
    reports = (ROOT / "docs" / "reports.md").read_text()
    for report in REPORTS.values():
        assert f"## {report.number} {report.name} {report.title_zh}" in reports, report.name
        for column in report.columns:
            row = f"| `{column.name}` | {column.zh} | {column.en} | {column.kind.value}{', summed' if column.summed else ''} |"
            section = reports.split(f"## {report.number} {report.name} ")[1].split("\n## ")[0]
            assert row in section, f"{report.name}: {row}"

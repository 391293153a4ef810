"""The guide for a new city, step by step as it is written: its files, its commands, what they print."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "add-a-city.md"


class Step(NamedTuple):
    """A file to write (`path`), or commands to run and what they print (None: not shown)."""

    path: str
    text: str
    shown: str | None


def steps():
    """The steps of the guide: a block after a line with nothing but a path is a file, `sh` is run, `text` is what it prints."""
    found = []
    blocks = re.finditer(r"(?:^`([^`\n]+)`\n\n)?^```(\w+)\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for path, kind, text in (block.groups() for block in blocks):
        if path:
            found.append(Step(path, text, None))
        elif kind == "sh":
            found.append(Step("", text, None))
        else:
            assert kind == "text", f"a block of {kind} has no path"
            assert (found[-1].path, found[-1].shown) == ("", None), f"no command before {text!r}"
            found[-1] = found[-1]._replace(shown=text)
    return found


@pytest.fixture
def workshop(tmp_path):
    """A folder like the project's own: the packaged cities, and a program that is the one under test."""
    (tmp_path / "city_adapters").symlink_to(ROOT / "city_adapters")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    start = "from fare_chain.command_line import main; main()"
    for name, words in (("python", ""), ("fare-chain", f" -c '{start}'")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        (programs / name).chmod(0o755)
    return tmp_path


def run(commands, folder):
    known = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    return subprocess.run(["bash", "-e", "-c", commands], cwd=folder, env=known, capture_output=True, text=True, check=False)


def test_the_guide_does_what_it_says(workshop):
    taken = steps()
    assert len([step for step in taken if step.path]) >= 18
    assert len([step for step in taken if step.shown]) >= 6
    for step in taken:
        if step.path:
            file = workshop / step.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(step.text, encoding="utf-8")
            continue
        done = run(step.text, workshop)
        assert done.returncode == (1 if ": error: " in done.stdout else 0), f"{step.text}{done.stdout}{done.stderr}"
        if step.shown is not None:
            assert done.stdout == step.shown, step.text


def test_the_guides_own_suggestion_is_refused_too(workshop):
    """Section 5 asks to try it: an example that does not hold."""
    for step in steps():
        if step.path.startswith("delta/cities/rivermouth/"):
            file = workshop / step.path
            file.parent.mkdir(parents=True, exist_ok=True)
            text = step.text.replace("RVM-harbor,", "RVM-harbour,").replace("3000,200", "3000,300")
            file.write_text(text, encoding="utf-8")
    done = run(".venv/bin/fare-chain city lint delta/cities/rivermouth", workshop)
    assert done.returncode == 1
    assert "examples.csv:2: error: RVM-anchor - RVM-castle should cost 300 fen for 3000 m, the tariff gives 200" in done.stdout

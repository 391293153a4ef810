"""Programs that others wrote, asked about our ledger: where they are installed, and how a test puts a question to one of them.

`make judges` installs them into .venv-judges, beside the project's own .venv: they want another Python and other libraries.
A judge that is not installed skips its tests and says so; under FARE_CHAIN_JUDGES=required its absence is a failure, unless it
wants a later Python than this machine has.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("FARE_CHAIN_JUDGES_FOLDER", HERE.parents[1] / ".venv-judges"))
PYTHON = FOLDER / "bin" / "python"
NODE_JUDGE = FOLDER / "npm" / "node_modules" / "@sigstore" / "verify" / "dist" / "tlog"
GO_LIBRARIES = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")
PATIENCE_S = 120
WANT_312 = {"aics-tlog", "aics-witness"}


def absent(judge, where):
    """Skip the test, or fail it where every judge must be there."""
    said = f"judge {judge} is not installed ({where}): run `make judges`"
    if judge in WANT_312 and (FOLDER / "installed").exists() and not list(FOLDER.glob("lib/python3.1[2-9]")):
        pytest.skip(f"judge {judge} wants Python 3.12 or later, and `make judges` found none here")
    if os.environ.get("FARE_CHAIN_JUDGES") == "required":
        pytest.fail(said)
    pytest.skip(said)


def need(judge, place):
    if not place.exists():
        absent(judge, place)


def program(judge, name):
    """The judge's own command."""
    need(judge, FOLDER / "bin" / name)
    return str(FOLDER / "bin" / name)


def ask(command, questions=()):
    """The verdicts on these questions, in order: "" where accepted, else what the judge said."""
    told = "".join(f"{json.dumps(question)}\n" for question in questions)
    ran = subprocess.run(command, input=told, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ran.returncode == 0, ran.stderr
    verdicts = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(verdicts) == len(questions), ran.stderr
    return verdicts


def ask_python(judge, questions):
    """Ask a judge that is a Python library: {"ask": ..., ...} each, see ask_python.py."""
    need(judge, PYTHON)
    module = {"aics-tlog": "aics_tlog", "metamorphic-log": "metamorphic_log"}.get(judge, judge)
    found = subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True, check=False, timeout=PATIENCE_S)
    if found.returncode:
        absent(judge, PYTHON)
    return ask([PYTHON, "-W", "ignore", HERE / "ask_python.py", judge], questions)

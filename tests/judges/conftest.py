"""What the judges are asked about: the fixed log of 70,000 entries as a folder, and copies of it that are not right."""

import os
import shutil
import subprocess

import pytest

from tests.conformance import c2sp_log
from tests.judges import judging


@pytest.fixture(scope="session")
def fixed_log(tmp_path_factory):
    """The fixed log as a folder."""
    folder = tmp_path_factory.mktemp("fixed") / "log"
    c2sp_log.write_log(folder)
    return folder


@pytest.fixture
def spoilt(fixed_log, tmp_path):
    """Copy the log's folder with one bit of one file flipped."""

    def spoil(path, at):
        folder = tmp_path / "spoilt"
        shutil.copytree(fixed_log, folder)
        data = bytearray((folder / path).read_bytes())
        data[at] ^= 1
        (folder / path).write_bytes(data)
        return folder

    return spoil


@pytest.fixture(scope="session")
def sumdb(tmp_path_factory):
    """The command of golang.org/x/mod's judge, compiled."""
    compiler = judging.program("x/mod", "go")
    judging.need("x/mod", judging.GO_LIBRARIES)
    built = tmp_path_factory.mktemp("sumdb") / "ask_sumdb"
    settings = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(judging.FOLDER / "gocache"), "GOFLAGS": ""}
    source = judging.HERE / "ask_sumdb.go"
    subprocess.run([compiler, "build", "-o", built, source], env={**os.environ, **settings}, check=True, timeout=300)
    return built

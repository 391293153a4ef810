"""The small scheme's liars and judges: every story plays with these, and is judged by a program on an empty folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2  # noqa: F401  the judge's own dependencies are there

from fare_chain.keys import KeyUse, PublicKey
from simulators.adversary.city import LyingCity
from simulators.adversary.mirror import LyingMirror
from simulators.adversary.told_log import Cosigning, ToldLog
from simulators.small_house import small_key
from tests.settlement.mirror.mirror_world import POLICY, SLUGS

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from fare_chain.command_line import main; main()"]
HOUSE_KEY = small_key(0, KeyUse.LOG)


def cosigning(city):
    """A city's clearing key, under the policy's name for it."""
    key = POLICY.witness(SLUGS[city])
    return Cosigning(key.verifier.name, small_key(city, KeyUse.CLEARING))


COSIGNING = [cosigning(city) for city in (1, 2)]
"""As many cities as the quorum asks for."""


def lying_city(city):
    key = small_key(city, KeyUse.BATCH)
    return LyingCity(city, key, PublicKey(city, KeyUse.BATCH, key.public, 0, 1).key_id)


def lying_mirror(city):
    return LyingMirror(city, cosigning(city))


def told(folder, cosigning=()):
    """An exported log, taken apart to be told again."""
    return ToldLog.read(folder, HOUSE_KEY, cosigning)


def run(folder, *words):
    """Run `fare-chain` as a process of its own in a folder: (exit code, what it said)."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*PROGRAM, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


class Judge:
    """Somebody who trusts nobody: an empty folder with the policy in it, and the one program."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "policy").write_text(POLICY.to_text())

    def hears(self, file, log=None):
        """What `verify-evidence` says of a file: (exit code, its answer)."""
        shutil.copy(file, self.folder / "evidence")
        words = ["verify-evidence", "evidence", "--policy", "policy", "--json", *(["--log", log] if log else [])]
        code, said = run(self.folder, *words)
        return code, json.loads(said)

    def convicts(self, file, kind, parties, log=None):
        """The file convicts these parties of that kind, and with one bit of it changed it shows nothing."""
        code, said = self.hears(file, log)
        assert (code, said["convicts"]) == (0, True), said
        assert (said["kind"], set(said["parties"])) == (kind, set(parties)), said
        data = Path(file).read_bytes()
        # the last byte of the first own item's base64: within what somebody signed, not in its frame
        at = data.index(b"\n", data.index(b"item ")) - 12
        changed = self.folder / "changed"
        changed.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        code, said = self.hears(changed, log)
        assert (code, said["convicts"]) == (1, False), said
        return True


def only(folder):
    """The one evidence file that the finder kept."""
    (file,) = sorted(Path(folder).glob("*.evidence"))
    return file

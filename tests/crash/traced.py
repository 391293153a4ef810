"""Run a program under strace: count its system calls on a folder, then let one of them fail, or kill the program at it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "link", "unlink", "mkdir")
STRACE = shutil.which("strace")
_LINE = re.compile(r"^(\d+)\s+(\w+)\((.*)")


@dataclass(frozen=True, slots=True)
class Call:
    """The n-th call of a name by the program's first thread, and on which kind of file it was."""

    name: str
    number: int
    file: str

    @property
    def kind(self) -> str:
        """What it does to which kind of file."""
        return f"{self.name} {self.file}"


def count(command: Sequence[str], folder: Path, environment: dict[str, str], log: Path) -> list[Call]:
    """Run a program that nothing happens to; every call that touches `folder`, in order."""
    done = _run(command, environment, ["-o", str(log), "-y", "-e", f"trace={_names()}"])
    assert done.returncode == 0, done.stderr
    return list(_calls(log.read_text(encoding="utf-8", errors="replace"), folder))


def injected(command: Sequence[str], call: Call, what: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the program again; `what` happens to that one call: `error=EIO`, or `signal=KILL`, after which it has no effect."""
    return _run(
        command, environment, ["-o", "/dev/null", "-e", f"trace={call.name}", "-e", f"inject={call.name}:{what}:when={call.number}"]
    )


def is_allowed() -> bool:
    """Whether strace is here and may trace: containers sometimes forbid it."""
    return STRACE is not None and _run([sys.executable, "-c", ""], {}, ["-o", "/dev/null"]).returncode == 0


def _names() -> str:
    # A question mark: the call need not exist on every machine.
    return ",".join(f"?{name}" for name in CALLS)


def _run(command: Sequence[str], environment: dict[str, str], how: Sequence[str]) -> subprocess.CompletedProcess[str]:
    assert STRACE is not None
    return subprocess.run(
        [STRACE, "-f", "-qq", *how, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _calls(log: str, folder: Path) -> Iterator[Call]:
    counted: dict[str, int] = {}
    first = ""
    for line in log.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, name, rest = found.groups()
        first = first or thread
        if thread != first:
            continue
        counted[name] = counted.get(name, 0) + 1
        if str(folder) in rest:
            path = rest[rest.index(str(folder)) + len(str(folder)) :]
            file = re.match(r'[^">,]*', path)
            yield Call(name, counted[name], _kind(file.group() if file else ""))


def _kind(path: str) -> str:
    """The kind of a file by its name: numbers and hashes left out."""
    return re.sub(r"[0-9a-f]{64}|\d{12,20}", "*", path.strip("/")) or "."

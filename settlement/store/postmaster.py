"""One PostgreSQL server process on one data folder: its command line, its start, whether it answers, its end."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fare_chain.errors import FareChainError
from settlement.store.binaries import Identity, Programs
from settlement.store.data_folder import PORT, DataFolder

SETTINGS: tuple[tuple[str, str, str], ...] = (
    ("listen_addresses", "", "no network: the Unix socket is the only way in"),
    ("port", str(PORT), "names the socket"),
    ("unix_socket_permissions", "0700", "no other user of the machine"),
    ("fsync", "on", "stated so that no configuration file can take it back: a receipt promises the disk"),
    ("synchronous_commit", "on", "the same: what is acknowledged is on disk"),
    ("full_page_writes", "on", "the same: a page torn by a power cut is healed"),
    ("max_connections", "50", "the house needs about 20, the rest is for people; each slot costs memory"),
    ("shared_buffers", "256MB", "the hot day of a machine with 4 GB; more would be taken from the page cache"),
    ("effective_cache_size", "1GB", "what the page cache of such a machine really holds, for the planner"),
    ("max_wal_size", "2GB", "a checkpoint each minute under full load instead of every few seconds; recovery stays short"),
    ("checkpoint_timeout", "15min", "fewer full page images at a steady trickle"),
    ("max_parallel_workers_per_gather", "0", "two cores: a report must not take the one that clears"),
    ("jit", "off", "statements are short here; compiling them costs more than it gains"),
    ("client_connection_check_interval", "1s", "a killed house's statements end and let go of the head row"),
    ("timezone", "UTC", "times are microseconds of UTC; only the console knows a zone"),
    ("log_timezone", "UTC", "the same for the log"),
)
"""Name, value and reason of each setting; all are known to PostgreSQL 15 to 18."""

_SILENT_SECONDS = 30.0  # a new server that says nothing for so long has failed
_DEAF_SECONDS = 5.0  # one that has run for a while answers in a millisecond, or is ill
_RECOVERY_SECONDS = 600.0  # while it says that it is still recovering
_STOPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 15.0))  # fast: sessions end, all is written; immediate: recovery comes next
_LEFTOVER_SECONDS = 20.0


class ServerFailed(FareChainError):
    """The server did not start or did not stop; carries the end of its log."""


@dataclass(slots=True)
class Postmaster:
    """The server of a folder, run as `identity`; `child` is None where it was adopted, or does not run."""

    folder: DataFolder
    programs: Programs
    identity: Identity
    child: subprocess.Popen[bytes] | None = None

    def adoptable(self) -> int | None:
        """The pid of a server that runs here already, just as we would start it, and takes logins."""
        recorded = self.folder.command_file
        pid = self.folder.serving_pid()
        if pid is None or not recorded.is_file() or recorded.read_text(encoding="utf-8").splitlines() != self._command():
            return None
        return pid if self.is_well(pid) else None

    def launch(self) -> int:
        """Start the server, wait until it takes logins and give its pid; ServerFailed with its log where it does not."""
        folder, command = self.folder, self._command()
        self._await_leftovers()
        folder.rotate_log()
        since = folder.log_size()
        folder.command_file.write_text("\n".join(command) + "\n", encoding="utf-8")
        self.child = self.identity.spawn(command[1:], folder.log)
        pid = self.child.pid
        if not self._takes_logins(pid, _SILENT_SECONDS):
            code = self.child.poll()
            self.halt()
            found = "does not take logins" if code is None else f"ended with code {code}"
            tail = folder.log_tail(since)
            raise ServerFailed(
                f"PostgreSQL {self.programs.version} on {folder.cluster} {found}; its log {folder.log} says:\n{tail}"
            )
        for path in folder.data.iterdir():  # what root wrote here the server's user may want to write next time
            self.identity.own(path)
        return pid

    def is_well(self, pid: int) -> bool:
        """Whether a server that has run for a while takes logins; waits while it says that it recovers from a crash."""
        return self._takes_logins(pid, _DEAF_SECONDS)

    def halt(self) -> None:
        """Stop whatever server serves the folder, our child or not. Never by SIGKILL, which would orphan its backends."""
        pid = self.child.pid if self.child is not None and self.child.poll() is None else self.folder.serving_pid()
        if pid is not None and not any(self._ends(pid, number, patience_s) for number, patience_s in _STOPS):
            tail = self.folder.log_tail()
            raise ServerFailed(f"PostgreSQL, process {pid}, does not stop; its log {self.folder.log} says:\n{tail}")
        self.child = None

    def _command(self) -> list[str]:
        """The version, then the command line; the version so that a server of replaced programs is not adopted."""
        settings = [word for name, value, _ in SETTINGS for word in ("-c", f"{name}={value}")]
        postgres, sockets = str(self.programs.folder / "postgres"), str(self.folder.sockets())
        return [self.programs.version, postgres, "-D", str(self.folder.cluster), "-k", sockets, *settings]

    def _takes_logins(self, pid: int, silent_s: float) -> bool:
        """Wait until a server takes logins; False where it ends, says nothing for `silent_s`, or recovers for too long."""
        begun = heard = time.monotonic()
        while self._runs(pid):
            answer = self.folder.answer()
            if answer:
                return True
            now = time.monotonic()
            heard = now if answer is False else heard
            if now - heard > silent_s or now - begun > _RECOVERY_SECONDS:
                return False
            time.sleep(0.005)
        return False

    def _runs(self, pid: int) -> bool:
        if self.child is not None and self.child.pid == pid:
            return self.child.poll() is None  # also reaps it; a newborn cannot be recognised as a server yet
        return self.folder.is_served_by(pid)

    def _ends(self, pid: int, number: signal.Signals, patience_s: float) -> bool:
        _send(pid, number)
        _send(pid, signal.SIGCONT)  # a frozen server would not hear
        deadline = time.monotonic() + patience_s
        while self._runs(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def _await_leftovers(self) -> None:
        """Wait until the backends of a killed postmaster are gone, and with them its shared memory; then its pid file may go.

        They notice by themselves unless busy computing: those are asked, by the signal that their postmaster would have sent.
        The file must go, for its number may be a stranger's by now, whom PostgreSQL would take for a living postmaster.
        """
        begun = time.monotonic()
        asked = False
        while pids := self.folder.server_processes():
            waited_s = time.monotonic() - begun
            if waited_s > _LEFTOVER_SECONDS:
                cluster = self.folder.cluster
                raise ServerFailed(f"processes {pids} of a killed PostgreSQL still use {cluster}: end them (kill -QUIT)")
            if waited_s > _LEFTOVER_SECONDS / 4 and not asked:
                asked = True
                for pid in pids:
                    _send(pid, signal.SIGQUIT)
            time.sleep(0.01)
        if Path("/proc/self").exists():
            (self.folder.cluster / "postmaster.pid").unlink(missing_ok=True)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # gone meanwhile: what we wanted
        os.kill(pid, number)

"""Child processes as a service manager keeps them: started, awaited, started again on the same data when they die, stopped.

Each child runs in a session of its own, so that Ctrl-C reaches this process alone and it decides who stops when. A child that
outlives this process all the same is told by `--parent` whom to watch.
"""

import asyncio
import contextlib
import json
import os
import signal
import sysconfig
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from fare_chain.errors import FareChainError, Unknown

T = TypeVar("T")

READY_S = 90.0
"""How long a child may take until it is ready for the first time: a slow disk, a new database."""
STOP_S = 20.0
"""How long a child may take to stop when asked; then it is killed."""
QUICK_S = 5.0
"""A child that dies younger than this died quickly."""
MOST_QUICK_DEATHS = 5
"""How often in a row it may; then somebody has to read its log."""
_LOOK_S = 0.05
_LOG_LINES = 12


class ChildFailed(FareChainError):
    """A child that does not start, or dies again and again; the text ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Role:
    """One process to run: its name, its command line, the address that answers 200 once it is ready."""

    name: str
    command: tuple[str, ...]
    health_url: str


@dataclass(slots=True)
class _Child:
    """A role and the process that plays it just now."""

    role: Role
    process: asyncio.subprocess.Process
    launched_at: float
    was_ready: bool = False
    quick_deaths: int = 0
    stopping: bool = False


class Children:
    """The children of this process. Use it from one event loop, and always end with `stop`."""

    def __init__(self, logs: Path, register: Path, say: Callable[[str], None], environment: Mapping[str, str]) -> None:
        """Write each child's output to LOGS/<name>.log and who runs to the JSON file `register`; `say` tells people of restarts."""
        self.restarts: Counter[str] = Counter()
        self._logs = logs
        self._register = register
        self._say = say
        self._environment = dict(environment)
        self._children: dict[str, _Child] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each child, by name."""
        return {name: child.process.pid for name, child in self._children.items()}

    async def start(self, roles: Iterable[Role]) -> None:
        """Start some children together and return once all are ready; ChildFailed where one is not."""
        self._logs.mkdir(parents=True, exist_ok=True)
        started = []
        for role in roles:
            child = _Child(role, await self._launch(role), asyncio.get_running_loop().time())
            self._children[role.name] = child
            self._keepers.append(asyncio.create_task(self._keep(child)))
            started.append(child)
        self._write_register()
        await self.guard(self._all_ready(started))

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work while the children run; ChildFailed ends it as soon as a child cannot be kept."""
        task = asyncio.ensure_future(work)
        try:
            both: set[asyncio.Future[Any]] = {task, self._failure}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await self._failure
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def stop(self, names: Iterable[str] | None = None) -> None:
        """Stop some children (default: all) together: ask, wait, then kill. Stopping twice is no error."""
        wanted = list(self._children) if names is None else list(names)
        stopping = [self._children[name] for name in wanted if name in self._children]
        await asyncio.gather(*(_end(child) for child in stopping))
        for child in stopping:
            self._children.pop(child.role.name, None)
        if not self._children:
            await asyncio.gather(*self._keepers, return_exceptions=True)
        self._write_register()

    async def _launch(self, role: Role) -> asyncio.subprocess.Process:
        with (self._logs / f"{role.name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *role.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment,
            )

    async def _keep(self, child: _Child) -> None:
        """Wait for the child's end, and unless it was asked to stop, start it again."""
        while True:
            code = await child.process.wait()
            if child.stopping:
                return
            lived_s = asyncio.get_running_loop().time() - child.launched_at
            child.quick_deaths = child.quick_deaths + 1 if lived_s < QUICK_S else 0
            if not child.was_ready or child.quick_deaths > MOST_QUICK_DEATHS:
                self._give_up(child, _how_it_ended(code))
                return
            self.restarts[child.role.name] += 1
            self._say(f"{child.role.name} {_how_it_ended(code)}: it is started again on the same data")
            child.launched_at = asyncio.get_running_loop().time()
            try:
                child.process = await self._launch(child.role)
            except OSError as error:
                self._give_up(child, f"cannot be started again ({error.strerror})")
                return
            await self._end_if_stopping(child)
            self._write_register()

    @staticmethod
    async def _end_if_stopping(child: _Child) -> None:
        """End a child that was asked to stop while it was being started: who asked knows nothing of the new process."""
        if child.stopping:
            await _end(child)

    def _give_up(self, child: _Child, how: str) -> None:
        log = self._logs / f"{child.role.name}.log"
        if not self._failure.done():
            self._failure.set_exception(ChildFailed(f"{child.role.name} {how}; the end of {log}:\n{_tail(log)}"))
            self._failure.exception()  # whoever guards will see it; if nobody does, that is no error of its own

    async def _all_ready(self, children: Iterable[_Child]) -> None:
        async with httpx2.AsyncClient(timeout=2.0, trust_env=False) as client, asyncio.TaskGroup() as waiting:
            for child in children:
                waiting.create_task(self._ready(child, client))

    async def _ready(self, child: _Child, client: httpx2.AsyncClient) -> None:
        """Ask until the child says that it is ready; after READY_S everything is given up."""
        ends_at = asyncio.get_running_loop().time() + READY_S
        while asyncio.get_running_loop().time() < ends_at:
            with contextlib.suppress(httpx2.TransportError):
                if (await client.get(child.role.health_url)).status_code == 200:
                    child.was_ready = True
                    return
            await asyncio.sleep(_LOOK_S)
        self._give_up(child, f"is not ready after {READY_S:.0f} s")
        await asyncio.Event().wait()  # `guard` ends this task

    def _write_register(self) -> None:
        """Say in a file who runs under which process id, for whoever wants to look at one, or kill it."""
        running = {name: {"pid": child.process.pid, "health": child.role.health_url} for name, child in self._children.items()}
        draft = self._register.with_suffix(".tmp")
        draft.write_text(json.dumps(running, indent=2) + "\n", encoding="utf-8")
        draft.replace(self._register)


def program() -> str:
    """The path of `fare-chain` as installed beside this Python; Unknown where it is not."""
    path = Path(sysconfig.get_path("scripts")) / "fare-chain"
    if not path.is_file():
        raise Unknown(f"there is no {path}: install this project into the environment that runs it (make install)")
    return str(path)


async def _end(child: _Child) -> None:
    """Ask one child to stop; kill it if it does not."""
    child.stopping = True
    for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
        _signal(child.process, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.process.wait(), patience_s)
            return


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _how_it_ended(code: int) -> str:
    """Say a return code in words: a negative one is the signal that ended the process."""
    if code >= 0:
        return f"ended with code {code}"
    names = {int(known): known.name for known in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}"


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])

"""A city's gates as one process: serve until told to stop, or until the process that started it is gone."""

import asyncio
import gc
import os
import signal
import sys

import structlog
import uvicorn
from starlette.types import ASGIApp

PARENT_LOOK_S = 1.0
LONGEST_GOODBYE_S = 3

_log = structlog.get_logger("gates")


def serve(app: ASGIApp, *, host: str, port: int, parent: int | None = None) -> None:
    """Answer until SIGTERM, SIGINT, or the end of the process `parent`; then let the app seal what it holds and return."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=LONGEST_GOODBYE_S,
    )
    server = uvicorn.Server(config)
    # Heard before uvicorn listens itself; and it raises the signal again once it has stopped, which then is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    # What is there now stays: the collector need not walk over it while gates wait.
    gc.freeze()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve_for(server, parent))
    if not server.started:
        sys.exit(1)


async def _serve_for(server: uvicorn.Server, parent: int | None) -> None:
    watch = asyncio.create_task(_stop_without(server, parent)) if parent is not None else None
    await server.serve()
    if watch is not None:
        watch.cancel()


async def _stop_without(server: uvicorn.Server, parent: int) -> None:
    """Ask the server to stop once the process of that number is gone."""
    is_ours = os.getppid() == parent
    while _is_there(parent, is_ours=is_ours):  # noqa: ASYNC110  no event tells of another process's end
        await asyncio.sleep(PARENT_LOOK_S)
    _log.warning("the process that started these gates is gone: sealing and stopping", parent=parent)
    server.should_exit = True


def _is_there(process: int, *, is_ours: bool) -> bool:
    """Tell whether a process lives. A dead parent's number could be another's soon; but then we have another parent."""
    if is_ours:
        return os.getppid() == process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

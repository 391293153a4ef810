"""A PostgreSQL connection that breaks at a chosen message: the durable steps of a house, counted and made to fail on the wire.

It stands between a house and a real server and reads the frontend's messages. A step is a message at which the server does
something that may last: a simple query, an extended one (at its Sync), a piece of COPY data, the end of a COPY. At the chosen
step it either swallows the message (nothing was kept) or passes it on, waits for the server's answer and swallows that (all was
kept, and nobody was told); then it calls `strike` and the connection is gone.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from sqlalchemy import make_url

SOCKET = ".s.PGSQL.5432"
_SSL_REQUEST = 80877103
_LASTS_NOT = ("SELECT", "SHOW", ";", "BEGIN", "ROLLBACK", "DEALLOCATE", "DISCARD", "RESET", "WITH", "SET")
Moment = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Fault:
    """At which durable step the connection breaks, and whether the server still had that step."""

    step: int
    moment: Moment
    strike: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Wire:
    """The socket between; `steps` names every durable step that went over it, in order."""

    upstream: str
    folder: Path
    fault: Fault | None = None
    steps: list[str] = field(default_factory=list)
    broken: bool = False
    _server: asyncio.Server | None = None
    _links: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where a house finds the database through this wire."""
        return (
            make_url(self.upstream)
            .set(host=None, port=None)
            .update_query_dict({"host": str(self.folder)})
            .render_as_string(hide_password=False)
        )

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._connected, self.folder / SOCKET)
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links)
        await self._server.wait_closed()
        (self.folder / SOCKET).unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        server_reader, server_writer = await self._open()
        try:
            await _Link(self, reader, writer, server_reader, server_writer).run()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # one side has left, or the telling is over
        finally:
            self._links.discard(task)
            writer.transport.abort()
            server_writer.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = make_url(self.upstream)
        host = url.host or str(url.query["host"])
        port = url.port or int(str(url.query.get("port", 5432)))
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    def count(self, label: str) -> Moment | None:
        """Count a durable step; when it is the one that fails, say how."""
        number = len(self.steps)
        self.steps.append(label)
        return self.fault.moment if self.fault is not None and self.fault.step == number and not self.broken else None

    def strike(self) -> None:
        """The step has failed."""
        self.broken = True
        if self.fault is not None:
            self.fault.strike()


@dataclass(slots=True)
class _Link:
    """One connection, read message by message both ways."""

    wire: Wire
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server_reader: asyncio.StreamReader
    server_writer: asyncio.StreamWriter
    prepared: dict[bytes, str] = field(default_factory=dict)
    at: str = ""
    written: str = ""
    copying: str = ""
    pieces: int = 0
    withheld: bool = False
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Pass messages until one side leaves or the step has come."""
        await self._start_up()
        sides = [asyncio.create_task(self._answers()), asyncio.create_task(self._questions())]
        try:
            done, _left = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            for side in done:
                side.result()
        finally:
            for side in sides:
                side.cancel()
            await asyncio.gather(*sides, return_exceptions=True)

    async def _start_up(self) -> None:
        while True:
            head = await self.reader.readexactly(8)
            rest = await self.reader.readexactly(int.from_bytes(head[:4]) - 8)
            if int.from_bytes(head[4:]) != _SSL_REQUEST:
                break
            self.writer.write(b"N")
        self.server_writer.write(head + rest)

    async def _questions(self) -> None:
        while True:
            kind, data = await _message(self.reader)
            label = self._label(kind, data)
            moment = self.wire.count(label) if label else None
            if moment == "before":
                self.wire.strike()
                return
            self.withheld = moment == "after"
            self.server_writer.write(kind + (len(data) + 4).to_bytes(4) + data)
            await self.server_writer.drain()
            if moment == "after":
                if kind != b"d":  # nothing answers a piece of COPY data
                    await asyncio.wait_for(self.answered.wait(), 30)
                self.wire.strike()
                return

    async def _answers(self) -> None:
        while True:
            kind, data = await _message(self.server_reader)
            if self.withheld:
                if kind in b"ZG":  # ready for the next query; ready for COPY data
                    self.answered.set()
                continue
            self.writer.write(kind + (len(data) + 4).to_bytes(4) + data)

    def _label(self, kind: bytes, data: bytes) -> str:
        """The name of the durable step that this message is; "" for every other message."""
        if kind == b"P":
            name, sql, _rest = data.split(b"\0", 2)
            self.prepared[name] = sql.decode()
        elif kind == b"B":
            _portal, statement, _rest = data.split(b"\0", 2)
            self.at = _words(self.prepared[statement])
        elif kind == b"Q":
            return self._query(_words(data.rstrip(b"\0").decode()))
        elif kind == b"S":
            self.written = self.at or self.written
            return self.at
        elif kind == b"d":
            self.pieces += 1
            return f"{self.copying}, piece {self.pieces}"
        elif kind == b"c":
            return f"{self.copying}, end"
        return ""

    def _query(self, words: str) -> str:
        """A simple query: a commit is named for the last thing that was written before it, and is nothing where nothing was."""
        if words == "COMMIT":
            written, self.written = self.written, ""
            return f"COMMIT of {written}" if written else ""
        self.copying, self.pieces, self.written = words, 0, words or self.written
        return words


def _words(sql: str) -> str:
    """What a statement does, in two or three words; "" where nothing of it lasts."""
    verb = sql.lstrip().split(None, 1)[0].upper() if sql.strip() else ";"
    if verb.startswith(_LASTS_NOT):
        return ""
    found = re.match(
        r'\s*(INSERT INTO|UPDATE|DELETE FROM|COPY|CREATE \w+|ALTER \w+)\s+(?:"?public"?\.)?"?(\w+)', sql, re.IGNORECASE
    )
    return " ".join(found.groups()) if found else verb.strip(";")


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(int.from_bytes(head[1:]) - 4)

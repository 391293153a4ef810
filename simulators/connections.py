"""Connections to one HTTP server that stay open: as little client as posting thousands of scans a second allows.

A general client takes a millisecond of CPU for a request, several times what the gate takes to decide on it; on a machine that
plays riders, gates and house together, that is time taken from what is measured. This one speaks just enough HTTP/1.1 for our own
servers: one request at a time on a connection, answers with a Content-Length.
"""

import asyncio
import re
from typing import NamedTuple, cast
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_STATUS = slice(9, 12)  # of b"HTTP/1.1 200 OK"


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    content: bytes


class Connections:
    """Open connections to one server; as many as requests are made at a time."""

    def __init__(self, url: str, *, wait_s: float) -> None:
        """Talk to the server at `url` (http, host and port); an answer may take `wait_s` seconds."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._head = f"Host: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: ".encode("ascii")
        self._wait_s = wait_s
        self._idle: list[_Connection] = []

    def close(self) -> None:
        """Close them all."""
        while self._idle:
            self._idle.pop().abort()

    async def post(self, path: str, body: bytes) -> Answer:
        """Post JSON and wait for the answer; OSError where there is none, and nobody can say whether the server acted on it."""
        request = b"POST %b HTTP/1.1\r\n%b%d\r\n\r\n%b" % (path.encode("ascii"), self._head, len(body), body)
        async with asyncio.timeout(self._wait_s):
            connection = await self._connection()
            try:
                answer = await connection.ask(request)
            except BaseException:
                connection.abort()  # a late answer must not be taken for the next request's
                raise
        self._idle.append(connection)
        return answer

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return connection


class _Connection(asyncio.Protocol):
    """One connection, and the answer that is awaited on it."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._awaited: asyncio.Future[Answer] | None = None

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request; its answer is to come."""
        self._received = b""
        self._awaited = asyncio.get_running_loop().create_future()
        if self._transport is None or not self.is_open:
            self._awaited.set_exception(ConnectionResetError("the server has closed the connection"))
        else:
            self._transport.write(request)
        return self._awaited

    def abort(self) -> None:
        """Close at once."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport, self.is_open = cast("asyncio.Transport", transport), True  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        """Take what came, until the answer is whole."""
        self._received += data
        head, ended, content = self._received.partition(b"\r\n\r\n")
        if not ended or self._awaited is None or self._awaited.done():
            return
        length = _LENGTH.search(head + b"\r\n")
        if length is None:
            self._awaited.set_exception(ConnectionError("the answer does not say its length"))
        elif len(content) >= int(length[1]):
            self._awaited.set_result(Answer(int(head[_STATUS]), content))

    def connection_lost(self, _error: Exception | None) -> None:
        """End; whoever waits learns that no answer comes."""
        self.is_open = False
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(ConnectionResetError("the connection ended before the answer"))

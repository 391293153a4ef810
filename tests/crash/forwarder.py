"""The scheme's address: a name behind which now one house answers and now another, as with a load balancer or a DNS record."""

import asyncio
import contextlib
import threading


class Forwarder:
    """Passes connections on to `target`, a port of this machine; turned to another port, it cuts those that are open."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(self._listen())

    def turn(self, target: int) -> None:
        """From now on somebody else answers."""
        self.target = target
        self._do(self._cut())

    def close(self) -> None:
        """Stop answering."""
        self._server.close()
        self._do(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()
        while self._open:  # noqa: ASYNC110  the connections take themselves out
            await asyncio.sleep(0.01)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError):
                there, here = await asyncio.open_connection("127.0.0.1", self.target)
                self._open.add(here)
                try:
                    await asyncio.gather(_pass(reader, here), _pass(there, writer))
                finally:
                    here.transport.abort()
                    self._open.discard(here)
        finally:
            writer.transport.abort()
            self._open.discard(writer)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()

"""The smallest client that keeps its connections open, against a server that answers in pieces, late, wrongly or not at all."""

import asyncio

import pytest

from simulators.connections import Answer, Connections

OK = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 4\r\n\r\nopen"


def talk(story, *behaviours, wait_s=2.0):
    """Play a story with a client; the server answers its n-th request with the n-th behaviour, then with OK."""
    seen, connections = [], []

    async def serve(reader, writer):
        connections.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                seen.append(head.split(b"\r\n")[0] + b" " + await reader.readexactly(length))
                for piece in behaviours[len(seen) - 1] if len(seen) <= len(behaviours) else [OK]:
                    if piece is None:
                        return
                    if isinstance(piece, float):
                        await asyncio.sleep(piece)
                    else:
                        writer.write(piece)
                        await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def play():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = Connections(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", wait_s=wait_s)
        try:
            return await story(client)
        finally:
            client.close()
            server.close()
            await asyncio.sleep(0.01)

    return asyncio.run(play()), seen, len(connections)


async def ask_twice(client):
    return [await client.post("/v1/scans", b"first"), await client.post("/v1/scans", b"second")]


async def ask_twice_at_once(client):
    return await asyncio.gather(client.post("/v1/scans", b"first"), client.post("/v1/scans", b"second"))


async def fail_then_ask(client):
    with pytest.raises(OSError):  # noqa: PT011  whatever the system says of it
        await client.post("/v1/scans", b"first")
    return [await client.post("/v1/scans", b"second")]


def test_requests_one_after_the_other_share_a_connection():
    answers, seen, connections = talk(ask_twice)
    assert answers == [Answer(200, b"open")] * 2
    assert seen == [b"POST /v1/scans HTTP/1.1 first", b"POST /v1/scans HTTP/1.1 second"]
    assert connections == 1


def test_requests_at_once_have_a_connection_each():
    answers, _, connections = talk(ask_twice_at_once, [0.05, OK])
    assert (answers, connections) == ([Answer(200, b"open")] * 2, 2)


def test_an_answer_may_come_in_pieces():
    pieces = [part for byte in OK for part in (bytes([byte]), 0.0)]
    assert talk(ask_twice, pieces)[0] == [Answer(200, b"open")] * 2


def test_a_refusal_has_its_status():
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length:0\r\n\r\n"
    assert talk(ask_twice, [refusal])[0] == [Answer(503, b""), Answer(200, b"open")]


@pytest.mark.parametrize(
    "behaviour", [[None], [OK[:30], None], [b"HTTP/1.1 200 OK\r\n\r\nopen"]], ids=["no answer", "half an answer", "no length"]
)
def test_what_is_no_answer_is_an_error_and_the_next_request_has_a_new_connection(behaviour):
    assert talk(fail_then_ask, behaviour)[::2] == ([Answer(200, b"open")], 2)


def test_a_late_answer_is_not_taken_for_that_of_the_next_request():
    late = OK.replace(b"open", b"late")
    assert talk(fail_then_ask, [0.3, late], wait_s=0.1)[::2] == ([Answer(200, b"open")], 2)


def test_a_connection_that_the_server_closed_meanwhile_is_left_alone():
    async def story(client):
        first = await client.post("/v1/scans", b"first")
        await asyncio.sleep(0.05)
        return [first, await client.post("/v1/scans", b"second")]

    assert talk(story, [OK, None])[::2] == ([Answer(200, b"open")] * 2, 2)


def test_nobody_there_is_an_error():
    async def story(client):
        with pytest.raises(OSError):  # noqa: PT011  whatever the system says of it
            await Connections("http://127.0.0.1:9", wait_s=1.0).post("/", b"")

    talk(story)

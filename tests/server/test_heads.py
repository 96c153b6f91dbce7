"""What anybody may send before we know who it is, is bounded."""

import socket
from typing import Any

import pytest
from tests.server.serving import serve

from hutong.server.heads import AT_MOST_BYTES

LINE = b"X-A: " + b"a" * 4000 + b"\r\n"
ENDLESS = 16 * AT_MOST_BYTES


async def count(scope: Any, receive: Any, send: Any) -> None:
    """Answer how long the body is."""
    if scope["type"] != "http":
        return
    taken, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        taken += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(taken).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def told_off(line: socket.socket, start: bytes, piece: bytes) -> bool:
    """True if the other side refuses, or lets go, when piece after piece follows a start."""
    try:
        line.sendall(start + piece * (ENDLESS // len(piece)))
        return line.recv(12) in {b"HTTP/1.1 400", b""}
    except (BrokenPipeError, ConnectionResetError):
        return True


def answer(line: socket.socket, until: bytes) -> bytes:
    """Return what comes until it ends so, or the line ends."""
    got = b""
    while not got.endswith(until) and (piece := line.recv(65_536)):
        got += piece
    return got


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n", LINE, id="many headers"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 4000, id="one header"),
        pytest.param(b"GET /", b"a" * 4000, id="the path"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
            LINE,
            id="trailers",
        ),
    ],
)
def test_what_never_ends_is_cut(start: bytes, piece: bytes) -> None:
    with serve(count) as port, socket.create_connection(("127.0.0.1", port), 10) as line:
        assert told_off(line, start, piece)


def test_usual_heads_and_large_bodies_pass_on_one_line() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\n" + LINE * 3
    whole = head + b"Content-Length: 300000\r\n\r\n" + b"b" * 300_000
    parts = b"".join(b"%x\r\n%s\r\n" % (size, b"c" * size) for size in (1, 70_000, 3))
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\nX-Trailer: 1\r\n\r\n"
    with serve(count) as port, socket.create_connection(("127.0.0.1", port), 10) as line:
        for request, said in ((whole, b"300000"), (chunked, b"70004"), (whole, b"300000")):
            line.sendall(request)
            assert answer(line, said).startswith(b"HTTP/1.1 200")


def test_who_offers_another_protocol_is_answered_in_ours() -> None:
    offered = (
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"
    )
    with serve(count) as port, socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(offered)
        assert answer(line, b"2").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n", b"400"),
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_a_request_names_one_host(head: bytes, status: bytes) -> None:
    with serve(count) as port, socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(head)
        assert line.recv(12) == b"HTTP/1.1 " + status

"""The transport passes an answer on while it is still being made, and lets the app go when nobody listens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from hutong.clients.portal.inprocess import InProcess

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Endless:
    """An app that streams until its caller leaves."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.sent = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        try:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["raw_path"])]}
            )
            while True:
                await send({"type": "http.response.body", "body": b"beat\n", "more_body": True})
                self.sent += 1
        finally:
            self.over.set()


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": scope["query_string"] + b"|" + body})
    background.set()


async def silent(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Ends without an answer."""


async def broken(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ValueError("half way")


background = asyncio.Event()


def client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=InProcess(app), base_url="http://api")


def test_a_stream_arrives_as_it_is_made_and_ends_when_its_reader_leaves() -> None:
    async def work() -> None:
        app = Endless()
        async with client(app) as http, http.stream("GET", "/a%2Fb") as reply:
            assert reply.headers["x-path"] == "/a%2Fb"
            pieces = reply.aiter_bytes()
            for _ in range(50):
                assert await anext(pieces) == b"beat\n"
            assert app.sent < 100, "the app runs far ahead of its reader"
        await asyncio.wait_for(app.over.wait(), 5)

    asyncio.run(work())


def test_a_plain_call_carries_query_and_body_and_the_app_runs_to_its_end() -> None:
    async def work() -> None:
        async with client(echo) as http:
            reply = await http.post("/", params={"q": "中"}, content="ü".encode())
        assert reply.status_code == 201
        assert reply.content == b"q=%E4%B8%AD|" + "ü".encode()
        assert background.is_set()

    asyncio.run(work())


def test_an_app_that_fails_fails_where_its_answer_is_read() -> None:
    async def work() -> None:
        async with client(silent) as http:
            with pytest.raises(httpx2.RemoteProtocolError):
                await http.get("/")
        async with client(broken) as http:
            with pytest.raises(ValueError, match="half way"):
                await http.get("/")

    asyncio.run(work())

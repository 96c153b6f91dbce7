"""A transport that calls an ASGI app in this process and passes the answer on while it is still being made.

httpx2's own ASGITransport hands an answer over once it is complete, so a stream without an end never arrives.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx2

Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
_PIECES_AHEAD = 8


class InProcess(httpx2.AsyncBaseTransport):
    """Sends requests to `app`; closing an answer early tells the app that its caller has left."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Start the app on the request; return as soon as it has sent its status and headers."""
        run = _Run(await request.aread())
        run.task = asyncio.create_task(run.serve(self._app, _scope(request)))
        first = await run.next()
        if first is None:
            await run.aclose()
            raise httpx2.RemoteProtocolError("the app ended without an answer", request=request)
        return httpx2.Response(first["status"], headers=list(first.get("headers", [])), stream=run)


def _scope(request: httpx2.Request) -> dict[str, Any]:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 0),
        "root_path": "",
        "state": {},
    }


class _Run(httpx2.AsyncByteStream):
    """One call of the app: a bounded queue between what it sends and who reads."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(_PIECES_AHEAD)
        self._left = asyncio.Event()
        self._whole = False
        self.task: asyncio.Task[None] | None = None

    async def serve(self, app: AsgiApp, scope: dict[str, Any]) -> None:
        """Run the app to its end; what it raises before its answer is whole is raised where that is read."""
        try:
            await app(scope, self._receive, self._messages.put)
        finally:
            if not self._left.is_set():
                await self._messages.put(None)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> Message | None:
        """Return the app's next message; None at its end. Raises what the app raised."""
        message = await self._messages.get()
        if message is None and self.task is not None:
            await self.task
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._whole and (message := await self.next()) is not None:
            self._whole = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def aclose(self) -> None:
        """Tell the app that nobody reads any more; one that has not answered in full is cancelled."""
        self._left.set()
        if self.task is None or self.task.done():
            return
        if not self._whole:
            self.task.cancel()
        await asyncio.wait([self.task])

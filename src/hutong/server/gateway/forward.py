"""One HTTP request to a job and its answer, streamed both ways; h11 frames what is sent on, never we."""

import asyncio
from collections.abc import AsyncIterator

import httpcore2
from starlette.types import Receive, Scope, Send

from hutong.server.gateway.admission import Admission, Turned
from hutong.server.gateway.headers import homeward, onward
from hutong.server.gateway.streams import host_of

_TIMEOUTS = {"connect": 20.0, "pool": 30.0, "write": 120.0, "read": 3_600.0}


async def forward_http(
    pool: httpcore2.AsyncConnectionPool,
    admission: Admission,
    scope: Scope,
    receive: Receive,
    send: Send,
    scheme: str,
) -> None:
    """Send a request on and its answer back.

    Raises Turned where there is none, Refused or Later from the tunnel, ConnectionError if it breaks off.
    """
    body = _Body(receive)
    answer = asyncio.ensure_future(_exchange(pool, _request(admission, scope, scheme, body), send))
    gone = asyncio.ensure_future(body.gone())
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            answer.result()
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


def _request(admission: Admission, scope: Scope, scheme: str, body: "_Body") -> httpcore2.Request:
    raw: bytes = scope["raw_path"]
    if not raw.startswith(b"/") and raw != b"*":
        raise Turned(400, "请求无法理解。", "The request names another host in its first line.")
    query: bytes = scope["query_string"]
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    client = scope["client"][0] if scope.get("client") else ""
    return httpcore2.Request(
        scope["method"],
        httpcore2.URL(
            scheme=b"http",
            host=host_of(admission.to.key, admission.to.site).encode(),
            port=admission.to.port,
            target=raw + (b"?" + query if query else b""),
        ),
        headers=onward(scope["headers"], client=client, scheme=scheme, host=host),
        content=body.chunks(),
        extensions={"timeout": _TIMEOUTS},
    )


async def _exchange(pool: httpcore2.AsyncConnectionPool, request: httpcore2.Request, send: Send) -> None:
    try:
        response = await pool.handle_async_request(request)
    except httpcore2.LocalProtocolError as error:
        raise Turned(400, "请求无法理解。", f"The request cannot be sent on: {error}") from error
    except httpcore2.TimeoutException as error:
        raise Turned(504, "作业没有回答。", "The job did not answer in time.", again_s=5) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        text = str(error) or type(error).__name__
        raise Turned(
            502, f"作业的回答无法理解：{text}", f"The job did not answer well: {text}", again_s=5
        ) from error
    try:
        headers = homeward(response.headers)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        async for chunk in response.aiter_stream():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
        raise ConnectionError("the job's answer broke off") from error
    finally:
        await response.aclose()


class _Body:
    """The body of a request as it comes; afterwards, whether who asked is still there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Return the body in parts; raises ConnectionError if it breaks off."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the request broke off")
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                self._read.set()
                return

    async def gone(self) -> None:
        """Return once the body was read and who asked has left."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            continue

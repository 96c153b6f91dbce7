"""The awaited sender: calls, retries and streams over one asynchronous httpx2 client."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from hutong.clients.sdk import call as c
from hutong.clients.sdk.blocking import CHUNK_BYTES, STREAM_SILENCE_S, pieces
from hutong.clients.sdk.faults import may_repeat, unreachable
from hutong.clients.sdk.streams import FAILURES_AT_MOST, Stream
from hutong.clients.sdk.verbs import AsyncSender
from hutong.core.kernel.errors import Later

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class AwaitedSender(AsyncSender):
    """Sends calls, any number at once; what is harmless to repeat is repeated when the platform is away."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float,
        trials: int,
        transport: httpx2.AsyncBaseTransport | None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, 5.0))
        self._http = httpx2.AsyncClient(base_url=url, timeout=timeout, transport=transport, trust_env=False)
        self._token = token
        self._trials = trials
        self._pause = pause

    async def do(self, call: c.Call[Answer]) -> Answer:
        """Return the answer; raises the kernel's errors, `Later` where the platform cannot be reached."""
        key = (call.key or secrets.token_hex(16)) if call.keyed else ""
        trial = 0
        while True:
            trial += 1
            try:
                reply = await self._http.send(self._request(call, key))
            except httpx2.TransportError as err:
                if trial >= self._trials or not may_repeat(call, err):
                    raise unreachable(self._http.base_url, err) from err
                await self._pause(c.pause_s(trial))
                continue
            if c.is_answer(reply.status_code, reply.headers):
                return call.read(reply.content)
            error = c.error_of(reply.status_code, reply.content, reply.headers)
            if trial >= self._trials or not isinstance(error, Later) or not call.repeatable:
                raise error
            await self._pause(c.pause_s(trial, error.after_s))

    async def download(self, call: c.Call[bytes]) -> AsyncIterator[bytes]:
        """Yield a body piece by piece."""
        try:
            reply = await self._http.send(self._request(call, ""), stream=True)
            try:
                await _raise_for(reply)
                async for piece in reply.aiter_bytes(CHUNK_BYTES):
                    yield piece
            finally:
                await reply.aclose()
        except httpx2.TransportError as err:
            raise unreachable(self._http.base_url, err) from err

    async def listen(self, stream: Stream[Item]) -> AsyncIterator[Item]:
        """Yield a stream's items to its end, taking it up again after each break."""
        failures = 0
        while not stream.over:
            failures += 1
            try:
                async for item in self._listen_once(stream):
                    failures = 0
                    yield item
            except (httpx2.TransportError, Later) as err:
                if failures >= FAILURES_AT_MOST:
                    raise unreachable(self._http.base_url, err) from err
            if not stream.over:
                await self._pause(c.pause_s(min(failures, 3)))

    async def _listen_once(self, stream: Stream[Item]) -> AsyncIterator[Item]:
        request = self._request(stream.call(), "")
        request.headers["Accept"] = "text/event-stream"
        request.extensions["timeout"] = httpx2.Timeout(STREAM_SILENCE_S, connect=5.0).as_dict()
        reply = await self._http.send(request, stream=True)
        try:
            await _raise_for(reply)
            async for event in httpx2.EventSource(reply):
                item = stream.take(event.event, event.data)
                if item is not None:
                    yield item
                if stream.over:
                    return
        finally:
            await reply.aclose()

    def _request(self, call: c.Call[Any], key: str) -> httpx2.Request:
        headers = c.headers_of(call, self._token, key)
        body = _awaited_pieces(call.body) if isinstance(call.body, Path) else call.body
        params = call.query or None
        return self._http.build_request(call.method, call.path, params=params, headers=headers, content=body)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _awaited_pieces(path: Path) -> AsyncIterator[bytes]:
    for piece in pieces(path):
        yield piece


async def _raise_for(reply: httpx2.Response) -> None:
    if reply.status_code >= 400:
        raise c.error_of(reply.status_code, await reply.aread(), reply.headers)

"""The blocking sender: calls, retries and streams over one httpx2 client."""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from hutong.clients.sdk import call as c
from hutong.clients.sdk.faults import may_repeat, unreachable
from hutong.clients.sdk.streams import FAILURES_AT_MOST, Stream
from hutong.clients.sdk.verbs import Sender
from hutong.core.kernel.errors import Later

Answer = TypeVar("Answer")
Item = TypeVar("Item")

CHUNK_BYTES = 1 << 16
STREAM_SILENCE_S = 35.0  # the platform gives a sign of life every ten seconds


class BlockingSender(Sender):
    """Sends calls one after the other; what is harmless to repeat is repeated when the platform is away."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float,
        trials: int,
        transport: httpx2.BaseTransport | None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, 5.0))
        self._http = httpx2.Client(base_url=url, timeout=timeout, transport=transport, trust_env=False)
        self._token = token
        self._trials = trials
        self._pause = pause

    def do(self, call: c.Call[Answer]) -> Answer:
        """Return the answer; raises the kernel's errors, `Later` where the platform cannot be reached."""
        key = (call.key or secrets.token_hex(16)) if call.keyed else ""
        trial = 0
        while True:
            trial += 1
            try:
                reply = self._http.send(self._request(call, key))
            except httpx2.TransportError as err:
                if trial >= self._trials or not may_repeat(call, err):
                    raise unreachable(self._http.base_url, err) from err
                self._pause(c.pause_s(trial))
                continue
            if c.is_answer(reply.status_code, reply.headers):
                return call.read(reply.content)
            error = c.error_of(reply.status_code, reply.content, reply.headers)
            if trial >= self._trials or not isinstance(error, Later) or not call.repeatable:
                raise error
            self._pause(c.pause_s(trial, error.after_s))

    def download(self, call: c.Call[bytes]) -> Iterator[bytes]:
        """Yield a body piece by piece."""
        try:
            reply = self._http.send(self._request(call, ""), stream=True)
            try:
                _raise_for(reply)
                yield from reply.iter_bytes(CHUNK_BYTES)
            finally:
                reply.close()
        except httpx2.TransportError as err:
            raise unreachable(self._http.base_url, err) from err

    def listen(self, stream: Stream[Item]) -> Iterator[Item]:
        """Yield a stream's items to its end, taking it up again after each break."""
        failures = 0
        while not stream.over:
            failures += 1
            try:
                for item in self._listen_once(stream):
                    failures = 0
                    yield item
            except (httpx2.TransportError, Later) as err:
                if failures >= FAILURES_AT_MOST:
                    raise unreachable(self._http.base_url, err) from err
            if not stream.over:
                self._pause(c.pause_s(min(failures, 3)))

    def _listen_once(self, stream: Stream[Item]) -> Iterator[Item]:
        request = self._request(stream.call(), "")
        request.headers["Accept"] = "text/event-stream"
        request.extensions["timeout"] = httpx2.Timeout(STREAM_SILENCE_S, connect=5.0).as_dict()
        reply = self._http.send(request, stream=True)
        try:
            _raise_for(reply)
            for event in httpx2.EventSource(reply):
                item = stream.take(event.event, event.data)
                if item is not None:
                    yield item
                if stream.over:
                    return
        finally:
            reply.close()

    def _request(self, call: c.Call[Any], key: str) -> httpx2.Request:
        headers = c.headers_of(call, self._token, key)
        body = pieces(call.body) if isinstance(call.body, Path) else call.body
        params = call.query or None
        return self._http.build_request(call.method, call.path, params=params, headers=headers, content=body)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


def _raise_for(reply: httpx2.Response) -> None:
    if reply.status_code >= 400:
        raise c.error_of(reply.status_code, reply.read(), reply.headers)

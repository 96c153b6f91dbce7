"""Tunnels as connections of an HTTP client: one pool for all jobs, whose host names say which job."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NoReturn

import httpcore2
import httpx2

from hutong.core.kernel.errors import HutongError
from hutong.core.kernel.ids import AttemptKey, SiteId
from hutong.server.gateway.tunnels import Reach, Tunnels

TUNNEL = "tunnel"  # the last part of host names that are no host names
_KEEP_S = 60.0
_IDLE_MOST = 400


class SocketStream(httpcore2.AsyncNetworkStream):
    """A connected, non-blocking socket as the HTTP client wants it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come, empty at the end."""
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.get_running_loop().sock_recv(self._sock, max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout("the job does not answer") from error
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_sendall(self._sock, buffer)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout("the job does not read") from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Hang up."""
        self._sock.close()

    async def start_tls(self, *_: object, **__: object) -> NoReturn:
        """Refuse: what lies in a tunnel is the job's own plain protocol."""
        raise httpcore2.UnsupportedProtocol("a tunnel has no TLS of its own")

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the client's own protocol
        """Say whether the other side has hung up, which is all that the pool asks."""
        if info != "is_readable":
            return None
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


class TunnelBackend(httpcore2.AsyncNetworkBackend):
    """Connects to `<attempt key>.<site>.tunnel`."""

    def __init__(self, tunnels: Tunnels) -> None:
        self._tunnels = tunnels

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - the client's own protocol
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> SocketStream:
        """Open a tunnel; raises Refused or Later as the tunnel does."""
        key, site, _ = host.split(".")
        to = Reach(SiteId(site), AttemptKey(key), 0, port)
        return SocketStream(await (self._tunnels.open(to, timeout) if timeout else self._tunnels.open(to)))

    async def sleep(self, seconds: float) -> None:
        """Wait, between tries."""
        await asyncio.sleep(seconds)


def host_of(key: str, site: str) -> str:
    """Return the name by which the pool knows an attempt."""
    return f"{key}.{site}.{TUNNEL}"


def open_pool(tunnels: Tunnels, most: int) -> httpcore2.AsyncConnectionPool:
    """Return a pool of at most `most` connections through tunnels; idle ones are kept for a minute."""
    return httpcore2.AsyncConnectionPool(
        max_connections=most,
        max_keepalive_connections=_IDLE_MOST,
        keepalive_expiry=_KEEP_S,
        network_backend=TunnelBackend(tunnels),
    )


class TunnelTransport(httpx2.AsyncBaseTransport):
    """The same pool for the client that asks models."""

    def __init__(self, pool: httpcore2.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request through a tunnel."""
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            raise httpx2.UnsupportedProtocol("a request of this client is asynchronous")
        asked = httpcore2.Request(
            request.method,
            httpcore2.URL(
                scheme=b"http",
                host=request.url.raw_host,
                port=request.url.port or 80,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _in_its_words(request):
            answer = await self._pool.handle_async_request(asked)
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Body(answer, request), extensions=answer.extensions
        )


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response, request: httpx2.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _in_its_words(self._request):
            async for chunk in self._answer.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextlib.contextmanager
def _in_its_words(request: httpx2.Request) -> Iterator[None]:
    """Turn what the pool and the tunnels raise into what the client's callers expect."""
    try:
        yield
    except HutongError as error:
        raise httpx2.ConnectError(str(error), request=request) from error
    except (httpcore2.ConnectTimeout, httpcore2.PoolTimeout, httpcore2.ConnectError) as error:
        raise httpx2.ConnectError(str(error), request=request) from error
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(str(error), request=request) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise httpx2.ReadError(str(error), request=request) from error

"""Streams to jobs: calls a site's agent, and joins the WebSocket it opens with who waits here for it."""

import asyncio
import secrets
import socket
from dataclasses import dataclass

import structlog
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from hutong.adapters.identity.tokens import digest_secret, looks_like_secret
from hutong.adapters.tunnel.pump import carry
from hutong.core.book.store import Dial
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey, SiteId
from hutong.server.services import Services
from hutong.wire.agent import DialAnswer

PATH = "/v1/tunnels/"
_DIAL_S = 20.0
_WAITING_MOST = 2_000
_log = structlog.get_logger("hutong.gateway")


@dataclass(frozen=True, slots=True)
class Reach:
    """What is called for: a port of the attempt's rank, or a command beside it (port 0)."""

    site: SiteId
    key: AttemptKey
    rank: int
    port: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    site: SiteId
    came: asyncio.Future[socket.socket]


class Messages:
    """A server's WebSocket as messages."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def receive(self) -> bytes | str | None:
        """Return the next message, None once the other side has closed."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        data: bytes | str | None = message.get("bytes")
        return data if data is not None else str(message.get("text", ""))

    async def send(self, message: bytes | str) -> None:
        """Send a message; raises ConnectionError if the line is down."""
        body = {"bytes": message} if isinstance(message, bytes) else {"text": message}
        try:
            await self._send({"type": "websocket.send", **body})
        except OSError as error:  # the server says by its own kinds of it that the client has gone
            raise ConnectionError("the line is down") from error


class Tunnels:
    """Lives in one event loop. `open` is for those who want a stream, `serve` answers agents."""

    def __init__(self, here: Services) -> None:
        self._here = here
        self._waiting: dict[str, _Waiting] = {}

    async def open(self, to: Reach, within_s: float = _DIAL_S) -> socket.socket:
        """Return a stream to a job, non-blocking; its end ends the tunnel.

        Raises Refused if the site says that it cannot be, Later if the site does not call back in time.
        """
        if len(self._waiting) >= _WAITING_MOST:
            raise Later("too many connections are being made; try again in a moment", 2)
        name = secrets.token_urlsafe(24)
        came: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        self._waiting[name] = _Waiting(to.site, came)
        try:
            async with asyncio.timeout(within_s):
                await asyncio.to_thread(self._dial, name, to, int(within_s * 1000))
                return await came
        except TimeoutError as error:
            raise Later(
                f"site {to.site} does not answer the call to its job; it may be out of reach", 5
            ) from error
        except BaseException:
            if came.done() and not came.cancelled() and came.exception() is None:
                came.result().close()
            raise
        finally:
            self._waiting.pop(name, None)
            came.cancel()

    def _dial(self, name: str, to: Reach, within_ms: int) -> None:
        now_ms = self._here.clock()
        url = self._here.settings.tunnel_address
        self._here.store.dial(Dial(name, to.site, to.key, to.rank, to.port, url, now_ms + within_ms), now_ms)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an agent's WebSocket: with its site's token, for a call that still waits."""
        await receive()
        name = scope["path"].removeprefix(PATH)
        site = await self._site_of(scope)
        waiting = self._waiting.get(name)
        if site is None or waiting is None or waiting.site != site:
            # One answer for all: who guesses learns nothing.
            await send({"type": "websocket.close", "code": 1008})
            return
        del self._waiting[name]
        await send({"type": "websocket.accept"})
        messages = Messages(receive, send)
        error = _read_answer(await messages.receive())
        if error or waiting.came.done():
            if not waiting.came.done():
                waiting.came.set_exception(Refused("not_reached", error))
            await send({"type": "websocket.close", "code": 1000})
            return
        ours, theirs = socket.socketpair()
        for each in (ours, theirs):
            each.setblocking(False)
        waiting.came.set_result(theirs)
        await carry(messages, ours)
        await _close(send)

    async def _site_of(self, scope: Scope) -> str | None:
        scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not looks_like_secret(secret.strip()):
            return None
        digest, now_ms = digest_secret(secret.strip()), self._here.clock()
        principal = self._here.principals.recall(digest, now_ms)
        if principal is None:
            principal = await asyncio.to_thread(self._here.principals.find, digest, now_ms)
        return principal.site if principal is not None and principal.may("agent.call") else None


def _read_answer(message: bytes | str | None) -> str:
    if message is None:
        return "the site's agent hung up"
    try:
        return DialAnswer.model_validate_json(message).error
    except ValidationError:
        return "the site's agent speaks another language: upgrade it"


async def _close(send: Send) -> None:
    try:
        await send({"type": "websocket.close", "code": 1000})
    except (OSError, RuntimeError):  # it is closed already
        _log.debug("a tunnel was closed by the other side first")

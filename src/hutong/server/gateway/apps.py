"""Jobs' own pages: each job has a host of its own, whose requests are checked and sent through its tunnel."""

import asyncio
import html
import re
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import httpcore2
import structlog
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from hutong.core.kernel.errors import Denied, HutongError, Later
from hutong.server.gateway.admission import Admission, Gatekeeper, Turned, stranger, while_right
from hutong.server.gateway.forward import forward_http
from hutong.server.gateway.headers import is_foreign, visit_cookie, visits_of
from hutong.server.gateway.sockets import forward_socket
from hutong.server.gateway.tunnels import Tunnels
from hutong.server.guests import ENTER, VISIT_MS, swap_ticket
from hutong.server.services import Services

_STREAMS_OF_A_JOB = 256
_REQUESTS_PER_S = 200
_BURST = 600
_JOBS_COUNTED = 5_000
_LABEL = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")
_log = structlog.get_logger("hutong.gateway")


class Apps:
    """Answers what comes for `<job>.<apps domain>`; lives in one event loop."""

    def __init__(self, here: Services, tunnels: Tunnels, pool: httpcore2.AsyncConnectionPool) -> None:
        self._here = here
        self._tunnels = tunnels
        self._pool = pool
        self._gate = Gatekeeper(here)
        self._domain = here.settings.apps.partition(":")[0]
        self._scheme = here.settings.gateway_address.partition("://")[0]
        self._open: Counter[str] = Counter()
        self._rates: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def job_of(self, scope: Scope) -> str | None:
        """Return the job whose host a request names, or nothing where it is for the gateway itself."""
        host = Headers(scope=scope).get("host", "").rpartition("]")[2].partition(":")[0].lower().rstrip(".")
        label, _, domain = host.partition(".")
        return label.upper() if domain == self._domain and _LABEL.fullmatch(label) else None

    async def answer(self, job: str, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer one HTTP request for a job; returns its status for the log."""
        seen = _Seen(send)
        try:
            if scope["path"] == ENTER:
                await self._enter(job, scope, seen.send)
            else:
                async with self._admitted(job, scope) as admission:
                    work = forward_http(self._pool, admission, scope, receive, seen.send, self._scheme)
                    await while_right(lambda: self._check(admission, scope), work)
        except ConnectionError:
            if seen.status:
                raise
            return 499  # who asked left before there was an answer
        except Turned as turned:
            if seen.status:  # in the middle of an answer the only word left is its end
                raise
            await _send_page(send, turned)
            return turned.status
        return seen.status

    async def answer_socket(self, job: str, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer one WebSocket for a job; returns the status of its opening."""
        try:
            async with self._admitted(job, scope) as admission:
                work = forward_socket(self._tunnels, admission, scope, receive, send, self._scheme)
                await while_right(lambda: self._check(admission, scope), work)
        except Turned as turned:
            await _refuse_socket(send, turned)
            return turned.status
        return 101

    async def _enter(self, job: str, scope: Scope, send: Send) -> None:
        """Swap the ticket of the address line for a cookie, and go on to the job's own first page."""
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        ticket = asked.get("ticket", [""])[0]
        try:
            secret = await asyncio.to_thread(swap_ticket, self._here.store, ticket, job, self._here.clock())
        except Denied as error:
            raise stranger() from error
        secure = self._scheme == "https"
        headers = [
            (b"location", _path(asked.get("next", ["/"])[0])),
            (b"set-cookie", visit_cookie(secret, VISIT_MS // 1000, secure=secure)),
            (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    @asynccontextmanager
    async def _admitted(self, job: str, scope: Scope) -> AsyncIterator[Admission]:
        """Check visit, right and limits; raises Turned."""
        headers, host = scope["headers"], Headers(scope=scope).get("host", "").encode("latin-1")
        if is_foreign(headers, host, self._scheme):
            raise Turned(
                403, "来自其他页面的请求被拒绝。", "A request made by a page of another origin is refused."
            )
        admission = await self._admit(job, scope)
        self._spend(job)
        self._open[job] += 1
        try:
            yield admission
        except HutongError as error:
            again_s = error.after_s if isinstance(error, Later) else 0
            text = getattr(error, "message", str(error))
            raise Turned(
                502, f"无法连接到作业：{text}", f"The job cannot be reached: {text}", again_s=again_s
            ) from error
        finally:
            self._open[job] -= 1
            if not self._open[job]:
                del self._open[job]

    async def _admit(self, job: str, scope: Scope) -> Admission:
        turned = stranger()
        for secret in visits_of(scope["headers"], secure=self._scheme == "https"):
            try:
                known = self._gate.recall(secret, job)
                return known if known else await asyncio.to_thread(self._gate.admit, secret, job)
            except Turned as error:
                turned = error
        raise turned

    def _spend(self, job: str) -> None:
        """Count a request against the job's bounds; raises Turned."""
        now = asyncio.get_running_loop().time()
        left, at = self._rates.pop(job, (float(_BURST), now))
        left = min(_BURST, left + (now - at) * _REQUESTS_PER_S)
        self._rates[job] = (max(left - 1, 0.0), now)
        while len(self._rates) > _JOBS_COUNTED:
            self._rates.popitem(last=False)
        if left < 1 or self._open[job] >= _STREAMS_OF_A_JOB:
            raise Turned(
                429, "请求过多，请稍候。", "Too many requests for this job; wait a moment.", again_s=1
            )

    async def _check(self, admission: Admission, scope: Scope) -> None:
        if (await self._admit(admission.job, scope)).to != admission.to:
            raise Turned(410, "作业已重新开始。", "The job was started anew.")


class _Seen:
    """Passes messages on and notes the status."""

    def __init__(self, send: Send) -> None:
        self._send: Callable[[Message], Awaitable[None]] = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _path(text: str) -> bytes:
    """Return a path on this very host, whatever was asked for."""
    plain = (
        text.startswith("/") and not text.startswith(("//", "/\\")) and text.isascii() and text.isprintable()
    )
    return text.encode() if plain and "\\" not in text and " " not in text else b"/"


def _body_of(turned: Turned) -> tuple[list[tuple[bytes, bytes]], bytes]:
    refresh = f'<meta http-equiv="refresh" content="{turned.again_s}">' if turned.again_s else ""
    body = (
        f'<!doctype html><html lang="zh-Hans"><meta charset="utf-8"><title>{turned.status}</title>{refresh}'
        f'<p>{html.escape(turned.zh)}</p><p lang="en">{html.escape(turned.en)}</p>'
    ).encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    return headers + ([(b"retry-after", str(turned.again_s).encode())] if turned.again_s else []), body


async def _send_page(send: Send, turned: Turned) -> None:
    headers, body = _body_of(turned)
    await send({"type": "http.response.start", "status": turned.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse_socket(send: Send, turned: Turned) -> None:
    """Answer a handshake with a status, or end a WebSocket that is open."""
    headers, body = _body_of(turned)
    try:
        await send({"type": "websocket.http.response.start", "status": turned.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    except RuntimeError:
        await _end(send)
    except OSError:
        _log.debug("who asked is gone")


async def _end(send: Send) -> None:
    try:
        await send({"type": "websocket.close", "code": 1008})
    except (OSError, RuntimeError):
        _log.debug("the socket was closed already")

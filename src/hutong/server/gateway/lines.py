"""Lines of the command line into jobs: `hutong exec` and `hutong forward`, by a person's own token.

`GET /v1/jobs/{job}/line?rank=N&port=P` as a WebSocket: a stream to a port on the job's first node, or for
port 0 to a command beside a rank, whose frames are the caller's and the node's business.
"""

import asyncio
import re
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from hutong.adapters.identity.tokens import digest_secret, looks_like_secret
from hutong.adapters.tunnel.pump import carry
from hutong.core.accounts.roles import Principal
from hutong.core.kernel.errors import HutongError
from hutong.core.kernel.ids import JobId, SiteId
from hutong.server.gateway.admission import Turned, find_running, while_right
from hutong.server.gateway.tunnels import Messages, Reach, Tunnels
from hutong.server.guests import may_open
from hutong.server.services import Services

_PATH = re.compile(r"/v1/jobs/([0-9A-HJKMNP-TV-Z]{26})/line")
_OF_A_PERSON = 200
_log = structlog.get_logger("hutong.gateway")


class Lines:
    """Answers WebSockets that are for the gateway itself; lives in one event loop."""

    def __init__(self, here: Services, tunnels: Tunnels) -> None:
        self._here = here
        self._tunnels = tunnels
        self._open: dict[str, int] = {}

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one line; what is wrong with it is said in the handshake."""
        await receive()
        try:
            person, to = await self._find(scope)
            if self._open.get(person, 0) >= _OF_A_PERSON:
                raise Turned(429, "", f"you have {_OF_A_PERSON} lines open already")
            sock = await self._tunnels.open(to)
        except Turned as turned:
            await _refuse(send, turned.status, turned.en)
            return
        except HutongError as error:
            await _refuse(send, 502, str(error))
            return
        self._open[person] = self._open.get(person, 0) + 1
        _log.info("line", person=person, key=to.key, rank=to.rank, port=to.port)
        try:
            await send({"type": "websocket.accept"})
            await while_right(lambda: self._check(scope, to), carry(Messages(receive, send), sock))
            await send({"type": "websocket.close", "code": 1000})
        except Turned as turned:
            await send({"type": "websocket.close", "code": 1008, "reason": turned.en[:120]})
        except (OSError, RuntimeError):
            _log.debug("a line was closed by the other side first")
        finally:
            sock.close()
            self._open[person] -= 1
            if not self._open[person]:
                del self._open[person]

    async def _check(self, scope: Scope, to: Reach) -> None:
        if (await self._find(scope))[1] != to:
            raise Turned(410, "", "the job was started anew")

    async def _find(self, scope: Scope) -> tuple[str, Reach]:
        named = _PATH.fullmatch(scope["path"])
        if named is None:
            raise Turned(404, "", "there is nothing here")
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        rank, port = (_number(asked.get(name, ["0"])[0]) for name in ("rank", "port"))
        if port > 65_535 or rank >= 1_000_000:
            raise Turned(422, "", "a port is a number up to 65535, a rank one of the job's")
        scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not looks_like_secret(secret.strip()):
            raise Turned(401, "", "sign in first")
        return await asyncio.to_thread(self._read, secret.strip(), JobId(named[1]), rank, port)

    def _read(self, secret: str, job: JobId, rank: int, port: int) -> tuple[str, Reach]:
        principal: Principal | None = self._here.principals.find(digest_secret(secret), self._here.clock())
        if principal is None:
            raise Turned(401, "", "this token is not known, or has expired")
        row = self._here.store.job(job)
        if row is None or not principal.may("job.read", row.project):
            raise Turned(404, "", f"there is no job {job}")
        if not may_open(principal, row):
            raise Turned(403, "", "only members of its project may reach into a job")
        row, live = find_running(self._here, job)
        return principal.id, Reach(SiteId(live.site), row.job.key(live), rank, port)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1 << 20


async def _refuse(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    try:
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    except OSError:
        _log.debug("who asked is gone")

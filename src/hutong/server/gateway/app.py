"""The gateway: an OpenAI-compatible front of every deployed model, with keys, and tokens paid from lots."""

import time
from collections.abc import Mapping

import anyio
import httpx2
import orjson
import structlog
from anyio.abc import TaskGroup
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from hutong.adapters.identity.tokens import digest_secret, looks_like_secret
from hutong.core.accounts.roles import Principal
from hutong.core.catalog.deployments import UPSTREAM_NAME
from hutong.core.kernel.errors import Broken, HutongError
from hutong.core.kernel.ids import SiteId
from hutong.server.gateway.apps import Apps
from hutong.server.gateway.asks import BODY_BYTES_MAX, Ask, read_ask
from hutong.server.gateway.directory import Directory, Target, full_name
from hutong.server.gateway.exchange import Exchange
from hutong.server.gateway.faults import Fault, broken_upstream, fault_of
from hutong.server.gateway.lines import Lines
from hutong.server.gateway.purse import Purse, Reservation, Tokens
from hutong.server.gateway.streams import TUNNEL, TunnelTransport, open_pool
from hutong.server.gateway.tunnels import PATH as TUNNELS
from hutong.server.gateway.tunnels import Reach, Tunnels
from hutong.server.services import Services

REQUEST_S = 1_800  # the longest request; a hold outlives it, see purse.STALE_MS
_BODY_S = 60
_PROBE_S = 0.5
_SWEEP_EVERY_S = 60
_RETRY_FOR_S = 900
_FLUSH_S = 10
_TIMEOUT = httpx2.Timeout(connect=5.0, read=120.0, write=30.0, pool=10.0)
_ASKING = frozenset({"/v1/chat/completions", "/v1/completions"})
_log = structlog.get_logger("hutong.gateway")


def make_gateway(services: Services) -> "Gateway":
    """Return the gateway as an ASGI app; the caller closes the services after it has stopped."""
    return Gateway(services)


class Gateway:
    """The ASGI app. Its background work lives as long as the server's lifespan."""

    def __init__(self, here: Services) -> None:
        self._here = here
        self._directory = Directory(here)
        self._purse = Purse(here.store, here.clock, here.new_id)
        self._tunnels = Tunnels(here)
        self._pool = open_pool(self._tunnels, here.settings.streams_max * 2)
        self._apps = Apps(here, self._tunnels, self._pool)
        self._lines = Lines(here, self._tunnels)
        self._client: httpx2.AsyncClient | None = None
        self._tasks: TaskGroup | None = None
        self._open = 0
        self._unsettled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif (job := self._apps.job_of(scope)) is not None:
            await self._answer_for(job, scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["path"].startswith(TUNNELS):
            await self._tunnels.serve(scope, receive, send)
        else:
            await self._lines.serve(scope, receive, send)

    async def _answer_for(self, job: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for a job's own host. Its path is not logged: it may hold secrets of the job."""
        began, status = time.perf_counter(), 500
        answer = self._apps.answer if scope["type"] == "http" else self._apps.answer_socket
        try:
            status = await answer(job, scope, receive, send)
        finally:
            took_ms = round((time.perf_counter() - began) * 1000, 2)
            _log.info("forwarded", job=job, kind=scope["type"], status=status, took_ms=took_ms)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        limits = httpx2.Limits(max_connections=self._here.settings.streams_max, max_keepalive_connections=100)
        async with (
            httpx2.AsyncClient(
                limits=limits,
                timeout=_TIMEOUT,
                trust_env=False,
                follow_redirects=False,
                mounts={f"all://*.{TUNNEL}": TunnelTransport(self._pool)},
            ) as client,
            self._pool,
            anyio.create_task_group() as tasks,
        ):
            self._client, self._tasks = client, tasks
            tasks.start_soon(self._sweep)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            with anyio.move_on_after(_FLUSH_S):
                while self._unsettled:
                    await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
        self._client = self._tasks = None
        await send({"type": "lifespan.shutdown.complete"})

    async def _sweep(self) -> None:
        while True:
            try:
                await anyio.to_thread.run_sync(self._purse.sweep)
            except Exception:  # noqa: BLE001 - sweeping must outlive any hiccup of the store
                _log.exception("could not sweep stale holds; trying again later")
            await anyio.sleep(_SWEEP_EVERY_S)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 200
        try:
            await self._route(scope, receive, send)
        except Fault as fault:
            status = fault.status
            await _send_json(send, status, fault.body, fault.headers)
        except HutongError as error:
            if isinstance(error, Broken):
                _log.exception("an invariant of ours does not hold")
            answer = fault_of(error)
            status = answer.status
            await _send_json(send, status, answer.body, answer.headers)
        finally:
            took_ms = round((time.perf_counter() - began) * 1000, 2)
            _log.info("request", method=scope["method"], path=scope["path"], status=status, took_ms=took_ms)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/healthz" and method == "GET":
            await anyio.to_thread.run_sync(self._here.store.pulse)
            await _send_json(send, 200, b'{"status":"ok"}')
        elif path in _ASKING:
            _require_method(method, "POST", path)
            await self._ask(await self._project_of(scope), scope, receive, send)
        elif path == "/v1/models" or path.startswith("/v1/models/"):
            _require_method(method, "GET", path)
            await self._models(await self._project_of(scope), path.removeprefix("/v1/models"), send)
        else:
            raise Fault(404, "unknown_url", f"there is nothing at {method} {path}")

    async def _project_of(self, scope: Scope) -> str:
        """Return the project of the key; raises Fault 401 for anything that is not a good key."""
        scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
        principal = await self._principal(secret.strip()) if scheme.lower() == "bearer" else None
        if principal is None or not principal.id.startswith("key:") or not principal.projects:
            message = "this is not a key of the gateway: make one for your project (kind `key`)"
            raise Fault(401, "invalid_api_key", message)
        project = principal.projects[0][0]
        if not principal.may("model.call", project):
            raise Fault(403, "forbidden", "this key may not call models")
        return project

    async def _principal(self, secret: str) -> Principal | None:
        if not looks_like_secret(secret):
            return None
        digest, now_ms = digest_secret(secret), self._here.clock()
        known = self._here.principals.recall(digest, now_ms)
        if known is not None:
            return known
        return await anyio.to_thread.run_sync(self._here.principals.find, digest, now_ms)

    async def _models(self, project: str, rest: str, send: Send) -> None:
        targets = await anyio.to_thread.run_sync(self._directory.listed, project)
        ready: dict[str, Target] = {}

        async def probe(target: Target) -> None:
            with anyio.move_on_after(_PROBE_S):
                if await self._answers(target):
                    ready[target.name] = target

        async with anyio.create_task_group() as tasks:
            for target in targets:
                tasks.start_soon(probe, target)
        shapes = [_model_shape(ready[name]) for name in sorted(ready)]
        if not rest.strip("/"):
            await _send_json(send, 200, orjson.dumps({"object": "list", "data": shapes}))
            return
        wanted = full_name(project, rest.strip("/"))
        found = next((shape for shape in shapes if shape["id"] == wanted), None)
        if found is None:
            raise Fault(404, "model_not_found", f"the model {rest.strip('/')} is not served to you now")
        await _send_json(send, 200, orjson.dumps(found))

    async def _answers(self, target: Target) -> bool:
        """True if something listens where the model is served."""
        try:
            if target.key:
                (await self._tunnels.open(Reach(SiteId(target.site), target.key, 0, target.port))).close()
            else:
                await (await anyio.connect_tcp(target.host, target.port)).aclose()
        except (OSError, HutongError):
            return False
        return True

    async def _ask(self, project: str, scope: Scope, receive: Receive, send: Send) -> None:
        if self._open >= self._here.settings.streams_max:
            message = "the gateway is busy; try again in a moment"
            raise Fault(429, "rate_limit_exceeded", message, kind="rate_limit", retry_after_s=1)
        self._open += 1
        try:
            ask = read_ask(scope["path"], await _read_body(scope, receive))
            target = self._directory.recall(project, ask.model)
            if target is None:
                target = await anyio.to_thread.run_sync(self._directory.find, project, ask.model)
            with anyio.CancelScope(shield=True):  # once money is held, we must know of it
                held = await anyio.to_thread.run_sync(self._purse.reserve, target, ask)
            await self._relay(ask, target, held, receive, send)
        finally:
            self._open -= 1

    async def _relay(self, ask: Ask, target: Target, held: Reservation, receive: Receive, send: Send) -> None:
        """Relay under a hold; whatever happens, the hold is settled by what was seen, once."""
        if self._client is None:
            raise Broken("the gateway answers requests only within its lifespan")
        settled = False
        faults: list[Fault] = []

        async def settle() -> None:
            nonlocal settled
            if not settled:
                settled = True
                with anyio.CancelScope(shield=True):
                    await self._settle(held, exchange.tokens)

        async def relay() -> None:
            try:
                with anyio.fail_after(REQUEST_S):
                    await exchange.run()
            except Fault as fault:
                faults.append(fault)
            except TimeoutError:
                faults.append(Fault(504, "upstream_timeout", "the request took too long", kind="api_error"))
            except Exception:  # noqa: BLE001 - the caller gets a fault, the log the rest
                _log.exception("a relay failed", model=target.name)
                faults.append(broken_upstream("the gateway could not relay this request"))
            tasks.cancel_scope.cancel()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                continue
            tasks.cancel_scope.cancel()

        exchange = Exchange(self._client, target, ask, UPSTREAM_NAME, send, settle, held.key)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                tasks.start_soon(relay)
        finally:
            await settle()
        if faults:
            self._directory.forget(target)
            if not exchange.started:
                raise faults[0]
            await send({"type": "http.response.body", "body": faults[0].event})

    async def _settle(self, held: Reservation, tokens: Tokens) -> None:
        """Settle now; if the store does not take it, go on trying in the background."""
        try:
            await anyio.to_thread.run_sync(self._purse.settle, held, tokens)
        except Exception:  # noqa: BLE001 - tried again below
            _log.exception("could not settle a request; trying again", hold=held.key)
            if self._tasks is not None:
                self._unsettled += 1
                self._tasks.start_soon(self._settle_later, held, tokens)

    async def _settle_later(self, held: Reservation, tokens: Tokens) -> None:
        try:
            pause_s, spent_s = 0.2, 0.0
            while spent_s < _RETRY_FOR_S:
                await anyio.sleep(pause_s)
                spent_s, pause_s = spent_s + pause_s, min(pause_s * 2, 30.0)
                try:
                    await anyio.to_thread.run_sync(self._purse.settle, held, tokens)
                except Exception as error:  # noqa: BLE001 - logged, and tried again
                    _log.warning("still cannot settle", hold=held.key, error=str(error))
                else:
                    return
            _log.error("gave up settling; the hold will be swept uncharged", hold=held.key, tokens=tokens)
        finally:
            self._unsettled -= 1


def _require_method(method: str, right: str, path: str) -> None:
    if method != right:
        raise Fault(405, "method_not_allowed", f"{path} takes {right}, not {method}")


def _model_shape(target: Target) -> dict[str, object]:
    return {
        "id": target.name,
        "object": "model",
        "created": target.created_ms // 1000,
        "owned_by": target.project,
    }


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    announced = Headers(scope=scope).get("content-length", "")
    too_large = Fault(413, "too_large", f"a request has at most {BODY_BYTES_MAX} bytes")
    if announced.isdigit() and int(announced) > BODY_BYTES_MAX:
        raise too_large
    body = bytearray()
    try:
        with anyio.fail_after(_BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Fault(400, "disconnected", "the request broke off")
                body += message.get("body", b"")
                if len(body) > BODY_BYTES_MAX:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError as error:
        raise Fault(408, "timeout", f"the body did not come within {_BODY_S} s") from error


async def _send_json(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    pairs = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Content-Type-Options": "nosniff",
        **(headers or {}),
    }
    lines = [(name.lower().encode(), value.encode()) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})

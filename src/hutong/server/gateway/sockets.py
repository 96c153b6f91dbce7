"""One WebSocket to a job: opened there first, then carried message by message, with the codes of its end."""

import asyncio
import contextlib

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Origin, Subprotocol

from hutong.server.gateway.admission import Admission, Turned
from hutong.server.gateway.headers import onward_socket
from hutong.server.gateway.tunnels import Tunnels

MESSAGE_BYTES_MAX = 32 << 20
_OPEN_S = 20.0
_QUEUE_MOST = 4


async def forward_socket(
    tunnels: Tunnels, admission: Admission, scope: Scope, receive: Receive, send: Send, scheme: str
) -> None:
    """Carry a WebSocket to the job's port; raises Turned where the job does not open it."""
    await receive()
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope["client"][0] if scope.get("client") else ""
    host = found.get("host", "")
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    sock = await tunnels.open(admission.to)
    try:
        connection = await connect(
            f"ws://{host}{target}",
            sock=sock,
            origin=Origin(found["origin"]) if "origin" in found else None,
            subprotocols=[Subprotocol(each) for each in scope["subprotocols"]] or None,
            additional_headers=onward_socket(
                scope["headers"], client=client, scheme=scheme, host=host.encode("latin-1")
            ),
            user_agent_header=found.get("user-agent"),
            compression=None,
            open_timeout=_OPEN_S,
            ping_interval=None,
            max_size=MESSAGE_BYTES_MAX,
            max_queue=_QUEUE_MOST,
            proxy=None,
        )
    except BaseException as error:  # noqa: BLE001 - told apart below; the socket must not stay open
        sock.close()
        raise _turned(error) from None
    async with connection:
        await send({"type": "websocket.accept", "subprotocol": connection.subprotocol})
        await _carry(connection, receive, send)


def _turned(error: BaseException) -> BaseException:
    """Return what a handshake that failed means to who asked."""
    match error:
        case InvalidStatus():
            status = error.response.status_code
            status = status if 400 <= status < 600 else 502
            return Turned(status, "作业拒绝了连接。", "The job refused the connection.")
        case InvalidHandshake() | OSError() | EOFError() | ValueError():
            return Turned(502, "作业没有打开连接。", f"The job did not open the connection: {error}")
    return error


async def _carry(connection: ClientConnection, receive: Receive, send: Send) -> None:
    ways = [
        asyncio.ensure_future(_to_job(connection, receive)),
        asyncio.ensure_future(_from_job(connection, send)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        ends = await asyncio.gather(*ways, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, OSError | ConnectionClosed | RuntimeError):
            raise end


async def _to_job(connection: ClientConnection, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            await connection.close(_code(message.get("code", 1000)), str(message.get("reason") or "")[:120])
            return
        data = message.get("bytes")
        await connection.send(data if data is not None else message.get("text", ""))


async def _from_job(connection: ClientConnection, send: Send) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = await connection.recv()
            body = {"bytes": message} if isinstance(message, bytes) else {"text": message}
            await send({"type": "websocket.send", **body})
    code = _code(connection.close_code or 1011)
    await send({"type": "websocket.close", "code": code, "reason": connection.close_reason or ""})


def _code(code: int) -> int:
    """Return a code that may be sent: some only say how a connection seems to have ended."""
    return code if code in {1000, 1001, 1002, 1003, *range(1007, 1012)} or 3000 <= code < 5000 else 1011

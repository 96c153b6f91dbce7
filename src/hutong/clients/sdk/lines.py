"""Lines into running jobs: a byte stream to a port, or a command beside a rank with its frames.

A line is a WebSocket at the gateway: binary messages are bytes, the text `eof` is the end of one side.
"""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from hutong.core.kernel.errors import Conflict, Denied, HutongError, Later, NotFound, Refused

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

INPUT, OUTPUT, ERRORS, EXIT, SIZE, END, ASK = range(7)
EOF = "eof"
CHUNK_BYTES = 1 << 16
_HEAD = struct.Struct(">BI")
_FRAME_MOST = 1 << 20
_PING_S = 20.0
_SILENT_S = 300.0


@dataclass(frozen=True, slots=True)
class Command:
    """A command beside a rank: its words, and the terminal it gets (rows, columns, kind), if any."""

    argv: Sequence[str]
    terminal: tuple[int, int, str] | None = None


class Line:
    """One open line."""

    def __init__(self, connection: "ClientConnection") -> None:
        self._connection = connection
        self._unread = b""

    async def send(self, data: bytes) -> None:
        """Send bytes; raises Later if the line is down."""
        try:
            for at in range(0, len(data), CHUNK_BYTES):
                await self._connection.send(data[at : at + CHUNK_BYTES])
        except ConnectionClosed as error:
            raise Later(f"the line to the job is down: {error}") from error

    async def end(self) -> None:
        """Say that nothing more comes from this side."""
        with suppress(ConnectionClosed):
            await self._connection.send(EOF)

    async def receive(self) -> bytes:
        """Return bytes as they come, nothing at their end."""
        try:
            message = await self._connection.recv()
        except ConnectionClosed:
            return b""
        return message if isinstance(message, bytes) else b""

    async def tell(self, kind: int, payload: bytes = b"") -> None:
        """Send one frame to a command."""
        await self.send(_HEAD.pack(kind, len(payload)) + payload)

    async def begin(self, command: Command) -> None:
        """Ask for the command; frames follow."""
        rows, columns, term = command.terminal or (0, 0, "")
        asked = {"argv": list(command.argv), "tty": command.terminal is not None, "term": term}
        await self.tell(ASK, json.dumps({**asked, "rows": rows, "columns": columns}).encode())

    async def frames(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the frames of a command until its line ends."""
        while piece := await self.receive():
            self._unread += piece
            while len(self._unread) >= _HEAD.size:
                kind, length = _HEAD.unpack_from(self._unread)
                if length > _FRAME_MOST:
                    raise Later("the job's node speaks another language: its agent must be upgraded")
                if len(self._unread) < _HEAD.size + length:
                    break
                payload = self._unread[_HEAD.size : _HEAD.size + length]
                self._unread = self._unread[_HEAD.size + length :]
                yield kind, payload


@asynccontextmanager
async def open_line(
    gateway: str, token: str, job: str, *, rank: int = 0, port: int = 0
) -> AsyncIterator[Line]:
    """Open a line to a port of the job's first node, or to a command beside a rank (port 0).

    Raises the kernel's errors as the platform says them.
    """
    from websockets.asyncio.client import connect  # only commands that need a line wait for its loading

    url = f"{gateway.replace('http', 'ws', 1).rstrip('/')}/v1/jobs/{job}/line?rank={rank}&port={port}"
    try:
        connection = await connect(
            url, additional_headers={"Authorization": f"Bearer {token}"}, compression=None, open_timeout=30.0,
            ping_interval=_PING_S, ping_timeout=_SILENT_S, max_size=1 << 20, max_queue=4, proxy=None,
            close_timeout=2.0,
        )  # fmt: skip
    except InvalidStatus as error:
        raise _error_of(error) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise Later(f"the gateway {gateway} cannot be reached: {error}") from error
    async with connection:
        yield Line(connection)


def _error_of(error: InvalidStatus) -> HutongError:
    status = error.response.status_code
    text = (error.response.body or b"").decode(errors="replace") or f"the gateway answers {status}"
    match status:
        case 401 | 403:
            return Denied("unauthenticated" if status == 401 else "forbidden", text)
        case 404:
            return NotFound("not_found", text)
        case 410:
            return Conflict("job_over", text)
        case 422:
            return Refused("bad_line", text)
    return Later(text)


async def forward(line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes between a line and a local connection until both have said their last."""

    async def out() -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await line.send(chunk)
        await line.end()

    sending = asyncio.create_task(out())
    try:
        while chunk := await line.receive():
            writer.write(chunk)
            await writer.drain()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()

"""Carries a byte stream between a socket and a WebSocket: back-pressure, half-close, one end ends the other.

Binary messages are bytes of the stream, the text `eof` says that one side has said its last; the WebSocket is
closed once both have.
"""

import asyncio
import socket
from typing import Protocol

CHUNK_BYTES = 1 << 16
EOF = "eof"


class Messages(Protocol):
    """A WebSocket, whoever's it is; both methods raise ConnectionError if it broke off."""

    async def receive(self) -> bytes | str | None:
        """Return the next message, None once the other side has closed."""
        ...

    async def send(self, message: bytes | str) -> None:
        """Send a message; returns when there is room for more."""
        ...


async def carry(messages: Messages, sock: socket.socket) -> None:
    """Carry both ways until both sides have said their last or one is gone; closes the socket.

    The socket is non-blocking and connected.
    """
    heard_all = asyncio.Event()
    out = asyncio.create_task(_outward(messages, sock))
    into = asyncio.create_task(_inward(messages, sock, heard_all))
    said_all = asyncio.create_task(_both(out, heard_all))
    try:
        await asyncio.wait({said_all, into}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (said_all, out, into):
            task.cancel()
        ends = await asyncio.gather(said_all, out, into, return_exceptions=True)
        sock.close()
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, OSError):
                raise end


async def _both(out: asyncio.Task[None], heard_all: asyncio.Event) -> None:
    await out
    await heard_all.wait()


async def _outward(messages: Messages, sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while chunk := await loop.sock_recv(sock, CHUNK_BYTES):
        await messages.send(chunk)
    await messages.send(EOF)


async def _inward(messages: Messages, sock: socket.socket, heard_all: asyncio.Event) -> None:
    """Listen to the end, also after `eof`: that the other side is gone must be noticed."""
    loop = asyncio.get_running_loop()
    while True:
        message = await messages.receive()
        if message is None:
            raise ConnectionError("the other side is gone")
        if message == EOF:
            sock.shutdown(socket.SHUT_WR)
            heard_all.set()
        elif isinstance(message, bytes):
            await loop.sock_sendall(sock, message)

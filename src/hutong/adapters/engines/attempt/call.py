"""The agent's side of a relay: asks the supervisor for one, calls it, and proves the attempt's token."""

import asyncio
import contextlib
import os
import secrets
import socket
from pathlib import Path
from typing import Any

from hutong.adapters.engines.attempt import files, greeting
from hutong.core.kernel.errors import Later, Refused

_COME_UP_S = 15.0
_GREET_S = 8.0
_LOOK_S = 0.05


async def reach(folder: Path, rank: int, port: int) -> socket.socket:
    """Return a stream to a port of the attempt, or to a command beside a rank (port 0).

    Raises Refused if the relay says no, Later if there is none, or none that knows the token.
    """
    where = await asyncio.to_thread(files.read_json, folder / files.RELAY)
    try:
        if where is not None:
            with contextlib.suppress(ConnectionError, FileNotFoundError):
                return await _call(folder, where, rank, port)
        fresh = await _summon(folder, where)
        return await _call(folder, fresh, rank, port)
    except (OSError, TimeoutError, EOFError, ValueError) as error:
        raise Later(f"the job's node does not answer: {error or type(error).__name__}", 2) from error


async def _summon(folder: Path, stale: dict[str, Any] | None) -> dict[str, Any]:
    """Leave a mark for the supervisor and wait until its relay says where it is."""
    (folder / files.RELAY_ASK).touch(mode=0o600)
    async with asyncio.timeout(_COME_UP_S):
        while True:
            where = await asyncio.to_thread(files.read_json, folder / files.RELAY)
            if where is not None and where != stale:
                return where
            if (folder / files.END).exists():
                raise Refused("job_over", "the job has ended")
            await asyncio.sleep(_LOOK_S)


async def _call(folder: Path, where: dict[str, Any], rank: int, port: int) -> socket.socket:
    sock = await _connect(folder, where)
    try:
        async with asyncio.timeout(_GREET_S):
            error = await _greet(sock, bytes.fromhex(where["token"]), rank, port)
    except BaseException:
        sock.close()
        raise
    if error:
        sock.close()
        raise Refused("not_reached", error)
    return sock


async def _connect(folder: Path, where: dict[str, Any]) -> socket.socket:
    loop = asyncio.get_running_loop()
    if "host" in where:
        family = socket.AF_INET6 if ":" in where["host"] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address: Any = (where["host"], where["port"])
    else:
        sock, address = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), ""
    sock.setblocking(False)
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A path of a socket may have 107 bytes: through the folder's descriptor any folder's will do.
        async with asyncio.timeout(_GREET_S):
            await loop.sock_connect(sock, address or f"/proc/self/fd/{handle}/{files.RELAY_SOCKET}")
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(handle)
    return sock


async def _greet(sock: socket.socket, token: bytes, rank: int, port: int) -> str:
    loop = asyncio.get_running_loop()
    nonce = await _receive(sock, greeting.NONCE_BYTES)
    message = greeting.ask(token, nonce, secrets.token_bytes(greeting.NONCE_BYTES), rank, port)
    await loop.sock_sendall(sock, message)
    head = await _receive(sock, greeting.ANSWER_BYTES)
    text = await _receive(sock, greeting.answer_length(head))
    return greeting.read_answer(token, nonce + message, head, text)


async def _receive(sock: socket.socket, size: int) -> bytes:
    message = b""
    while len(message) < size:
        piece = await asyncio.get_running_loop().sock_recv(sock, size - len(message))
        if not piece:
            raise EOFError("it hung up")
        message += piece
    return message

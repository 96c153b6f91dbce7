"""The relay of one attempt: leads a caller who knows its token to a port of the job, or to a command.

One process for each attempt, on the supervisor's node and in the job's network, started by the supervisor
when it is first asked for. It listens on a socket in the attempt's folder, or on the address by which the
batch system calls its node; who does not prove the token within seconds is dropped. Standard library only.

    python -I -S relay.py FOLDER < {"token": .., "host": .., "ranks": {"0": {..}}, ..}
"""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt import files, greeting
from hutong.adapters.engines.attempt.launch import Launcher

_GREET_S = 5.0
_CONNECT_S = 5.0
_STRANGERS_MOST = 64
_STREAMS_MOST = 1024
_CHUNK_BYTES = 1 << 16
_BACKLOG = 512


class Relay:
    """Takes calls until its supervisor ends it."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self._folder = folder
        self._plan = plan
        self._token = bytes.fromhex(plan["token"])
        self._strangers = 0
        self._streams: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen, say where, and serve."""
        loop = asyncio.get_running_loop()
        listener = self._listen()
        listener.setblocking(False)
        while True:
            sock, _ = await loop.sock_accept(listener)
            sock.setblocking(False)
            if self._strangers >= _STRANGERS_MOST or len(self._streams) >= _STREAMS_MOST:
                sock.close()
                continue
            task = asyncio.create_task(self._serve(sock))
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)

    def _listen(self) -> socket.socket:
        where: dict[str, Any] = {}
        address: str = self._plan["address"]
        if self._plan["asker"]:
            address = Launcher(asker=tuple(self._plan["asker"]), pattern=self._plan["pattern"]).address()
        if address:
            family = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family[0], socket.SOCK_STREAM)
            listener.bind(family[4])
            where = {"host": family[4][0], "port": listener.getsockname()[1]}
        else:
            (self._folder / files.RELAY_SOCKET).unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            os.chdir(self._folder)  # a path of a socket may have 107 bytes: a name in the folder fits
            listener.bind(files.RELAY_SOCKET)
        listener.listen(_BACKLOG)
        files.write_json(
            self._folder / files.RELAY, {**where, "token": self._plan["token"], "pid": os.getpid()}
        )
        return listener

    async def _serve(self, sock: socket.socket) -> None:
        try:
            self._strangers += 1
            try:
                async with asyncio.timeout(_GREET_S):
                    asked = await self._greet(sock)
            finally:
                self._strangers -= 1
            if asked is not None:
                await self._lead(sock, *asked)
        except (OSError, TimeoutError, EOFError):
            return  # who called is gone; there is nobody to tell
        finally:
            sock.close()

    async def _greet(self, sock: socket.socket) -> tuple[bytes, int, int] | None:
        loop = asyncio.get_running_loop()
        nonce = secrets.token_bytes(greeting.NONCE_BYTES)
        await loop.sock_sendall(sock, nonce)
        message = await _receive(sock, greeting.ASK_BYTES)
        known = greeting.read_ask(self._token, nonce, message)
        return None if known is None else (nonce + message, known[1], known[2])

    async def _lead(self, sock: socket.socket, asked: bytes, rank: int, port: int) -> None:
        loop = asyncio.get_running_loop()
        beside = self._plan["ranks"].get(str(rank))
        if beside is None or (port and rank):
            what = "a port" if port else "a command"
            error = f"{what} of rank {rank} cannot be reached at this site"
            await loop.sock_sendall(sock, greeting.answer(self._token, asked, error))
            return
        if not port:
            await loop.sock_sendall(sock, greeting.answer(self._token, asked, ""))
            await _run_beside(sock, self._plan["key"], beside)
            return
        try:
            async with asyncio.timeout(_CONNECT_S):
                there = await self._connect(port)
        except (OSError, TimeoutError) as error:
            text = f"nothing listens on port {port} of the job yet: {error}"
            await loop.sock_sendall(sock, greeting.answer(self._token, asked, text))
            return
        with there:
            await loop.sock_sendall(sock, greeting.answer(self._token, asked, ""))
            await _join(sock, there)

    async def _connect(self, port: int) -> socket.socket:
        host = self._plan["host"]
        there = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            there.setblocking(False)
            there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(there, (host, port))
        except BaseException:
            there.close()
            raise
        return there


async def _receive(sock: socket.socket, size: int) -> bytes:
    message = b""
    while len(message) < size:
        piece = await asyncio.get_running_loop().sock_recv(sock, size - len(message))
        if not piece:
            raise EOFError
        message += piece
    return message


async def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until both sides have said their last, or one breaks off."""
    ways = [asyncio.create_task(_carry(one, other)), asyncio.create_task(_carry(other, one))]
    try:
        await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()


async def _carry(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while chunk := await loop.sock_recv(source, _CHUNK_BYTES):
        await loop.sock_sendall(sink, chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


async def _run_beside(sock: socket.socket, key: str, beside: dict[str, Any]) -> None:
    """Hand the connection to a process that runs the command; what it must know comes by its input."""
    script = Path(__file__).resolve().with_name("beside.py")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(script), str(sock.fileno())),
        stdin=subprocess.PIPE,
        pass_fds=(sock.fileno(),),
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HUTONG_KEY": key},
        start_new_session=True,
    )
    await child.communicate(json.dumps(beside).encode())


def main() -> None:
    """Serve the attempt whose folder is the first argument."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Relay(Path(sys.argv[1]), json.load(sys.stdin)).run())


if __name__ == "__main__":
    main()

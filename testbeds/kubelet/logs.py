"""Serves container logs to the API server as a kubelet does, under `/containerLogs`."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from testbeds.kubelet.containers import utc

_TURN_S = 0.1
_WHY = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}
_LINE_START = 3  # fields before a line's text: time, stream, F or P


class LoggedPod(Protocol):
    """What is asked of a pod."""

    def log_of(self, container: str, *, previous: bool = False) -> Path | None:
        """Return a container's log, if there is one."""

    def waiting(self, container: str) -> str:
        """Return why the container has not started."""

    def runs(self, container: str) -> bool:
        """Whether the container may still write."""


def plain(lines: Iterable[bytes], *, since: str = "", timestamps: bool = False) -> bytes:
    """Return the text of CRI log lines from a time on, as `kubectl logs` shows it."""
    found = []
    for line in lines:
        when, _, whole, text = line.split(b" ", _LINE_START)
        if when.decode() >= since:
            text = text if whole == b"F" else text[:-1]
            found.append(when + b" " + text if timestamps else text)
    return b"".join(found)


def _since(query: dict[str, str]) -> str:
    """Return the time from which lines are wanted, in the form the log has; empty for all."""
    if seconds := query.get("sinceSeconds"):
        return utc(time.time_ns() - int(seconds) * 10**9)
    stamp = query.get("sinceTime", "")
    whole, _, part = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{part.ljust(9, '0')}Z" if whole else ""


async def _read(pod: LoggedPod, container: str, path: Path, query: dict[str, str]) -> AsyncIterator[bytes]:
    since, timestamps = _since(query), query.get("timestamps") == "true"
    follow = query.get("follow") == "true" and query.get("previous") != "true"
    left = int(query.get("limitBytes") or -1)
    with path.open("rb") as log:
        lines = log.readlines()
        if tail := query.get("tailLines"):
            lines = lines[len(lines) - min(len(lines), int(tail)) :]
        while True:
            text = plain(lines, since=since, timestamps=timestamps)
            if left >= 0:
                text, left = text[:left], max(0, left - len(text))
            if text:
                yield text
            alive = pod.runs(container)
            lines = log.readlines()
            if not lines:
                if not follow or not alive or not left:
                    return
                await asyncio.sleep(_TURN_S)


class LogServer:
    """HTTPS on the node's address; a request is answered from the files that the containers write."""

    def __init__(self, find: Callable[[str, str], LoggedPod | None]) -> None:
        self._find = find
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, certificate: Path, key: Path) -> None:
        """Listen."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = await asyncio.start_server(self._serve, host, port, ssl=context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._answer(head.split(b" ", 2)[1].decode(), writer)
        except (OSError, asyncio.IncompleteReadError):  # the caller has gone
            return
        finally:
            writer.close()

    async def _answer(self, target: str, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        steps = [unquote(step) for step in parts.path.strip("/").split("/")]
        if len(steps) != 4 or steps[0] != "containerLogs":
            return _refuse(
                writer, "404 Not Found", f"this kubelet serves container logs only, not {parts.path}"
            )
        _, namespace, name, container = steps
        pod = self._find(namespace, name)
        if pod is None:
            return _refuse(writer, "404 Not Found", f'pod "{name}" does not exist')
        path = pod.log_of(container, previous=query.get("previous") == "true")
        if path is None:
            reason = pod.waiting(container)
            text = f'container "{container}" in pod "{name}" is waiting to start: {_WHY.get(reason, reason)}'
            if query.get("previous") == "true":
                text = f'previous terminated container "{container}" in pod "{name}" not found'
            return _refuse(writer, "400 Bad Request", text)
        writer.write(_head("200 OK", "Transfer-Encoding: chunked"))
        async for piece in _read(pod, container, path, query):
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return None


def _head(status: str, length: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", "Content-Type: text/plain", length, "Connection: close", "", "")
    return "\r\n".join(lines).encode()


def _refuse(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = text.encode()
    writer.write(_head(status, f"Content-Length: {len(body)}") + body)

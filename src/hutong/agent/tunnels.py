"""The agent's tunnels: for each call of the platform an outbound WebSocket, joined to a job's port.

They live in an event loop of a thread of its own, so that no stream waits for the agent's step. When the
agent ends, they end; the jobs do not notice.
"""

import asyncio
import threading
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from hutong.adapters.engines.base import Engine, Reachable
from hutong.adapters.tunnel.pump import carry
from hutong.core.kernel.errors import HutongError
from hutong.core.kernel.ids import AttemptKey
from hutong.wire.agent import DialAnswer, DialDoc

_log = structlog.get_logger("hutong.agent")
_OPEN_S = 10.0
_PING_S = 20.0
_SILENT_S = 300.0  # a stream that nobody reads answers no ping either
_STREAMS_MOST = 1000
_MESSAGE_MOST = 1 << 20
_QUEUE_MOST = 4


class Line:
    """A client's WebSocket as messages."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes | str | None:
        """Return the next message, None once the other side has closed."""
        try:
            return await self._connection.recv()
        except ConnectionClosed:
            return None

    async def send(self, message: bytes | str) -> None:
        """Send a message; raises ConnectionError if the line is down."""
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise ConnectionError("the line is down") from error


class Tunnels:
    """Digs what the platform calls for. `url` is the platform's as the agent knows it, `token` the site's."""

    def __init__(self, engine: Engine, url: str, token: str) -> None:
        self._engine = engine
        self._safe = urlsplit(url).scheme == "https"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="tunnels", daemon=True)
        self._thread.start()

    def dig(self, dials: Iterable[DialDoc]) -> None:
        """Answer calls in the background."""
        for dial in dials:
            self._loop.call_soon_threadsafe(self._begin, dial)

    def close(self) -> None:
        """End all streams."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            for task in self._open:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._open, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    def _begin(self, dial: DialDoc) -> None:
        if len(self._open) >= _STREAMS_MOST:
            _log.warning("tunnel refused: too many streams", key=dial.key, streams=len(self._open))
            return
        task = self._loop.create_task(self._serve(dial))
        self._open.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a tunnel failed", exc_info=error)

    async def _serve(self, dial: DialDoc) -> None:
        scheme, _, rest = dial.url.partition("://")
        if self._safe and scheme != "https":
            _log.error("tunnel refused: it would send the token in the clear", url=dial.url)
            return
        url = f"{'wss' if scheme == 'https' else 'ws'}://{rest.rstrip('/')}/v1/tunnels/{dial.id}"
        try:
            async with connect(
                url, additional_headers=self._headers, compression=None, open_timeout=_OPEN_S,
                ping_interval=_PING_S, ping_timeout=_SILENT_S, max_size=_MESSAGE_MOST, max_queue=_QUEUE_MOST,
                proxy=None, close_timeout=2.0,
            ) as connection:  # fmt: skip
                await self._join(dial, Line(connection))
        except (OSError, TimeoutError, WebSocketException) as error:
            _log.warning("tunnel not opened", key=dial.key, why=str(error))

    async def _join(self, dial: DialDoc, line: Line) -> None:
        try:
            if not isinstance(self._engine, Reachable):
                await line.send(
                    DialAnswer(error="this site's engine cannot reach into jobs").model_dump_json()
                )
                return
            sock = await self._engine.reach(AttemptKey(dial.key), dial.rank, dial.port)
        except HutongError as error:
            await line.send(DialAnswer(error=str(error)[:2000]).model_dump_json())
            return
        try:
            await line.send(DialAnswer().model_dump_json())
        except ConnectionError:
            sock.close()
            raise
        await carry(line, sock)

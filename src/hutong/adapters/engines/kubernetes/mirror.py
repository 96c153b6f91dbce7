"""A mirror of one collection of the API server: listed once, then kept by a watch in a thread of its own."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from hutong.adapters.engines.kubernetes.client import Client, GoneError
from hutong.core.kernel.errors import HutongError, Later

_STALE_S = 5.0
_MOST_GONE = 2_000
_PAUSES_S = (0.2, 10.0)


class Entry(Protocol):
    """What is kept of an object."""

    @property
    def uid(self) -> str:
        """Name of this incarnation of the object."""


R = TypeVar("R", bound=Entry)


class Mirror(Generic[R]):
    """What the API server has, as records by uid; only records are kept, so that many pods cost little.

    The last records of objects that were deleted of late are kept too: why a pod went stands there.
    """

    def __init__(
        self,
        client: Client,
        collection: str,
        query: Mapping[str, str],
        read: Callable[[dict[str, Any]], R | None],
    ) -> None:
        self._client = client
        self._collection = collection
        self._query = dict(query)
        self._read = read
        self._lock = threading.Condition()
        self._known: dict[str, R] = {}
        self._gone: OrderedDict[str, R] = OrderedDict()
        self._version = ""
        self._fault: HutongError | None = None
        self._heard_s = float("-inf")
        self._connected = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def records(self, within_s: float) -> tuple[dict[str, R], dict[str, R]]:
        """Return what there is and what has departed. Raises Later or Refused if we are out of touch."""
        self._start()
        with self._lock:
            self._lock.wait_for(lambda: self._fresh() or self._fault is not None, within_s)
            if not self._fresh():
                raise self._fault or Later("Kubernetes: no answer yet", 2)
            return dict(self._known), dict(self._gone)

    def end(self) -> None:
        """Begin no watch any more."""
        self._ended.set()

    def join(self) -> None:
        """Wait for the thread, whose watch must have been ended."""
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._follow, name=f"watch {self._collection}", daemon=True
            )
            self._thread.start()

    def _fresh(self) -> bool:
        """Return whether we are in touch: a watch that broke a moment ago is no reason for alarm."""
        return self._connected or time.monotonic() - self._heard_s < _STALE_S

    def _follow(self) -> None:
        pause_s = _PAUSES_S[0]
        while not self._ended.is_set():
            try:
                if not self._version:
                    self._list()
                self._watch()
                pause_s = _PAUSES_S[0]
            except GoneError:
                self._version = ""
            except HutongError as error:
                with self._lock:
                    self._fault = error
                    self._lock.notify_all()
                asked_s = error.after_s if isinstance(error, Later) else _PAUSES_S[1]
                self._ended.wait(min(max(pause_s, asked_s if asked_s > 1 else 0), _PAUSES_S[1]))
                pause_s = min(pause_s * 2, _PAUSES_S[1])

    def _list(self) -> None:
        found, version = self._client.list(self._collection, self._query)
        records = [record for record in map(self._read, found) if record is not None]
        with self._lock:
            fresh = {record.uid: record for record in records}
            for uid in self._known.keys() - fresh.keys():
                self._depart(self._known[uid])
            self._known = fresh
            self._version = version
            self._hear()

    def _watch(self) -> None:
        with self._client.watch(self._collection, self._version, self._query) as events:
            self._touch(connected=True)
            try:
                for event in () if self._ended.is_set() else events:
                    self._take(str(event.get("type")), event.get("object") or {})
            finally:
                self._touch(connected=False)

    def _touch(self, *, connected: bool) -> None:
        with self._lock:
            self._connected = connected
            self._hear()

    def _take(self, kind: str, body: dict[str, Any]) -> None:
        record = None if kind == "BOOKMARK" else self._read(body)
        with self._lock:
            self._version = str((body.get("metadata") or {}).get("resourceVersion") or self._version)
            if record is not None and kind == "DELETED":
                self._known.pop(record.uid, None)
                self._depart(record)
            elif record is not None:
                self._known[record.uid] = record
            self._hear()

    def _depart(self, record: R) -> None:
        self._gone[record.uid] = record
        while len(self._gone) > _MOST_GONE:
            self._gone.popitem(last=False)

    def _hear(self) -> None:
        self._heard_s = time.monotonic()
        self._fault = None
        self._lock.notify_all()

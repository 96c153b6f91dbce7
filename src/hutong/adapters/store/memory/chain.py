"""The audit in memory: a list that only grows."""

from collections.abc import Mapping

from hutong.adapters.store import rules
from hutong.adapters.store.memory.shelf import Locked
from hutong.core.book.audit import AuditEvent, AuditQuery, Author, make_event
from hutong.core.kernel.chain import START, Head


class MemoryChain(Locked):
    """The audit's part of the twin."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[AuditEvent] = []

    def _tell(
        self,
        author: Author | None,
        action: str,
        name: str,
        before: Mapping[str, object] | None,
        after: Mapping[str, object] | None,
    ) -> None:
        if author is not None:
            head = Head(self._events[-1].seq, self._events[-1].hash) if self._events else START
            self._events.append(make_event(head, author, action, name, before, after))

    def audit(self, query: AuditQuery) -> tuple[AuditEvent, ...]:
        """Return events by number, the oldest or the newest first."""
        with self._lock:
            found = [
                each
                for each in self._events
                if each.seq > query.after
                and (not query.before or each.seq < query.before)
                and query.actor in {"", each.actor}
                and query.object in {"", each.object}
            ]
        ordered = found[::-1] if query.newest_first else found
        return tuple(ordered[: rules.page(query.limit)])

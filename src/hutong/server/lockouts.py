"""Pauses after wrong passwords and codes: people are counted in the store, other names in this process."""

from hutong.adapters.identity.passwords import FAILURES, PAUSE_MS
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, Later
from hutong.server.services import Services

_KIND = "lockout"
_TRIES = 20


def check(here: Services, name: str) -> None:
    """Raise Later if the name is paused."""
    now_ms = here.clock()
    here.lockout.check(name, now_ms)
    record = here.store.get(_KIND, name)
    count, last_ms = _counted(record)
    left_ms = last_ms + PAUSE_MS - now_ms
    if count >= FAILURES and left_ms > 0:
        raise Later("too many wrong passwords; wait before the next try", -(-left_ms // 1000))


def failed(here: Services, name: str, *, known: bool) -> None:
    """Note a failure. Only people are noted in the store: names are anybody's to invent."""
    now_ms = here.clock()
    here.lockout.failed(name, now_ms)
    for _ in range(_TRIES if known else 0):
        record = here.store.get(_KIND, name)
        count, last_ms = _counted(record)
        count = 1 if now_ms >= last_ms + PAUSE_MS else count + 1
        doc: dict[str, object] = {"count": count, "last_ms": now_ms}
        try:
            here.store.put(Record(_KIND, name, doc), expect=record.version if record else 0)
        except Conflict:
            continue
        return


def passed(here: Services, name: str) -> None:
    """Forget a person's failures."""
    here.lockout.passed(name)
    if here.store.get(_KIND, name) is not None:
        here.store.remove(_KIND, name)


def _counted(record: Record | None) -> tuple[int, int]:
    if record is None:
        return 0, 0
    count, last_ms = record.doc["count"], record.doc["last_ms"]
    return (count, last_ms) if isinstance(count, int) and isinstance(last_ms, int) else (0, 0)

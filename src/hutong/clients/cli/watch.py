"""Watching one job: its facts and the log of its rank 0, merged in the order in which they come."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from hutong.clients.sdk.client import Client
from hutong.core.kernel.errors import HutongError, NotFound
from hutong.wire.jobs import Fact, Moving

LOG_PATIENCE_S = 10.0
LOOK_EVERY_S = 10.0
MOVING = frozenset({"dispatched", "ended"})  # after these a site may be busy with bytes for long
AT_SITE = frozenset({"accepted", "starting", "started", "ended"})  # a quick job skips some of them


@dataclass(frozen=True, slots=True)
class LogLine:
    """A whole line of the job's rank 0."""

    attempt: int
    text: str


def watch(client: Client, job: str, *, after: int = 0) -> Iterator[Fact | LogLine | Moving]:
    """Yield the facts of a job and the lines of its rank 0 as they come, until the job is over.

    While a site may be fetching inputs or sending results, and nothing else comes: how far that is.
    """
    mail: queue.Queue[Fact | LogLine | HutongError | None] = queue.Queue(maxsize=10_000)
    readers: dict[int, threading.Thread] = {}

    def read_attempt(attempt: int) -> None:
        if attempt not in readers:
            reader = threading.Thread(target=_read_log, args=(client, job, attempt, mail), daemon=True)
            readers[attempt] = reader
            reader.start()

    def follow() -> None:
        try:
            for fact in client.jobs.follow(job, after=after):
                mail.put(fact)
                if fact.kind in AT_SITE:
                    read_attempt(int(fact.data.get("attempt", 1)))
            for reader in readers.values():
                reader.join(LOG_PATIENCE_S)
            mail.put(None)
        except HutongError as error:
            mail.put(error)

    # Daemons: Ctrl-C must not wait for a server that has nothing to say.
    threading.Thread(target=follow, daemon=True).start()
    yield from _open(client, job, mail)


def _open(
    client: Client, job: str, mail: "queue.Queue[Fact | LogLine | HutongError | None]"
) -> Iterator[Fact | LogLine | Moving]:
    moves, told = False, None
    while True:
        try:
            item = mail.get(timeout=LOOK_EVERY_S if moves else None)
        except queue.Empty:
            found = _moving(client, job)
            if found is not None and found != told:
                told = found
                yield found
            continue
        if item is None:
            return
        if isinstance(item, HutongError):
            raise item
        if isinstance(item, Fact):
            moves = item.kind in MOVING or (moves and item.kind == "metered")
        yield item


def _moving(client: Client, job: str) -> Moving | None:
    try:
        return client.jobs.get(job).conditions.moving
    except HutongError:  # whoever follows the facts says so if it lasts
        return None


def _read_log(
    client: Client, job: str, attempt: int, mail: "queue.Queue[Fact | LogLine | HutongError | None]"
) -> None:
    rest = ""
    try:
        for chunk in client.jobs.logs(job, rank=0, attempt=attempt, follow=True):
            *lines, rest = (rest + chunk.text).split("\n")
            for line in lines:
                mail.put(LogLine(attempt, line))
        if rest:
            mail.put(LogLine(attempt, rest))
    except NotFound:
        return  # an attempt that left no log
    except HutongError as error:
        mail.put(error)

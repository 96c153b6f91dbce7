"""Whether a visit may reach a job now, and where the job is: asked of the book, remembered for seconds."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hutong.core.book.snapshot import JobRow
from hutong.core.kernel.ids import JobId, SiteId
from hutong.core.work.fold import Attempt
from hutong.core.work.states import AttemptState
from hutong.server.gateway.tunnels import Reach
from hutong.server.guests import may_open, visitor
from hutong.server.services import Services

KEEP_MS = 2_000
_REMEMBERED = 5_000
_CHECK_EVERY_S = 5.0


class Turned(Exception):
    """A visitor is turned away: a status and what to say, in Chinese and in English."""

    def __init__(self, status: int, zh: str, en: str, *, again_s: int = 0) -> None:
        super().__init__(en)
        self.status = status
        self.zh = zh
        self.en = en
        self.again_s = again_s


@dataclass(frozen=True, slots=True)
class Admission:
    """Somebody may reach a port of a job: who, and where it is."""

    person: str
    job: JobId
    to: Reach


class Gatekeeper:
    """Its methods ask the store: `recall` for an event loop, `admit` for a thread."""

    def __init__(self, here: Services) -> None:
        self._here = here
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], tuple[int, Admission]] = OrderedDict()

    def recall(self, secret: str, job: str) -> Admission | None:
        """Return what was found less than two seconds ago; asks nobody."""
        with self._lock:
            entry = self._known.get((secret, job))
        return entry[1] if entry is not None and self._here.clock() < entry[0] else None

    def admit(self, secret: str, job: str) -> Admission:
        """Return the admission of a visit; raises Turned with the reason why not."""
        now_ms = self._here.clock()
        who = visitor(self._here.store, secret, job, now_ms) if secret else None
        if who is None:
            raise stranger()
        row = self._here.store.job(JobId(job))
        if row is None or not may_open(who, row):
            raise Turned(
                403,
                "您不能打开这个作业：只有其项目的成员可以。",
                "You may not open this job: only members of its project may.",
            )
        admission = Admission(who.id, JobId(job), find_port(self._here, JobId(job)))
        with self._lock:
            self._known[secret, job] = (now_ms + KEEP_MS, admission)
            self._known.move_to_end((secret, job))
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return admission


def stranger() -> Turned:
    """Return the answer to somebody who shows no good ticket or visit."""
    return Turned(
        401,
        "请从平台的作业页面打开，或运行 hutong open。链接只能使用一次，一分钟内有效。",
        "Open this from the job's page, or with `hutong open`. The link works once, in a minute.",
    )


def find_running(here: Services, job: JobId) -> tuple[JobRow, Attempt]:
    """Return a job and the attempt of it that runs; raises Turned."""
    row = here.store.job(job)
    if row is None:
        raise Turned(404, "没有这个作业。", "There is no such job.")
    if row.job.final or row.job.cancel_by:
        raise Turned(410, "这个作业已经结束。", "This job has ended.")
    live = row.job.live
    if live is None or live.state is not AttemptState.RUNNING:
        state = row.job.state.value.lower()
        en = f"The job does not run yet ({state}); wait a moment."
        raise Turned(503, f"作业尚未运行（{state}），请稍候。", en, again_s=3)
    return row, live


def find_port(here: Services, job: JobId) -> Reach:
    """Return where a running job serves; raises Turned."""
    row, live = find_running(here, job)
    if not live.port:
        raise Turned(404, "这个作业没有端口。", "This job has no port: write ports, or type: notebook.")
    return Reach(SiteId(live.site), row.job.key(live), 0, live.port)


async def while_right(check: Callable[[], Awaitable[None]], work: Awaitable[None]) -> None:
    """Do the work; every few seconds `check` may raise, which ends it."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_CHECK_EVERY_S)
            if not task.done():
                await check()
        task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

"""What goes on in a job as it happens: its facts, its logs; and the files it leaves."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from hutong.core.book.snapshot import JobRow
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.states import AttemptState
from hutong.server.api.access import Here, OfJob
from hutong.server.api.events import (
    BEAT,
    BEAT_S,
    DESCRIBED,
    MEDIA_TYPE,
    StreamSlots,
    end,
    event,
    text_of,
    whole_characters,
)
from hutong.server.api.objects import send_content
from hutong.server.api.paging import Paging, paging
from hutong.server.api.receipts import attempt_of
from hutong.server.api.shapes.jobs import fact_shape, output_shape
from hutong.server.logs import SETUP_RANK, log_folder
from hutong.server.services import Services
from hutong.wire import jobs as w
from hutong.wire.base import Page

FACTS_AT_ONCE = 200
LOG_AT_ONCE_BYTES = 64 * 1024
WATCH_MS = 30_000
_WATCH_AGAIN_MS = 10_000
_LOOK_S = 1.0
_PAUSE_S = 0.05
_NEVER_COLLECTED = frozenset({AttemptState.WITHDRAWN, AttemptState.LOST})

router = APIRouter(prefix="/v1/jobs/{job}", tags=["jobs"])

Readable = Annotated[JobRow, Depends(OfJob("job.read"))]
AttemptNumber = Annotated[int | None, Query(ge=1, lt=1_000_000, description="the newest one if left out")]
Number = Annotated[int, Query(ge=0, lt=1 << 53)]
LastEvent = Annotated[str | None, Header(alias="Last-Event-ID", max_length=20, pattern=r"^[0-9]{0,16}$")]


async def slots_of(request: Request) -> StreamSlots:
    """Return the app's count of open streams."""
    slots: StreamSlots = request.app.state.slots
    return slots


Slots = Annotated[StreamSlots, Depends(slots_of)]


@router.get(
    "/events",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: DESCRIBED}}},
)
async def stream_facts(
    here: Here,
    slots: Slots,
    row: Readable,
    after: Number = 0,
    last: LastEvent = None,
) -> StreamingResponse:
    """Stream the job's facts as events, from behind `after` or `Last-Event-ID`, until it is over."""
    return slots.answer(here, _facts(here, row, max(after, int(last or 0))))


async def _facts(here: Services, row: JobRow, after: int) -> AsyncIterator[str]:
    final = False
    while True:
        seen = await run_in_threadpool(here.bell.now)
        facts = await run_in_threadpool(here.store.facts, row.job.id, after, FACTS_AT_ONCE)
        for fact in facts:
            yield event(fact_shape(fact).model_dump_json(), id_=str(fact.seq), name="fact")
            after = fact.seq
        if facts:
            now = await run_in_threadpool(here.store.job, row.job.id)
            final = now is not None and now.job.final and after >= now.job.seq
        elif not final and after >= row.job.seq and row.job.final:
            final = True
        if final:
            yield end({"after": after})
            return
        if not facts and not await here.bell.changed(seen, BEAT_S):
            yield BEAT
        await anyio.sleep(_PAUSE_S)  # others' writes ring the bell too


@router.get(
    "/logs",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}, MEDIA_TYPE: DESCRIBED}}},
)
async def read_logs(
    here: Here,
    slots: Slots,
    row: Readable,
    rank: Annotated[str, Query(pattern=r"^(setup|-1|[0-9]{1,6})$")] = "0",
    attempt: AttemptNumber = None,
    offset: Number = 0,
    follow: Annotated[bool, Query()] = False,
    last: LastEvent = None,
) -> StreamingResponse:
    """Return a rank's log from a byte offset as text; with `follow=1` as events until the attempt is over.

    An event's data is `{"offset", "text", "next"}`: where the text begins, and the byte behind it; its id is
    `next`. A byte that is not UTF-8 is shown as one `?`. Rank `setup` (or -1) is staging and setup.
    """
    number = SETUP_RANK if rank in {"setup", "-1"} else int(rank)
    if follow:
        start = int(last) if last else offset
        return slots.answer(here, _Tail(here, row, attempt, number, start).events())
    chosen = attempt_of(row, attempt)
    _check_rank(chosen, number)
    await run_in_threadpool(_watch, here, row.job, chosen)
    folder = log_folder(row.project, row.job.id, chosen.number, number)
    return StreamingResponse(here.logs.stream(folder, offset), media_type="text/plain; charset=utf-8")


def _check_rank(attempt: Attempt, rank: int) -> None:
    if rank >= attempt.nodes:
        problem = Problem("?rank", f"there is no rank {rank}", f"0 to {attempt.nodes - 1}, or setup")
        raise Refused("no_rank", f"this attempt has {attempt.nodes} ranks", (problem,))


def _watch(here: Services, job: Job, attempt: Attempt) -> None:
    if not attempt.over:
        here.store.watch(job.key(attempt), here.clock() + WATCH_MS)


@dataclass(slots=True)
class _Tail:
    """Follows one rank's log; `attempt` None is the job's newest one, waited for if there is none yet."""

    here: Services
    row: JobRow
    attempt: int | None
    rank: int
    offset: int
    watched_ms: int = 0

    async def events(self) -> AsyncIterator[str]:
        """Yield the log as it grows, a sign of life now and then, and the end."""
        beat_s = anyio.current_time()
        self.row = await run_in_threadpool(self._look)  # first of all the site must learn that somebody reads
        while True:
            chosen = self._chosen()
            if chosen is not None:
                async for piece in self._grown(chosen):
                    beat_s = anyio.current_time()
                    yield piece
            reason = self._over(chosen)
            if reason is not None:
                yield end({"next": self.offset, "reason": reason})
                return
            if anyio.current_time() - beat_s > BEAT_S:
                beat_s = anyio.current_time()
                yield BEAT
            await self._pause(chosen)

    def _chosen(self) -> Attempt | None:
        attempts = self.row.job.attempts
        if self.attempt is None and attempts:
            self.attempt = len(attempts)
        return attempts[self.attempt - 1] if self.attempt and self.attempt <= len(attempts) else None

    async def _grown(self, chosen: Attempt) -> AsyncIterator[str]:
        folder = self._folder(chosen)
        while data := await run_in_threadpool(self.here.logs.read, folder, self.offset, LOG_AT_ONCE_BYTES):
            piece = whole_characters(data)
            start, self.offset = self.offset, self.offset + len(piece)
            body = {"offset": start, "text": text_of(piece), "next": self.offset}
            yield event(json.dumps(body, ensure_ascii=False), id_=str(self.offset))

    def _over(self, chosen: Attempt | None) -> str | None:
        """Return why nothing more will come, or None."""
        if chosen is None:
            return self.row.job.reason or "there is no such attempt" if self.row.job.final else None
        if self.rank >= chosen.nodes:
            return f"there is no rank {self.rank}"
        waited_ms = self.here.clock() - chosen.ended_seen_ms
        given_up = chosen.state in _NEVER_COLLECTED or waited_ms > self.here.rules.collect_within_ms
        return chosen.reason if chosen.over and (chosen.collected or given_up) else None

    async def _pause(self, chosen: Attempt | None) -> None:
        """Wait for more; then look at the job anew, so that what ended before a read was all read."""
        if chosen is not None:
            await self.here.logs.changed(self._folder(chosen), _LOOK_S)
        else:
            seen = await run_in_threadpool(self.here.bell.now)
            await self.here.bell.changed(seen, _LOOK_S)
            await anyio.sleep(_PAUSE_S)
        self.row = await run_in_threadpool(self._look)

    def _look(self) -> JobRow:
        row = self.here.store.job(self.row.job.id) or self.row
        chosen = self._chosen()
        now_ms = self.here.clock()
        if chosen is not None and now_ms - self.watched_ms > _WATCH_AGAIN_MS:
            self.watched_ms = now_ms
            _watch(self.here, row.job, chosen)
        return row

    def _folder(self, chosen: Attempt) -> str:
        return log_folder(self.row.project, self.row.job.id, chosen.number, self.rank)


@router.get("/outputs")
def list_outputs(
    here: Here,  # noqa: ARG001
    row: Readable,
    pages: Annotated[Paging, Depends(paging)],
    attempt: AttemptNumber = None,
) -> Page[w.Output]:
    """List the files that an attempt left, in order of their paths."""
    files = sorted(attempt_of(row, attempt).outputs, key=lambda each: each.path)
    shown = [each for each in files if each.path > pages.after][: pages.limit + 1]
    return pages.page(shown, lambda each: each.path, output_shape)


@router.get(
    "/outputs/{path:path}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def read_output(
    here: Here,
    request: Request,
    row: Readable,
    path: Annotated[str, Path(max_length=1_024)],
    attempt: AttemptNumber = None,
) -> Response:
    """Return one file that an attempt left. The path only selects from the attempt's list of files."""
    found = next((each for each in attempt_of(row, attempt).outputs if each.path == path), None)
    if found is None:
        raise NotFound("not_found", f"the attempt left no file {path!r}; see /outputs")
    name = found.path.rpartition("/")[2]
    return send_content(request, here.objects, found.digest, found.size_bytes, name)

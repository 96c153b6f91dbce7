"""Receipts: why a job went where it went, and the same decision taken again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from hutong.core.book.snapshot import JobRow
from hutong.core.kernel.errors import NotFound
from hutong.core.placement.receipt import Opened, open_receipt
from hutong.core.work.fold import Attempt
from hutong.server.api.access import Here, OfJob
from hutong.server.api.shapes.receipts import receipt_shape
from hutong.server.services import Services
from hutong.wire import receipts as w

router = APIRouter(prefix="/v1/jobs/{job}/receipt", tags=["receipts"])

AttemptNumber = Annotated[int | None, Query(ge=1, lt=1_000_000, description="the newest one if left out")]
Readable = Annotated[JobRow, Depends(OfJob("job.read"))]


@router.get("")
def get_receipt(here: Here, row: Readable, attempt: AttemptNumber = None) -> w.Receipt:
    """Return why an attempt went where it went, with every alternative."""
    return receipt_shape(_stored(here, row, attempt))


@router.post("/replay")
def replay_receipt(here: Here, row: Readable, attempt: AttemptNumber = None) -> w.Replay:
    """Decide again from the receipt's own inputs, with the code that runs now, and compare."""
    opened = _stored(here, row, attempt)
    return w.Replay(
        same=opened.digest == opened.now_digest,
        digest=opened.digest,
        replayed_digest=opened.now_digest,
        differences=opened.differences,
    )


def _stored(here: Services, row: JobRow, number: int | None) -> Opened:
    data = here.store.receipt(row.job.key(attempt_of(row, number)))
    if data is None:
        raise NotFound("not_found", "this attempt has no receipt")
    return open_receipt(data, here.store.page)


def attempt_of(row: JobRow, number: int | None) -> Attempt:
    """Return the attempt of that number, or the newest one; raises NotFound."""
    attempts = row.job.attempts
    if not attempts:
        raise NotFound("no_attempt", f"job {row.job.id} has not been placed yet")
    if number is None:
        return attempts[-1]
    if number > len(attempts):
        raise NotFound("no_attempt", f"job {row.job.id} has {len(attempts)} attempts, not {number}")
    return attempts[number - 1]

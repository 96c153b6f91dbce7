"""Receipts: why a job went where it went, and the same decision taken again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from hutong.core.book.snapshot import JobRow
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.core.placement.counterfactual import what_if
from hutong.core.placement.receipt import Opened, open_receipt
from hutong.core.work.fold import Attempt
from hutong.server.api.access import Here, OfJob
from hutong.server.api.shapes.receipts import receipt_shape
from hutong.server.api.shapes.times import read_time
from hutong.server.api.shapes.what_if import what_if_shape
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


@router.get("/what-if")
def ask_what_if(
    here: Here,
    row: Readable,
    attempt: AttemptNumber = None,
    at: Annotated[str | None, Query(description="another moment, RFC 3339 with an offset")] = None,
    policy: Annotated[str | None, Query(max_length=64, description="another objective")] = None,
) -> w.WhatIf:
    """Say where the attempt would have gone at another moment or by another policy, and what that takes.

    The run is as long as it was, or until its walltime while nobody knows.
    """
    found = attempt_of(row, attempt)
    if policy is not None and policy not in here.rules.policies:
        problem = Problem(
            "/policy", f"no policy {policy!r}", f"one of {', '.join(sorted(here.rules.policies))}"
        )
        raise Refused("bad_policy", f"there is no policy {policy!r}", (problem,))
    other = None if policy is None else here.rules.policies[policy]
    answer = what_if(
        _bytes(here, row, attempt), here.store.page, None if at is None else read_time(at, "/at"), other
    )
    return what_if_shape(answer, found, row.spec)


def _stored(here: Services, row: JobRow, number: int | None) -> Opened:
    return open_receipt(_bytes(here, row, number), here.store.page)


def _bytes(here: Services, row: JobRow, number: int | None) -> bytes:
    data = here.store.receipt(row.job.key(attempt_of(row, number)))
    if data is None:
        raise NotFound("not_found", "this attempt has no receipt")
    return data


def attempt_of(row: JobRow, number: int | None) -> Attempt:
    """Return the attempt of that number, or the newest one; raises NotFound."""
    attempts = row.job.attempts
    if not attempts:
        text = f"job {row.job.id} has not been placed yet: /v1/jobs/{row.job.id}/why says what it waits for"
        raise NotFound("no_attempt", text)
    if number is None:
        return attempts[-1]
    if number > len(attempts):
        raise NotFound("no_attempt", f"job {row.job.id} has {len(attempts)} attempts, not {number}")
    return attempts[number - 1]

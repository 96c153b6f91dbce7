"""Arrays of jobs: submit, look, cancel as a whole."""

from typing import Annotated

from fastapi import APIRouter, Depends

from hutong.core.accounts.roles import Principal
from hutong.core.book.snapshot import JobRow
from hutong.core.kernel.arrays import array_of, job_at
from hutong.core.kernel.errors import Broken
from hutong.core.work.facts import CancelAsked
from hutong.core.work.states import FINAL
from hutong.server.api.access import Here, OfArray, Somewhere, principal_of
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.wishes import Batch, store_all
from hutong.server.services import Services
from hutong.wire import arrays as w
from hutong.wire.base import rfc3339
from hutong.wire.jobs import CancelReason, NewJob

router = APIRouter(prefix="/v1/arrays", tags=["jobs"])


@router.post("", status_code=201)
def submit_array(
    here: Here,
    principal: Annotated[Principal, Depends(Somewhere("job.submit"))],
    body: NewJob,
    key: IdempotencyKey = "",
) -> w.JobArray:
    """Submit the jobs that the `array` of a job file asks for, up to 1,000, stored together or not at all."""
    digest = digest_of(body) if key else ""
    wishes = Batch(here, principal).array(body.project, body.spec, key, digest)
    memo = digest_of(principal.id, "array", key) if key else ""
    first, *_ = store_all(here, wishes, memo, digest)
    row = here.store.job(first)
    if row is None:
        raise Broken(f"job {first} was written and is not there")
    return _shape(here, row)


@router.get("/{array}")
def get_array(here: Here, row: Annotated[JobRow, Depends(OfArray("job.read"))]) -> w.JobArray:
    """Return an array, with how many of its jobs are in which state."""
    return _shape(here, row)


@router.post("/{array}/cancel")
def cancel_array(
    here: Here,
    row: Annotated[JobRow, Depends(OfArray("job.cancel"))],
    principal: Annotated[Principal, Depends(principal_of)],
    body: CancelReason | None = None,
) -> w.JobArray:
    """Ask for all jobs of an array that are not over to be stopped, all together."""
    name, count = array_of(row.job.id), row.spec.array.count if row.spec.array else 0
    asked = [job_at(name, place) for place in range(1, count + 1)]
    here.store.ask_all(asked, CancelAsked(principal.id, body.reason if body else ""), here.clock())
    here.bell.ring()
    return _shape(here, row)


def _shape(here: Services, row: JobRow) -> w.JobArray:
    array, name = row.spec.array, array_of(row.job.id)
    if array is None:
        raise Broken(f"job {row.job.id} is in no array")
    states = here.store.array_states(name)
    return w.JobArray.model_validate(
        {
            "id": name,
            "name": row.spec.name,
            "project": row.project,
            "by": row.job.by,
            "indices": str(array),
            "at_once": array.at_once,
            "jobs": array.count,
            "left": sum(jobs for state, jobs in states.items() if state not in FINAL),
            "states": dict(sorted(states.items())),
            "submitted": rfc3339(row.job.submitted_ms),
        }
    )

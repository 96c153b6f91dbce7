"""Calls about jobs: submit, watch, stop, explain, account for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hutong.clients.sdk.call import (
    Call,
    Listing,
    file_path_of,
    nothing,
    path_of,
    post,
    query_of,
    raw,
    shape,
)
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import jobs as j
from hutong.wire.arrays import JobArray
from hutong.wire.base import Page
from hutong.wire.money import Bill
from hutong.wire.receipts import Receipt, Replay, WhatIf


def submit(project: str, spec: Mapping[str, Any], *, key: str = "") -> Call[j.Job]:
    """Submit a job: the document of a job file, and the project that pays. A lost answer does no harm.

    A `key` of one's own makes it harmless across programs too: the same key gives the same job.
    """
    return post(path_of("jobs"), shape(j.Job), j.NewJob(project=project, spec=dict(spec)), key=key)


def submit_batch(project: str, specs: Sequence[Mapping[str, Any]]) -> Call[j.JobIds]:
    """Submit up to 1,000 jobs, stored together or not at all; the answer has their ids in order."""
    jobs = tuple(j.NewJob(project=project, spec=dict(spec)) for spec in specs)
    return post(path_of("jobs", "batch"), shape(j.JobIds), j.NewJobs(jobs=jobs))


def submit_array(project: str, spec: Mapping[str, Any], *, key: str = "") -> Call[JobArray]:
    """Submit the jobs of a job file with `array`, stored together or not at all; see `submit`."""
    return post(path_of("arrays"), shape(JobArray), j.NewJob(project=project, spec=dict(spec)), key=key)


def get_array(array: str) -> Call[JobArray]:
    """Return an array of jobs, with how many of them are in which state."""
    return Call("GET", path_of("arrays", array), shape(JobArray))


def cancel_array(array: str, reason: str = "") -> Call[JobArray]:
    """Ask for all jobs of an array that are not over to be stopped."""
    return post(path_of("arrays", array, "cancel"), shape(JobArray), j.CancelReason(reason=reason))


def check(project: str, spec: Mapping[str, Any]) -> Call[j.Check]:
    """Say what would happen to the job, where, and why not elsewhere; nothing is stored."""
    return post(
        path_of("jobs", "check"), shape(j.Check), j.NewJob(project=project, spec=dict(spec)), keyed=False
    )


def quote(project: str, spec: Mapping[str, Any]) -> Call[j.Quote]:
    """Say what the job would cost in each pool, and who would pay; nothing is stored."""
    return post(
        path_of("jobs", "quote"), shape(j.Quote), j.NewJob(project=project, spec=dict(spec)), keyed=False
    )


def get(job: str) -> Call[j.JobDetail]:
    """Return one job with its spec."""
    return Call("GET", path_of("jobs", job), shape(j.JobDetail))


def list_jobs(
    *,
    project: str | None = None,
    state: str | Sequence[str] | None = None,
    array: str | None = None,
    index: int | None = None,
    limit: int | None = None,
) -> Listing[j.Job]:
    """List jobs, the newest first; `state` may be several, `index` is one of an `array`."""
    states = [state] if isinstance(state, str) else list(state or ())
    query = query_of(project=project, array=array, index=index)
    query = (*query, *(("state", each) for each in states if each))
    return Listing(path_of("jobs"), shape(Page[j.Job]), query, limit)


def page_of_jobs(
    *,
    project: str | None = None,
    state: str | Sequence[str] | None = None,
    array: str | None = None,
    cursor: str = "",
    limit: int = 50,
) -> Call[Page[j.Job]]:
    """Return one page of jobs; its `next` is the cursor of the page after it."""
    return list_jobs(project=project, state=state, array=array, limit=limit).page(cursor)


def facts(job: str, *, after: int | None = None, limit: int | None = None) -> Listing[j.Fact]:
    """List what happened to the job, in order, behind the fact number `after`."""
    return Listing(path_of("jobs", job, "facts"), shape(Page[j.Fact]), query_of(after=after), limit)


def cancel(job: str, reason: str = "") -> Call[j.Job]:
    """Ask for the job to be stopped; it stays asked until the job is seen to be gone."""
    return post(path_of("jobs", job, "cancel"), shape(j.Job), j.CancelReason(reason=reason))


def hold(job: str) -> Call[j.Job]:
    """Keep a waiting job in the queue."""
    return post(path_of("jobs", job, "hold"), shape(j.Job))


def release(job: str) -> Call[j.Job]:
    """Let a held job go on."""
    return post(path_of("jobs", job, "release"), shape(j.Job))


def why(job: str) -> Call[j.Check]:
    """Return why a waiting job waits: what each pool says to it now. Raises NotFound once it is placed."""
    return Call("GET", path_of("jobs", job, "why"), shape(j.Check))


def receipt(job: str, *, attempt: int | None = None) -> Call[Receipt]:
    """Return why the job went where it went; without `attempt`, the newest one's."""
    return Call("GET", path_of("jobs", job, "receipt"), shape(Receipt), query_of(attempt=attempt))


def replay(job: str, *, attempt: int | None = None) -> Call[Replay]:
    """Have the placement decided again from the receipt's own inputs, and compared."""
    call = post(path_of("jobs", job, "receipt", "replay"), shape(Replay), keyed=False)
    return Call(call.method, call.path, call.read, query_of(attempt=attempt))


def what_if(
    job: str, *, attempt: int | None = None, at: str | None = None, policy: str | None = None
) -> Call[WhatIf]:
    """Ask where the job would have gone at another moment (RFC 3339) or by another policy."""
    query = query_of(attempt=attempt, at=at, policy=policy)
    return Call("GET", path_of("jobs", job, "receipt", "what-if"), shape(WhatIf), query)


def read_log(
    job: str, *, rank: int = 0, attempt: int | None = None, offset: int | None = None
) -> Call[bytes]:
    """Return a rank's log from a byte offset; rank -1 is the log of staging and setup."""
    return Call("GET", path_of("jobs", job, "logs"), raw, log_query(rank, attempt, offset))


def log_query(rank: int, attempt: int | None, offset: int | None) -> tuple[tuple[str, str], ...]:
    """Return the query that names a place in a log."""
    return query_of(rank=rank, attempt=attempt, offset=offset)


def bill(job: str) -> Call[Bill]:
    """Return what the job cost, who paid, and the entries that prove it."""
    return Call("GET", path_of("jobs", job, "bill"), shape(Bill))


def outputs(job: str, *, limit: int | None = None) -> Listing[j.Output]:
    """List the files the job left."""
    return Listing(path_of("jobs", job, "outputs"), shape(Page[j.Output]), most=limit)


def output(job: str, path: str) -> Call[bytes]:
    """Return one file that the job left."""
    return Call("GET", file_path_of("jobs", job, "outputs", file=path), raw)


def set_object(digest: str, content: bytes | Path) -> Call[None]:
    """Store a bundle of a work folder under the digest of its content."""
    return Call("PUT", path_of("objects", digest), nothing, body=content, media="application/octet-stream")


def has_object(digest: str) -> Call[None]:
    """Raise NotFound if the platform does not hold that content."""
    return Call("HEAD", path_of("objects", digest), nothing)


def open_job(job: str, path: str = "/") -> Call[j.Opened]:
    """Return a link that opens the running job's own pages once, and where lines into it begin."""
    return post(path_of("jobs", job, "open"), shape(j.Opened), j.Open(path=path), keyed=False)


class JobVerbs:
    """Jobs: submit, watch, stop, explain, account for."""

    submit = Verb(submit)
    submit_batch = Verb(submit_batch)
    submit_array = Verb(submit_array)
    array = Verb(get_array)
    cancel_array = Verb(cancel_array)
    check = Verb(check)
    quote = Verb(quote)
    get = Verb(get)
    list = ListVerb(list_jobs)
    page = Verb(page_of_jobs)
    facts = ListVerb(facts)
    cancel = Verb(cancel)
    hold = Verb(hold)
    release = Verb(release)
    why = Verb(why)
    receipt = Verb(receipt)
    what_if = Verb(what_if)
    replay = Verb(replay)
    read_log = Verb(read_log)
    bill = Verb(bill)
    open = Verb(open_job)
    outputs = ListVerb(outputs)
    output = Verb(output)


class ObjectVerbs:
    """Content that jobs need, named by its digest."""

    put = Verb(set_object)
    check = Verb(has_object)


class Objects(ObjectVerbs, Group):
    """Content that jobs need, named by its digest."""


class AsyncObjects(ObjectVerbs, AsyncGroup):
    """Content that jobs need, named by its digest."""

"""Commands about jobs: list, look, read logs, stop, explain."""

from typing import Annotated

import typer

from hutong.clients.cli import show_jobs as views
from hutong.clients.cli.arrays import find_array, follow_array, show_array, succeeded, summary
from hutong.clients.cli.receipts import moment_of, show_receipt, show_replay, show_what_if, show_why
from hutong.clients.cli.session import JobArgument, Json, JsonLines, Limit, connect, find_job
from hutong.clients.cli.terminal import console, say, show_json
from hutong.clients.sdk.client import Client
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.wire.jobs import Job

Attempt = Annotated[int | None, typer.Option("--attempt", min=1, help="Which attempt; else the newest.")]
SETUP = -1


def jobs(
    project: Annotated[str, typer.Option("--project", "-p", help="Only this project's.")] = "",
    state: Annotated[
        str, typer.Option("--state", "-s", help="Only jobs in this state, such as RUNNING.")
    ] = "",
    array: Annotated[
        str, typer.Option("--array", "-a", help="Only jobs of this array: its id, or the beginning of it.")
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait until all jobs of the array are over.")
    ] = False,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first.

    With --array --follow: exit code 1 if not all of its jobs have succeeded.

    Example: hutong jobs --state RUNNING

    Example: hutong jobs --array 01K2ABCDEF --follow
    """
    if follow and not array:
        raise Refused("bad_option", "--follow is for an array", (Problem("", "name one with --array"),))
    with connect() as client:
        name = _array_of(client, array) if array else None
        last = follow_array(client, name, as_json=as_json) if name and follow else None
        listed = client.jobs.list(
            project=project or None, state=state.upper() or None, array=name, limit=limit
        )
        found = list(listed) if last is None else []
    if last is not None:
        raise typer.Exit(0 if succeeded(last) else 1)
    if as_json:
        show_json(found)
    else:
        views.show_jobs(found)


def _array_of(client: Client, text: str) -> str:
    found = find_array(client, text)
    if not found:
        hint = "its id as `hutong run` said it, the beginning of it, or `last` for that of the latest job"
        raise NotFound("no_array", f"no array is {text}: {hint}")
    return found


def job(job: JobArgument, as_json: Json = False) -> None:
    """Show one job: its state, its attempts, what it cost. Of an array: how many are in which state.

    Example: hutong job last
    """
    with connect() as client:
        array = _named_array(client, job)
        if array:
            whole = client.jobs.array(array)
            show_json(whole) if as_json else show_array(whole)
            return
        detail = client.jobs.get(find_job(client, job))
    if as_json:
        show_json(detail)
    else:
        views.show_job(detail, console())


def facts(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
    as_json: JsonLines = False,
) -> None:
    """Show all that happened to a job, in order. JSON: one line a fact.

    Example: hutong facts last --follow
    """
    with connect() as client:
        name = find_job(client, job)
        if not follow and not as_json:
            views.show_facts(list(client.jobs.facts(name)))
            return
        for fact in client.jobs.follow(name) if follow else client.jobs.facts(name):
            if as_json:
                show_json(fact)
            else:
                say(views.fact_line(fact))


def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the attempt is over.")] = False,
    rank: Annotated[str, typer.Option("--rank", "-r", help="A rank's number, or `setup`.")] = "0",
    attempt: Attempt = None,
    as_json: JsonLines = False,
) -> None:
    """Write the log of one rank. JSON: lines {"rank", "text", "next_offset"}.

    Example: hutong logs last --follow --rank 1
    """
    number = _rank(rank)
    with connect() as client:
        name = find_job(client, job)
        for chunk in client.jobs.logs(name, rank=number, attempt=attempt, follow=follow):
            if as_json:
                show_json({"rank": chunk.rank, "text": chunk.text, "next_offset": chunk.next_offset})
            else:
                typer.echo(chunk.text, nl=False)


def _rank(text: str) -> int:
    if text == "setup":
        return SETUP
    if text.isascii() and text.isdigit() and len(text) < 7:
        return int(text)
    raise Refused("bad_rank", f"{text!r} is no rank", (Problem("", "a number from 0, or `setup`"),))


def cancel(
    job: JobArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    as_json: Json = False,
) -> None:
    """Ask for a job to be stopped, or all of an array.

    Example: hutong cancel last --reason "wrong data"
    """
    with connect() as client:
        array = _named_array(client, job)
        if array:
            whole = client.jobs.cancel_array(array, reason)
            show_json(whole) if as_json else say(f"{summary(whole)}; the others are asked to stop")
            return
        _say_state(client.jobs.cancel(find_job(client, job), reason), as_json)


def _named_array(client: Client, text: str) -> str:
    """Return the array that a name means where a job's could stand; `last` is a job."""
    return "" if "_" in text or text.strip().lower() == "last" else find_array(client, text)


def hold(job: JobArgument, as_json: Json = False) -> None:
    """Keep a waiting job in the queue until it is released.

    Example: hutong hold 01K2ABCDEF
    """
    with connect() as client:
        _say_state(client.jobs.hold(find_job(client, job)), as_json)


def release(job: JobArgument, as_json: Json = False) -> None:
    """Let a held job go on.

    Example: hutong release 01K2ABCDEF
    """
    with connect() as client:
        _say_state(client.jobs.release(find_job(client, job)), as_json)


def _say_state(now: Job, as_json: bool) -> None:
    if as_json:
        show_json(now)
        return
    asked = now.conditions.cancel_asked_by
    note = ", asked to stop" if asked and not now.finished else ""
    say(f"{now.id} is {now.state}{note}")


def why(job: JobArgument, as_json: Json = False) -> None:
    """Show why a job waits: what each pool says to it now, and the smallest change that would help.

    It is judged as if it came first; its place in line is told beside that. `hutong receipt` tells the same
    of a job that was placed.

    Example: hutong why last
    """
    with connect() as client:
        name = find_job(client, job)
        judged = client.jobs.why(name)
        found = None if as_json else client.jobs.get(name)
    if found is None:
        show_json(judged)
    else:
        show_why(found, judged, console())


def receipt(
    job: JobArgument,
    replay: Annotated[
        bool, typer.Option("--replay", help="Decide again from its inputs and compare.")
    ] = False,
    attempt: Attempt = None,
    at: Annotated[str, typer.Option("--at", help="What if then: 12:00 of that day, or a whole time.")] = "",
    policy: Annotated[str, typer.Option("--policy", help="What if by another objective.")] = "",
    as_json: Json = False,
) -> None:
    """Show why a job went where it went, and why not elsewhere; or where it would have gone otherwise.

    Example: hutong receipt last --at 12:00
    """
    with connect() as client:
        name = find_job(client, job)
        if at or policy:
            began = client.jobs.receipt(name, attempt=attempt).at
            moment = moment_of(at, began) if at else None
            answer = client.jobs.what_if(name, attempt=attempt, at=moment, policy=policy or None)
            show_json(answer) if as_json else show_what_if(answer, console())
            return
        if replay:
            again = client.jobs.replay(name, attempt=attempt)
            show_json(again) if as_json else show_replay(again)
            if not again.same:
                raise typer.Exit(1)
            return
        found = client.jobs.receipt(name, attempt=attempt)
    if as_json:
        show_json(found)
    else:
        show_receipt(found, console())


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    panel = "Jobs"
    for verb in (jobs, job, logs, facts, cancel, hold, release, why, receipt):
        app.command(rich_help_panel=panel)(verb)

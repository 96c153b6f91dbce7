"""Jobs for people: the list, and one job with its attempts."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from hutong.clients.cli.terminal import local, money, rows_of, short, size, state, table
from hutong.wire.jobs import Fact, Forecast, Job, JobDetail, Moving


def show_jobs(jobs: Iterable[Job]) -> None:
    """Print a list of jobs."""
    made = table("job", "name", "state", "where", "submitted", ">charge")
    rows = (
        (
            label_of(job),
            job.name[:16],
            state(job.state),
            where_of(job)[:16],
            local(job.submitted),
            money(job.charge),
        )
        for job in jobs
    )
    rows_of(made, rows, "no jobs")


def label_of(job: Job) -> str:
    """Return by which name a table shows a job; it names the job as well as its id does."""
    return f"{short(job.array)}_{job.array_index}" if job.array else short(job.id)


def where_of(job: Job) -> str:
    """Return the site of the newest attempt."""
    return job.attempts[-1].site if job.attempts else ""


def expected(forecast: Forecast) -> str:
    """Return when a waiting job is expected to start, in words."""
    place = f"place {forecast.place} in line"
    if forecast.likely is None or forecast.late is None:
        return f"{place}; no telling when"
    if not forecast.samples:
        return f"{place}; starts by {local(forecast.late)} if what runs takes all the time that it asked for"
    rest = f"9 of 10 such jobs by {local(forecast.late)}, as {forecast.samples} earlier waits came out"
    return f"{place}; expected to start about {local(forecast.likely)}; {rest}"


def show_job(job: Job, screen: Console) -> None:
    """Print one job with its attempts."""
    screen.print(Text.assemble((job.name or "(no name)", "bold"), "  ", state(job.state), f"  {job.id}"))
    if job.reason:
        screen.print(f"reason: {job.reason}", soft_wrap=True)
    cards = ", ".join(job.accelerators) or "no accelerator"
    asked = f"{job.num_nodes} node(s), {cards} on each"
    may_stop = ", preemptible" if job.preemptible else ""
    screen.print(f"project {job.project}, by {job.by}; {asked}; priority {job.priority}{may_stop}")
    if job.array:
        screen.print(f"index {job.array_index} of array {job.array}")
    finished = f", finished {local(job.finished)}" if job.finished else ""
    screen.print(f"submitted {local(job.submitted)}{finished}; charge {money(job.charge)}")
    conditions = job.conditions
    if conditions.waiting_text:
        when = f" (at {local(conditions.retry_at)})" if conditions.retry_at else ""
        screen.print(Text(f"waiting: {conditions.waiting_text}{when}", "yellow"), soft_wrap=True)
        if job.state == "QUEUED":
            screen.print(f"told when that began; what each pool says now: hutong why {short(job.id)}")
    if isinstance(job, JobDetail) and job.forecast:
        screen.print(Text(expected(job.forecast), "yellow"), soft_wrap=True)
    if conditions.moving:
        screen.print(Text(moving(conditions.moving), "cyan"))
    if conditions.cancel_asked_by:
        screen.print(Text(f"cancel asked by {conditions.cancel_asked_by}", "yellow"))
    if conditions.reachable is False:
        seen = f", last seen {local(conditions.last_seen)}" if conditions.last_seen else ""
        screen.print(
            Text(f"the site is out of reach{seen}; the job goes on there as far as we know", "yellow")
        )
    _show_attempts(job, screen)


def moving(move: Moving) -> str:
    """Return how far bytes are on their way."""
    doing = "the site fetches the inputs" if move.what == "inputs" else "the site sends the results"
    return f"{doing}: {size(move.done_bytes)} of {size(move.total_bytes)}"


def _show_attempts(job: Job, screen: Console) -> None:
    if not job.attempts:
        return
    made = table("try", "state", "where", "cards", ">ran", ">charge", "")
    for each in job.attempts:
        note = " ".join(
            part for part in ("adopted" if each.adopted else "", each.reason, each.endpoint) if part
        )
        made.add_row(
            str(each.number),
            state(each.state),
            f"{each.site}/{each.pool}",
            f"{each.cards} × {each.accelerator}",
            f"{each.ran_s} s",
            money(each.charge),
            note,
        )
    screen.print(made)
    last = job.attempts[-1]
    if last.expected_end and last.expected_by == "history":
        end = local(last.expected_end)
        screen.print(f"expected to end about {end} by what this workload took before")
    elif last.expected_end:
        screen.print(f"ends at {local(last.expected_end)} at the latest")
    if last.missing:
        screen.print(Text(f"not collected: {last.missing}", "yellow"), soft_wrap=True)
    if last.outputs:
        screen.print(f"{len(last.outputs)} files kept")


def show_facts(facts: Sequence[Fact]) -> None:
    """Print what happened, in order."""
    made = table(">#", "at", "by", "fact", "")
    rows = ((str(fact.seq), local(fact.at), fact.source, fact.kind, _details(fact)) for fact in facts)
    rows_of(made, rows, "nothing yet")


def _details(fact: Fact) -> str:
    said = {name: value for name, value in fact.data.items() if value not in ("", None, [], {})}
    return " ".join(f"{name}={value}" for name, value in said.items())


def fact_line(fact: Fact) -> str:
    """Return a fact as one line."""
    return f"{fact.seq:>4}  {local(fact.at)}  {fact.source:<16} {fact.kind:<12} {_details(fact)}".rstrip()

"""The job page: where it stands, its log, its receipt, its bill, its history, its file."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import yaml
from starlette.responses import RedirectResponse, Response

from hutong.clients.portal import charts
from hutong.clients.portal.milestones import is_final, steps
from hutong.clients.portal.visit import Visit
from hutong.clients.sdk import jobs as calls
from hutong.core.kernel.errors import NotFound
from hutong.core.kernel.money import parse_micro
from hutong.wire.jobs import Fact, JobAttempt, JobDetail
from hutong.wire.receipts import Alternative, Replay

_FACTS_AT_MOST = 1000
_LOG_TAIL_BYTES = 64 * 1024


class _JobFile(yaml.SafeDumper):
    """Writes a job file as people do: scripts as blocks of lines."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_JobFile.add_representer(str, _write_text)


@dataclass(frozen=True, slots=True)
class LogView:
    """A rank's log as the page shows it before anything is live: its end, and the byte where it goes on."""

    attempt: JobAttempt
    rank: int
    text: str
    cut: bool
    offset: int
    live: bool


async def overview(visit: Visit) -> Response:
    """Show where the job stands, its attempts and the end of a log."""
    await visit.signed_in()
    name = visit.path("job")
    job, facts = await asyncio.gather(visit.api.jobs.get(name), _facts(visit, name))
    return visit.render(
        "job_overview.html",
        {
            **_head(visit, job, "overview"),
            "steps": steps(job, facts),
            "last_fact": facts[-1].seq if facts else 0,
            "log": await _log(visit, job),
        },
    )


async def enter(visit: Visit) -> Response:
    """Lead to the running job's own pages, on a host of its own."""
    await visit.signed_in()
    found = await visit.api.jobs.open(visit.path("job"))
    return RedirectResponse(found.url or f"/jobs/{visit.path('job')}", status_code=303)


async def receipt(visit: Visit) -> Response:
    """Show why an attempt went where it went, with every alternative."""
    return await _receipt(visit, None)


async def replay(visit: Visit) -> Response:
    """Have the decision made again from the receipt's own inputs, and show whether it is the same."""
    await visit.form()
    again = await visit.api.jobs.replay(visit.path("job"), attempt=visit.number("attempt"))
    return await _receipt(visit, again)


async def _receipt(visit: Visit, again: Replay | None) -> Response:
    await visit.signed_in()
    job = await visit.api.jobs.get(visit.path("job"))
    number = visit.number("attempt")
    found, names = None, await visit.site_names()
    if job.attempts:
        found = await visit.api.jobs.receipt(job.id, attempt=number)
    rows = sorted(found.alternatives, key=_best_first) if found else []
    return visit.render(
        "job_receipt.html",
        {
            **_head(visit, job, "receipt"),
            "receipt": found,
            "rows": rows,
            "names": names,
            "replay": again,
            "bar": charts.score_bar,
            "points": charts.points,
        },
    )


def _best_first(row: Alternative) -> tuple[bool, bool, int, str, str]:
    return (not row.chosen, not row.eligible, -row.score_ppm, row.site, row.pool)


async def bill(visit: Visit) -> Response:
    """Show what the job cost, line by line, who paid, its energy, and the entries that prove it."""
    await visit.signed_in()
    name = visit.path("job")
    job, found = await asyncio.gather(visit.api.jobs.get(name), visit.api.jobs.bill(name))
    return visit.render(
        "job_bill.html",
        {
            **_head(visit, job, "bill"),
            "bill": found,
            "paid_bar": charts.paid_bar(found.paid),
            "green_ppm": charts.percent_ppm(found.energy.green_percent),
            "balanced": parse_micro(found.entries_sum.amount) == 0,
        },
    )


async def history(visit: Visit) -> Response:
    """Show every fact."""
    await visit.signed_in()
    name = visit.path("job")
    job, facts = await asyncio.gather(visit.api.jobs.get(name), _facts(visit, name))
    told = [(fact, _tell(visit, fact)) for fact in reversed(facts)]
    return visit.render(
        "job_history.html",
        {**_head(visit, job, "history"), "told": told, "cut": len(facts) == _FACTS_AT_MOST},
    )


async def file(visit: Visit) -> Response:
    """Show what was asked for, and the files that were kept."""
    await visit.signed_in()
    job = await visit.api.jobs.get(visit.path("job"))
    spec = yaml.dump(job.spec, Dumper=_JobFile, sort_keys=False, allow_unicode=True, width=100)
    kept = [
        (attempt, attempt.outputs) for attempt in reversed(job.attempts) if attempt.outputs or attempt.missing
    ]
    return visit.render("job_file.html", {**_head(visit, job, "file"), "spec": spec, "kept": kept})


async def cancel(visit: Visit) -> Response:
    """Ask for the job to be stopped and go back to it."""
    form = await visit.form()
    name = visit.path("job")
    await visit.api.jobs.cancel(name, form.get("reason", "").strip()[:500])
    return visit.go(f"/jobs/{name}")


def _head(visit: Visit, job: JobDetail, tab: str) -> dict[str, object]:
    live = job.attempts[-1] if job.attempts else None
    return {
        "job": job,
        "tab": tab,
        "final": is_final(job),
        "attempt": live,
        "here": visit.here,
        "wanted": visit.query("attempt"),
    }


async def _facts(visit: Visit, job: str) -> Sequence[Fact]:
    return [fact async for fact in visit.api.jobs.facts(job, limit=_FACTS_AT_MOST)]


async def _log(visit: Visit, job: JobDetail) -> LogView | None:
    number, rank = visit.number("attempt"), visit.number("rank") or 0
    attempt = next((each for each in reversed(job.attempts) if number in {None, each.number}), None)
    if attempt is None:
        return None
    tail, total = b"", 0
    async with visit.client() as api:
        try:
            call = calls.read_log(job.id, rank=rank, attempt=attempt.number)
            async for piece in api.download(call):
                total += len(piece)
                tail = (tail + piece)[-_LOG_TAIL_BYTES:]
        except NotFound:
            tail, total = b"", 0
    cut = total > len(tail)
    text = tail.decode(errors="replace")
    live = attempt.ended is None and not is_final(job)
    return LogView(attempt, rank, text.partition("\n")[2] if cut else text, cut, total, live)


def _tell(visit: Visit, fact: Fact) -> str:
    data = dict(fact.data)
    for name in ("charge", "price_per_card_hour"):
        if isinstance(data.get(name), dict):
            data[name] = visit.house.env.filters["exact"](data[name]["amount"])
    if "category" in data:
        data["category"] = visit.words.of("category.", data["category"])
    if "outcome" in data:
        data["outcome"] = visit.words.of("attempt.", data["outcome"])
    if fact.kind == "finished":
        data["state"] = visit.words.of("state.", data.get("state"))
    data["files"] = len(data.get("outputs") or ())
    return visit.words.of("fact.", fact.kind, **data)

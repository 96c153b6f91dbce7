"""Jobs, attempts and facts as the wire shows them."""

from collections.abc import Mapping
from typing import Any, Literal

from hutong.core.book.snapshot import JobRow
from hutong.core.capacity.sites import Site, SiteStatus
from hutong.core.kernel.arrays import array_of, place_of
from hutong.core.kernel.documents import to_document
from hutong.core.placement.expected import expected_end
from hutong.core.work import facts as f
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.spec import JobSpec
from hutong.core.work.states import JobState
from hutong.server.api.shapes.sites import is_reachable
from hutong.server.api.shapes.times import thousandths, time_or_none
from hutong.server.forecasts import Forecast
from hutong.wire import jobs as w
from hutong.wire.base import Money, rfc3339

OUTPUTS_IN_DETAIL = 100  # the rest is under /outputs, page by page
_TIMES = frozenset({"started_ms", "ended_ms", "upto_ms"})


def job_shape(row: JobRow, statuses: Mapping[str, SiteStatus], now_ms: int, reach_ms: int) -> w.Job:
    """Return a job for a list: without outputs and endpoints."""
    return w.Job.model_validate(_job_fields(row, statuses, None, now_ms, reach_ms, outputs=0))


def job_detail(
    row: JobRow,
    statuses: Mapping[str, SiteStatus],
    site: Site | None,
    now_ms: int,
    reach_ms: int,
    spec: Mapping[str, Any],
    forecast: Forecast | None = None,
) -> w.JobDetail:
    """Return a job with its spec as a document; `site` is that of its live attempt, if it has one."""
    fields = _job_fields(row, statuses, site, now_ms, reach_ms, outputs=OUTPUTS_IN_DETAIL)
    told = _forecast_shape(forecast) if forecast else None
    return w.JobDetail.model_validate({**fields, "spec": dict(spec), "forecast": told})


def _forecast_shape(forecast: Forecast) -> w.Forecast:
    return w.Forecast(
        as_of=rfc3339(forecast.as_of_ms),
        place=forecast.place,
        likely=time_or_none(forecast.likely_ms),
        late=time_or_none(forecast.late_ms),
        samples=forecast.samples,
    )


def _job_fields(
    row: JobRow,
    statuses: Mapping[str, SiteStatus],
    site: Site | None,
    now_ms: int,
    reach_ms: int,
    *,
    outputs: int,
) -> dict[str, Any]:
    job, spec = row.job, row.spec
    return {
        "id": job.id,
        "name": spec.name,
        "project": row.project,
        "type": spec.type.value,
        "state": job.state.value,
        "reason": job.reason,
        "by": job.by,
        "priority": spec.priority,
        "preemptible": spec.preemptible,
        "num_nodes": spec.num_nodes,
        "max_duration_s": spec.max_duration_s,
        "accelerators": asks(spec),
        "submitted": rfc3339(job.submitted_ms),
        "changed": rfc3339(job.changed_ms),
        "finished": time_or_none(job.finished_ms),
        "conditions": _conditions(row, statuses, now_ms, reach_ms),
        "attempts": tuple(_attempt_shape(job, each, site, outputs, now_ms) for each in job.attempts),
        "charge": Money.of(sum(each.charge_micro for each in job.attempts)),
        "array": array_of(job.id) if spec.array else "",
        "array_index": spec.array.index(place_of(job.id)) if spec.array else None,
    }


def asks(spec: JobSpec) -> tuple[str, ...]:
    """Return the acceptable cards of each node as `model:count`."""
    return tuple(f"{each.accelerator}:{each.cards_per_node}" for each in spec.resources.asks)


def _waits_for_array(row: JobRow) -> tuple[str, str]:
    """Return why a job that is not even in the queue waits: others of its array are to end first."""
    at_once = row.spec.array.at_once if row.spec.array and not row.job.cancel_by else 0
    if row.job.state is not JobState.ACCEPTED or not at_once or place_of(row.job.id) <= at_once:
        return row.job.waiting_code, row.job.waiting_text
    return "array", f"at most {at_once} jobs of its array are at work at once"


def _conditions(row: JobRow, statuses: Mapping[str, SiteStatus], now_ms: int, reach_ms: int) -> w.Conditions:
    job, (code, text) = row.job, _waits_for_array(row)
    live = job.live
    status = statuses.get(live.site) if live else None
    return w.Conditions(
        reachable=is_reachable(status, now_ms, reach_ms) if live else None,
        last_seen=time_or_none(status.seen_ms) if status else None,
        waiting_code=code,
        waiting_text=text,
        retry_at=time_or_none(job.retry_ms)
        if job.state is JobState.QUEUED and now_ms < job.retry_ms
        else None,
        cancel_asked_by=job.cancel_by,
        moving=_moving(job, statuses),
    )


def _moving(job: Job, statuses: Mapping[str, SiteStatus]) -> w.Moving | None:
    """Return how far the newest attempt's bytes are, if any are on their way."""
    attempt = job.attempt
    status = statuses.get(attempt.site) if attempt and not job.final else None
    move = status.move(job.key(attempt)) if status and attempt else None
    if move is None or move.what not in {"inputs", "results"}:
        return None
    return w.Moving.model_validate(
        {"what": move.what, "done_bytes": move.done_bytes, "total_bytes": move.total_bytes}
    )


def _expected(attempt: Attempt, now_ms: int) -> tuple[int | None, Literal["", "history", "walltime"]]:
    """Return when an attempt that runs is expected to end, UTC ms, and by what."""
    until_ms = None if attempt.over or attempt.stop_sent_ms else attempt.until_ms
    if until_ms is None or not attempt.started_seen_ms:
        return None, ""
    end_ms = expected_end(attempt.began_ms, attempt.guess_ms, until_ms, now_ms)
    return end_ms, "history" if end_ms < until_ms else "walltime"


def _attempt_shape(job: Job, attempt: Attempt, site: Site | None, outputs: int, now_ms: int) -> w.JobAttempt:
    end_ms, by = _expected(attempt, now_ms)
    serves = attempt.port and not attempt.over and site is not None and site.service_host
    return w.JobAttempt(
        number=attempt.number,
        key=job.key(attempt),
        state=attempt.state.value,
        site=attempt.site,
        pool=attempt.pool,
        accelerator=attempt.accelerator,
        nodes=attempt.nodes,
        cards=attempt.cards,
        price_per_card_hour=Money.of(attempt.price_micro_per_card_hour),
        placed=rfc3339(attempt.placed_ms),
        dispatched=time_or_none(attempt.dispatched_ms),
        started=time_or_none(attempt.started_ms),
        ended=time_or_none(attempt.ended_ms),
        ran_s=thousandths(attempt.ran_ms),
        adopted=attempt.adopted,
        category=attempt.category.value,
        reason=attempt.reason,
        exits=tuple(w.Exit(rank=each.rank, code=each.code, signal=each.signal) for each in attempt.exits),
        charge=Money.of(attempt.charge_micro),
        settled=attempt.settled,
        outputs=tuple(output_shape(each) for each in attempt.outputs[:outputs]),
        missing=attempt.missing,
        port=attempt.port,
        expected_end=time_or_none(end_ms or 0),
        expected_by=by,
        endpoint=f"{site.service_host}:{attempt.port}" if serves and site else "",
    )


def output_shape(output: f.OutputFile) -> w.Output:
    """Return a kept file as shown."""
    return w.Output(path=output.path, size_bytes=output.size_bytes, digest=output.digest)


def fact_shape(fact: f.Fact) -> w.Fact:
    """Return a fact as shown: its fields as they are stored, times as RFC 3339, money as decimals."""
    doc = to_document(fact.event)
    fields = doc if isinstance(doc, dict) else {}
    data = dict(_fact_field(name, value) for name, value in fields.items())
    return w.Fact(
        seq=fact.seq, at=rfc3339(fact.at_ms), source=fact.source, kind=type(fact.event).kind, data=data
    )


def _fact_field(name: str, value: object) -> tuple[str, object]:
    if name in _TIMES and isinstance(value, int):
        return name.removesuffix("_ms"), time_or_none(value)
    if name == "charge_micro" and isinstance(value, int):
        return "charge", Money.of(value).model_dump()
    if name == "price_micro_per_card_hour" and isinstance(value, int):
        return "price_per_card_hour", Money.of(value).model_dump()
    return name, value

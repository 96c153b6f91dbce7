"""The way of a job in six steps, told from its facts: when each was reached and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.clients.portal.show import between_ms
from hutong.wire.jobs import Fact, Job

FINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "REJECTED", "EXPIRED"})
_REACHED_BY = {
    "submitted": "submitted", "queued": "queued", "released": "queued", "placed": "placed",
    "dispatched": "placed", "accepted": "at_site", "starting": "at_site", "started": "running",
    "ended": "finished", "finished": "finished",
}  # fmt: skip
_ORDER = ("submitted", "queued", "placed", "at_site", "running", "finished")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `look` is done, now, todo or skipped; `took_ms` is the time until the next one reached."""

    name: str
    look: str
    at: str | None
    took_ms: int | None


def steps(job: Job, facts: Sequence[Fact]) -> tuple[Step, ...]:
    """Return the six steps of the latest attempt; back in the queue, what came after it is taken back."""
    reached: dict[str, str] = {}
    for fact in facts:
        name = _REACHED_BY.get(fact.kind)
        if fact.kind == "queued":
            reached = {known: at for known, at in reached.items() if known == "submitted"}
        if name == "finished" and fact.kind == "ended":
            continue
        if name:
            reached.setdefault(name, fact.at)
    over = job.state in FINAL
    current = max((_ORDER.index(name) for name in reached), default=0)
    found = []
    for order, name in enumerate(_ORDER):
        later = [reached[each] for each in _ORDER[order + 1 :] if each in reached]
        at = reached.get(name)
        look = "todo" if order > current else "skipped"
        if at:
            look = "done" if over or order < current else "now"
        found.append(Step(name, look, at, between_ms(at, later[0]) if at and later else None))
    return tuple(found)


def is_final(job: Job) -> bool:
    """True if nothing more happens to the job."""
    return job.state in FINAL

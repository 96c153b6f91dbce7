"""What every implementation of the store decides alike, as pure functions over core shapes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hutong.adapters.store.codec import (
    decode_budget,
    decode_doc,
    decode_link,
    decode_quota,
    decode_site,
    encode,
)
from hutong.core.accounts.quotas import Quota
from hutong.core.book.money import Lot, LotKind, Posting, Turn
from hutong.core.book.runs import Run, workload_of
from hutong.core.book.shares import of_institution, of_project
from hutong.core.book.snapshot import JobOutcome, JobRow, Limits, Outcome, PersonHolding
from hutong.core.book.stays import Stay
from hutong.core.book.store import NewJob, Record, Submission, UserEvent
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Broken, Conflict, NotFound, Refused
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId, split_key
from hutong.core.work import fold
from hutong.core.work.facts import (
    CancelAsked,
    Collected,
    Dispatched,
    Ended,
    Event,
    Fact,
    HoldAsked,
    Released,
    Report,
    Submitted,
)
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.states import AttemptState, JobState
from hutong.wire.agent import WATCHED_AT_ONCE

PAGE_MAX = 1000
WATCHED_MAX = WATCHED_AT_ONCE
DIALS_MAX = 500
FAULTS_MAX = 100
SEEN_EVERY_MS = 1000
# A moment this far ahead of now was written before our clock was set back: it counts for nothing.
AHEAD_MS = 60_000
QUEUES_MAX = 400
PEOPLE_MAX = 1000
SITE = "site"
QUOTA = "quota"
LINK = "link"
QUOTAS_MAX = 10_000
BUDGET = "budget"
NOTICE = "notice"
PROJECT = "project"
INSTITUTION = "institution"


def any_booked(sites: Iterable[Site], now_ms: int) -> bool:
    """True if somebody has booked cards anywhere, now or for later."""
    return any(each.until_ms > now_ms for site in sites for each in site.bookings)


def any_shed(sites: Iterable[Site], now_ms: int) -> bool:
    """True if jobs may have to be stopped somewhere for a limit of power."""
    return any(site.stops_for_power(now_ms) for site in sites)


def page(limit: int) -> int:
    """Return a page size between 0 and the largest one."""
    return max(0, min(limit, PAGE_MAX))


def sooner(due_ms: int | None, now_ms: int) -> int:
    """Return when to look at a job that has news: now, unless it was due before."""
    return now_ms if due_ms is None else min(due_ms, now_ms)


# Jobs


def first_fact(wish: NewJob, now_ms: int) -> Fact:
    """Return the fact that brings a wish into being."""
    return Fact(wish.id, 1, now_ms, f"user:{wish.by}", Submitted(wish.by, wish.spec_digest))


def sort_wishes(
    wishes: Sequence[NewJob], known: Mapping[tuple[str, str], tuple[JobId, str]]
) -> tuple[tuple[Submission, ...], list[NewJob]]:
    """Return what becomes of each wish, and those to write. `known` maps (project, key) to (job, digest)."""
    seen = dict(known)
    answers: list[Submission] = []
    fresh: list[NewJob] = []
    for wish in wishes:
        name = (wish.project, wish.idempotency_key)
        first = seen.get(name) if wish.idempotency_key else None
        if first is None:
            seen[name] = (wish.id, wish.request_digest)
            fresh.append(wish)
            answers.append(Submission(wish.id))
        else:
            same = first[1] == wish.request_digest
            answers.append(Submission(first[0], repeated=same, conflict=not same))
    return tuple(answers), fresh


def append(job: Job, now_ms: int, source: str, event: Event) -> tuple[Job, Fact]:
    """Return the job with one more fact, and the fact."""
    fact = Fact(job.id, job.seq + 1, now_ms, source, event)
    return fold.apply(job, fact), fact


def wants_fact(job: Job, event: UserEvent) -> bool:
    """True if what a user asks is news, False if it is a repeat; raises Conflict if it is too late."""
    match event:
        case CancelAsked():
            repeat, possible = bool(job.cancel_by), not job.final
        case HoldAsked():
            repeat = job.state is JobState.HELD
            possible = job.state in {JobState.ACCEPTED, JobState.QUEUED}
        case Released():
            repeat, possible = job.state is not JobState.HELD and not job.final, not job.final
    if not repeat and not possible:
        raise Conflict("too_late", f"job {job.id} is {job.state}: too late for that")
    return not repeat


def unknown_job(job: str) -> NotFound:
    """Return the error for a job that is not in the book."""
    return NotFound("job_not_found", f"there is no job {job}")


# The loop


def check_outcome(outcome: Outcome) -> None:
    """Raise Broken unless each job occurs once and its new facts follow its guard without a gap."""
    names = {each.job for each in outcome.jobs}
    if len(names) != len(outcome.jobs):
        raise Broken("an outcome names each job once")
    for each in outcome.jobs:
        expected = list(range(each.seq + 1, each.after.seq + 1))
        if [fact.seq for fact in each.facts] != expected or each.after.id != each.job:
            raise Broken(f"the facts of {each.job} do not lead from {each.seq} to {each.after.seq}")
        if any(fact.job != each.job for fact in each.facts):
            raise Broken(f"an outcome of {each.job} has a fact of another job")


def card_ms_by_project(postings: Iterable[Posting]) -> dict[ProjectId, int]:
    """Return the card-milliseconds that postings account for, by project."""
    used: Counter[ProjectId] = Counter()
    for posting in postings:
        for record in posting.usage:
            if record.unit == "card_ms":
                used[record.project] += record.quantity
    return dict(used)


def served(used: Mapping[ProjectId, int], owners: Mapping[ProjectId, str]) -> dict[str, int]:
    """Return use by the names of `shares`: each project's own, and the sum of each institution's."""
    counted: Counter[str] = Counter()
    for project, card_ms in used.items():
        counted[of_project(project)] += card_ms
        if owners.get(project):
            counted[of_institution(owners[project])] += card_ms
    return dict(counted)


def gives_way(live: Attempt | None) -> int:
    """Return 1 for an attempt that may be stopped to make room for another, 2 while it is, else 0."""
    if live is None:
        return 0
    return 2 if live.making_room else int(live.gives_way)


def workloads(rows: Iterable[JobRow], limits: Limits) -> list[str]:
    """Return the workloads of some jobs, and those that are wanted, of which something may be known."""
    return sorted({*limits.workloads, *(workload_of(row.project, row.spec) for row in rows)} - {""})


def whole_runs(outcomes: Iterable[JobOutcome]) -> dict[tuple[str, str], list[Run]]:
    """Return the whole runs of some outcomes by workload and accelerator."""
    found: dict[tuple[str, str], list[Run]] = {}
    for each in outcomes:
        if each.run is not None:
            found.setdefault((each.run.workload, each.run.accelerator), []).append(each.run)
    return found


def stays_by_site(outcomes: Iterable[JobOutcome]) -> dict[str, list[Stay]]:
    """Return the stays of some outcomes by site."""
    found: dict[str, list[Stay]] = {}
    for each in outcomes:
        if each.stay is not None:
            found.setdefault(each.stay.site, []).append(each.stay)
    return found


def institution_of(text: str | None) -> str:
    """Return whose a project is, by its document in the registry; empty if nobody knows."""
    return str(decode_doc(text).get("institution", "")) if text else ""


def ended_keys(outcome: JobOutcome) -> list[AttemptKey]:
    """Return the attempts that these facts end: nothing about them is to be commanded any more."""
    job = outcome.after
    return [job.key(job.attempts[f.event.attempt - 1]) for f in outcome.facts if isinstance(f.event, Ended)]


def stale_epoch(epoch: int) -> Conflict:
    """Return the error for a loop that was replaced."""
    return Conflict("not_leading", f"the lease of the loop is not at epoch {epoch} any more")


# Sites


@dataclass(slots=True)
class Sieved:
    """What a batch of reports changes: the facts that are news, the jobs after them, commands to close."""

    jobs: dict[JobId, Job] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    started: list[AttemptKey] = field(default_factory=list)
    ended: list[AttemptKey] = field(default_factory=list)
    repeats: int = 0


def job_of(key: str) -> JobId | None:
    """Return the job that an attempt's key names, if it is a key of ours."""
    parts = split_key(key)
    return parts[0] if parts else None


def attempt_of(job: Job | None, key: str) -> Attempt | None:
    """Return the attempt that a key names, if the job has it."""
    parts = split_key(key)
    if job is None or parts is None or parts[0] != job.id or parts[1] > len(job.attempts):
        return None
    return job.attempts[parts[1] - 1]


def sieve(site: str, reports: Sequence[Report], jobs: Mapping[JobId, Job], now_ms: int) -> Sieved:
    """Tell news from repeats; what another site's agent says about an attempt never counts."""
    out = Sieved()
    for report in reports:
        name = job_of(report.key)
        job = out.jobs.get(name) or jobs.get(name) if name else None
        attempt = attempt_of(job, report.key)
        ours = attempt is not None and attempt.site == site and attempt.number == report.event.attempt
        if job is None or not ours or not fold.advances(job, report.event):
            out.repeats += 1
            continue
        after, fact = append(job, now_ms, f"agent:{site}", report.event)
        out.jobs[after.id] = after
        out.facts.append(fact)
        if isinstance(report.event, Ended):
            out.ended.append(report.key)
        elif not isinstance(report.event, Collected):
            out.started.append(report.key)
    return out


def dispatch(job: Job, key: str, site: str, now_ms: int) -> tuple[Job, Fact] | None:
    """Return the job after its start command was handed out first, or None if that is no longer right."""
    attempt = attempt_of(job, key)
    if attempt is None or attempt.state is not AttemptState.PLANNED:
        return None
    return append(job, now_ms, f"agent:{site}", Dispatched(attempt.number))


def find_orphans(live: Iterable[AttemptKey], jobs: Mapping[JobId, Job]) -> tuple[AttemptKey, ...]:
    """Return the keys whose attempt is over, or unknown to the book; `jobs` has all that they name."""
    orphans = []
    for key in live:
        name = job_of(key)
        if name is None:
            continue
        attempt = attempt_of(jobs.get(name), key)
        if attempt is None or attempt.over:
            orphans.append(key)
    return tuple(sorted(orphans))


# Ledger and registry


def pay_order(lot: Lot) -> tuple[bool, int, str]:
    """Return the sort key in which lots pay: vouchers first, then what ends first."""
    return (lot.kind is not LotKind.VOUCHER, lot.ends_ms, lot.id)


def check_record(record: Record) -> str:
    """Return the document as text; Refused if a record cannot be what its kind says."""
    if not record.kind or not record.id:
        raise Refused("bad_record", "a record has a kind and an id")
    text = encode(record.doc)
    if record.kind == SITE and decode_site(text).id != record.id:
        raise Refused("bad_site", f"the document of site {record.id} names another site")
    if record.kind == QUOTA and decode_quota(text).id != record.id:
        raise Refused("bad_quota", f"the document of quota {record.id} names another account")
    if record.kind == BUDGET and decode_budget(text).id != record.id:
        raise Refused("bad_budget", f"the document of budget {record.id} names another one")
    if record.kind == LINK and decode_link(text).id != record.id:
        raise Refused("bad_link", f"the document of link {record.id} names other ends")
    return text


def check_version(record: Record, version: int | None, expect: int | None) -> int:
    """Return the version to write over `version` (None: not there); raises Conflict."""
    name = f"{record.kind} {record.id}"
    if expect is not None and expect != (version or 0):
        if expect == 0:
            raise Conflict("exists", f"{name} exists already")
        raise Conflict("version", f"{name} is at version {version or 0}, not {expect}")
    return (version or 0) + 1


def out_of_turn(turn: Turn) -> Conflict:
    """Return the error for what was worked out before others gave back or rerated money of a project."""
    return Conflict("turn", f"money of project {turn.project} was given back meanwhile: work it out again")


def lookup_taken(record: Record) -> Conflict:
    """Return the error for a lookup value that another document of the kind has."""
    return Conflict("lookup_taken", f"another {record.kind} has the same lookup value")


def lease_asks_write(holder: str, until_ms: int, asking: str, now_ms: int, ttl_ms: int) -> bool:
    """True if asking for the lease changes it.

    It is renewed once a quarter of its time has gone: a leader that asks at every turn does not write then.
    Another's lease counts until it ends, unless only a clock that was set back explains its end.
    A leader that asks for less than it has lets go of the rest: with a time of 0, of all of it.
    """
    if holder == asking:
        return not ttl_ms * 3 // 4 <= until_ms - now_ms <= ttl_ms
    return until_ms <= now_ms or until_ms > now_ms + ttl_ms + AHEAD_MS


def in_queue(job: Job, due_ms: int | None) -> bool:
    """True if a job stands in the queue: also of those that are QUEUED, some wait out a back-off."""
    return job.state is JobState.QUEUED and (due_ms is None or due_ms > job.queued_ms)


def any_waits(queue: Sequence[JobRow], due: Iterable[JobRow]) -> bool:
    """True if a turn may place something: it must know then when what runs is over."""
    return bool(queue) or any(row.job.live is None and not row.job.final for row in due)


def queue_share(limit: int, projects: int) -> int:
    """Return how many queued jobs of each project a snapshot shows, so that none hides the others."""
    return max(1, limit // max(1, projects))


def limited(quotas: Iterable[Quota]) -> list[ProjectId]:
    """Return the projects whose people are limited, in order."""
    return sorted(ProjectId(quota.name) for quota in quotas if quota.limits_people)


def held_by_person(holdings: Iterable[PersonHolding]) -> Counter[tuple[str, str]]:
    """Return the cards that each (project, person) holds."""
    held: Counter[tuple[str, str]] = Counter()
    for each in holdings:
        held[each.project, each.person] += each.cards
    return held


def people_shown(
    share: int, project: str, people: Iterable[str], held: Mapping[tuple[str, str], int]
) -> tuple[list[str], int]:
    """Return of whom a snapshot shows queued jobs of a project that limits its people, and how many of each.

    So nobody who is at a limit hides the others. Where there are more people than the project's share, those
    who hold least are shown.
    """
    shown = sorted(people, key=lambda each: (held.get((project, each), 0), each))[:share]
    return shown, max(1, share // max(1, len(shown)))


def queue_order(row: JobRow) -> tuple[int, int, str]:
    """Return the place of a queued job among those of its project: by priority, then by age."""
    return (-row.spec.priority, row.job.queued_ms, row.job.id)


def recent(seen_ms: int | None, now_ms: int) -> bool:
    """True if a site was noted so lately that it need not be noted again."""
    return seen_ms is not None and -AHEAD_MS <= now_ms - seen_ms < SEEN_EVERY_MS


def next_epoch(holder: str | None, epoch: int, asking: str) -> int:
    """Return the epoch under which `asking` leads: a new one, unless it led last."""
    return epoch if holder == asking else epoch + 1


def open_keys(job: Job) -> list[AttemptKey]:
    """Return the attempts that still matter to the loop: live, or not settled."""
    return [job.key(attempt) for attempt in job.attempts if not (attempt.over and attempt.settled)]

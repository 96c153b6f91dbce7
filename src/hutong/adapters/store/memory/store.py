"""The memory twin, put together, with what the loop reads and writes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import islice

from hutong.adapters.store import budget_rules, faults, rules
from hutong.adapters.store.codec import (
    decode_budget,
    decode_doc,
    decode_link,
    decode_quota,
    decode_site,
    encode,
)
from hutong.adapters.store.memory.energy import MemoryEnergy
from hutong.adapters.store.memory.jobs import MemoryJobs
from hutong.adapters.store.memory.rollups import MemoryRollups
from hutong.adapters.store.memory.shelf import Order, Place
from hutong.adapters.store.memory.sites import MemorySites
from hutong.adapters.store.price_lists import price_list
from hutong.adapters.store.works import lengths_by_work, works
from hutong.core.accounts.budgets import Budget
from hutong.core.accounts.quotas import Quota
from hutong.core.book.ahead import Ahead, ahead_of
from hutong.core.book.lengths import KEPT_MS as LENGTHS_KEPT_MS
from hutong.core.book.lengths import after
from hutong.core.book.money import Posting, overrun_account
from hutong.core.book.prices import BOOK, BOOKS_ID, PRICE, TIMELINES_MAX, PriceList
from hutong.core.book.runs import KEPT_MS, Run, Runs, merged
from hutong.core.book.shares import decayed, names
from hutong.core.book.snapshot import (
    Command,
    Holding,
    JobOutcome,
    JobRow,
    Limits,
    Outcome,
    PersonHolding,
    PoolUse,
    Running,
    Snapshot,
    began_last,
    gangs_of,
    use_of,
)
from hutong.core.book.spending import Spending, projects_of, query_of, spending_of, stop_notice
from hutong.core.book.stays import Stays, counted, faded
from hutong.core.book.store import Applied, LedgerCheck
from hutong.core.capacity.links import MOST_LINKS, Link
from hutong.core.kernel.days import day_of
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId
from hutong.core.work.fold import Attempt


class MemoryStore(MemoryJobs, MemorySites, MemoryEnergy, MemoryRollups):
    """A `hutong.core.book.store.Store` that forgets everything; safe to use from many threads."""

    def __init__(self, zone: str = "Asia/Shanghai") -> None:
        super().__init__()
        self._zone = zone
        self._lease: tuple[str, int, int] | None = None
        self._last_order = 0
        self._served: dict[str, tuple[int, int]] = {}
        self._speeds: dict[str, dict[str, tuple[Runs, int]]] = {}
        self._stays: dict[str, tuple[Stays, int]] = {}
        self._lengths: dict[str, tuple[tuple[int, ...], int]] = {}

    def lead(self, holder: str, now_ms: int, ttl_ms: int) -> int | None:
        """Take or renew the lease of the loop; return its epoch, or None while another holds it."""
        with self._lock:
            before, epoch, until = self._lease or (None, 0, now_ms)
            if before is not None and not rules.lease_asks_write(before, until, holder, now_ms, ttl_ms):
                return epoch if before == holder else None
            with self._writing():
                epoch = rules.next_epoch(before, epoch, holder)
                self._lease = (holder, epoch, now_ms + ttl_ms)
            return epoch

    def snapshot(self, now_ms: int, limits: Limits) -> Snapshot:
        """Return what one turn may know; its cost does not depend on finished jobs."""
        with self._lock:
            asking = sorted((due_ms, name) for name, due_ms in self._asking.items() if due_ms <= now_ms)
            due = [self._jobs[name].row for _, name in asking[: limits.due]]
            keys = {key for row in due for key in rules.open_keys(row.job)}
            rows = (self._jobs[name].row for name in self._alive)
            running = [(row, attempt) for row in rows if (attempt := row.job.live)]
            quotas = self._quotas()
            ids = sorted(id_ for kind, id_ in self._documents if kind == rules.SITE)
            sites = tuple(decode_site(self._documents[rules.SITE, id_].text) for id_ in ids)
            holdings = _holdings(running) if quotas or rules.any_booked(sites, now_ms) else ()
            of_people = _person_holdings(running, rules.limited(quotas))
            queue = self._heads({row.job.id for row in due}, limits.queue, rules.limited(quotas), of_people)
            projects = sorted({row.project for row in (*due, *queue)})
            stops = bool(queue) or rules.any_shed(sites, now_ms)
            owners = self._owners(sorted({*projects, *(each.project for each in holdings)}))
            gangs = gangs_of(attempt for _, attempt in running)
            return Snapshot(
                now_ms=now_ms,
                due=tuple(due),
                queue=tuple(queue),
                sites=sites,
                statuses=dict(self._statuses),
                use=use_of(gangs),
                gangs=gangs,
                running=tuple(_ends_first(running, limits.running)) if rules.any_waits(queue, due) else (),
                may_give_way=_may_give_way(running, limits.may_give_way) if stops else (),
                clearing=_clearing(running) if stops else (),
                served={
                    name: self._served_by(name, now_ms)
                    for name in names({each: owners[each] for each in projects})
                    if name in self._served
                },
                runs={
                    name: tuple(runs for _, (runs, _) in sorted(self._speeds[name].items()))
                    for name in rules.workloads((*due, *queue), limits)
                    if name in self._speeds
                },
                stays={site.id: self._stays_at(site.id, now_ms) for site in sites if site.id in self._stays},
                links=self._links(),
                lengths={
                    work: self._lengths[work][0]
                    for work in works((*due, *queue), limits)
                    if work in self._lengths
                },
                prices=self._prices(set(owners.values()), now_ms),
                quotas=quotas,
                budgets=self.spendings(self._binding(owners, projects), now_ms),
                holdings=holdings,
                person_holdings=of_people,
                institutions=owners,
                lots={project: self.lots(project) for project in projects},
                debts={
                    project: -owed.posted
                    for project in projects
                    if (owed := self._accounts.get(overrun_account(project))) and owed.posted < 0
                },
                holds={
                    AttemptKey(key): self._holds[key].as_change(key).parts
                    for key in keys
                    if key in self._holds and not self._holds[key].closed
                },
                absences={key: self._absences[key][1] for key in keys if key in self._absences},
            )

    def apply(self, outcome: Outcome, epoch: int, now_ms: int) -> Applied:
        """Write each job's part whose guard holds. Raises Conflict if the lease has another epoch,

        or if a hold does not fit its lot any more; then nothing was written.
        """
        rules.check_outcome(outcome)
        with self._writing():
            if self._lease is None or self._lease[1] != epoch:
                raise rules.stale_epoch(epoch)
            fresh: list[JobOutcome] = []
            stale: list[JobOutcome] = []
            for each in outcome.jobs:
                kept = self._jobs.get(each.job)
                (fresh if kept and kept.row.job.seq == each.seq else stale).append(each)
            postings = [each.posting for each in fresh if each.posting != Posting()]
            out = self._plan(postings, guarded=True)
            bodies = [receipt for each in fresh for receipt in each.receipts]
            keys = {key for key, _ in bodies}
            if len(keys) < len(bodies) or not self._receipts.keys().isdisjoint(keys):
                raise Conflict("already_there", "an attempt has a receipt already")
            for each in fresh:
                encode(each.after)
            self._book(out)
            used = rules.card_ms_by_project(postings)
            for name, card_ms in rules.served(used, self._owners(used)).items():
                self._served[name] = (self._served_by(name, now_ms) + card_ms, now_ms)
            self._learn(rules.whole_runs(fresh), now_ms)
            for site, some in rules.stays_by_site(fresh).items():
                self._stays[site] = (counted(self._stays_at(site, now_ms), some), now_ms)
            self._note_lengths(lengths_by_work(fresh), now_ms)
            self._receipts.update(bodies)
            if bodies:
                self._pages.update(outcome.pages)
            following = self._following(fresh)
            for each in fresh:
                self._settle(each)
                if each.waiver:
                    self._waivers.setdefault(each.waiver.key, each.waiver)
            for job in following:
                self._look(job, now_ms)
            return Applied(len(fresh), tuple(each.job for each in stale))

    def _heads(
        self, looked: Set[JobId], limit: int, limited: Iterable[ProjectId], holdings: Iterable[PersonHolding]
    ) -> list[JobRow]:
        """Return the head of the queue, of every project its share, without those that are looked at."""
        apart, held = frozenset(limited), rules.held_by_person(holdings)
        projects = sorted(self._waiting)[: rules.QUEUES_MAX]
        share = rules.queue_share(limit, len(projects))
        shown: list[Place] = []
        for project in projects:
            queues, part = [self._waiting[project]], share
            if project in apart:
                of_people = self._waiting_of[project]
                people, part = rules.people_shown(share, project, sorted(of_people)[: rules.PEOPLE_MAX], held)
                queues = [of_people[person] for person in people]
            for queue in queues:
                shown += islice((place for place in queue if place[2] not in looked), part)
        return [self._jobs[JobId(name)].row for _, _, name in sorted(shown)[:limit]]

    def _learn(self, runs: Mapping[tuple[str, str], Sequence[Run]], now_ms: int) -> None:
        """Note whole runs, and forget what ran long ago."""
        for (workload, accelerator), some in runs.items():
            known = self._speeds.setdefault(workload, {})
            before = known.get(accelerator)
            known[accelerator] = (merged(before[0] if before else None, some, accelerator), now_ms)
        for workload in [*self._speeds] if runs else ():
            kept = {c: each for c, each in self._speeds[workload].items() if each[1] >= now_ms - KEPT_MS}
            self._speeds[workload] = kept
            if not kept:
                del self._speeds[workload]

    def _note_lengths(self, told: Mapping[str, Sequence[int]], now_ms: int) -> None:
        """Note how long runs took, and forget work that ran long ago."""
        for work, some in told.items():
            self._lengths[work] = (after(self._lengths.get(work, ((), 0))[0], some), now_ms)
        if told:
            kept = {work: each for work, each in self._lengths.items() if each[1] >= now_ms - LENGTHS_KEPT_MS}
            self._lengths = kept

    def _binding(self, owners: Mapping[ProjectId, str], projects: Sequence[ProjectId]) -> tuple[Budget, ...]:
        """Return the budgets of some projects, and of those whose they are, that do more than notify."""
        parents = budget_rules.budget_parents(owners, projects)
        return budget_rules.binding(
            decode_budget(kept.text)
            for (kind, _), kept in self._documents.items()
            if kind == rules.BUDGET and kept.parent in parents
        )

    def spendings(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spending, ...]:
        """Return what is spent of those of some budgets that have a period now, in their order."""
        with self._lock:
            sites = [kept.text for (kind, _), kept in self._documents.items() if kind == rules.SITE]
            supplies = {str(site.id): site.supply for site in map(decode_site, sites)} if budgets else {}
            found = []
            for each in budgets:
                days = each.days_at(day_of(now_ms))
                if days is None:
                    continue
                projects = projects_of(each, self._projects_of)
                notice = self._documents.get((rules.NOTICE, stop_notice(each, now_ms)))
                told_ms = budget_rules.told_ms(decode_doc(notice.text) if notice else None)
                uses = self.uses(query_of(each, projects, days))
                ahead = self._ahead(projects)
                spending = spending_of(each, now_ms, uses, ahead, supplies, told_ms)
                found += [spending] if spending else []
            return tuple(found)

    def _projects_of(self, institution: str) -> frozenset[str]:
        documents = self._documents.items()
        return frozenset(
            id_ for (kind, id_), kept in documents if kind == rules.PROJECT and kept.parent == institution
        )

    def _ahead(self, projects: frozenset[str]) -> list[Ahead]:
        # What is over and not settled yet asks for a look.
        rows = (self._jobs[name].row for name in sorted({*self._alive, *self._asking}))
        return [replace(ahead_of(row.job), project=row.project) for row in rows if row.project in projects]

    def _quotas(self) -> tuple[Quota, ...]:
        ids = sorted(id_ for kind, id_ in self._documents if kind == rules.QUOTA)[: rules.QUOTAS_MAX]
        return tuple(decode_quota(self._documents[rules.QUOTA, id_].text) for id_ in ids)

    def _links(self) -> tuple[Link, ...]:
        ids = sorted(id_ for kind, id_ in self._documents if kind == rules.LINK)[:MOST_LINKS]
        return tuple(decode_link(self._documents[rules.LINK, id_].text) for id_ in ids)

    def _prices(self, institutions: Set[str], now_ms: int) -> PriceList:
        ids = sorted(id_ for kind, id_ in self._documents if kind == PRICE)[:TIMELINES_MAX]
        books = self._documents.get((BOOK, BOOKS_ID))
        tenants = {
            name: doc.text
            for name in institutions
            if (doc := self._documents.get((rules.INSTITUTION, name))) is not None
        }
        texts = (self._documents[PRICE, id_].text for id_ in ids)
        return price_list(books.text if books else None, texts, tenants, now_ms)

    def _owners(self, projects: Iterable[ProjectId]) -> dict[ProjectId, str]:
        docs = {each: self._documents.get((rules.PROJECT, each)) for each in projects}
        return {each: rules.institution_of(doc.text if doc else None) for each, doc in docs.items()}

    def _served_by(self, name: str, now_ms: int) -> int:
        card_ms, at_ms = self._served.get(name, (0, now_ms))
        return decayed(card_ms, now_ms - at_ms)

    def _stays_at(self, site: str, now_ms: int) -> Stays:
        stays, at_ms = self._stays.get(site, (Stays(), now_ms))
        return faded(stays, at_ms, now_ms)

    def _settle(self, each: JobOutcome) -> None:
        self._facts[each.job].extend(each.facts)
        self._move(each.after, each.due_ms)
        for command in each.commands:
            if command.kind == "stop":
                self._close(command.key, "start")
        for key in each.withdraw:
            start = self._orders_of.get(key, {}).get("start")
            if start is not None and start.taken_ms is None:
                self._close(key, "start")
        for command in each.commands:
            self._command(command)
        for key in rules.ended_keys(each):
            self._forget(key)

    def _command(self, command: Command) -> None:
        if command.kind not in self._orders_of.get(command.key, {}):
            self._last_order += 1
            self._open(Order(self._last_order, command.site, command.key, command.kind))

    def check_ledger(self) -> LedgerCheck:
        """Recompute every balance from entries, every hold from changes, every job's charge from usage."""
        with self._lock:
            found = list(self._faults())
            cards = [
                record for record in self._usage.values() if record.unit == "card_ms" and record.revision == 1
            ]
            used: Counter[str] = Counter()
            for record in cards:
                used[record.key] += record.charge_micro
            jobs = [kept.row.job for kept in self._jobs.values()]
            charges = {job.key(each): each.charge_micro for job in jobs for each in job.attempts}
            for key, charge in charges.items():
                if used[key] != charge:
                    found.append(faults.charge_fault(key, charge, used[key]))
            strays = sum(record.key not in charges for record in cards)
            if strays:
                found.append(faults.stray_fault(strays))
            found.extend(self._wrong_uses())
            legs = sum(len(txn.entries) for txn in self._txns.values())
            return LedgerCheck(len(self._txns), legs, len(self._usage), tuple(found[: rules.FAULTS_MAX]))


def _holdings(running: Iterable[tuple[JobRow, Attempt]]) -> tuple[Holding, ...]:
    """Return what each project holds of each pool, in the order of their names."""
    held: Counter[tuple[ProjectId, str, str]] = Counter()
    for row, attempt in running:
        held[row.project, attempt.site, attempt.pool] += attempt.cards
    return tuple(Holding(*name, cards) for name, cards in sorted(held.items()))


def _person_holdings(
    running: Iterable[tuple[JobRow, Attempt]], projects: Sequence[ProjectId]
) -> tuple[PersonHolding, ...]:
    """Return what each person of these projects holds of each pool, in the order of their names."""
    limited = frozenset(projects)
    held: Counter[tuple[ProjectId, str, str, str]] = Counter()
    for row, attempt in running:
        if row.project in limited:
            held[row.project, row.job.by, attempt.site, attempt.pool] += attempt.cards
    return tuple(PersonHolding(*name, cards) for name, cards in sorted(held.items()))


def _may_give_way(running: Iterable[tuple[JobRow, Attempt]], most: int) -> tuple[JobRow, ...]:
    """Return, of each pool, the jobs that may be stopped and began last."""
    rows = {row.job.id: (row, attempt) for row, attempt in running if attempt.gives_way}
    told = (((of.site, of.pool), of.dispatched_ms, name) for name, (_, of) in rows.items())
    return tuple(rows[name][0] for name in sorted(began_last(told, most)))


def _clearing(running: Iterable[tuple[JobRow, Attempt]]) -> tuple[PoolUse, ...]:
    """Return the cards of each pool that are being freed to make room."""
    cards: Counter[tuple[str, str]] = Counter()
    for _, attempt in running:
        if attempt.making_room:
            cards[attempt.site, attempt.pool] += attempt.cards
    return tuple(PoolUse(*name, count) for name, count in sorted(cards.items()))


def _ends_first(running: Iterable[tuple[JobRow, Attempt]], most: int) -> Iterator[Running]:
    """Yield the attempts of each pool that are expected to end first, so many."""
    ends = sorted(
        (each.site, each.pool, each.until_ms, row.job.id, each.cards, row, each)
        for row, each in running
        if each.until_ms is not None
    )
    places: Counter[tuple[str, str]] = Counter()
    for site, pool, until_ms, _, cards, row, live in ends:
        places[site, pool] += 1
        if places[site, pool] <= most:
            times = (until_ms, row.job.by, live.began_ms, live.guess_ms)
            yield Running(row.project, site, pool, cards, *times, live.nodes)

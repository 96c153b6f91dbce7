"""What centres take and tell, in memory."""

from collections.abc import Sequence
from dataclasses import replace

from hutong.adapters.store import rules
from hutong.adapters.store.memory.shelf import Order, Shelf
from hutong.core.book.snapshot import Absence
from hutong.core.book.store import Dial, Reported, Sighting, Summons, Taken
from hutong.core.capacity.sites import SiteStatus
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import AttemptKey, SiteId
from hutong.core.work.facts import Report


class MemorySites(Shelf):
    """The centres' part of the twin."""

    def __init__(self) -> None:
        super().__init__()
        self._statuses: dict[str, SiteStatus] = {}
        self._dials: dict[str, Dial] = {}

    def take(self, site: SiteId, after: int, limit: int, now_ms: int) -> tuple[Taken, ...]:
        """Return open commands with an id above `after`; a start taken first time becomes Dispatched.

        A command stays open until a report shows its effect, so asking again with 0 repeats it.
        """
        with self._lock:
            orders = [each for each in self._orders.values() if each.site == site and each.id > after]
            orders = sorted(orders, key=lambda each: each.id)[: rules.page(limit)]
            recent = self._recent(site, now_ms)
            if not recent or any(order.taken_ms is None for order in orders):
                with self._writing():
                    if not recent:
                        self._note_seen(site, now_ms)
                    for order in orders:
                        self._hand_out(order, now_ms)
            return tuple(self._deliver(order) for order in orders)

    def _hand_out(self, order: Order, now_ms: int) -> None:
        if order.taken_ms is not None:
            return
        order.taken_ms = now_ms
        name = rules.job_of(order.key)
        if order.kind != "start" or name is None:
            return
        kept = self._jobs[name]
        step = rules.dispatch(kept.row.job, order.key, order.site, now_ms)
        if step:
            self._facts[name].append(step[1])
            self._move(step[0], kept.due_ms)

    def _deliver(self, order: Order) -> Taken:
        name = rules.job_of(order.key)
        kept = self._jobs.get(name) if name else None
        attempt = rules.attempt_of(kept.row.job, order.key) if kept else None
        if kept is None or attempt is None:
            raise Broken(f"command {order.id} is for {order.key}, which is not in the book")
        row = kept.row
        spec = row.spec if order.kind == "start" else None
        return Taken(order.id, order.key, order.kind, row.project, row.job, attempt, spec)

    def report(
        self, site: SiteId, reports: Sequence[Report], sighting: Sighting | None, now_ms: int
    ) -> Reported:
        """Append the reports that are news, close commands, note the observation and absences."""
        with self._writing():
            ids = {name for report in reports if (name := rules.job_of(report.key)) in self._jobs}
            before = {name: self._jobs[name].row.job for name in ids if name}
            news = rules.sieve(site, reports, before, now_ms)
            for fact in news.facts:
                self._facts[fact.job].append(fact)
            for name, job in news.jobs.items():
                self._move(job, rules.sooner(self._jobs[name].due_ms, now_ms))
            for key in news.started:
                self._close(key, "start")
            for key in news.ended:
                self._forget(key)
            if sighting is not None or not self._recent(site, now_ms):
                self._note_seen(site, now_ms)
            orphans: tuple[AttemptKey, ...] = ()
            if sighting is not None:
                self._note_sighting(site, sighting, now_ms)
                named = {name for key in sighting.live if (name := rules.job_of(key)) in self._jobs}
                orphans = rules.find_orphans(
                    sighting.live, {name: self._jobs[name].row.job for name in named if name}
                )
            return Reported(len(news.facts), news.repeats, orphans)

    def _recent(self, site: SiteId, now_ms: int) -> bool:
        seen = self._statuses.get(site)
        return rules.recent(seen.seen_ms if seen else None, now_ms)

    def _note_seen(self, site: SiteId, now_ms: int) -> None:
        status = self._statuses.get(site) or SiteStatus(site, now_ms, 0)
        later = now_ms <= status.seen_ms <= now_ms + rules.AHEAD_MS
        self._statuses[site] = replace(status, seen_ms=status.seen_ms if later else now_ms)

    def _note_sighting(self, site: SiteId, sighting: Sighting, now_ms: int) -> None:
        status = self._statuses[site]
        if sighting.at_ms <= status.observed_ms <= now_ms + rules.AHEAD_MS:
            return  # late or twice: it says nothing that a newer one did not say
        self._statuses[site] = replace(
            status,
            observed_ms=sighting.at_ms,
            agent=sighting.agent or status.agent,
            isolation=sighting.isolation or status.isolation,
            pools=sighting.pools,
            trouble=sighting.trouble,
            moves=sighting.moves,
            offers=sighting.offers,
            stock=sighting.stock,
            transfers=sighting.transfers,
            can=sighting.can,
        )
        live = [(job, job.live) for job in self._live(site)]
        missing = {
            job.key(attempt): job.id
            for job, attempt in live
            if attempt and 0 < attempt.dispatched_ms < sighting.at_ms
            if job.key(attempt) not in sighting.known
        }
        for key in [key for key, (where, _) in self._absences.items() if where == site]:
            if key not in missing:
                del self._absences[key]
        for key, name in missing.items():
            _, before = self._absences.get(key, (site, Absence(key, sighting.at_ms, 0)))
            self._absences[key] = (site, replace(before, polls=before.polls + 1))
            self._look(name, now_ms)

    def statuses(self) -> dict[str, SiteStatus]:
        """Return what is known of each site that ever called."""
        with self._lock:
            return dict(self._statuses)

    def watch(self, key: AttemptKey, until_ms: int) -> None:
        """Ask the site of an attempt to send its log as it grows, until then."""
        with self._lock:
            name = rules.job_of(key)
            kept = self._jobs.get(name) if name else None
            attempt = rules.attempt_of(kept.row.job, key) if kept else None
            if attempt is None:
                raise rules.unknown_job(key)
            _, until = self._watches.get(key, ("", until_ms - 1))
            if not attempt.over and until < until_ms:
                with self._writing():
                    self._watches[key] = (attempt.site, until_ms)

    def watched(self, site: SiteId, now_ms: int) -> tuple[AttemptKey, ...]:
        """Return the attempts of a site whose log somebody reads now (at most 200)."""
        with self._lock:
            found = [key for key, (where, until) in self._watches.items() if where == site and until > now_ms]
        return tuple(sorted(found)[: rules.WATCHED_MAX])

    def summons(self) -> dict[SiteId, Summons]:
        """Return what is there for the agent of each site that ever called."""
        with self._lock:
            return {
                SiteId(site): Summons(
                    max((each.id for each in self._orders.values() if each.site == site), default=0),
                    frozenset(each.id for each in self._dials.values() if each.site == site),
                    max((until for where, until in self._watches.values() if where == site), default=0),
                )
                for site in self._statuses
            }

    def dial(self, dial: Dial, now_ms: int) -> None:
        """Call a site's agent for a tunnel; calls that have expired are thrown away."""
        with self._writing():
            self._dials = {name: each for name, each in self._dials.items() if each.expires_ms > now_ms}
            self._dials[dial.id] = dial

    def dials(self, site: SiteId, now_ms: int) -> tuple[Dial, ...]:
        """Return the calls to a site that have not expired, in order of id (at most 500)."""
        with self._lock:
            found = [each for each in self._dials.values() if each.site == site and each.expires_ms > now_ms]
        return tuple(sorted(found, key=lambda each: each.id)[: rules.DIALS_MAX])

"""Sums in memory: made of the records each time they are asked for, as the other stores must keep them."""

from hutong.adapters.store import rollup_rules, rules
from hutong.adapters.store.codec import decode_institution, decode_site
from hutong.adapters.store.memory.ledger import MemoryLedger
from hutong.adapters.store.memory.registry import MemoryRegistry
from hutong.adapters.store.memory.sealed import MemorySealed
from hutong.adapters.store.memory.shelf import Shelf
from hutong.core.accounts.registry import Institution
from hutong.core.book import rollups as r
from hutong.core.book.money import lot_account
from hutong.core.book.waits import WaitGroup, shape_of, told, waiting


class MemoryRollups(Shelf, MemoryLedger, MemoryRegistry, MemorySealed):
    """The part of the twin that reports read."""

    def __init__(self) -> None:
        super().__init__()
        self._pool_notes: dict[tuple[str, str, int], r.PoolNote] = {}

    def rollup(self, query: r.RollupQuery) -> tuple[r.Group, ...]:
        """Return sums in groups, in the order of their keys. Raises Refused for too many groups."""
        with self._lock:
            found = r.select(r.spread(query.family, self._rows(query.family)), query)
        rollup_rules.check_groups(len(found))
        return found

    def _rows(self, family: r.Family) -> r.Rows:
        records = tuple(self._usage.values())
        if family is r.USE:
            return r.use_rows(records)
        if family is r.PEOPLE:
            return r.people_rows(records)
        if family is r.MONEY:
            kinds = {lot_account(lot.id): lot.kind for lot in self._lots.values()}
            return r.money_rows(self._txns.values(), kinds)
        if family is r.SEEN:
            return r.seen_rows(self._pool_hours.values())
        rows = [kept.row for kept in self._jobs.values()]
        return r.merged(told(row.job, None, row.spec, self._tenant(row.project)) for row in rows)

    def _tenant(self, project: str) -> Institution | None:
        kept = self._documents.get((rules.PROJECT, project))
        owner = self._documents.get((rules.INSTITUTION, rules.institution_of(kept.text if kept else None)))
        return decode_institution(owner.text) if owner else None

    def waiting(self, hours: tuple[int, int]) -> tuple[WaitGroup, ...]:
        """Return the jobs that wait for their first start, submitted in these hours, in groups."""
        rows: r.Rows = {}
        with self._lock:
            for row in (kept.row for kept in self._jobs.values()):
                each = waiting(row.job, shape_of(row.spec), row.project)
                if each and hours[0] <= (hour := r.hour_of(each.since_ms)) < hours[1]:
                    r.add(rows, (each.project, hour, each.asked, each.size, each.code), (1, each.card_ms))
        found = (
            WaitGroup(str(project), int(hour), str(asked), int(size), str(code), *sums)
            for (project, hour, asked, size, code), sums in sorted(rows.items())
        )
        return tuple(found)

    def first_uses(self, span: tuple[int, int], after: tuple[str, str], limit: int) -> tuple[r.FirstUse, ...]:
        """Return who used something first in a span of UTC ms, in order of scope and name above `after`."""
        with self._lock:
            found = sorted(r.first_uses(self._usage.values()).items())
        some = [
            r.FirstUse(*name, at_ms) for name, at_ms in found if name > after and span[0] <= at_ms < span[1]
        ]
        return tuple(some[: rules.page(limit)])

    def pool_notes(self, span: tuple[int, int]) -> tuple[r.PoolNote, ...]:
        """Return what pools were in a span of UTC ms: of each the last note before it, and all in it."""
        with self._lock:
            notes = [self._pool_notes[name] for name in sorted(self._pool_notes)]
        last = {(each.site, each.pool): each.from_ms for each in notes if each.from_ms <= span[0]}
        return tuple(
            each
            for each in notes
            if span[0] < each.from_ms < span[1] or last.get((each.site, each.pool)) == each.from_ms
        )

    def note_pools(self, now_ms: int) -> int:
        """Note what pools are now where it is another than before; return how many notes that made."""
        with self._writing():
            sites = [kept.text for (kind, _), kept in sorted(self._documents.items()) if kind == rules.SITE]
            now = rollup_rules.pools_now([decode_site(text) for text in sites], now_ms)
            notes = (self._pool_notes[name] for name in sorted(self._pool_notes))
            known = {(each.site, each.pool): each for each in notes}
            news = rollup_rules.pool_news(list(known.values()), now, now_ms)
            self._pool_notes |= {(each.site, each.pool, each.from_ms): each for each in news}
            return len(news)

    def rebuild_rollups(self) -> int:
        """Return of how many records, transactions, jobs and hours the sums are: made anew each time."""
        with self._lock:
            return len(self._usage) + len(self._txns) + len(self._jobs) + len(self._pool_hours)

"""Sealed reports in memory, under the same rules."""

from collections.abc import Sequence

from hutong.adapters.store import rules
from hutong.adapters.store.memory.shelf import Locked
from hutong.core.book.sealed import Hours, PoolHour, SealedReport, news_of
from hutong.core.kernel.chain import START, Head


class MemorySealed(Locked):
    """The part of the twin that keeps what sites seal."""

    def __init__(self) -> None:
        super().__init__()
        self._sealed: dict[str, list[SealedReport]] = {}
        self._pool_hours: dict[tuple[str, int, str], PoolHour] = {}

    def keep_sealed(self, reports: Sequence[SealedReport], hours: Sequence[PoolHour]) -> Head:
        """Keep reports of one site with the hours that they tell of; return the site's head."""
        with self._writing():
            chain = self._sealed.get(reports[0].site, []) if reports else []
            head = Head(chain[-1].seq, chain[-1].hash) if chain else START
            news = news_of(head, {each.seq: each.hash for each in chain}, reports)
            if news:
                self._sealed.setdefault(news[0].site, []).extend(news)
                head = Head(news[-1].seq, news[-1].hash)
            fresh = {each.seq for each in news}
            for each in sorted(hours, key=lambda hour: hour.seq):
                if each.seq in fresh:
                    self._pool_hours[each.site, each.hour, each.pool] = each
            return head

    def sealed_head(self, site: str) -> Head:
        """Return how far a site's chain goes."""
        with self._lock:
            chain = self._sealed.get(site)
            return Head(chain[-1].seq, chain[-1].hash) if chain else START

    def sealed(self, site: str, after: int, limit: int) -> tuple[SealedReport, ...]:
        """Return a site's reports in order of their numbers above `after`."""
        with self._lock:
            return tuple(self._sealed.get(site, [])[max(0, after) :][: rules.page(limit)])

    def pool_hours(self, site: str, hours: Hours, after: tuple[int, str], limit: int) -> tuple[PoolHour, ...]:
        """Return what was seen of a site's pools, in order of hour and pool beyond `after`."""
        with self._lock:
            found = [each for (of, hour, pool), each in sorted(self._pool_hours.items())
                     if of == site and (hour, pool) > after and hours[0] <= hour < hours[1]]  # fmt: skip
        return tuple(found[: rules.page(limit)])

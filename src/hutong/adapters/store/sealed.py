"""Sealed reports of sites in SQL, and the hours of pools that they tell of."""

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.db import Database, many
from hutong.adapters.store.rollups import count_hours
from hutong.adapters.store.sealed_tables import pool_hours, sealed
from hutong.core.book.sealed import Hours, PoolHour, SealedReport, news_of
from hutong.core.kernel.chain import START, Head

_NAMES = ("site", "hour", "pool")


class Sealed:
    """The part of the store that keeps what sites seal."""

    _db: Database

    def keep_sealed(self, reports: Sequence[SealedReport], hours: Sequence[PoolHour]) -> Head:
        """Keep reports of one site with the hours that they tell of; return the site's head."""

        def work(connection: sa.Connection) -> Head:
            # Two that go on after the same head want the same key: one of them is tried again.
            head = _head(connection, reports[0].site) if reports else START
            first = min((each.seq for each in reports), default=0)
            same = sa.select(sealed.c.seq, sealed.c.hash).where(
                sealed.c.site == (reports[0].site if reports else ""),
                sealed.c.seq >= first,
                sealed.c.seq <= first + rules.PAGE_MAX,
            )
            known = {int(row.seq): str(row.hash) for row in connection.execute(same)}
            news = news_of(head, known, reports)
            fresh = {each.seq for each in news}
            many(connection, sealed.insert(), [asdict(each) for each in news])
            newest = sorted((each for each in hours if each.seq in fresh), key=lambda each: each.seq)
            fresh_hours = list({(each.hour, each.pool): each for each in newest}.values())
            count_hours(connection, fresh_hours)
            rows = sorted((asdict(each) for each in fresh_hours), key=lambda row: (row["hour"], row["pool"]))
            insert = self._db.upsert(pool_hours)
            others = (each.name for each in pool_hours.c if each.name not in _NAMES)
            change = {name: insert.excluded[name] for name in others}
            many(connection, insert.on_conflict_do_update(index_elements=list(_NAMES), set_=change), rows)
            return Head(news[-1].seq, news[-1].hash) if news else head

        return self._db.write(work)

    def sealed_head(self, site: str) -> Head:
        """Return how far a site's chain goes."""
        with self._db.read() as connection:
            return _head(connection, site)

    def sealed(self, site: str, after: int, limit: int) -> tuple[SealedReport, ...]:
        """Return a site's reports in order of their numbers above `after`."""
        query = sa.select(sealed).where(sealed.c.site == site, sealed.c.seq > after)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(sealed.c.seq).limit(rules.page(limit))).mappings().all()
        return tuple(SealedReport(**row) for row in rows)

    def pool_hours(self, site: str, hours: Hours, after: tuple[int, str], limit: int) -> tuple[PoolHour, ...]:
        """Return what was seen of a site's pools, in order of hour and pool beyond `after`."""
        place = (pool_hours.c.hour, pool_hours.c.pool)
        query = sa.select(pool_hours).where(pool_hours.c.site == site, sa.tuple_(*place) > sa.tuple_(*after))
        query = query.where(pool_hours.c.hour >= hours[0], pool_hours.c.hour < hours[1])
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(*place).limit(rules.page(limit))).mappings().all()
        return tuple(PoolHour(**row) for row in rows)


def _head(connection: sa.Connection, site: str) -> Head:
    last = sa.select(sealed.c.seq, sealed.c.hash).where(sealed.c.site == site)
    row = connection.execute(last.order_by(sealed.c.seq.desc()).limit(1)).first()
    return Head(int(row.seq), str(row.hash)) if row else START

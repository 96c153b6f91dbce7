"""What sites did to the attempts that ran there, in SQL: one row a site, which fades."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from hutong.adapters.store.bulk import merge_rows
from hutong.adapters.store.db import rows_in
from hutong.adapters.store.tables import stays
from hutong.core.book.stays import Stay, Stays, counted, faded

_STAYS = sa.select(stays)


def read_stays(connection: sa.Connection, sites: Sequence[str], now_ms: int) -> dict[str, Stays]:
    """Return what is remembered now, of those sites of which anything is."""
    return {
        row["site"]: faded(Stays(row["node_ms"], row["breaks_ppm"]), row["at_ms"], now_ms)
        for row in rows_in(connection, _STAYS, stays.c.site, sites)
    }


def count_stays(connection: sa.Connection, found: Mapping[str, Sequence[Stay]], now_ms: int) -> None:
    """Add stays by site; only the loop's leader writes them."""
    before = read_stays(connection, sorted(found), now_ms)
    after = {site: counted(before.get(site, Stays()), some) for site, some in sorted(found.items())}
    rows = [
        {"site": site, "node_ms": each.node_ms, "breaks_ppm": each.breaks_ppm, "at_ms": now_ms}
        for site, each in after.items()
    ]
    merge_rows(connection, stays, rows, ("site",), put=("node_ms", "breaks_ppm", "at_ms"))

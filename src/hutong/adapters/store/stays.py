"""What sites did to the attempts that ran there, in SQL: one row a site, which fades."""

from collections.abc import Container, Mapping, Sequence

import sqlalchemy as sa

from hutong.adapters.store.asking import Rows
from hutong.adapters.store.bulk import merge_rows
from hutong.adapters.store.tables import stays
from hutong.core.book.stays import Stay, Stays, counted, faded

STAYS = sa.select(stays)


def stays_of(rows: Rows, sites: Container[str], now_ms: int) -> dict[str, Stays]:
    """Return what is remembered now, of the rows of `STAYS`, of those sites of which anything is."""
    return {
        row["site"]: faded(Stays(row["node_ms"], row["breaks_ppm"]), row["at_ms"], now_ms)
        for row in rows
        if row["site"] in sites
    }


def count_stays(
    connection: sa.Connection, known: Rows, found: Mapping[str, Sequence[Stay]], now_ms: int
) -> None:
    """Add stays by site to those known; only the loop's leader writes them."""
    before = stays_of(known, found, now_ms)
    after = {site: counted(before.get(site, Stays()), some) for site, some in sorted(found.items())}
    rows = [
        {"site": site, "node_ms": each.node_ms, "breaks_ppm": each.breaks_ppm, "at_ms": now_ms}
        for site, each in after.items()
    ]
    merge_rows(connection, stays, rows, ("site",), put=("node_ms", "breaks_ppm", "at_ms"))

"""All pools of a page at once: what stays as long as their sites are declared alike, and their table.

`judge.table_of` makes the same table from views of the pools, one by one; a turn looks at few of those.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hutong.core.book.stays import PRIOR_MTBF_S
from hutong.core.capacity.accelerators import tdp_w_of
from hutong.core.capacity.sites import Admission
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import NEVER
from hutong.core.placement.judge import TROUBLE_S, Mask, Refusal, Table
from hutong.core.placement.page import Grounds, Page, remembered
from hutong.core.placement.request import closing_of


@dataclass(frozen=True, slots=True)
class Layout:
    """Pools as they were declared: `at` is each one's index by site and name, `by_name` their order by those.

    `site_of` is each pool's site, by index in the grounds; `takes` where the site takes work. `table` has
    zeros for what a page says.
    """

    at: Mapping[tuple[str, str], int]
    by_name: Ints
    site_of: Ints
    takes: Mask
    pue_milli: Ints
    table: Table


@remembered
def layout_of(grounds: Grounds) -> Layout:
    """Return the pools of some sites as they were declared."""
    pools = [(site, pool) for site in grounds.sites for pool in site.pools]
    names = [(str(site.id), str(pool.id)) for site, pool in pools]
    sites = tuple(sorted({site for site, _ in names}))
    number = {name: index for index, name in enumerate(sites)}
    chips = {name: index for index, name in enumerate(sorted({pool.accelerator for _, pool in pools}))}
    rows = [
        (
            number[site.id], chips[pool.accelerator], pool.nodes, pool.cards_per_node,
            pool.memory_bytes_per_node, pool.cpus_per_node, pool.price_micro_per_card_hour,
            site.distance_km, site.admission is Admission.ACTIVE, pool.pue_milli,
        )
        for site, pool in pools
    ]  # fmt: skip
    columns = np.ascontiguousarray(np.array(rows, np.int64).reshape(len(rows), 10).T)
    zeros = np.zeros(len(rows), np.int64)
    return Layout(
        at={name: index for index, name in enumerate(names)},
        by_name=np.array(sorted(range(len(names)), key=names.__getitem__), np.int64),
        site_of=np.array([at for at, site in enumerate(grounds.sites) for _ in site.pools], np.int64),
        takes=columns[8] != 0,
        pue_milli=columns[9],
        table=Table(
            sites, columns[0], chips, columns[1], columns[2], columns[3], columns[4], columns[5], columns[6],
            wait_s=zeros, distance_km=columns[7], free=zeros, state=zeros, closes_in_ms=zeros,
            card_mw=zeros, mtbf_s=zeros, bits_per_s=zeros,
            domains=tuple(site.domains_of(pool) for site, pool in pools),
            pools=tuple(name for _, name in names),
        ),
    )  # fmt: skip


def table_at(grounds: Grounds, page: Page) -> Table:
    """Return the table of the pools of a page, as they stood at its start."""
    layout = layout_of(grounds)
    site_of, tdp_w = layout.site_of, dict(page.tdp_w)
    reachable = np.array(page.reachable, np.bool_)
    trouble = np.array([each != "" for each in page.trouble], np.bool_)
    closings = (closing_of(site, page.at_ms) for site in grounds.sites)
    closes_in_ms = np.array([NEVER if each is None else each.in_ms for each in closings], np.int64)
    card_w = np.array([tdp_w.get(chip, tdp_w_of(chip)) for chip in layout.table.chips], np.int64)
    refused = np.where(reachable, Refusal.NONE, Refusal.UNREACHABLE)[site_of]
    count = len(grounds.sites)
    table = replace(
        layout.table,
        wait_s=np.array(page.wait_s, np.int64) + TROUBLE_S * trouble[site_of],
        free=np.array(page.free, np.int64),
        state=np.where(layout.takes, refused, Refusal.DRAINING).astype(np.int64),
        closes_in_ms=closes_in_ms[site_of],
        card_mw=card_w[layout.table.chip] * layout.pue_milli,
        mtbf_s=np.array(page.mtbf_s or (PRIOR_MTBF_S,) * count, np.int64)[site_of],
        bits_per_s=np.array(page.bits_per_s or (0,) * count, np.int64)[site_of],
    )
    here = site_of.tolist()
    stock = tuple(page.stock[site] for site in here) if page.stock else ()
    offers = tuple(page.offers[site] for site in here) if page.offers else ()
    if page.lacks:
        table = replace(table, lacks=tuple(page.lacks[site] for site in here))
    if any(stock):
        table = replace(table, stock=stock)
    if any(each is not None for each in offers):
        table = replace(table, offers=offers)
    return table

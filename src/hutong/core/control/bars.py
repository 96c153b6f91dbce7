"""Quotas in a look ahead: which accelerators they leave one job none of now, without a scheduling pass.

The rules are those of `placement.quotas`, which is machine code that a look ahead must not load.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hutong.core.book.snapshot import Snapshot
from hutong.core.control.accounts import Accounts
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import quota_table
from hutong.core.placement.judge import LASTING, Refusal, refuse, table_of
from hutong.core.placement.request import PoolView, Request


@dataclass(frozen=True, slots=True)
class Bars:
    """The accelerators of which a job may not have more now; a code and a sentence if that leaves it none."""

    chips: tuple[str, ...] = ()
    told: tuple[str, str] | None = None


def bars_for(
    shot: Snapshot, project: ProjectId, person: str, request: Request, views: Sequence[PoolView]
) -> Bars:
    """Return what quotas keep from a job that would be the first in the queue."""
    accounts = Accounts(shot, [(project, person)], views)
    flavours = accounts.flavours(views)
    if flavours is None:
        return Bars()
    table = table_of(tuple(views))
    asked, refusal = refuse(request, table)
    able = (refusal == Refusal.NONE) | (refusal > LASTING)
    quotas = quota_table(accounts.rows, flavours)
    free = np.zeros(quotas.shape[1], np.int64)
    is_open = table.state == 0
    np.add.at(free, flavours[is_open], table.free[is_open])
    free[0] = table.free[is_open].sum()
    least = np.full(len(free), c.NEVER, np.int64)
    np.minimum.at(least, flavours[able], asked[able] * request.nodes)
    account = accounts.of(project, person)
    chain = sorted(accounts.above(account))
    barred = [
        flavour
        for flavour in range(1, len(free))
        if least[flavour] < c.NEVER
        and _bars(quotas, free, chain, accounts.roots, flavour, int(least[flavour]))
    ]
    chips = {view.accelerator for view, can in zip(views, able, strict=True) if can}
    found = accounts.chips_of(sum(1 << flavour for flavour in barred), chips)
    if not found or len(found) < len(chips):
        return Bars(found)
    return Bars(found, accounts.told(account, found, least, quotas))


def _bars(
    quotas: Ints, free: Ints, chain: Sequence[int], roots: Sequence[int], flavour: int, need: int
) -> bool:
    """Return whether so many cards of a flavour are more than an account may have now.

    `chain` are the account and those above it, the topmost first.
    """
    held, ceiling = quotas[:, :, c.CARDS_HELD], quotas[:, :, c.CEILING]
    root = chain[0]
    if any(int(held[each, at]) + need > int(ceiling[each, at]) for each in chain for at in (0, flavour)):
        return True
    if any(int(held[root, at]) + need <= int(quotas[root, at, c.NOMINAL]) for at in (0, flavour)):
        return False
    others = [each for each in roots if each != root]
    back = np.maximum(0, quotas[others, :, c.KEPT_BACK] - held[others]).sum(axis=0)
    return any(int(back[at]) > 0 and int(free[at]) - need < int(back[at]) for at in (0, flavour))

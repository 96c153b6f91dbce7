"""Quotas in the scheduling pass: which flavours (accelerators) the accounts of a lane may not have more of.

A flavour is an index: 0 stands for all cards together, 1 for the accelerators that no quota names, each other
one for an accelerator. What an account is charged, so is the one above it. Nothing here is asked where there
are no quotas.
"""

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare


@bare
def count_held(a: Arrays, account: int, pool: int, cards: int) -> None:
    """Count cards of a pool to an account and to those above it (negative: given back)."""
    flavour = a.pools[pool, c.FLAVOUR]
    while account >= 0:
        a.quotas[account, 0, c.CARDS_HELD] += cards
        a.quotas[account, flavour, c.CARDS_HELD] += cards
        account = a.accounts[account, c.PARENT]


@bare
def tally(a: Arrays) -> None:
    """Add up, for each flavour, the free cards of pools that are open and what is kept back of them."""
    a.flavours[:] = 0
    for pool in range(a.pools.shape[0]):
        if a.pools[pool, c.OPEN] != 0:
            a.flavours[0, c.FLAVOUR_FREE] += a.pools[pool, c.FREE]
            a.flavours[a.pools[pool, c.FLAVOUR], c.FLAVOUR_FREE] += a.pools[pool, c.FREE]
    for account in range(a.accounts.shape[0]):
        if a.accounts[account, c.PARENT] >= 0:
            continue
        for flavour in range(a.flavours.shape[0]):
            kept = a.quotas[account, flavour, c.KEPT_BACK] - a.quotas[account, flavour, c.CARDS_HELD]
            a.flavours[flavour, c.FLAVOUR_KEPT] += max(0, kept)


@bare
def root_of(a: Arrays, account: int) -> int:
    """Return the account at the top: an institution, or a project without one."""
    while a.accounts[account, c.PARENT] >= 0:
        account = a.accounts[account, c.PARENT]
    return account


@bare
def over(a: Arrays, account: int, flavour: int, need: int) -> bool:
    """True if with so many more cards of a flavour an account, or one above it, had more than it may."""
    while account >= 0:
        if a.quotas[account, flavour, c.CARDS_HELD] + need > a.quotas[account, flavour, c.CEILING]:
            return True
        account = a.accounts[account, c.PARENT]
    return False


@bare
def within(a: Arrays, root: int, flavour: int, need: int) -> bool:
    """True if with so many more cards of a flavour an institution had no more than it is promised."""
    return bool(a.quotas[root, flavour, c.CARDS_HELD] + need <= a.quotas[root, flavour, c.NOMINAL])


@bare
def kept_from(a: Arrays, root: int, flavour: int, need: int) -> bool:
    """True if so many cards of a flavour cannot be taken without what is kept back for others."""
    own = max(0, a.quotas[root, flavour, c.KEPT_BACK] - a.quotas[root, flavour, c.CARDS_HELD])
    others = a.flavours[flavour, c.FLAVOUR_KEPT] - own
    return bool(others > 0 and a.flavours[flavour, c.FLAVOUR_FREE] - need < others)


@bare
def barred(a: Arrays, lane: int) -> int:
    """Return the flavours that a lane's jobs may not have now, as bits."""
    lane_class, account, found = a.lanes[lane, c.LANE_CLASS], a.lanes[lane, c.ACCOUNT], 0
    root = root_of(a, account)
    for flavour in range(1, a.flavours.shape[0]):
        need = a.least[lane_class, flavour]
        if need == c.NEVER:
            continue
        promised = within(a, root, 0, need) or within(a, root, flavour, need)
        kept = kept_from(a, root, 0, need) or kept_from(a, root, flavour, need)
        if over(a, account, 0, need) or over(a, account, flavour, need) or (kept and not promised):
            found |= 1 << flavour
    return found


@bare
def borrows(a: Arrays, lane: int) -> bool:
    """True if the next job of a lane would be beyond what its institution is promised, wherever it went."""
    root = root_of(a, a.lanes[lane, c.ACCOUNT])
    for flavour in range(a.flavours.shape[0]):
        need = a.least[a.lanes[lane, c.LANE_CLASS], flavour]
        if need < c.NEVER and within(a, root, flavour, need):
            return False
    return True


@bare
def all_barred(a: Arrays, lane: int) -> bool:
    """True if the bars leave no flavour that a lane's jobs ask for."""
    for flavour in range(1, a.flavours.shape[0]):
        asked = a.least[a.lanes[lane, c.LANE_CLASS], flavour] < c.NEVER
        if asked and (a.state[c.BARS] >> flavour) & 1 == 0:
            return False
    return True


@bare
def bars_of(a: Arrays, lanes: Ints, found: Ints) -> None:
    """Write what bars each of the lanes now, for those who are told why they wait."""
    tally(a)
    for place in range(len(lanes)):
        found[place] = barred(a, lanes[place])

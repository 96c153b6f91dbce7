"""Sums by hour, day and month, kept by whoever writes what they sum: reports read them, never the records.

An amount that was measured over several hours counts in each by its part of the time, cut so that the parts
add up to it exactly; a correction, which is negative, is cut alike and so cancels hour by hour.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from operator import add as plus
from operator import sub as minus

from hutong.core.book.money import LotKind, Txn, UsageRecord, lot_account
from hutong.core.book.sealed import PoolHour
from hutong.core.kernel.days import month_days, month_of
from hutong.core.kernel.ids import LotId
from hutong.core.kernel.quantities import HOUR_MS

HOURS_MOST = 24 * 366
"""A record that says it lasted longer counts as if it had lasted so long until its end."""
GROUPS_MOST = 200_000
DAY_H = 24


class Grain(IntEnum):
    """How long the time of a row is."""

    HOUR = 0
    DAY = 1
    MONTH = 2


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of sums: what rows are named by beside their time, what they add up, their finest grain.

    `coarser` are families of the same sums by fewer names, of days and months only: what asks for no more
    names reads those, and the hours at the ends of its span here.
    """

    id: str
    names: tuple[str, ...]
    sums: tuple[str, ...]
    finest: Grain = Grain.HOUR
    coarser: tuple["Family", ...] = ()


_USED = ("quantity", "charge_micro", "energy_j", "green_j", "co2_mg")
SITE_USE = Family("site_use_rollups", ("site", "sku", "unit"), _USED, Grain.DAY)
PROJECT_USE = Family("project_use_rollups", ("project", "unit"), _USED, Grain.DAY)
USE = Family("use_rollups", ("project", "site", "sku", "unit"), _USED, coarser=(PROJECT_USE, SITE_USE))
PEOPLE = Family("people_rollups", ("project", "person", "unit"), ("quantity",), Grain.DAY)
MONEY = Family("money_rollups", ("project", "txn", "lot"), ("amount_micro",))
_TOLD = ("jobs", "wait_ms", "card_ms")
ASKED_WORK = Family("asked_work_rollups", ("asked", "what", "why", "bucket"), _TOLD, Grain.DAY)
WORK = Family(
    "work_rollups", ("kind", "asked", "size", "what", "why", "bucket"), _TOLD, coarser=(ASKED_WORK,)
)
SEEN = Family(
    "seen_rollups",
    ("site", "sku", "method"),
    ("seen_card_ms", "held_card_ms", "counted_card_ms", "busy_card_ms"),
)
"""What agents' sealed hours say; `method` is empty where nothing counted, else `busy` is of `counted`."""
FAMILIES = (USE, PEOPLE, MONEY, WORK, SEEN)
KEPT = (*FAMILIES, *(coarse for family in FAMILIES for coarse in family.coarser))
"""All that are kept; those of `FAMILIES` may be asked for."""
WHOLE_NAMES = frozenset({"size", "bucket"})
"""Names that are integers; all others are text."""

Name = str | int
Key = tuple[Name, ...]
"""The hour since 1970, then the names of the family."""
Sums = tuple[int, ...]
Rows = dict[Key, Sums]


@dataclass(frozen=True, slots=True)
class RollupQuery:
    """Which sums to add up: hours since 1970 `[from, to)`, groups by names of the family.

    A family that knows days only takes the UTC days that the hours touch. An empty set means all.
    """

    family: Family
    hours: tuple[int, int]
    by: tuple[str, ...] = ()
    where: Mapping[str, frozenset[Name]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """The sums of one group, in the order of the family; `key` has a value for each name it is by."""

    key: Key
    sums: Sums


@dataclass(frozen=True, slots=True)
class PoolNote:
    """What a pool was from a time on: its cards, and how many of them no planned work took away."""

    site: str
    pool: str
    from_ms: int
    accelerator: str
    installed: int
    available: int


@dataclass(frozen=True, slots=True)
class FirstUse:
    """When a person or a project first used anything."""

    scope: str  # person | project
    name: str
    at_ms: int


def hour_of(at_ms: int) -> int:
    """Return the hour of a moment, in hours since 1970."""
    return at_ms // HOUR_MS


def add(rows: Rows, key: Key, sums: Sums) -> None:
    """Add sums to a row."""
    known = rows.get(key)
    rows[key] = sums if known is None else tuple(map(plus, known, sums))


def merged(parts: Iterable[Mapping[Key, Sums]]) -> Rows:
    """Return the sum of rows."""
    rows: Rows = {}
    for part in parts:
        for key, sums in part.items():
            add(rows, key, sums)
    return rows


def slices(from_ms: int, upto_ms: int, sums: Sums) -> Iterator[tuple[int, Sums]]:
    """Yield the hours of a span with the part of each amount that falls in them; they add up to it exactly.

    >>> list(slices(0, 3 * HOUR_MS, (10, -10)))
    [(0, (3, -3)), (1, (3, -3)), (2, (4, -4))]
    """
    if upto_ms <= from_ms:
        yield hour_of(from_ms), sums
        return
    last = (upto_ms - 1) // HOUR_MS
    if last == hour_of(from_ms):
        if any(sums):
            yield last, sums
        return
    if last - hour_of(from_ms) >= HOURS_MOST:
        from_ms = (last - HOURS_MOST + 1) * HOUR_MS
    whole, before = upto_ms - from_ms, (0,) * len(sums)
    for hour in range(hour_of(from_ms), last + 1):
        passed = min((hour + 1) * HOUR_MS, upto_ms) - from_ms
        until = tuple([each * passed // whole if each >= 0 else -(-each * passed // whole) for each in sums])
        part = tuple(map(minus, until, before))
        if any(part):
            yield hour, part
        before = until


def use_rows(records: Iterable[UsageRecord]) -> Rows:
    """Return what usage records add to `USE`."""
    rows: Rows = {}
    for each in records:
        sums = (each.quantity, each.charge_micro, each.energy_j, each.green_j, each.co2_mg)
        for hour, part in slices(each.from_ms, each.upto_ms, sums):
            add(rows, (hour, each.project, each.site, each.sku, each.unit), part)
    return rows


def people_rows(records: Iterable[UsageRecord]) -> Rows:
    """Return what usage records add to `PEOPLE`; records of which nobody knows the person have none."""
    rows: Rows = {}
    for each in records:
        if each.person:
            for hour, part in slices(each.from_ms, each.upto_ms, (each.quantity,)):
                add(rows, (hour // DAY_H * DAY_H, each.project, each.person, each.unit), part)
    return rows


def money_rows(txns: Iterable[Txn], kinds: Mapping[str, LotKind]) -> Rows:
    """Return what transactions add to `MONEY`; `kinds` are those of the accounts of lots."""
    rows: Rows = {}
    for txn in txns:
        for entry in txn.entries:
            kind = kinds.get(entry.account)
            if kind is not None:
                key = (hour_of(txn.effective_ms), txn.project, txn.kind, kind.value)
                add(rows, key, (entry.amount_micro,))
    return rows


def seen_rows(hours: Iterable[PoolHour]) -> Rows:
    """Return what hours of pools add to `SEEN`."""
    rows: Rows = {}
    for each in hours:
        counted = each.busy_card_ms is not None
        key = (each.hour, each.site, each.accelerator, each.method if counted else "")
        held = each.held_card_ms
        add(rows, key, (each.cards * each.seen_ms, held, held if counted else 0, each.busy_card_ms or 0))
    return rows


def instead(before: Mapping[Key, Sums], after: Mapping[Key, Sums]) -> Rows:
    """Return what must be added where rows of `before` are replaced by those of `after`."""
    rows = merged([after, {key: tuple(-each for each in sums) for key, sums in before.items()}])
    return {key: sums for key, sums in rows.items() if any(sums)}


def lot_accounts(txns: Iterable[Txn]) -> list[str]:
    """Return the accounts of lots that transactions move, in order."""
    start = lot_account(LotId(""))
    return sorted({leg.account for txn in txns for leg in txn.entries if leg.account.startswith(start)})


def first_uses(records: Iterable[UsageRecord]) -> dict[tuple[str, str], int]:
    """Return when each person and project of some records first used something, UTC ms.

    That use was corrected later does not take it back: somebody was served.
    """
    found: dict[tuple[str, str], int] = {}
    for each in records:
        if each.quantity <= 0 or each.reverses:
            continue
        for scope, name in (("person", each.person), ("project", str(each.project))):
            if name:
                found[scope, name] = min(each.from_ms, found.get((scope, name), each.from_ms))
    return found


def spread(family: Family, rows: Mapping[Key, Sums]) -> dict[Key, Sums]:
    """Return rows by hour as rows of each grain: keys begin with grain and time."""
    days: Rows = {}
    for key, sums in rows.items():
        add(days, (int(Grain.DAY), int(key[0]) // DAY_H, *key[1:]), sums)
    months: Rows = {}
    for key, sums in days.items():
        add(months, (int(Grain.MONTH), month_of(int(key[1])), *key[2:]), sums)
    hours = {(int(Grain.HOUR), *key): sums for key, sums in rows.items()}
    return (hours if family.finest is Grain.HOUR else {}) | days | months


def coarsened(family: Family, coarse: Family, spread_: Mapping[Key, Sums]) -> Rows:
    """Return the rows of days and months of a family, as `spread` makes them, as those of a coarser one."""
    at = [0, 1, *(2 + family.names.index(name) for name in coarse.names)]
    found: Rows = {}
    for key, sums in spread_.items():
        if key[0] != Grain.HOUR:
            add(found, tuple([key[i] for i in at]), sums)
    return found


def parts_of(query: RollupQuery) -> tuple[tuple[Family, Grain, int, int], ...]:
    """Return the rows `[from, to)` of families and grains that answer a query: the coarsest that can.

    >>> [(family.id, grain.name) for family, grain, *_ in parts_of(RollupQuery(USE, (23, 49), ("site",)))]
    [('use_rollups', 'HOUR'), ('site_use_rollups', 'DAY'), ('use_rollups', 'HOUR')]
    """
    family = query.family
    asked = {*query.by, *(name for name, values in query.where.items() if values)}
    days = next((each for each in family.coarser if asked <= set(each.names)), family)
    return tuple(
        (family if grain is Grain.HOUR else days, grain, first, after)
        for grain, first, after in ranges(query.hours, family.finest)
    )


def ranges(hours: tuple[int, int], finest: Grain = Grain.HOUR) -> tuple[tuple[Grain, int, int], ...]:
    """Return the rows `[from, to)` of each grain that make up a span, whole months and days first of all.

    >>> [(grain.name, first, after) for grain, first, after in ranges((23, 24 * 60))]
    [('HOUR', 23, 24), ('DAY', 1, 31), ('MONTH', 1, 2), ('DAY', 59, 60)]
    """
    low, high = hours
    first, after = -(-low // DAY_H), high // DAY_H
    if finest is Grain.DAY:
        first, after = low // DAY_H, -(-high // DAY_H)
    elif first >= after:
        return ((Grain.HOUR, low, high),) if low < high else ()
    found = [(Grain.HOUR, low, first * DAY_H)] if finest is Grain.HOUR else []
    found += _days(first, after)
    found += [(Grain.HOUR, after * DAY_H, high)] if finest is Grain.HOUR else []
    return tuple(each for each in found if each[1] < each[2])


def _days(first: int, after: int) -> list[tuple[Grain, int, int]]:
    if first >= after:
        return []
    begin = month_of(first)
    begin += month_days(begin)[0] < first
    end = month_of(after)
    if begin >= end:
        return [(Grain.DAY, first, after)]
    return [
        (Grain.DAY, first, month_days(begin)[0]),
        (Grain.MONTH, begin, end),
        (Grain.DAY, month_days(end)[0], after),
    ]


def select(kept: Mapping[Key, Sums], query: RollupQuery) -> tuple[Group, ...]:
    """Return the groups that a query asks for, out of rows of every grain."""
    names = query.family.names
    at = [names.index(name) for name in query.by]
    wanted = [(names.index(name), values) for name, values in query.where.items() if values]
    found: Rows = {}
    for grain, first, after in ranges(query.hours, query.family.finest):
        for key, sums in kept.items():
            of = key[2:]
            if key[0] == grain and first <= int(key[1]) < after and all(of[i] in some for i, some in wanted):
                add(found, tuple(of[i] for i in at), sums)
    return groups(found)


def groups(found: Mapping[Key, Sums]) -> tuple[Group, ...]:
    """Return groups in the order of their keys, those that are nothing left out."""
    return tuple(Group(key, found[key]) for key in sorted(found) if any(found[key]))


def card_ms_of(notes: Iterable[PoolNote], span: tuple[int, int]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return card-ms installed and available in a span of UTC ms, by site and accelerator.

    `notes` has for each pool the last one before the span, if there is one, and all in it.
    """
    by_pool: dict[tuple[str, str], list[PoolNote]] = {}
    for each in notes:
        by_pool.setdefault((each.site, each.pool), []).append(each)
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for some in by_pool.values():
        some.sort(key=lambda each: each.from_ms)
        ends = [*(each.from_ms for each in some[1:]), span[1]]
        for note, end_ms in zip(some, ends, strict=True):
            lasted = max(0, min(end_ms, span[1]) - max(note.from_ms, span[0]))
            installed, available = found.get((note.site, note.accelerator), (0, 0))
            name = (note.site, note.accelerator)
            found[name] = (installed + note.installed * lasted, available + note.available * lasted)
    return found

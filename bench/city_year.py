"""A year of a city's usage from a real trace: institutions, projects, lots, and every charge with its records.

Real: when jobs of Microsoft's Philly cluster were submitted in October 2017, how long they ran, on how many
cards, in which virtual cluster. Each month of the made year has the trace again: whole, as often as it fits,
and a sample for the rest, each time moved by other hours. MADE UP, by seed: which project of a virtual cluster
a job is of (the trace names no users), prices, power, where the money comes from, and that a twentieth of the
jobs are calls of a model instead. Charges are paid by the platform's own rules over the lots as they stand,
and are written by the store's own posting, thousands in a transaction.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hutong.adapters.store.months import month_of
from hutong.adapters.store.open import open_store
from hutong.adapters.store.posting import post_all
from hutong.adapters.store.sql import SqlStore
from hutong.core.accounts.registry import Institution, InstitutionKind, Project
from hutong.core.book.money import (
    ISSUED,
    OVERRUN,
    WAIVED,
    Entry,
    HoldPart,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.book.periods import Period
from hutong.core.book.store import Record
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.kernel.ids import JobId, LotId, PoolId, ProjectId, SiteId, attempt_key, ulid
from hutong.core.kernel.rating import CARD_HOUR_MS, MILLION_TOKENS, rate
from hutong.core.ledger.funding import PPM, plan_hold, repay, settle
from hutong.core.ledger.giving_back import give_back
from hutong.core.ledger.settlement import Share
from hutong.server.people import FIRST_INSTITUTION
from hutong.server.registry import document
from hutong.server.settlements import KIND as SHARES
from hutong.server.settlements import Shares
from hutong.sim.importers import read
from hutong.sim.importers.table import Floats
from hutong.sim.trace import Trace

ZONE = "Asia/Shanghai"
YEAR = 2025
FIRST_MS = 1_735_660_800_000  # 2025-01-01 in Shanghai
AFTER_MS = FIRST_MS + 400 * 86_400_000
TRACE = "philly_oct2017_lucid.csv"
MICRO = 1_000_000
AT_ONCE = 2_000
# Site, accelerator, yuan a card-hour; the last is free of charge, for trials.
POOLS = (("haidian", "A100", 12), ("yizhuang", "910B", 9), ("zhangjiakou", "H20", 7), ("trial", "V100", 0))
WATTS, GREEN_PPM, GRAMS_PER_KWH = 600, 450_000, 500
TOKEN_PRICES = {"token_in": 2 * MICRO, "token_out": 8 * MICRO}
_KINDS = tuple(each for each in InstitutionKind if each is not InstitutionKind.OPERATOR)
_AWARD, _VOUCHER, _TOPUP = LotKind.AWARD, LotKind.VOUCHER, LotKind.TOPUP
# Kind, months of the year in which a project gets it, parts per hundred of what its year may cost.
FUNDING: tuple[tuple[tuple[LotKind, tuple[int, ...], int], ...], ...] = (
    ((_AWARD, (0,), 150),),
    ((_AWARD, (0,), 60), (_VOUCHER, (0, 6), 20)),
    ((_TOPUP, (0, 3, 6, 9), 30),),
    ((_VOUCHER, (0,), 30), (_TOPUP, (0, 6), 25)),
    ((_AWARD, (9,), 80),),  # works on credit until somebody pays
)


@dataclass(frozen=True, slots=True)
class City:
    """Who is there. `projects` are those of each virtual cluster of the trace, the busiest first."""

    trace: Trace
    institutions: tuple[Institution, ...]
    projects: tuple[tuple[Project, ...], ...]
    months: tuple[Period, ...]

    @property
    def every_project(self) -> tuple[Project, ...]:
        """All projects."""
        return tuple(each for some in self.projects for each in some)


@dataclass(slots=True)
class Purse:
    """A project's lots as they stand, in the order in which they pay, and what it owes."""

    lots: list[Lot] = field(default_factory=list)
    owed: int = 0

    def book(self, entries: tuple[Entry, ...]) -> None:
        """Follow the entries of a transaction."""
        moved = {entry.account: entry.amount_micro for entry in entries}
        self.lots = [
            replace(lot, posted_micro=lot.posted_micro + moved.get(lot_account(lot.id), 0))
            for lot in self.lots
        ]
        self.owed -= sum(amount for account, amount in moved.items() if account.startswith(OVERRUN))


@dataclass(frozen=True, slots=True)
class Made:
    """How much was written."""

    records: int
    txns: int
    projects: int
    institutions: int


def make_city(trace_file: Path, records: int) -> City:
    """Return a city that fits a number of records: about a thousand of them a project."""
    trace = read(trace_file)
    each = max(2, records // (1000 * len(trace.groups)))
    institutions: list[Institution] = []
    projects = []
    for cluster, name in enumerate(trace.groups):
        some = []
        for n in range(each):
            if n % 5 == 0:
                kind = _KINDS[len(institutions) % len(_KINDS)]
                here = f"vc-{name}-{n // 5}"
                title = f"Institution {cluster}-{n // 5}"
                institutions.append(Institution(here, kind, f"机构{cluster}-{n // 5}", title))
            some.append(Project(f"p-{name}-{n:03d}", institutions[-1].id, f"Project {n} of {name}"))
        projects.append(tuple(some))
    months, at_ms = [], FIRST_MS
    for _ in range(12):
        months.append(month_of(at_ms, ZONE))
        at_ms = months[-1].until_ms
    return City(trace, tuple(institutions), tuple(projects), tuple(months))


def fill(url: str, city: City, records: int, seed: int) -> Made:
    """Write a year of so many records into the store at `url`, in memory that does not grow with them."""
    store = open_store(url, ZONE)
    assert isinstance(store, SqlStore)
    try:
        _register(store, city)
        purses = {each.id: Purse() for each in city.every_project}
        budgets = _budgets(city, records)
        written, booked = 0, 0
        for n, month in enumerate(city.months):
            booked += _fund(store, city, purses, budgets, n)
            count = records * (n + 1) // 12 - records * n // 12
            batch: list[Posting] = []
            for posting in _month(city, purses, month, count, np.random.default_rng((seed, n))):
                batch.append(posting)
                written += len(posting.usage)
                booked += len(posting.txns)
                if len(batch) == AT_ONCE:
                    _write(store, batch)
                    batch = []
            _write(store, batch)
    finally:
        store.close()
    return Made(written, booked, len(purses), len(city.institutions))


def _write(store: SqlStore, batch: list[Posting]) -> None:
    """Post as `Store.post` does, but many in one transaction: what it checks it checks of all together."""
    db = store._db
    db.write(lambda connection: post_all(db, connection, batch, guarded=False))


def _register(store: SqlStore, city: City) -> None:
    first = Institution(FIRST_INSTITUTION, InstitutionKind.OPERATOR, "平台运营方", "Platform operator")
    records = [Record("institution", each.id, document(each)) for each in (first, *city.institutions)]
    projects = city.every_project
    records += [Record("project", each.id, document(each), parent=each.institution) for each in projects]
    supply = Supply((GREEN_PPM,) * 24, (GRAMS_PER_KWH,) * 24, "invented", synthetic=True)
    for name, card, yuan in POOLS:
        pool = Pool(PoolId("main"), card, 100, 8, yuan * MICRO, 1200, "cuda")
        site = Site(SiteId(name), name, name.title(), "beijing", 10, "slurm", (pool,), supply)
        records.append(Record("site", name, document(site)))
        if yuan:
            records.append(Record(SHARES, name, document(Shares(name, (Share(0, 800_000),)))))
    for start in range(0, len(records), 500):
        store.put_all([(record, 0) for record in records[start : start + 500]])


def _weights(count: int) -> Floats:
    ranks: Floats = 1.0 / np.arange(1, count + 1)
    return np.asarray(ranks / ranks.sum(), np.float64)


def _budgets(city: City, records: int) -> dict[str, int]:
    """Return what a year of each project may cost in micro-yuan, by the means of its virtual cluster."""
    trace = city.trace
    mean_price = sum(yuan for _, _, yuan in POOLS) * MICRO // len(POOLS)
    budgets = {}
    for cluster, some in enumerate(city.projects):
        here = trace.group == cluster
        card_s = int((trace.run_s[here] * trace.cards[here]).sum())
        year = card_s * mean_price * records // (3600 * len(trace))
        for project, weight in zip(some, _weights(len(some)), strict=True):
            budgets[project.id] = max(MICRO, int(year * weight))
    return budgets


def _fund(store: SqlStore, city: City, purses: dict[str, Purse], budgets: dict[str, int], month: int) -> int:
    """Open the lots that projects get in a month, and pay back what they owe; return how many transactions."""
    at_ms, booked = city.months[month].from_ms, 0
    for n, project in enumerate(city.every_project):
        purse = purses[project.id]
        for kind, months, percent in FUNDING[n % len(FUNDING)]:
            if month not in months:
                continue
            amount = budgets[project.id] * percent // 100
            name = LotId(f"{kind.value}-{project.id}-{month + 1:02d}")
            ppm = 400_000 if kind is _VOUCHER else PPM
            lot = Lot(name, ProjectId(project.id), kind, ppm, at_ms, city.months[-1].until_ms)
            legs = (Entry(ISSUED, -amount), Entry(lot_account(name), amount))
            txn = Txn(f"{kind.value}:{name}", kind.value, lot.project, at_ms, f"lot:{name}", legs)
            assert store.open_lot(lot, txn)
            purse.lots = sorted([*purse.lots, lot], key=lambda each: each.kind is not _VOUCHER)
            purse.book(legs)
            booked += 1
        paid = repay(purse.lots, purse.owed, f"debt:{project.id}:{month}", at_ms) if purse.owed else None
        if paid is not None:
            assert store.post(Posting((paid,)))
            purse.book(paid.entries)
            booked += 1
    return booked


def _month(
    city: City, purses: dict[str, Purse], month: Period, count: int, chance: np.random.Generator
) -> Iterator[Posting]:
    """Yield the postings of a month in the order in which the work ended: `count` records."""
    trace, length_s = city.trace, (month.until_ms - month.from_ms) // 1000
    passes = [np.arange(len(trace))] * (count // len(trace))
    passes.append(np.sort(chance.choice(len(trace), count % len(trace), replace=False)))
    jobs = np.concatenate(passes)
    moved = np.concatenate([np.full(len(each), int(chance.integers(0, length_s))) for each in passes])
    run_s = np.minimum(trace.run_s[jobs], length_s - 1)
    ends_s = (trace.submit_s[jobs] + moved + run_s) % length_s
    order = np.argsort(ends_s, kind="stable")
    jobs, run_s, ends_s = jobs[order], run_s[order], ends_s[order]
    lucky = chance.random((count, 3))
    bounds = {len(some): np.cumsum(_weights(len(some))) for some in city.projects}
    entropy, left = chance.bytes(10 * count), count
    for n in range(count):
        if not left:
            return
        some = city.projects[int(trace.group[jobs[n]])]
        at = min(int(np.searchsorted(bounds[len(some)], lucky[n, 0])), len(some) - 1)
        project = ProjectId(some[at].id)
        upto_ms = month.from_ms + int(ends_s[n]) * 1000
        run_ms, cards = int(run_s[n]) * 1000, int(trace.cards[jobs[n]])
        key = attempt_key(JobId(ulid(upto_ms, entropy[10 * n : 10 * n + 10])), 1)
        tokens = lucky[n, 1] < 0.05 and left > 1
        if tokens:
            records = _calls(f"gw-{key}", project, run_ms * cards // 1000, upto_ms)
        else:
            pool = POOLS[3 if lucky[n, 2] > 0.99 else n % 3]
            records = (_cards(key, project, pool, run_ms, cards, upto_ms),)
        left -= len(records)
        yield _paid(purses[project], records, waived=lucky[n, 2] < 0.005)


def _cards(
    key: str, project: ProjectId, pool: tuple[str, str, int], run_ms: int, cards: int, upto_ms: int
) -> UsageRecord:
    site, card, yuan = pool
    card_ms = run_ms * cards
    energy_j = card_ms * WATTS // 1000
    return UsageRecord(
        f"use:{key}:0-{card_ms}", project, key, site, card, "card_ms", card_ms, yuan * MICRO, CARD_HOUR_MS,
        rate(card_ms, yuan * MICRO, CARD_HOUR_MS), upto_ms - run_ms, upto_ms, energy_j,
        energy_j * GREEN_PPM // PPM, energy_j * GRAMS_PER_KWH // 3600, "estimated",
    )  # fmt: skip


def _calls(key: str, project: ProjectId, size: int, upto_ms: int) -> tuple[UsageRecord, ...]:
    return tuple(
        UsageRecord(
            f"{key}:{unit}", project, key, POOLS[0][0], "poet-7b", unit, amount, price, MILLION_TOKENS,
            rate(amount, price, MILLION_TOKENS), upto_ms - 1000, upto_ms,
        )
        for (unit, price), amount in zip(TOKEN_PRICES.items(), (size * 10 + 500, size + 50), strict=True)
    )  # fmt: skip


def _paid(purse: Purse, records: tuple[UsageRecord, ...], *, waived: bool) -> Posting:
    """Return the posting that charges some records over a project's lots; waived, it is given back at once."""
    first = records[0]
    amount = sum(record.charge_micro for record in records)
    if not amount:
        return Posting(usage=records)
    held = plan_hold(purse.lots, amount, first.upto_ms) or ()
    lots = _with_holds(purse.lots, held)
    entries = settle(held, lots, first.project, 0, amount, first.upto_ms, final=True).entries
    name, kind = (first.id, "usage") if first.unit == "card_ms" else (f"tokens:{first.key}", "tokens")
    charge = Txn(name, kind, first.project, first.upto_ms, first.key, entries, site=first.site)
    purse.book(entries)
    if not waived:
        return Posting((charge,), usage=records)
    back = give_back(charge, (), amount, WAIVED, "waiver", "the site broke it")
    assert back is not None
    purse.book(back.entries)
    return Posting((charge, back), usage=records)


def _with_holds(lots: list[Lot], held: tuple[HoldPart, ...]) -> list[Lot]:
    parts = {part.lot: part.amount_micro for part in held}
    return [replace(lot, held_micro=parts.get(lot.id, 0)) for lot in lots]

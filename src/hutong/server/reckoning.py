"""What commitments and tiers change in a period that is over, read from the book and booked (ADR 46)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import structlog

from hutong.adapters.store.months import month_of
from hutong.core.accounts.budgets import Scope
from hutong.core.accounts.registry import Project
from hutong.core.book.commitments import COMMITMENT, COMMITMENTS_MAX, Commitment
from hutong.core.book.money import COMMITTED, REVENUE, TIERED, Posting, Turn
from hutong.core.book.periods import Period
from hutong.core.book.prices import PRICE, TIMELINES_MAX, Price, Timeline
from hutong.core.book.store import Store
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.commitments import Group, Moves, commit, month_number, tier
from hutong.core.ledger.prices import books_for
from hutong.core.ledger.rerating import Rerating, count_payers, rerate
from hutong.server.prices import books, tenant_of
from hutong.server.refunds import book_back, read_all
from hutong.server.registry import every, read
from hutong.server.rerated import paid_in
from hutong.server.statements import projects_of_institution

_PROJECTS_AT_ONCE = 200
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Month:
    """The use of some projects that was booked in a period, and who paid for it, by project and site."""

    uses: dict[Group, int] = field(default_factory=dict)
    payers: dict[ProjectId, dict[str, dict[str, int]]] = field(default_factory=dict)
    turns: dict[ProjectId, Turn] = field(default_factory=dict)

    def add(self, store: Store, project: ProjectId, period: Period) -> None:
        """Add what a project used, in memory bounded by what differs in price; known projects are kept."""
        if project in self.payers:
            return
        self.turns[project] = store.turn(project)  # before anything else is read
        payers = self.payers[project] = {}
        for txn, records in paid_in(store, project, period):
            count_payers(payers, txn)
            if txn.cause.startswith((COMMITTED, TIERED)):
                continue
            for each in records:
                group = Group(project, each.site, each.sku, each.unit, each.price_micro, each.per)
                self.uses[group] = self.uses.get(group, 0) + each.quantity

    def payers_now(self, store: Store, project: ProjectId, period: Period) -> dict[str, dict[str, int]]:
        """Return who paid for a project's use, by site; read anew if something was given back since."""
        turn = store.turn(project)
        if turn != self.turns.get(project):
            payers = self.payers[project] = {}
            self.turns[project] = turn
            for txn, _ in paid_in(store, project, period):
                count_payers(payers, txn)
        return self.payers[project]

    def note(self, project: ProjectId, done: Posting) -> None:
        """Count what was just booked: the next one shares out what is left."""
        for txn in done.txns:
            count_payers(self.payers[project], txn)
        self.turns[project] = replace(self.turns[project], number=self.turns[project].number + 1)


def commitments(store: Store) -> tuple[Commitment, ...]:
    """Return all commitments, those of projects first: they draw before their institution's."""
    found = [read(Commitment, row) for row in every(store, COMMITMENT, "", COMMITMENTS_MAX)]
    return tuple(sorted(found, key=lambda each: (each.scope is Scope.INSTITUTION, each.id)))


def projects_of(store: Store, commitment: Commitment) -> Iterator[ProjectId]:
    """Yield the projects whose use draws on a commitment."""
    if commitment.scope is Scope.PROJECT:
        yield ProjectId(commitment.name)
        return
    for project in projects_of_institution(store, commitment.name):
        yield ProjectId(project.id)


def reckon(store: Store, period: Period, now_ms: int, zone: str) -> int:
    """Book what commitments and tiers change in a period; return how many bookings were news.

    A repeat books what came since. Months before it in which nothing was ever booked owe what a commitment
    left unused in them, too.
    """
    known, booked = commitments(store), 0
    for month in _silent(store, known, period, zone):
        booked += _commit(store, known, month, now_ms, Month())
    read_so_far = Month()
    booked += _commit(store, known, period, now_ms, read_so_far)
    return booked + _tiers(store, period, now_ms, read_so_far)


def _silent(store: Store, known: Iterable[Commitment], period: Period, zone: str) -> list[Period]:
    """Return the months of commitments before a period that no period covers, the first one first."""
    there = store.periods()
    first = min((each.from_month for each in known), default=period.id[:7])
    found: list[Period] = []
    at_ms = period.from_ms - 1
    for _ in range(max(0, month_number(period.id[:7]) - month_number(first))):
        month = month_of(at_ms, zone)
        if not any(each.from_ms < month.until_ms and month.from_ms < each.until_ms for each in there):
            found.append(month)
        at_ms = month.from_ms - 1
    return found[::-1]


def _commit(
    store: Store, known: Iterable[Commitment], period: Period, now_ms: int, read_so_far: Month
) -> int:
    """Book what commitments change in a period, and leave in `read_so_far` the use that none covers."""
    booked = 0
    for each in known:
        if not each.binds(period.id):
            continue
        mine = set(projects_of(store, each))
        for project in sorted(mine):
            read_so_far.add(store, project, period)
        uses = {group: had for group, had in read_so_far.uses.items() if group.project in mine}
        moves, left = commit(each, period.id, uses)
        read_so_far.uses.update(left)
        name, may_have = f"{COMMITTED}{each.id}:{period.id}:", mine | {ProjectId(each.pays)}
        booked += _book(store, name, may_have, moves, period, now_ms, read_so_far)
    return booked


def _tiers(store: Store, period: Period, now_ms: int, read_so_far: Month) -> int:
    """Book what tiers change in a period, project by project."""
    lines = [read(Timeline, row) for row in every(store, PRICE, "", TIMELINES_MAX)]
    tiered = [line for line in lines if line.sku != "storage" and any(_held(line, period))]
    if not tiered:
        return 0
    booked, after = 0, ""
    while page := store.records("project", "", after, _PROJECTS_AT_ONCE):
        for row in page:
            project = ProjectId(read(Project, row).id)
            prices = list(_prices_of(store, project, tiered, period))
            if not prices:
                continue
            known = project in read_so_far.payers
            month = read_so_far if known else Month()
            month.add(store, project, period)
            moves = tier(project, prices, period.id, month.uses)
            for _, price in prices:
                name = f"{TIERED}{price.id}:{period.id}:{project}:"
                mine = {each: amount for each, amount in moves.items() if each.subject.startswith(name)}
                booked += _book(store, name, {project}, mine, period, now_ms, month)
        after = page[-1].id
    return booked


def _held(line: Timeline, period: Period) -> Iterator[Price]:
    """Yield the prices with tiers that were in force in a period."""
    for price in line.prices:
        if price.tiers and price.from_ms < period.until_ms and period.from_ms < price.upto_ms:
            yield price


def _prices_of(
    store: Store, project: ProjectId, tiered: list[Timeline], period: Period
) -> Iterator[tuple[str, Price]]:
    """Yield the prices with tiers that a project pays by: the nearest book, the most specific sku first."""
    tenant = tenant_of(store, project, period.from_ms)
    for book in books_for(books(store).books, tenant):
        mine = [line for line in tiered if line.book == book.id]
        for line in sorted(mine, key=lambda each: (-len(each.sku), each.sku)):
            for price in _held(line, period):
                yield line.sku, price


def _book(
    store: Store,
    prefix: str,
    projects: Iterable[ProjectId],
    moves: Moves,
    period: Period,
    now_ms: int,
    month: Month,
) -> int:
    """Bring each subject to what it is to be; those that were booked before and moved away, to nothing."""
    wanted: dict[str, Rerating] = {}
    lines: dict[str, dict[Group, int]] = {}
    for each, quantity in moves.items():
        project = ProjectId(each.group.project)
        lines.setdefault(each.subject, {})[each.group] = quantity
        wanted[each.subject] = Rerating(each.subject, project, each.group.site, lines[each.subject])
    for project in sorted(projects):
        for subject, site in _subjects(store, project, prefix, period):
            wanted.setdefault(subject, Rerating(subject, project, site))
    return sum(_post(store, each, period, now_ms, month) for each in wanted.values())


def _subjects(store: Store, project: ProjectId, prefix: str, period: Period) -> Iterator[tuple[str, str]]:
    """Yield the subjects that were booked under a name in a period, and the site of each."""
    after = prefix
    while txns := store.booked(project, period.id, after, _PROJECTS_AT_ONCE):
        for txn in txns:
            if not txn.id.startswith(prefix):
                return
            yield txn.cause, txn.site
        after = txns[-1].id


def _post(store: Store, wanted: Rerating, period: Period, now_ms: int, month: Month) -> bool:
    def make() -> Posting:
        before = read_all(lambda after, limit: store.usage(wanted.project, wanted.subject, after, limit))
        payers = month.payers_now(store, wanted.project, period)
        # What was unused ran nowhere: who paid for it gets it back.
        paid: Mapping[str, int] = payers.get(wanted.site, {}) if wanted.site else _paid(store, wanted)
        span = (period.from_ms, period.until_ms)
        return rerate(wanted, before, paid, store.lots(wanted.project), span, now_ms)

    done = book_back(store, wanted.project, make, "use of a period at another price")
    if done is not None:
        month.note(wanted.project, done)
        log.info("rerated", subject=wanted.subject, project=wanted.project, period=period.id)
    return done is not None


def _paid(store: Store, wanted: Rerating) -> dict[str, int]:
    txns = read_all(lambda after, limit: store.txns(wanted.project, wanted.subject, after, limit))
    sums: dict[str, int] = {}
    for leg in (leg for txn in txns for leg in txn.entries):
        sums[leg.account] = sums.get(leg.account, 0) - leg.amount_micro
    return {account: part for account, part in sums.items() if part > 0 and account != REVENUE}

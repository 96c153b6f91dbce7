"""Statements from the book: a period of a project as its charges, and the statement that they add up to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice

from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.registry import Institution, Project
from hutong.core.book.money import OVERRUN, Txn, UsageRecord
from hutong.core.book.periods import Period
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, NotFound
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.charges import Category, Charge, by_account, charges_of
from hutong.core.ledger.focus import Payer, Row, focus_rows
from hutong.core.ledger.prices import ListPrices
from hutong.core.ledger.statements import Statement, StatementDraft, balances_after
from hutong.server.registry import document, every, read

KIND = "statement"
PROJECTS_MOST = 10_000
NOBODYS = ""
"""The project of transactions that belong to none: settlements with centres."""
_PAGE = 500
_STATEMENTS_AT_ONCE = 50


def find_period(store: Store, name: str) -> Period:
    """Return a period by its name; raises NotFound where nothing was ever booked in one."""
    period = next((each for each in store.periods() if each.id == name), None)
    if period is None:
        raise NotFound("not_found", f"nothing was booked in a period {name!r}")
    return period


def booked_in(
    store: Store, project: ProjectId, period: Period
) -> Iterator[tuple[Txn, tuple[UsageRecord, ...]]]:
    """Yield the transactions of a project that were booked in a period, each with its records of use."""
    for txns in _pages(store, project, period):
        records = store.records_of(txns)
        for txn in txns:
            yield txn, records.get(txn.id, ())


def _pages(store: Store, project: ProjectId, period: Period) -> Iterator[tuple[Txn, ...]]:
    after, more = "", True
    while more:
        txns = store.booked(project, period.id, after, _PAGE)
        more = len(txns) == _PAGE
        if txns:
            yield txns
            after = txns[-1].id


def charges_in(store: Store, project: ProjectId, period: Period) -> Iterator[Charge]:
    """Yield the charges of a project in a period, use that costs nothing too, in constant memory."""
    lots = by_account(store.lots(project))
    for txn, records in booked_in(store, project, period):
        yield from charges_of(txn, records, lots, period.from_ms)
    yield from _unpriced(store, project, period)


def _unpriced(store: Store, project: ProjectId, period: Period) -> Iterator[Charge]:
    after, more = (0, ""), True
    while more:
        records = store.unpriced(project, (period.from_ms, period.until_ms), after, _PAGE)
        more = len(records) == _PAGE
        for record in records:
            yield Charge(
                id=record.id, project=project, category=Category.USAGE, cause=record.key,
                from_ms=record.from_ms, upto_ms=record.upto_ms, billed_micro=0, effective_micro=0,
                record=record, kind="usage",
            )  # fmt: skip
        if more:
            after = (records[-1].upto_ms, records[-1].id)


def statement_of(store: Store, project: ProjectId, period: Period) -> Statement:
    """Return the statement of a project and period; that of a closed period is written down once."""
    return next(statements_of(store, [project], period))


def statements_of(store: Store, projects: Iterable[ProjectId], period: Period) -> Iterator[Statement]:
    """Yield the statements of projects in a period; those of a closed one are written down, some at once."""
    left = iter(projects)
    earlier = tuple(each for each in store.periods() if each.from_ms < period.from_ms)
    while some := tuple(islice(left, _STATEMENTS_AT_ONCE)):
        made: dict[str, Statement] = {}
        found: list[Statement] = []
        for project in some:
            kept = store.get(KIND, _name(project, period))
            if kept is None:
                found.append(_make(store, project, period, earlier))
                made[_name(project, period)] = found[-1]
            else:
                found.append(read(Statement, kept))
        if period.closed and made:
            _keep(store, made)
        yield from found


def _name(project: str, period: Period) -> str:
    return f"{project}/{period.id}"


def _keep(store: Store, made: Mapping[str, Statement]) -> None:
    """Write statements down; where somebody else was faster, with the same ones, theirs stay."""
    records = [Record(KIND, name, document(each), parent=each.project) for name, each in made.items()]
    try:
        store.put_all([(record, 0) for record in records])
    except Conflict:
        for record in records:
            with suppress(Conflict):
                store.put(record, expect=0)


def _make(store: Store, project: ProjectId, period: Period, earlier: Sequence[Period]) -> Statement:
    lots = by_account(store.lots(project))
    draft = StatementDraft(project, period.from_ms, period.until_ms)
    for txn, records in booked_in(store, project, period):
        draft.add_txn(txn)
        for charge in charges_of(txn, records, lots, period.from_ms):
            draft.add_charge(charge)
    for charge in _unpriced(store, project, period):
        draft.add_charge(charge)
    return draft.finish(_opening(store, project, earlier))


def _opening(store: Store, project: ProjectId, earlier: Sequence[Period]) -> dict[str, int]:
    """Return the balances with which a period begins: the last kept statement, and what followed."""
    balances: dict[str, int] = {}
    since = [""]  # what was booked before there were periods
    for each in reversed(earlier):
        kept = store.get(KIND, _name(project, each))
        if kept is not None:
            balances = balances_after(read(Statement, kept))
            since.remove("")
            break
        since.append(each.id)
    if since:
        for account, amount in store.moved(project, since).items():
            if account.startswith(("lot:", OVERRUN)):
                balances[account] = balances.get(account, 0) + amount
    return {account: amount for account, amount in balances.items() if amount}


def projects_of_institution(store: Store, institution: str) -> Iterator[Project]:
    """Yield the projects of an institution, in order of their ids."""
    for record in every(store, "project", institution, PROJECTS_MOST):
        yield read(Project, record)


def focus_of(
    store: Store,
    project: Project,
    institution: Institution,
    issuer: str,
    period: Period,
    regions: Mapping[str, str],
    listed: ListPrices | None = None,
) -> Iterator[Row]:
    """Return the FOCUS rows of a project in a period, in constant memory."""
    payer = Payer(
        institution=institution.id,
        name_en=institution.name_en,
        name_zh=institution.name_zh,
        kind=kind_at(institution, period.from_ms).value,
        project=project.id,
        project_title=project.title,
        issuer=issuer,
        from_ms=period.from_ms,
        upto_ms=period.until_ms,
        regions=regions,
        listed=listed or ListPrices(),
    )
    return focus_rows(charges_in(store, ProjectId(project.id), period), payer)


def journal_of(store: Store, projects: Iterable[str], period: Period) -> Iterator[Txn]:
    """Yield every transaction that was booked in a period, project by project."""
    for project in projects:
        yield from chain.from_iterable(_pages(store, ProjectId(project), period))

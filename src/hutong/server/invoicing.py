"""Invoices of closed periods: one for each institution, under numbers without gaps."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hutong.adapters.store.months import month_of
from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.registry import Institution
from hutong.core.book.periods import Period
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Later
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.invoices import Invoice, centres_of, credit_note, invoice_number, lines_of
from hutong.server.registry import document, load, read
from hutong.server.statements import projects_of_institution, statements_of

KIND = "invoice"
SPLIT = "cost_centres"
_COUNTER = "invoice_counter"
_CREDITED = "invoice_credited"
_TRIES = 50
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Counter:
    """How many numbers of a year were given."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Credited:
    """What credit notes took of an invoice so far, fen by project."""

    fen: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CostCentreSplit:
    """How the amounts of a project are split, in ppm."""

    parts: tuple[tuple[str, int], ...] = ()


def issue_all(store: Store, period: Period, zone: str, now_ms: int) -> tuple[int, int]:
    """Make the invoices of a closed period that are missing; return how many were made and were there.

    Raises Conflict (`period_open`) while something may still be booked in it. A repeat goes on where it was
    broken off.
    """
    if not period.closed:
        raise Conflict("period_open", f"period {period.id} is not closed: its amounts may still change")
    made = there = 0
    for institution in _institutions(store):
        if store.find(KIND, _lookup(period, institution.id)) is not None:
            there += 1
        elif _issue(store, period, institution, zone, now_ms):
            made += 1
    return made, there


def _institutions(store: Store) -> Iterator[Institution]:
    after = ""
    while page := store.records("institution", "", after, _PAGE):
        for record in page:
            yield read(Institution, record)
        after = page[-1].id


def _lookup(period: Period, institution: str) -> str:
    return f"{period.id}/{institution}"


def _issue(store: Store, period: Period, institution: Institution, zone: str, now_ms: int) -> bool:
    projects = [ProjectId(project.id) for project in projects_of_institution(store, institution.id)]
    lines = lines_of(list(statements_of(store, projects, period)))
    if not lines:
        return False
    invoice = Invoice(
        number="",
        institution=institution.id,
        kind=kind_at(institution, period.from_ms).value,
        period=period.id,
        from_ms=period.from_ms,
        upto_ms=period.until_ms,
        issued_ms=now_ms,
        lines=lines,
        centres=centres_of(lines, _splits(store, {line.project for line in lines})),
    )
    return _number(store, invoice, zone, _lookup(period, institution.id)) is not None


def _splits(store: Store, projects: Iterable[str]) -> dict[str, tuple[tuple[str, int], ...]]:
    found = {project: store.get(SPLIT, project) for project in projects}
    return {project: read(CostCentreSplit, split).parts for project, split in found.items() if split}


def _number(
    store: Store, draft: Invoice, zone: str, lookup: str, beside: tuple[Record, int] | None = None
) -> Invoice | None:
    """Write an invoice under the next number of its year, with the counter in one transaction.

    None where somebody else has written it. `beside` is a document that is written with it, and its version.
    """
    year = month_of(draft.issued_ms, zone).id[:4]
    for _ in range(_TRIES):
        counter = store.get(_COUNTER, year)
        count = (read(Counter, counter).count if counter else 0) + 1
        invoice = replace(draft, number=invoice_number(int(year), count))
        writes: list[tuple[Record, int | None]] = [
            (Record(_COUNTER, year, document(Counter(count))), counter.version if counter else 0),
            (Record(KIND, invoice.number, document(invoice), draft.institution, lookup), 0),
        ]
        if beside is not None:
            writes.append(beside)
        try:
            store.put_all(writes)
        except Conflict:
            if store.find(KIND, lookup) is not None:
                return None
            if beside is not None and _version(store, beside[0]) != beside[1]:
                raise  # the caller looks again at what it was about to write
            continue
        return invoice
    raise Later("many invoices are made at once", 1)


def _version(store: Store, record: Record) -> int:
    there = store.get(record.kind, record.id)
    return there.version if there else 0


def credit(
    store: Store, number: str, project: str, amount_fen: int, reason: str, key: str, zone: str, now_ms: int
) -> Invoice:
    """Write a credit note on an invoice; the same `key` again returns the one that was written."""
    lookup = f"credit/{number}/{key}"
    for _ in range(_TRIES):
        there = store.find(KIND, lookup)
        if there is not None:
            return read(Invoice, there)
        invoice = load(store, KIND, number, Invoice)
        if invoice.credits:
            raise Conflict("credit_note", f"{number} is a credit note itself")
        record = store.get(_CREDITED, number)
        taken = dict(read(Credited, record).fen) if record else {}
        note = credit_note(invoice, "", project, amount_fen, taken.get(project, 0), reason, now_ms)
        after = Credited(tuple(sorted({**taken, project: taken.get(project, 0) + amount_fen}.items())))
        beside = (Record(_CREDITED, number, document(after)), record.version if record else 0)
        try:
            written = _number(store, note, zone, lookup, beside)
        except Conflict:
            continue
        if written is not None:
            return written
    raise Later("others credit this invoice at the same time", 1)


def put_split(store: Store, project: str, parts: Sequence[tuple[str, int]]) -> None:
    """Set how the amounts of a project are split on later invoices, in ppm; none takes the split away."""
    store.put(Record(SPLIT, project, document(CostCentreSplit(tuple(parts))), parent=project))

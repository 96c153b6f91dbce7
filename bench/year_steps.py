"""What a year's end does with the book, step by step, as the server does it; and the same by bare SQL."""

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg
from bench.city_year import AFTER_MS, ZONE, City

from hutong.adapters.store.faults import stray_fault
from hutong.adapters.store.open import open_store
from hutong.core.book.money import ISSUED, LotKind
from hutong.core.book.periods import Period, PeriodState
from hutong.core.book.store import Record, Store
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.money import MICRO
from hutong.core.ledger.invoices import Invoice, invoice_number
from hutong.core.ledger.statements import FEN_MICRO, Statement
from hutong.server.exports import every_project, focus_csv, journal
from hutong.server.invoicing import KIND as INVOICE
from hutong.server.invoicing import issue_all
from hutong.server.registry import read
from hutong.server.settlements import settle_closed
from hutong.server.statements import KIND as STATEMENT
from hutong.server.statements import find_period, projects_of_institution, statements_of


@dataclass(frozen=True, slots=True)
class Book:
    """The store that is worked on, its months, and the folder for files."""

    url: str
    months: tuple[str, ...]
    folder: Path


def book_of(url: str, city: City, folder: Path) -> Book:
    """Return the book of a city's year."""
    return Book(url, tuple(month.id for month in city.months), folder)


def close(book: Book, store: Store) -> int:
    """Close each month for good and settle with the centres; return how many settlements were booked."""
    settled = 0
    for name in book.months:
        for state in (PeriodState.CLOSING, PeriodState.CLOSED):
            store.move_period(name, state, AFTER_MS, "bench")
        settled += settle_closed(store, find_period(store, name))
    return settled


def make_statements(book: Book, store: Store) -> int:
    """Make the statement of every project and month; return how many."""
    made = 0
    for period in _periods(book, store):
        projects = (ProjectId(project.id) for project in every_project(store))
        made += sum(1 for _ in statements_of(store, projects, period))
    return made


def make_invoices(book: Book, store: Store) -> int:
    """Make the invoices of every institution and month; return how many."""
    return sum(issue_all(store, period, ZONE, AFTER_MS)[0] for period in _periods(book, store))


def export_focus(book: Book, store: Store) -> int:
    """Write everybody's charges of each month as FOCUS rows; return how many bytes."""
    for period in _periods(book, store):
        pieces = focus_csv(store, every_project(store), period)
        _write(book.folder / f"focus-{period.id}.csv", pieces)
    return sum(path.stat().st_size for path in book.folder.glob("focus-*.csv"))


def export_journal(book: Book, store: Store) -> int:
    """Write each month's journal for Beancount; return how many bytes."""
    for period in _periods(book, store):
        _write(book.folder / f"journal-{period.id}.beancount", journal(store, period))
    return sum(path.stat().st_size for path in book.folder.glob("journal-*.beancount"))


def check_book(book: Book, store: Store) -> int:
    """Check the ledger itself; return how many records of use it has. Raises AssertionError.

    The made year has charges and no jobs: the check has to find each of its card records, and nothing else.
    """
    found = store.check_ledger()
    (cards,) = _one(book, "SELECT count(*) FROM usage WHERE unit = 'card_ms'")
    assert found.faults == (stray_fault(int(cards)),), found.faults
    return found.usage


STEPS: dict[str, Callable[[Book, Store], int]] = {
    "close": close,
    "statements": make_statements,
    "invoices": make_invoices,
    "focus": export_focus,
    "journal": export_journal,
    "check_ledger": check_book,
}


def check_sums(book: Book, store: Store) -> int:
    """Compare statements, invoices and files with plain SQL over the ledger; return how many invoices agree.

    Raises AssertionError where anything differs by a micro-yuan, a number or a row.
    """
    used = billed = invoices = 0
    for period in _periods(book, store):
        by_institution: dict[str, int] = {}
        for project in every_project(store):
            kept = store.get(STATEMENT, f"{project.id}/{period.id}")
            assert kept is not None, (project.id, period.id)
            statement = read(Statement, kept)
            used, billed = used + statement.used_micro, billed + statement.billed_micro
            sums = by_institution.get(project.institution, 0)
            by_institution[project.institution] = sums + statement.billed_micro
            if period.id == book.months[-1]:
                _check_closing(store, statement)
        invoices += _check_invoices(store, period, by_institution)
    numbers = [record.id for record in _every_invoice(store)]
    year = int(book.months[-1][:4]) + 1  # in which they were written
    assert numbers == [invoice_number(year, n + 1) for n in range(invoices)]
    assert (used, billed) == _by_sql(book), (used, billed, _by_sql(book))
    assert (used, billed) == _in_files(book), (used, billed, _in_files(book))
    (txns,) = _one(book, f"SELECT count(*) FROM txns WHERE period IN ({_names(book)})")
    told = sum(path.read_text().count('\n  id: "') for path in book.folder.glob("journal-*.beancount"))
    assert told == txns, (told, txns)
    return invoices


def _check_closing(store: Store, statement: Statement) -> None:
    closing_micro = {line.account.removeprefix("lot:"): line.closing_micro for line in statement.lots}
    for lot in store.lots(ProjectId(statement.project)):
        assert closing_micro.get(lot.id, 0) == lot.posted_micro, lot
    (owed,) = store.balances([f"overrun:{statement.project}"])
    assert statement.owed_closing_micro == -owed.amount_micro, statement.project


def _check_invoices(store: Store, period: Period, billed: dict[str, int]) -> int:
    found = 0
    for institution, amount in billed.items():
        record = store.find(INVOICE, f"{period.id}/{institution}")
        if record is not None:
            found += 1
            asked = read(Invoice, record).total_fen
            assert asked == (amount + FEN_MICRO // 2) // FEN_MICRO, (institution, period.id)
            assert list(projects_of_institution(store, institution))
    return found


def _every_invoice(store: Store) -> Iterator[Record]:
    after = ""
    while page := store.records(INVOICE, "", after, 500):
        yield from page
        after = page[-1].id


def _by_sql(book: Book) -> tuple[int, int]:
    """Return what was used and what was billed, by plain sums over the entries."""
    inside = f"JOIN entries e ON e.txn = t.id WHERE t.period IN ({_names(book)})"
    kinds = "t.kind IN ('usage', 'tokens', 'reversal')"
    (used,) = _one(book, f"SELECT sum(amount_micro) FROM txns t {inside} AND {kinds} AND account = 'revenue'")
    (owed,) = _one(book, f"SELECT -sum(amount_micro) FROM txns t {inside} AND account LIKE 'overrun:%'")
    paid = f"AND t.kind = '{LotKind.TOPUP.value}' AND account = '{ISSUED}'"
    (advance,) = _one(book, f"SELECT -sum(amount_micro) FROM txns t {inside} {paid}")
    return int(used or 0), int(owed or 0) + int(advance or 0)


def _in_files(book: Book) -> tuple[int, int]:
    used = billed = 0
    for name in book.months:
        with (book.folder / f"focus-{name}.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                billed += int(Decimal(row["BilledCost"]) * MICRO)
                if row["ChargeCategory"] == "Usage":
                    used += int(Decimal(row["EffectiveCost"]) * MICRO)
    return used, billed


def _names(book: Book) -> str:
    return ", ".join(f"'{name}'" for name in book.months)


def _periods(book: Book, store: Store) -> list[Period]:
    return [find_period(store, name) for name in book.months]


def _write(path: Path, pieces: Iterator[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        out.writelines(pieces)


def bare(book: Book, query: str) -> Iterator[Sequence[object]]:
    """Yield the rows of a query by the bare driver."""
    if book.url.startswith("sqlite:"):
        with closing(sqlite3.connect(book.url.removeprefix("sqlite:///"))) as base:
            yield from base.execute(query)
        return
    with psycopg.connect(book.url) as server, psycopg.ServerCursor(server, "bare") as cursor:
        cursor.itersize = 1000
        yield from cursor.execute(query.encode())


def _one(book: Book, query: str) -> Sequence[int]:
    (row,) = bare(book, query)
    return [int(str(each or 0)) for each in row]


_LINES = """SELECT t.id, t.kind, t.project, t.effective_ms, t.cause, t.period, t.site, e.account, e.amount_micro
  FROM txns t JOIN entries e ON e.txn = t.id WHERE t.period = '{}' ORDER BY t.project, t.id, e.n"""
_USE = "SELECT * FROM usage WHERE upto_ms >= {} AND upto_ms < {} ORDER BY project, id"
_SUMS = (
    "SELECT t.period, t.project, e.account, sum(e.amount_micro) FROM txns t JOIN entries e ON e.txn = t.id"
    " GROUP BY 1, 2, 3",
    "SELECT t.period, u.project, u.site, u.sku, u.unit, u.price_micro, sum(u.quantity), sum(u.charge_micro)"
    " FROM usage u LEFT JOIN txns t ON t.id = u.id GROUP BY 1, 2, 3, 4, 5, 6",
)


def bare_sums(book: Book, _: Store) -> int:
    """Add up the same by two GROUP BY, which is what statements are without opening balances and checks."""
    return sum(len(json.dumps(row)) for query in _SUMS for row in map(_plain, bare(book, query)))


def bare_focus(book: Book, store: Store) -> int:
    """Write the rows of use and the legs of transactions as CSV, as they stand in the tables."""
    for period in _periods(book, store):
        with (book.folder / "bare.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerows(bare(book, _USE.format(period.from_ms, period.until_ms)))
            writer.writerows(bare(book, _LINES.format(period.id)))
    return 0


def bare_journal(book: Book, store: Store) -> int:
    """Write the legs of transactions as CSV, as they stand in the tables."""
    for period in _periods(book, store):
        with (book.folder / "bare.csv").open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows(bare(book, _LINES.format(period.id)))
    return 0


def _plain(row: Sequence[object]) -> list[str]:
    return [str(each) for each in row]


BASELINES: dict[str, tuple[str, Callable[[Book, Store], int]]] = {
    "statements": ("two GROUP BY in plain SQL", bare_sums),
    "focus": ("rows of use and legs as CSV by the bare driver", bare_focus),
    "journal": ("legs as CSV by the bare driver", bare_journal),
}


def run(book: Book, work: Callable[[Book, Store], int]) -> int:
    """Run a step on the store."""
    store = open_store(book.url, ZONE)
    try:
        return work(book, store)
    finally:
        store.close()

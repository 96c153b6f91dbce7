"""What was charged and booked in a period as files, piece by piece: FOCUS rows as CSV, and the journal."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain

from hutong.core.accounts.registry import Institution, Project
from hutong.core.book.periods import Period
from hutong.core.book.store import Store
from hutong.core.capacity.sites import Site
from hutong.core.ledger.beancount import beancount
from hutong.core.ledger.focus import COLUMNS, Row, in_columns
from hutong.core.ledger.prices import ListPrices
from hutong.server.people import FIRST_INSTITUTION
from hutong.server.prices import listed_in
from hutong.server.registry import every, load, read
from hutong.server.statements import NOBODYS, focus_of, journal_of

SITES_MOST = 1000
_PROJECTS_AT_ONCE = 200
_ROWS_AT_ONCE = 500


def every_project(store: Store) -> Iterator[Project]:
    """Yield all projects, in order of their ids."""
    after = ""
    while page := store.records("project", "", after, _PROJECTS_AT_ONCE):
        for record in page:
            yield read(Project, record)
        after = page[-1].id


def focus_csv(store: Store, projects: Iterable[Project], period: Period) -> Iterator[str]:
    """Yield the charges of projects in a period as FOCUS 1.2 rows in CSV, in constant memory."""
    regions = {row.id: read(Site, row).name_en for row in every(store, "site", "", SITES_MOST)}
    issuer = load(store, "institution", FIRST_INSTITUTION, Institution).name_en
    return _csv(_rows(store, projects, period, issuer, regions, listed_in(store)))


def journal(store: Store, period: Period) -> Iterator[str]:
    """Yield every transaction that was booked in a period as a Beancount journal, in constant memory."""
    names = chain([NOBODYS], (project.id for project in every_project(store)))
    return beancount(journal_of(store, names, period))


def _rows(
    store: Store,
    projects: Iterable[Project],
    period: Period,
    issuer: str,
    regions: dict[str, str],
    listed: ListPrices,
) -> Iterator[Row]:
    known: dict[str, Institution] = {}
    for project in projects:
        if project.institution not in known:
            known[project.institution] = load(store, "institution", project.institution, Institution)
        yield from focus_of(store, project, known[project.institution], issuer, period, regions, listed)


def _csv(rows: Iterator[Row]) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for count, row in enumerate(rows, 1):
        writer.writerow(in_columns(row))
        if count % _ROWS_AT_ONCE == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()

"""Calls about reports, and what is published of them."""

from collections.abc import Sequence

from hutong.clients.sdk.call import Call, Listing, document, path_of, post, query_of, raw, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import reports as w
from hutong.wire.base import Page


def read_report(kind: str, *, start: str = "", end: str = "", by: Sequence[str] = ()) -> Call[w.Report]:
    """Return a report of days `[start, end)`, by default of this month so far."""
    return Call("GET", path_of("reports", kind), shape(w.Report), _span(start, end, by))


def report_paper(
    kind: str, form: str, *, start: str = "", end: str = "", by: Sequence[str] = ()
) -> Call[bytes]:
    """Return a report as `html`, `csv`, `xlsx` or `pdf`."""
    query = (*_span(start, end, by), *query_of(form=form))
    return Call("GET", path_of("reports", kind, "paper"), raw, query)


def _span(start: str, end: str, by: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return (*query_of(**{"from": start, "to": end}), *(("by", each) for each in by))


def publish(kind: str, wish: w.NewPublication) -> Call[w.Publication]:
    """Freeze and sign a report."""
    path = path_of("reports", kind, "publications")
    return Call("POST", path, shape(w.Publication), body=document(wish), keyed=True)


def list_published(*, limit: int | None = None) -> Listing[w.Edition]:
    """List what is published, in order of the numbers."""
    return Listing(path_of("published-reports"), shape(Page[w.Edition]), query_of(), most=limit)


def read_published(number: str) -> Call[w.Publication]:
    """Return a published report with its signature."""
    return Call("GET", path_of("published-reports", number), shape(w.Publication))


def published_paper(number: str, form: str) -> Call[bytes]:
    """Return a published report as `html`, `csv`, `xlsx` or `pdf`."""
    return Call("GET", path_of("published-reports", number, "paper"), raw, query_of(form=form))


def read_key() -> Call[w.ReportsKey]:
    """Return the key that signs reports."""
    return Call("GET", path_of("reports-key"), shape(w.ReportsKey))


def rebuild() -> Call[w.RolledUp]:
    """Make the sums of reports anew."""
    return post(path_of("ledger", "rollups", "rebuild"), shape(w.RolledUp))


class ReportVerbs:
    """Reports: make, publish, list, fetch."""

    get = Verb(read_report)
    publish = Verb(publish)
    published = ListVerb(list_published)
    read = Verb(read_published)
    key = Verb(read_key)
    rebuild = Verb(rebuild)


class Reports(ReportVerbs, Group):
    """Reports, and what is published of them."""


class AsyncReports(ReportVerbs, AsyncGroup):
    """Reports, and what is published of them."""

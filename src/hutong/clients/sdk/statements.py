"""Calls about statements, exports, invoices and disputes."""

from hutong.clients.sdk.call import Call, Listing, document, path_of, post, query_of, raw, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import statements as w
from hutong.wire.base import Page


def read_statement(project: str, period: str) -> Call[w.Statement]:
    """Return the statement of a project and a period such as `2026-11`."""
    return Call("GET", path_of("projects", project, "statements", period), shape(w.Statement))


def statement_paper(project: str, period: str, form: str) -> Call[bytes]:
    """Return a statement as `pdf` or `xlsx`."""
    path = path_of("projects", project, "statements", period, "paper")
    return Call("GET", path, raw, query_of(form=form))


def focus(period: str, *, project: str = "", institution: str = "") -> Call[bytes]:
    """Return charges as FOCUS 1.2 rows in CSV: a project's, an institution's, or everybody's."""
    if project:
        return Call("GET", path_of("projects", project, "focus", period), raw)
    if institution:
        return Call("GET", path_of("institutions", institution, "focus", period), raw)
    return Call("GET", path_of("ledger", "focus", period), raw)


def journal(period: str) -> Call[bytes]:
    """Return what was booked in a period as a Beancount journal."""
    return Call("GET", path_of("ledger", "journal", period), raw)


def read_cost_centres(project: str) -> Call[w.CostCentres]:
    """Return how a project's amounts are split."""
    return Call("GET", path_of("projects", project, "cost-centres"), shape(w.CostCentres))


def set_cost_centres(project: str, centres: w.CostCentres) -> Call[w.CostCentres]:
    """Say how a project's amounts are split on later invoices."""
    path = path_of("projects", project, "cost-centres")
    return Call("PUT", path, shape(w.CostCentres), body=document(centres))


def issue_invoices(period: str) -> Call[w.Issued]:
    """Make the invoices of a closed period that are missing."""
    return post(path_of("ledger", "periods", period, "invoices"), shape(w.Issued))


def list_invoices(*, institution: str | None = None, limit: int | None = None) -> Listing[w.Invoice]:
    """List invoices in order of their numbers."""
    return Listing(path_of("invoices"), shape(Page[w.Invoice]), query_of(institution=institution), most=limit)


def read_invoice(number: str) -> Call[w.Invoice]:
    """Return one invoice."""
    return Call("GET", path_of("invoices", number), shape(w.Invoice))


def invoice_paper(number: str, form: str) -> Call[bytes]:
    """Return an invoice as `pdf` or `xlsx`."""
    return Call("GET", path_of("invoices", number, "paper"), raw, query_of(form=form))


def pay_invoice(number: str, payment: w.NewPayment) -> Call[w.Invoice]:
    """Note that an invoice was paid."""
    return post(path_of("invoices", number, "payment"), shape(w.Invoice), payment)


def tax_invoice(number: str, reference: w.NewTaxReference) -> Call[w.Invoice]:
    """Note the number of the tax authority's own invoice."""
    return post(path_of("invoices", number, "tax"), shape(w.Invoice), reference)


def credit_invoice(number: str, note: w.NewCreditNote) -> Call[w.Invoice]:
    """Write a credit note over a part of an invoice."""
    return post(path_of("invoices", number, "credit-notes"), shape(w.Invoice), note)


def open_dispute(job: str, dispute: w.NewDispute) -> Call[w.Dispute]:
    """Say that what a job was charged is wrong."""
    return post(path_of("jobs", job, "disputes"), shape(w.Dispute), dispute)


def list_disputes(project: str = "", *, limit: int | None = None) -> Listing[w.Dispute]:
    """List the disputes of a project, or the open ones that the caller may decide."""
    path = path_of("projects", project, "disputes") if project else path_of("disputes")
    return Listing(path, shape(Page[w.Dispute]), most=limit)


def read_dispute(dispute: str) -> Call[w.Dispute]:
    """Return a dispute with all that was written."""
    return Call("GET", path_of("disputes", dispute), shape(w.Dispute))


def write_message(dispute: str, message: w.NewDisputeMessage) -> Call[w.Dispute]:
    """Write in an open dispute."""
    return post(path_of("disputes", dispute, "messages"), shape(w.Dispute), message)


def withdraw_dispute(dispute: str) -> Call[w.Dispute]:
    """Take a dispute back."""
    return post(path_of("disputes", dispute, "withdrawal"), shape(w.Dispute))


def decide_dispute(dispute: str, decision: w.NewDisputeDecision) -> Call[w.Dispute]:
    """Decide a dispute."""
    return post(path_of("disputes", dispute, "decision"), shape(w.Dispute), decision)


class StatementVerbs:
    """What a project had, was given, used and owes in a period."""

    get = Verb(read_statement)
    cost_centres = Verb(read_cost_centres)
    set_cost_centres = Verb(set_cost_centres)


class InvoiceVerbs:
    """Invoices and credit notes."""

    issue = Verb(issue_invoices)
    list = ListVerb(list_invoices)
    get = Verb(read_invoice)
    pay = Verb(pay_invoice)
    tax = Verb(tax_invoice)
    credit = Verb(credit_invoice)


class DisputeVerbs:
    """Disputes of charges."""

    open = Verb(open_dispute)
    list = ListVerb(list_disputes)
    get = Verb(read_dispute)
    write = Verb(write_message)
    withdraw = Verb(withdraw_dispute)
    decide = Verb(decide_dispute)


class Statements(StatementVerbs, Group):
    """What a project had, was given, used and owes in a period."""


class AsyncStatements(StatementVerbs, AsyncGroup):
    """What a project had, was given, used and owes in a period."""


class Invoices(InvoiceVerbs, Group):
    """Invoices and credit notes."""


class AsyncInvoices(InvoiceVerbs, AsyncGroup):
    """Invoices and credit notes."""


class Disputes(DisputeVerbs, Group):
    """Disputes of charges."""


class AsyncDisputes(DisputeVerbs, AsyncGroup):
    """Disputes of charges."""

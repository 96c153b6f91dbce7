"""Invoices and credit notes: made for closed periods, paid, and given the number of their tax invoice."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from hutong.core.accounts.registry import Institution
from hutong.core.accounts.roles import Principal
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.core.kernel.money import parse_micro
from hutong.core.ledger.invoices import Invoice, paid, taxed
from hutong.core.ledger.statements import FEN_MICRO
from hutong.server.api.access import Allowed, Here, Somewhere
from hutong.server.api.once import IdempotencyKey
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.statements import invoice_shape
from hutong.server.api.statements import PAPERS, Form, PeriodName, draw, issuer_name
from hutong.server.invoicing import KIND, credit, issue_all
from hutong.server.papers import invoice_paper
from hutong.server.registry import amend, load, read
from hutong.server.services import Services
from hutong.server.statements import find_period
from hutong.wire import statements as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1", tags=["invoices"])

Number = Annotated[w.InvoiceNumber, Path(alias="number")]
Pages = Annotated[Paging, Depends(paging)]
Reader = Annotated[Principal, Depends(Somewhere("invoice.read"))]
_WRITES = [Depends(Allowed("invoice.write"))]


@router.post("/ledger/periods/{period}/invoices", dependencies=_WRITES)
def issue_invoices(here: Here, period: PeriodName) -> w.Issued:
    """Make the invoices of a closed period that are missing: one for each institution that was charged."""
    found = find_period(here.store, period)
    made, there = issue_all(here.store, found, here.settings.zone, here.clock())
    return w.Issued(period=period, made=made, there=there)


@router.get("/invoices")
def list_invoices(
    here: Here,
    pages: Pages,
    principal: Reader,
    institution: Annotated[Slug | None, Query(description="of this institution only")] = None,
) -> Page[w.Invoice]:
    """List invoices in order of their numbers: an institution's, or everybody's for who may see all."""
    if institution is None and not principal.everywhere("invoice.read"):
        problem = Problem("?institution", "it is missing", "one of your institutions")
        raise Refused("institution_needed", "say whose invoices you want", (problem,))
    if institution is not None and not principal.may("invoice.read", institution=institution):
        raise NotFound("not_found", f"there is no institution {institution!r}")
    rows = here.store.records(KIND, institution or "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: invoice_shape(read(Invoice, row)))


@router.get("/invoices/{number}")
def read_invoice(here: Here, number: Number, principal: Reader) -> w.Invoice:
    """Return one invoice."""
    return invoice_shape(_readable(here, number, principal))


@router.get("/invoices/{number}/paper", response_class=Response, responses=PAPERS)
def read_invoice_paper(here: Here, number: Number, principal: Reader, form: Form = "pdf") -> Response:
    """Return an invoice as PDF or spreadsheet, in Chinese and English."""
    invoice = _readable(here, number, principal)
    payer = load(here.store, "institution", invoice.institution, Institution)
    paper = invoice_paper(invoice_shape(invoice), issuer_name(here.store), f"{payer.name_zh} {payer.name_en}")
    return draw(paper, form, f"invoice-{number}")


@router.post("/invoices/{number}/payment", dependencies=_WRITES)
def pay_invoice(here: Here, number: Number, body: w.NewPayment) -> w.Invoice:
    """Note that an invoice was paid. A repeat changes nothing, another payment is refused."""
    now_ms = here.clock()
    return _change(here, number, lambda invoice: paid(invoice, body.reference, now_ms))


@router.post("/invoices/{number}/tax", dependencies=_WRITES)
def tax_invoice(here: Here, number: Number, body: w.NewTaxReference) -> w.Invoice:
    """Note the number of the tax authority's own invoice, once."""
    return _change(here, number, lambda invoice: taxed(invoice, body.reference))


@router.post("/invoices/{number}/credit-notes", status_code=201, dependencies=_WRITES)
def credit_invoice(here: Here, number: Number, body: w.NewCreditNote, key: IdempotencyKey = "") -> w.Invoice:
    """Write a credit note over a part of an invoice: the invoice itself never changes."""
    amount_micro = parse_micro(body.amount.amount, "/amount/amount")
    if amount_micro % FEN_MICRO:
        problem = Problem("/amount/amount", "a part of a fen", "at most two decimals")
        raise Refused("bad_amount", "an invoice is in whole fen", (problem,))
    fen, now_ms = amount_micro // FEN_MICRO, here.clock()
    note = credit(
        here.store, number, body.project, fen, body.reason, key or here.new_id(), here.settings.zone, now_ms
    )
    return invoice_shape(note)


def _readable(here: Services, number: str, principal: Principal) -> Invoice:
    record = here.store.get(KIND, number)
    invoice = read(Invoice, record) if record else None
    if invoice is None or not principal.may("invoice.read", institution=invoice.institution):
        raise NotFound("not_found", f"there is no invoice {number!r}")
    return invoice


def _change(here: Services, number: str, change: Callable[[Invoice], Invoice]) -> w.Invoice:
    found, _ = amend(here.store, KIND, number, Invoice, change)
    return invoice_shape(found)

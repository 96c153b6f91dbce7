"""Invoices: what an institution is asked to pay for a closed period, in whole fen, under a gapless number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from hutong.core.kernel.documents import LATE
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.ledger.statements import Statement, in_fen, split_fen

PPM = 1_000_000


class InvoiceState(StrEnum):
    """An invoice is never changed or taken away: what was wrong in it, a later credit note mends."""

    ISSUED = "issued"
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line. `what` says of what: `use SITE SKU UNIT`, `credit KIND SOURCE`, `advance`."""

    project: str
    what: str
    quantity: int
    price_micro: int
    per: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class CostCentre:
    """The part of a project's amount that a cost centre bears."""

    project: str
    name: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice, or a credit note if `credits` names the invoice that it mends.

    `kind` is the institution's kind in the period (L13). `tax_reference` is the number of the tax authority's
    own electronic invoice, entered when it was made.
    """

    number: str
    institution: str
    kind: str
    period: str
    from_ms: int
    upto_ms: int
    issued_ms: int
    lines: tuple[InvoiceLine, ...]
    centres: tuple[CostCentre, ...] = ()
    state: InvoiceState = InvoiceState.ISSUED
    credits: str = field(default="", metadata=LATE)
    reason: str = field(default="", metadata=LATE)
    tax_reference: str = field(default="", metadata=LATE)
    paid_ms: int = field(default=0, metadata=LATE)
    paid_reference: str = field(default="", metadata=LATE)

    @property
    def total_fen(self) -> int:
        """What is asked: the sum of its lines (L11)."""
        return sum(line.amount_fen for line in self.lines)


def invoice_number(year: int, count: int) -> str:
    """Return the number of the `count`-th invoice of a year, from 1; numbers sort as they were given.

    >>> invoice_number(2026, 17)
    '2026-000017'
    """
    return f"{year:04d}-{count:06d}"


def lines_of(statements: Sequence[Statement]) -> tuple[InvoiceLine, ...]:
    """Return the lines of an institution's projects; they add up to the rounded sum of what is billed."""
    exact: list[tuple[InvoiceLine, int]] = []
    for each in statements:
        for use in each.use:
            what = f"use {use.site} {use.sku} {use.unit}"
            line = InvoiceLine(each.project, what, use.quantity, use.price_micro, use.per, 0)
            exact.append((line, use.amount_micro))
        for credit in each.credits:
            line = InvoiceLine(each.project, f"credit {credit.kind} {credit.source}", 0, 0, 1, 0)
            exact.append((line, credit.amount_micro))
        advance = each.purchases_micro + each.used_in_advance_micro
        if advance:
            exact.append((InvoiceLine(each.project, "advance", 0, 0, 1, 0), advance))
    amounts = in_fen([amount for _, amount in exact]) if exact else ()
    return tuple(replace(line, amount_fen=fen) for (line, _), fen in zip(exact, amounts, strict=True))


def centres_of(
    lines: Sequence[InvoiceLine], splits: Mapping[str, Sequence[tuple[str, int]]]
) -> tuple[CostCentre, ...]:
    """Return how each project with a split bears its amount: parts add up to it exactly."""
    found = []
    for project in sorted({line.project for line in lines} & splits.keys()):
        total = sum(line.amount_fen for line in lines if line.project == project)
        found += [CostCentre(project, name, fen) for name, fen in split_fen(total, splits[project])]
    return tuple(found)


def check_split(parts: Sequence[tuple[str, int]]) -> None:
    """Raise Refused unless the parts, in ppm, are positive, of different names and make up the whole."""
    names = [name for name, _ in parts]
    if len(set(names)) != len(names) or any(ppm <= 0 for _, ppm in parts) or sum(p for _, p in parts) != PPM:
        total = sum(ppm for _, ppm in parts)
        problem = Problem("/parts", f"they make up {total / 10_000:g} %", "different names, together 100 %")
        raise Refused("bad_split", "cost centres must bear the whole amount, each once", (problem,))


def paid(invoice: Invoice, reference: str, at_ms: int) -> Invoice:
    """Return the invoice as paid; the same payment again changes nothing, another is a Conflict."""
    if invoice.state is InvoiceState.PAID:
        if invoice.paid_reference == reference:
            return invoice
        raise Conflict("paid", f"invoice {invoice.number} was paid by {invoice.paid_reference}")
    return replace(invoice, state=InvoiceState.PAID, paid_reference=reference, paid_ms=at_ms)


def taxed(invoice: Invoice, reference: str) -> Invoice:
    """Return the invoice with the number of its tax invoice; that is entered once."""
    if invoice.tax_reference and invoice.tax_reference != reference:
        raise Conflict("taxed", f"invoice {invoice.number} has the tax invoice {invoice.tax_reference}")
    return replace(invoice, tax_reference=reference)


def credit_note(
    invoice: Invoice, number: str, project: str, amount_fen: int, credited_fen: int, reason: str, at_ms: int
) -> Invoice:
    """Return a credit note over a part of an invoice's project; `credited_fen` is what earlier notes took.

    Raises Refused where more would be credited than was asked for that project.
    """
    asked = sum(line.amount_fen for line in invoice.lines if line.project == project)
    if not 0 < amount_fen <= asked - credited_fen:
        problem = Problem(
            "/amount",
            f"{credited_fen / 100:.2f} of {asked / 100:.2f} CNY are credited already",
            "no more than the rest",
        )
        raise Refused("too_much", f"invoice {invoice.number} has less than that for {project}", (problem,))
    line = InvoiceLine(project, f"credit note {invoice.number}", 0, 0, 1, -amount_fen)
    return replace(
        invoice, number=number, issued_ms=at_ms, lines=(line,), centres=(), credits=invoice.number,
        reason=reason, state=InvoiceState.ISSUED, tax_reference="", paid_ms=0, paid_reference="",
    )  # fmt: skip

"""Statements, invoices and disputes: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Money, Shape, Slug, Time

Period = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])[a-z]?$", examples=["2026-11"])]
InvoiceNumber = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{6}$", examples=["2026-000017"])]
Reference = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!-~]+( [!-~]+)*$")]
Text = Annotated[str, Field(min_length=1, max_length=4000)]


class StatementUse(Shape):
    """Use of one thing at one price over the period: quantity x price = amount, rounded once."""

    site: str
    sku: str
    unit: Literal["card-hour", "unused card-hour", "GB-day", "request", "1000 tokens in", "1000 tokens out"]
    quantity: str
    price: Money
    amount: Money


class StatementCredit(Shape):
    """What one source paid of the use (negative), or a waiver, a refund, a debt paid back."""

    kind: str
    source: str
    amount: Money


class StatementLot(Shape):
    """One source of money over the period: opening + given + taken = closing."""

    lot: str
    opening: Money
    given: Money
    taken: Money
    closing: Money


class Statement(Shape):
    """What a project had, was given, used and owes in a period.

    `billed` = `used` + credits + `used_in_advance` + `paid_in_advance`, and is also `owed_closing` -
    `owed_opening` + `paid_in_advance`. `final` is true once the period is closed.
    """

    project: Slug
    institution: Slug
    institution_kind: str
    period: Period
    start: Time
    end: Time
    final: bool
    use: tuple[StatementUse, ...]
    credits: tuple[StatementCredit, ...]
    lots: tuple[StatementLot, ...]
    used: Money
    used_in_advance: Money
    paid_in_advance: Money
    corrections: Money
    billed: Money
    owed_opening: Money
    owed_closing: Money


class InvoiceLine(Shape):
    """One line of an invoice, in whole fen."""

    project: Slug
    what: str
    quantity: str
    unit: str
    price: Money | None
    amount: Money


class CostCentre(Shape):
    """What a cost centre bears of a project's amount."""

    project: Slug
    name: str
    amount: Money


class Invoice(Shape):
    """What an institution is asked for a closed period; a credit note if `credits` names an invoice."""

    number: InvoiceNumber
    institution: Slug
    institution_kind: str
    period: Period
    start: Time
    end: Time
    issued: Time
    state: Literal["issued", "paid"]
    total: Money
    lines: tuple[InvoiceLine, ...]
    cost_centres: tuple[CostCentre, ...]
    credits: str
    reason: str
    tax_reference: str
    paid: Time | None
    paid_reference: str


class Issued(Shape):
    """How many invoices were made for a period now, and how many there were already."""

    period: Period
    made: int
    there: int


class NewPayment(Shape):
    """That an invoice was paid, with the reference of the bank's transfer."""

    reference: Reference


class NewTaxReference(Shape):
    """The number of the tax authority's own electronic invoice."""

    reference: Reference


class NewCreditNote(Shape):
    """Credit a part of what an invoice asks for a project."""

    project: Slug
    amount: Money
    reason: Text


class CostCentrePart(Shape):
    """The share of a cost centre, in percent with at most four decimals."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    percent: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,4})?$", examples=["33.3333"])]


class CostCentres(Shape):
    """How the amounts of a project are split; all parts make up 100 %."""

    parts: Annotated[tuple[CostCentrePart, ...], Field(max_length=50)]


class DisputeMessage(Shape):
    """What somebody wrote in a dispute; `evidence` is the digest of an uploaded file, or empty."""

    by: str
    at: Time
    text: str
    evidence: str


class NewDispute(Shape):
    """Say that what an attempt of a job was charged is wrong; the newest charged attempt if none is named."""

    ground: Literal["site-fault", "not-run", "wrong-price", "wrong-project", "other"]
    text: Text
    attempt: Annotated[int | None, Field(ge=1, lt=1_000_000)] = None
    evidence: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""


class NewDisputeMessage(Shape):
    """Write in a dispute."""

    text: Text
    evidence: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""


class NewDisputeDecision(Shape):
    """Decide a dispute: what goes back, 0 to reject, and the reasons that its opener will read."""

    refund: Money
    reasons: Text


class Dispute(Shape):
    """A dispute of what an attempt was charged."""

    id: str
    project: Slug
    key: str
    ground: str
    state: Literal["open", "upheld", "partly", "rejected", "withdrawn"]
    charged: Money
    refund: Money
    opened_by: str
    opened: Time
    decided_by: str
    decided: Time | None
    messages: tuple[DisputeMessage, ...]

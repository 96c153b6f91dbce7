"""Statements, invoices and disputes as the wire shows them."""

from collections.abc import Sequence

from hutong.core.kernel.money import format_micro
from hutong.core.ledger.disputes import Dispute
from hutong.core.ledger.invoices import Invoice, InvoiceLine
from hutong.core.ledger.statements import FEN_MICRO, Statement
from hutong.server.api.shapes.money import price_of, quantity_of, unit_of
from hutong.wire import statements as w
from hutong.wire.base import Money, rfc3339


def statement_shape(
    statement: Statement, institution: str, kind: str, period: str, *, final: bool
) -> w.Statement:
    """Return a statement; `kind` is the institution's in the period."""
    return w.Statement(
        project=statement.project,
        institution=institution,
        institution_kind=kind,
        period=period,
        start=rfc3339(statement.from_ms),
        end=rfc3339(statement.upto_ms),
        final=final,
        use=tuple(
            w.StatementUse.model_validate(
                {
                    "site": line.site,
                    "sku": line.sku,
                    "unit": unit_of(line.unit),
                    "quantity": quantity_of(line.unit, line.quantity),
                    "price": {"amount": price_of(line.unit, line.price_micro, line.per)},
                    "amount": Money.of(line.amount_micro),
                }
            )
            for line in statement.use
        ),
        credits=tuple(
            w.StatementCredit(kind=line.kind, source=line.source, amount=Money.of(line.amount_micro))
            for line in statement.credits
        ),
        lots=tuple(
            w.StatementLot(
                lot=line.account.removeprefix("lot:"),
                opening=Money.of(line.opening_micro),
                given=Money.of(line.given_micro),
                taken=Money.of(line.taken_micro),
                closing=Money.of(line.closing_micro),
            )
            for line in statement.lots
        ),
        used=Money.of(statement.used_micro),
        used_in_advance=Money.of(statement.used_in_advance_micro),
        paid_in_advance=Money.of(statement.purchases_micro),
        corrections=Money.of(statement.corrections_micro),
        billed=Money.of(statement.billed_micro),
        owed_opening=Money.of(statement.owed_opening_micro),
        owed_closing=Money.of(statement.owed_closing_micro),
    )


def invoice_shape(invoice: Invoice) -> w.Invoice:
    """Return an invoice."""
    return w.Invoice(
        number=invoice.number,
        institution=invoice.institution,
        institution_kind=invoice.kind,
        period=invoice.period,
        start=rfc3339(invoice.from_ms),
        end=rfc3339(invoice.upto_ms),
        issued=rfc3339(invoice.issued_ms),
        state=invoice.state.value,
        total=of_fen(invoice.total_fen),
        lines=tuple(_invoice_line(line) for line in invoice.lines),
        cost_centres=tuple(
            w.CostCentre(project=each.project, name=each.name, amount=of_fen(each.amount_fen))
            for each in invoice.centres
        ),
        credits=invoice.credits,
        reason=invoice.reason,
        tax_reference=invoice.tax_reference,
        paid=rfc3339(invoice.paid_ms) if invoice.paid_ms else None,
        paid_reference=invoice.paid_reference,
    )


def of_fen(amount_fen: int) -> Money:
    """Return an amount in whole fen."""
    return Money(amount=format_micro(amount_fen * FEN_MICRO, 2))


def _invoice_line(line: InvoiceLine) -> w.InvoiceLine:
    words = line.what.split(" ")
    if words[0] != "use":
        return w.InvoiceLine(
            project=line.project, what=line.what, quantity="", unit="", price=None,
            amount=of_fen(line.amount_fen),
        )  # fmt: skip
    unit = words[-1]
    return w.InvoiceLine(
        project=line.project,
        what=" ".join(words[:-1]),
        quantity=quantity_of(unit, line.quantity),
        unit=unit_of(unit),
        price=Money(amount=price_of(unit, line.price_micro, line.per)),
        amount=of_fen(line.amount_fen),
    )


def dispute_shape(dispute: Dispute) -> w.Dispute:
    """Return a dispute with its messages."""
    return w.Dispute(
        id=dispute.id,
        project=dispute.project,
        key=dispute.key,
        ground=dispute.ground.value,
        state=dispute.state.value,
        charged=Money.of(dispute.charged_micro),
        refund=Money.of(dispute.refund_micro),
        opened_by=dispute.opened_by,
        opened=rfc3339(dispute.opened_ms),
        decided_by=dispute.decided_by,
        decided=rfc3339(dispute.decided_ms) if dispute.decided_ms else None,
        messages=tuple(
            w.DisputeMessage(by=each.by, at=rfc3339(each.at_ms), text=each.text, evidence=each.evidence)
            for each in dispute.messages
        ),
    )


def percent_parts(parts: Sequence[w.CostCentrePart]) -> tuple[tuple[str, int], ...]:
    """Return the parts in ppm."""
    found = []
    for part in parts:
        whole, _, decimals = part.percent.partition(".")
        found.append((part.name, int(whole) * 10_000 + int(decimals.ljust(4, "0") or 0)))
    return tuple(found)


def percent_of(ppm: int) -> str:
    """Return ppm as a percentage with as many decimals as it needs."""
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".")

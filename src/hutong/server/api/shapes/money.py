"""Lots, balances and bills as the wire shows them: integers become decimals here, rounded once."""

from hutong.core.book.money import Lot
from hutong.core.kernel.money import format_micro
from hutong.core.kernel.rating import CARD_HOUR_MS
from hutong.core.ledger.bill import Bill, Line, PetaTime
from hutong.core.ledger.prices import GB_DAY_BYTE_HOURS
from hutong.server.api.shapes.times import percent, thousandths
from hutong.wire import money as w
from hutong.wire.base import Money, rfc3339

_MICRO = 1_000_000
_JOULES_PER_KWH = 3_600_000
_UNITS = {
    "card_ms": ("card-hour", CARD_HOUR_MS),
    "byte_hour": ("GB-day", GB_DAY_BYTE_HOURS),
    "unused_ms": ("unused card-hour", CARD_HOUR_MS),
    "service_request": ("request", 1),
    "token_in": ("1000 tokens in", 1000),
    "token_out": ("1000 tokens out", 1000),
}


def quotient(amount: int, per: int) -> str:
    """Return `amount / per` as a decimal string with six places, rounded half to even."""
    whole, rest = divmod(amount * _MICRO, per)
    up = rest * 2 > per or (rest * 2 == per and whole % 2 == 1)
    return format_micro(whole + up)


def lot_shape(lot: Lot) -> w.Lot:
    """Return a lot with its balance."""
    return w.Lot(
        id=lot.id,
        project=lot.project,
        kind=lot.kind.value,
        rate_percent=percent(lot.rate_ppm),
        starts=rfc3339(lot.starts_ms),
        ends=rfc3339(lot.ends_ms),
        posted=Money.of(lot.posted_micro),
        held=Money.of(lot.held_micro),
        available=Money.of(lot.available_micro),
    )


def bill_shape(bill: Bill, project: str, job: str | None, *, final: bool, truncated: bool) -> w.Bill:
    """Return a bill; `truncated` where more was used than one answer carries."""
    return w.Bill(
        project=project,
        job=job,
        final=final,
        lines=tuple(_line(line) for line in bill.lines),
        total=Money.of(bill.total_micro),
        paid=tuple(
            w.Paid.model_validate(
                {"lot": each.source, "kind": each.kind, "amount": Money.of(each.amount_micro)}
            )
            for each in bill.paid
        ),
        peta_hours=tuple(_peta(each) for each in bill.peta),
        energy=_energy(bill),
        entries=tuple(
            w.LedgerEntry(txn=txn, account=entry.account, amount=Money.of(entry.amount_micro))
            for txn, entry in bill.entries
        ),
        entries_sum=Money.of(bill.entries_sum_micro),
        truncated=truncated,
    )


def unit_of(unit: str) -> str:
    """Return the unit as people read it."""
    return _UNITS[unit][0]


def quantity_of(unit: str, quantity: int) -> str:
    """Return a quantity of base units in the unit that people read."""
    return quotient(quantity, _UNITS[unit][1])


def price_of(unit: str, price_micro: int, per: int) -> str:
    """Return the price, micro-yuan for `per` base units, of the unit that people read."""
    return quotient(price_micro * _UNITS[unit][1], per * _MICRO)


def _line(line: Line) -> w.BillLine:
    return w.BillLine.model_validate(
        {
            "subject": line.subject,
            "site": line.site,
            "sku": line.sku,
            "unit": unit_of(line.unit),
            "quantity": quantity_of(line.unit, line.quantity),
            "price": {"amount": price_of(line.unit, line.price_micro, line.per)},
            "amount": Money.of(line.charge_micro),
            "start": rfc3339(line.from_ms),
            "end": rfc3339(line.upto_ms),
        }
    )


def _peta(each: PetaTime) -> w.PetaHours:
    figure = each.figure
    return w.PetaHours(
        accelerator=each.accelerator,
        card_hours=quotient(each.card_ms, CARD_HOUR_MS),
        factor_p_per_card=quotient(figure.gops, _MICRO) if figure else "",
        p_hours=quotient(each.card_ms * figure.gops, CARD_HOUR_MS * _MICRO) if figure else "",
        precision=f"{figure.precision} {'sparse' if figure.sparse else 'dense'}" if figure else "",
        basis=figure.basis if figure else "no figure is known",
        source=figure.source if figure else "",
        dated=figure.dated if figure else "",
    )


def _energy(bill: Bill) -> w.EnergyShare:
    share_ppm = bill.green_j * _MICRO // bill.energy_j if bill.energy_j else 0
    return w.EnergyShare(
        kwh=quotient(bill.energy_j, _JOULES_PER_KWH),
        green_kwh=quotient(bill.green_j, _JOULES_PER_KWH),
        green_percent=percent(share_ppm),
        co2e_g=thousandths(bill.co2_mg),
        method="; ".join(bill.methods),
    )

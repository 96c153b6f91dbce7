"""Budgets, notices and use by day as the wire has them."""

from hutong.core.accounts.budgets import BASE, Budget, amount_text
from hutong.core.book.uses import Amounts, Use
from hutong.core.kernel.days import day_text, month_text
from hutong.core.kernel.money import format_micro
from hutong.core.kernel.quantities import HOUR_MS
from hutong.server.api.shapes.times import percent
from hutong.server.budgets import Notice, Standing
from hutong.wire import budgets as w
from hutong.wire.base import Money, rfc3339

_KWH_J = 3_600_000
_UNITS = {
    "card_ms": "card-hour",
    "unused_ms": "unused card-hour",
    "byte_hour": "byte-hour",
    "service_request": "request",
    "token_in": "token in",
    "token_out": "token out",
}
UNITS = {name: unit for unit, name in _UNITS.items()}


def budget_shape(budget: Budget, standing: Standing | None) -> w.Budget:
    """Return a budget with its numbers where it has a period now."""
    return w.Budget.model_validate(
        {
            "id": budget.id,
            "scope": budget.scope.value,
            "name": budget.name,
            "person": budget.person,
            "unit": budget.unit.value,
            "accelerator": budget.accelerator,
            "amount": decimal(budget.amount, BASE[budget.unit]),
            "start": day_text(budget.from_day),
            "end": None if budget.until_day is None else day_text(budget.until_day),
            "monthly": budget.monthly,
            "thresholds": [
                {"percent": each.percent, "action": each.action.value} for each in budget.thresholds
            ],
            "note": budget.note,
            "by": budget.by,
            "ended": budget.ended,
            "period": _period(standing),
            "numbers": None if standing is None else numbers_of(standing),
        }
    )


def _period(standing: Standing | None) -> str:
    return "" if standing is None else standing.spending.budget.period_at(standing.spending.days[0])


def numbers_of(standing: Standing) -> w.Numbers:
    """Return the four numbers in the unit of what is counted."""
    spending, budget = standing.spending, standing.spending.budget
    return w.Numbers(
        settled=amount_text(spending.settled, budget.unit),
        in_flight=amount_text(standing.in_flight, budget.unit),
        committed=amount_text(standing.committed, budget.unit),
        available=amount_text(standing.available, budget.unit),
        percent=percent(max(0, spending.settled) * 10**6 // budget.amount) if budget.amount else "",
    )


def notice_shape(name: str, notice: Notice) -> w.Notice:
    """Return a notice."""
    return w.Notice(
        id=name,
        budget=notice.budget,
        scope=notice.scope.value,
        name=notice.name,
        person=notice.person,
        period=notice.period,
        percent=notice.percent,
        action=notice.action.value,
        at=rfc3339(notice.at_ms),
        text=notice.text,
    )


def decimal(amount: int, base: int) -> str:
    """Return an amount of base units as a decimal of at most six places, without idle zeros."""
    text = format_micro(amount * 10**6 // base)
    return text.rstrip("0").rstrip(".")


def used_shape(unit: str, amounts: Amounts) -> w.Used:
    """Return an amount of use of a unit."""
    return w.Used(
        quantity=decimal(amounts.quantity, HOUR_MS if unit in {"card_ms", "unused_ms"} else 1),
        charge=Money.of(amounts.charge_micro),
        kwh=decimal(amounts.energy_j, _KWH_J),
        green_kwh=decimal(amounts.green_j, _KWH_J),
        co2e_kg=decimal(amounts.co2_mg, 10**6),
    )


def usage_row(use: Use, parts: tuple[str, ...], before: Amounts | None) -> w.UsageRow:
    """Return a row of use of the group whose key has these parts, beside the time before."""
    key = dict(zip(parts, use.key, strict=True))
    unit = str(key.pop("unit"))
    named: dict[str, object] = {
        "accelerator" if part == "sku" else part: value for part, value in key.items()
    }
    if "day" in key:
        named["day"] = day_text(int(key["day"]))
    if "month" in key:
        named["month"] = month_text(int(key["month"]))
    return w.UsageRow.model_validate(
        {
            **named,
            **used_shape(unit, use.amounts).model_dump(),
            "unit": _UNITS[unit],
            "before": None if before is None else used_shape(unit, before).model_dump(),
        }
    )

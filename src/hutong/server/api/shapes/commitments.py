"""Commitments as the wire shows them, with what is used of the running month."""

from hutong.core.accounts.budgets import Budget, Unit
from hutong.core.book.commitments import Commitment
from hutong.core.kernel.days import utc_day
from hutong.core.kernel.rating import CARD_HOUR_MS
from hutong.server.api.shapes.budgets import decimal, numbers_of
from hutong.server.budgets import Standing
from hutong.wire import commitments as w
from hutong.wire.base import Money, rfc3339


def as_budget(commitment: Commitment) -> Budget:
    """Return the budget that counts the same use: it bounds nothing, and is never written."""
    return Budget(
        id=commitment.id,
        scope=commitment.scope,
        name=commitment.name,
        unit=Unit.CARD_HOURS,
        amount=commitment.card_ms,
        from_day=utc_day(f"{commitment.from_month}-01") or 0,
        until_day=utc_day(f"{commitment.upto_month}-01"),
        thresholds=(),
        by=commitment.by,
        accelerator=commitment.accelerator,
        monthly=True,
    )


def commitment_shape(commitment: Commitment, standing: Standing | None, month: str) -> w.Commitment:
    """Return a commitment; `month` is the one that runs by the platform's zone."""
    state = "future" if month < commitment.from_month else "ended"
    return w.Commitment.model_validate(
        {
            "id": commitment.id,
            "scope": commitment.scope.value,
            "name": commitment.name,
            "pays": commitment.pays,
            "accelerator": commitment.accelerator,
            "card_hours": decimal(commitment.card_ms, CARD_HOUR_MS),
            "amount": Money.of(commitment.micro),
            "take_or_pay": commitment.take_or_pay,
            "starts": commitment.from_month,
            "ends": commitment.upto_month,
            "state": "in-force" if commitment.binds(month) else state,
            "reason": commitment.reason,
            "by": commitment.by,
            "made": rfc3339(commitment.at_ms),
            "numbers": None if standing is None else numbers_of(standing),
        }
    )

"""What a job keeps below HUTONG_CHECKPOINTS is there for its next attempt, and for nobody else."""

from dataclasses import replace
from typing import Any

from hutong.adapters.engines.base import Order
from hutong.core.kernel.ids import attempt_key

SAY = 'ls "$HUTONG_CHECKPOINTS"; echo here > "$HUTONG_CHECKPOINTS/step-$HUTONG_ATTEMPT"'


def _next_attempt(order: Order) -> Order:
    attempt = replace(order.attempt, number=order.attempt.number + 1)
    return replace(order, attempt=attempt, key=attempt_key(order.job, attempt.number))


def test_the_next_attempt_finds_them_and_another_job_does_not(site: Any) -> None:
    first = site.order(SAY)
    second, other = _next_attempt(first), site.order(SAY)
    for order in (first, second, other):
        site.engine.submit(order)
        seen = site.finish(order.key)
        assert seen.ended is not None
        assert seen.ended.outcome == "SUCCEEDED"
    assert "step-1" in site.log(second.key)
    assert "step-1" not in site.log(other.key)


def test_they_go_when_the_last_attempt_of_the_job_is_forgotten(site: Any) -> None:
    first = site.order(SAY)
    second = _next_attempt(first)
    for order in (first, second):
        site.engine.submit(order)
        site.finish(order.key)
    kept = site.root / "checkpoints" / first.job.lower()
    site.engine.forget(first.key)
    assert sorted(path.name for path in kept.iterdir()) == ["step-1", "step-2"]
    site.engine.forget(second.key)
    assert not kept.exists()

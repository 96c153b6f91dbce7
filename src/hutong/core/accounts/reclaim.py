"""Use it or lose it: what an allocation whose use lags behind its plan gives back. Pure; bands are data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hutong.core.accounts.allocations import Allocation, Cut, CutState, Notice, tell
from hutong.core.kernel.quantities import DAY_MS

EVEN = (25, 25, 25, 25)


@dataclass(frozen=True, slots=True)
class Band:
    """From this percent of the planned use on, this percent of what was planned to date is removed."""

    used_percent: int
    cut_percent: int


@dataclass(frozen=True, slots=True)
class ReclaimPolicy:
    """Bands, the highest use first and the last from 0, with their source; `appeal_days` before a cut."""

    name: str
    bands: tuple[Band, ...]
    appeal_days: int
    source: str


def parts_over(allocation: Allocation, now_ms: int) -> int:
    """Return how many parts of the plan's time are over; the last is never judged: the end does that."""
    parts = len(allocation.plan or EVEN)
    whole_ms = allocation.ends_ms - allocation.starts_ms
    if whole_ms <= 0 or now_ms <= allocation.starts_ms:
        return 0
    return min(parts - 1, (now_ms - allocation.starts_ms) * parts // whole_ms)


def planned_micro(granted_micro: int, plan: Sequence[int], over: int) -> int:
    """Return what was planned to be used in the first `over` parts."""
    return granted_micro * sum((plan or EVEN)[:over]) // 100


def cut_percent(used_micro: int, due_micro: int, bands: Sequence[Band]) -> int:
    """Return the percent of what was planned to date that is removed."""
    for band in bands:
        if used_micro * 100 >= due_micro * band.used_percent:
            return band.cut_percent
    return bands[-1].cut_percent


def assess(
    allocation: Allocation,
    granted_micro: int,
    used_micro: int,
    free_micro: int,
    now_ms: int,
    policy: ReclaimPolicy,
) -> Allocation:
    """Return the allocation with the cut proposed that is due, if any; each part of its time is judged once.

    `granted` is all it was ever given, without cuts; `used` is settled and held, so what runs counts;
    at most `free`, which nobody holds, is cut. Cuts are cumulative over the life, not compounding.
    """
    over = parts_over(allocation, now_ms)
    open_now = not allocation.closed_ms and not allocation.suspended and now_ms < allocation.ends_ms
    if over <= allocation.assessed or not open_now:
        return allocation
    judged = replace(allocation, assessed=over)
    due = planned_micro(granted_micro, allocation.plan, over)
    percent = cut_percent(used_micro, due, policy.bands) if due else 0
    before = sum(
        each.taken_micro if each.state is CutState.TAKEN else each.cut_micro
        for each in allocation.cuts
        if each.state is not CutState.WAIVED
    )
    amount = min(due * percent // 100 - before, free_micro)
    if amount <= 0:
        return judged
    n = len(allocation.cuts) + 1
    cut = Cut(n, now_ms, due, used_micro, amount, now_ms + policy.appeal_days * DAY_MS)
    text = f"use lags behind the plan: cut {n} is taken in {policy.appeal_days} days unless you appeal"
    return tell(replace(judged, cuts=(*allocation.cuts, cut)), Notice(now_ms, f"cut-{n}", text))

"""How far a run used what was settled: cards held against quotas, power drawn against limits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hutong.core.accounts.quotas import ANY, INSTITUTION
from hutong.core.control.power import MILLIWATTS
from hutong.core.energy.account import card_milliwatts
from hutong.core.placement.arrays import Ints
from hutong.core.placement.request import PoolView
from hutong.sim.measures import Floats
from hutong.sim.runs import Run
from hutong.sim.settled import Agreed, PowerLimit
from hutong.sim.trace import Trace


@dataclass(frozen=True, slots=True)
class Use:
    """Cards of a quota, or kilowatts of a limit: promised and at most (None: without limit), and used.

    `mean` is over the time from the first submission to the last end, or over that of the limit; `full_h` are
    the hours in which not one card more would have been allowed.
    """

    name: str
    what: str
    promised: int | None
    most: int | None
    mean: float
    peak: float
    full_h: float


def uses_of(agreed: Agreed, trace: Trace, run: Run, views: Sequence[PoolView]) -> tuple[Use, ...]:
    """Return the use of each allotment, then of each limit."""
    return (*_quotas(agreed, trace, run, views), *_limits(agreed, trace, run, views))


def _quotas(agreed: Agreed, trace: Trace, run: Run, views: Sequence[PoolView]) -> Iterator[Use]:
    held, end_s = run.attempts, int(run.finish_s.max(initial=0))
    owner = {each: name for name, projects in agreed.institutions for each in projects}
    owners = np.array([owner.get(each, "") for each in trace.groups] or [""])
    chips = np.array([view.accelerator for view in views])
    for quota in agreed.quotas:
        groups = owners if quota.kind == INSTITUTION else np.array(trace.groups or ("",))
        mine = (groups == quota.name)[trace.group[held.job]] & (trace.group[held.job] >= 0)
        for each in quota.allotments:
            of = mine & ((chips[held.pool] == each.accelerator) | (each.accelerator == ANY))
            at, level = _levels(held.start_s[of], held.end_s[of], trace.cards[held.job[of]], 0, end_s)
            full = each.ceiling is not None and level >= (each.ceiling or 0)
            yield Use(
                quota.id, each.accelerator, each.nominal, each.ceiling, *_mean_and_peak(at, level),
                float((np.diff(at) * full).sum()) / 3600,
            )  # fmt: skip


def _limits(agreed: Agreed, trace: Trace, run: Run, views: Sequence[PoolView]) -> Iterator[Use]:
    held, end_s = run.attempts, int(run.finish_s.max(initial=0))
    draw = np.array([card_milliwatts(view.accelerator, view.pue_milli) for view in views], np.int64)
    sites = np.array([view.site for view in views])
    for each in agreed.power_limits:
        of = (sites == each.site)[held.pool]
        power = trace.cards[held.job[of]] * draw[held.pool[of]]
        upto_s = min(each.until_s or end_s, end_s)
        if each.from_s >= upto_s:
            continue
        at, level = _levels(held.start_s[of], held.end_s[of], power, each.from_s, upto_s)
        least = int(draw[(sites == each.site) & (draw > 0)].min())
        full = level + least > each.limit_kw * MILLIWATTS
        mean, peak = _mean_and_peak(at, level / MILLIWATTS)
        hours = float((np.diff(at) * full).sum()) / 3600
        yield Use(f"site/{each.site}{_span(each)}", "kW", None, each.limit_kw, mean, peak, hours)


def _span(limit: PowerLimit) -> str:
    """Say when a limit holds, in hours of the trace, where it does not always."""
    if not limit.from_s and not limit.until_s:
        return ""
    until = f"{limit.until_s / 3600:g}h" if limit.until_s else ""
    return f" {limit.from_s / 3600:g}h..{until}"


def _levels(start_s: Ints, end_s: Ints, amount: Ints, from_s: int, until_s: int) -> tuple[Ints, Ints]:
    """Return moments from the first to the last, and how much is in use after each but the last."""
    times = np.clip(np.concatenate([start_s, end_s]), from_s, until_s)
    at, place = np.unique(np.concatenate([times, [from_s, until_s]]), return_inverse=True)
    change = np.zeros(len(at), np.int64)
    np.add.at(change, place[:-2], np.concatenate([amount, -amount]))
    return at.astype(np.int64), np.cumsum(change)[:-1]


def _mean_and_peak(at: Ints, level: Ints | Floats) -> tuple[float, float]:
    spent = int(at[-1] - at[0])
    return float((np.diff(at) * level).sum()) / max(1, spent), float(level.max(initial=0))

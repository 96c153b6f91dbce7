"""Allocations as the wire shows them, and changes as it asks for them."""

from hutong.core.accounts import allocations as al
from hutong.server.allocations import Standing
from hutong.server.api.shapes.calls import read_money
from hutong.server.api.shapes.times import read_time, time_or_none
from hutong.wire import allocations as w
from hutong.wire.base import Money, rfc3339


def read_change(body: w.NewChange, by: str, now_ms: int) -> al.Change:
    """Return the change that is asked for."""
    return al.Change(
        n=0,
        kind=al.ChangeKind(body.kind),
        by=by,
        at_ms=now_ms,
        reason=body.reason,
        amount_micro=read_money(body.amount, "/amount"),
        ends_ms=read_time(body.ends, "/ends") if body.ends else 0,
        to_project=body.to_project or "",
    )


def allocation_shape(allocation: al.Allocation, now: Standing) -> w.Allocation:
    """Return an allocation as it stands."""
    return w.Allocation(
        id=allocation.id,
        project=allocation.project,
        call=allocation.call,
        lot=allocation.lot,
        phase=now.phase.value,
        starts=rfc3339(allocation.starts_ms),
        ends=rfc3339(allocation.ends_ms),
        closes=rfc3339(allocation.closes_ms),
        granted=Money.of(now.granted_micro),
        used=Money.of(now.used_micro),
        held=Money.of(now.held_micro),
        free=Money.of(now.free_micro),
        plan=allocation.plan,
        changes=tuple(_change(each) for each in allocation.changes),
        cuts=tuple(_cut(each) for each in allocation.cuts),
        notices=tuple(
            w.AllocationNotice(at=rfc3339(each.at_ms), text=each.text) for each in allocation.notices
        ),
    )


def _change(change: al.Change) -> w.Change:
    return w.Change(
        n=change.n,
        kind=change.kind.value,
        by=change.by,
        at=rfc3339(change.at_ms),
        reason=change.reason,
        amount=Money.of(change.amount_micro) if change.amount_micro else None,
        ends=time_or_none(change.ends_ms),
        to_project=change.to_project,
        before=change.before,
        after=change.after,
        state=change.state.value,
        decided_by=change.decided_by,
        decided=time_or_none(change.decided_ms),
        note=change.note,
    )


def _cut(cut: al.Cut) -> w.Cut:
    return w.Cut(
        n=cut.n,
        at=rfc3339(cut.at_ms),
        planned=Money.of(cut.planned_micro),
        used=Money.of(cut.used_micro),
        amount=Money.of(cut.cut_micro),
        appeal_until=rfc3339(cut.appeal_until_ms),
        state=cut.state.value,
        taken=Money.of(cut.taken_micro),
        appeal=cut.appeal,
        decided_by=cut.decided_by,
        note=cut.note,
    )

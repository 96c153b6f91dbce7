"""Allocations: what an award is over its life; phases from time and balance, notices, changes, cuts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from hutong.core.kernel.errors import Conflict, Denied, Problem, Refused
from hutong.core.kernel.quantities import DAY_MS

CHANGES_AT_MOST = 100
NOTICE_DAYS = (90, 30, 7)
"""So many days before its end an allocation gives notice."""


class Phase(StrEnum):
    """Where an allocation stands; it follows from its document, the balance of its lot and the time."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRING = "expiring"
    EXHAUSTED = "exhausted"
    SUSPENDED = "suspended"
    ENDED = "ended"  # the time of grace: nothing new starts, data stay
    CLOSED = "closed"


_OPEN = frozenset({Phase.ACTIVE, Phase.EXPIRING, Phase.EXHAUSTED, Phase.SUSPENDED})
# Which phase may follow which: an extension leads from `ended` back, nothing leads from `closed`.
PHASES: Mapping[Phase, frozenset[Phase]] = MappingProxyType(
    {
        Phase.PENDING: _OPEN | {Phase.ENDED, Phase.CLOSED},
        **{phase: (_OPEN | {Phase.PENDING, Phase.ENDED, Phase.CLOSED}) - {phase} for phase in _OPEN},
        Phase.ENDED: _OPEN | {Phase.CLOSED},
        Phase.CLOSED: frozenset(),
    }
)


class ChangeKind(StrEnum):
    """What is asked to be changed."""

    SUPPLEMENT = "supplement"
    EXTEND = "extend"
    TRANSFER = "transfer"
    REDUCE = "reduce"
    SUSPEND = "suspend"
    RESUME = "resume"
    CLOSE = "close"


GIVING = frozenset({ChangeKind.SUPPLEMENT, ChangeKind.EXTEND, ChangeKind.TRANSFER})
"""Changes that give somebody something: nobody decides on one of their own (L14)."""
MOVING = frozenset({ChangeKind.SUPPLEMENT, ChangeKind.TRANSFER, ChangeKind.REDUCE})
BY_OFFICERS = frozenset({ChangeKind.SUSPEND, ChangeKind.RESUME})


class Decided(StrEnum):
    """What became of a change or a cut."""

    ASKED = "asked"
    GRANTED = "granted"
    REFUSED = "refused"
    DONE = "done"  # granted, and booked


@dataclass(frozen=True, slots=True)
class Change:
    """A change asked for, with the values before and after, and its decision."""

    n: int
    kind: ChangeKind
    by: str
    at_ms: int
    reason: str
    amount_micro: int = 0
    ends_ms: int = 0
    to_project: str = ""
    before: str = ""
    after: str = ""
    state: Decided = Decided.ASKED
    decided_by: str = ""
    decided_ms: int = 0
    note: str = ""


class CutState(StrEnum):
    """What became of a proposed cut."""

    PROPOSED = "proposed"
    APPEALED = "appealed"
    UPHELD = "upheld"
    WAIVED = "waived"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Cut:
    """Money that use lagging behind the plan costs: proposed, open to appeal, then taken or waived."""

    n: int
    at_ms: int
    planned_micro: int
    used_micro: int
    cut_micro: int
    appeal_until_ms: int
    state: CutState = CutState.PROPOSED
    taken_micro: int = 0
    appeal: str = ""
    decided_by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the project should know."""

    at_ms: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Allocation:
    """The right to use an amount for a time, carried by the lot of the same project.

    `part` names the money in its call. `assessed` counts the parts of its time whose use was judged.
    `settled`: closed for long, and its lot found empty since; nothing is looked for any more.
    """

    id: str
    project: str
    call: str
    part: str
    lot: str
    starts_ms: int
    ends_ms: int
    grace_days: int
    plan: tuple[int, ...] = ()
    suspended: bool = False
    closed_ms: int = 0
    assessed: int = 0
    changes: tuple[Change, ...] = ()
    cuts: tuple[Cut, ...] = ()
    notices: tuple[Notice, ...] = ()
    settled: bool = False

    @property
    def span(self) -> tuple[int, int]:
        """When its lot pays: `[starts, ends)`, empty while it is suspended and once it is closed."""
        barred = self.suspended or self.closed_ms
        return (self.ends_ms, self.ends_ms) if barred else (self.starts_ms, self.ends_ms)

    @property
    def closes_ms(self) -> int:
        """When its grace is over."""
        return self.ends_ms + self.grace_days * DAY_MS


def phase_of(allocation: Allocation, available_micro: int, held_micro: int, now_ms: int) -> Phase:
    """Return the phase of an allocation, whose lot has that much free and held."""
    if allocation.closed_ms:
        return Phase.CLOSED
    if now_ms >= allocation.ends_ms:
        return Phase.ENDED
    if allocation.suspended:
        return Phase.SUSPENDED
    if now_ms < allocation.starts_ms:
        return Phase.PENDING
    if available_micro <= 0 and held_micro <= 0:
        return Phase.EXHAUSTED
    soon = allocation.ends_ms - max(NOTICE_DAYS) * DAY_MS
    return Phase.EXPIRING if now_ms >= soon else Phase.ACTIVE


def notify(allocation: Allocation, now_ms: int) -> Allocation:
    """Return the allocation with the notice of its end that is due: only the nearest of 90, 30 and 7 days."""
    if allocation.closed_ms or not allocation.starts_ms <= now_ms < allocation.ends_ms:
        return allocation
    due = [days for days in NOTICE_DAYS if now_ms >= allocation.ends_ms - days * DAY_MS]
    kind = f"ends-{allocation.ends_ms}-{min(due)}" if due else ""
    if not due or any(each.kind == kind for each in allocation.notices):
        return allocation
    text = f"it ends within {min(due)} days; what is left then is returned after {allocation.grace_days} more"
    return tell(allocation, Notice(now_ms, kind, text))


def tell(allocation: Allocation, notice: Notice) -> Allocation:
    """Return the allocation with a notice more; the oldest make room."""
    return replace(allocation, notices=(*allocation.notices, notice)[-CHANGES_AT_MOST:])


def ask_change(allocation: Allocation, change: Change) -> Allocation:
    """Return the allocation with a change asked for; raises Refused or Conflict for one that cannot be.

    A change that is like one still open is that one.
    """
    for each in allocation.changes:
        same = replace(each, n=change.n, at_ms=change.at_ms, before=change.before, after=change.after)
        if each.state is Decided.ASKED and same == change:
            return allocation
    if allocation.closed_ms:
        raise Conflict("closed", "a closed allocation does not change: apply for another")
    if len(allocation.changes) >= CHANGES_AT_MOST:
        raise Conflict("too_many", f"an allocation has at most {CHANGES_AT_MOST} changes")
    if change.kind in MOVING and change.amount_micro <= 0:
        raise _bad("/amount", "it must be more than nothing", "such as 1000.00")
    if change.kind is ChangeKind.EXTEND and change.ends_ms <= max(allocation.ends_ms, change.at_ms):
        raise _bad("/ends", "that is no later than it ends now", "a later time")
    if change.kind is ChangeKind.TRANSFER and change.to_project in {"", allocation.project}:
        raise _bad("/to_project", "it names no other project", "another project of the institution")
    before = f"ends_ms={allocation.ends_ms} suspended={allocation.suspended}"
    numbered = replace(change, n=len(allocation.changes) + 1, before=before)
    return replace(allocation, changes=(*allocation.changes, numbered))


def find_change(allocation: Allocation, n: int) -> Change | None:
    """Return a change by its number."""
    return next((each for each in allocation.changes if each.n == n), None)


def decide_change(
    allocation: Allocation, n: int, by: str, note: str, at_ms: int, *, granted: bool
) -> Allocation:
    """Return the allocation with a change decided; its time and state change here, money by the ledger.

    Raises Denied for a change that gives and that the same person asked for; a repeat changes nothing.
    """
    change = find_change(allocation, n)
    if change is None:
        raise Conflict("no_such_change", f"there is no change {n}")
    if change.state is not Decided.ASKED:
        if (change.state is not Decided.REFUSED) == granted:
            return allocation
        raise Conflict("decided", f"change {n} was decided: {change.state.value}")
    if granted and change.kind in GIVING and by == change.by:
        raise Denied("self_approval", "who asks for a change does not decide on it: ask another officer")
    if granted and allocation.closed_ms:
        raise Conflict("closed", "a closed allocation does not change: apply for another")
    changed = _effect(allocation, change, at_ms) if granted else allocation
    state = Decided.REFUSED if not granted else Decided.GRANTED if change.kind in MOVING else Decided.DONE
    after = f"ends_ms={changed.ends_ms} suspended={changed.suspended}"
    decided = replace(change, state=state, decided_by=by, decided_ms=at_ms, note=note, after=after)
    return put_change(changed, decided)


def put_change(allocation: Allocation, change: Change) -> Allocation:
    """Return the allocation with a change in another state."""
    changes = tuple(change if each.n == change.n else each for each in allocation.changes)
    return replace(allocation, changes=changes)


def _effect(allocation: Allocation, change: Change, at_ms: int) -> Allocation:
    match change.kind:
        case ChangeKind.EXTEND:
            return replace(allocation, ends_ms=max(allocation.ends_ms, change.ends_ms))
        case ChangeKind.SUSPEND:
            return replace(allocation, suspended=True)
        case ChangeKind.RESUME:
            return replace(allocation, suspended=False)
        case ChangeKind.CLOSE:
            return replace(allocation, closed_ms=at_ms)
        case _:
            return allocation


def find_cut(allocation: Allocation, n: int) -> Cut:
    """Return a cut by its number; raises Conflict."""
    cut = next((each for each in allocation.cuts if each.n == n), None)
    if cut is None:
        raise Conflict("no_such_cut", f"there is no cut {n}")
    return cut


def put_cut(allocation: Allocation, cut: Cut) -> Allocation:
    """Return the allocation with a cut in another state."""
    return replace(allocation, cuts=tuple(cut if each.n == cut.n else each for each in allocation.cuts))


def appeal_cut(allocation: Allocation, n: int, reason: str, at_ms: int) -> Allocation:
    """Return the allocation with a cut appealed; it is not taken until that is answered."""
    cut = find_cut(allocation, n)
    if cut.state is CutState.APPEALED and cut.appeal == reason:
        return allocation
    if cut.state is not CutState.PROPOSED or at_ms >= cut.appeal_until_ms:
        raise Conflict("too_late", f"cut {n} is {cut.state.value}: the time for an appeal is over")
    return put_cut(allocation, replace(cut, state=CutState.APPEALED, appeal=reason))


def answer_cut(allocation: Allocation, n: int, by: str, note: str, *, waived: bool) -> Allocation:
    """Return the allocation with the appeal against a cut answered; a repeat changes nothing."""
    cut = find_cut(allocation, n)
    state = CutState.WAIVED if waived else CutState.UPHELD
    if cut.state is state:
        return allocation
    if cut.state not in {CutState.APPEALED, CutState.PROPOSED} or (not waived and not cut.appeal):
        raise Conflict("decided", f"cut {n} is {cut.state.value}")
    return put_cut(allocation, replace(cut, state=state, decided_by=by, note=note))


def due_cuts(allocation: Allocation, now_ms: int) -> tuple[Cut, ...]:
    """Return the cuts that are to be taken now: upheld, or not appealed in time."""
    return tuple(
        each
        for each in allocation.cuts
        if each.state is CutState.UPHELD
        or (each.state is CutState.PROPOSED and now_ms >= each.appeal_until_ms)
    )


def _bad(path: str, text: str, hint: str) -> Refused:
    return Refused("bad_change", text, (Problem(path, text, hint),))

"""Centres of the registry: who owns and runs them, and their phases, from a plan to the end of service.

A centre may never be connected; a connected one names its sites. What happened to a phase is appended,
never edited.
"""

import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from hutong.core.capacity.figures import Figure
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused

PHASES_MAX = 100
CHANGES_MAX = 20
_DAY = re.compile(r"^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$")


class PhaseState(StrEnum):
    """How far a phase is."""

    PLANNED = "planned"
    UNDER_CONSTRUCTION = "under-construction"
    ACCEPTED = "accepted"
    IN_SERVICE = "in-service"
    RETIRED = "retired"


_S = PhaseState
NEXT: Mapping[PhaseState, frozenset[PhaseState]] = MappingProxyType(
    {
        _S.PLANNED: frozenset({_S.UNDER_CONSTRUCTION, _S.ACCEPTED, _S.RETIRED}),
        _S.UNDER_CONSTRUCTION: frozenset({_S.ACCEPTED, _S.RETIRED}),
        _S.ACCEPTED: frozenset({_S.IN_SERVICE, _S.RETIRED}),
        _S.IN_SERVICE: frozenset({_S.RETIRED}),
        _S.RETIRED: frozenset(),
    }
)
"""What may follow. Nothing is built for capacity that is rented; a plan that is given up is retired.

The first state of a phase may be any: a centre may have been in service long before anybody registered it.
"""


@dataclass(frozen=True, slots=True)
class Party:
    """An owner or operator: by name, by credit code, and as an institution of the platform if it is one."""

    name: str = ""
    uscc: str = ""
    institution: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """WGS 84 coordinates in millionths of a degree."""

    lat_micro: int
    lon_micro: int


@dataclass(frozen=True, slots=True)
class CardLine:
    """Cards of one model of the catalogue."""

    model: str
    cards: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a phase has: cards by model, a stated figure of the whole, both, or nothing that anybody said."""

    lines: tuple[CardLine, ...] = ()
    stated: Figure | None = None

    @property
    def known(self) -> bool:
        """True if anything is said."""
        return bool(self.lines) or self.stated is not None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why something is believed: who said it; the document that shows it, and who confirmed that."""

    source: str
    document: str = ""
    confirmed_by: str = ""

    @property
    def proves(self) -> bool:
        """True if a document shows it and somebody answers for that."""
        return bool(self.document and self.confirmed_by)


@dataclass(frozen=True, slots=True)
class Change:
    """A phase came into a state `on` a day, month or year; recorded at `at_ms` by a person.

    `capacity` is what it has from then on, where that is another than was planned.
    """

    state: PhaseState
    on: str
    evidence: Evidence
    at_ms: int
    by: str
    capacity: Capacity | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """When a phase was to be in service, as told on a day; a later plan does not take an earlier one away."""

    due: str
    told: str
    source: str
    at_ms: int
    by: str
    capacity: Capacity | None = None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A phase that should not have been entered: it counts nowhere and stays to be seen."""

    reason: str
    at_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a centre that comes as a whole. `changes` and `plans` are in order of their days."""

    id: str
    name: str
    capacity: Capacity
    changes: tuple[Change, ...]
    plans: tuple[Plan, ...] = ()
    withdrawn: Withdrawal | None = None
    note: str = ""

    def change_at(self, day: str) -> Change | None:
        """Return the last change up to a day; None before the first, and for a phase that was withdrawn."""
        if self.withdrawn:
            return None
        past = [each for each in self.changes if last_day(each.on) <= day]
        return past[-1] if past else None

    def state_at(self, day: str) -> PhaseState | None:
        """Return the state on a day, None where nothing is known of it then."""
        change = self.change_at(day)
        return change.state if change else None

    def capacity_at(self, day: str) -> Capacity:
        """Return what the phase has on a day: as last told up to then."""
        told = [each.capacity for each in self.changes if each.capacity and last_day(each.on) <= day]
        return told[-1] if told else self.capacity

    def proved_at(self, day: str) -> bool:
        """True if by then a document shows that it was accepted or in service, and somebody confirmed it."""
        shows = {PhaseState.ACCEPTED, PhaseState.IN_SERVICE}
        return any(
            each.state in shows and each.evidence.proves and last_day(each.on) <= day for each in self.changes
        )

    def since(self, state: PhaseState) -> str:
        """Return when it came into a state, empty if it did not."""
        return next((each.on for each in self.changes if each.state is state), "")


@dataclass(frozen=True, slots=True)
class Centre:
    """A computing centre. `sites` are those through which it is connected.

    `origin` is a digest of the rows or the document it was entered from, `file` of the whole file.
    """

    id: str
    name_zh: str
    name_en: str
    region: str
    owner: Party = Party()
    operator: Party = Party()
    contract: str = ""
    place: Place | None = None
    sites: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    note: str = ""
    origin: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """One of its names."""
        return self.name_en or self.name_zh or self.id

    def phase(self, id: str) -> Phase:
        """Return a phase; raises NotFound."""
        found = next((each for each in self.phases if each.id == id), None)
        if found is None:
            raise NotFound("not_found", f"centre {self.id!r} has no phase {id!r}")
        return found


def last_day(text: str, path: str = "") -> str:
    """Return the last day of a day, month or year, when what it tells is sure; raises Refused."""
    match = _DAY.match(text)
    try:
        if match is None:
            raise ValueError(text)
        year, month = int(match[1]), int(match[2] or 12)
        day = int(match[3]) if match[3] else monthrange(year, month)[1]
        return date(year, month, day).isoformat()
    except ValueError:
        problem = Problem(path, f"{text!r} is no date", "2025-03-31, 2025-03 or 2025")
        raise Refused("bad_date", problem.message, (problem,)) from None


def check_changes(changes: Sequence[Change], today: str, path: str = "/changes") -> None:
    """Raise Refused if the first states of a new phase are none, or do not follow on one another."""
    if not changes:
        problem = Problem(path, "a phase has a state from the beginning", "planned, with when that was told")
        raise Refused("no_state", problem.message, (problem,))
    for at, (before, after) in enumerate(zip((None, *changes), changes, strict=False)):
        _check_change(before, after, today, f"{path}/{at}")


def add_phase(centre: Centre, phase: Phase, today: str) -> Centre:
    """Return a centre with a new phase; the same one again changes nothing. Raises Refused or Conflict."""
    there = next((each for each in centre.phases if each.id == phase.id), None)
    if there is not None:
        if _unsigned(there) == _unsigned(phase):
            return centre
        raise Conflict("exists", f"centre {centre.id!r} has another phase {phase.id!r} already")
    if len(centre.phases) >= PHASES_MAX:
        raise Refused("too_many", f"a centre has no more than {PHASES_MAX} phases")
    check_changes(phase.changes, today)
    return replace(centre, phases=(*centre.phases, phase))


def add_change(centre: Centre, phase: str, change: Change, today: str) -> Centre:
    """Return a centre of which a phase came into another state; a repeat of the last changes nothing."""
    there = _open(centre, phase)
    last = there.changes[-1]
    if replace(last, at_ms=change.at_ms, by=change.by) == change:
        return centre
    if len(there.changes) >= CHANGES_MAX:
        raise Refused("too_many", f"a phase has no more than {CHANGES_MAX} changes")
    _check_change(last, change, today, "")
    return _with(centre, replace(there, changes=(*there.changes, change)))


def add_plan(centre: Centre, phase: str, plan: Plan, today: str) -> Centre:
    """Return a centre of which a phase has a newer plan; a repeat of the last one changes nothing."""
    there = _open(centre, phase)
    if there.plans and replace(there.plans[-1], at_ms=plan.at_ms, by=plan.by) == plan:
        return centre
    if len(there.plans) >= CHANGES_MAX:
        raise Refused("too_many", f"a phase has no more than {CHANGES_MAX} plans")
    check_plans((*there.plans[-1:], plan), today, "")
    return _with(centre, replace(there, plans=(*there.plans, plan)))


def check_plans(plans: Sequence[Plan], today: str, path: str = "/plans") -> None:
    """Raise Refused if plans do not follow on one another, or were told in the future."""
    for at, plan in enumerate(plans):
        last_day(plan.due, f"{path}/due")
        last_day(plan.told, f"{path}/told")
        _not_after(first_day(plan.told), today, f"{path}/told")
        if at and last_day(plan.told) < last_day(plans[at - 1].told):
            text = f"{plan.told} is before {plans[at - 1].told}, when the plan before it was told"
            raise Refused("out_of_order", text, (Problem(f"{path}/told", text, "plans in order"),))


def withdraw(centre: Centre, phase: str, withdrawal: Withdrawal) -> Centre:
    """Return a centre of which a phase counts no more; what is withdrawn stays so."""
    there = centre.phase(phase)
    return centre if there.withdrawn else _with(centre, replace(there, withdrawn=withdrawal))


def _check_change(before: Change | None, after: Change, today: str, path: str) -> None:
    on = last_day(after.on, f"{path}/on")
    _not_after(first_day(after.on), today, f"{path}/on")
    if before is None:
        return
    if after.state not in NEXT[before.state]:
        may = ", ".join(sorted(NEXT[before.state])) or "nothing"
        text = f"{after.state} does not follow on {before.state}"
        raise Refused("illegal_transition", text, (Problem(f"{path}/state", text, f"may follow: {may}"),))
    if on < last_day(before.on):
        text = f"{after.on} is before {before.on}, when it was {before.state}"
        raise Refused("out_of_order", text, (Problem(f"{path}/on", text, f"{before.on} or later"),))


def first_day(text: str) -> str:
    """Return the first day of a day, month or year that is one."""
    return f"{text}-01-01"[:10] if len(text) == 4 else f"{text}-01"[:10]


def _not_after(day: str, today: str, path: str) -> None:
    if day > today:
        problem = Problem(path, f"{day} has not come yet", f"{today} or before; a plan says what is to come")
        raise Refused("bad_date", problem.message, (problem,))


def _open(centre: Centre, phase: str) -> Phase:
    there = centre.phase(phase)
    if there.withdrawn:
        raise Conflict("withdrawn", f"phase {phase!r} of {centre.id!r} was withdrawn: enter a new one")
    return there


def _with(centre: Centre, phase: Phase) -> Centre:
    return replace(centre, phases=tuple(phase if each.id == phase.id else each for each in centre.phases))


def _unsigned(phase: Phase) -> Phase:
    """Return a phase without who recorded it, and when."""
    changes = tuple(replace(each, at_ms=0, by="") for each in phase.changes)
    return replace(phase, changes=changes, plans=tuple(replace(each, at_ms=0, by="") for each in phase.plans))

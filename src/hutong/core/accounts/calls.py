"""Programmes and calls: a round's rules, and its money as decisions take it, give it back and wait for it.

A decision that gives money is made here, as a part of the round; the application is told of it. So the sum
of the parts is the guarded counter of the budget: one document, one version, one writer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hutong.core.accounts.registry import InstitutionKind
from hutong.core.kernel.errors import Conflict

PARTS_AT_MOST = 2000


@dataclass(frozen=True, slots=True)
class Programme:
    """What calls are made under: who gives, and what for."""

    id: str
    name_zh: str
    name_en: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """The rules of a round.

    `score_min` is the least mean score (0 to 100) of `reviewers_min` reviews; a request of at most
    `auto_micro` is accepted at once; `kinds` (empty: any) may apply; `grace_days` follow an allocation's end.
    """

    reviewers_min: int = 2
    score_min: int = 60
    decide_days: int = 30
    appeal_days: int = 14
    auto_micro: int = 0
    request_max_micro: int = 0
    kinds: tuple[InstitutionKind, ...] = ()
    verified_only: bool = False
    grace_days: int = 30


@dataclass(frozen=True, slots=True)
class Part:
    """Money of the round for an application, by its decision `number`; immutable but for what is returned.

    `of` is the application, or `<application>+<n>` for a supplement of its allocation.
    """

    of: str
    number: int
    amount_micro: int
    outcome: str
    by: str
    reason: str
    at_ms: int
    returned_micro: int = 0

    @property
    def kept_micro(self) -> int:
        """What it takes of the budget."""
        return self.amount_micro - self.returned_micro


@dataclass(frozen=True, slots=True)
class Call:
    """A round of a programme: who may apply when, for allocations over `[starts, ends)`."""

    id: str
    programme: str
    title: str
    opens_ms: int
    closes_ms: int
    starts_ms: int
    ends_ms: int
    budget_micro: int
    policy: CallPolicy
    grants: tuple[Part, ...] = ()
    waiting: tuple[Part, ...] = ()

    @property
    def granted_micro(self) -> int:
        """What decisions have given."""
        return sum(part.kept_micro for part in self.grants)

    @property
    def left_micro(self) -> int:
        """What decisions may still give."""
        return self.budget_micro - self.granted_micro


def find_part(call: Call, of: str) -> tuple[Part | None, bool]:
    """Return the part of an application and whether it waits."""
    for part in call.grants:
        if part.of == of:
            return part, False
    return next((part for part in call.waiting if part.of == of), None), True


def grant(call: Call, part: Part) -> Call:
    """Return the call with money given. Raises Conflict: over the budget, past others that wait, or twice."""
    _check_new(call, part)
    if call.waiting:
        raise Conflict("others_wait", f"{len(call.waiting)} applications wait for money: put it on the list")
    if part.amount_micro > call.left_micro:
        raise Conflict("over_budget", "the round has not that much left: accept a part, or let it wait")
    return replace(call, grants=(*call.grants, part))


def wait(call: Call, part: Part) -> Call:
    """Return the call with an application at the end of its waiting list."""
    _check_new(call, part)
    return replace(call, waiting=(*call.waiting, part))


def _check_new(call: Call, part: Part) -> None:
    if find_part(call, part.of)[0] is not None:
        raise Conflict("decided", f"a decision on {part.of} has just been made")
    if len(call.grants) + len(call.waiting) >= PARTS_AT_MOST:
        raise Conflict("too_many", f"a round gives money to at most {PARTS_AT_MOST}")


def release(call: Call, of: str) -> Call:
    """Return the call without the part of an application, waiting or not."""
    return replace(
        call,
        grants=tuple(part for part in call.grants if part.of != of),
        waiting=tuple(part for part in call.waiting if part.of != of),
    )


def give_back(call: Call, ofs: Sequence[str], back_micro: int) -> Call:
    """Return the call in which that much, in all, came back of the parts named, the first of them first."""
    returned = {}
    for of in ofs:
        part, waits = find_part(call, of)
        if part is not None and not waits:
            returned[of] = min(part.amount_micro, back_micro)
            back_micro -= returned[of]
    parts = tuple(
        replace(part, returned_micro=returned.get(part.of, part.returned_micro)) for part in call.grants
    )
    return replace(call, grants=parts)


def serve(call: Call) -> tuple[Call, tuple[Part, ...]]:
    """Return the call after all at the head of the waiting list that fit were served, and who they are.

    Strictly in order: one that fits does not overtake one that does not.
    """
    served: list[Part] = []
    while call.waiting and call.waiting[0].amount_micro <= call.left_micro:
        head = replace(call.waiting[0], outcome="accepted")
        call = replace(call, grants=(*call.grants, head), waiting=call.waiting[1:])
        served.append(head)
    return call, tuple(served)

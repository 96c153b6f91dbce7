"""What an institution was at a time: its kind by period, and to whom it is related."""

from dataclasses import replace

from hutong.core.accounts.registry import FOREVER_MS, Institution, InstitutionKind, KindPeriod, Relation
from hutong.core.kernel.errors import Conflict, Problem, Refused

KINDS_AT_MOST = 100


def kind_at(institution: Institution, at_ms: int) -> InstitutionKind:
    """Return the kind that the institution had at a time (L13: a report uses the kind at the time of use)."""
    for period in institution.kinds:
        if period.from_ms <= at_ms < period.upto_ms:
            return period.kind
    return institution.kind


def change_kind(institution: Institution, kind: InstitutionKind, from_ms: int, now_ms: int) -> Institution:
    """Return the institution with a new period from a time on; what was before stays as it was.

    Raises Refused for a time that has passed: reports of it may be out. A repeat changes nothing.
    """
    periods = institution.kinds or (KindPeriod(institution.kind, 0),)
    last = periods[-1]
    if last.kind is kind and (from_ms == last.from_ms or from_ms >= now_ms):
        return institution
    if from_ms < now_ms or from_ms <= last.from_ms:
        text = "a kind changes from now on or later, after the change before"
        raise Refused("bad_span", text, (Problem("/from", text, "leave it out: it is from now on"),))
    if len(periods) >= KINDS_AT_MOST:
        raise Conflict("too_many", f"an institution has at most {KINDS_AT_MOST} periods")
    closed = replace(last, upto_ms=from_ms)
    return replace(institution, kind=kind, kinds=(*periods[:-1], closed, KindPeriod(kind, from_ms)))


def relate(one: str, other: str, reason: str, from_ms: int, upto_ms: int = FOREVER_MS) -> Relation:
    """Return the relation of two institutions, the same whichever is named first."""
    if one == other:
        problem = Problem("/institution", "an institution is not its own related party", "name another")
        raise Refused("contradiction", "an institution is not its own related party", (problem,))
    first, second = sorted((one, other))
    return Relation(first, second, reason, from_ms, upto_ms)


def holds_at(relation: Relation | None, at_ms: int) -> bool:
    """True if two institutions are related at a time."""
    return relation is not None and relation.from_ms <= at_ms < relation.upto_ms

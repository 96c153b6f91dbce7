"""Proposals in the store: a change above its threshold is written down here instead of being made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hutong.core.accounts.approvals import (
    ADDED_UP,
    OPEN_AT_MOST,
    Alone,
    AloneSum,
    Change,
    Proposal,
    ProposalState,
    Threshold,
    expiry_ms,
    require_alone,
    require_decision,
)
from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Later, NotFound, Problem, Refused, Waits
from hutong.server.audited import marked
from hutong.server.registry import document, every, read
from hutong.server.services import Services

PROPOSAL, THRESHOLD, ALONE = "proposal", "threshold", "alone_sum"
OPEN, CLOSED = "open", "closed"
"""Parents of proposals: those that wait are found without reading those that are over."""
_ENDED = {ProposalState.REFUSED, ProposalState.EXPIRED, ProposalState.FAILED}
_AGAIN_MOST = 100

Apply = Callable[[Services, Mapping[str, object], str], None]
"""Makes a change of this request; the last is the proposal's id, under which it happens once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change that somebody is about to make: its size, where, and the request that carries it out."""

    change: Change
    permission: str
    size: int
    request: dict[str, object]
    project: str = ""
    institution: str = ""


def threshold_of(store: Store, change: Change) -> Threshold | None:
    """Return the threshold of a change, None where one person always suffices."""
    record = store.get(THRESHOLD, change.value)
    return None if record is None else read(Threshold, record)


def require_second(
    here: Services, principal: Principal, wanted: Wanted, id_: str, *, anew: bool = False
) -> None:
    """Return if the change may be made now; else write it down under that id and raise Waits.

    Done under the same id, it may be made: a repeat finds what was done. Refused, it may not. With `anew`
    an id is not of one request: what was decided is over, and it is proposed again. Raises Conflict where
    another request has the id.
    """
    limit = threshold_of(here.store, wanted.change)
    if wanted.change is Change.THRESHOLD:
        limit = limit or Threshold(wanted.change, 0)
    if limit is None or (wanted.size <= limit.above and _alone(here, principal, wanted, id_, limit)):
        return
    now_ms = here.clock()
    for turn in range(_AGAIN_MOST):
        name = f"{id_[:24]}{turn:02}" if turn else id_
        record = here.store.get(PROPOSAL, name)
        if record is None:
            _propose(here, principal, wanted, name, expiry_ms(limit, now_ms))
            raise _waits(name)
        there = read(Proposal, record)
        if there.request != wanted.request or there.by != principal.id:
            raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
        state = there.state_at(now_ms)
        if state is ProposalState.DONE and not anew:
            return
        if state not in _ENDED and state is not ProposalState.DONE:
            raise _waits(name)
        if not anew:
            raise Conflict("refused", f"proposal {name} is {state.value}; ask anew with another key")
    raise Conflict("too_many", "this was proposed a hundred times already")


def _alone(here: Services, principal: Principal, wanted: Wanted, id_: str, limit: Threshold) -> bool:
    """True if somebody may make a change alone, which is noted then: like ones of a day count together.

    A repeat is no other change. What was proposed under its id already is decided there.
    """
    if wanted.change not in ADDED_UP or wanted.size <= 0:
        return True
    name = f"{wanted.change.value}|{principal.id}"
    for _ in range(_AGAIN_MOST):
        record = here.store.get(ALONE, name)
        before = AloneSum() if record is None else read(AloneSum, record)
        if any(each.id == id_ and each.size >= wanted.size for each in before.made):
            return True
        after = before.add(Alone(id_, wanted.size, here.clock()))
        if after.size > limit.above or here.store.get(PROPOSAL, id_) is not None:
            return False
        made = record or Record(ALONE, name, {})
        try:
            here.store.put(replace(made, doc=document(after)), expect=made.version)
        except Conflict:
            continue
        return True
    raise Later("the same person makes many such changes at once", 1)


def _waits(name: str) -> Waits:
    hint = f"somebody else with the permission: hutong approvals approve {name}"
    message = f"this takes two people: proposal {name} waits for the second"
    return Waits("second_person", message, (Problem("", f"proposal {name}", hint),))


def _propose(here: Services, principal: Principal, wanted: Wanted, name: str, expires_ms: int) -> None:
    now_ms = here.clock()
    waiting = every(here.store, PROPOSAL, OPEN, OPEN_AT_MOST)
    late = [each for each in waiting if read(Proposal, each).state_at(now_ms) is ProposalState.EXPIRED]
    for record in late:
        _write(here.store, record, replace(read(Proposal, record), state=ProposalState.EXPIRED))
    if len(waiting) - len(late) >= OPEN_AT_MOST:
        raise Conflict("too_many", f"{OPEN_AT_MOST} proposals wait already: decide some first")
    proposal = Proposal(
        id=name,
        change=wanted.change,
        permission=wanted.permission,
        size=wanted.size,
        by=principal.id,
        at_ms=now_ms,
        expires_ms=expires_ms,
        request=wanted.request,
        project=wanted.project,
        institution=wanted.institution,
    )
    here.store.put(Record(PROPOSAL, name, document(proposal), OPEN), expect=0)


def find(store: Store, name: str) -> tuple[Record, Proposal]:
    """Return a proposal with its record; raises NotFound."""
    record = store.get(PROPOSAL, name)
    if record is None:
        raise NotFound("not_found", f"there is no proposal {name!r}")
    return record, read(Proposal, record)


def refuse(here: Services, principal: Principal, name: str, note: str) -> Proposal:
    """Say no; or, to one's own, take it back."""
    record, proposal = find(here.store, name)
    require_decision(principal, proposal, here.clock(), approves=False)
    decided = replace(
        proposal,
        state=ProposalState.REFUSED,
        decided_by=principal.id,
        decided_ms=here.clock(),
        note=note,
    )
    _write(here.store, record, decided)
    return decided


def approve(
    here: Services,
    principal: Principal,
    name: str,
    note: str,
    changes: Mapping[Change, Apply],
    *,
    break_glass: bool = False,
) -> Proposal:
    """Say yes and make the change; a repeat after a crash in between makes it, and never makes it twice.

    `break_glass` lets one person, who may also be the proposer, go on alone; the audit says so.
    """
    record, proposal = find(here.store, name)
    if break_glass:
        require_alone(principal, proposal, here.clock())
    else:
        require_decision(principal, proposal, here.clock(), approves=True)
    mark = f"break-glass {name}" if break_glass or proposal.broke_glass else f"approved {name}"
    here = replace(here, store=marked(here.store, mark, note))
    if proposal.state is ProposalState.OPEN:
        proposal = replace(
            proposal,
            state=ProposalState.APPROVED,
            decided_by=principal.id,
            decided_ms=here.clock(),
            note=note,
            broke_glass=break_glass,
        )
        record = _write(here.store, record, proposal, parent=OPEN)
    try:
        changes[proposal.change](here, proposal.request, name)
    except Refused as error:
        if error.status < 400:
            raise
        failed = replace(proposal, state=ProposalState.FAILED, note=f"{proposal.note} [{error.message}]")
        _write(here.store, record, failed)
        raise
    done = replace(proposal, state=ProposalState.DONE)
    _write(here.store, record, done)
    return done


def _write(store: Store, record: Record, proposal: Proposal, parent: str = CLOSED) -> Record:
    """Write a decision over what was read; raises Conflict if somebody else decided meanwhile."""
    return store.put(replace(record, doc=document(proposal), parent=parent), expect=record.version)

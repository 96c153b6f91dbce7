"""Applications in the registry, and the steps that the platform itself takes: admit, decide, award.

A decision that gives money is first a part of its call, under the guard of the budget, and then told to the
application. `advance` takes every step that is due and may be called at any time, by anybody, twice at once.
"""

from collections.abc import Callable

from hutong.core.accounts import applications as a
from hutong.core.accounts import calls as c
from hutong.core.accounts.allocations import Allocation
from hutong.core.accounts.eligibility import awaited
from hutong.core.accounts.registry import Institution
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, HutongError
from hutong.server.awards import award_lot, open_award
from hutong.server.calls import change_call, load_call
from hutong.server.registry import amend, create, document, load, read

KIND = "application"
OF_PROJECT = "application_of"
OF_REVIEWER = "review_of"
ENTRY = "application_entry"
_PAGE = 200


def load_application(store: Store, application: str) -> a.Application:
    """Return an application; raises NotFound."""
    return load(store, KIND, application, a.Application)


def change_application(
    store: Store, application: str, change: Callable[[a.Application], a.Application]
) -> a.Application:
    """Change an application in one guarded write; what `change` raises leaves it as it was."""
    return amend(store, KIND, application, a.Application, change)[0]


def store_draft(store: Store, draft: a.Application) -> a.Application:
    """Write a new draft, where its project finds it; the same one again changes nothing."""
    place = f"{draft.project}/{draft.id}"
    store.put(Record(OF_PROJECT, place, {}, parent=draft.project))
    create(store, Record(KIND, draft.id, document(draft), draft.call), KIND)
    return draft


def enter(store: Store, application: a.Application) -> None:
    """Take the one place that a project has in a call; raises Conflict if another application has it."""
    place = f"{application.call}/{application.project}"
    record = store.get(ENTRY, place)
    holder = str(record.doc["application"]) if record else ""
    if holder and holder != application.id:
        there = store.get(KIND, holder)
        if there is not None and read(a.Application, there).state is not a.State.WITHDRAWN:
            text = f"{application.project} has entered {holder} in this call: withdraw it first"
            raise Conflict("entered_already", text)
    if holder != application.id:
        doc: dict[str, object] = {"application": application.id}
        store.put(Record(ENTRY, place, doc), expect=record.version if record else 0)


def assign_reviewer(store: Store, application: str, person: str, by: str, now_ms: int) -> a.Application:
    """Make a person a reviewer, where they find it; a repeat changes nothing."""
    store.put(Record(OF_REVIEWER, f"{person}/{application}", {}, parent=person))
    return change_application(store, application, lambda there: a.assign(there, person, by, now_ms))


def decide(store: Store, application: a.Application, part: c.Part) -> None:
    """Make a decision that gives money, now or when there is some, in its call; `advance` tells it.

    Raises Conflict: over the budget, past others that wait, or another decision was made meanwhile.
    """
    waits = part.outcome == a.Outcome.WAITLISTED.value
    change = c.wait if waits else c.grant
    change_call(store, application.call, lambda call: change(call, part))


def reject(store: Store, part: c.Part) -> a.Application:
    """Reject the application of a part, unless it came before the reviewers anew meanwhile."""

    def work(there: a.Application) -> a.Application:
        if there.number != part.number:
            raise Conflict("decided", "the application has changed meanwhile: look at it again")
        return a.decide(there, part)

    return change_application(store, part.of, work)


def advance(store: Store, application: str, now_ms: int) -> a.Application:
    """Take every step of an application that is due: admit, accept what is small, tell, award, let go."""
    there = load_application(store, application)
    if there.state is a.State.SUBMITTED:
        there = _admit(store, there, now_ms)
    if there.state is a.State.IN_REVIEW and there.number == 1:
        _accept_small(store, there, now_ms)
    there = _tell(store, there, now_ms)
    if there.state is a.State.DECIDED and there.outcome in a.GIVES:
        there = _award(store, there, now_ms)
    return there


def _admit(store: Store, application: a.Application, now_ms: int) -> a.Application:
    call = load_call(store, application.call)
    institution = load(store, "institution", application.institution, Institution)
    if awaited(call, institution):
        return application

    def admit(there: a.Application) -> a.Application:
        if there.state is not a.State.SUBMITTED:
            return there
        return a.step(there, a.Action.ADMIT, a.MACHINE, now_ms, "eligible")

    return change_application(store, application.id, admit)


def _accept_small(store: Store, application: a.Application, now_ms: int) -> None:
    """Decide at once on what is below the round's ceiling; where that cannot be, reviewers get it."""
    call = load_call(store, application.call)
    amount = application.ask.amount_micro
    untouched = not application.reviewers and not application.declared
    if not untouched or amount > call.policy.auto_micro:
        return
    reason = "below the ceiling under which the call accepts at once"
    part = c.Part(
        application.id, application.number, amount, a.Outcome.ACCEPTED.value, a.MACHINE, reason, now_ms
    )
    try:
        decide(store, application, part)
    except Conflict:
        return  # no money, others wait, or decided already: the application stands as it is


def _tell(store: Store, application: a.Application, now_ms: int) -> a.Application:
    """Bring an application up to what its call says of it, and the call up to what became of it."""
    part, waits = c.find_part(load_call(store, application.call), application.id)
    if part is None:
        return application

    def tell(there: a.Application) -> a.Application:
        if there.number != part.number:
            return there
        if there.state is a.State.IN_REVIEW:
            return a.decide(there, part)
        if not waits and there.state is a.State.DECIDED and there.outcome is a.Outcome.WAITLISTED:
            return a.serve(there, now_ms)
        return there

    told = change_application(store, application.id, tell)
    wanted = {a.Outcome.WAITLISTED} if waits else a.GIVES
    decided = told.state in {a.State.DECIDED, a.State.AWARDED} and told.outcome in wanted
    if not decided or told.number != part.number:
        _let_go(store, told, part)
    return told


def _let_go(store: Store, application: a.Application, part: c.Part) -> None:
    """Free the money of an application that went another way: that decision can never be told any more."""

    def free(call: c.Call) -> c.Call:
        there, _ = c.find_part(call, part.of)
        return c.release(call, part.of) if there == part else call

    change_call(store, application.call, free)


def _award(store: Store, application: a.Application, now_ms: int) -> a.Application:
    """Open the lot and the allocation of an accepted application: ids are made from the application's."""
    call = load_call(store, application.call)
    lot = award_lot(f"award-{application.id}", application.project, call.starts_ms, call.ends_ms)
    open_award(store, lot, application.amount_micro, now_ms)
    allocation = Allocation(
        id=application.id,
        project=application.project,
        call=call.id,
        part=application.id,
        lot=lot.id,
        starts_ms=call.starts_ms,
        ends_ms=call.ends_ms,
        grace_days=call.policy.grace_days,
        plan=application.ask.plan,
    )
    store_allocation(store, allocation)

    def award(there: a.Application) -> a.Application:
        if there.state is a.State.AWARDED:
            return there
        return a.step(there, a.Action.AWARD, a.MACHINE, now_ms, lot.id)

    return change_application(store, application.id, award)


def store_allocation(store: Store, allocation: Allocation) -> None:
    """Write a new allocation unless it is there, however far it has come since."""
    if store.get("allocation", allocation.id) is None:
        record = Record("allocation", allocation.id, document(allocation), allocation.project)
        try:
            store.put(record, expect=0)
        except Conflict:
            return  # another process was faster


def settle_call(store: Store, call: str, after: str, now_ms: int) -> tuple[int, str, tuple[str, ...]]:
    """Serve the waiting list of a call and advance one page of its applications.

    Returns how many stand elsewhere than before, the next page's cursor (empty: the last one), and faults.
    """
    if not after:
        change_call(store, call, lambda there: c.serve(there)[0])
    rows = store.records(KIND, call, after, _PAGE)
    changed, faults = 0, []
    for row in rows:
        before = read(a.Application, row)
        try:
            there = advance(store, row.id, now_ms)
        except HutongError as error:  # one application's trouble does not hold up the others
            faults.append(f"{row.id}: {error}")
            continue
        changed += there != before
    return changed, rows[-1].id if len(rows) == _PAGE else "", tuple(faults)

"""Applications: their states, who does what in which, and what each step makes of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from hutong.core.accounts.calls import CallPolicy, Part
from hutong.core.kernel.errors import Conflict, Denied, Problem, Refused
from hutong.core.kernel.quantities import DAY_MS

MACHINE = "machine"
"""Who acts where the platform itself does."""
HISTORY_AT_MOST = 300
REVIEWERS_AT_MOST = 20


class State(StrEnum):
    """Where an application stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"  # eligible but for what others still have to do: its institution is not verified
    IN_REVIEW = "in_review"
    REVISION = "revision"
    DECIDED = "decided"
    APPEALED = "appealed"
    AWARDED = "awarded"
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """What was decided."""

    NONE = ""
    ACCEPTED = "accepted"
    PARTLY = "partly"
    REJECTED = "rejected"
    WAITLISTED = "waitlisted"


GIVES = frozenset({Outcome.ACCEPTED, Outcome.PARTLY})


class Action(StrEnum):
    """What somebody does to an application."""

    SAVE = "save"
    SUBMIT = "submit"
    ADMIT = "admit"
    ASSIGN = "assign"
    DECLARE = "declare"
    REVIEW = "review"
    ASK_REVISION = "ask_revision"
    DECIDE = "decide"
    SERVE = "serve"
    AWARD = "award"
    APPEAL = "appeal"
    DISMISS = "dismiss"
    REOPEN = "reopen"
    WITHDRAW = "withdraw"


TRANSITIONS: Mapping[State, Mapping[Action, State]] = MappingProxyType(
    {
        State.DRAFT: {
            Action.SAVE: State.DRAFT, Action.SUBMIT: State.SUBMITTED, Action.WITHDRAW: State.WITHDRAWN,
        },
        State.SUBMITTED: {Action.ADMIT: State.IN_REVIEW, Action.WITHDRAW: State.WITHDRAWN},
        State.IN_REVIEW: {
            Action.ASSIGN: State.IN_REVIEW, Action.DECLARE: State.IN_REVIEW, Action.REVIEW: State.IN_REVIEW,
            Action.ASK_REVISION: State.REVISION, Action.DECIDE: State.DECIDED,
            Action.WITHDRAW: State.WITHDRAWN,
        },
        State.REVISION: {
            Action.SAVE: State.REVISION, Action.SUBMIT: State.SUBMITTED, Action.WITHDRAW: State.WITHDRAWN,
        },
        State.DECIDED: {
            Action.AWARD: State.AWARDED, Action.SERVE: State.DECIDED, Action.APPEAL: State.APPEALED,
            Action.WITHDRAW: State.WITHDRAWN,
        },
        State.APPEALED: {
            Action.DISMISS: State.DECIDED, Action.REOPEN: State.IN_REVIEW, Action.WITHDRAW: State.WITHDRAWN,
        },
        State.AWARDED: {},
        State.WITHDRAWN: {},
    }
)  # fmt: skip
# In `decided`, the outcome says which steps remain.
_OUTCOMES: Mapping[Action, frozenset[Outcome]] = MappingProxyType(
    {
        Action.AWARD: GIVES,
        Action.SERVE: frozenset({Outcome.WAITLISTED}),
        Action.APPEAL: frozenset({Outcome.REJECTED}),
        Action.WITHDRAW: frozenset({Outcome.WAITLISTED}),
    }
)


@dataclass(frozen=True, slots=True)
class Need:
    """Card-hours of an accelerator that the work is thought to take: for reviewers, binding nobody."""

    accelerator: str
    card_hours: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What is applied for. `plan` are percents of it for equal parts of the time; empty: even."""

    title: str
    narrative: str
    amount_micro: int
    needs: tuple[Need, ...] = ()
    plan: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """What a reviewer found; `public` is shown to the applicant once decided, `private` to officers."""

    person: str
    score: int
    public: str
    private: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Event:
    """One step of an application's history."""

    at_ms: int
    by: str
    action: Action
    note: str = ""


@dataclass(frozen=True, slots=True)
class Application:
    """A project's request to a call, with its whole history.

    `number` counts how often it came before the reviewers: a decision is made on one number only.
    `amount_micro` is what was decided. `declared` are reviewers' own conflicts of interest.
    `waited_ms` is how long the applicant had it for revision: the clock of the decision stood still.
    """

    id: str
    call: str
    project: str
    institution: str
    by: str
    ask: Ask
    state: State = State.DRAFT
    outcome: Outcome = Outcome.NONE
    amount_micro: int = 0
    number: int = 0
    submitted_ms: int = 0
    since_ms: int = 0
    waited_ms: int = 0
    decided_by: str = ""
    decided_ms: int = 0
    reviewers: tuple[str, ...] = ()
    declared: tuple[tuple[str, str], ...] = ()
    reviews: tuple[Review, ...] = ()
    history: tuple[Event, ...] = ()


def may_step(application: Application, action: Action) -> bool:
    """True if the table has this step."""
    if action not in TRANSITIONS[application.state]:
        return False
    wanted = _OUTCOMES.get(action) if application.state is State.DECIDED else None
    return wanted is None or application.outcome in wanted


def step(application: Application, action: Action, by: str, at_ms: int, note: str = "") -> Application:
    """Return the application one step on; raises Conflict (`wrong_state`) that names what is possible."""
    if not may_step(application, action):
        possible = [each.value for each in TRANSITIONS[application.state] if may_step(application, each)]
        told = f"{application.state}" + (f" ({application.outcome})" if application.outcome else "")
        what = f"possible now: {', '.join(possible)}" if possible else "nothing can be done any more"
        raise Conflict("wrong_state", f"{action.value}: the application is {told}; {what}")
    if len(application.history) >= HISTORY_AT_MOST:
        raise Conflict("too_long", f"an application takes at most {HISTORY_AT_MOST} steps")
    state = TRANSITIONS[application.state][action]
    event = Event(at_ms, by, action, note)
    since_ms = application.since_ms if state is application.state else at_ms
    number = application.number + (state is State.IN_REVIEW and application.state is not State.IN_REVIEW)
    return replace(
        application,
        state=state,
        since_ms=since_ms,
        number=number,
        history=(*application.history, event),
    )


def save(application: Application, ask: Ask, by: str, at_ms: int) -> Application:
    """Return the draft with another text; a draft that is the same stays the same."""
    if ask == application.ask and may_step(application, Action.SAVE):
        return application
    moved = replace(step(application, Action.SAVE, by, at_ms), ask=ask)
    last_two = moved.history[-2:]
    if len(last_two) == 2 and all(each.action is Action.SAVE and each.by == by for each in last_two):
        moved = replace(moved, history=(*moved.history[:-2], last_two[1]))
    return moved


def submit(application: Application, by: str, at_ms: int) -> Application:
    """Return the application handed in, for the first time or after a revision."""
    moved = step(application, Action.SUBMIT, by, at_ms)
    if application.state is State.REVISION:
        return replace(moved, waited_ms=application.waited_ms + at_ms - application.since_ms)
    return replace(moved, submitted_ms=at_ms)


def assign(application: Application, person: str, by: str, at_ms: int) -> Application:
    """Return the application with one reviewer more; a repeat changes nothing."""
    if person in application.reviewers:
        return application
    if len(application.reviewers) >= REVIEWERS_AT_MOST:
        raise Conflict("too_many", f"an application has at most {REVIEWERS_AT_MOST} reviewers")
    moved = step(application, Action.ASSIGN, by, at_ms, person)
    return replace(moved, reviewers=(*application.reviewers, person))


def declare(application: Application, person: str, reason: str, at_ms: int) -> Application:
    """Return the application without a reviewer who named a conflict of interest, nor their review."""
    _check_assigned(application, person)
    moved = step(application, Action.DECLARE, person, at_ms, reason)
    return replace(
        moved,
        reviewers=tuple(each for each in application.reviewers if each != person),
        reviews=tuple(each for each in application.reviews if each.person != person),
        declared=(*application.declared, (person, reason)),
    )


def review(application: Application, found: Review) -> Application:
    """Return the application with a reviewer's review; a second one replaces the first."""
    _check_assigned(application, found.person)
    if any(replace(each, at_ms=found.at_ms) == found for each in application.reviews):
        return application
    moved = step(application, Action.REVIEW, found.person, found.at_ms)
    others = tuple(each for each in application.reviews if each.person != found.person)
    return replace(moved, reviews=(*others, found))


def _check_assigned(application: Application, person: str) -> None:
    if person not in application.reviewers:
        raise Denied("forbidden", f"{person} is not among the reviewers of {application.id}")


def check_decision(application: Application, outcome: Outcome, amount_micro: int, policy: CallPolicy) -> None:
    """Raise unless the reviews allow the decision: enough of them, a good mean, an amount that was asked."""
    if not may_step(application, Action.DECIDE):
        step(application, Action.DECIDE, MACHINE, 0)
    if outcome is Outcome.REJECTED:
        return
    if amount_micro <= 0 or amount_micro > application.ask.amount_micro:
        text = "more than nothing, and at most what was asked for"
        raise Refused("bad_amount", text, (Problem("/amount", text, "or leave it out: all of it"),))
    if outcome is Outcome.PARTLY and amount_micro == application.ask.amount_micro:
        problem = Problem("/amount", "that is all that was asked for", "a smaller amount, or `accepted`")
        raise Refused("bad_amount", "a part is less than the whole", (problem,))
    if outcome is Outcome.ACCEPTED and amount_micro != application.ask.amount_micro:
        problem = Problem("/outcome", "that is not all that was asked for", "partly")
        raise Refused("contradiction", "an application is accepted whole, or partly", (problem,))
    scores = [each.score for each in application.reviews]
    if len(scores) < policy.reviewers_min:
        raise Conflict("too_few_reviews", f"{len(scores)} of {policy.reviewers_min} reviews are there")
    if sum(scores) < policy.score_min * len(scores):
        text = f"the mean score is {sum(scores) // len(scores)}, below {policy.score_min}"
        raise Conflict("score_too_low", text)


def decide(application: Application, part: Part) -> Application:
    """Return the application as decided; the machine decides on what is below the round's ceiling."""
    moved = step(application, Action.DECIDE, part.by, part.at_ms, part.reason)
    return replace(
        moved,
        outcome=Outcome(part.outcome),
        amount_micro=part.amount_micro,
        decided_by=part.by,
        decided_ms=part.at_ms,
    )


def serve(application: Application, at_ms: int) -> Application:
    """Return an application of the waiting list as accepted: its turn has come."""
    whole = application.amount_micro == application.ask.amount_micro
    moved = step(application, Action.SERVE, MACHINE, at_ms)
    return replace(moved, outcome=Outcome.ACCEPTED if whole else Outcome.PARTLY)


def appeal(application: Application, by: str, reason: str, at_ms: int, policy: CallPolicy) -> Application:
    """Return a rejected application as appealed; raises Conflict (`too_late`) after the window."""
    moved = step(application, Action.APPEAL, by, at_ms, reason)
    if any(each.action is Action.APPEAL for each in application.history):
        raise Conflict("appealed", "an application is appealed once")
    if at_ms >= application.decided_ms + policy.appeal_days * DAY_MS:
        raise Conflict("too_late", f"an appeal is made within {policy.appeal_days} days of the decision")
    return moved


def answer_appeal(
    application: Application, by: str, reason: str, at_ms: int, *, granted: bool
) -> Application:
    """Return an appealed application before the reviewers again, or as rejected as before.

    Raises Denied where who rejected it would judge on the appeal (L14).
    """
    moved = step(application, Action.REOPEN if granted else Action.DISMISS, by, at_ms, reason)
    if by == application.decided_by:
        raise Denied("self_approval", "who decided does not judge on the appeal: ask another officer")
    return replace(moved, outcome=Outcome.NONE, amount_micro=0) if granted else moved


def decide_by_ms(application: Application, policy: CallPolicy, now_ms: int) -> int:
    """Return when a decision is due (0: not handed in); time for revisions does not count."""
    if not application.submitted_ms:
        return 0
    open_ms = now_ms - application.since_ms if application.state is State.REVISION else 0
    return application.submitted_ms + policy.decide_days * DAY_MS + application.waited_ms + open_ms

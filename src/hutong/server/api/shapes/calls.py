"""Programmes, calls and applications as the wire shows them, and as it says them."""

from hutong.core.accounts import applications as a
from hutong.core.accounts import calls as c
from hutong.core.accounts.registry import InstitutionKind
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import parse_micro
from hutong.server.api.shapes.times import read_time, time_or_none
from hutong.wire import calls as w
from hutong.wire.base import Money, rfc3339


def read_money(money: Money | None, path: str) -> int:
    """Return micro-yuan, 0 for none; raises Refused for less than nothing."""
    amount = parse_micro(money.amount, f"{path}/amount") if money else 0
    if amount < 0:
        problem = Problem(f"{path}/amount", "it is less than nothing", "such as 1000.00")
        raise Refused("bad_amount", "an amount is not less than nothing", (problem,))
    return amount


def read_call(body: w.NewCall) -> c.Call:
    """Return the call that is wanted; raises Refused that names what cannot be."""
    policy = c.CallPolicy(
        reviewers_min=body.policy.reviewers_min,
        score_min=body.policy.score_min,
        decide_days=body.policy.decide_days,
        appeal_days=body.policy.appeal_days,
        auto_micro=read_money(body.policy.accept_at_once, "/policy/accept_at_once"),
        request_max_micro=read_money(body.policy.request_max, "/policy/request_max"),
        kinds=tuple(InstitutionKind(kind) for kind in body.policy.kinds),
        verified_only=body.policy.verified_only,
        grace_days=body.policy.grace_days,
    )
    call = c.Call(
        id=body.id,
        programme=body.programme,
        title=body.title,
        opens_ms=read_time(body.opens, "/opens"),
        closes_ms=read_time(body.closes, "/closes"),
        starts_ms=read_time(body.starts, "/starts"),
        ends_ms=read_time(body.ends, "/ends"),
        budget_micro=read_money(body.budget, "/budget"),
        policy=policy,
    )
    problems = []
    if call.closes_ms <= call.opens_ms:
        problems.append(Problem("/closes", "it closes before it opens", "a time after `opens`"))
    if call.ends_ms <= call.starts_ms:
        problems.append(Problem("/ends", "it ends before it starts", "a time after `starts`"))
    if call.budget_micro <= 0:
        problems.append(Problem("/budget/amount", "it has nothing to give", "such as 1000000.00"))
    if problems:
        raise Refused("bad_call", "that call cannot be made", tuple(problems))
    return call


def call_shape(call: c.Call) -> w.Call:
    """Return a call as shown."""
    policy = call.policy
    return w.Call(
        id=call.id,
        programme=call.programme,
        title=call.title,
        opens=rfc3339(call.opens_ms),
        closes=rfc3339(call.closes_ms),
        starts=rfc3339(call.starts_ms),
        ends=rfc3339(call.ends_ms),
        budget=Money.of(call.budget_micro),
        policy=w.CallPolicy(
            reviewers_min=policy.reviewers_min,
            score_min=policy.score_min,
            decide_days=policy.decide_days,
            appeal_days=policy.appeal_days,
            accept_at_once=Money.of(policy.auto_micro) if policy.auto_micro else None,
            request_max=Money.of(policy.request_max_micro) if policy.request_max_micro else None,
            kinds=tuple(kind.value for kind in policy.kinds),
            verified_only=policy.verified_only,
            grace_days=policy.grace_days,
        ),
        granted=Money.of(call.granted_micro),
        left=Money.of(call.left_micro),
        waiting=len(call.waiting),
    )


def programme_shape(programme: c.Programme) -> w.Programme:
    """Return a programme as shown."""
    return w.Programme(
        id=programme.id, name_zh=programme.name_zh, name_en=programme.name_en, about=programme.about
    )


def read_ask(body: w.ApplicationAsk) -> a.Ask:
    """Return what is applied for."""
    return a.Ask(
        title=body.title,
        narrative=body.narrative,
        amount_micro=read_money(body.amount, "/amount"),
        needs=tuple(a.Need(each.accelerator, each.card_hours) for each in body.needs),
        plan=body.plan,
    )


def _ask_shape(ask: a.Ask) -> w.ApplicationAsk:
    return w.ApplicationAsk(
        title=ask.title,
        narrative=ask.narrative,
        amount=Money.of(ask.amount_micro),
        needs=tuple(w.Need(accelerator=each.accelerator, card_hours=each.card_hours) for each in ask.needs),
        plan=ask.plan,
    )


def application_shape(
    application: a.Application, call: c.Call, now_ms: int, awaits: str, reader: str, *, officer: bool
) -> w.Application:
    """Return an application as a reader may see it.

    Officers see all. Reviews are hidden from the applicant until there is a decision, and reviewers' names
    always; a reviewer sees their own review only.
    """
    due_ms = a.decide_by_ms(application, call.policy, now_ms)
    undecided = application.state in {a.State.SUBMITTED, a.State.IN_REVIEW, a.State.REVISION}
    reviewer = reader in application.reviewers and not officer
    decided = application.outcome is not a.Outcome.NONE
    place = next((n for n, part in enumerate(call.waiting, 1) if part.of == application.id), None)
    return w.Application.model_validate(
        {
            "id": application.id,
            "call": application.call,
            "project": application.project,
            "institution": application.institution,
            "by": application.by,
            "ask": _ask_shape(application.ask),
            "state": application.state.value,
            "outcome": application.outcome.value or None,
            "amount": Money.of(application.amount_micro) if decided else None,
            "place": place,
            "submitted": time_or_none(application.submitted_ms),
            "due": time_or_none(due_ms) if undecided else None,
            "overdue": undecided and 0 < due_ms <= now_ms,
            "awaits": awaits,
            "reviewers": application.reviewers if officer else (reader,) if reviewer else (),
            "reviews": tuple(
                _review_shape(each, named=officer or each.person == reader)
                for each in application.reviews
                if officer or each.person == reader or (decided and not reviewer)
            ),
            "history": tuple(
                _step_shape(each, officer=officer, reader=reader) for each in application.history
            ),
            "may": tuple(
                action.value for action in a.TRANSITIONS[application.state] if a.may_step(application, action)
            ),
        }
    )


def _review_shape(review: a.Review, *, named: bool) -> w.Review:
    return w.Review(
        reviewer=review.person if named else "",
        score=review.score,
        public=review.public,
        private=review.private if named else "",
    )


_OF_REVIEWERS = frozenset({a.Action.ASSIGN, a.Action.DECLARE, a.Action.REVIEW})


def _step_shape(event: a.Event, *, officer: bool, reader: str) -> w.Step:
    hidden = event.action in _OF_REVIEWERS and not officer and reader not in {event.by, event.note}
    return w.Step(
        at=rfc3339(event.at_ms),
        by="" if hidden else event.by,
        action=event.action.value,
        note="" if hidden else event.note,
    )

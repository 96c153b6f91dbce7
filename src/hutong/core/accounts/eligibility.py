"""Eligibility by machine: what is wrong with an application as it stands, and what would be right."""

from hutong.core.accounts.applications import Ask
from hutong.core.accounts.calls import Call
from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.registry import Institution, Verification
from hutong.core.kernel.errors import Problem
from hutong.core.kernel.money import format_micro

NARRATIVE_AT_LEAST = 20


def ineligible(
    call: Call, institution: Institution, ask: Ask, now_ms: int, *, first: bool
) -> tuple[Problem, ...]:
    """Return why an application cannot be handed in; `first`: it was not handed in before, so dates count."""
    found: list[Problem] = []
    policy = call.policy
    if first and now_ms < call.opens_ms:
        found.append(Problem("/call", "the call is not open yet", "hand it in when it is"))
    if first and now_ms >= call.closes_ms:
        found.append(Problem("/call", "the call is closed", "see `hutong calls list` for open ones"))
    kind = kind_at(institution, now_ms)
    if policy.kinds and kind not in policy.kinds:
        allowed = ", ".join(policy.kinds)
        found.append(Problem("/project", f"{institution.id} is of the kind {kind}", f"one of {allowed}"))
    if institution.verification is Verification.REFUSED:
        text = f"{institution.id} could not be verified: {institution.verified_note}"
        found.append(Problem("/project", text, "settle that with the operators"))
    most = min(policy.request_max_micro or call.budget_micro, call.budget_micro)
    if ask.amount_micro <= 0:
        found.append(Problem("/amount", "nothing is asked for", "such as 10000.00"))
    elif ask.amount_micro > most:
        found.append(
            Problem("/amount", "more than the call gives to one", f"{format_micro(most, 2)} or less")
        )
    if len(ask.narrative.strip()) < NARRATIVE_AT_LEAST:
        found.append(
            Problem("/narrative", "it does not say what for", f"at least {NARRATIVE_AT_LEAST} characters")
        )
    if ask.plan and sum(ask.plan) != 100:
        found.append(Problem("/plan", f"its parts are {sum(ask.plan)} percent", "parts that make 100"))
    return tuple(found)


def awaited(call: Call, institution: Institution) -> str:
    """Return what others have to do before the reviewers get it, or an empty string."""
    if call.policy.verified_only and institution.verification is not Verification.VERIFIED:
        return f"an operator verifies {institution.id}"
    return ""

"""What if: a past decision taken again for another moment or by another policy.

The pools are those of the receipt, with the cards that were free; supply is that of the other hour. What was
kept or booked for others then, and what power was left, is left aside: at another time it would have been
something else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hutong.core.kernel.errors import Refused
from hutong.core.placement.decide import decide
from hutong.core.placement.page import Grounds, Page, Question
from hutong.core.placement.receipt import WHOLE, Ticket, unpack, version_of, views_for
from hutong.core.placement.request import Policy, PoolView, policy_at


@dataclass(frozen=True, slots=True)
class Instead:
    """Where a run would go: `place` is `site/pool`, empty for nowhere, and `why_not` then says why."""

    at_ms: int
    policy: str
    place: str
    accelerator: str
    cards: int
    price_micro_per_card_hour: int
    pue_milli: int
    tdp_w: int
    why_not: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The decision as it was, and as it would have been."""

    then: Instead
    instead: Instead
    grounds: Grounds


def what_if(
    data: bytes, fetch: Callable[[str], bytes | None], at_ms: int | None, policy: Policy | None
) -> WhatIf:
    """Take a stored decision again at `at_ms` (UTC, as it was if None) and by a policy (its own if None).

    Raises Refused for a receipt of an old version, which does not know the sites' supply by the hour; Broken
    if what it rests on is gone.
    """
    if version_of(data) <= WHOLE:
        raise Refused("old_receipt", "this receipt is of a version that does not keep supply by the hour")
    ticket, page, grounds = unpack(data, fetch)
    question = page.questions[ticket.question]
    moved, there = page, ticket
    if at_ms is not None:
        moved, there = replace(page, at_ms=at_ms, kept=()), replace(ticket, booked=(), capped=())
    asked = Question(question.request, policy_at(policy or question.policy, grounds.sites))
    return WhatIf(_decide(ticket, page, grounds, question), _decide(there, moved, grounds, asked), grounds)


def _decide(ticket: Ticket, page: Page, grounds: Grounds, question: Question) -> Instead:
    request = replace(question.request, barred=ticket.barred)
    pools = views_for(ticket, page, grounds)
    found = decide(request, pools, question.policy)
    if found.choice is None:
        nearest = found.nearest
        why = nearest.why_not.text if nearest and nearest.why_not else "no site is registered"
        place = f"{nearest.site}/{nearest.pool}: " if nearest else ""
        return Instead(page.at_ms, question.policy.name, "", "", 0, 0, 0, 0, f"{place}{why}")
    return _chosen(page.at_ms, question.policy.name, pools[found.chosen], found.choice.cards)


def _chosen(at_ms: int, policy: str, pool: PoolView, cards: int) -> Instead:
    return Instead(
        at_ms, policy, f"{pool.site}/{pool.pool}", pool.accelerator, cards, pool.price_micro_per_card_hour,
        pool.pue_milli, pool.tdp_w, "",
    )  # fmt: skip

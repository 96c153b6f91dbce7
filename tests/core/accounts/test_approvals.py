"""Two people: nobody approves what they proposed, whatever they hold."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.accounts.approvals import (
    Change,
    Proposal,
    ProposalState,
    Threshold,
    loosens,
    require_decision,
)
from hutong.core.accounts.roles import PERMISSIONS, Principal, Reach, ScopeKind
from hutong.core.kernel.errors import Conflict, Denied, NotFound, Refused

OPEN = Proposal("p", Change.AWARD, "award.write", 5, "ada", 0, 1_000, {}, project="soil")
HELD = st.sets(st.sampled_from(sorted(PERMISSIONS["operator"]))).map(frozenset)


@given(HELD, st.booleans(), st.integers(0, 2_000), st.sampled_from(ProposalState))
def test_the_proposer_never_approves(
    held: frozenset[str], operator: bool, now_ms: int, state: ProposalState
) -> None:
    ada = Principal("ada", operator, grants=(Reach(held, ScopeKind.PLATFORM),))
    with pytest.raises(Refused):
        require_decision(ada, replace(OPEN, state=state), now_ms, approves=True)


@given(HELD, st.integers(0, 2_000), st.sampled_from(ProposalState))
def test_others_approve_what_is_open_and_theirs_to_do(
    held: frozenset[str], now_ms: int, state: ProposalState
) -> None:
    bo = Principal("bo", grants=(Reach(held, ScopeKind.PROJECT, "soil"),))
    proposal = replace(OPEN, state=state)
    waits = state is ProposalState.APPROVED or (state is ProposalState.OPEN and now_ms < 1_000)
    expected: type[Refused] | None = None
    if "award.write" not in held:
        expected = NotFound
    elif not waits:
        expected = Conflict
    if expected is None:
        require_decision(bo, proposal, now_ms, approves=True)
        return
    with pytest.raises(expected):
        require_decision(bo, proposal, now_ms, approves=True)


def test_a_permission_elsewhere_does_not_approve_here() -> None:
    bo = Principal("bo", grants=(Reach(frozenset({"award.write"}), ScopeKind.PROJECT, "rain"),))
    with pytest.raises(NotFound):
        require_decision(bo, OPEN, 0, approves=True)
    looks = Principal("cy", grants=(Reach(PERMISSIONS["auditor"], ScopeKind.PLATFORM),))
    with pytest.raises(Denied):
        require_decision(looks, OPEN, 0, approves=True)


def test_a_threshold_is_loosened_by_more_money_more_time_or_none() -> None:
    before = Threshold(Change.AWARD, 100, 24)
    assert loosens(before, None)
    assert loosens(before, replace(before, above=101))
    assert loosens(before, replace(before, above=1, hours=25))
    assert not loosens(before, before)
    assert not loosens(before, replace(before, above=99, hours=1))
    assert not loosens(None, before)

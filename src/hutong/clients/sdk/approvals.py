"""Calls about changes that take two people."""

from hutong.clients.sdk.call import Call, Listing, document, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import approvals as a
from hutong.wire.base import Page


def list_proposals(*, state: str | None = None, limit: int | None = None) -> Listing[a.Proposal]:
    """List proposals that wait, as far as they concern the caller; or those that are `closed`."""
    return Listing(path_of("approvals"), shape(Page[a.Proposal]), query_of(state=state), limit)


def get_proposal(proposal: str) -> Call[a.Proposal]:
    """Return one proposal."""
    return Call("GET", path_of("approvals", proposal), shape(a.Proposal))


def approve(proposal: str, note: str = "") -> Call[a.Proposal]:
    """Approve what somebody else proposed; it is done at once."""
    body = a.ProposalVerdict(note=note)
    return post(path_of("approvals", proposal, "approve"), shape(a.Proposal), body, keyed=False)


def refuse(proposal: str, note: str = "") -> Call[a.Proposal]:
    """Refuse a proposal, or take back one's own."""
    body = a.ProposalVerdict(note=note)
    return post(path_of("approvals", proposal, "refuse"), shape(a.Proposal), body, keyed=False)


def break_glass(proposal: str, reason: str) -> Call[a.Proposal]:
    """Go on alone in an emergency; the audit marks it."""
    body = a.BreakGlass(reason=reason)
    return post(path_of("approvals", proposal, "break-glass"), shape(a.Proposal), body, keyed=False)


def list_thresholds() -> Listing[a.Threshold]:
    """List the thresholds above which a change takes two people."""
    return Listing(path_of("approvals", "thresholds"), shape(Page[a.Threshold]))


def set_threshold(change: str, threshold: a.NewThreshold) -> Call[a.NewThreshold]:
    """Set the threshold of `award`, `voucher` or `quota`; to loosen one takes two people itself."""
    body = document(threshold)
    return Call("PUT", path_of("approvals", "thresholds", change), shape(a.NewThreshold), body=body)


class ApprovalVerbs:
    """Changes that take two people."""

    list = ListVerb(list_proposals)
    get = Verb(get_proposal)
    approve = Verb(approve)
    refuse = Verb(refuse)
    break_glass = Verb(break_glass)
    thresholds = ListVerb(list_thresholds)
    set_threshold = Verb(set_threshold)


class Approvals(ApprovalVerbs, Group):
    """Changes that take two people."""


class AsyncApprovals(ApprovalVerbs, AsyncGroup):
    """Changes that take two people."""

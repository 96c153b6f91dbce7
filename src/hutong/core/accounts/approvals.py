"""The two-person rule: a change above a threshold waits until somebody else approves it."""

from dataclasses import dataclass
from enum import StrEnum

from hutong.core.accounts.roles import Principal
from hutong.core.kernel.errors import Conflict, Denied, NotFound
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS

OPEN_AT_MOST = 1000
"""How many proposals may wait at once."""


class Change(StrEnum):
    """What can need two people; the size that a threshold bounds is said beside each."""

    AWARD = "award"  # micro-yuan of one award
    VOUCHER = "voucher"  # micro-yuan of one voucher's face
    REFUND = "refund"  # micro-yuan of one refund, a dispute's too
    CLAIM = "claim"  # micro-yuan of one lot that is claimed back
    PAYOUT = "payout"  # micro-yuan of one payment to a centre
    QUOTA = "quota"  # the most nominal cards of one accelerator
    PRICE = "price"  # micro-yuan by which a price differs from what is paid without it
    PRICE_END = "price-end"  # micro-yuan by which what is paid changes when a price ends
    COMMITMENT = "commitment"  # micro-yuan of all months that are promised, or given up
    CORRECTION = "correction"  # micro-yuan by which a charge changes
    REDEMPTION = "redemption"  # micro-yuan of one claim on a voucher that is paid
    THRESHOLD = "threshold"  # loosening a threshold: always two people


ADDED_UP = frozenset(
    {
        Change.AWARD,
        Change.VOUCHER,
        Change.REFUND,
        Change.CLAIM,
        Change.PAYOUT,
        Change.COMMITMENT,
        Change.CORRECTION,
        Change.REDEMPTION,
    }
)
"""Changes of which what one person makes alone within a day counts together."""

ALONE_AT_MOST = 200
"""How many changes that somebody made alone are known one by one."""


class ProposalState(StrEnum):
    """How far a proposal is."""

    OPEN = "open"
    APPROVED = "approved"  # decided, and about to be carried out
    DONE = "done"
    FAILED = "failed"  # approved, but no longer possible
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above `above` (micro-yuan or cards) a change takes two people, who have `hours` to find each other."""

    change: Change
    above: int
    hours: int = 168


@dataclass(frozen=True, slots=True)
class Alone:
    """A change that somebody made without a second person."""

    id: str
    size: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class AloneSum:
    """What somebody made alone of one kind of change, the newest last."""

    made: tuple[Alone, ...] = ()

    def add(self, change: Alone) -> "AloneSum":
        """Return the sum with one more, of the day before it; a repeat of its id takes the first's place.

        Where they are too many, the older half becomes one without an id, as new as the newest of them.
        """
        since_ms = change.at_ms - DAY_MS
        kept = tuple(each for each in self.made if each.id != change.id and each.at_ms > since_ms)
        if len(kept) >= ALONE_AT_MOST:
            old, kept = kept[: ALONE_AT_MOST // 2], kept[ALONE_AT_MOST // 2 :]
            sizes, newest_ms = sum(each.size for each in old), max(each.at_ms for each in old)
            kept = (Alone("", sizes, newest_ms), *kept)
        return AloneSum((*kept, change))

    @property
    def size(self) -> int:
        """Return all of it together."""
        return sum(each.size for each in self.made)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that waits. `request` is what will be done; `project` or `institution` says where."""

    id: str
    change: Change
    permission: str
    size: int
    by: str
    at_ms: int
    expires_ms: int
    request: dict[str, object]
    project: str = ""
    institution: str = ""
    state: ProposalState = ProposalState.OPEN
    decided_by: str = ""
    decided_ms: int = 0
    note: str = ""
    broke_glass: bool = False

    def state_at(self, now_ms: int) -> ProposalState:
        """Return its state; nobody need be there to let one expire."""
        late = self.state is ProposalState.OPEN and self.expires_ms <= now_ms
        return ProposalState.EXPIRED if late else self.state


def may_decide(principal: Principal, proposal: Proposal) -> bool:
    """True if the principal holds the permission of the change itself where it is to be made."""
    project, institution = proposal.project or None, proposal.institution or None
    return not principal.lacks(frozenset({proposal.permission}), project, institution)


def may_see(principal: Principal, proposal: Proposal) -> bool:
    """True if the principal may know of the proposal."""
    return (
        proposal.by == principal.id
        or principal.everywhere("proposal.read")
        or may_decide(principal, proposal)
    )


def require_decision(principal: Principal, proposal: Proposal, now_ms: int, *, approves: bool) -> None:
    """Raise NotFound, Denied or Conflict unless the principal may approve (or refuse) the proposal now.

    Nobody approves what they proposed, whatever they may do besides; to refuse it is to take it back.
    """
    if not may_see(principal, proposal):
        raise NotFound("not_found", f"there is no proposal {proposal.id!r}")
    own = proposal.by == principal.id
    if own and approves:
        raise Denied("own_proposal", "nobody approves their own proposal: ask somebody else")
    if not own and not may_decide(principal, proposal):
        raise Denied("forbidden", f"{proposal.permission} is not among your permissions there")
    state = proposal.state_at(now_ms)
    again = state is ProposalState.APPROVED and approves  # cut off before it was done: somebody finishes it
    if state is not ProposalState.OPEN and not again:
        raise Conflict("decided", f"proposal {proposal.id} is {state.value} already")


def require_alone(principal: Principal, proposal: Proposal, now_ms: int) -> None:
    """Raise Denied or Conflict unless the principal, who holds what it takes, may go on alone."""
    if not may_decide(principal, proposal):
        raise Denied("forbidden", f"{proposal.permission} is not among your permissions there")
    state = proposal.state_at(now_ms)
    again = state is ProposalState.APPROVED and proposal.broke_glass
    if state is not ProposalState.OPEN and not again:
        raise Conflict("decided", f"proposal {proposal.id} is {state.value} already")


def expiry_ms(threshold: Threshold, now_ms: int) -> int:
    """Return until when a proposal that is made now waits."""
    return now_ms + threshold.hours * HOUR_MS


def loosens(before: Threshold | None, after: Threshold | None) -> bool:
    """True if fewer changes would take two people, or they would have longer to find each other."""
    if before is None:
        return False
    return after is None or after.above > before.above or after.hours > before.hours

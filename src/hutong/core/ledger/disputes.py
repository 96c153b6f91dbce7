"""Disputes: somebody says that a charge is wrong, with evidence; somebody else decides on a refund."""

from dataclasses import dataclass, replace
from enum import StrEnum

from hutong.core.kernel.errors import Conflict, Denied, Problem, Refused
from hutong.core.kernel.quantities import DAY_MS

OPEN_FOR_DAYS = 90
"""How long after its end an attempt's charge may be disputed."""

MESSAGES_MOST = 100


class DisputeState(StrEnum):
    """`open` waits for a decision; the others are final."""

    OPEN = "open"
    UPHELD = "upheld"
    PARTLY = "partly"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Ground(StrEnum):
    """Why a charge is said to be wrong."""

    SITE_FAULT = "site-fault"  # the centre broke the job, and it was charged all the same
    NOT_RUN = "not-run"  # it is charged for time in which it did not run
    WRONG_PRICE = "wrong-price"
    WRONG_PROJECT = "wrong-project"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody wrote, with the digest of a file as evidence if there is one."""

    by: str
    at_ms: int
    text: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute of what an attempt was charged. `refund_micro` is what was decided to go back.

    `messages` are in order; the first is why it was opened, and the decision's reasons are the last.
    """

    id: str
    project: str
    key: str
    ground: Ground
    charged_micro: int
    opened_by: str
    opened_ms: int
    messages: tuple[Message, ...]
    state: DisputeState = DisputeState.OPEN
    refund_micro: int = 0
    decided_by: str = ""
    decided_ms: int = 0


def open_dispute(
    name: str, project: str, key: str, ground: Ground, charged_micro: int, ended_ms: int, first: Message
) -> Dispute:
    """Return a new dispute of an attempt's charge; `ended_ms` is when it was settled, 0 if it was not.

    Raises Refused where it is too late, too early, or nothing was charged.
    """
    if not ended_ms:
        problem = Problem("/attempt", "it is not settled yet", "wait until its bill is final")
        raise Refused("not_settled", f"the charge of {key} may still change", (problem,))
    if charged_micro <= 0:
        problem = Problem("/attempt", "nothing was charged for it", "an attempt with a charge on the bill")
        raise Refused("nothing_charged", f"{key} cost nothing", (problem,))
    late_ms = first.at_ms - ended_ms - OPEN_FOR_DAYS * DAY_MS
    if late_ms > 0:
        problem = Problem("/attempt", f"it ended more than {OPEN_FOR_DAYS} days ago", "write to the operator")
        raise Refused("too_late", f"the charge of {key} can no longer be disputed", (problem,))
    return Dispute(name, project, key, ground, charged_micro, first.by, first.at_ms, (first,))


def add_message(dispute: Dispute, message: Message) -> Dispute:
    """Return the dispute with another message; the same one again changes nothing."""
    if message in dispute.messages:
        return dispute
    _check_open(dispute)
    if len(dispute.messages) >= MESSAGES_MOST:
        raise Conflict("too_many", f"a dispute has at most {MESSAGES_MOST} messages")
    return replace(dispute, messages=(*dispute.messages, message))


def decide(dispute: Dispute, refund_micro: int, reasons: Message) -> Dispute:
    """Return the dispute as decided: all, a part, or nothing of the charge goes back.

    Who opened it does not decide it (L14). The same decision again changes nothing.
    """
    if reasons.by == dispute.opened_by:
        raise Denied("forbidden", "who opened a dispute does not decide it")
    if not 0 <= refund_micro <= dispute.charged_micro:
        problem = Problem("/refund", "more than was charged, or less than nothing", "0 up to the charge")
        raise Refused("bad_amount", "what goes back is a part of the charge", (problem,))
    if not reasons.text.strip():
        problem = Problem("/reasons", "there are none", "a sentence that the user will read")
        raise Refused("no_reasons", "a decision needs its reasons", (problem,))
    if (dispute.state, dispute.refund_micro, dispute.decided_by) == (
        _outcome(dispute, refund_micro), refund_micro, reasons.by,
    ):  # fmt: skip
        return dispute
    _check_open(dispute)
    return replace(
        dispute, messages=(*dispute.messages, reasons), state=_outcome(dispute, refund_micro),
        refund_micro=refund_micro, decided_by=reasons.by, decided_ms=reasons.at_ms,
    )  # fmt: skip


def withdraw(dispute: Dispute, by: str, at_ms: int) -> Dispute:
    """Return the dispute as taken back by who opened it."""
    if by != dispute.opened_by:
        raise Denied("forbidden", "only who opened a dispute takes it back")
    if dispute.state is DisputeState.WITHDRAWN:
        return dispute
    _check_open(dispute)
    return replace(dispute, state=DisputeState.WITHDRAWN, decided_by=by, decided_ms=at_ms)


def _outcome(dispute: Dispute, refund_micro: int) -> DisputeState:
    if not refund_micro:
        return DisputeState.REJECTED
    return DisputeState.UPHELD if refund_micro == dispute.charged_micro else DisputeState.PARTLY


def _check_open(dispute: Dispute) -> None:
    if dispute.state is not DisputeState.OPEN:
        raise Conflict("decided", f"dispute {dispute.id} is {dispute.state.value} already")

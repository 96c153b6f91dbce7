"""The life of a finding: open, explained by the centre, then settled or confirmed by the operator."""

from dataclasses import dataclass, replace
from enum import StrEnum

from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.ledger.disputes import MESSAGES_MOST, Message
from hutong.core.witnesses.shapes import Finding, Kind


class FindingState(StrEnum):
    """`settled` and `confirmed` are final: no later look at the day changes them."""

    OPEN = "open"
    EXPLAINED = "explained"  # the centre said why; it waits for the operator
    GONE = "gone"  # what came later no longer shows it
    SETTLED = "settled"  # the explanation holds, or it does not matter
    CONFIRMED = "confirmed"  # it was so: the day is no measure for later days


WAITING = frozenset({FindingState.OPEN, FindingState.EXPLAINED})
DECIDED = frozenset({FindingState.SETTLED, FindingState.CONFIRMED})


@dataclass(frozen=True, slots=True)
class KeptFinding:
    """A finding of a site's UTC day (since 1970), and what was written about it, in order."""

    id: str
    site: str
    day: int
    finding: Finding
    first_ms: int
    changed_ms: int
    state: FindingState = FindingState.OPEN
    messages: tuple[Message, ...] = ()


def refresh(kept: KeptFinding, found: Finding | None, now_ms: int) -> KeptFinding:
    """Return a finding after its day was looked at again; None: it is no longer found.

    What is decided stays. An explanation holds for what it explains: if that grows, it is open again. A chain
    is looked at once from a noted head on, so that a break in it is never gone.
    """
    if kept.state in DECIDED or (found is None and kept.finding.kind is Kind.BROKEN_CHAIN):
        return kept
    if found is None:
        state, found = FindingState.GONE, kept.finding
    elif kept.state is FindingState.GONE or found.size > kept.finding.size:
        state = FindingState.OPEN
    else:
        state = kept.state
    if (state, found) == (kept.state, kept.finding):
        return kept
    return replace(kept, state=state, finding=found, changed_ms=now_ms)


def explain(kept: KeptFinding, message: Message) -> KeptFinding:
    """Return a finding with what the centre says of it; the same text again changes nothing."""
    _check_text(message)
    last = kept.messages[-1] if kept.messages else None
    if last and replace(last, at_ms=message.at_ms) == message and kept.state is FindingState.EXPLAINED:
        return kept
    if kept.state not in WAITING:
        raise Conflict("decided", f"finding {kept.id} is {kept.state.value} already")
    return _written(kept, FindingState.EXPLAINED, message)


def decide(kept: KeptFinding, outcome: FindingState, message: Message) -> KeptFinding:
    """Return a finding as decided: `settled` or `confirmed`, with reasons. The same again changes nothing."""
    if outcome not in DECIDED:
        problem = Problem("/outcome", f"{outcome.value} is no decision", "settled or confirmed")
        raise Refused("bad_outcome", "that is not decided by people", (problem,))
    _check_text(message)
    if kept.state is outcome and (kept.messages[-1].by, kept.messages[-1].text) == (message.by, message.text):
        return kept
    if kept.state not in WAITING:
        raise Conflict("decided", f"finding {kept.id} is {kept.state.value} already")
    return _written(kept, outcome, message)


def _written(kept: KeptFinding, state: FindingState, message: Message) -> KeptFinding:
    # A decision always has room: it ends the list.
    if len(kept.messages) >= MESSAGES_MOST and state not in DECIDED:
        raise Conflict("too_many", f"a finding has at most {MESSAGES_MOST} messages")
    return replace(kept, state=state, messages=(*kept.messages, message), changed_ms=message.at_ms)


def _check_text(message: Message) -> None:
    if not message.text.strip():
        problem = Problem("/text", "there is none", "a sentence that the other side will read")
        raise Refused("no_text", "say why", (problem,))

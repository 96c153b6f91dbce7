"""A finding's life: late data moves what waits, people decide once, and what is decided stays."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.kernel.errors import Conflict, HutongError, Refused
from hutong.core.ledger.disputes import MESSAGES_MOST, Message
from hutong.core.witnesses.life import DECIDED, FindingState, KeptFinding, decide, explain, refresh
from hutong.core.witnesses.shapes import Finding, Kind, Sure

FOUND = Finding(Kind.SIDE_USE, "day", 100, Sure.LIKELY, "more electricity", "ask")
OPEN = KeptFinding("a.2026-11-28.0", "a", 20_785, FOUND, 1, 1)
WHY, SO = Message("site:a", 5, "tests of rack 7"), Message("admin", 6, "they were announced")


def test_an_explanation_holds_until_what_it_explains_grows() -> None:
    told = explain(OPEN, WHY)
    assert (told.state, told.messages) == (FindingState.EXPLAINED, (WHY,))
    assert explain(told, replace(WHY, at_ms=9)) == told
    less = refresh(told, replace(FOUND, size=90), 7)
    assert (less.state, less.finding.size, less.changed_ms) == (FindingState.EXPLAINED, 90, 7)
    more = refresh(told, replace(FOUND, size=101), 7)
    assert (more.state, more.messages) == (FindingState.OPEN, (WHY,))


def test_what_late_data_explains_is_gone_and_may_come_back() -> None:
    gone = refresh(OPEN, None, 7)
    assert gone.state is FindingState.GONE
    assert refresh(gone, None, 8) == gone
    with pytest.raises(Conflict, match="gone already"):
        decide(gone, FindingState.SETTLED, SO)
    assert refresh(gone, FOUND, 9).state is FindingState.OPEN


def test_a_broken_chain_is_never_gone() -> None:
    broken = replace(OPEN, finding=replace(FOUND, kind=Kind.BROKEN_CHAIN))
    assert refresh(broken, None, 7) == broken


def test_a_decision_is_made_once_and_needs_reasons() -> None:
    decided = decide(OPEN, FindingState.CONFIRMED, SO)
    assert decide(decided, FindingState.CONFIRMED, replace(SO, at_ms=99)) == decided
    with pytest.raises(Conflict, match="confirmed already"):
        decide(decided, FindingState.SETTLED, SO)
    with pytest.raises(Conflict, match="confirmed already"):
        explain(decided, WHY)
    with pytest.raises(Refused, match="say why"):
        decide(OPEN, FindingState.SETTLED, replace(SO, text="  "))
    with pytest.raises(Refused, match="not decided by people"):
        decide(OPEN, FindingState.GONE, SO)


def test_messages_are_bounded_and_a_decision_has_room() -> None:
    kept = replace(OPEN, messages=tuple(replace(WHY, at_ms=at) for at in range(MESSAGES_MOST)))
    with pytest.raises(Conflict, match="at most"):
        explain(kept, WHY)
    assert decide(kept, FindingState.SETTLED, SO).state is FindingState.SETTLED


_LOOKS = st.one_of(st.none(), st.integers(1, 300))
_STEPS = st.one_of(
    st.tuples(st.just("look"), _LOOKS),
    st.tuples(st.just("explain"), st.sampled_from(["a", "b", " "])),
    st.tuples(st.sampled_from(["settled", "confirmed"]), st.sampled_from(["a", "b"])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_STEPS, max_size=12))
def test_whatever_comes_nothing_written_is_lost_and_a_decision_is_the_end(
    steps: list[tuple[str, object]],
) -> None:
    kept, now_ms = OPEN, 10
    for what, value in steps:
        before, now_ms = kept, now_ms + 1
        try:
            if what == "look":
                kept = refresh(kept, replace(FOUND, size=value) if isinstance(value, int) else None, now_ms)
            elif what == "explain":
                kept = explain(kept, Message("site:a", now_ms, str(value)))
            else:
                kept = decide(kept, FindingState(what), Message("admin", now_ms, str(value)))
        except HutongError:
            assert kept == before
        assert kept.messages[: len(before.messages)] == before.messages
        assert kept == before or kept.changed_ms == now_ms
        if before.state in DECIDED:
            assert kept == before

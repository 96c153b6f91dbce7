"""Whatever is done to a chain after it was written is found, and the check says where."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.kernel.chain import (
    START,
    Head,
    canonical,
    parse_head,
    parse_line,
    seal,
    verify,
)
from hutong.core.kernel.errors import Refused

Event = dict[str, Any]
docs = st.one_of(
    st.none(),
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(st.integers(), st.text(max_size=5), st.booleans(), st.floats(allow_nan=False)),
        max_size=3,
    ),
)  # fmt: skip
bodies = st.fixed_dictionaries(
    {"at_ms": st.integers(0, 2**53), "actor": st.text(max_size=8), "before": docs, "after": docs}
)


def chain(parts: list[Event], since: Head = START) -> list[Event]:
    made: list[Event] = []
    prev = since.hash
    for seq, body in enumerate(parts, since.seq + 1):
        event = {**body, "seq": seq, "prev": prev}
        prev = seal(event)
        made.append({**event, "hash": prev})
    return made


chains = st.lists(bodies, min_size=1, max_size=8).map(chain)


def faults(events: list[Mapping[str, object] | None], **more: Any) -> list[int]:
    return [each.seq for each in verify(events, **more).faults]


def read_back(lines: list[bytes]) -> list[Mapping[str, object] | None]:
    return [parse_line(line) for line in lines]


@given(chains)
def test_a_chain_that_nobody_touched_is_whole_also_after_export(events: list[Event]) -> None:
    lines = [canonical(event) + b"\n" for event in events]
    found = verify(read_back(lines))
    assert (found.events, found.faults) == (len(events), ())
    assert found.head == Head(events[-1]["seq"], events[-1]["hash"])
    half = len(events) // 2
    since = Head(events[half - 1]["seq"], events[half - 1]["hash"]) if half else START
    assert verify(read_back(lines[half:]), since=since, noted=found.head).faults == ()


@given(chains, st.data())
def test_one_changed_byte_of_any_line_is_found_where_it_is(events: list[Event], data: st.DataObject) -> None:
    lines = [canonical(event) for event in events]
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[at]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[at][place]))
    lines[at] = lines[at][:place] + bytes([byte]) + lines[at][place + 1 :]
    assert at + 1 in faults(read_back(lines))


@given(chains, st.data())
def test_a_field_changed_and_sealed_anew_is_found_by_what_follows_or_by_the_noted_head(
    events: list[Event], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(events) - 1))
    noted = Head(events[-1]["seq"], events[-1]["hash"])
    forged = {**events[at], "actor": events[at]["actor"] + "!"}
    events[at] = {**forged, "hash": seal(forged)}
    assert faults([*events], noted=noted) == [min(at + 2, len(events))]


@given(chains.filter(lambda events: len(events) > 1), st.data())
def test_a_removed_moved_or_repeated_event_is_found(events: list[Event], data: st.DataObject) -> None:
    noted = Head(events[-1]["seq"], events[-1]["hash"])
    at = data.draw(st.integers(0, len(events) - 1))
    without = [*events[:at], *events[at + 1 :]]
    assert faults([*without], noted=noted)
    if at < len(events) - 1:
        assert at + 1 in faults([*without])
        swapped = [*events[:at], events[at + 1], events[at], *events[at + 2 :]]
        assert at + 1 in faults([*swapped])
    assert at + 1 in faults([*events[: at + 1], events[at], *events[at + 1 :]])


def test_a_cut_tail_is_found_by_a_head_that_was_noted() -> None:
    events = chain([{"n": n} for n in range(5)])
    noted = Head(events[-1]["seq"], events[-1]["hash"])
    assert faults([*events[:3]]) == []
    assert faults([*events[:3]], noted=noted) == [3]
    other = chain([{"n": n} for n in range(10, 15)])
    assert faults([*other], noted=noted) == [5]


def test_what_is_no_event_is_told_and_the_check_goes_on() -> None:
    events = chain([{"n": n} for n in range(3)])
    assert faults([events[0], None, events[2]]) == [2, 2]
    assert faults([events[0], {"seq": "2", "hash": 1}, events[2]])[0] == 2
    assert parse_line(b"[1]") is None
    assert parse_line(b'{"a": 1}') is None
    assert parse_line(b"[" * 100_000) is None


@pytest.mark.parametrize("text", ["", "x", "7", "7:abc", "-1:" + "a" * 64, "7:" + "A" * 64])
def test_a_head_is_a_number_and_a_hash(text: str) -> None:
    with pytest.raises(Refused):
        parse_head(text)
    assert parse_head(Head(7, "a" * 64).text) == Head(7, "a" * 64)

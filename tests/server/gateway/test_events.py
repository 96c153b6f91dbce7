"""Streams pass whole, however the network cuts them."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.server.gateway.events import EVENT_BYTES_MAX, Oversize, Passage, Splitter, Tally

STREAM = (
    ": a comment\n\n"
    'data: {"model":"model","choices":[{"delta":{"content":"你好"}}]}\n\n'
    'event: x\r\ndata: {"choices":[{"delta":{"content":""}}],"usage":null}\r\n\r\n'
    'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
    "data: [DONE]\n\n"
).encode()


def run(pieces: list[bytes], *, wants_usage: bool = False) -> tuple[bytes, Tally]:
    tally = Tally(counted_in=9)
    passage, splitter = Passage("p/chat", wants_usage, tally), Splitter()
    out = b"".join(passage.pass_on(event) for piece in pieces for event in splitter.feed(piece))
    assert splitter.rest == b""
    return out, tally


@given(st.lists(st.integers(0, len(STREAM)), max_size=30).map(sorted))
def test_any_cut_gives_the_same_stream(cuts: list[int]) -> None:
    ends = [0, *cuts, len(STREAM)]
    out, tally = run([STREAM[start:end] for start, end in pairwise(ends)])
    assert (out, tally) == run([STREAM])
    assert tally.usage == (3, 1)
    assert tally.done


def test_only_the_model_and_what_was_not_asked_for_change() -> None:
    out, tally = run([STREAM])
    events = out.split(b"\n\n")
    assert events[0] == b": a comment"
    assert orjson.loads(events[1][6:]) == {"model": "p/chat", "choices": [{"delta": {"content": "你好"}}]}
    assert b"usage" not in out
    assert events[-2:] == [b"data: [DONE]", b""]
    assert tally.pieces == 1
    whole, _ = run([STREAM], wants_usage=True)
    assert b'"usage":{"prompt_tokens":3,"completion_tokens":1}' in whole


@pytest.mark.parametrize(
    "usage", [None, 5, {}, {"prompt_tokens": -1}, {"prompt_tokens": True}, {"prompt_tokens": 1 << 40}]
)
def test_a_count_that_is_none_is_not_believed(usage: object) -> None:
    tally = Tally(counted_in=9, pieces=4)
    tally.note_usage(usage)
    assert (tally.tokens().prompt, tally.tokens().completion, tally.tokens().source) == (9, 4, "counted")


def test_the_last_count_stands_and_counts_are_not_added_up() -> None:
    tally = Tally(counted_in=9)
    for completion in (1, 2, 3):
        tally.note_usage({"prompt_tokens": 5, "completion_tokens": completion})
    assert (tally.tokens().prompt, tally.tokens().completion) == (5, 3)


def test_an_event_without_end_is_given_up() -> None:
    splitter = Splitter()
    with pytest.raises(Oversize):
        list(splitter.feed(b"data: " + b"x" * EVENT_BYTES_MAX))

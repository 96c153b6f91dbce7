"""Logs never show a secret, however the bytes of it arrive."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hutong.adapters.engines.attempt.tap import MASK, Masker, needles

LETTERS = st.text("ab-", min_size=4, max_size=8)


def _masked(secrets: tuple[bytes, ...], chunks: list[bytes]) -> bytes:
    masker = Masker(secrets)
    return b"".join([*map(masker.feed, chunks), masker.finish()])


@given(st.lists(LETTERS, min_size=1, max_size=3), st.lists(st.text("ab-\n", max_size=12), max_size=8))
def test_no_secret_gets_through_in_any_cut(values: list[str], parts: list[str]) -> None:
    secrets = needles(values)
    chunks = [part.encode() for part in parts]
    shown = _masked(secrets, chunks)
    assert not any(secret in shown for secret in secrets)


@given(LETTERS, st.text("ab-\n", max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_the_cut_makes_no_difference(value: str, text: str, cuts: list[int]) -> None:
    secrets = needles([value])
    whole = text.encode()
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    chunks = [whole[a:b] for a, b in pairwise(edges)]
    assert _masked(secrets, chunks) == re.sub(re.escape(value.encode()), MASK, whole)


def test_text_without_secrets_is_not_held_back() -> None:
    masker = Masker(needles(["sesame-open"]))
    assert masker.feed(b"step 1\n") == b"step 1\n"
    assert masker.feed(b"ses") == b""
    assert masker.feed(b"sion\n") == b"session\n"


def test_each_long_line_of_a_secret_counts() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADAN\nab\n-----END KEY-----\n"
    assert _masked(needles([key]), [b"x MIIEvQIBADAN y ab"]) == b"x *** y ab"


def test_a_longer_secret_is_masked_whole() -> None:
    assert _masked(needles(["abcd", "abcdefgh"]), [b"abcd", b"efgh abcd"]) == b"*** ***"

"""Who an institution is: identifiers whose check digits hold, kinds that are never rewritten, relations."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.accounts import institutions as i
from hutong.core.accounts.identifiers import (
    ROR_ALPHABET,
    USCC_ALPHABET,
    bare_ror,
    ror_fault,
    uscc_fault,
)
from hutong.core.accounts.registry import FOREVER_MS, Institution, InstitutionKind
from hutong.core.kernel.errors import Refused

K = InstitutionKind


@pytest.mark.parametrize("code", ["91110000600037341L"])
def test_a_real_credit_code_holds_and_every_wrong_character_is_noticed(code: str) -> None:
    assert uscc_fault(code) == ""
    for place in range(18):
        for letter in USCC_ALPHABET:
            if letter != code[place]:
                assert uscc_fault(code[:place] + letter + code[place + 1 :]), (place, letter)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", "0 characters"),
        ("91110000600037341", "17 characters"),
        ("9111000060003734IL", "character 17"),
        ("91A10000600037341L", "district"),
        ("91110000600037341M", "would have to be 'L'"),
    ],
)
def test_a_wrong_credit_code_is_told_why(code: str, why: str) -> None:
    assert why in uscc_fault(code)


@pytest.mark.parametrize("code", ["05dxps055", "03yrm5c26", "03cve4549", "02mhbdp94", "00f54p054"])
def test_real_rors_hold_with_and_without_their_address(code: str) -> None:
    assert ror_fault(bare_ror(f"https://ror.org/{code.upper()}")) == ""
    for place in range(1, 7):
        for letter in ROR_ALPHABET:
            if letter != code[place]:
                assert ror_fault(code[:place] + letter + code[place + 1 :]), (place, letter)


@given(st.text(alphabet=string.printable + "北京", max_size=30))
def test_any_text_is_judged_without_trouble(text: str) -> None:
    assert isinstance(uscc_fault(text), str)
    assert isinstance(ror_fault(bare_ror(text)), str)


@given(st.lists(st.tuples(st.sampled_from(K), st.integers(1, 50)), max_size=8), st.integers(0, 600))
def test_a_change_of_kind_never_changes_what_was(changes: list[tuple[K, int]], asked_ms: int) -> None:
    institution, now_ms = Institution("a", K.STARTUP, "甲", "A"), 0
    for kind, later_ms in changes:
        now_ms += later_ms
        before = institution
        institution = i.change_kind(before, kind, now_ms, now_ms)
        for at_ms in {*range(0, now_ms, 7), now_ms - 1, min(asked_ms, now_ms - 1)}:
            assert i.kind_at(institution, at_ms) is i.kind_at(before, at_ms)
        assert i.kind_at(institution, now_ms) is kind
        assert i.change_kind(institution, kind, now_ms, now_ms) == institution, "a repeat changes nothing"
    for one, two in zip(institution.kinds, institution.kinds[1:], strict=False):
        assert one.upto_ms == two.from_ms
    if institution.kinds:
        assert institution.kinds[-1].upto_ms == FOREVER_MS


def test_a_kind_does_not_change_in_the_past() -> None:
    institution = i.change_kind(Institution("a", K.STARTUP, "甲", "A"), K.SME, 100, 100)
    with pytest.raises(Refused, match="from now on"):
        i.change_kind(institution, K.ENTERPRISE, 150, 200)


def test_a_relation_is_the_same_from_both_sides_and_not_with_oneself() -> None:
    assert i.relate("b", "a", "owner", 5, 9) == i.relate("a", "b", "owner", 5, 9)
    assert [i.holds_at(i.relate("a", "b", "owner", 5, 9), at) for at in (4, 5, 8, 9)] == [
        False, True, True, False,
    ]  # fmt: skip
    with pytest.raises(Refused):
        i.relate("a", "a", "owner", 0)

"""Identifiers: codes find slips, go forward only, and are never given again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.identifiers import (
    Event,
    GivenScheme,
    HutongScheme,
    Identifier,
    check_character,
    kind_of,
    retire,
    transfer,
)
from hutong.core.kernel.errors import Conflict, Refused

OURS = HutongScheme()
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_the_check_character_is_that_of_the_standard() -> None:
    # The example of ISO 7064 MOD 37,36 that python-stdnum's documentation gives, A12425GABC1234002M.
    assert check_character("A12425GABC1234002") == "M"


@given(st.integers(1, 10**8 - 1), st.sampled_from(["centre", "site", "pool"]), st.data())
@settings(max_examples=80)
def test_a_slip_in_one_character_is_found(number: int, kind: str, data: st.DataObject) -> None:
    code = OURS.issue(kind, number)
    assert OURS.fault(code, kind) == ""
    assert OURS.canonical(f" {code.lower()} ") == code
    at = data.draw(st.sampled_from([at for at, each in enumerate(code) if each != "-"]))
    other = data.draw(st.sampled_from([each for each in LETTERS if each != code[at]]))
    assert OURS.fault(code[:at] + other + code[at + 1 :], kind)
    assert OURS.fault(code, "site" if kind == "pool" else "pool")


def test_an_identifier_changes_hands_retires_once_and_keeps_its_story() -> None:
    first = Event("registered", 1, "op", "A")
    there = Identifier("hutong", "HT-C-00000001-X", "centre/a", "A", (first,))
    moved = transfer(there, Event("transferred", 2, "op", "B", "sold"))
    assert (moved.holder, [each.holder for each in moved.events]) == ("B", ["A", "B"])
    assert transfer(moved, Event("transferred", 3, "op", "B", "again")) == moved
    gone = retire(moved, Event("retired", 4, "op", "B", "closed"), "hutong:other")
    assert retire(gone, Event("retired", 5, "op", "B", "again"), "hutong:other") == gone
    with pytest.raises(Conflict):
        transfer(gone, Event("transferred", 5, "op", "C"))
    with pytest.raises(Conflict):
        retire(gone, Event("retired", 5, "op", "B"), "")
    with pytest.raises(Refused):
        retire(there, Event("retired", 5, "op", "A"), there.id)


def test_codes_of_others_and_subjects_are_checked_for_their_form() -> None:
    given_ = GivenScheme()
    assert given_.fault("MIIT.2026:0001-A", "centre") == ""
    assert [bool(given_.fault(each, "centre")) for each in ("", "a/b", "x" * 97, "é")] == [True] * 4
    assert [kind_of(each) for each in ("centre/a", "site/a", "pool/a/b")] == ["centre", "site", "pool"]
    for bad in ("centre", "centre/", "pool/a", "job/x", "site/a/b", ""):
        with pytest.raises(Refused):
            kind_of(bad)
    with pytest.raises(Refused):
        OURS.issue("centre", 10**8)

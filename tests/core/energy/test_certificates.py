"""Certificates: each is registered once, given once, and retired once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.energy import certificates as c
from hutong.core.energy.contracts import Source
from hutong.core.kernel.days import month_days
from hutong.core.kernel.errors import Conflict, HutongError, NotFound, Refused
from hutong.core.kernel.quantities import HOUR_MS

NEW = c.Certificates("gec-1", "gec", "2026-WIND", 101, 200, Source.WIND, "hebei", 1, 10, 1000, "an exchange")
PART = c.Portion("p1", "east", 682, 60)
NOW = 100


def test_retiring_twice_fails() -> None:
    given_ = c.give(NEW, PART, NOW)
    done = c.retire(given_, "p1", "reg-7", "li", NOW)
    assert (done.retired_mwh, done.free_mwh) == (60, 40)
    with pytest.raises(Conflict) as told:
        c.retire(done, "p1", "reg-8", "li", NOW + 1)
    assert told.value.code == "retired"
    with pytest.raises(Conflict):
        c.take_back(done, "p1")
    assert c.give(done, PART, NOW) == done  # a late repeat of what gave it
    with pytest.raises(NotFound):
        c.retire(done, "p2", "reg-8", "li", NOW)


def test_what_has_expired_is_not_given_nor_retired() -> None:
    given_ = c.give(NEW, PART, NOW)
    with pytest.raises(Refused):
        c.give(given_, replace(PART, id="p2"), 1000)
    with pytest.raises(Refused):
        c.retire(given_, "p1", "r", "li", 1000)
    with pytest.raises(Conflict):
        c.give(given_, replace(PART, mwh=1), NOW)
    assert c.take_back(given_, "p1") == NEW


@pytest.mark.parametrize("wrong", [{"last": 100}, {"from_ms": 10}, {"until_ms": 101}, {"expires_ms": 100}])
def test_what_cannot_be_certificates_is_refused(wrong: dict[str, int]) -> None:
    c.check(NEW, NOW)
    with pytest.raises(Refused):
        c.check(replace(NEW, **wrong), NOW)  # type: ignore[arg-type]


def test_what_came_with_a_contract_proves_it_and_adds_nothing() -> None:
    told = c.RetiredFor("east", 682)
    alone = c.give(NEW, PART, NOW)
    assert c.count(told, alone, "p1", "bj") == c.RetiredFor("east", 682, 60)
    assert c.count(told, replace(alone, contract="wind"), "p1", "bj").mwh == 0


def test_what_says_its_hour_is_kept_by_it_if_it_is_of_the_month_and_the_region() -> None:
    hour = 24 * month_days(682)[0] + 7
    of_hour = replace(NEW, region="bj", from_ms=hour * HOUR_MS, until_ms=(hour + 1) * HOUR_MS)
    assert (of_hour.hour, replace(of_hour, until_ms=of_hour.until_ms + 1).hour) == (hour, None)
    there = c.give(of_hour, c.Portion("p1", "east", 682, 60), NOW)
    once = c.count(c.RetiredFor("east", 682), there, "p1", "bj")
    assert once == c.RetiredFor("east", 682, 60, ((hour, 60),))
    assert c.count(once, there, "p1", "bj") == c.RetiredFor("east", 682, 120, ((hour, 120),))
    assert c.count(c.RetiredFor("east", 682), there, "p1", "hebei") == c.RetiredFor("east", 682, 60)
    later = c.give(of_hour, c.Portion("p1", "east", 683, 60), NOW)
    assert c.count(c.RetiredFor("east", 683), later, "p1", "bj") == c.RetiredFor("east", 683, 60)


spans = st.tuples(st.integers(0, 60), st.integers(0, 20))


@given(st.lists(spans, max_size=12))
def test_no_serial_number_is_known_twice(told: list[tuple[int, int]]) -> None:
    known = c.Serials("gec", "s")
    taken: set[int] = set()
    for first, more in told:
        made = replace(NEW, first=first, last=first + more)
        mine = set(range(first, first + more + 1))
        try:
            known = c.register(known, made)
        except Conflict:
            assert mine & taken
            continue
        assert not mine & taken
        taken |= mine
    assert {n for first, last in known.ranges for n in range(first, last + 1)} == taken


steps = st.tuples(st.sampled_from(["give", "retire", "back"]), st.sampled_from("abc"), st.integers(1, 80))


@given(st.lists(steps, max_size=20))
def test_never_more_is_given_than_there_is_and_what_is_retired_stays(
    told: list[tuple[str, str, int]],
) -> None:
    there, retired = NEW, dict[str, int]()
    for verb, name, mwh in told:
        try:
            match verb:
                case "give":
                    there = c.give(there, c.Portion(name, "east", 682, mwh), NOW)
                case "retire":
                    there = c.retire(there, name, "r", "li", NOW)
                    assert name not in retired
                    retired[name] = next(each.mwh for each in there.portions if each.id == name)
                case _:
                    there = c.take_back(there, name)
        except HutongError:
            pass
        assert there.free_mwh >= 0
        assert there.retired_mwh == sum(retired.values())

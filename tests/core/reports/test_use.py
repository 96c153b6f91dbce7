"""The use report: four levels with what they mean; what nobody sampled is unknown, and never zero."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.book.rollups import PoolNote
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.reports.kinds import definitions_of
from hutong.core.reports.report import Facts, Sampled, Tenant, Used
from hutong.core.reports.use import LEVELS, busy_by, use

NOBODY = Tenant("", "", "")


def used(site: str, card_h: int) -> Used:
    return Used("p", NOBODY, site, "A100", card_h * HOUR_MS, 0, 0, 0, 0)


def noted(site: str, cards: int) -> PoolNote:
    return PoolNote(site, "p", 0, "A100", cards, cards // 2)


FACTS = Facts(
    (0, 10 * HOUR_MS), 20 * HOUR_MS,
    used=(used("a", 20), used("b", 8)),
    notes=(noted("a", 8), noted("b", 4)),
    seen=(
        Sampled("a", "A100", "nvidia-smi", 10 * HOUR_MS, 4 * HOUR_MS),
        Sampled("a", "A100", "", 0, 0),
        Sampled("b", "A100", "", 0, 0),
    ),
    yields={"A100": 500_000},
)  # fmt: skip


def levels(facts: Facts) -> dict[str, tuple[str, ...]]:
    *_, table = use(facts)
    return {row[0].split()[-1]: row[1:3] for row in table.rows}


def test_each_group_has_its_levels_and_where_nothing_counted_they_are_empty() -> None:
    groups, _ = use(FACTS)
    a, b = groups.rows
    assert a[:8] == ("a", "20.000", "50.00", "25.00", "50.00", "4.000", "40.00", "2.000")
    assert (a[8], a[-1]) == ("50.00", "nvidia-smi")
    assert b[:9] == ("b", "8.000", "40.00", "20.00", "0.00", "", "", "", "")
    assert groups.total[:9] == (
        "合计 Total",
        "28.000",
        "46.67",
        "23.33",
        "35.71",
        "4.000",
        "40.00",
        "2.000",
        "50.00",
    )
    assert all(len(row) == len(groups.columns) for row in (*groups.rows, groups.total))


@pytest.mark.parametrize("by", [("site",), ("kind",), ("site", "project")])
def test_the_levels_of_everything_stand_beside_their_definitions(by: tuple[str, ...]) -> None:
    groups, table = use(FACTS, by)
    assert levels(FACTS) == {
        "Installed": ("120.000", ""), "Available": ("60.000", "50.00"), "Allocated": ("28.000", "46.67"),
        "Sampled": ("10.000", "35.71"), "Busy": ("4.000", "40.00"), "Effective": ("2.000", "50.00"),
    }  # fmt: skip
    assert [row[-1] for row in table.rows] == [meaning for _, meaning in LEVELS.values()]
    assert all(any(meaning in text for text in definitions_of("use")) for _, meaning in LEVELS.values())
    assert ("忙碌 Busy" in [each.title for each in groups.columns]) == (by == ("site",))


def test_without_a_sample_and_without_a_measured_figure_nothing_is_made_up() -> None:
    unknown = levels(replace(FACTS, seen=()))
    assert (unknown["Busy"], unknown["Effective"]) == (("", ""), ("", ""))
    assert unknown["Sampled"] == ("0.000", "0.00")
    unnoted = levels(replace(FACTS, notes=()))
    assert (unnoted["Installed"], unnoted["Available"]) == (("", ""), ("", ""))
    assert unnoted["Allocated"] == ("28.000", "")
    more = (*FACTS.seen, Sampled("b", "H20", "nvidia-smi", HOUR_MS, 1))
    assert levels(replace(FACTS, seen=more))["Effective"] == ("", "")
    idle = (*FACTS.seen, Sampled("b", "H20", "nvidia-smi", HOUR_MS, 0))
    assert levels(replace(FACTS, seen=idle))["Effective"] == ("2.000", "50.00")
    assert levels(replace(FACTS, seen=idle))["Busy"] == ("4.000", "36.36")


@given(
    st.lists(
        st.builds(
            Sampled, st.sampled_from("ab"), st.sampled_from(["A100", "H20"]), st.sampled_from(["", "m"]),
            st.integers(0, 10**12), st.integers(0, 10**12),
        )
    )
)  # fmt: skip
def test_groups_add_up_to_the_whole(seen: list[Sampled]) -> None:
    facts = replace(FACTS, seen=tuple(seen))
    whole = busy_by(facts, ()).get(())
    for by in (("site",), ("accelerator", "site")):
        groups = busy_by(facts, by).values()
        assert sum(each.busy for each in groups) == (whole.busy if whole else 0)
        assert sum(each.sampled for each in groups) == (whole.sampled if whole else 0)
        if whole:
            assert (whole.effective is None) == any(each.effective is None for each in groups)

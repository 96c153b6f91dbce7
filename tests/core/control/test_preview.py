"""A look ahead says what a turn would decide if the job came first: place, quotas and bookings included."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import CHIPS, NOW, placed, scene, site, waiting, why

from hutong.core.accounts.quotas import ANY, Allotment, Quota
from hutong.core.book.snapshot import Holding, PersonHolding, PoolUse
from hutong.core.capacity.sites import Admission
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.work.spec import Ask, Resources

OWNERS = {ProjectId("a"): "uni", ProjectId("b"): "lab"}

allotments = st.lists(
    st.builds(
        Allotment, st.sampled_from([*CHIPS, ANY]), st.integers(0, 16),
        st.none() | st.integers(0, 16), st.none() | st.integers(0, 16),
    ),
    max_size=3, unique_by=lambda each: each.accelerator,
).map(tuple)  # fmt: skip
people = st.lists(
    st.builds(Allotment, st.sampled_from([*CHIPS, ANY]), st.just(0), each_person=st.integers(0, 16)),
    max_size=2, unique_by=lambda each: each.accelerator,
).map(tuple)  # fmt: skip
holds = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["ada", "bo"]), st.sampled_from(["one", "two"])),
    st.integers(1, 6),
)
asks = st.lists(
    st.builds(Ask, st.sampled_from(CHIPS), st.integers(1, 8)), min_size=1, max_size=2,
    unique_by=lambda each: each.accelerator,
).map(tuple)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(allotments, allotments, people, holds, asks, st.integers(1, 2), st.booleans())
def test_a_look_ahead_is_the_turn_of_a_job_that_comes_first(
    uni: tuple[Allotment, ...],
    lab: tuple[Allotment, ...],
    each_person: tuple[Allotment, ...],
    held: dict[tuple[str, str, str], int],
    wanted: tuple[Ask, ...],
    nodes: int,
    drained: bool,
) -> None:
    quotas = (Quota("institution", "uni", 1000, uni), Quota("institution", "lab", 1000, lab))
    quotas += (Quota("project", "a", 1000, each_person),)
    row = waiting(1, 1, 60, "a", resources=Resources(wanted), num_nodes=nodes)
    sites = (
        site("one", 16), site("three", 8, admission=Admission.DRAIN if drained else Admission.ACTIVE),
        site("two", 16, chip=CHIPS[1]),
    )  # fmt: skip
    use: Counter[tuple[str, str]] = Counter()
    by_project: Counter[tuple[str, str]] = Counter()
    for (project, _, place), cards in held.items():
        use[place, "p0"] += cards
        by_project[project, place] += cards
    shot = scene(
        sites, [row], institutions=OWNERS, quotas=quotas,
        use=tuple(PoolUse(*name, cards) for name, cards in use.items()),
        holdings=tuple(Holding(ProjectId(who), at, "p0", n) for (who, at), n in sorted(by_project.items())),
        person_holdings=tuple(
            PersonHolding(ProjectId(who), person, at, "p0", n)
            for (who, person, at), n in sorted(held.items())
            if who == "a" and each_person
        ),
    )  # fmt: skip
    outcome, told = turn(shot, Rules()), preview(shot, row.spec, row.project, Rules(), "ada")
    choice = told.decision.choice
    assert ({1: f"{choice.site}/{choice.pool}"} if choice else {}) == placed(outcome)
    if choice is None:
        assert (told.code, told.text) == why(outcome, 1)
    else:
        assert (told.code, told.fundable) == ("", True)
    assert shot.now_ms == NOW

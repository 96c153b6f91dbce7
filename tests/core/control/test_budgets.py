"""Budgets in a turn: nothing is placed beyond one, in whatever unit, and what runs is stopped in order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.control.scene import (
    KEY,
    LAB,
    PLACED,
    RULES,
    RUNNING,
    SPEC,
    T0,
    YUAN,
    history,
    kinds,
    only,
    receipt,
    snapshot,
)  # fmt: skip

from hutong.core.accounts.budgets import Action, Budget, Scope, Threshold, Unit
from hutong.core.book.ahead import ahead_of, still_to_use
from hutong.core.book.money import HoldPart
from hutong.core.book.snapshot import JobRow, Snapshot
from hutong.core.book.spending import Spending, measured, with_carbon
from hutong.core.control.preview import preview
from hutong.core.control.spending import NOTICE_MS
from hutong.core.control.turn import turn
from hutong.core.kernel.days import day_of
from hutong.core.kernel.ids import JobId, LotId
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.states import Category

HOUR_MS = 3_600_000
DAY = day_of(T0)
BLOCK = (Threshold(100, Action.BLOCK_NEW),)
STOP = (Threshold(100, Action.STOP),)
NEED = 8 * 2 * HOUR_MS  # SPEC asks for eight cards, and two hours


def budget(amount: int, unit: Unit = Unit.CARD_HOURS, **change: object) -> Budget:
    plain = Budget("b1", Scope.PROJECT, LAB, unit, amount, DAY, None, BLOCK, "pia")
    return replace(plain, **change)  # type: ignore[arg-type]


def spent(of: Budget, settled: int = 0, ahead: int = 0, told_ms: int = 0) -> Spending:
    days = of.days_at(DAY)
    assert days is not None
    return Spending(of, days, settled, ahead, told_ms)


def under(shot: Snapshot, *budgets: Spending) -> Snapshot:
    return replace(shot, budgets=budgets, institutions={LAB: "cau"})


def test_a_job_that_fits_its_budget_to_the_last_card_second_is_placed_and_its_receipt_replays() -> None:
    shot = under(snapshot(history()), spent(budget(NEED)))
    assert kinds(only(shot)) == ["queued", "placed"]
    assert receipt(shot)


@pytest.mark.parametrize(("settled", "ahead"), [(1, 0), (0, 1)])
def test_a_job_that_would_go_beyond_waits_and_says_why_and_what_would_help(settled: int, ahead: int) -> None:
    shot = under(snapshot(history()), spent(budget(NEED, accelerator="H100"), settled, ahead))
    outcome = only(shot)
    assert kinds(outcome) == ["queued", "waiting"]
    assert outcome.after.waiting_code == "budget"
    assert outcome.after.waiting_text == (
        "budget b1 of project lab has 15.999 card-hours of H100 left, the job may use 16; take another "
        "accelerator, or shorten max_duration or take fewer cards, or ask pia for more"
    )
    assert not outcome.commands
    assert not outcome.posting.holds
    found = preview(replace(shot, due=(), queue=()), SPEC, LAB, RULES, "ada")
    assert (found.code, found.text) == ("budget", outcome.after.waiting_text)


def test_a_monthly_budget_says_when_there_is_more() -> None:
    outcome = only(under(snapshot(history()), spent(budget(0, monthly=True))))
    assert outcome.after.waiting_text.endswith(
        "left, the job may use 16; ask pia for more, or wait until 2027-02-01"
    )


@pytest.mark.parametrize(
    "of",
    [
        budget(0, accelerator="910B"),
        budget(0, scope=Scope.PERSON, person="bo"),
        budget(0, scope=Scope.INSTITUTION, name="pku"),
        budget(0, Unit.TOKENS),
        budget(0, thresholds=(Threshold(100, Action.NOTIFY),)),
    ],
)  # fmt: skip
def test_what_a_budget_does_not_count_it_does_not_block(of: Budget) -> None:
    assert kinds(only(under(snapshot(history()), spent(of)))) == ["queued", "placed"]


@pytest.mark.parametrize(
    "of",
    [
        budget(NEED - 1, accelerator="H100"),
        budget(NEED - 1, scope=Scope.PERSON, person="ada"),
        budget(NEED - 1, scope=Scope.INSTITUTION, name="cau"),
        budget(160 * YUAN - 1, Unit.CNY),
        budget(8 * 700 * 1200 * 7200 // 1000 - 1, Unit.KWH),
        budget(8 * 700 * 1200 * 7200 // 1000 * 500 // 3600 - 1, Unit.CO2),
        budget(NEED * 2, thresholds=(Threshold(49, Action.DRAIN),)),
    ],
)  # fmt: skip
def test_every_unit_and_scope_blocks_at_its_own_measure(of: Budget) -> None:
    assert only(under(snapshot(history()), spent(of))).after.waiting_code == "budget"
    assert kinds(only(under(snapshot(history()), spent(replace(of, amount=of.amount * 2 + 2))))) == [
        "queued",
        "placed",
    ]


@given(
    cards=st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=6),
    hours=st.integers(0, 5),
    unit=st.sampled_from([unit for unit in Unit if unit is not Unit.TOKENS]),
    room_ppm=st.integers(0, 1_200_000),
    settled_ppm=st.integers(0, 1_000_000),
)
def test_what_a_turn_places_never_makes_settled_and_committed_exceed_a_budget(
    cards: list[int], hours: int, unit: Unit, room_ppm: int, settled_ppm: int
) -> None:
    rows = []
    for at, count in enumerate(cards):
        name = JobId(f"01J0000000000000000000000{at}")
        spec = replace(
            SPEC,
            num_nodes=1,
            max_duration_s=hours * 3600,
            resources=replace(SPEC.resources, asks=(replace(SPEC.resources.asks[0], cards_per_node=count),)),
        )
        events: tuple[f.Event, ...] = (f.Submitted("ada", "sha256:0"), f.Queued())
        job = fold([f.Fact(name, n, T0 + n, "test", event) for n, event in enumerate(events, 1)])
        rows.append(JobRow(job, spec, LAB))
    free = replace(snapshot(), queue=tuple(rows))

    def used(shot: Snapshot, of: Budget) -> int:
        supplies = {site.id: site.supply for site in shot.sites}
        total = 0
        for each in turn(shot, RULES).jobs:
            ahead = ahead_of(each.after)
            if ahead.site:
                amounts = with_carbon(ahead.amounts, supplies[shot.sites[0].id])
                total += measured(of, ahead.sku, "card_ms", amounts)
        return total

    everything = used(free, budget(0, unit))
    amount = everything * room_ppm // 10**6
    settled = amount * settled_ppm // 10**6
    of = budget(amount, unit)
    placed = used(under(free, spent(of, settled // 2, settled - settled // 2)), of)
    assert settled + placed <= amount or not placed
    if settled + everything <= amount:
        assert placed == everything


def running(*, preemptible: bool) -> Snapshot:
    job = history(f.Queued(), replace(PLACED, run_ms=0, preemptible=preemptible), *RUNNING[2:])
    spec = replace(SPEC, max_duration_s=0, preemptible=preemptible)
    shot = snapshot(job, now_ms=T0 + 7 * HOUR_MS, spec=spec, held_micro=0)
    return replace(shot, holds={KEY: (HoldPart(LotId("award"), 0),)})


def test_a_preemptible_job_is_stopped_at_once_and_told_why() -> None:
    outcome = only(under(running(preemptible=True), spent(budget(NEED, thresholds=STOP), NEED)))
    (stop,) = (fact.event for fact in outcome.facts if isinstance(fact.event, f.StopSent))
    assert stop.category is Category.PREEMPTED
    assert stop.reason == "budget b1 of project lab is used up to where it stops: 16 card-hours"


def test_another_job_is_stopped_only_when_people_have_known_for_a_while() -> None:
    shot, of = running(preemptible=False), budget(NEED, thresholds=STOP)
    for told_ms, stops in ((0, False), (shot.now_ms - NOTICE_MS + 1, False), (shot.now_ms - NOTICE_MS, True)):
        assert ("stop_sent" in kinds(only(under(shot, spent(of, NEED, 0, told_ms))))) is stops
    assert "stop_sent" not in kinds(only(under(shot, spent(of, NEED - 1, 99, 1))))


def test_what_is_still_to_use_and_what_is_metered_are_together_what_may_be_used() -> None:
    job = history(f.Queued(), replace(PLACED, run_ms=2 * HOUR_MS), *RUNNING[2:])
    (attempt,) = job.attempts
    assert still_to_use(attempt).quantity == NEED
    metered = replace(attempt, metered_card_ms=NEED // 3, charge_micro=1)
    assert still_to_use(metered).quantity + NEED // 3 == NEED
    assert still_to_use(metered).charge_micro + 1 == 160 * YUAN
    assert still_to_use(replace(attempt, metered_card_ms=NEED + 1)).quantity == 0

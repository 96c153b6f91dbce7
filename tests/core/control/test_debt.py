"""Debt: what no lot could pay keeps new work waiting, and the first free money pays it back."""

from dataclasses import replace

from tests.core.control.scene import (
    LAB,
    PLACED,
    RULES,
    RUNNING,
    SPEC,
    T0,
    YUAN,
    award,
    ended,
    history,
    kinds,
    only,
    snapshot,
    voucher,
)  # fmt: skip

from hutong.core.book.money import HoldPart, Lot, overrun_account
from hutong.core.book.snapshot import Outcome, Snapshot
from hutong.core.control.preview import Preview, preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.work import facts as f
from hutong.core.work.fold import Job

HOUR_MS = 3_600_000
OWED = 12_345_678
TEXT = "the project owes 12.35 yuan for use beyond its money; an award or a top-up pays it back"


def owing(*jobs: Job, lots: tuple[Lot, ...], owed: int = OWED, **more: int) -> Snapshot:
    return replace(snapshot(*jobs, lots=lots, **more), debts={LAB: owed})  # type: ignore[arg-type]


def look(shot: Snapshot, rules: Rules = RULES) -> Preview:
    return preview(replace(shot, due=(), queue=()), SPEC, LAB, rules)


def repaid(outcome: Outcome) -> dict[str, int]:
    return {entry.account: entry.amount_micro for txn in outcome.repayments for entry in txn.entries}


def test_a_project_in_debt_gets_nothing_placed_and_is_told_what_would_help() -> None:
    shot = owing(history(), lots=(voucher(1000 * YUAN),))
    outcome = only(shot)
    assert kinds(outcome) == ["queued", "waiting"]
    assert (outcome.after.waiting_code, outcome.after.waiting_text) == ("debt", TEXT)
    assert not outcome.commands
    assert not outcome.posting.holds
    found = look(shot)
    assert (found.code, found.text, found.fundable) == ("debt", TEXT, False)


def test_the_smallest_debt_counts_and_is_not_shown_as_nothing() -> None:
    outcome = only(owing(history(), lots=(), owed=1))
    assert "0.01 yuan" in outcome.after.waiting_text


def test_the_limit_is_a_rule() -> None:
    lots = (voucher(0, rate_ppm=1), award(0))
    tolerant = Rules(debt_limit_micro=OWED)
    shot = owing(history(), lots=lots)
    assert only(shot, tolerant).after.waiting_code == "no_funds"
    assert look(shot, tolerant).code == "no_funds"
    assert only(shot, Rules(debt_limit_micro=OWED - 1)).after.waiting_code == "debt"


def test_another_project_is_not_in_debt_for_it() -> None:
    shot = snapshot(history(), lots=(award(1000 * YUAN),))
    assert kinds(only(replace(shot, debts={ProjectId("other"): OWED}))) == ["queued", "placed"]


def test_running_work_goes_on_under_the_check_of_its_funds() -> None:
    spec = replace(SPEC, max_duration_s=100 * 3600)
    lots = (award(300 * YUAN, held=80 * YUAN),)
    job = history(*RUNNING)
    shot = snapshot(job, now_ms=T0 + 5000 + HOUR_MS, spec=spec, lots=lots, held_micro=80 * YUAN)
    outcome = turn(replace(shot, debts={LAB: 1000 * YUAN}), RULES)
    (part,) = outcome.jobs
    assert kinds(part) == ["metered"], "it is not stopped"
    held = 80 * YUAN + sum(each.amount_micro for h in part.posting.holds for each in h.parts)
    assert held == 80 * YUAN
    used = part.after.attempts[0].charge_micro
    assert repaid(outcome)[overrun_account(LAB)] == 300 * YUAN - used - held, (
        "the debt has what is free after it"
    )


def test_free_money_pays_the_debt_back_and_the_next_turn_places() -> None:
    lots = (voucher(1000 * YUAN), award(100 * YUAN))
    outcome = turn(owing(history(f.Queued()), lots=lots), RULES)
    assert outcome.jobs == (), "nothing relies on what is not in the book yet, and nothing is said of it"
    assert repaid(outcome) == {"lot:award": -OWED, overrun_account(LAB): OWED}
    (txn,) = outcome.repayments
    assert (txn.kind, txn.project, txn.cause) == ("repayment", LAB, "debt:lab")
    after = snapshot(history(f.Queued()), lots=(voucher(1000 * YUAN), award(100 * YUAN - OWED)))
    assert kinds(only(after)) == ["placed"]
    found = look(owing(lots=lots))
    assert (found.code, found.fundable) == ("", True)


def test_what_the_debt_takes_is_not_there_to_be_held() -> None:
    found = look(owing(lots=(award(80 * YUAN),)))
    assert (found.code, found.fundable) == ("no_funds", False)
    assert "67.65 available" in found.text


def test_money_that_does_not_suffice_pays_a_part() -> None:
    outcome = turn(owing(history(f.Queued()), lots=(award(5 * YUAN),)), RULES)
    assert repaid(outcome) == {"lot:award": -5 * YUAN, overrun_account(LAB): 5 * YUAN}
    (part,) = outcome.jobs
    assert "owes 7.35 yuan" in part.after.waiting_text


def test_what_is_held_or_not_open_pays_nothing() -> None:
    later = replace(award(1000 * YUAN), id=LotId("later"), starts_ms=T0 * 2 - 1)
    outcome = turn(owing(history(f.Queued()), lots=(award(80 * YUAN, held=80 * YUAN), later)), RULES)
    assert outcome.repayments == ()


def test_a_debt_that_arises_in_this_turn_keeps_the_next_job_waiting() -> None:
    over = history(*RUNNING, ended(ran_ms=2 * HOUR_MS), every_ms=HOUR_MS)
    other = replace(history(f.Queued()), id=type(over.id)(over.id[:-1] + "1"))
    lots = (award(80 * YUAN, held=80 * YUAN),)
    outcome = turn(snapshot(over, other, now_ms=T0 + 6 * HOUR_MS, lots=lots, held_micro=80 * YUAN), RULES)
    waits = {each.job: each.after.waiting_code for each in outcome.jobs}
    assert waits[other.id] == "debt"


def test_a_job_that_was_placed_before_the_debt_is_started() -> None:
    outcome = only(owing(history(f.Queued(), PLACED), lots=(award(80 * YUAN, held=80 * YUAN),)))
    assert outcome.facts == ()
    assert outcome.due_ms is not None


def test_a_hold_released_in_this_turn_pays_the_debt_with_the_rest() -> None:
    job = history(*RUNNING, ended(ran_ms=HOUR_MS // 2), f.Collected(1), every_ms=HOUR_MS // 2)
    shot = snapshot(
        job, now_ms=T0 + 4 * HOUR_MS, lots=(award(80 * YUAN, held=80 * YUAN),), held_micro=80 * YUAN
    )
    outcome = turn(replace(shot, debts={LAB: 100 * YUAN}), RULES)
    (hold,) = outcome.jobs[0].posting.holds
    assert hold.parts == (HoldPart(LotId("award"), -80 * YUAN),)
    assert repaid(outcome) == {"lot:award": -40 * YUAN, overrun_account(LAB): 40 * YUAN}

"""Disputes and invoices: what may follow what, and what may not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.kernel.errors import Conflict, Denied, Refused
from hutong.core.ledger.disputes import (
    OPEN_FOR_DAYS,
    Dispute,
    DisputeState,
    Ground,
    Message,
    add_message,
    decide,
    open_dispute,
    withdraw,
)
from hutong.core.ledger.invoices import (
    Invoice,
    InvoiceLine,
    check_split,
    credit_note,
    invoice_number,
    paid,
    taxed,
)

DAY_MS = 86_400_000
FIRST = Message("li", 10 * DAY_MS, "the node died")


def opened(charged: int = 1_000_000) -> Dispute:
    return open_dispute("d1", "lab", "job.0", Ground.SITE_FAULT, charged, 9 * DAY_MS, FIRST)


def test_a_dispute_is_opened_in_time_on_a_settled_charge() -> None:
    assert opened().state is DisputeState.OPEN
    with pytest.raises(Refused, match="may still change"):
        open_dispute("d", "lab", "job.0", Ground.OTHER, 1, 0, FIRST)
    with pytest.raises(Refused, match="cost nothing"):
        open_dispute("d", "lab", "job.0", Ground.OTHER, 0, 1, FIRST)
    on_time = replace(FIRST, at_ms=9 * DAY_MS + OPEN_FOR_DAYS * DAY_MS)
    open_dispute("d", "lab", "job.0", Ground.OTHER, 1, 9 * DAY_MS, on_time)
    late = replace(on_time, at_ms=on_time.at_ms + 1)
    with pytest.raises(Refused, match="no longer"):
        open_dispute("d", "lab", "job.0", Ground.OTHER, 1, 9 * DAY_MS, late)


@given(st.integers(1, 10**9), st.integers(0, 10**9))
def test_a_decision_is_final_and_a_repeat_of_it_changes_nothing(charged: int, refund: int) -> None:
    dispute = opened(charged)
    why = Message("wang", 11 * DAY_MS, "the log shows it")
    if refund > charged:
        with pytest.raises(Refused, match="part of the charge"):
            decide(dispute, refund, why)
        return
    done = decide(dispute, refund, why)
    expected = {0: DisputeState.REJECTED, charged: DisputeState.UPHELD}.get(refund, DisputeState.PARTLY)
    assert (done.state, done.refund_micro, done.messages[-1]) == (expected, refund, why)
    assert decide(done, refund, replace(why, at_ms=12 * DAY_MS)) == done
    with pytest.raises(Conflict):
        decide(done, refund - 1 if refund else 1, why)
    with pytest.raises(Conflict):
        withdraw(done, "li", 12 * DAY_MS)


def test_who_opened_it_does_not_decide_it_and_only_they_take_it_back() -> None:
    with pytest.raises(Denied, match="does not decide"):
        decide(opened(), 1, Message("li", 1, "yes"))
    with pytest.raises(Denied, match="takes it back"):
        withdraw(opened(), "wang", 1)
    gone = withdraw(opened(), "li", 5)
    assert gone.state is DisputeState.WITHDRAWN
    assert withdraw(gone, "li", 6) == gone
    with pytest.raises(Refused, match="reasons"):
        decide(opened(), 1, Message("wang", 1, "  "))


def test_messages_are_kept_once_each() -> None:
    more = Message("wang", 11 * DAY_MS, "which node?")
    once = add_message(opened(), more)
    assert once.messages == (FIRST, more)
    assert add_message(once, more) == once


def invoice() -> Invoice:
    lines = (
        InvoiceLine("lab", "use east H100 card_ms", 1, 1, 1, 1000),
        InvoiceLine("poems", "advance", 0, 0, 1, 500),
    )
    return Invoice(invoice_number(2026, 17), "uni", "university", "2026-11", 0, 1, 2, lines)


def test_an_invoice_is_paid_once_and_has_one_tax_invoice() -> None:
    done = paid(invoice(), "bank-1", 5)
    assert paid(done, "bank-1", 9) == done
    with pytest.raises(Conflict, match="bank-1"):
        paid(done, "bank-2", 9)
    with_tax = taxed(done, "24112000")
    assert taxed(with_tax, "24112000") == with_tax
    with pytest.raises(Conflict):
        taxed(with_tax, "99")


@given(st.lists(st.integers(1, 1200), min_size=1, max_size=8))
def test_credit_notes_never_take_more_than_was_asked_of_the_project(amounts: list[int]) -> None:
    credited = 0
    for amount in amounts:
        if amount > 1000 - credited:
            with pytest.raises(Refused):
                credit_note(invoice(), "2026-000018", "lab", amount, credited, "dispute d1", 9)
            continue
        note = credit_note(invoice(), "2026-000018", "lab", amount, credited, "dispute d1", 9)
        assert (note.total_fen, note.credits) == (-amount, "2026-000017")
        credited += amount
    assert credited <= 1000


def test_cost_centres_make_up_the_whole() -> None:
    check_split([("a", 333_333), ("b", 666_667)])
    for wrong in ([("a", 500_000)], [("a", 500_000), ("a", 500_000)], [("a", 0), ("b", 1_000_000)], []):
        with pytest.raises(Refused):
            check_split(wrong)

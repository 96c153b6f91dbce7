"""A claim pays exactly its share: of lines that count, up to face and caps, each line once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.ledger.subsidies.cases import BEIJING, CONTRACT, NOW, PROOF, VOUCHER, YUAN, asked, spend

from hutong.core.ledger.subsidies.parties import Room, Spend, VoucherState
from hutong.core.ledger.subsidies.programme import Counts, Pays
from hutong.core.ledger.subsidies.redeem import Asked, redeemable

charges = st.lists(st.integers(-(10**9), 10**12), min_size=1, max_size=30)
capped = replace(BEIJING, pool_year_micro=5_000_000 * YUAN)


def test_a_claim_pays_its_share_line_by_line() -> None:
    found = redeemable(asked(spend(1, 100 * YUAN), spend(2, 50 * YUAN)))
    assert (found.refusals, found.amount_micro, found.bound) == ((), 30 * YUAN, "")
    assert [(line.spend, line.amount_micro) for line in found.lines] == [
        ("use:0001", 20 * YUAN),
        ("use:0002", 10 * YUAN),
    ]


@given(numbers=charges)
def test_slicing_changes_nothing_and_corrections_count(numbers: list[int]) -> None:
    rich = replace(VOUCHER, face_micro=10**18)
    rules = replace(BEIJING, cap_year_micro=None)
    lines = [spend(n, charge) for n, charge in enumerate(numbers)]
    found = redeemable(asked(*lines, programme=rules, voucher=rich))
    due = max(0, sum(numbers)) * 200_000 // 1_000_000
    assert found.amount_micro == due
    assert bool(found.refusals) == (due == 0)
    assert sum(line.amount_micro for line in found.lines) == due


@given(
    numbers=st.lists(st.integers(1, 10**13), min_size=1, max_size=20),
    face=st.integers(1, 10**12),
    firm=st.integers(0, 3_000_000 * YUAN),
    pool=st.integers(0, 6_000_000 * YUAN),
)
def test_nothing_goes_beyond_face_and_caps_and_the_clause_that_bounds_is_named(
    numbers: list[int], face: int, firm: int, pool: int
) -> None:
    lines = [spend(n, charge) for n, charge in enumerate(numbers)]
    voucher = replace(VOUCHER, face_micro=face)
    found = redeemable(asked(*lines, programme=capped, voucher=voucher, room=Room(firm, pool)))
    due = sum(numbers) * 200_000 // 1_000_000
    rooms = {
        "beijing/face": face,
        "beijing/cap-per-year": max(0, 2_000_000 * YUAN - firm),
        "beijing/pool-per-year": max(0, 5_000_000 * YUAN - pool),
    }
    assert found.amount_micro == min(due, *rooms.values())
    if 0 < found.amount_micro < due:
        assert rooms[found.bound] == found.amount_micro
    if not found.amount_micro and due:
        assert rooms[found.refusals[0].clause] == 0
    assert all(line.amount_micro > 0 for line in found.lines), "a line to which nothing is left stays free"


@pytest.mark.parametrize(
    ("bad", "clause"),
    [
        (spend(2, YUAN, claim="c-0"), "no-double-subsidy"),
        (spend(2, YUAN, subsidised=True), "no-double-subsidy"),
        (spend(2, YUAN, line="storage"), "eligible-lines"),
        (spend(2, YUAN, line="network"), "eligible-lines"),
        (spend(2, YUAN, site="elsewhere"), "unrelated-provider"),
        (spend(2, YUAN, from_ms=CONTRACT.starts_ms - 1), "contract-term"),
        (spend(2, YUAN, upto_ms=CONTRACT.ends_ms + 1), "contract-term"),
        (spend(2, YUAN, upto_ms=NOW + 1), "after-settlement"),
    ],
)
def test_a_line_that_does_not_count_is_left_out_by_its_clause(bad: Spend, clause: str) -> None:
    found = redeemable(asked(spend(1, 10 * YUAN), bad))
    assert found.amount_micro == 2 * YUAN
    assert [(each.spend, each.clause) for each in found.left_out] == [(bad.id, f"beijing/{clause}")]
    alone = redeemable(asked(bad))
    assert [each.clause for each in alone.refusals] == [f"beijing/{clause}"]
    assert alone.amount_micro == 0


@pytest.mark.parametrize(
    ("spoiled", "clause"),
    [
        (asked(spend(1, YUAN), evidence={"invoice": "1"}), "evidence"),
        (asked(spend(1, YUAN), evidence={**PROOF, "delivery-proof": " "}), "evidence"),
        (asked(spend(1, YUAN), owed_micro=1), "after-settlement"),
        (asked(), "after-settlement"),
        (asked(spend(1, YUAN), now_ms=VOUCHER.expires_ms), "redeem-by"),
        (asked(spend(1, YUAN), voucher=replace(VOUCHER, state=VoucherState.EXPIRED)), "redeem-by"),
        (asked(spend(1, YUAN), voucher=replace(VOUCHER, state=VoucherState.CLAWED_BACK)), "after-settlement"),
        (asked(spend(1, YUAN), programme=replace(BEIJING, pays=Pays.CHARGE)), "after-settlement"),
    ],
)
def test_a_claim_is_refused_whole_by_its_clause(spoiled: Asked, clause: str) -> None:
    found = redeemable(spoiled)
    assert [each.clause for each in found.refusals] == [f"beijing/{clause}"]
    assert (found.amount_micro, found.lines) == (0, ())


def test_a_face_that_the_rate_made_is_bounded_by_the_rate() -> None:
    found = redeemable(asked(spend(1, 5_000_000 * YUAN)))
    assert (found.amount_micro, found.bound) == (200_000 * YUAN, "beijing/rate")


def test_where_only_issue_counts_a_claim_asks_no_cap_of_the_year() -> None:
    rules = replace(BEIJING, counts=(Counts.ISSUE,))
    full = Room(2_000_000 * YUAN)
    assert redeemable(asked(spend(1, 10 * YUAN), programme=rules, room=full)).amount_micro == 2 * YUAN
    assert redeemable(asked(spend(1, 10 * YUAN), room=full)).refusals[0].clause == "beijing/cap-per-year"

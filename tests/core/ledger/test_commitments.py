"""Commitments and tiers: exact for any use, whatever the order, and never more than was promised."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.accounts.budgets import Scope
from hutong.core.book.commitments import Commitment
from hutong.core.book.money import RERATING, REVENUE, WAIVED, Lot, LotKind, UsageRecord
from hutong.core.book.prices import Price, Tier
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.rating import CARD_HOUR_MS, rate, rate_moved
from hutong.core.ledger import commitments as c
from hutong.core.ledger.prices import rate_tiers
from hutong.core.ledger.replay import replay
from hutong.core.ledger.rerating import Rerating, give_to, rerate

YUAN = 10**6
DEAL = Commitment(
    "deal", Scope.INSTITUTION, "uni", "p0", "H100", 100 * CARD_HOUR_MS, 5 * YUAN, True, "2027-03", "2028-03",
    "contract", "op", 0,
)  # fmt: skip
GROUPS = st.builds(
    c.Group,
    st.sampled_from(["p0", "p1", "p2"]),
    st.sampled_from(["east", "west"]),
    st.sampled_from(["H100", "A100"]),
    st.just("card_ms"),
    st.sampled_from([0, 3 * YUAN, 5 * YUAN, 7 * YUAN, 9 * YUAN]),
    st.just(CARD_HOUR_MS),
)
USES = st.dictionaries(GROUPS, st.integers(-(10**6), 10**9), max_size=12)
DEALS = st.builds(
    lambda card_ms, micro, pays: replace(DEAL, card_ms=card_ms, micro=micro, take_or_pay=pays),
    st.integers(1, 2 * 10**9),
    st.integers(0, 10 * YUAN),
    st.booleans(),
)


@settings(max_examples=150)
@given(DEALS, USES, st.randoms(use_true_random=False))
def test_used_and_unused_are_what_was_committed_and_never_more(
    deal: Commitment, uses: dict[c.Group, int], random: object
) -> None:
    moves, left = c.commit(deal, "2027-03", uses)
    unused = sum(q for each, q in moves.items() if each.group.unit == c.UNUSED)
    used = sum(uses.values()) - sum(left.values())
    assert 0 <= used <= deal.card_ms
    if deal.take_or_pay:
        assert used + unused == deal.card_ms
    else:
        assert unused == 0
    assert all(min(0, had) <= left[group] <= max(0, had) for group, had in uses.items())
    assert all(left[group] == had for group, had in uses.items() if group.sku != "H100")
    # Every card-ms that leaves a price comes to another one: use stays what it was.
    assert sum(q for each, q in moves.items() if each.group.unit != c.UNUSED) == 0
    shuffled = list(uses.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert c.commit(deal, "2027-03", dict(shuffled)) == (moves, left)
    taken = [group for group, had in uses.items() if left[group] < had]
    whole = [group for group, had in uses.items() if group.sku == "H100" and had > 0 and left[group] == had]
    if taken and whole and used == deal.card_ms:
        fits = [group for group in whole if deal.take_or_pay or group.micro > deal.micro]
        assert all(group.micro <= min(each.micro for each in taken) for group in fits), "the dearest first"
    if not deal.take_or_pay:
        assert all(group.micro > deal.micro for group in taken)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), max_size=4, unique_by=lambda t: t[0]),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=2),
)
def test_tiers_cost_what_one_record_of_the_month_would(
    steps: list[tuple[int, int]], parts: list[int]
) -> None:
    base = 7 * YUAN
    price = Price("b.1", 0, 1, base, CARD_HOUR_MS, "", "", 0, tuple(Tier(*each) for each in sorted(steps)))
    uses = {
        c.Group("p", site, "H100", "card_ms", base, CARD_HOUR_MS): part
        for site, part in zip(("east", "west"), parts, strict=False)
    }
    moves = c.tier("p", [("card:H100", price)], "2027-03", uses)
    quantities: dict[int, int] = {base: sum(parts)}
    for each, quantity in moves.items():
        quantities[each.group.micro] = quantities.get(each.group.micro, 0) + quantity
    assert sum(quantities.values()) == sum(parts)
    assert all(quantity >= 0 for quantity in quantities.values())
    exact = sum(rate(quantity, micro, CARD_HOUR_MS) for micro, quantity in quantities.items())
    assert abs(exact - rate_tiers(price, sum(parts))) <= len(steps) + 1  # tiers of one price are rated apart
    other = [("card:A100", price), ("card:H100@north", price), ("token_in", price)]
    assert c.tier("p", other, "2027-03", uses) == {}
    assert c.tier("q", [("card:H100", price)], "2027-03", uses) == {}


LOTS = (
    Lot(LotId("award"), ProjectId("p"), LotKind.AWARD, 10**6, 0, 10**9, 10**9),
    Lot(LotId("voucher"), ProjectId("p"), LotKind.VOUCHER, 3 * 10**5, 0, 10**9, 10**9),
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 9 * YUAN)), min_size=1, max_size=5),
    st.dictionaries(st.sampled_from(["lot:award", "lot:voucher", "overrun:p"]), st.integers(0, 10**9)),
)
def test_reratings_of_reratings_end_where_one_would(
    steps: list[tuple[int, int]], payers: dict[str, int]
) -> None:
    """Whatever a subject was brought to before, it ends as what was asked for last; a repeat is nothing."""
    group = c.Group("p", "east", "H100", "card_ms", 9 * YUAN, CARD_HOUR_MS)
    records: list[UsageRecord] = []
    txns = []
    for quantity, micro in steps:
        lines = {group: -quantity, replace(group, micro=micro): quantity} if micro != group.micro else {}
        wanted = Rerating("commitment:d:2027-03:p:east", ProjectId("p"), "east", lines)
        posting = rerate(wanted, records, payers, LOTS, (0, 1000), 5)
        records += posting.usage
        txns += posting.txns
        assert rerate(wanted, records, payers, LOTS, (0, 1000), 5).usage == ()
        assert sum(each.quantity for each in records) == 0
        charged = sum(rate_moved(q, g.micro, g.per) for g, q in lines.items())
        assert sum(each.charge_micro for each in records) == charged
        booked = sum(leg.amount_micro for txn in txns for leg in txn.entries if leg.account == REVENUE)
        assert booked == charged
    assert replay(txns, records).faults == ()
    assert {txn.kind for txn in txns} <= {RERATING}
    assert len({each.id for each in records}) == len(records)


@given(st.dictionaries(st.text(max_size=3), st.integers(-5, 10**9), max_size=5), st.integers(0, 3 * 10**9))
def test_nobody_gets_more_back_than_they_paid(payers: dict[str, int], amount: int) -> None:
    back = give_to(payers, amount)
    assert sum(back.values()) == amount
    waived = back.pop(WAIVED, 0)
    assert all(0 < part <= payers[account] for account, part in back.items())
    assert waived == max(0, amount - sum(part for part in payers.values() if part > 0))


def test_a_commitment_is_ended_from_the_next_month_on_and_never_put_off() -> None:
    running = replace(DEAL, from_month="2027-01", upto_month="2027-12")
    assert c.end(running, "2027-06", "2027-05").upto_month == "2027-06"
    assert c.end(running, "2027-12", "2027-05") == running
    for month in ("2027-05", "2026-12", "2028-01", "soon", "2027-13"):
        with pytest.raises(Refused):
            c.end(running, month, "2027-05")
    coming = replace(DEAL, from_month="2027-08", upto_month="2027-12")
    assert not c.end(coming, "2027-08", "2027-05").binds("2027-08")  # given up before it began
    with pytest.raises(Refused):
        c.end(coming, "2027-07", "2027-05")
    assert c.worth_micro(running) == 11 * 500 * YUAN
    assert c.worth_micro(running, "2027-11") == 500 * YUAN


@pytest.mark.parametrize(
    "wrong",
    [{"from_month": "2027-02"}, {"upto_month": "2027-03"}, {"upto_month": "2037-04"}, {"card_ms": 0}],
)
def test_what_cannot_be_promised_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Refused):
        c.check(replace(DEAL, **wrong), "2027-03")  # type: ignore[arg-type]
    c.check(DEAL, "2027-03")

"""Whatever happens to vouchers, no cap of any year is passed, and what is given back counts again."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.core.ledger.subsidies.cases import (
    BEIJING,
    CONTRACT,
    DAY_MS,
    FIRM,
    VOUCHER,
    YUAN,
    asked,
    at,
    case,
    spend,
)

from hutong.core.kernel.errors import Conflict
from hutong.core.ledger.subsidies import life
from hutong.core.ledger.subsidies.issue import face_at_most, may_issue
from hutong.core.ledger.subsidies.parties import (
    Claim,
    ClaimLine,
    ClaimState,
    Contract,
    Room,
    Tally,
    Voucher,
    VoucherState,
)
from hutong.core.ledger.subsidies.programme import Counts, Party
from hutong.core.ledger.subsidies.redeem import redeemable

RULES = replace(
    BEIJING,
    cap_voucher_micro=700_000 * YUAN,
    cap_year_micro=1_000_000 * YUAN,
    pool_year_micro=1_500_000 * YUAN,
    one_per_contract=True,
    signed_until_ms=None,
)


def test_the_year_changes_at_midnight_in_shanghai_not_in_utc() -> None:
    midnight = at("2025-01-01")
    assert BEIJING.year(midnight - 1) == 2024
    assert BEIJING.year(midnight) == 2025
    assert BEIJING.month(midnight) - BEIJING.month(midnight - 1) == 1
    assert BEIJING.day(midnight - 1) == "2024-12-31"


class Years(RuleBasedStateMachine):
    """Two firms with one voucher after the other, through the ends of years."""

    def __init__(self) -> None:
        super().__init__()
        self.now = at("2024-11-01")
        self.vouchers: dict[str, Voucher] = {}
        self.contracts: dict[str, Contract] = {}
        self.claims: dict[str, Claim] = {}
        self.tallies: dict[tuple[Counts, int, str], Tally] = {}
        self.spends = 0

    def room(self, counts: Counts, firm: str) -> Room:
        year = RULES.year(self.now)
        mine, pool = (self.tallies.get((counts, year, who), Tally()).taken_micro for who in (firm, ""))
        return Room(mine, pool)

    def take(self, step: life.Step) -> None:
        self.vouchers[step.voucher.id] = step.voucher
        for each in step.added:
            for who in (step.voucher.institution, ""):
                key = (each.counts, each.year, who)
                self.tallies[key] = life.tallied(self.tallies.get(key, Tally()), each.amount_micro)

    @rule(days=st.integers(1, 60))
    def wait(self, days: int) -> None:
        self.now += days * DAY_MS

    @rule(firm=st.sampled_from(["rain", "snow"]), amount=st.integers(1, 6_000_000 * YUAN), bind=st.booleans())
    def issue(self, firm: str, amount: int, bind: bool) -> None:
        number = len(self.vouchers)
        contract = replace(
            CONTRACT, id=f"c{number}", demander=firm, amount_micro=amount, signed_ms=self.now,
            starts_ms=self.now, ends_ms=self.now + 200 * DAY_MS,
        )  # fmt: skip
        judged = case(
            RULES, applicant=replace(FIRM, id=firm), contract=contract, now_ms=self.now,
            room=self.room(Counts.ISSUE, firm),
        )  # fmt: skip
        most, _ = face_at_most(judged)
        if not most:
            return
        assert not may_issue(replace(judged, face_micro=most))
        voucher = replace(
            VOUCHER, id=f"v{number}", institution=firm, face_micro=most, issued_ms=self.now,
            year=RULES.year(self.now), state=VoucherState.ISSUED, contract="", expires_ms=None,
        )  # fmt: skip
        self.contracts[voucher.id] = contract
        self.take(life.issued(RULES, voucher))
        if bind:
            self.take(life.bound(RULES, voucher, contract, most))

    def _one(self, state: VoucherState, pick: int) -> Voucher | None:
        found = [each for each in self.vouchers.values() if each.state is state]
        return found[pick % len(found)] if found else None

    @rule(pick=st.integers(0, 99), percent=st.integers(0, 100))
    def bind(self, pick: int, percent: int) -> None:
        voucher = self._one(VoucherState.ISSUED, pick)
        if voucher:
            face = voucher.face_micro * percent // 100
            self.take(life.bound(RULES, voucher, self.contracts[voucher.id], face))

    @rule(pick=st.integers(0, 99), charge=st.integers(1, 4_000_000 * YUAN))
    def claim(self, pick: int, charge: int) -> None:
        voucher = self._one(VoucherState.BOUND, pick)
        if voucher is None:
            return
        self.spends += 1
        contract = replace(self.contracts[voucher.id], starts_ms=0)
        line = spend(self.spends, charge, from_ms=0, upto_ms=1)
        found = redeemable(
            asked(
                line, programme=RULES, voucher=voucher, contract=contract, now_ms=self.now,
                room=self.room(Counts.CLAIM, voucher.institution),
            )
        )  # fmt: skip
        if found.refusals:
            return
        claim = Claim(
            f"q{len(self.claims)}", voucher.id, "beijing", "clouds", "li", self.now, RULES.year(self.now),
            0, 1, found.amount_micro, found.bound, (ClaimLine(line.id, charge, found.amount_micro),), (),
        )  # fmt: skip
        self.claims[claim.id] = claim
        self.take(life.reserved(RULES, voucher, claim))

    @rule(pick=st.integers(0, 99), good=st.booleans())
    def decide(self, pick: int, good: bool) -> None:
        open_claims = [each for each in self.claims.values() if each.state is ClaimState.RESERVED]
        if not open_claims:
            return
        claim = open_claims[pick % len(open_claims)]
        voucher = self.vouchers[claim.voucher]
        if good and voucher.state is VoucherState.CLAWED_BACK:
            with pytest.raises(Conflict):
                life.redeemed(voucher, claim)
            good = False
        self.take(life.redeemed(voucher, claim) if good else life.refused(RULES, voucher, claim))
        state = ClaimState.REDEEMED if good else ClaimState.REFUSED
        self.claims[claim.id] = replace(claim, state=state)
        with pytest.raises(Conflict):
            life.redeemed(voucher, self.claims[claim.id])

    @rule(pick=st.integers(0, 99))
    def expire(self, pick: int) -> None:
        voucher = self._one(VoucherState.BOUND, pick)
        if voucher and voucher.expires_ms is not None and self.now >= voucher.expires_ms:
            self.take(life.expired(RULES, voucher, self.now))

    @precondition(lambda self: len(self.vouchers) > 3)
    @rule(pick=st.integers(0, 99))
    def claw_back(self, pick: int) -> None:
        voucher = self._one(VoucherState.BOUND, pick)
        if voucher:
            self.take(life.clawed_back(RULES, voucher, "audit"))
            with pytest.raises(Conflict):
                life.clawed_back(RULES, self.vouchers[voucher.id], "again")

    @invariant()
    def no_cap_of_any_year_is_passed(self) -> None:
        for (_, _, who), tally in self.tallies.items():
            most = RULES.cap_year_micro if who else RULES.pool_year_micro
            assert most is not None
            assert 0 <= tally.taken_micro <= most

    @invariant()
    def the_tallies_say_what_vouchers_and_claims_say(self) -> None:
        for (counts, year, who), tally in self.tallies.items():
            mine = [each for each in self.vouchers.values() if who in {"", each.institution}]
            if counts is Counts.ISSUE:
                assert tally.taken_micro == sum(each.face_micro for each in mine if each.year == year)
            else:
                names = {each.id for each in mine}
                assert tally.taken_micro == sum(
                    each.amount_micro
                    for each in self.claims.values()
                    if each.year == year and each.voucher in names and each.state is not ClaimState.REFUSED
                )

    @invariant()
    def no_voucher_pays_more_than_its_face(self) -> None:
        for each in self.vouchers.values():
            assert each.left_micro >= 0
            assert each.reserved_micro >= 0
            assert each.face_micro <= (RULES.cap_voucher_micro or 0)
            paid = sum(
                claim.amount_micro for claim in self.claims.values()
                if claim.voucher == each.id and claim.state is ClaimState.REDEEMED
            )  # fmt: skip
            assert paid == each.redeemed_micro
            assert each.claimant is Party.DEMANDER


TestYears = Years.TestCase
TestYears.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

"""Claims on vouchers: made, paid, refused and clawed back, each in one guarded transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hutong.core.kernel.errors import Broken, Problem, Refused
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.subsidies import life
from hutong.core.ledger.subsidies import parties as s
from hutong.core.ledger.subsidies.programme import Counts, Programme
from hutong.core.ledger.subsidies.redeem import Asked, Redeemable, redeemable
from hutong.server.debts import owed_micro
from hutong.server.registry import read
from hutong.server.subsidies import shelf
from hutong.server.subsidies.desk import Desk, refuse, same
from hutong.server.subsidies.purse import open_subsidy, spends_of, subsidy_lot, take_back_subsidy


@dataclass(frozen=True, slots=True)
class ClaimWanted:
    """A claim as asked for."""

    from_ms: int
    upto_ms: int
    evidence: Mapping[str, str]


class Claims:
    """All steps of claims, over the desk that knows vouchers and rules."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = desk.store
        self._clock = desk.clock

    def check_claim(self, voucher_id: str, wanted: ClaimWanted) -> Redeemable:
        """Say what a claim would pay, line by line, and change nothing."""
        voucher, _ = shelf.load_voucher(self._store, voucher_id)
        programme = self._desk.rules_of(voucher).programme
        tallies = shelf.Tallies(self._store, programme.id, voucher.institution)
        return self._redeemable(voucher, programme, wanted, tallies, self._clock())[0]

    def claim(self, claim_id: str, voucher_id: str, wanted: ClaimWanted, by: str, asked: str) -> s.Claim:
        """Claim what was settled in a time; the amount is set aside, and its lines are nobody else's."""

        def work() -> s.Claim:
            there = self._store.get(shelf.CLAIM, claim_id)
            if there is not None:
                return same(read(s.Claim, there), asked)
            voucher, version = shelf.load_voucher(self._store, voucher_id)
            programme = self._desk.rules_of(voucher).programme
            tallies = shelf.Tallies(self._store, programme.id, voucher.institution)
            now_ms = self._clock()
            found, versions = self._redeemable(voucher, programme, wanted, tallies, now_ms)
            refuse(found.refusals, "claim_refused", "the programme's rules stand against this claim")
            claim = s.Claim(
                id=claim_id,
                voucher=voucher.id,
                programme=programme.id,
                project=voucher.project,
                by=by,
                made_ms=now_ms,
                year=programme.year(now_ms),
                from_ms=wanted.from_ms,
                upto_ms=wanted.upto_ms,
                amount_micro=found.amount_micro,
                bound=found.bound,
                lines=found.lines,
                evidence=tuple(sorted(wanted.evidence.items())),
                asked=asked,
            )
            step = life.reserved(programme, voucher, claim)
            self._store.put_all(
                [
                    shelf.voucher_write(step.voucher, version),
                    shelf.claim_write(claim, 0),
                    *tallies.writes(step.added),
                    *(
                        shelf.claimed_write(line.spend, claim_id, voucher.project, versions[line.spend])
                        for line in found.lines
                    ),
                ]
            )
            return claim

        return self._desk.again(work)

    def redeem(self, claim_id: str, reference: str, by: str) -> s.Claim:
        """Pay a claim: to the project's balance, or outside where a payment has a reference."""
        payment = reference or f"lot:{subsidy_lot(claim_id)}"

        def decide() -> s.Claim:
            claim, version = shelf.load_claim(self._store, claim_id)
            if claim.payment == payment and claim.state in {s.ClaimState.PAYING, s.ClaimState.REDEEMED}:
                return claim
            voucher, of_voucher = shelf.load_voucher(self._store, claim.voucher)
            step = life.redeemed(voucher, claim)
            state = s.ClaimState.REDEEMED if reference else s.ClaimState.PAYING
            decided = _decided(claim, state, by, self._clock(), payment=payment)
            self._store.put_all(
                [shelf.voucher_write(step.voucher, of_voucher), shelf.claim_write(decided, version)]
            )
            return decided

        def pay() -> s.Claim:
            claim, version = shelf.load_claim(self._store, claim_id)
            if claim.state is not s.ClaimState.PAYING:
                return claim
            open_subsidy(self._store, claim, self._clock())
            paid = replace(claim, state=s.ClaimState.REDEEMED)
            self._store.put_all([shelf.claim_write(paid, version)])
            return paid

        self._desk.again(decide)
        return self._desk.again(pay)

    def refuse_claim(self, claim_id: str, reason: str, by: str) -> s.Claim:
        """Refuse a claim: what it set aside, its room in the caps and its lines are free again."""

        def work() -> s.Claim:
            claim, version = shelf.load_claim(self._store, claim_id)
            if claim.state is s.ClaimState.REFUSED:
                return claim
            voucher, of_voucher = shelf.load_voucher(self._store, claim.voucher)
            programme = self._desk.rules_of(voucher).programme
            step = life.refused(programme, voucher, claim)
            decided = _decided(claim, s.ClaimState.REFUSED, by, self._clock(), reason=reason)
            tallies = shelf.Tallies(self._store, programme.id, voucher.institution)
            freed = []
            for line in claim.lines:
                holder, of_spend = shelf.load_claimed(self._store, line.spend)
                if holder != claim_id:
                    raise Broken(f"{line.spend} of claim {claim_id} is held by {holder or 'nobody'}")
                freed.append(shelf.claimed_write(line.spend, "", claim.project, of_spend))
            self._store.put_all(
                [
                    shelf.voucher_write(step.voucher, of_voucher),
                    shelf.claim_write(decided, version),
                    *tallies.writes(step.added),
                    *freed,
                ]
            )
            return decided

        return self._desk.again(work)

    def claw_back_claim(self, claim_id: str, reason: str, by: str) -> s.Claim:
        """Take back what a claim was paid. Its lines stay claimed, and caps do not recover."""

        def work() -> s.Claim:
            claim, version = shelf.load_claim(self._store, claim_id)
            if claim.state is s.ClaimState.CLAWED_BACK:
                return claim
            voucher, of_voucher = shelf.load_voucher(self._store, claim.voucher)
            step = life.claim_clawed_back(voucher, claim)
            decided = _decided(claim, s.ClaimState.CLAWED_BACK, by, self._clock(), reason=reason)
            if claim.payment == f"lot:{subsidy_lot(claim_id)}":
                # The transaction has the claim's name: first, and twice is once.
                take_back_subsidy(self._store, claim, self._clock())
            self._store.put_all(
                [shelf.voucher_write(step.voucher, of_voucher), shelf.claim_write(decided, version)]
            )
            return decided

        return self._desk.again(work)

    def _redeemable(
        self,
        voucher: s.Voucher,
        programme: Programme,
        wanted: ClaimWanted,
        tallies: shelf.Tallies,
        now_ms: int,
    ) -> tuple[Redeemable, dict[str, int]]:
        if not voucher.contract:
            problem = Problem("/voucher", "it is bound to no contract", "bind it first")
            raise Refused("not_bound", f"voucher {voucher.id} is bound to no contract", (problem,))
        contract = shelf.load_contract(self._store, voucher.contract)
        spends = spends_of(self._store, contract.project, wanted.from_ms, wanted.upto_ms)
        versions: dict[str, int] = {}
        seen = []
        for spend in spends:
            claim, versions[spend.id] = shelf.load_claimed(self._store, spend.id)
            seen.append(replace(spend, claim=claim))
        room = tallies.room(Counts.CLAIM, programme.year(now_ms))
        owed = owed_micro(self._store, ProjectId(contract.project))
        asked = Asked(programme, voucher, contract, seen, wanted.evidence, room, owed, now_ms)
        return redeemable(asked), versions


def _decided(
    claim: s.Claim, state: s.ClaimState, by: str, now_ms: int, *, payment: str = "", reason: str = ""
) -> s.Claim:
    return replace(
        claim,
        state=state,
        decided_by=by,
        decided_ms=now_ms,
        payment=payment or claim.payment,
        reason=reason,
    )

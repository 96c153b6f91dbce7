"""May a voucher be issued, and for how much: one small function for each clause, all of them asked."""

from collections.abc import Callable
from dataclasses import dataclass

from hutong.core.ledger.subsidies.parties import Applicant, Contract, Room
from hutong.core.ledger.subsidies.programme import Counts, Name, Party, Programme, bounds, share, yuan


@dataclass(frozen=True, slots=True)
class Refusal:
    """A clause that stands against something: which, the field of the request, what would be right."""

    clause: str
    path: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Case:
    """All that is judged when a voucher is issued; without a contract, only the applicant is."""

    programme: Programme
    applicant: Applicant
    claimant: Party
    face_micro: int
    contract: Contract | None
    room: Room
    now_ms: int

    def against(self, name: Name, path: str, message: str, hint: str) -> Refusal:
        """Return the refusal by a clause of this programme."""
        return Refusal(self.programme.clause(name), path, message, hint)


Rule = Callable[[Case], Refusal | None]
ContractRule = Callable[[Case, Contract], Refusal | None]


def may_issue(case: Case) -> tuple[Refusal, ...]:
    """Return every clause that stands against issuing this voucher; nothing if it may be issued."""
    found = [rule(case) for rule in _OF_THE_APPLICANT]
    if case.contract is not None:
        found += [rule(case, case.contract) for rule in _OF_THE_CONTRACT]
    return tuple(each for each in found if each is not None)


def may_bind(case: Case) -> tuple[Refusal, ...]:
    """Return every clause that stands against binding a voucher, whose face counts already, to a contract."""
    found = [rule(case) for rule in (_claimant, _kind, _credit)]
    if case.contract is not None:
        found += [rule(case, case.contract) for rule in _OF_THE_CONTRACT]
    return tuple(each for each in found if each is not None)


def face_at_most(case: Case) -> tuple[int, str]:
    """Return the largest face in micro-yuan that rates and caps leave, and the clause that bounds it.

    Without a contract and without caps nothing bounds it: then the face asked for is returned.
    """
    programme = case.programme
    limits: list[tuple[int, Name]] = []
    if case.contract is not None:
        rate_ppm = programme.rate_ppm(case.applicant.kind)
        most = share(case.contract.amount_micro, rate_ppm) - case.room.held_micro
        limits.append((max(0, most), Name.RATE))
    for name, cap_micro in bounds(programme):
        taken = _taken(case, name)
        if taken is not None:
            limits.append((max(0, cap_micro - taken), name))
    if not limits:
        return case.face_micro, ""
    most, bound = min(limits, key=lambda each: each[0])
    return most, programme.clause(bound)


def _taken(case: Case, name: Name) -> int | None:
    """Return what counts against a cap when a voucher is issued; None if the cap does not count then."""
    if name is Name.CAP_VOUCHER:
        return 0
    if Counts.ISSUE not in case.programme.counts:
        return None
    return case.room.firm_micro if name is Name.CAP_YEAR else case.room.pool_micro


def _claimant(case: Case) -> Refusal | None:
    if case.claimant in case.programme.claimants:
        return None
    said = " or ".join(each.value for each in case.programme.claimants)
    text = f"the {case.claimant.value} may not claim under this programme"
    return case.against(Name.CLAIMANT, "/claimant", text, f"the {said} of the contract")


def _kind(case: Case) -> Refusal | None:
    if not case.programme.rates and not case.programme.other_rate_ppm:
        text = "what this programme pays is not known: its sources do not say"
        return case.against(Name.RATE, "/programme", text, "a programme whose file states a rate")
    if case.programme.rate_ppm(case.applicant.kind):
        return None
    kinds = [each for each in type(case.applicant.kind) if case.programme.rate_ppm(each)]
    said = ", ".join(each.value for each in kinds)
    text = f"an institution of kind {case.applicant.kind.value} may not apply"
    return case.against(Name.KIND, "/institution", text, f"one of kind {said}")


def _credit(case: Case) -> Refusal | None:
    years, bad_ms = case.programme.clean_credit_years, case.applicant.bad_credit_ms
    if years is None or bad_ms is None:
        return None
    if case.now_ms >= case.programme.months_after(bad_ms, 12 * years):
        return None
    text = f"{case.applicant.id} has an entry of bad credit that is less than {years} years old"
    return case.against(
        Name.CREDIT, "/institution", text, f"apply when {years} years have passed since that entry"
    )


def _cap(name: Name, what: str) -> Rule:
    def rule(case: Case) -> Refusal | None:
        cap_micro = dict(bounds(case.programme)).get(name)
        taken = _taken(case, name)
        if cap_micro is None or taken is None or taken + case.face_micro <= cap_micro:
            return None
        text = f"{yuan(case.face_micro)} is more than {what} leaves: {yuan(taken)} of {yuan(cap_micro)} taken"
        return case.against(name, "/face", text, f"at most {yuan(max(0, cap_micro - taken))}")

    return rule


def _party(case: Case, contract: Contract) -> Refusal | None:
    there = contract.demander if case.claimant is Party.DEMANDER else contract.provider
    if there == case.applicant.id:
        return None
    text = f"{case.applicant.id} is not the {case.claimant.value} of contract {contract.id}: that is {there}"
    return case.against(Name.CLAIMANT, "/contract", text, "a contract of the applicant's own")


def _signed(case: Case, contract: Contract) -> Refusal | None:
    start, end = case.programme.signed_from_ms, case.programme.signed_until_ms
    if contract.signed_ms > case.now_ms:
        return case.against(
            Name.SIGNED, "/contract/signed", "it is signed in the future", "once it is signed"
        )
    if start is not None and contract.signed_ms < start:
        text = "it was signed before the programme began"
        return case.against(
            Name.SIGNED, "/contract/signed", text, f"signed on or after {case.programme.day(start)}"
        )
    if end is not None and contract.signed_ms >= end:
        text = "it was signed after the programme ended"
        return case.against(Name.SIGNED, "/contract/signed", text, f"signed before {case.programme.day(end)}")
    return None


def _term(case: Case, contract: Contract) -> Refusal | None:
    months = case.programme.term_months
    if months is None or contract.ends_ms <= case.programme.months_after(contract.starts_ms, months):
        return None
    text = f"it runs for more than {months} months"
    return case.against(Name.TERM, "/contract/ends", text, f"a contract of at most {months} months")


def _unrelated(case: Case, contract: Contract) -> Refusal | None:
    other = contract.provider if case.claimant is Party.DEMANDER else contract.demander
    own = contract.provider == contract.demander
    if not case.programme.unrelated or not (own or other in case.applicant.related):
        return None
    text = f"{other} is a related party of {case.applicant.id}"
    return case.against(Name.UNRELATED, "/contract/provider", text, "a contract between unrelated parties")


def _threshold(case: Case, contract: Contract) -> Refusal | None:
    least, there = case.programme.threshold, contract.capacity
    if least is None:
        return None
    path, right = "/contract/capacity", f"at least {least}"
    if there is None:
        return case.against(Name.THRESHOLD, path, "the contract does not state its computing power", right)
    if (there.precision, there.sparse) != (least.precision, least.sparse):
        kind = f"{there.precision} {'sparse' if there.sparse else 'dense'}"
        text = f"a figure of {kind} cannot be compared with {least}"
        return case.against(Name.THRESHOLD, path, text, f"state it anew: {right}")
    if there.milli_p < least.least_milli_p:
        text = f"{there.milli_p // 1000}.{there.milli_p % 1000:03d} P is too little"
        return case.against(Name.THRESHOLD, path, text, right)
    return None


def _one(case: Case, contract: Contract) -> Refusal | None:
    if not case.programme.one_per_contract or not case.room.holders:
        return None
    text = f"contract {contract.id} has voucher {case.room.holders[0]} already"
    return case.against(Name.ONE, "/contract", text, "another contract: each has one voucher at most")


def _rate(case: Case, contract: Contract) -> Refusal | None:
    rate_ppm = case.programme.rate_ppm(case.applicant.kind)
    most = max(0, share(contract.amount_micro, rate_ppm) - case.room.held_micro)
    if not rate_ppm or case.face_micro <= most:
        return None  # a kind without a rate is refused as such
    percent = f"{rate_ppm // 10_000}.{rate_ppm % 10_000:04d}".rstrip("0").rstrip(".")
    text = f"{yuan(case.face_micro)} is more than {percent} % of the contract's {yuan(contract.amount_micro)}"
    if case.room.held_micro:
        text += f" less {yuan(case.room.held_micro)} of its other vouchers"
    return case.against(Name.RATE, "/face", text, f"at most {yuan(most)}")


def _double(case: Case, contract: Contract) -> Refusal | None:
    if not case.programme.no_double or not contract.subsidised_by:
        return None
    text = f"the same cost is subsidised by {', '.join(contract.subsidised_by)}"
    return case.against(
        Name.DOUBLE, "/contract/subsidised_by", text, "a contract that no other subsidy pays for"
    )


_OF_THE_APPLICANT: tuple[Rule, ...] = (
    _claimant,
    _kind,
    _credit,
    _cap(Name.CAP_VOUCHER, "the cap of a voucher"),
    _cap(Name.CAP_YEAR, "the cap of an institution and year"),
    _cap(Name.POOL, "the pool of the year"),
)
_OF_THE_CONTRACT: tuple[ContractRule, ...] = (
    _party,
    _signed,
    _term,
    _unrelated,
    _threshold,
    _one,
    _rate,
    _double,
)

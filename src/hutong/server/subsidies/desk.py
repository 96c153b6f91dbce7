"""Vouchers step by step: judged by the core, written in one guarded transaction, anew if others were faster.

Money moves after the documents say so, under names made from them: whoever repeats a step that was cut off
finishes it, and nothing is paid twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.registry import Institution, Project
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Broken, Conflict, Later, NotFound, Problem, Refused
from hutong.core.ledger.subsidies import life
from hutong.core.ledger.subsidies import parties as s
from hutong.core.ledger.subsidies.issue import Case, Refusal, face_at_most, may_bind, may_issue
from hutong.core.ledger.subsidies.programme import Counts, Party, Programme
from hutong.server.interests import related_of
from hutong.server.registry import create, read
from hutong.server.subsidies import shelf
from hutong.server.subsidies.programmes import Rules, make_rules
from hutong.server.subsidies.purse import charge_lot, unspent
from hutong.wire.subsidies import SubsidyProgramme as Document

Answer = TypeVar("Answer")
Asked = TypeVar("Asked", s.Voucher, s.Claim)

_TRIES = 50
VOUCHERS_OF_A_CONTRACT = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """A voucher as asked for; without a face, as much as there is."""

    programme: str
    project: str
    claimant: Party
    face_micro: int | None
    contract: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the clauses say of a voucher that is wanted, and the most that rates and caps leave."""

    case: Case
    refusals: tuple[Refusal, ...]
    at_most_micro: int
    bound: str


class Desk:
    """All steps of vouchers over one store."""

    def __init__(self, store: Store, programmes: Mapping[str, Rules], clock: Callable[[], int]) -> None:
        self.store = store
        self._programmes = programmes
        self.clock = clock

    def rules(self, programme: str) -> Rules:
        """Return a programme as it is now; raises NotFound."""
        if programme not in self._programmes:
            raise NotFound("not_found", f"there is no programme {programme!r}")
        return self._programmes[programme]

    def check(self, wanted: Wanted) -> Verdict:
        """Say what the clauses say, and change nothing."""
        return self._judge(wanted, self.rules(wanted.programme).programme)[0]

    def issue(self, voucher_id: str, wanted: Wanted, asked: str) -> s.Voucher:
        """Issue a voucher; with a contract, bind it. The same request again finishes what the first began."""

        def work() -> s.Voucher:
            there = self.store.get(shelf.VOUCHER, voucher_id)
            if there is not None:
                return same(read(s.Voucher, there), asked)
            rules = self.rules(wanted.programme)
            self._keep(rules)
            verdict, tallies, holding = self._judge(wanted, rules.programme)
            refuse(verdict.refusals, "voucher_refused", "the programme's rules stand against this voucher")
            case, programme = verdict.case, rules.programme
            year = programme.year(case.now_ms)
            voucher = s.Voucher(
                id=voucher_id,
                programme=programme.id,
                rules=rules.digest,
                institution=case.applicant.id,
                project=wanted.project,
                claimant=wanted.claimant,
                rate_ppm=programme.rate_ppm(case.applicant.kind),
                face_micro=case.face_micro,
                issued_ms=case.now_ms,
                year=year,
                asked=asked,
            )
            step = life.issued(programme, voucher)
            writes = tallies.writes(step.added)
            if case.contract is not None:
                voucher = life.bound(programme, voucher, case.contract, voucher.face_micro).voucher
                writes.append(_hold(voucher, holding))
            self.store.put_all([shelf.voucher_write(voucher, 0), *writes])
            return voucher

        return self._with_lot(self.again(work))

    def bind(self, voucher_id: str, contract_id: str) -> s.Voucher:
        """Bind a voucher to a contract, with a face lowered to what the contract allows."""

        def work() -> s.Voucher:
            voucher, version = shelf.load_voucher(self.store, voucher_id)
            if voucher.contract == contract_id and voucher.state is s.VoucherState.BOUND:
                return voucher
            programme = self.rules_of(voucher).programme
            contract = self.contract(contract_id)
            _fits(contract, voucher.project, voucher.claimant)
            holding = shelf.load_holding(self.store, programme.id, contract_id)
            tallies = shelf.Tallies(self.store, programme.id, voucher.institution)
            room = s.Room(holders=holding[0].vouchers, held_micro=holding[0].face_micro)
            case = Case(
                programme,
                self._applicant(voucher.institution),
                voucher.claimant,
                voucher.face_micro,
                contract,
                room,
                self.clock(),
            )
            most, _ = face_at_most(replace(case, programme=without_caps(programme)))
            face = min(voucher.face_micro, most)
            refusals = may_bind(replace(case, face_micro=max(face, 1)))
            refuse(refusals, "voucher_refused", "the programme's rules stand against this contract")
            step = life.bound(programme, voucher, contract, face)
            self.store.put_all(
                [
                    shelf.voucher_write(step.voucher, version),
                    _hold(step.voucher, holding),
                    *tallies.writes(step.added),
                ]
            )
            return step.voucher

        return self._with_lot(self.again(work))

    def end(self, voucher_id: str, reason: str) -> s.Voucher:
        """Claw a voucher back, or (without a reason) let it expire; what nobody claimed is free again."""

        def work() -> s.Voucher:
            voucher, version = shelf.load_voucher(self.store, voucher_id)
            over = s.VoucherState.CLAWED_BACK if reason else s.VoucherState.EXPIRED
            if voucher.state is over:
                return voucher
            programme = self.rules_of(voucher).programme
            if voucher.lot_open:
                contract = shelf.load_contract(self.store, voucher.contract)
                left = unspent(self.store, voucher, contract, self.clock(), take=bool(reason))
                voucher = life.paid_by_lot(voucher, left)
            if reason:
                step = life.clawed_back(programme, voucher, reason)
            else:
                step = life.expired(programme, voucher, self.clock())
            tallies = shelf.Tallies(self.store, programme.id, voucher.institution)
            self.store.put_all([shelf.voucher_write(step.voucher, version), *tallies.writes(step.added)])
            return step.voucher

        return self.again(work)

    def _judge(
        self, wanted: Wanted, programme: Programme
    ) -> tuple[Verdict, shelf.Tallies, tuple[s.Holding, int]]:
        now_ms = self.clock()
        project = self.project(wanted.project)
        tallies = shelf.Tallies(self.store, programme.id, project.institution)
        room = tallies.room(Counts.ISSUE, programme.year(now_ms))
        contract, holding = None, (s.Holding(), 0)
        if wanted.contract:
            contract = self.contract(wanted.contract)
            _fits(contract, wanted.project, wanted.claimant)
            holding = shelf.load_holding(self.store, programme.id, contract.id)
            room = replace(room, holders=holding[0].vouchers, held_micro=holding[0].face_micro)
        applicant = self._applicant(project.institution)
        case = Case(programme, applicant, wanted.claimant, wanted.face_micro or 0, contract, room, now_ms)
        most, bound = face_at_most(case)
        if wanted.face_micro is None:
            # One micro-yuan where nothing is left: then the clause that leaves nothing says so.
            case = replace(case, face_micro=max(most, 1))
        return Verdict(case, may_issue(case), most, bound), tallies, holding

    def rules_of(self, voucher: s.Voucher) -> Rules:
        """Return the rules under which a voucher was issued, whatever its programme's file says today."""
        now = self._programmes.get(voucher.programme)
        if now is not None and now.digest == voucher.rules:
            return now
        record = self.store.get(shelf.RULES, voucher.rules)
        if record is None:
            raise Broken(f"the rules {voucher.rules} of voucher {voucher.id} are gone")
        return make_rules(Document.model_validate(record.doc))

    def again(self, work: Callable[[], Answer]) -> Answer:
        """Do a step that reads, decides and writes; anew, if what it read has changed before it wrote."""
        for _ in range(_TRIES):
            try:
                return work()
            except Conflict as conflict:
                if conflict.code not in {"version", "exists", "already_there"}:
                    raise
        raise Later("others change the same vouchers at the same time", 1)

    def project(self, name: str) -> Project:
        """Return a project; raises Refused that names the field."""
        record = self.store.get("project", name)
        if record is None:
            problem = Problem("/project", f"there is no project {name!r}", "create the project first")
            raise Refused("unknown_reference", f"there is no project {name!r}", (problem,))
        return read(Project, record)

    def contract(self, name: str) -> s.Contract:
        """Return a contract; raises Refused that names the field."""
        try:
            return shelf.load_contract(self.store, name)
        except NotFound as error:
            problem = Problem("/contract", f"there is no contract {name!r}", "enter the contract first")
            raise Refused("unknown_reference", f"there is no contract {name!r}", (problem,)) from error

    def _applicant(self, institution: str) -> s.Applicant:
        record = self.store.get("institution", institution)
        if record is None:
            raise Broken(f"there is no institution {institution!r}")
        standing, now_ms = shelf.load_standing(self.store, institution), self.clock()
        kind = kind_at(read(Institution, record), now_ms)
        related = {*standing.related, *related_of(self.store, institution, now_ms)}
        return s.Applicant(institution, kind, tuple(sorted(related)), standing.bad_credit_ms)

    def _keep(self, rules: Rules) -> None:
        """Write a programme's text under its digest: vouchers go by the rules of their issue."""
        doc = rules.document.model_dump(mode="json", by_alias=True, exclude_unset=True)
        create(self.store, Record(shelf.RULES, rules.digest, doc, rules.programme.id), "text of rules")

    def _with_lot(self, voucher: s.Voucher) -> s.Voucher:
        """Open the lot of a voucher that has one, if that was not done yet."""
        if not voucher.lot or voucher.lot_open or voucher.state is not s.VoucherState.BOUND:
            return voucher
        contract = shelf.load_contract(self.store, voucher.contract)
        charge_lot(self.store, voucher, contract, self.clock())

        def note() -> s.Voucher:
            now, version = shelf.load_voucher(self.store, voucher.id)
            if now.lot_open:
                return now
            opened = replace(now, lot_open=True)
            self.store.put_all([shelf.voucher_write(opened, version)])
            return opened

        return self.again(note)


def refuse(refusals: tuple[Refusal, ...], code: str, message: str) -> None:
    """Raise Refused with every clause that stands against something, if any does."""
    if refusals:
        problems = tuple(Problem(each.path, f"{each.clause}: {each.message}", each.hint) for each in refusals)
        raise Refused(code, f"{message}: {refusals[0].clause}: {refusals[0].message}", problems)


def same(there: Asked, asked: str) -> Asked:
    """Return what a request made before; Conflict if that was another request."""
    if there.asked != asked:
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    return there


def without_caps(programme: Programme) -> Programme:
    """Return a programme that only its rate bounds: for a face that counts against caps already."""
    return replace(programme, cap_voucher_micro=None, cap_year_micro=None, pool_year_micro=None)


def _fits(contract: s.Contract, project: str, claimant: Party) -> None:
    """Raise Refused if a demander's voucher is not of the project that the contract's use is charged to."""
    if claimant is Party.DEMANDER and contract.project != project:
        text = f"contract {contract.id} is not of project {project}"
        raise Refused("other_project", text, (Problem("/contract", text, "a contract of the same project"),))


def _hold(voucher: s.Voucher, before: tuple[s.Holding, int]) -> shelf.Write:
    """Return the write by which a contract has one voucher more."""
    holding, version = before
    if len(holding.vouchers) >= VOUCHERS_OF_A_CONTRACT:
        raise Conflict("too_many", f"a contract has at most {VOUCHERS_OF_A_CONTRACT} vouchers")
    after = s.Holding((*holding.vouchers, voucher.id), holding.face_micro + voucher.face_micro)
    return shelf.holding_write(voucher.programme, voucher.contract, after, version)

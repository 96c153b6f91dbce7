"""Whatever people do in whatever order, and wherever the process dies: no award without a decision, once, and

never more than the round has; nobody reviews or decides where they have an interest.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from tests.server.mortal import YUAN, Town, ask_of, money

from hutong.core.accounts.applications import GIVES, Action, Application, State
from hutong.core.accounts.calls import Call, find_part
from hutong.core.book.money import lot_account
from hutong.core.kernel.ids import ProjectId
from hutong.server.awards import lot_cause
from hutong.server.registry import every, read

BUDGET = 100
OWNERS = {"physics": "li", "maths": "li", "law": "wang"}
INSTITUTIONS = {"li": "thu", "wang": "pku", "zhao": "cau", "sun": "cau", "qian": "pku"}
PEOPLE = st.sampled_from(sorted(INSTITUTIONS))
OFFICERS = st.sampled_from(["chen", "zhou"])
CALLS = ("spring", "autumn")
REASON = {"reason": "so it is"}


class Applications(RuleBasedStateMachine):
    """Applicants, reviewers and officers at one API, whose process dies now and then."""

    applications = Bundle("applications")

    @initialize()
    def open(self) -> None:
        self.town = Town()
        for call, ceiling in zip(CALLS, (0, 15), strict=True):
            extra = {"accept_at_once": money(ceiling)} if ceiling else {}
            self.town.call(call, BUDGET, reviewers_min=1, score_min=50, **extra)

    def teardown(self) -> None:
        if not hasattr(self, "town"):
            return
        try:
            self.finish()
        finally:
            self.town.stack.close()

    def finish(self) -> None:
        """After whatever happened, one pass finishes what was begun, and the next finds nothing to do."""
        self.town.mortal.left = -1
        for call in CALLS:
            self.town.ask("chen", "POST", f"/v1/calls/{call}/settle")
            assert self.town.ask("chen", "POST", f"/v1/calls/{call}/settle").json()["changed"] == 0
        known = self.known()
        for each in known.values():
            assert not (each.state is State.DECIDED and each.outcome in GIVES), "accepted, never awarded"
        for call in self.calls():
            for part in call.grants:
                assert known[part.of].state is State.AWARDED
                assert known[part.of].amount_micro == part.amount_micro
            for part in call.waiting:
                assert (known[part.of].state, known[part.of].outcome) == (State.DECIDED, "waitlisted")

    def known(self) -> dict[str, Application]:
        rows = every(self.town.services.store, "application", "", 1000)
        return {row.id: read(Application, row) for row in rows}

    def calls(self) -> list[Call]:
        return [read(Call, row) for row in every(self.town.services.store, "call", "", 10)]

    def act(self, who: str, method: str, application: str, verb: str, body: Any = None) -> None:
        self.town.ask(who, method, f"/v1/applications/{application}/{verb}", body)

    @rule(writes=st.integers(0, 9), after=st.booleans())
    def die_soon(self, writes: int, after: bool) -> None:
        self.town.mortal.left, self.town.mortal.after = writes, after

    @rule(
        target=applications,
        project=st.sampled_from(sorted(OWNERS)),
        call=st.sampled_from(CALLS),
        amount=st.integers(5, 70),
        hand_in=st.booleans(),
    )
    def draft(self, project: str, call: str, amount: int, hand_in: bool) -> str:
        answer = self.town.draft(OWNERS[project], project, call, amount)
        name = str(answer.json().get("id", "ap-none"))
        if hand_in:
            self.act(OWNERS[project], "POST", name, "submit")
        return name

    @rule(application=applications, who=st.sampled_from(["li", "wang"]), amount=st.integers(5, 70))
    def save(self, application: str, who: str, amount: int) -> None:
        self.town.ask(who, "PUT", f"/v1/applications/{application}", ask_of(amount))

    @rule(application=applications, who=st.sampled_from(["li", "wang"]))
    def submit(self, application: str, who: str) -> None:
        self.act(who, "POST", application, "submit")

    @rule(application=consumes(applications), who=st.sampled_from(["li", "wang"]))
    def withdraw(self, application: str, who: str) -> None:
        self.act(who, "POST", application, "withdraw", REASON)

    @rule(application=applications, person=PEOPLE, officer=OFFICERS, score=st.integers(30, 100))
    def review(self, application: str, person: str, officer: str, score: int) -> None:
        self.act(officer, "PUT", application, f"reviewers/{person}")
        self.act(person, "PUT", application, "review", {"score": score, "public": "read"})

    @rule(
        application=applications,
        officer=OFFICERS,
        outcomes=st.permutations(["accepted", "waitlisted", "rejected"]),
    )
    def go_on(self, application: str, officer: str, outcomes: list[str]) -> None:
        """Take the steps that lead to a decision."""
        there = self.known().get(application)
        if there is None:
            return
        self.act(there.by, "POST", application, "submit")
        reviewer = "qian" if there.institution != "pku" else "zhao"
        self.act(officer, "PUT", application, f"reviewers/{reviewer}")
        self.act(reviewer, "PUT", application, "review", {"score": 80, "public": "read"})
        for outcome in outcomes:
            self.act(officer, "PUT", application, "decision", {"outcome": outcome, **REASON})

    @rule(application=applications, person=PEOPLE)
    def declare(self, application: str, person: str) -> None:
        self.act(person, "POST", application, "conflict", REASON)

    @rule(application=applications, officer=OFFICERS)
    def ask_revision(self, application: str, officer: str) -> None:
        self.act(officer, "POST", application, "revision", REASON)

    @rule(
        application=applications,
        person=st.sampled_from(["chen", "zhou", "li", "zhao"]),
        outcome=st.sampled_from(["accepted", "partly", "rejected", "waitlisted"]),
        part=st.integers(1, 60),
    )
    def decide(self, application: str, person: str, outcome: str, part: int) -> None:
        body: dict[str, Any] = {"outcome": outcome, **REASON}
        if outcome == "partly":
            body["amount"] = money(part)
        self.act(person, "PUT", application, "decision", body)

    @rule(application=applications, officer=OFFICERS, granted=st.booleans())
    def appeal(self, application: str, officer: str, granted: bool) -> None:
        for who in ("li", "wang"):
            self.act(who, "POST", application, "appeal", REASON)
        self.act(officer, "POST", application, "appeal/answer", {"granted": granted, **REASON})

    @rule(call=st.sampled_from(CALLS))
    def settle(self, call: str) -> None:
        self.town.ask("zhou", "POST", f"/v1/calls/{call}/settle")

    @invariant()
    def the_round_never_gives_more_than_it_has(self) -> None:
        known = self.known()
        for call in self.calls():
            given = [each for each in known.values() if each.call == call.id and each.outcome in GIVES]
            assert sum(each.amount_micro for each in given) <= call.granted_micro <= BUDGET * YUAN
            for each in given:
                part, waits = find_part(call, each.id)
                assert part is not None
                assert not waits
                assert (part.number, part.amount_micro) == (each.number, each.amount_micro)

    @invariant()
    def each_award_has_a_decision_and_is_made_once(self) -> None:
        store, known = self.town.services.store, self.known()
        for project in OWNERS:
            for lot in store.lots(ProjectId(project)):
                there = known[lot.id.removeprefix("award-")]
                assert there.project == project
                assert there.outcome in GIVES
                assert any(event.action is Action.DECIDE for event in there.history)
                (fill,) = store.txns(ProjectId(project), lot_cause(lot.id), "", 10)
                amounts = {entry.account: entry.amount_micro for entry in fill.entries}
                assert amounts[lot_account(lot.id)] == there.amount_micro
        assert store.check_ledger().faults == ()
        awarded = [each for each in known.values() if each.state is State.AWARDED]
        for each in awarded:
            assert store.get("allocation", each.id) is not None

    @invariant()
    def nobody_judges_where_they_have_an_interest(self) -> None:
        for each in self.known().values():
            declared = dict(each.declared)
            for found in each.reviews:
                assert INSTITUTIONS[found.person] != each.institution
                assert found.person not in declared
            if each.decided_by not in {"", "machine"}:
                assert each.decided_by in {"chen", "zhou"}
            rejections = [e.by for e in each.history if e.action is Action.DECIDE]
            answers = [e.by for e in each.history if e.action in {Action.DISMISS, Action.REOPEN}]
            for answer in answers:
                assert answer != rejections[0]

    @invariant()
    def a_project_has_one_application_in_a_call(self) -> None:
        live = [
            (each.call, each.project)
            for each in self.known().values()
            if each.state not in {State.DRAFT, State.WITHDRAWN}
        ]
        assert len(live) == len(set(live))


TestApplications = Applications.TestCase
TestApplications.settings = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

"""An allocation over years of changes, cuts and deaths of the process: its money is never made nor lost."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.server.mortal import YUAN, Town, money

from hutong.core.accounts import allocations as al
from hutong.core.accounts.calls import Call
from hutong.core.book.money import REVENUE, Entry, HoldChange, HoldPart, Lot, Posting, Txn, lot_account
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.funding import plan_hold
from hutong.server.registry import every, read
from hutong.wire.base import rfc3339

BUDGET = 100
REASON = {"reason": "so it is"}
OFFICERS = st.sampled_from(["chen", "zhou"])
KINDS = st.sampled_from([each.value for each in al.ChangeKind])
PROJECTS = {"physics": "li", "maths": "li", "law": "wang"}


class Allocations(RuleBasedStateMachine):
    """Owners, officers, jobs that hold and use money, time that passes, and a process that dies."""

    @initialize()
    def open(self) -> None:
        self.town = Town()
        self.town.call("spring", BUDGET, accept_at_once=money(80))
        self.names = []
        for project, amount in (("physics", 50), ("law", 20)):
            draft = self.town.draft(PROJECTS[project], project, "spring", amount).json()
            self.town.ask(PROJECTS[project], "POST", f"/v1/applications/{draft['id']}/submit")
            self.names.append(draft["id"])
        self.holds = 0

    def teardown(self) -> None:
        if not hasattr(self, "town"):
            return
        try:
            self.finish()
        finally:
            self.town.stack.close()

    def finish(self) -> None:
        """One pass brings lots up to their documents; the next finds nothing to do."""
        self.town.mortal.left = -1
        for officer in ("chen", "zhou"):
            answer = self.town.ask(officer, "POST", "/v1/allocations/review").json()
            assert answer["faults"] == []
        assert answer["changed"] == 0
        for each in self.known():
            lot = self.lot(each)
            assert (lot.starts_ms, lot.ends_ms) == each.span
            assert not any(change.state is al.Decided.GRANTED for change in each.changes)
            assert not (each.closed_ms and lot.available_micro), "a closed allocation keeps nothing"

    def known(self) -> list[al.Allocation]:
        return [read(al.Allocation, row) for row in every(self.town.services.store, "allocation", "", 1000)]

    def lots(self, project: str) -> tuple[Lot, ...]:
        found: tuple[Lot, ...] = self.town.services.store.lots(ProjectId(project))
        return found

    def lot(self, allocation: al.Allocation) -> Lot:
        return next(each for each in self.lots(allocation.project) if each.id == allocation.lot)

    @rule(writes=st.integers(0, 9), after=st.booleans())
    def die_soon(self, writes: int, after: bool) -> None:
        self.town.mortal.left, self.town.mortal.after = writes, after

    @rule(days=st.integers(1, 120))
    def time_passes(self, days: int) -> None:
        self.town.clock.ahead_ms += days * DAY_MS

    @rule(
        which=st.integers(0, 3),
        who=st.sampled_from(["li", "wang", "chen", "zhou"]),
        kind=KINDS,
        n=st.integers(1, 60),
    )
    def change(self, which: int, who: str, kind: str, n: int) -> None:
        known = self.known()
        body: dict[str, Any] = {"kind": kind, "amount": money(n), **REASON}
        allocation = known[which % len(known)]
        if kind == "extend":
            body["ends"] = rfc3339(allocation.ends_ms + n * DAY_MS)
        if kind == "transfer":
            body["to_project"] = "maths" if allocation.project == "physics" else "physics"
        self.town.ask(who, "POST", f"/v1/allocations/{allocation.id}/changes", body)

    @rule(officer=OFFICERS, granted=st.booleans())
    def decide(self, officer: str, granted: bool) -> None:
        for each in self.known():
            for change in each.changes:
                if change.state is al.Decided.ASKED:
                    path = f"/v1/allocations/{each.id}/changes/{change.n}"
                    self.town.ask(officer, "PUT", path, {"granted": granted, **REASON})

    @rule(officer=OFFICERS, granted=st.booleans(), appeals=st.booleans())
    def review(self, officer: str, granted: bool, appeals: bool) -> None:
        self.town.ask(officer, "POST", "/v1/allocations/review")
        for each in self.known() if appeals else ():
            for cut in each.cuts:
                path = f"/v1/allocations/{each.id}/cuts/{cut.n}"
                self.town.ask(PROJECTS[each.project], "POST", f"{path}/appeal", REASON)
                self.town.ask(officer, "PUT", path, {"granted": granted, **REASON})

    @rule(project=st.sampled_from(sorted(PROJECTS)), amount=st.integers(1, 30), used=st.integers(0, 30))
    def work(self, project: str, amount: int, used: int) -> None:
        """A job holds money where a lot pays, and uses some of it; the rest stays held."""
        store, now_ms, owner = self.town.services.store, self.town.clock(), ProjectId(project)
        lots = self.lots(project)
        parts = plan_hold(lots, amount * YUAN, now_ms)
        for each in self.known():
            lot = next(found for found in lots if found.id == each.lot) if each.project == project else None
            if lot and (lot.starts_ms, lot.ends_ms) == each.span and each.suspended:
                assert lot.id not in {part.lot for part in parts or ()}
        if not parts:
            return
        self.holds += 1
        first = parts[0]
        draw = min(used * YUAN, first.amount_micro)
        self.town.mortal.left = -1
        change = HoldChange(f"job-{self.holds}", owner, parts)
        legs = (Entry(lot_account(first.lot), -draw), Entry(REVENUE, draw))
        txn = Txn(f"use-{self.holds}", "other", owner, now_ms, change.key, legs)
        let_go = HoldChange(change.key, owner, (HoldPart(first.lot, -draw),))
        store.post(Posting((), (change,)))
        if draw:
            store.post(Posting((txn,), (let_go,)))

    @rule()
    def jobs_end(self) -> None:
        self.town.mortal.left = -1
        for project in PROJECTS:
            for hold in self.town.services.store.holds(ProjectId(project), 100):
                parts = tuple(HoldPart(part.lot, -part.amount_micro) for part in hold.parts)
                self.town.services.store.post(Posting((), (HoldChange(hold.key, hold.project, parts, True),)))

    @invariant()
    def money_is_neither_made_nor_lost(self) -> None:
        store = self.town.services.store
        assert store.check_ledger().faults == ()
        names = ["issued", "reclaimed", "revenue"]
        balances = {each.account: each.amount_micro for each in store.balances(names)}
        lots = [lot for project in PROJECTS for lot in self.lots(project)]
        assert sum(balances.values()) + sum(lot.posted_micro for lot in lots) == 0
        assert all(lot.available_micro >= 0 for lot in lots)

    @invariant()
    def the_round_gives_no_more_than_it_has(self) -> None:
        call = read(Call, self.town.services.store.get("call", "spring"))
        assert call.granted_micro <= BUDGET * YUAN
        balances = self.town.services.store.balances(["issued", "reclaimed"])
        given = -sum(each.amount_micro for each in balances)
        assert given <= call.granted_micro, "what was issued and not taken back is all in the round"

    @invariant()
    def nobody_grants_what_they_asked_for(self) -> None:
        for each in self.known():
            for change in each.changes:
                if change.kind in al.GIVING and change.state in {al.Decided.GRANTED, al.Decided.DONE}:
                    assert change.decided_by != change.by


TestAllocations = Allocations.TestCase
TestAllocations.settings = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

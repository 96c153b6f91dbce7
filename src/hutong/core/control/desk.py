"""The turn's working papers: cards and money still free after what this turn has already decided."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property

from hutong.core.book.lengths import Length, after, work_of
from hutong.core.book.money import HoldChange, HoldPart, Lot, Txn, overrun_account
from hutong.core.book.runs import Runs, workload_of
from hutong.core.book.snapshot import Snapshot
from hutong.core.book.stays import Stays, mtbf_s
from hutong.core.capacity.accelerators import tdp_w_of
from hutong.core.capacity.links import widths
from hutong.core.capacity.sites import Pool, PoolState, Site
from hutong.core.capacity.spread import Levels, Shape, levels_now
from hutong.core.control.deferral import Later, Mask, Outlook, latest_ms
from hutong.core.control.prices import paid_in
from hutong.core.control.prospects import Prospects
from hutong.core.control.rules import Rules
from hutong.core.control.spending import Spendings
from hutong.core.kernel.changes import changed
from hutong.core.kernel.ids import JobId, LotId, ProjectId
from hutong.core.ledger.funding import plan_hold, repay
from hutong.core.ledger.prices import Tariff, Tenant, tariff_at
from hutong.core.placement.arrays import Ints
from hutong.core.placement.expected import PERCENT, quantile_s
from hutong.core.placement.page import Grounds, Page
from hutong.core.placement.request import Paid, Policy, cards_free, policy_at, request_of
from hutong.core.placement.staging import cargo_of, ways
from hutong.core.work.spec import JobSpec

_AT_LIST: tuple[Paid, ...] = ()


class Desk:
    """Free cards and money of one snapshot, drawn down as jobs are decided one after another.

    `used` are the cards of pools that are given away, `stopped` the jobs that this turn stops for others:
    site, pool and cards.
    """

    def __init__(self, snapshot: Snapshot, rules: Rules) -> None:
        self.snapshot = snapshot
        self.rules = rules
        self.now_ms = snapshot.now_ms
        self._sites: dict[str, Site] = {site.id: site for site in snapshot.sites}
        self.used = {(use.site, use.pool): use.cards for use in snapshot.use}
        self._gangs: dict[tuple[str, str], Counter[tuple[int, int]]] = defaultdict(Counter)
        for gang in snapshot.gangs:
            self._gangs[gang.site, gang.pool][gang.nodes, gang.cards] += gang.count
        self._lots = {project: {lot.id: lot for lot in lots} for project, lots in snapshot.lots.items()}
        self._debts = dict(snapshot.debts)
        self._repaid: dict[ProjectId, int] = {}
        self._lengths = dict(snapshot.lengths)
        self._likely_s: dict[str, int | None] = {}
        self._paid: dict[str, tuple[Paid, ...]] = {}
        self._policies: dict[str, Policy] = {}
        self.spendings = Spendings(snapshot)
        self.stopped: dict[JobId, tuple[str, str, int]] = {}
        self._reachable = {site.id: self.reachable(site.id) for site in snapshot.sites}

    def reachable(self, site: str) -> bool:
        """True if the site's agent called lately."""
        status = self.snapshot.statuses.get(site)
        return status is not None and abs(self.now_ms - status.seen_ms) <= self.rules.reach_ms

    @property
    def blind(self) -> bool:
        """True if every site is out of reach at once: then we are the ones cut off, and timers stop."""
        return not any(self._reachable.values())

    def site(self, site: str) -> Site | None:
        """Return a site of the registry."""
        return self._sites.get(site)

    def runs_of(self, project: ProjectId, spec: JobSpec) -> tuple[Runs, ...]:
        """Return how runs of a job's workload came out on each accelerator, as far as that matters to it."""
        return self.snapshot.runs.get(workload_of(project, spec), ())

    def learn(self, length: Length) -> None:
        """Count a run that this turn settles to what is known: what waits is placed by it."""
        self._lengths[length.work] = after(self._lengths.get(length.work, ()), (length.ran_s,))
        self._likely_s.pop(length.work, None)

    def likely_ms(self, project: ProjectId, spec: JobSpec) -> int:
        """Return how long a job is expected to run by what its work took before, at most its walltime.

        0 where too little is known, or where walltimes are to count.
        """
        if not self.rules.predicts:
            return 0
        work = work_of(project, spec)
        if work not in self._likely_s:
            self._likely_s[work] = quantile_s(self._lengths.get(work, ()), PERCENT)
        found_s = self._likely_s[work]
        return 0 if found_s is None else 1000 * min(max(1, found_s), spec.max_duration_s)

    def later(self, spec: JobSpec, project: ProjectId, person: str, submitted_ms: int) -> Later | None:
        """Return when a job that may be deferred had better start; None for now."""
        latest = latest_ms(spec, submitted_ms)
        if latest <= self.now_ms or self.blind:
            return None
        request = request_of(
            spec, runs=self.runs_of(project, spec), cargo=cargo_of(spec), paid=self.paid_by(project)
        )
        prospects, policy = self.prospects, self.policy(spec.wish.objective)

        def allows(need: Ints, start_ms: int) -> Mask:
            return prospects.able(project, person, request, need, start_ms)

        expected_ms = self.likely_ms(project, spec) or spec.max_duration_s * 1000
        return self.outlook.best_start(
            request, policy, expected_ms, latest, allows if prospects.bind else None
        )

    def policy(self, name: str) -> Policy:
        """Return the policy of that name as it counts at the sites that there are."""
        if name not in self._policies:
            self._policies[name] = policy_at(self.rules.policy(name), self.snapshot.sites)
        return self._policies[name]

    def paid_by(self, project: ProjectId) -> tuple[Paid, ...]:
        """Return what a project pays for cards of pools where that is not the pool's own price."""
        listed = self.snapshot.prices
        if not listed.timelines:
            return _AT_LIST
        name = self.snapshot.institutions.get(project, "")
        if name not in self._paid:
            tenant = Tenant(name, dict(listed.kinds).get(name))
            self._paid[name] = paid_in(self._tariff, tenant, self.snapshot.sites)
        return self._paid[name]

    @cached_property
    def _tariff(self) -> Tariff:
        return tariff_at(self.snapshot.prices.books, self.snapshot.prices.timelines, self.now_ms)

    @cached_property
    def outlook(self) -> Outlook:
        """The hours to come, as they look when it is asked for the first time."""
        return Outlook(self.grounds, self.page())

    @cached_property
    def prospects(self) -> Prospects:
        """What is settled for the hours to come, as it looks when it is asked for the first time."""
        guesses = self.rules.predicts
        return Prospects(self.snapshot, self.grounds, self.page(), self.cards_used, guesses=guesses)

    def page(self) -> Page:
        """Return the pools as they stand after what this turn has decided; its grounds have no digest yet."""
        sites, statuses = self.snapshot.sites, self.snapshot.statuses
        free, wait_s, levels = [], [], []
        for site in sites:
            status = statuses.get(site.id)
            states = {state.pool: state for state in reversed(status.pools)} if status else {}
            for pool in site.pools:
                state = states.get(pool.id)
                free.append(cards_free(pool, self.cards_used(site.id, pool.id), state))
                wait_s.append(state.wait_s if state else 0)
                levels.append(self._levels(site.id, pool, state))
        chips = sorted({pool.accelerator for site in sites for pool in site.pools})
        known = [statuses.get(site.id) for site in sites]
        came = [status.transfers if status else () for status in known]
        bits_per_s, learnt = ways(widths(self.snapshot.links, sites), came, self.now_ms)
        lacks = tuple(status.lacks if status else () for status in known)
        return Page(
            at_ms=self.now_ms,
            grounds="",
            reachable=tuple(self._reachable[site.id] for site in sites),
            trouble=tuple(status.trouble if status else "" for status in known),
            free=tuple(free),
            wait_s=tuple(wait_s),
            offers=tuple(status.offers if status else None for status in known),
            tdp_w=tuple((chip, tdp_w_of(chip)) for chip in chips),
            stock=tuple(status.stock if status else () for status in known),
            bits_per_s=bits_per_s,
            learnt=learnt if any(learnt) else (),
            mtbf_s=tuple(mtbf_s(self.snapshot.stays.get(site.id, Stays())) for site in sites),
            levels=tuple(levels) if any(levels) else (),
            lacks=lacks if any(lacks) else (),
        )

    def _levels(self, site: str, pool: Pool, state: PoolState | None) -> Levels:
        """Return the nodes of a pool by their free cards; nothing where its centre says nothing of them."""
        if state is None or state.spread is None:
            return ()
        held: dict[Shape, int] = {}
        gangs = self._gangs.get((site, pool.id))
        for (nodes, cards), count in gangs.items() if gangs else ():
            wide = nodes or -(-cards // pool.cards_per_node)
            held[wide, cards // wide] = held.get((wide, cards // wide), 0) + count
        return levels_now(state.spread, held, pool.nodes, pool.cards_per_node)

    @property
    def grounds(self) -> Grounds:
        """The sites as they were declared."""
        return Grounds(self.snapshot.sites)

    def take_cards(self, site: str, pool: str, nodes: int, cards: int) -> None:
        """Count cards of a pool as used by an attempt on so many nodes."""
        self.used[site, pool] = self.used.get((site, pool), 0) + cards
        self._gangs[site, pool][nodes, cards] += 1

    def cards_used(self, site: str, pool: str) -> int:
        """Return how many cards of a pool are given away after what this turn has decided."""
        return self.used.get((site, pool), 0)

    def lots(self, project: ProjectId) -> tuple[Lot, ...]:
        """Return a project's lots in pay order, with balances as this turn leaves them."""
        return tuple(self._lots.get(project, {}).values())

    def plan_hold(self, project: ProjectId, amount_micro: int) -> tuple[HoldPart, ...] | None:
        """Return how a project could hold an amount now, or None if it cannot."""
        return plan_hold(self.lots(project), amount_micro, self.now_ms)

    def available_micro(self, project: ProjectId) -> int:
        """Return what the project's open lots could still hold, the share rule of vouchers left aside."""
        return sum(
            max(0, lot.available_micro)
            for lot in self.lots(project)
            if lot.starts_ms <= self.now_ms < lot.ends_ms
        )

    def owed_micro(self, project: ProjectId) -> int:
        """Return what a project owes for use that no lot could pay, this turn's repayment left aside."""
        return self._debts.get(project, 0)

    def left_to_pay_micro(self, project: ProjectId) -> int:
        """Return what a project will still owe when this turn's repayment is in the book."""
        return self.owed_micro(project) - self._repaid.get(project, 0)

    def repay(self) -> tuple[Txn, ...]:
        """Pay back debts with what is free after the needs of running work; the next turn relies on it."""
        made = []
        for project, owed_micro in self._debts.items():
            txn = repay(self.lots(project), owed_micro, f"repay:{project}:{self.now_ms}", self.now_ms)
            if txn:
                self._repaid[project] = txn.entries[-1].amount_micro
                self.note((txn,))
                made.append(txn)
        return tuple(made)

    def note(self, txns: Sequence[Txn], holds: Sequence[HoldChange] = ()) -> None:
        """Carry what this turn posts into the balances that later decisions of the turn see."""
        for txn in txns:
            mine = self._lots.get(txn.project, {})
            for entry in txn.entries:
                if entry.account == overrun_account(txn.project) and entry.amount_micro < 0:
                    self._debts[txn.project] = self.owed_micro(txn.project) - entry.amount_micro
                lot = LotId(entry.account.removeprefix("lot:"))
                if lot in mine:
                    posted_micro = mine[lot].posted_micro + entry.amount_micro
                    mine[lot] = changed(mine[lot], posted_micro=posted_micro)
        for hold in holds:
            mine = self._lots.get(hold.project, {})
            for part in hold.parts:
                held_micro = mine[part.lot].held_micro + part.amount_micro
                mine[part.lot] = changed(mine[part.lot], held_micro=held_micro)

"""A simulated day through the live path: the same jobs start at the same moments in the same pools.

Live: the real loop over a store, agents with the memory engine, and a clock that jumps to the next fact.
Beside it the simulator, which calls the same scheduling pass; they are compared receipt by receipt.
"""

import heapq
import random
from pathlib import Path

import numpy as np
import pytest
from tests.world.actors import Centre, Clock
from tests.world.test_world import LAB, T0, YUAN

from hutong.adapters.store.open import open_store
from hutong.core.book.money import ISSUED, Entry, Lot, LotKind, Txn, lot_account
from hutong.core.book.snapshot import Limits
from hutong.core.book.store import NewJob, Record, Store
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.control.rules import Rules, RunLengths
from hutong.core.kernel.documents import to_document
from hutong.core.kernel.ids import JobId, LotId, PoolId, SiteId, attempt_key, ulid
from hutong.core.placement.columns import Backfill
from hutong.core.placement.receipt import open_receipt
from hutong.core.placement.request import Policy
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.server.loop import Loop
from hutong.sim import fused, world
from hutong.sim.city import City, city_of, scores_of
from hutong.sim.predict import Predictor
from hutong.sim.rules import Queueing
from hutong.sim.trace import Trace, make_trace

DAY_S = 86_400
POLICY = Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3, carbon=2)


def make_city() -> City:
    """Return three centres, near and dear, far and cheap; supply is even, so that no hour matters."""
    rows = (("bj", 10, 2, 14, 560), ("tj", 120, 2, 9, 700), ("zjk", 180, 1, 6, 610))
    sites = [
        Site(
            SiteId(name), name, name, "north", km, "local",
            (Pool(PoolId("main"), "H100", nodes, 8, price * YUAN, 1200, "cuda"),),
            Supply((400_000,) * 24, (grams,) * 24, "a test"),
        )
        for name, km, nodes, price, grams in rows
    ]  # fmt: skip
    return city_of(sites)


def make_day(seed: int, jobs: int, works: int = 0) -> Trace:
    """Return a day that fills the centres most of the time; every job asked for more time than it took.

    With `works`, jobs of one group ask for the same cards, and most of them take as long as each other.
    """
    dice = random.Random(seed)
    if works:
        group = [dice.randrange(works) for _ in range(jobs)]
        run_s = [60 + 700 * (each % 5) ** 2 + dice.choice([0, 9, 47, 5000]) for each in group]
        return make_trace(
            "a day of a few works", "generated",
            submit_s=sorted(dice.randrange(DAY_S // 120) * 60 for _ in range(jobs)),
            run_s=run_s,
            limit_s=[run + dice.choice([600, 7200, 40_000]) for run in run_s],
            nodes=[1 + (each % 3 == 2) for each in group],
            cards_per_node=[(4, 8, 8, 2)[each % 4] for each in group],
            group=[f"w{each}" for each in group],
        )  # fmt: skip
    run_s = [dice.choice([60, 600, 3600, 14_400]) + dice.randrange(600) for _ in range(jobs)]
    return make_trace(
        "a day", "generated",
        submit_s=sorted(dice.randrange(DAY_S // 60) * 60 for _ in range(jobs)),
        run_s=run_s,
        limit_s=[run + dice.choice([0, 600, 3600]) for run in run_s],
        nodes=[dice.choice([1, 1, 1, 2]) for _ in range(jobs)],
        cards_per_node=[dice.choice([1, 2, 4, 8]) for _ in range(jobs)],
    )  # fmt: skip


class Live:
    """The platform, with one agent a centre, on a clock that jumps to whatever happens next."""

    def __init__(self, place: str, city: City, rules: Rules) -> None:
        self.clock = Clock(T0)
        self.store: Store = open_store(place)
        for site, _ in city.pools:
            document = to_document(site)
            assert isinstance(document, dict)
            self.store.put(Record("site", site.id, document))
        lot = Lot(LotId("award"), LAB, LotKind.AWARD, 1_000_000, 0, T0 * 2)
        entries = (Entry(ISSUED, -(10**9) * YUAN), Entry(lot_account(lot.id), 10**9 * YUAN))
        assert self.store.open_lot(lot, Txn("award:1", "award", LAB, T0, "award", entries))
        self.centres = [Centre(site.id, self.store, self.clock) for site, _ in city.pools]
        self.loop = Loop(self.store, rules, self.clock, "loop", Limits())

    def settle(self) -> None:
        """Let everybody act until this moment has nothing more to it."""
        while True:
            for centre in self.centres:
                centre.step()
            if not self.loop.step():
                break
        for centre in self.centres:
            centre.step()

    def day(self, trace: Trace) -> list[JobId]:
        """Submit the jobs of a day and see them all end."""
        names: list[JobId] = []
        ends: list[int] = []
        seen: set[JobId] = set()
        submit_s = [*trace.submit_s.tolist(), 1 << 40]
        self.settle()
        while len(names) < len(trace) or ends:
            coming_s = submit_s[len(names)]
            at_s = min(coming_s, ends[0]) if ends else coming_s
            self.clock.now_ms = T0 + at_s * 1000
            while ends and ends[0] == at_s:
                heapq.heappop(ends)
            while submit_s[len(names)] == at_s:
                names.append(self.submit(trace, len(names)))
            self.settle()
            for number, name in enumerate(names):
                row = self.store.job(name) if name not in seen else None
                if row is not None and row.job.live is not None:
                    seen.add(name)
                    assert row.job.live.started_seen_ms == self.clock.now_ms, "it started at once"
                    heapq.heappush(ends, at_s + int(trace.run_s[number]))
        return names

    def submit(self, trace: Trace, number: int) -> JobId:
        """Submit a job of the trace now."""
        name = JobId(ulid(self.clock.now_ms, number.to_bytes(10, "big")))
        work = trace.groups[int(trace.group[number])] if trace.groups else f"j{number}"
        spec = JobSpec(
            work, JobType.TASK, int(trace.nodes[number]),
            Resources((Ask("H100", int(trace.cards_per_node[number])),)),
            f"sleep {int(trace.run_s[number])}", max_duration_s=int(trace.limit_s[number]),
        )  # fmt: skip
        self.store.submit([NewJob(name, LAB, spec, "ada", f"sha256:{number}")], self.clock.now_ms)
        return name


@pytest.mark.parametrize(
    ("place", "backfill"),
    [("memory", each) for each in Backfill] + [("sqlite", Backfill.EASY)],
)
def test_a_day_live_is_the_day_simulated_receipt_by_receipt(
    place: str, backfill: Backfill, tmp_path: Path
) -> None:
    city, trace = make_city(), make_day(7, 120)
    scores = scores_of(city, POLICY)

    def scene() -> world.World:
        return world.prepare(
            trace, city.cluster, Queueing.FIFO, backfill,
            isolated=False, expected_s=trace.limit_s, scores=scores, by_node=False,
        )  # fmt: skip

    simulated = world.run(scene())
    assert fused.run(scene()).digest == simulated.digest
    waited = int((simulated.start_s > trace.submit_s).sum())
    assert waited > len(trace) // 10, "a day without a queue proves nothing"
    rules = Rules(policies={"balanced": POLICY}, backfill=backfill)
    compare(
        Live("memory:" if place == "memory" else f"sqlite:///{tmp_path}/book.db", city, rules),
        trace,
        simulated,
    )
    assert len(set(simulated.pool.tolist())) == len(city.pools), "every centre had its part"


@pytest.mark.parametrize(
    ("place", "backfill"),
    [("memory", Backfill.EASY), ("memory", Backfill.CONSERVATIVE), ("sqlite", Backfill.EASY)],
)
def test_so_is_a_day_that_goes_by_what_the_same_work_took_before(
    place: str, backfill: Backfill, tmp_path: Path
) -> None:
    city, trace = make_city(), make_day(11, 160, works=8)
    scores, patience_s = scores_of(city, POLICY), 4 * 3600

    def simulate(patience_s: int) -> world.Run:
        scene = world.prepare(
            trace, city.cluster, Queueing.FIFO, backfill, isolated=False, expected_s=trace.limit_s,
            scores=scores, by_node=False, patience_s=patience_s,
        )  # fmt: skip
        return world.run(scene, Predictor() if patience_s else None)

    simulated = simulate(patience_s)
    assert simulated.digest != simulate(0).digest, "a day on which guesses change nothing proves nothing"
    assert simulated.digest != simulate(DAY_S * 9).digest, "nor one on which nobody waits for so long"
    rules = Rules(
        policies={"balanced": POLICY}, backfill=backfill,
        lengths=RunLengths.PREDICTED, patience_ms=1000 * patience_s,
    )  # fmt: skip
    compare(
        Live("memory:" if place == "memory" else f"sqlite:///{tmp_path}/book.db", city, rules),
        trace,
        simulated,
    )


def compare(live: Live, trace: Trace, simulated: world.Run) -> None:
    """Let a day happen, and find it as it was simulated, by its receipts."""
    names = live.day(trace)
    chosen = np.full(len(trace), -1)
    for number, name in enumerate(names):
        data = live.store.receipt(attempt_key(name, 1))
        assert data is not None
        opened = open_receipt(data, live.store.page)
        assert opened.differences == ()
        assert opened.now.at_ms == T0 + int(simulated.start_s[number]) * 1000
        chosen[number] = opened.now.decision.chosen
    assert chosen.tolist() == simulated.pool.tolist()

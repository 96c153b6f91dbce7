"""The scheduling rules once more, as plainly as can be: slow, small, sharing nothing with the fast ones.

It knows pools of equal nodes, best fit into nodes, and four rules for what a waiting job means for others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hutong.sim.faults import Outage

NEVER = 1 << 62


@dataclass
class Job:
    number: int
    submit_s: int
    run_s: int
    expected_s: int
    nodes: int
    cards: int
    pools: tuple[int, ...]
    rank: tuple[int, ...]
    group: int = 0
    pool: int = -1
    start_s: int = -1
    cut: int = 0
    on: list[int] = field(default_factory=list)


class Plain:
    """A world of pools, each a list of nodes with their free cards."""

    def __init__(self, pools: list[list[int]], backfill: str, *, fair: bool) -> None:
        self.pools = pools
        self.backfill = backfill
        self.fair = fair
        self.used: dict[int, int] = {}
        self.running: list[Job] = []
        self.queue: list[Job] = []
        self.away: set[tuple[int, int]] = set()
        self.kept: list[tuple[int, int, float, float]] = []

    def run(self, jobs: list[Job], outages: Sequence[Outage] = (), checkpoint_s: int = 0) -> None:
        coming = list(jobs)
        moments = sorted({time for each in outages for time in (each.from_s, each.to_s)})
        while coming or self.running or moments:
            times = [job.submit_s for job in coming[:1]] + [job.start_s + job.run_s for job in self.running]
            now = min(times + moments[:1])
            for job in [each for each in self.running if each.start_s + each.run_s == now]:
                self.leave(job)
            if moments and moments[0] == now:
                moments.pop(0)
                self.break_down(now, outages, checkpoint_s)
            while coming and coming[0].submit_s == now:
                self.queue.append(coming.pop(0))
            self.turn(now)

    def leave(self, job: Job) -> None:
        self.running.remove(job)
        for node in job.on:
            self.pools[job.pool][node] += job.cards

    def break_down(self, now: int, outages: Sequence[Outage], checkpoint_s: int) -> None:
        self.away = {
            (each.pool, (each.first + at) % len(self.pools[each.pool]))
            for each in outages
            for at in range(each.nodes)
            if each.from_s <= now < each.to_s
        }
        for job in [each for each in self.running if any((each.pool, at) in self.away for at in each.on)]:
            self.leave(job)
            ran_s, unit = now - job.start_s, job.nodes * job.cards
            saved_s = ran_s - ran_s % checkpoint_s if checkpoint_s else 0
            self.used[job.group] += unit * (ran_s - job.expected_s)
            job.run_s -= saved_s
            job.expected_s = max(min(1, job.expected_s), job.expected_s - saved_s)
            job.start_s, job.pool, job.cut = -1, -1, job.cut + 1
            self.queue.append(job)

    def up(self, pool: int) -> list[int]:
        """Return the free cards of each node of a pool; none on a node that is away."""
        return [0 if (pool, at) in self.away else free for at, free in enumerate(self.pools[pool])]

    def turn(self, now: int) -> None:
        shut: set[int] = set()
        self.kept = []
        reserved: dict[int, tuple[int, int]] = {}
        left, waits = list(self.queue), set()
        while left:
            job = min(left, key=lambda each: ((self.used.get(each.group, 0) if self.fair else 0), each.rank))
            left.remove(job)
            pool = self.choose(job, now, shut, reserved)
            if pool is not None:
                self.start(job, pool, now, reserved)
            elif self.backfill == "none":
                shut |= set(job.pools)
            elif self.backfill == "easy" and self.lane(job) not in waits:
                waits.add(self.lane(job))
                self.reserve(job, now, reserved)
            elif self.backfill == "conservative":
                self.keep(job, now)

    def lane(self, job: Job) -> object:
        """Return what jobs have in common that ask the same for the same group."""
        return (job.pools, job.nodes, job.cards, job.group if self.fair else 0)

    def room(self, job: Job, pool: int) -> list[int] | None:
        """Return the nodes that the job would get: the fullest that suffice, of those the first."""
        nodes = self.up(pool)
        able = sorted((free, at) for at, free in enumerate(nodes) if free >= job.cards)
        return [at for _, at in able[: job.nodes]] if len(able) >= job.nodes else None

    def choose(self, job: Job, now: int, shut: set[int], reserved: dict[int, tuple[int, int]]) -> int | None:
        best, best_score = None, -1
        need = job.nodes * job.cards
        for pool in job.pools:
            if pool in shut or self.room(job, pool) is None:
                continue
            from_s, spare = reserved.get(pool, (NEVER, 0))
            if now + job.expected_s > from_s and need > spare:
                continue
            ends = now + job.expected_s  # what takes no time delays nobody
            if ends > now and not self.holds(job, pool, now, now, ends):
                continue
            score = 1_000_000 * need // sum(self.up(pool))
            if score > best_score:
                best, best_score = pool, score
        return best

    def start(self, job: Job, pool: int, now: int, reserved: dict[int, tuple[int, int]]) -> None:
        job.on = self.room(job, pool) or []
        for node in job.on:
            self.pools[pool][node] -= job.cards
        job.pool, job.start_s = pool, now
        self.queue.remove(job)
        self.running.append(job)
        self.used[job.group] = self.used.get(job.group, 0) + job.nodes * job.cards * job.expected_s
        if pool in reserved and now + job.expected_s > reserved[pool][0]:
            reserved[pool] = (reserved[pool][0], reserved[pool][1] - job.nodes * job.cards)

    def reserve(self, job: Job, now: int, reserved: dict[int, tuple[int, int]]) -> None:
        need, offers = job.nodes * job.cards, []
        for pool in job.pools:
            if pool in reserved:
                continue
            free = sum(self.up(pool))
            for end in sorted(
                {max(now, each.start_s + each.expected_s) for each in self.running if each.pool == pool}
            ):
                then = free + sum(
                    each.nodes * each.cards
                    for each in self.running
                    if each.pool == pool and max(now, each.start_s + each.expected_s) <= end
                )
                if then >= need:
                    offers.append((end, pool, then - need))
                    break
        if offers:
            end, pool, spare = min(offers)
            reserved[pool] = (end, spare)

    def keep(self, job: Job, now: int) -> None:
        """Keep cards from the earliest moment on at which the job can run to its end, in one of its pools."""
        run_s, offers = max(job.expected_s, 0.001), []
        for pool in job.pools:
            ends = {max(now, each.start_s + each.expected_s) for each in self.running if each.pool == pool}
            ends |= {until for where, _, _, until in self.kept if where == pool}
            offers += [(at, pool) for at in sorted(ends) if self.holds(job, pool, now, at, at + run_s)][:1]
        if offers:
            at, pool = min(offers)
            self.kept.append((pool, job.nodes * job.cards, at, at + run_s))

    def holds(self, job: Job, pool: int, now: int, begin: float, end: float) -> bool:
        """True if the pool is expected to have the job's cards at every moment from begin to end."""
        kept = [each for each in self.kept if each[0] == pool]
        runs = [each for each in self.running if each.pool == pool]
        moments = {begin, *(at for _, _, at, _ in kept if begin < at < end)}
        for at in moments:
            free = sum(self.up(pool))
            free += sum(r.nodes * r.cards for r in runs if max(now, r.start_s + r.expected_s) <= at)
            free -= sum(cards for _, cards, since, until in kept if since <= at < until)
            if free < job.nodes * job.cards:
                return False
        return True

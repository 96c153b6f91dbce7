"""The placement policy: filter, score, choose; a pure function that also says why not.

Each part of a score is normalised to parts per million, higher is better, then weighted:

| part | value |
|---|---|
| fit | cards asked for / cards free: a tight fit leaves large blocks to large jobs (best fit) |
| price | cheapest eligible pool's cost of an hour / this pool's |
| wait | 60 s / (60 s + wait that the centre's own queue adds, + 600 s where it cannot start jobs) |
| distance | h / (h + kilometres), h by latency class; an offline job does not care |
| green | mean green share of the supply over the expected run |

Nothing is known yet of the speed of a job on a chip, and no part pretends to know it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from hutong.core.capacity.sites import Admission
from hutong.core.kernel.money import format_micro
from hutong.core.placement.request import Closing, Policy, PoolView, Request
from hutong.core.work.spec import Ask

PPM = 1_000_000
PARTS = ("fit", "price", "wait", "distance", "green")
_WAIT_SCALE_S = 60
# A start that fails is given up after ten minutes. Such a centre is no worse than slow: were it refused, no
# start could show that it is well again.
_TROUBLE_S = 600
_HALF_KM = {"interactive": 50, "standard": 300, "batch": 2000}
# What no amount of waiting will change while pools and request stay as they are.
NEVER = frozenset(
    {"other_chip", "node_too_small", "too_few_nodes", "memory", "cpus", "not_allowed", "too_dear"}
)


@dataclass(frozen=True, slots=True)
class WhyNot:
    """What keeps a pool from taking a request, and the smallest change that would help."""

    code: str
    text: str
    change: str


@dataclass(frozen=True, slots=True)
class Row:
    """One pool as judged: `parts` in the order of PARTS; `score_ppm` is their weighted mean."""

    site: str
    pool: str
    accelerator: str
    cards: int
    eligible: bool
    parts: tuple[int, ...] = ()
    score_ppm: int = 0
    why_not: WhyNot | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Every pool judged, in the order given; `chosen` is an index into `rows`, or -1."""

    rows: tuple[Row, ...]
    chosen: int

    @property
    def choice(self) -> Row | None:
        """The chosen row, if any."""
        return self.rows[self.chosen] if self.chosen >= 0 else None

    @property
    def never(self) -> bool:
        """True if no pool could take the request even when idle and within reach."""
        return all(row.why_not is not None and row.why_not.code in NEVER for row in self.rows)

    @property
    def nearest(self) -> Row | None:
        """The refused pool that is nearest to saying yes: first what only needs time."""
        refused = [row for row in self.rows if row.why_not is not None]
        order = {"busy": 0, "maintenance": 1, "unreachable": 2, "draining": 3}
        return min(
            refused,
            key=lambda row: (order.get(row.why_not.code if row.why_not else "", 4), row.site, row.pool),
            default=None,
        )


def decide(request: Request, pools: tuple[PoolView, ...], policy: Policy) -> Decision:
    """Judge every pool and choose the eligible one with the best score; ties go to the smaller name."""
    refusals = [refuse(request, pool) for pool in pools]
    costs = [
        cards_asked(request, pool) * pool.price_micro_per_card_hour
        for pool, refusal in zip(pools, refusals, strict=True)
        if refusal is None
    ]
    cheapest = min(costs, default=0)
    rows = tuple(
        _judge(request, pool, policy, cheapest) if refusal is None else _refused(request, pool, refusal)
        for pool, refusal in zip(pools, refusals, strict=True)
    )
    eligible = [index for index, row in enumerate(rows) if row.eligible]
    chosen = min(
        eligible,
        key=lambda i: (
            _rank(request, rows[i]) if request.ordered else 0, -rows[i].score_ppm, rows[i].site, rows[i].pool,
        ),
        default=-1,
    )  # fmt: skip
    return Decision(rows, chosen)


def ask_for(request: Request, pool: PoolView) -> Ask | None:
    """Return the alternative of the request that names the pool's accelerator."""
    return next((ask for ask in request.asks if ask.accelerator == pool.accelerator), None)


def cards_asked(request: Request, pool: PoolView) -> int:
    """Return all cards the request takes in that pool; 0 if it does not ask for that accelerator."""
    ask = ask_for(request, pool)
    return ask.cards_per_node * request.nodes if ask else 0


def _rank(request: Request, row: Row) -> int:
    return next(i for i, ask in enumerate(request.asks) if ask.accelerator == row.accelerator)


def _refused(request: Request, pool: PoolView, refusal: WhyNot) -> Row:
    cards = cards_asked(request, pool)
    return Row(pool.site, pool.pool, pool.accelerator, cards, eligible=False, why_not=refusal)


def _judge(request: Request, pool: PoolView, policy: Policy, cheapest_micro: int) -> Row:
    cards = cards_asked(request, pool)
    cost = cards * pool.price_micro_per_card_hour
    half_km = _HALF_KM.get(request.latency_class)
    parts = (
        PPM * cards // pool.cards_free,
        PPM * cheapest_micro // cost if cost else PPM,
        PPM * _WAIT_SCALE_S // (_WAIT_SCALE_S + expected_wait_s(pool)),
        PPM * half_km // (half_km + pool.distance_km) if half_km else PPM,
        pool.green_ppm,
    )
    weights = weights_of(policy)
    score = sum(p * w for p, w in zip(parts, weights, strict=True)) // max(1, sum(weights))
    return Row(pool.site, pool.pool, pool.accelerator, cards, eligible=True, parts=parts, score_ppm=score)


def expected_wait_s(pool: PoolView) -> int:
    """Return the seconds that a pool with free cards is expected to make a job wait."""
    return pool.wait_s + (_TROUBLE_S if pool.trouble else 0)


def weights_of(policy: Policy) -> tuple[int, ...]:
    """Return the weights in the order of PARTS."""
    return (policy.fit, policy.price, policy.wait, policy.distance, policy.green)


def refuse(request: Request, pool: PoolView) -> WhyNot | None:
    """Return what keeps the pool from taking the request now, the lasting reasons first; None if nothing."""
    ask = ask_for(request, pool)
    if ask is None:
        return WhyNot(
            "other_chip",
            f"has {pool.accelerator}, asked for {' or '.join(a.accelerator for a in request.asks)}",
            f"add {pool.accelerator} to resources.accelerators",
        )
    lasting = _refuse_name(request, pool) or _refuse_size(request, pool, ask)
    if lasting:
        return lasting
    if pool.admission is not Admission.ACTIVE:
        text = "takes no new work" if pool.admission is Admission.INACTIVE else "is being drained"
        return WhyNot("draining", text, "wait until its operator opens it again, or allow another site")
    if not pool.reachable:
        return WhyNot("unreachable", "has not called for a while", "wait until it is back")
    if pool.closing is not None and request.run_ms > pool.closing.in_ms:
        return _refuse_closing(pool.closing)
    need = ask.cards_per_node * request.nodes
    if need > pool.cards_free:
        free = max(0, pool.cards_free)
        change = f"wait until {need} cards are free"
        if free:
            change = f"ask for at most {free} of its cards now, or {change}"
        return WhyNot(
            "busy", f"{free} of {pool.nodes * pool.cards_per_node} cards free, needs {need}", change
        )
    return None


def _refuse_closing(closing: Closing) -> WhyNot:
    """Say when the pool is closed, and how short a job would have to be."""
    until, fits_min = _moment(closing.until_ms), closing.in_ms // 60_000
    text = f"maintenance from {_moment(closing.from_ms)} until {until}: {closing.reason}"
    change = f"wait until {until}"
    if fits_min:
        change = f"max_duration: {fits_min}m or less fits before it, or {change}"
    return WhyNot("maintenance", text, change)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _refuse_name(request: Request, pool: PoolView) -> WhyNot | None:
    if matches(pool.site, request.deny):
        return WhyNot(
            "not_allowed", "placement.sites.deny names it", f"take {pool.site} off placement.sites.deny"
        )
    if request.allow and not matches(pool.site, request.allow):
        return WhyNot(
            "not_allowed",
            "is not in placement.sites.allow",
            f"add {pool.site} to placement.sites.allow, or leave the list out",
        )
    return None


def _refuse_size(request: Request, pool: PoolView, ask: Ask) -> WhyNot | None:
    hourly = ask.cards_per_node * request.nodes * pool.price_micro_per_card_hour
    if ask.cards_per_node > pool.cards_per_node:
        return WhyNot(
            "node_too_small",
            f"{pool.cards_per_node} cards a node, needs {ask.cards_per_node}",
            f"ask for at most {pool.cards_per_node} {pool.accelerator} a node",
        )
    if request.nodes > pool.nodes:
        return WhyNot(
            "too_few_nodes", f"{pool.nodes} nodes, needs {request.nodes}", f"num_nodes: {pool.nodes} or fewer"
        )
    if pool.memory_bytes_per_node and request.memory_bytes > pool.memory_bytes_per_node:
        have = pool.memory_bytes_per_node // 10**9
        return WhyNot("memory", f"{have} GB a node", f"resources.memory: {have} or less")
    if pool.cpus_per_node and request.cpus > pool.cpus_per_node:
        return WhyNot(
            "cpus", f"{pool.cpus_per_node} cores a node", f"resources.cpus: {pool.cpus_per_node} or fewer"
        )
    if request.max_hourly_cost_micro is not None and hourly > request.max_hourly_cost_micro:
        cost = format_micro(hourly, 2)
        return WhyNot("too_dear", f"costs {cost} yuan an hour", f"resources.max_hourly_cost: {cost} or more")
    return None


def matches(site: str, patterns: tuple[str, ...]) -> bool:
    """True if a pattern names the site; a trailing `*` stands for any ending."""
    return any(
        site.startswith(pattern[:-1]) if pattern.endswith("*") else site == pattern for pattern in patterns
    )

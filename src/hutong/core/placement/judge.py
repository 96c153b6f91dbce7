"""Judging all pools for one request at once: what can never run it where, and the parts of a score.

| part | value in ppm, higher is better |
|---|---|
| fit | cards asked for / cards free: a tight fit leaves large blocks to large jobs (best fit) |
| price | the lowest cost of a unit of work in a pool that is open to it, busy or not / this pool's |
| wait | 60 s / (60 s + the centre's own queue + 600 s where it cannot start jobs + `staging` of inputs) |
| distance | h / (h + kilometres), h by latency class; an offline job does not care |
| green | mean green share of the supply over the expected run |
| speed | expected speed of all its cards here / the highest in a pool that is open to it |
| carbon | the least CO2e of a unit of work in a pool that is open to it, busy or not / this pool's |
| reliability | m / (m + nodes x run), m the node-time in which the site is expected to break one run |
| energy | the least cost of the electricity of a unit of work in a pool that is open to it / this pool's |
| fragmentation | 1 - whole nodes that it breaks / nodes that it asks for; 1/2 where nobody knows |

`fit` and `fragmentation` change while a turn gives cards away; the scheduling pass adds them. Speeds are
those that the request brings along (`speeds`); without any, a card is as fast as another, and price and
CO2e are those of an hour. CO2e is that of the bill (`energy.account`): cards x nameplate power x PUE x
grams per kWh, the mean over the expected run. A pool of cards whose power nobody knows has 0 there, and is
not the least. Electricity costs likewise, with yuan for grams: it is what the centre pays for it, and no
part of a price.

Reliability is the probability that a run gets through, by a rate of breaks that is exponential, a Gamma(1),
with mean 1 / m (`book.stays`). By the whole posterior, (h / (h + t)) ^ (breaks + 1), it would be a little
less at sites that have broken some. A service without an end counts as a run of a day.

Fragmentation is FGD's ("Beware of Fragmentation", Weng et al., USENIX ATC 2023, section 3: the free cards
that the next task cannot use) where the next task asks for a whole node. Breaking a node of g cards for k
loses g - k to it, filling up one that was begun or taking a whole one loses none; and g - k on each of its
nodes is the most that a gang can lose in a pool, so what counts is on how many of them it does.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hutong.core.capacity.sites import Admission
from hutong.core.capacity.spread import begun
from hutong.core.placement.ahead import Ahead
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import NEVER, PPM, UNTOLD
from hutong.core.placement.electricity import by_kwh, least_of, least_ppm
from hutong.core.placement.request import Paid, Policy, PoolView, Request
from hutong.core.placement.staging import staging_s, to_move_bytes

PARTS = (
    "fit", "price", "wait", "distance", "green", "speed", "carbon", "reliability", "energy", "fragmentation",
)  # fmt: skip
_JUDGED = slice(1, -1)  # those that stay while a turn gives cards away
_CARBON, _ENERGY = PARTS.index("carbon") - 1, PARTS.index("energy") - 1  # their rows: `fit` has none
PENALTY = 1 << 21  # above every score: what is avoided, or comes later in an ordered list, is a last resort
_ORDERED_MAX = 64
_WAIT_SCALE_S = 60
# A start that fails is given up after ten minutes. Such a centre is no worse than slow: were it refused, no
# start could show that it is well again.
TROUBLE_S = 600
_HALF_KM = {"interactive": 50, "standard": 300, "batch": 2000}

Mask = npt.NDArray[np.bool_]


class Refusal(IntEnum):
    """What keeps a pool from running a request, the lasting reasons first; the first that holds is told."""

    NONE = 0
    OTHER_CHIP = 1
    DENIED = 2
    NOT_LISTED = 3
    UNABLE = 4
    NODE_TOO_SMALL = 5
    TOO_FEW_NODES = 6
    MEMORY = 7
    CPUS = 8
    TOO_DEAR = 9
    NO_DATA = 10
    DRAINING = 11
    UNREACHABLE = 12
    MAINTENANCE = 13
    QUOTA = 14
    BUSY = 15
    KEPT = 16
    BOOKED = 17
    POWER = 18
    SCATTERED = 19


LASTING = Refusal.NO_DATA
"""The last of the reasons that no waiting will change while pools and request stay as they are."""


@dataclass(frozen=True, slots=True)
class Table:
    """The pools of one moment as parallel arrays, in the order of the views; `chips` numbers the models.

    `card_mw` is the power of a card at the meter, TDP x PUE, in milliwatts; 0 where nobody knows it. `offers`
    are those of each view, or nothing where none has said; `stock` too. `bits_per_s` is the width of the way.
    `domains` are the failure domains of each view; `pools` are their names within their sites. `lacks` is
    what the engine of each cannot do, or nothing where each can do all.
    """

    sites: tuple[str, ...]
    site: Ints
    chips: dict[str, int]
    chip: Ints
    nodes: Ints
    cards_per_node: Ints
    memory_bytes: Ints
    cpus: Ints
    price_micro: Ints
    wait_s: Ints
    distance_km: Ints
    free: Ints
    state: Ints
    closes_in_ms: Ints
    card_mw: Ints
    mtbf_s: Ints
    bits_per_s: Ints
    offers: tuple[tuple[str, ...] | None, ...] = ()
    stock: tuple[tuple[str, ...], ...] = ()
    domains: tuple[tuple[str, ...], ...] = ()
    pools: tuple[str, ...] = ()
    lacks: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A request against every pool.

    `refusal` holds all but `BUSY` and those after it; `per_node` is 0 where a lasting reason stands, `asked`
    the cards a node all the same. `parts` has a row for each part that stays; `base` is their weighted sum,
    less the penalty times the sum of the weights. `co2` is what the part carbon compares, `electricity` what
    energy does (-1 where that has no weight), see `electricity.by_kwh`.
    """

    refusal: Ints
    per_node: Ints
    asked: Ints
    parts: Ints
    penalty: Ints
    base: Ints
    co2: Ints
    co2_least: int
    electricity: Ints
    electricity_least: int


def table_of(views: tuple[PoolView, ...]) -> Table:
    """Return the views as arrays."""
    names = tuple(sorted({view.site for view in views}))
    at = {name: index for index, name in enumerate(names)}
    chips = {name: index for index, name in enumerate(sorted({view.accelerator for view in views}))}
    rows = np.array(
        [
            (
                at[view.site], chips[view.accelerator], view.nodes, view.cards_per_node,
                view.memory_bytes_per_node, view.cpus_per_node, view.price_micro_per_card_hour,
                expected_wait_s(view), view.distance_km, view.cards_free, _state(view),
                NEVER if view.closing is None else view.closing.in_ms,
                view.tdp_w * view.pue_milli, view.mtbf_s, view.bits_per_s,
            )
            for view in views
        ],
        np.int64,
    ).reshape(len(views), 15)  # fmt: skip
    columns = np.ascontiguousarray(rows.T)
    offers = tuple(view.offers for view in views)
    table = replace(
        Table(names, columns[0], chips, *columns[1:]),
        domains=tuple(view.domains for view in views),
        pools=tuple(view.pool for view in views),
    )
    if any(view.stock for view in views):
        table = replace(table, stock=tuple(view.stock for view in views))
    if any(view.lacks for view in views):
        table = replace(table, lacks=tuple(view.lacks for view in views))
    return replace(table, offers=offers) if any(each is not None for each in offers) else table


def _state(view: PoolView) -> int:
    if view.admission is not Admission.ACTIVE:
        return Refusal.DRAINING
    return Refusal.NONE if view.reachable else Refusal.UNREACHABLE


def expected_wait_s(view: PoolView) -> int:
    """Return the seconds that a pool with free cards is expected to make a job wait."""
    return view.wait_s + (TROUBLE_S if view.trouble else 0)


def _waits_s(request: Request, table: Table) -> Ints:
    """Return the wait that each pool adds: that of its centre, and until the request's inputs are there."""
    if not request.cargo:
        return table.wait_s
    stocks = table.stock or ((),) * len(table.site)
    moves = [
        staging_s(to_move_bytes(request.cargo, table.sites[site], stock), bits_per_s)
        for site, stock, bits_per_s in zip(table.site, stocks, table.bits_per_s.tolist(), strict=True)
    ]
    found: Ints = table.wait_s + np.array(moves, np.int64)
    return found


def weights_of(policy: Policy) -> tuple[int, ...]:
    """Return the weights in the order of PARTS."""
    near = (policy.fit, policy.price, policy.wait, policy.distance)
    late = (policy.speed, policy.carbon, policy.reliability, policy.energy, policy.fragmentation)
    return (*near, policy.green, *late)


def judge(request: Request, policy: Policy, table: Table, ahead: Ahead) -> Judged:
    """Judge every pool, free cards left aside. `ahead` is each pool's supply over the expected run."""
    if request.paid:
        table = replace(table, price_micro=_paid(request.paid, table))
    asked, refusal = refuse(request, table)
    able = (refusal == Refusal.NONE) | (refusal > LASTING)
    is_open = (refusal == Refusal.NONE) | (refusal == Refusal.QUOTA)  # a pass learns of quotas later
    card_ppm = _card_ppm(request, table)
    power = asked * card_ppm
    cost = asked * request.nodes * table.price_micro
    if request.speeds:
        cost = PPM * cost // np.maximum(power, 1)
    by_work = card_ppm if request.speeds else None
    co2 = by_kwh(table.card_mw, ahead.co2_mg_per_kwh, asked, by_work)
    co2_least = least_of(co2, is_open)
    electricity, cheapest, energy = np.full(len(cost), -1, np.int64), -1, np.zeros(len(cost), np.int64)
    if policy.energy:  # mostly no centre says a price
        electricity = by_kwh(table.card_mw, ahead.price_micro_per_kwh, asked, by_work)
        cheapest = least_of(electricity, is_open)
        energy = least_ppm(electricity, cheapest)
    half_km = _HALF_KM.get(request.latency_class)
    parts = np.stack(
        [
            _price(cost, is_open),
            PPM * _WAIT_SCALE_S // (_WAIT_SCALE_S + _waits_s(request, table)),
            PPM * half_km // (half_km + table.distance_km) if half_km else np.full(len(cost), PPM),
            ahead.green_ppm,
            _speed(power, is_open),
            least_ppm(co2, co2_least),
            reliability_ppm(table.mtbf_s, request.nodes * request.run_ms // 1000),
            energy,
        ]
    )
    weights = np.array(weights_of(policy)[_JUDGED], np.int64)
    penalty = _rank(request, table) if request.ordered else np.zeros(len(cost), np.int64)
    if request.avoid:
        penalty = penalty + _ORDERED_MAX * _named(request.avoid, table)
    if request.avoid_domains:  # what broke it itself comes after what shares a domain with that
        penalty = penalty + _ORDERED_MAX * _within(request.avoid_domains, table.domains)
    penalty = penalty * PENALTY
    base = weights @ parts - penalty * max(1, sum(weights_of(policy)))
    per_node = np.where(able, asked, 0)
    return Judged(refusal, per_node, asked, parts, penalty, base, co2, co2_least, electricity, cheapest)


def reliability_ppm(mtbf_s: Ints, node_s: int) -> Ints:
    """Return how likely a run of so many node-seconds gets through, by pool."""
    return PPM * mtbf_s // (mtbf_s + node_s)


def unbroken_ppm(pool: PoolView, nodes: int, cards: int) -> int:
    """Return the part fragmentation of a gang that fits into a pool; it takes nodes by best fit.

    Where nobody says how free cards are spread, whole nodes that are asked for are taken whole all the same,
    and where fewer cards are free than a node has, none is whole.
    """
    whole = pool.cards_per_node
    if pool.levels:
        return PPM * begun(pool.levels, nodes, cards, whole) // nodes
    return PPM if cards >= whole or pool.cards_free < whole else UNTOLD


def base_against(judged: Judged, policy: Policy, co2_least: int, electricity_least: int) -> Ints:
    """Return `base` with other leasts in the parts carbon and energy, as where hours are compared."""
    carbon = least_ppm(judged.co2, co2_least) - judged.parts[_CARBON]
    energy = least_ppm(judged.electricity, electricity_least) - judged.parts[_ENERGY]
    found: Ints = judged.base + policy.carbon * carbon + policy.energy * energy
    return found


def refuse(request: Request, table: Table) -> tuple[Ints, Ints]:
    """Return the cards a node that the request takes of each pool, and the first reason there that it cannot.

    `BUSY` and those after it are left aside. A pool of another chip is judged as if the first ask named it:
    that is the change that would help.
    """
    first = request.asks[0].cards_per_node if request.asks else 1
    cards = np.full(len(table.chips), first, np.int64)
    known = np.zeros(len(table.chips), np.bool_)
    for ask in reversed(request.asks):
        chip = table.chips.get(ask.accelerator)
        if chip is not None:
            cards[chip], known[chip] = ask.cards_per_node, True
    asked = cards[table.chip]
    if request.paid:
        table = replace(table, price_micro=_paid(request.paid, table))
    return asked, _refusals(request, table, asked, known[table.chip])


def _rank(request: Request, table: Table) -> Ints:
    """Return which ask names each pool's chip, the first 0; 0 also where none does."""
    rank = np.zeros(len(table.chips), np.int64)
    for place, ask in reversed(list(enumerate(request.asks))):
        chip = table.chips.get(ask.accelerator)
        if chip is not None:
            rank[chip] = place
    return rank[table.chip]


def _refusals(request: Request, table: Table, asked: Ints, known: Mask) -> Ints:
    """Return the first reason of each pool, free cards left aside: the weakest are written first."""
    refusal = table.state.copy()
    idle = refusal == Refusal.NONE
    refusal[idle & (request.run_ms > table.closes_in_ms)] = Refusal.MAINTENANCE
    if request.barred:
        refusal[_barred(request, table) & (refusal == Refusal.NONE)] = Refusal.QUOTA
    if request.data and table.offers:
        refusal[_without(request.data, table.offers)] = Refusal.NO_DATA
    if request.max_hourly_cost_micro is not None:
        cost = asked * request.nodes * table.price_micro
        refusal[cost > request.max_hourly_cost_micro] = Refusal.TOO_DEAR
    refusal[(table.cpus > 0) & (table.cpus < request.cpus)] = Refusal.CPUS
    refusal[(table.memory_bytes > 0) & (table.memory_bytes < request.memory_bytes)] = Refusal.MEMORY
    refusal[table.nodes < request.nodes] = Refusal.TOO_FEW_NODES
    refusal[table.cards_per_node < asked] = Refusal.NODE_TOO_SMALL
    if table.lacks and request.abilities:
        refusal[_within(request.abilities, table.lacks)] = Refusal.UNABLE
    if request.allow:
        refusal[~_named(request.allow, table)] = Refusal.NOT_LISTED
    if request.deny:
        refusal[_named(request.deny, table)] = Refusal.DENIED
    refusal[~known] = Refusal.OTHER_CHIP
    return refusal


@lru_cache(maxsize=1024)
def _without(data: tuple[str, ...], offers: tuple[tuple[str, ...] | None, ...]) -> Mask:
    """Return where something of the data is not offered; a centre that has not said what it offers may."""
    return np.array([each is not None and not set(data) <= set(each) for each in offers], np.bool_)


def _paid(paid: tuple[Paid, ...], table: Table) -> Ints:
    """Return what a card of each pool costs whoever asks."""
    price = {(each.site, each.pool): each.price_micro for each in paid}
    sites = [table.sites[site] for site in table.site.tolist()]
    listed = table.price_micro.tolist()
    here = zip(zip(sites, table.pools, strict=True), listed, strict=True)
    return np.array([price.get(name, own) for name, own in here], np.int64)


def _barred(request: Request, table: Table) -> Mask:
    chips = [table.chips[each] for each in request.barred if each in table.chips]
    return np.isin(table.chip, chips)


def _price(cost: Ints, is_open: Mask) -> Ints:
    """Return the lowest cost in a pool that is open to it, busy or not, by each pool's; no cost has all."""
    cheapest = cost[is_open].min() if is_open.any() else 0
    return np.where(cost > cheapest, PPM * cheapest // np.maximum(cost, 1), PPM)


def _card_ppm(request: Request, table: Table) -> Ints:
    """Return the expected speed of one card of each pool, ppm of the fastest that the request names."""
    found = np.full(len(table.chips), PPM, np.int64)
    for each in request.speeds:
        chip = table.chips.get(each.accelerator)
        if chip is not None:
            found[chip] = each.ppm
    return found[table.chip]


def _speed(power: Ints, is_open: Mask) -> Ints:
    """Return each pool's speed by the highest in a pool that is open to it, at most 10^6."""
    best = int(power[is_open].max()) if is_open.any() else 0
    if power.min(initial=best) == best:  # as where every card counts alike
        return np.full(len(power), PPM)
    return np.where(power < best, PPM * power // max(1, best), PPM)


@lru_cache(maxsize=1024)
def _within(names: tuple[str, ...], of_pools: tuple[tuple[str, ...], ...]) -> Mask:
    return np.array([not set(names).isdisjoint(each) for each in of_pools], np.bool_)


def _named(patterns: tuple[str, ...], table: Table) -> Mask:
    return _matching(patterns, table.sites)[table.site]


@lru_cache(maxsize=1024)
def _matching(patterns: tuple[str, ...], sites: tuple[str, ...]) -> Mask:
    return np.array([matches(site, patterns) for site in sites], np.bool_)


def matches(site: str, patterns: tuple[str, ...]) -> bool:
    """True if a pattern names the site; a trailing `*` stands for any ending."""
    return any(
        site.startswith(pattern[:-1]) if pattern.endswith("*") else site == pattern for pattern in patterns
    )

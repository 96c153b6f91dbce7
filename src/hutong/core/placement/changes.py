"""What a refused request would have to change to be placed in a pool now: all of it, and no more than needed.

A stated set of changes, each the least of its kind: add the chip or the site, ask for fewer cards, nodes,
memory or cores, allow a higher cost, ask for less time; and, where the request cannot help it, wait.
"""

from dataclasses import dataclass, replace

from hutong.core.capacity.sites import GANGS, ISOLATION, SERVICES, Admission
from hutong.core.placement.judge import matches
from hutong.core.placement.request import Beside, Cap, Kept, PoolView, Request, is_scattered, length_ms
from hutong.core.work.spec import Ask


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a request. `field` is a field of the job file, or `wait`; `value` is what it becomes.

    Units: cards, nodes and cores as counts, `memory` bytes, `max_hourly_cost` micro-yuan, `max_duration` ms;
    `isolation` no more insists on it (0). `wait` names what for: `services`, `data`, `open`, `reach`,
    `maintenance`, `quota`, `cards`.
    """

    field: str
    value: int | str


def needed(request: Request, pool: PoolView) -> tuple[Change, ...]:
    """Return the changes that together would place the request in the pool now; empty if none is needed."""
    found = _names(request, pool)
    asked = next((a.cards_per_node for a in request.asks if a.accelerator == pool.accelerator), None)
    cards, nodes, wait = _shape(request, pool, asked or _first(request))
    if cards != asked:
        found += [] if cards == _first(request) and asked is None else [Change("cards_per_node", cards)]
    if nodes != request.nodes:
        found.append(Change("num_nodes", nodes))
    found += _rest(request, pool, cards * nodes)
    lacking = set(request.needs) & set(pool.lacks)
    if ISOLATION in lacking:
        found.append(Change("isolation", 0))
    if SERVICES in lacking:
        found.append(Change("wait", "services"))
    if pool.offers is not None and not set(request.data) <= set(pool.offers):
        found.append(Change("wait", "data"))
    if pool.admission is not Admission.ACTIVE:
        found.append(Change("wait", "open"))
    if not pool.reachable:
        found.append(Change("wait", "reach"))
    if pool.accelerator in request.barred:
        found.append(Change("wait", "quota"))
    if wait:
        found.append(Change("wait", "cards"))
        pool = replace(pool, kept=(), booked=(), capped=())  # who waits for the cards waits for that too
    return tuple(found) + _time(request, pool, cards * nodes)


def _first(request: Request) -> int:
    return request.asks[0].cards_per_node if request.asks else 1


def _names(request: Request, pool: PoolView) -> list[Change]:
    found = []
    if all(ask.accelerator != pool.accelerator for ask in request.asks):
        found.append(Change("accelerators", pool.accelerator))
    if matches(pool.site, request.deny):
        found.append(Change("deny", pool.site))
    if request.allow and not matches(pool.site, request.allow):
        found.append(Change("allow", pool.site))
    return found


def _shape(request: Request, pool: PoolView, asked: int) -> tuple[int, int, bool]:
    """Return cards a node and nodes that fit into what is free, and whether one must wait all the same.

    Fewer cards a node before fewer nodes: a gang keeps its shape as long as it can.
    """
    most_nodes = 1 if GANGS in pool.lacks else pool.nodes
    cards, nodes = min(asked, pool.cards_per_node), min(request.nodes, most_nodes)
    free = min([pool.cards_free, *(each.spare for each in _held(pool) if each.in_ms <= 0)])
    able = min(nodes, free, sum(pool.levels[1:])) if pool.levels else min(nodes, free)
    for wide in (nodes, able):
        most = min(cards, free // wide) if wide > 0 else 0
        for fewer in range(most, 0, -1):
            if not is_scattered(pool, wide, fewer):
                return fewer, wide, False
    return cards, nodes, True


def _held(pool: PoolView) -> tuple[Kept | Beside | Cap, ...]:
    """Return all from which on fewer cards of the pool can be had: kept for others, booked, or capped."""
    return (*pool.kept, *pool.booked, *pool.capped)


def _rest(request: Request, pool: PoolView, cards: int) -> list[Change]:
    found = []
    if pool.memory_bytes_per_node and request.memory_bytes > pool.memory_bytes_per_node:
        found.append(Change("memory", pool.memory_bytes_per_node))
    if pool.cpus_per_node and request.cpus > pool.cpus_per_node:
        found.append(Change("cpus", pool.cpus_per_node))
    cost = cards * pool.price_micro_per_card_hour
    if request.max_hourly_cost_micro is not None and cost > request.max_hourly_cost_micro:
        found.append(Change("max_hourly_cost", cost))
    return found


def _time(request: Request, pool: PoolView, cards: int) -> tuple[Change, ...]:
    """Return what must change about the time: closed soon, kept for others then, short of power."""
    limits, found = [request.run_ms], []
    if pool.closing is not None and pool.closing.in_ms > 0:
        limits.append(pool.closing.in_ms)
    elif pool.closing is not None and request.run_ms > 0:
        found.append(Change("wait", "maintenance"))
    ran_ms = length_ms(request, strict=pool.strict)
    limits += [each.in_ms for each in pool.kept if cards > each.spare and ran_ms > each.in_ms]
    limits += [each.in_ms for each in pool.booked if cards > each.spare]
    limits += [each.in_ms for each in pool.capped if cards > each.spare]
    if min(limits) < request.run_ms:
        found.append(Change("max_duration", min(limits)))
    return tuple(found)


def apply(changes: tuple[Change, ...], request: Request, pool: PoolView) -> tuple[Request, PoolView]:
    """Return the request as changed, and the pool as it will be when all that is waited for has come."""
    for change in changes:
        match change:
            case Change("accelerators", str(chip)):
                request = replace(request, asks=(*request.asks, Ask(chip, _first(request))))
            case Change("deny", str(site)):
                kept = tuple(each for each in request.deny if not matches(site, (each,)))
                request = replace(request, deny=kept)
            case Change("allow", str(site)):
                request = replace(request, allow=(*request.allow, site))
            case Change("cards_per_node", int(cards)):
                asks = (
                    replace(a, cards_per_node=cards) if a.accelerator == pool.accelerator else a
                    for a in request.asks
                )
                request = replace(request, asks=tuple(asks))
            case Change("wait", what):
                request, pool = _waited(str(what), request, pool)
            case _:
                request = _eased(change, request)
    return request, pool


def _eased(change: Change, request: Request) -> Request:
    """Return the request asking for less, or allowing more."""
    match change:
        case Change("num_nodes", int(nodes)):
            return replace(request, nodes=nodes)
        case Change("memory", int(size)):
            return replace(request, memory_bytes=size)
        case Change("cpus", int(cores)):
            return replace(request, cpus=cores)
        case Change("max_hourly_cost", int(cost)):
            return replace(request, max_hourly_cost_micro=cost)
        case Change("max_duration", int(run_ms)):
            return replace(request, run_ms=run_ms)
        case Change("isolation"):
            return replace(request, needs=tuple(each for each in request.needs if each != ISOLATION))
        case _:
            return request


def _waited(what: str, request: Request, pool: PoolView) -> tuple[Request, PoolView]:
    match what:
        case "services":
            return request, replace(pool, lacks=tuple(each for each in pool.lacks if each != SERVICES))
        case "data":
            return request, replace(pool, offers=None)
        case "open":
            return request, replace(pool, admission=Admission.ACTIVE)
        case "reach":
            return request, replace(pool, reachable=True)
        case "maintenance":
            return request, replace(pool, closing=None)
        case "quota":
            barred = tuple(chip for chip in request.barred if chip != pool.accelerator)
            return replace(request, barred=barred), pool
        case _:
            whole = pool.nodes * pool.cards_per_node
            return request, replace(pool, cards_free=whole, kept=(), booked=(), capped=(), levels=())

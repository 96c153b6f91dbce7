"""Why not: what keeps a pool from running a request, in words, and the smallest change that would help."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hutong.core.capacity.sites import GANGS, ISOLATION, SERVICES, Admission
from hutong.core.capacity.spread import has_room
from hutong.core.kernel.money import format_micro
from hutong.core.placement.changes import Change, needed
from hutong.core.placement.judge import Refusal
from hutong.core.placement.request import Closing, PoolView, Request, length_ms


@dataclass(frozen=True, slots=True)
class WhyNot:
    """What keeps a pool from taking a request, and the smallest change that would help."""

    code: str
    text: str
    change: str


def explain(request: Request, pool: PoolView, asked: int, refusal: Refusal) -> WhyNot:
    """Return the words for a refusal; `asked` are the cards a node that the request takes there.

    Where more than one thing would have to change, the words of the change end with all of them.
    """
    why = _first_reason(request, pool, asked, refusal)
    changes = needed(request, pool)
    if len(changes) < 2:
        return why
    return replace(why, change=f"{why.change}; in all: {', '.join(_told(each, pool) for each in changes)}")


def _told(change: Change, pool: PoolView) -> str:
    match change:
        case Change("accelerators", chip):
            return f"add {chip} to resources.accelerators"
        case Change("deny", site):
            return f"take {site} off placement.sites.deny"
        case Change("allow", site):
            return f"add {site} to placement.sites.allow"
        case Change("cards_per_node", cards):
            return f"{cards} {pool.accelerator} a node"
        case Change("memory", int(size)):
            return f"resources.memory: {size // 10**9}"
        case Change("cpus", cores):
            return f"resources.cpus: {cores}"
        case Change("max_hourly_cost", int(cost)):
            return f"resources.max_hourly_cost: {format_micro(cost, 2)}"
        case Change("max_duration", int(run_ms)):
            return f"max_duration: {run_ms // 1000}s"
        case Change("isolation"):
            return "leave placement.isolation out"
        case Change("wait", what):
            return _WAITS[str(what)]
        case _:
            return f"{change.field}: {change.value}"


_WAITS = {
    "services": "wait until its centre can lead connections to jobs",
    "data": "wait until its centre offers the data",
    "open": "wait until it is opened again",
    "reach": "wait until it is back",
    "maintenance": "wait until its maintenance is over",
    "quota": "wait for the quota",
    "cards": "wait for cards",
}


def _first_reason(request: Request, pool: PoolView, asked: int, refusal: Refusal) -> WhyNot:
    match refusal:
        case Refusal.OTHER_CHIP:
            wanted = " or ".join(ask.accelerator for ask in request.asks)
            text = f"has {pool.accelerator}, asked for {wanted}"
            return WhyNot("other_chip", text, f"add {pool.accelerator} to resources.accelerators")
        case Refusal.DENIED:
            change = f"take {pool.site} off placement.sites.deny"
            return WhyNot("not_allowed", "placement.sites.deny names it", change)
        case Refusal.NOT_LISTED:
            change = f"add {pool.site} to placement.sites.allow, or leave the list out"
            return WhyNot("not_allowed", "is not in placement.sites.allow", change)
        case Refusal.UNABLE:
            return _unable(request, pool)
        case Refusal.NO_DATA | Refusal.DRAINING | Refusal.UNREACHABLE | Refusal.MAINTENANCE:
            return _centre(request, pool, refusal)
        case Refusal.QUOTA:
            text = f"its person, project or institution may not have more {pool.accelerator} now (quota)"
            return WhyNot("quota", text, "wait until some of its own jobs end, or more are free")
        case Refusal.KEPT:
            return _kept(request, pool, asked * request.nodes)
        case Refusal.BOOKED | Refusal.POWER:
            say = _booked if refusal is Refusal.BOOKED else _power
            return say(request, pool, asked * request.nodes)
        case Refusal.SCATTERED:
            return _scattered(request, pool, asked)
        case Refusal.BUSY:
            return _busy(pool, asked * request.nodes)
        case _:
            return _too_much(request, pool, asked, refusal)


_UNABLE = {
    GANGS: ("runs no job on more than one node", "num_nodes: 1"),
    SERVICES: ("leads no connections to jobs", "allow another site: services, notebooks and ports need them"),
    ISOLATION: ("does not isolate jobs", "leave placement.isolation out, or allow another site"),
}


def _unable(request: Request, pool: PoolView) -> WhyNot:
    """Return the words where the centre's engine cannot do what the request needs."""
    lacking = [each for each in _UNABLE if each in request.abilities and each in pool.lacks]
    text = " and ".join(_UNABLE[each][0] for each in lacking)
    return WhyNot("unable", f"its engine {text}", _UNABLE[lacking[0]][1])


def _centre(request: Request, pool: PoolView, refusal: Refusal) -> WhyNot:
    """Return the words where the centre as a whole does not take the request."""
    match refusal:
        case Refusal.NO_DATA:
            missing = [each.replace("/", " ") for each in request.data if each not in (pool.offers or ())]
            has = ", ".join(each.replace("/", " ") for each in pool.offers or ()) or "nothing"
            text = f"its centre does not offer {' or '.join(missing)} (it offers {has})"
            change = "ask its operator to offer it, or name what another centre offers"
            return WhyNot("no_data", text, change)
        case Refusal.MAINTENANCE if pool.closing is not None:
            return _closing(pool.closing)
        case Refusal.UNREACHABLE:
            return WhyNot("unreachable", "has not called for a while", "wait until it is back")
        case _:
            inactive = pool.admission is Admission.INACTIVE
            text = "takes no new work" if inactive else "is being drained"
            return WhyNot("draining", text, "wait until its operator opens it again, or allow another site")


def _too_much(request: Request, pool: PoolView, asked: int, refusal: Refusal) -> WhyNot:
    """Return the words where the request asks for more than the pool has."""
    match refusal:
        case Refusal.NODE_TOO_SMALL:
            change = f"ask for at most {pool.cards_per_node} {pool.accelerator} a node"
            return WhyNot("node_too_small", f"{pool.cards_per_node} cards a node, needs {asked}", change)
        case Refusal.TOO_FEW_NODES:
            text = f"{pool.nodes} nodes, needs {request.nodes}"
            return WhyNot("too_few_nodes", text, f"num_nodes: {pool.nodes} or fewer")
        case Refusal.MEMORY:
            have = pool.memory_bytes_per_node // 10**9
            return WhyNot("memory", f"{have} GB a node", f"resources.memory: {have} or less")
        case Refusal.CPUS:
            change = f"resources.cpus: {pool.cpus_per_node} or fewer"
            return WhyNot("cpus", f"{pool.cpus_per_node} cores a node", change)
        case _:
            cost = format_micro(asked * request.nodes * pool.price_micro_per_card_hour, 2)
            change = f"resources.max_hourly_cost: {cost} or more"
            return WhyNot("too_dear", f"costs {cost} yuan an hour", change)


def _busy(pool: PoolView, need: int) -> WhyNot:
    free = max(0, pool.cards_free)
    change = f"wait until {need} cards are free"
    if free:
        change = f"ask for at most {free} of its cards now, or {change}"
    return WhyNot("busy", f"{free} of {pool.nodes * pool.cards_per_node} cards free, needs {need}", change)


def _scattered(request: Request, pool: PoolView, asked: int) -> WhyNot:
    have, need = _nodes(sum(pool.levels[asked:])), _nodes(request.nodes)
    text = f"{pool.cards_free} cards free, but scattered: {have} {asked} free, {request.nodes} needed"
    change = f"wait until {need} {asked} free"
    most = max((each for each in range(1, asked) if has_room(pool.levels, request.nodes, each)), default=0)
    if most:
        change = f"ask for at most {most} cards a node now, or {change}"
    return WhyNot("scattered", text, change)


def _nodes(count: int) -> str:
    return "1 node has" if count == 1 else f"{count} nodes have"


def _kept(request: Request, pool: PoolView, need: int) -> WhyNot:
    run_ms = length_ms(request, strict=pool.strict)
    binding = [each for each in pool.kept if run_ms > each.in_ms and need > each.spare]
    if not binding:
        text = f"{pool.cards_free} cards free, but it is the turn of a job that came first"
        return WhyNot("kept", text, "wait for its turn")
    first, least = binding[0], min(each.spare for each in binding)
    text = (
        f"{pool.cards_free} cards free, but kept for a job that came first and is expected to start at "
        f"{_moment(first.from_ms)}"
    )
    change = f"wait until {need} cards are free"
    if first.in_ms >= 60_000:
        change = f"max_duration: {first.in_ms // 60_000}m or less fits before it, or {change}"
    if least > 0:
        change = f"ask for at most {least} of its cards now, or {change}"
    return WhyNot("kept", text, change)


def _booked(request: Request, pool: PoolView, need: int) -> WhyNot:
    binding = [each for each in pool.booked if request.run_ms > each.in_ms and need > each.spare]
    first, least = binding[0], min(each.spare for each in binding)
    span = f"from {_moment(first.from_ms)} until {_moment(first.until_ms)}"
    change = f"wait until {_moment(max(each.until_ms for each in binding))}"
    if first.in_ms >= 60_000:
        change = f"max_duration: {first.in_ms // 60_000}m or less fits before it, or {change}"
    if least > 0:
        change = f"ask for at most {least} of its cards, or {change}"
    return WhyNot("booked", f"{pool.cards_free} cards free, but booked for others {span}", change)


def _power(request: Request, pool: PoolView, need: int) -> WhyNot:
    binding = [each for each in pool.capped if request.run_ms > each.in_ms and need > each.spare]
    tight, soon_ms = min(binding, key=lambda each: each.spare), min(each.in_ms for each in binding)
    least = tight.spare
    span = f" from {_moment(tight.from_ms)}" if tight.from_ms else ""
    span += f" until {_moment(tight.until_ms)}" if tight.until_ms else ""
    more = f"{least} card{'' if least == 1 else 's'} more"
    text = f"the centre's power is limited to {tight.limit_kw} kW{span or ' now'}: at most {more}"
    if not tight.limit_kw:
        text = f"the centre's power is kept for a job that came first{span}: at most {least} cards beside it"
    ends = [each.until_ms for each in binding]
    change = f"wait until {_moment(max(ends))}" if all(ends) else "wait until other jobs of the centre end"
    if soon_ms >= 60_000:
        change = f"max_duration: {soon_ms // 60_000}m or less fits before it, or {change}"
    if least > 0:
        change = f"ask for at most {least} of its cards, or {change}"
    return WhyNot("power", f"{pool.cards_free} cards free, but {text}", change)


def _closing(closing: Closing) -> WhyNot:
    """Say when the pool is closed, and how short a job would have to be."""
    until, fits_min = _moment(closing.until_ms), closing.in_ms // 60_000
    text = f"maintenance from {_moment(closing.from_ms)} until {until}: {closing.reason}"
    change = f"wait until {until}"
    if fits_min:
        change = f"max_duration: {fits_min}m or less fits before it, or {change}"
    return WhyNot("maintenance", text, change)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")

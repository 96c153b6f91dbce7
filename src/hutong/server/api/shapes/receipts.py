"""Receipts of placements as the wire shows them."""

from hutong.core.book.stays import PRIOR_MTBF_S
from hutong.core.capacity.spread import begun
from hutong.core.kernel.documents import to_document
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.money import format_micro
from hutong.core.placement.decide import Decision, Row, cards_asked
from hutong.core.placement.judge import PARTS, expected_wait_s, matches, weights_of
from hutong.core.placement.receipt import Opened
from hutong.core.placement.request import Policy, PoolView, Request
from hutong.core.placement.staging import say_move, staging_s, to_move_bytes
from hutong.server.api.shapes.times import percent
from hutong.wire import receipts as w
from hutong.wire.base import rfc3339


def receipt_shape(opened: Opened) -> w.Receipt:
    """Return a receipt as shown; `inputs` is all that the decision knew."""
    receipt = opened.now
    inputs = to_document({"policy": receipt.policy, "request": receipt.request, "pools": receipt.pools})
    if not isinstance(inputs, dict):
        raise Broken("the inputs of a receipt are a document")
    choice = receipt.decision.choice
    return w.Receipt(
        job=receipt.job,
        attempt=receipt.attempt,
        at=rfc3339(receipt.at_ms),
        policy=receipt.policy.name,
        chosen=f"{choice.site}/{choice.pool}" if choice else "",
        alternatives=alternatives(receipt.decision, receipt.pools, receipt.request, receipt.policy),
        digest=opened.digest,
        inputs=inputs,
    )


def alternatives(
    decision: Decision, pools: tuple[PoolView, ...], request: Request, policy: Policy
) -> tuple[w.Alternative, ...]:
    """Return every pool as it was judged: the chosen one first, then by score, then by name."""
    pairs = list(enumerate(zip(decision.rows, pools, strict=True)))
    pairs.sort(key=lambda pair: (pair[0] != decision.chosen, not pair[1][0].eligible, -pair[1][0].score_ppm))
    return tuple(
        _alternative(row, pool, request, policy, chosen=index == decision.chosen)
        for index, (row, pool) in pairs
    )


def _alternative(
    row: Row, pool: PoolView, request: Request, policy: Policy, *, chosen: bool
) -> w.Alternative:
    why_not = row.why_not
    return w.Alternative(
        site=row.site,
        pool=row.pool,
        accelerator=row.accelerator,
        eligible=row.eligible,
        chosen=chosen,
        score_ppm=row.score_ppm,
        parts=_parts(row, pool, request, policy),
        why_not=w.WhyNot(code=why_not.code, text=why_not.text, change=why_not.change) if why_not else None,
        price_per_card_hour=format_micro(pool.price_micro_per_card_hour),
        note=_note(request, pool) if row.eligible else "",
    )


def _note(request: Request, pool: PoolView) -> str:
    """Return why a pool is a last resort, if it is."""
    if matches(pool.site, request.avoid):
        return "a last resort: the site broke an earlier attempt"
    shared = [each for each in pool.domains if each in request.avoid_domains]
    return f"a last resort: an earlier attempt was broken in {', '.join(shared)}" if shared else ""


def _price(request: Request, pool: PoolView, cards: int) -> str:
    """Return what an hour costs, and what a fastest card's work of an hour does where speeds are known."""
    hour = f"{format_micro(cards * pool.price_micro_per_card_hour, 2)} CNY an hour"
    for each in request.speeds:
        if each.accelerator == pool.accelerator:
            work = format_micro(pool.price_micro_per_card_hour * 1_000_000 // each.ppm, 2)
            return f"{hour}, {work} by work"
    return hour


def _speed(request: Request, pool: PoolView) -> str:
    """Return what a card of the pool is expected to do, and how that is known."""
    for each in request.speeds:
        if each.accelerator == pool.accelerator:
            known = f"by {each.runs} runs" if each.runs else "by nameplate"
            doubt = f", give or take {each.doubt_ppm // 10_000} %," if each.doubt_ppm else ""
            return f"{each.ppm / 1_000_000:.2f} a card{doubt} {known}"
    return "the only chip it asks for" if len(request.asks) < 2 else "no figure to compare"


def _carbon(request: Request, pool: PoolView, cards: int) -> str:
    """Return the CO2e of an hour, and that of a fastest card's work of an hour where speeds are known."""
    if not pool.tdp_w:
        return f"the power of {pool.accelerator} is not known"
    of_card = pool.tdp_w * pool.pue_milli * pool.co2_mg_per_kwh  # nanograms an hour
    hour = f"{_grams(cards * of_card)} g CO2e an hour"
    for each in request.speeds:
        if each.accelerator == pool.accelerator:
            return f"{hour}, {_grams(of_card * 1_000_000 // each.ppm)} by work"
    return hour


def _energy(request: Request, pool: PoolView, cards: int) -> str:
    """Return what its centre pays for the electricity of an hour, and of the work as in `_carbon`."""
    if not pool.tdp_w:
        return f"the power of {pool.accelerator} is not known"
    if pool.price_micro_per_kwh < 0:
        return "the centre does not say what its electricity costs"
    of_card = pool.tdp_w * pool.pue_milli * pool.price_micro_per_kwh  # 10^-6 micro-yuan an hour
    hour = f"the centre pays {format_micro(cards * of_card // 10**6, 2)} CNY an hour for electricity"
    for each in request.speeds:
        if each.accelerator == pool.accelerator:
            return f"{hour}, {format_micro(of_card // each.ppm, 2)} by work"
    return hour


def _grams(nanograms: int) -> str:
    """Return grams, with a tenth where they are few."""
    grams = nanograms / 10**9
    return f"{grams:.0f}" if grams >= 100 else f"{grams:.1f}"


def _reliability(request: Request, pool: PoolView) -> str:
    """Return in how many node-hours one run is expected to break, and how many this one takes."""
    known = " (assumed)" if pool.mtbf_s == PRIOR_MTBF_S else ""
    run_s = request.nodes * request.run_ms // 1000
    return f"1 break in {_hours(pool.mtbf_s)} node-hours{known}, it takes {_hours(run_s)}"


def _fragmentation(request: Request, pool: PoolView, cards: int) -> str:
    """Return how many whole nodes it breaks, of those that it asks for."""
    each, whole = cards // request.nodes, pool.cards_per_node
    if each >= whole:
        return "takes whole nodes"
    if not pool.levels:
        return "no node is whole" if pool.cards_free < whole else "its nodes are not told"
    broken = request.nodes - begun(pool.levels, request.nodes, each, whole)
    return f"breaks {broken} whole node{'' if broken == 1 else 's'} of {request.nodes}"


def _hours(seconds: int) -> str:
    """Return hours, with a tenth where they are few."""
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}"


def _wait(request: Request, pool: PoolView) -> str:
    """Return the wait that a pool adds, and what of it is for a failed start and for inputs on their way."""
    size_bytes = to_move_bytes(request.cargo, pool.site, pool.stock)
    said = f"{expected_wait_s(pool) + staging_s(size_bytes, pool.bits_per_s)} s"
    if pool.trouble:
        said += f", for it could not start its last job: {pool.trouble}"
    if size_bytes:
        return f"{said}; {say_move(size_bytes, pool.bits_per_s, pool.learnt)}"
    return f"{said}; its large inputs are there" if request.cargo else said


def _parts(row: Row, pool: PoolView, request: Request, policy: Policy) -> tuple[w.Part, ...]:
    if not row.parts:
        return ()
    cards = cards_asked(request, pool)
    raw = {
        "fit": f"{cards} of {pool.cards_free} free cards",
        "price": _price(request, pool, cards),
        "wait": _wait(request, pool),
        "distance": f"{pool.distance_km} km",
        "green": f"{percent(pool.green_ppm)} % green supply",
        "speed": _speed(request, pool),
        "carbon": _carbon(request, pool, cards),
        "reliability": _reliability(request, pool),
        "energy": _energy(request, pool, cards),
        "fragmentation": _fragmentation(request, pool, cards),
    }
    known = len(row.parts)
    named = zip(PARTS[:known], row.parts, weights_of(policy)[:known], strict=True)
    return tuple(
        w.Part(name=name, raw=raw[name], value_ppm=value, weight=weight)
        for name, value, weight in named
        if weight
    )

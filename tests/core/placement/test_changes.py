"""Why not is right: for a thousand random refused jobs the smallest change helps, no smaller one does."""

import random
from dataclasses import replace

from hutong.core.capacity.sites import Admission
from hutong.core.placement.changes import Change, apply, needed
from hutong.core.placement.decide import decide
from hutong.core.placement.request import Beside, Cap, Closing, Kept, Policy, PoolView, Request
from hutong.core.work.spec import Ask

POLICY = Policy("p", fit=1, price=3, wait=2, distance=1, green=3)
CHIPS = ("H100", "Ascend910B", "MLU370")
LARGER = {"cards_per_node", "num_nodes", "memory", "cpus", "max_duration"}
"""Fields whose change is smaller the larger the value; a cost is smaller the lower."""


def refused(request: Request, pool: PoolView) -> bool:
    return decide(request, (pool,), POLICY).chosen < 0


def a_pool(dice: random.Random) -> PoolView:
    nodes, cards = dice.randint(1, 8), dice.choice([1, 4, 8])
    levels = [0] * (cards + 1)
    for _ in range(nodes):
        levels[dice.choice([0, cards, dice.randint(0, cards)])] += 1
    return PoolView(
        site=dice.choice(["bj", "tj", "zjk"]), pool="a", accelerator=dice.choice(CHIPS), nodes=nodes,
        cards_per_node=cards, cards_free=min(nodes * cards, dice.choice([0, 1, 3, 64, dice.randint(0, 64)])),
        cpus_per_node=dice.choice([0, 16, 64]), memory_bytes_per_node=dice.choice([0, 10**11, 10**12]),
        price_micro_per_card_hour=dice.randint(0, 10**7), pue_milli=1200, distance_km=10, green_ppm=5,
        wait_s=0,
        admission=dice.choice([Admission.ACTIVE, Admission.ACTIVE, Admission.DRAIN]),
        reachable=dice.random() < 0.9,
        closing=dice.choice([None, None, Closing(0, 1, 2, "x"), Closing(dice.randint(1, 10**7), 1, 2, "x")]),
        kept=tuple(
            Kept(dice.choice([0, dice.randint(1, 10**7)]), 1, dice.randint(0, 4))
            for _ in range(dice.choice([0, 0, 1, 3]))
        ),
        offers=dice.choice([None, None, (), ("shared/zh",), ("shared/zh", "store/lab")]),
        lacks=dice.choice([(), (), (), ("gangs",), ("services",), ("gangs", "services", "isolation")]),
        booked=tuple(
            Beside(dice.choice([0, dice.randint(1, 10**7)]), 1, 2, dice.randint(0, 8))
            for _ in range(dice.choice([0, 0, 1, 2]))
        ),
        capped=tuple(
            Cap(dice.choice([0, dice.randint(1, 10**7)]), 1, dice.choice([0, 2]), dice.randint(0, 8), 5)
            for _ in range(dice.choice([0, 0, 1, 2]))
        ),
        levels=dice.choice([(), tuple(levels)]),
    )  # fmt: skip


def a_request(dice: random.Random) -> Request:
    asks = tuple(Ask(chip, dice.choice([1, 2, 8])) for chip in dice.sample(CHIPS, dice.randint(1, 2)))
    return Request(
        nodes=dice.choice([1, 1, 2, 6]), asks=asks, ordered=dice.random() < 0.5, cpus=dice.choice([0, 8, 32]),
        memory_bytes=dice.choice([0, 5 * 10**11]), run_ms=dice.randint(1, 2 * 10**7), latency_class="batch",
        allow=dice.choice([(), (), ("bj",), ("z*",)]), deny=dice.choice([(), (), ("tj",), ("t*", "bj")]),
        max_hourly_cost_micro=dice.choice([None, 10**6, 10**8]),
        barred=dice.choice([(), (), tuple(CHIPS[:1])]),
        data=dice.choice([(), (), ("store/lab",), ("shared/zh", "store/lab")]),
        needs=dice.choice([(), (), ("services",), ("isolation",), ("services", "isolation")]),
    )  # fmt: skip


def smaller(change: Change, request: Request, pool: PoolView) -> list[Change]:
    """Return the next smaller changes of the same kind: one less card given up, one byte more, ..."""
    if isinstance(change.value, str) or change.field == "isolation":
        return []
    step = 1 if change.field in LARGER else -1
    return [Change(change.field, change.value + step)]


def test_for_a_thousand_refused_jobs_the_smallest_change_helps_and_no_smaller_one_does() -> None:
    dice = random.Random(2026)
    tried = 0
    kinds: set[str] = set()
    while tried < 1000:
        request, pool = a_request(dice), a_pool(dice)
        changes = needed(request, pool)
        assert bool(changes) == refused(request, pool), (request, pool)
        if not changes:
            continue
        tried += 1
        kinds |= {f"{each.field}:{each.value}" if each.field == "wait" else each.field for each in changes}
        assert not refused(*apply(changes, request, pool)), (request, pool, changes)
        for at, change in enumerate(changes):
            fewer = changes[:at] + changes[at + 1 :]
            if change.field != "accelerators":  # the others are about the chip that it adds
                assert refused(*apply(fewer, request, pool)), (request, pool, changes, change)
            for less in smaller(change, request, pool):
                some = (*changes[:at], less, *changes[at + 1 :])
                assert refused(*apply(some, request, pool)), (request, pool, changes, less)
    assert kinds == {
        "accelerators", "allow", "deny", "cards_per_node", "num_nodes", "memory", "cpus", "max_hourly_cost",
        "max_duration", "isolation", "wait:services",
        "wait:open", "wait:reach", "wait:cards", "wait:maintenance",
        "wait:quota", "wait:data",
    }  # fmt: skip


def test_what_is_placed_needs_no_change() -> None:
    dice = random.Random(1)
    pool = replace(a_pool(dice), accelerator="H100", closing=None, kept=(), booked=(), capped=())
    pool = replace(pool, admission=Admission.ACTIVE, cards_free=8, cpus_per_node=0, memory_bytes_per_node=0)
    pool = replace(pool, reachable=True, offers=None, levels=(), lacks=())
    request = Request(1, (Ask("H100", 1),), False, 0, 0, 1, "batch", (), (), None)
    assert needed(request, pool) == ()


def test_the_words_name_the_first_reason_and_then_all_that_must_change() -> None:
    pool = PoolView(
        site="tj", pool="a", accelerator="H100", nodes=2, cards_per_node=4, cards_free=0, cpus_per_node=0,
        memory_bytes_per_node=0, price_micro_per_card_hour=1, pue_milli=1200, distance_km=1, green_ppm=0,
        wait_s=0, admission=Admission.DRAIN, reachable=True,
    )  # fmt: skip
    request = Request(3, (Ask("H100", 8),), False, 0, 0, 1, "batch", (), (), None)
    why = decide(request, (pool,), POLICY).rows[0].why_not
    assert why is not None
    assert (why.code, why.text) == ("node_too_small", "4 cards a node, needs 8")
    assert why.change == (
        "ask for at most 4 H100 a node; in all: 4 H100 a node, num_nodes: 2, wait until it is opened again, "
        "wait for cards"
    )

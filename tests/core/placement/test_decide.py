"""Placement: what a receipt promises, and why a pool says no."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.capacity.sites import Admission
from hutong.core.placement.columns import PPM
from hutong.core.placement.decide import NEVER, decide
from hutong.core.placement.decide import refuse as refuse_by
from hutong.core.placement.judge import matches
from hutong.core.placement.receipt import open_receipt
from hutong.core.placement.request import Closing, Policy, PoolView, Request
from hutong.core.placement.words import WhyNot
from hutong.core.work.spec import Ask
from hutong.server.api.shapes.receipts import alternatives

T0 = 1_795_000_000_000  # 2026-11-18 11:06:40 UTC
HOUR_MS = 3_600_000
# A receipt as the first version of the decision wrote it, byte by byte, and its digest.
FIRST = (
    b'{"at_ms":7,"attempt":1,"decision":{"chosen":0,"rows":[{"accelerator":"H100","cards":8,"eligible":true,'
    b'"parts":[250000,1000000,1000000,995024,300000],"pool":"a","score_ppm":714502,"site":"bj","why_not":null}]},'
    b'"job":"01J","policy":{"distance":1,"fit":1,"green":3,"name":"balanced","price":3,"wait":2},"pools":['
    b'{"accelerator":"H100","admission":"active","cards_free":32,"cards_per_node":8,"cpus_per_node":64,'
    b'"distance_km":10,"green_ppm":300000,"memory_bytes_per_node":1000000000000,"nodes":4,"pool":"a",'
    b'"price_micro_per_card_hour":10000000,"pue_milli":1200,"reachable":true,"site":"bj","wait_s":0}],'
    b'"request":{"allow":[],"asks":[{"accelerator":"H100","cards_per_node":4}],"cpus":8,"deny":[],'
    b'"latency_class":"batch","max_hourly_cost_micro":null,"memory_bytes":10000000000,"nodes":2,'
    b'"ordered":false,"run_ms":3600000},"version":1}'
)
FIRST_DIGEST = "sha256:445b829d2187ecc763b0068a362d9ba725ece4230ee34e757e27527584fb6ca1"
BALANCED = Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3)
POOL = PoolView(
    site="bj", pool="a", accelerator="H100", nodes=4, cards_per_node=8, cards_free=32, cpus_per_node=64,
    memory_bytes_per_node=10**12, price_micro_per_card_hour=10_000_000, pue_milli=1200, distance_km=10,
    green_ppm=300_000, wait_s=0, admission=Admission.ACTIVE, reachable=True,
)  # fmt: skip
REQUEST = Request(
    nodes=2, asks=(Ask("H100", 4),), ordered=False, cpus=8, memory_bytes=10**10, run_ms=3_600_000,
    latency_class="batch", allow=(), deny=(), max_hourly_cost_micro=None,
)  # fmt: skip


def refuse(request: Request, pool: PoolView) -> WhyNot | None:
    return refuse_by(request, pool, BALANCED)


pools = st.lists(
    st.builds(
        PoolView,
        site=st.sampled_from(["bj", "tj", "zjk", "hu"]),
        pool=st.sampled_from(["a", "b"]),
        accelerator=st.sampled_from(["H100", "Ascend910B", "MLU370"]),
        nodes=st.integers(1, 8),
        cards_per_node=st.integers(1, 16),
        cards_free=st.integers(-4, 128),
        cpus_per_node=st.integers(0, 256),
        memory_bytes_per_node=st.integers(0, 10**12),
        price_micro_per_card_hour=st.integers(0, 10**8),
        pue_milli=st.integers(1000, 2000),
        distance_km=st.integers(0, 3000),
        green_ppm=st.integers(0, PPM),
        wait_s=st.integers(0, 10**6),
        admission=st.sampled_from(Admission),
        reachable=st.booleans(),
        closing=st.none()
        | st.builds(
            Closing, st.integers(0, 10**8), st.integers(0, 1 << 45), st.integers(0, 1 << 45), st.text()
        ),
    ),
    max_size=6,
    unique_by=lambda view: (view.site, view.pool),
).map(tuple)
requests = st.builds(
    Request,
    nodes=st.integers(1, 4),
    asks=st.lists(
        st.builds(Ask, st.sampled_from(["H100", "Ascend910B", "MLU370"]), st.integers(1, 8)),
        min_size=1, max_size=3, unique_by=lambda ask: ask.accelerator,
    ).map(tuple),
    ordered=st.booleans(),
    cpus=st.integers(0, 128),
    memory_bytes=st.integers(0, 10**12),
    run_ms=st.integers(1, 10**9),
    latency_class=st.sampled_from(["interactive", "standard", "batch", "offline"]),
    allow=st.sampled_from([(), ("bj",), ("t*", "zjk")]),
    deny=st.sampled_from([(), ("hu",)]),
    max_hourly_cost_micro=st.one_of(st.none(), st.integers(0, 10**9)),
)  # fmt: skip


@given(requests, pools)
def test_every_pool_is_judged_and_only_an_able_one_is_chosen(
    request: Request, views: tuple[PoolView, ...]
) -> None:
    decision = decide(request, views, BALANCED)
    assert [(row.site, row.pool) for row in decision.rows] == [(v.site, v.pool) for v in views]
    for row, view in zip(decision.rows, views, strict=True):
        assert row.eligible is (row.why_not is None)
        assert all(0 <= part <= PPM for part in row.parts)
        if row.eligible:
            assert view.cards_free >= row.cards > 0
            assert view.reachable
    chosen = decision.choice
    assert (chosen is None) == (not any(row.eligible for row in decision.rows))
    if chosen and not request.ordered:
        assert chosen.score_ppm == max(row.score_ppm for row in decision.rows if row.eligible)


@given(requests, pools)
def test_the_smallest_change_helps(request: Request, views: tuple[PoolView, ...]) -> None:
    """Where a refusal names a number, a request with that number is not refused for that reason any more."""
    for view in views:
        why = refuse(request, view)
        if why is None:
            continue
        ask = next((a for a in request.asks if a.accelerator == view.accelerator), None)
        match why.code:
            case "other_chip":
                changed = replace(request, asks=(*request.asks, Ask(view.accelerator, 1)))
            case "node_too_small":
                assert ask
                changed = replace(request, asks=(Ask(ask.accelerator, view.cards_per_node),))
            case "too_few_nodes":
                changed = replace(request, nodes=view.nodes)
            case "not_allowed":
                changed = replace(request, allow=(), deny=())
            case _:
                continue
        again = refuse(changed, view)
        assert again is None or again.code != why.code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"accelerator": "MLU370"}, "other_chip"),
        ({"cards_per_node": 2}, "node_too_small"),
        ({"nodes": 1}, "too_few_nodes"),
        ({"memory_bytes_per_node": 1}, "memory"),
        ({"cpus_per_node": 1}, "cpus"),
        ({"admission": Admission.DRAIN}, "draining"),
        ({"reachable": False}, "unreachable"),
        ({"closing": Closing(0, T0, T0 + HOUR_MS, "cooling")}, "maintenance"),
        ({"cards_free": 7}, "busy"),
    ],
)
def test_each_refusal_has_its_code(change: dict[str, object], code: str) -> None:
    why = refuse(REQUEST, replace(POOL, **change))  # type: ignore[arg-type]
    assert why is not None
    assert why.code == code
    assert why.text
    assert why.change


def test_a_receipt_of_the_first_version_is_read_and_replayed() -> None:
    opened = open_receipt(FIRST, {}.get)
    assert opened.now.pools[0].closing is None
    assert opened.digest == opened.now_digest == FIRST_DIGEST
    assert opened.differences == ()
    forged = open_receipt(FIRST.replace(b'"score_ppm":714502', b'"score_ppm":714503'), {}.get)
    assert forged.digest != forged.now_digest
    assert "score_ppm=714502" in forged.differences[0]


def test_a_maintenance_lets_in_what_ends_before_it_and_says_how_long_that_may_be() -> None:
    closing = Closing(90 * 60_000 + 1, T0, T0 + HOUR_MS, "new cooling")
    pool = replace(POOL, closing=closing)
    assert refuse(replace(REQUEST, run_ms=closing.in_ms), pool) is None
    why = refuse(replace(REQUEST, run_ms=closing.in_ms + 1), pool)
    assert why is not None
    assert why.text == "maintenance from 2026-11-18 11:06 UTC until 2026-11-18 12:06 UTC: new cooling"
    assert why.change == "max_duration: 90m or less fits before it, or wait until 2026-11-18 12:06 UTC"
    during = refuse(replace(REQUEST, run_ms=1), replace(POOL, closing=replace(closing, in_ms=0)))
    assert during is not None
    assert during.change == "wait until 2026-11-18 12:06 UTC"


def test_a_lasting_refusal_is_named_before_a_passing_one() -> None:
    busy_and_wrong = replace(POOL, accelerator="MLU370", cards_free=0, reachable=False)
    why = refuse(REQUEST, busy_and_wrong)
    assert why is not None
    assert why.code in NEVER


def test_cheaper_and_greener_wins_and_the_weights_decide() -> None:
    dear = replace(POOL, site="dear", price_micro_per_card_hour=30_000_000, green_ppm=900_000)
    cheap = replace(POOL, site="cheap", price_micro_per_card_hour=10_000_000, green_ppm=100_000)
    by_price = Policy("p", fit=0, price=1, wait=0, distance=0, green=0)
    by_green = Policy("g", fit=0, price=0, wait=0, distance=0, green=1)
    assert decide(REQUEST, (dear, cheap), by_price).chosen == 1
    assert decide(REQUEST, (dear, cheap), by_green).chosen == 0


def test_a_centre_that_could_not_start_its_last_job_comes_after_one_that_could_and_is_not_shut_out() -> None:
    ill, well = replace(POOL, trouble="No space left on device"), replace(POOL, site="tj", distance_km=120)
    assert decide(REQUEST, (ill, well), BALANCED).chosen == 1
    assert decide(REQUEST, (ill,), BALANCED).chosen == 0
    rows = alternatives(decide(REQUEST, (ill,), BALANCED), (ill,), REQUEST, BALANCED)
    said = {part.name: part.raw for part in rows[0].parts}["wait"]
    assert said == "600 s, for it could not start its last job: No space left on device"


def test_in_order_means_the_first_kind_that_can() -> None:
    request = replace(REQUEST, asks=(Ask("Ascend910B", 4), Ask("H100", 4)), ordered=True)
    ascend = replace(POOL, site="tj", accelerator="Ascend910B", price_micro_per_card_hour=10**8)
    assert decide(request, (POOL, ascend), BALANCED).chosen == 1
    assert decide(request, (POOL, replace(ascend, cards_free=0)), BALANCED).chosen == 0


def test_distance_counts_for_the_interactive_and_not_for_the_offline() -> None:
    only_near = Policy("d", fit=0, price=0, wait=0, distance=1, green=0)
    far = replace(POOL, site="far", distance_km=500)
    quick = replace(REQUEST, latency_class="interactive")
    rows = decide(quick, (POOL, far), only_near).rows
    assert rows[0].score_ppm > 2 * rows[1].score_ppm
    offline = decide(replace(REQUEST, latency_class="offline"), (POOL, far), only_near).rows
    assert offline[0].score_ppm == offline[1].score_ppm == PPM


def test_patterns_of_sites() -> None:
    assert matches("bj-yizhuang", ("bj-*",))
    assert matches("bj", ("bj",))
    assert not matches("bj-yizhuang", ("bj", "tj*"))

"""The table of all pools at once is the one made from their views, whatever is known of sites and pools."""

from dataclasses import fields, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.sites import Admission, Maintenance, Pool, Site, Supply
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.judge import table_of
from hutong.core.placement.page import (
    Grounds,
    Page,
    Question,
    Views,
    seal,
    seal_grounds,
    seal_page,
    views_of,
)
from hutong.core.placement.request import Policy, Request
from hutong.core.placement.standing import layout_of, table_at
from hutong.core.work.spec import Ask

T0 = 1_795_000_000_000
SUPPLY = Supply(tuple(range(24)), (500,) * 24, "a test")

pools = st.builds(
    Pool,
    st.sampled_from([PoolId("a"), PoolId("b"), PoolId("c")]),
    st.sampled_from(["H100", "MLU370", "unheard of"]),
    nodes=st.integers(1, 9),
    cards_per_node=st.integers(1, 16),
    price_micro_per_card_hour=st.integers(0, 10**8),
    pue_milli=st.integers(1000, 2000),
    stack=st.just("cuda"),
    memory_bytes_per_node=st.integers(0, 10**12),
    cpus_per_node=st.integers(0, 256),
    domains=st.sampled_from([(), ("power/1",)]),
)
closings = st.tuples(st.integers(-HOUR_MS, HOUR_MS), st.integers(1, HOUR_MS)).map(
    lambda span: Maintenance(T0 + span[0], T0 + span[0] + span[1], "cooling")
)
sites = st.lists(
    st.builds(
        Site,
        st.sampled_from([SiteId("tj"), SiteId("bj"), SiteId("zjk")]),
        name_zh=st.just(""),
        name_en=st.just(""),
        region=st.just("r"),
        distance_km=st.integers(0, 3000),
        engine=st.just("local"),
        pools=st.lists(pools, max_size=3, unique_by=lambda pool: pool.id).map(tuple),
        supply=st.just(SUPPLY),
        admission=st.sampled_from(Admission),
        maintenance=st.lists(closings, max_size=2).map(tuple),
        domains=st.sampled_from([(), ("net/1",)]),
    ),
    max_size=3,
    unique_by=lambda site: site.id,
).map(tuple)


@st.composite
def pages(draw: st.DrawFn, grounds: Grounds) -> Page:
    """Return a page over some sites; what pages from before did not have may be left out."""

    def each(values: st.SearchStrategy[object], count: int) -> tuple[object, ...]:
        return tuple(draw(values) for _ in range(count))

    here, all_pools = len(grounds.sites), sum(len(site.pools) for site in grounds.sites)
    late = {
        "offers": st.sampled_from([None, (), ("store/a",)]),
        "mtbf_s": st.integers(1, 10**8),
        "stock": st.sampled_from([(), ("sha256:0",)]),
        "bits_per_s": st.integers(0, 10**11),
    }
    told = {name: each(values, here) for name, values in late.items() if draw(st.booleans())}
    known_w = draw(st.sampled_from([(), (("H100", 650),), (("MLU370", 0),)]))
    page = Page(
        T0,
        "",
        reachable=each(st.booleans(), here),  # type: ignore[arg-type]
        trouble=each(st.sampled_from(["", "no disk"]), here),  # type: ignore[arg-type]
        free=each(st.integers(-8, 144), all_pools),  # type: ignore[arg-type]
        wait_s=each(st.integers(0, 10**6), all_pools),  # type: ignore[arg-type]
        tdp_w=known_w,
    )
    return replace(page, **told)  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(sites, st.data())
def test_the_table_of_a_page_is_the_one_of_its_views(found: tuple[Site, ...], data: st.DataObject) -> None:
    grounds = Grounds(found)
    page = data.draw(pages(grounds))
    views = views_of(grounds, page, 0, HOUR_MS)
    one, other = table_at(grounds, page), table_of(views)
    for field in fields(one):
        each = [getattr(table, field.name) for table in (one, other)]
        arrays = isinstance(each[1], np.ndarray)
        assert np.array_equal(*each) if arrays else each[0] == each[1], field.name
    layout = layout_of(grounds)
    assert layout.at == {(view.site, view.pool): at for at, view in enumerate(views)}
    in_order = [(views[at].site, views[at].pool) for at in layout.by_name.tolist()]
    assert in_order == sorted(in_order)


@settings(max_examples=40, deadline=None)
@given(sites, st.data())
def test_views_that_are_made_when_looked_at_are_those_made_at_once(
    found: tuple[Site, ...], data: st.DataObject
) -> None:
    grounds = Grounds(found)
    page = data.draw(pages(grounds))
    whole, late = views_of(grounds, page, 0, HOUR_MS), Views(grounds, page, 0, HOUR_MS)
    assert len(late) == len(whole)
    for at in data.draw(st.permutations(range(len(whole)))):
        assert late[at] == whole[at]
        assert late[at] is late[at - len(whole)]
    assert late[1:] == whole[1:]


def test_a_page_with_questions_that_were_asked_before_is_sealed_to_the_same_bytes() -> None:
    request = Request(
        nodes=2, asks=(Ask("H100", 4),), ordered=False, cpus=8, memory_bytes=10**10, run_ms=HOUR_MS,
        latency_class="batch", allow=("b*",), deny=(), max_hourly_cost_micro=None, avoid=("tj",),
    )  # fmt: skip
    policy = Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3)
    asked = tuple(Question(replace(request, nodes=nodes), policy) for nodes in (1, 2, 1))
    page = Page(T0, "sha256:0", (True,), ("",), (8,), (0,), asked, ((0, 4, 1), (0, 2, 0)), ((1, 0, T0, 2),))
    for _ in range(2):
        assert seal_page(page) == seal(page)


def test_what_is_remembered_of_sites_is_forgotten_when_one_is_another() -> None:
    pool = Pool(PoolId("a"), "H100", 1, 8, 10**7, 1200, "cuda")
    first = Site(SiteId("bj"), "", "", "r", 10, "local", (pool,), SUPPLY)
    second = replace(first, pools=(replace(pool, nodes=2),))
    for grounds in (Grounds((first,)), Grounds((second,)), Grounds((first, second)), Grounds(())):
        assert seal_grounds(grounds) == seal(grounds)
        assert layout_of(grounds).table.nodes.tolist() == [site.pools[0].nodes for site in grounds.sites]

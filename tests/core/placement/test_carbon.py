"""The part carbon: the CO2 of the work, as the bill will have it, and what it changes in a decision."""

import base64
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.control.test_queue import NOW, scene, site, waiting
from tests.core.placement.test_decide import POOL, REQUEST, pools, requests

from hutong.core.capacity.accelerators import ACCELERATORS, tdp_w_of
from hutong.core.capacity.sites import Supply
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.energy.account import energy_of
from hutong.core.kernel.documents import decode
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.placement.columns import PPM
from hutong.core.placement.counterfactual import what_if
from hutong.core.placement.decide import decide
from hutong.core.placement.electricity import by_kwh, least_of, least_ppm
from hutong.core.placement.judge import PARTS
from hutong.core.placement.page import Grounds, Page, seal, unseal
from hutong.core.placement.receipt import Ticket, encode_ticket, open_receipt
from hutong.core.placement.request import Policy, PoolView, Request, day_parts, mean_over
from hutong.core.placement.speeds import Speed
from hutong.core.work.spec import Ask
from hutong.server.api.shapes.receipts import alternatives

CLEANEST = Policy("cleanest", fit=0, price=0, wait=0, distance=0, green=0, carbon=1)
BOTH = replace(REQUEST, nodes=1, asks=(Ask("H100", 8), Ask("Ascend910B", 8)))
SPEEDS = (Speed("H100", 1_000_000, 0), Speed("Ascend910B", 500_000, 0, 648_721))
H100 = replace(POOL, tdp_w=700, pue_milli=1200, co2_mg_per_kwh=500_000)
ASCEND = replace(
    POOL, site="tj", accelerator="Ascend910B", tdp_w=350, pue_milli=1300, co2_mg_per_kwh=600_000
)  # fmt: skip
# A ticket of version 4, its page and the grounds of that, as the code before this part wrote them.
OLD = (
    b'{"attempt":1,"cards":8,"job":"01J00000000000000000000000",'
    b'"page":"sha256:57edbd1f856422a1e04fc03127c314955c4e985f364910ced42fb4e647215076","pool":0,'
    b'"question":0,"score_ppm":756668,"step":0,"version":4}'
)
OLD_DIGEST = "sha256:9249be081916468b7d5da7e80664d70164b77bf2614e624c69f0166b9d8cfeac"
OLD_PAGES = {
    "sha256:2168ece2b779daf8f42f57e6e37eb7127c8715b532870b36317642c05ee6c76a": (
        "cmeH_&u+sY48~t&;>;oK`v10__6}7QG2*qT1Q3u`UDbEr2d=c-rX6~j7Ac8re)eY@Uqv#RlGtpoLUp}K$#^F=Lg{QyB&6s_TNSBm"
        "y|Wjw`A{|yye4JkG_}WGY$lBq<o3o90<G7|BF=O$JX}&Z)l*9)>&X5*z{X+l-rnW4CQDIeA93_HX&M}B6}!|1imme<@~_|u!`K7y"
        "suc>}Q}5%YeZQcmQ52XG4jsgYXi#`>bo3P|679hcP=#iF01XAP*1$P!5RZQK5q0UIQ{uLhBGR5m6``9bo=Vn(Pnr8lLkMMHSFw+("
        "=VFd$G`*c8-2-2gwvR-v4FPwvZRD)9Bv<uYdVw)n)L%6kIb~wX$TK6)jMO9KU}VO~oRK*r_1nk=BMU~Bj4T<cKGeX-ijj3iP;SEP"
        "b=e*Dglo%XoEMi5l#RYG-0dbGv7Y(tA@;qVBm1ZId`X&Ix1Kbw$nd|Uzg_6Rxum<>7tm09Q2"
    ),
    "sha256:57edbd1f856422a1e04fc03127c314955c4e985f364910ced42fb4e647215076": (
        "cmaJ<%Z}SH4Ez_Kb&wyi9N*g0{zDKLw9IUbD3UA5*akuVy`yA-ZqcGT$O1VtB!|8e=kc0osCxbTC^|(E8V+5ny7s8(J%-KCfKfVg"
        "z3Ya$>UyzKPsZ$LKJ}-zKJAQj(ioXcRU6xzYB%kgx;J`ix~4K+TU)&o>8$CP6kTM^C;{~!o20x15B<ZP*5DR<qv1~Tk}`XXMk;i)"
        "0FCcEI`cF%iacMDqKRDr&5&H<QqahyRS+3!MIT&<^+QpVXQ86Z&V`RxaZZ<4UA9)7M9v{X^{vtxik9P?##Q3z!wl*Ep}_tF`7K%T"
        "^S;vG|B1(ZcHK}yE1Jb)urjjaEZ*Km>o^r#C(iZ^{*`}@=deYGR7hCOVq>7eZ_Xhp*AQ>xbj$M6D?Q-_S3;a6mWfa7l3>=&KiArH"
        "&#itM0xS&vPy2J&raZ3em4<z-8v{$ryWKasMgLHRM63Tc;nS`!e88Vv_*l*t^6~M215wzXd2%rIkmDw*T!?4Bl$j0(t$L-8C4!&t"
        "g(Embh?Jd<1*Cy^`~v>O-3|"
    ),
}


def fetch_old(name: str) -> bytes | None:
    packed = OLD_PAGES.get(name)
    return base64.b85decode(packed) if packed else None


def told(request: Request, *views: PoolView) -> list[str]:
    """Return what a receipt says of the carbon of each pool, in the order of their scores."""
    rows = alternatives(decide(request, views, CLEANEST), views, request, CLEANEST)
    return [part.raw for row in rows for part in row.parts if part.name == "carbon"]


def test_it_is_cards_times_power_times_pue_times_intensity() -> None:
    # 8 x 0.7 kW x 1.2 x 500 g/kWh = 3360 g an hour; 8 x 0.35 kW x 1.3 x 600 g/kWh = 2184 g
    decision = decide(BOTH, (H100, ASCEND), CLEANEST)
    assert [row.parts[-1] for row in decision.rows] == [PPM * 2184 // 3360, PPM]
    assert [row.score_ppm for row in decision.rows] == [650_000, PPM]
    assert decision.chosen == 1
    assert told(BOTH, H100, ASCEND) == ["2184 g CO2e an hour", "3360 g CO2e an hour"]


def test_where_speeds_are_known_it_is_that_of_the_work() -> None:
    # A card's hour: 0.7 kW x 1.2 x 500 g/kWh = 420 g. As much work: 0.35 kW x 1.3 x 600 g/kWh / 0.5 = 546 g
    request = replace(BOTH, speeds=SPEEDS)
    decision = decide(request, (H100, ASCEND), CLEANEST)
    assert [row.parts[-1] for row in decision.rows] == [PPM, PPM * 420 // 546]
    assert decision.chosen == 0
    assert told(request, H100, ASCEND) == [
        "3360 g CO2e an hour, 420 by work",
        "2184 g CO2e an hour, 546 by work",
    ]


def test_few_grams_have_a_tenth() -> None:
    core = replace(POOL, accelerator="CPU", tdp_w=10, pue_milli=1150, co2_mg_per_kwh=160_000)
    assert told(replace(REQUEST, nodes=1, asks=(Ask("CPU", 8),)), core) == ["14.7 g CO2e an hour"]


@given(
    st.lists(st.integers(0, 5000), min_size=24, max_size=24),
    st.integers(1, 1024),
    st.sampled_from(sorted(ACCELERATORS)),
    st.integers(1000, 3999),
    st.integers(0, DAY_MS),
    st.integers(1, DAY_MS),
)
def test_receipt_and_bill_agree(
    grams: list[int], cards: int, model: str, pue_milli: int, start_ms: int, run_ms: int
) -> None:
    supply = Supply((0,) * 24, tuple(grams), "a test")
    billed_mg = energy_of(supply, cards, tdp_w_of(model), pue_milli, start_ms, run_ms).co2_mg
    mean = mean_over(supply.mg_per_kwh, day_parts(start_ms, run_ms))
    card_mw = tdp_w_of(model) * pue_milli
    (hourly_mg,) = by_kwh(np.array([card_mw]), np.array([mean]), cards, None).tolist()
    # Both means are cut to whole mg: of a kWh, and then of an hour.
    lost_mg = (cards * card_mw / 10**6 + 1) * run_ms / HOUR_MS + 1
    assert -1 <= billed_mg - hourly_mg * run_ms / HOUR_MS <= lost_mg


@given(requests, pools, st.lists(st.integers(0, 5_000_000), min_size=6, max_size=6), st.booleans())
def test_the_cleanest_open_pool_has_it_all_and_nothing_is_out_of_bounds(
    request: Request, views: tuple[PoolView, ...], mg_per_kwh: list[int], by_work: bool
) -> None:
    speeds = tuple(Speed(ask.accelerator, 1_000_000 // at, 0) for at, ask in enumerate(request.asks, 1))
    request = replace(request, speeds=speeds if by_work and len(speeds) > 1 else ())
    views = tuple(
        replace(view, tdp_w=tdp_w_of(view.accelerator), co2_mg_per_kwh=each, reachable=True)
        for view, each in zip(views, mg_per_kwh, strict=False)
    )
    decision = decide(request, views, CLEANEST)
    parts = [row.parts[-1] for row in decision.rows if row.parts]
    assert all(0 <= part <= PPM for part in parts)
    is_open = [row.why_not is None or row.why_not.code == "busy" for row in decision.rows]
    if parts and len(parts) == sum(is_open):
        assert max(parts) == PPM


def test_how_many_nodes_it_takes_changes_nothing() -> None:
    rows = [decide(replace(BOTH, nodes=nodes), (H100, ASCEND), CLEANEST).rows for nodes in (1, 4)]
    assert [[row.parts[-1] for row in each] for each in rows] == [[650_000, PPM]] * 2


@pytest.mark.parametrize("card_ppm", [None, 1_000, 1_000_000])
def test_the_extremes_fit_into_64_bits(card_ppm: int | None) -> None:
    # 10^5 cards a node, 2 kW each, a PUE of 5, 5000 g/kWh: more than the wire lets in.
    mw, mg, cards = [2000 * 5000, 10 * 1000, 2000 * 5000], [5_000_000, 1000, 4_999_999], 100_000
    speed = None if card_ppm is None else np.full(3, card_ppm, np.int64)
    co2 = by_kwh(np.array(mw), np.array(mg), np.full(3, cards), speed)
    exact = [
        cards * a * b // PPM if card_ppm is None else a * b // card_ppm for a, b in zip(mw, mg, strict=True)
    ]
    assert co2.tolist() == exact
    least = least_of(co2, np.ones(3, np.bool_))
    assert least_ppm(co2, least).tolist() == [PPM * min(exact) // each for each in exact]
    assert least_ppm(co2, max(exact)).tolist() == [PPM] * 3
    near = least_ppm(co2, exact[2]).tolist()
    assert near == [PPM * exact[2] // exact[0], PPM, PPM]


def test_a_card_of_unknown_power_has_none_of_it_and_is_nobodys_least() -> None:
    strange = replace(POOL, site="zjk", accelerator="X9", tdp_w=tdp_w_of("X9"), co2_mg_per_kwh=1)
    request = replace(BOTH, asks=(*BOTH.asks, Ask("X9", 8)))
    rows = decide(request, (H100, ASCEND, strange), CLEANEST).rows
    assert [row.parts[-1] for row in rows] == [650_000, PPM, 0]
    assert told(request, strange) == ["the power of X9 is not known"]
    (alone,) = decide(request, (strange,), CLEANEST).rows
    assert (alone.eligible, alone.parts[-1]) == (True, 0)


def test_where_nothing_is_emitted_that_is_the_best_there_is() -> None:
    clean = replace(ASCEND, co2_mg_per_kwh=0)
    assert [row.parts[-1] for row in decide(BOTH, (H100, clean), CLEANEST).rows] == [0, PPM]
    assert [row.parts[-1] for row in decide(BOTH, (clean,), CLEANEST).rows] == [PPM]


def test_a_pool_that_is_not_open_to_the_job_is_not_what_others_are_measured_by() -> None:
    closed = replace(ASCEND, reachable=False)
    assert decide(BOTH, (H100, closed), CLEANEST).rows[0].parts[-1] == PPM
    busy = replace(ASCEND, cards_free=0)
    assert decide(BOTH, (H100, busy), CLEANEST).rows[0].parts[-1] == 650_000


@pytest.mark.parametrize(("speed", "carbon", "parts"), [(0, 0, 5), (2, 0, 6), (0, 2, 7), (2, 2, 7)])
def test_late_parts_are_told_where_they_count(speed: int, carbon: int, parts: int) -> None:
    policy = Policy("p", fit=1, price=1, wait=1, distance=1, green=1, speed=speed, carbon=carbon)
    decision = decide(BOTH, (H100, ASCEND), policy)
    assert len(decision.rows[0].parts) == parts
    shown = alternatives(decision, (H100, ASCEND), BOTH, policy)[0].parts
    names = [name for name in PARTS if getattr(policy, name)]
    assert [part.name for part in shown] == names


def test_a_receipt_from_before_replays_bit_for_bit_and_can_be_asked_by_a_new_policy() -> None:
    opened = open_receipt(OLD, fetch_old)
    assert opened.differences == ()
    assert opened.digest == opened.now_digest == OLD_DIGEST
    assert len(opened.now.decision.rows[0].parts) == 6
    found = what_if(OLD, fetch_old, None, CLEANEST)
    # Both at 500 g and a PUE of 1.2: 700 W at full speed against 350 W at 0.49 of it.
    assert (found.then.place, found.instead.place) == ("one/p0", "one/p0")
    assert (found.instead.tdp_w, found.instead.policy) == (700, "cleanest")


def test_the_power_that_a_decision_went_by_is_kept_and_outlives_the_catalogue() -> None:
    """A ticket on a page that knows another power than today's catalogue is decided by that of the page."""
    done = turn(scene((site("one", 16),), [waiting(0, 8, 60)]), Rules(policies={"balanced": CLEANEST}))
    ticket = decode(Ticket, done.jobs[0].receipts[0][1])
    grounds, page = (unseal(kind, *sealed) for kind, sealed in zip((Grounds, Page), done.pages, strict=True))
    assert isinstance(page, Page)
    assert isinstance(grounds, Grounds)
    assert page.tdp_w == (("H100", 700),)
    name, sealed = seal(replace(page, tdp_w=(("H100", 650),)))
    kept = {name: sealed, page.grounds: done.pages[0][1]}
    opened = open_receipt(encode_ticket(replace(ticket, page=name)), kept.get)
    assert opened.differences == ()
    assert [pool.tdp_w for pool in opened.now.pools] == [650]


def test_at_a_cleaner_hour_it_would_have_gone_elsewhere() -> None:
    hours = [[500] * 24, [500] * 24]
    hours[1][(NOW // HOUR_MS + 6) % 24] = 100
    hours[1][NOW // HOUR_MS % 24] = 900
    sites = tuple(
        replace(site(name, 16), supply=Supply((0,) * 24, tuple(each), "a test"))
        for name, each in zip(("one", "two"), hours, strict=True)
    )
    done = turn(scene(sites, [waiting(0, 8, 60)]), Rules(policies={"balanced": CLEANEST}))
    data, fetch = done.jobs[0].receipts[0][1], dict(done.pages).get
    assert open_receipt(data, fetch).differences == ()
    found = what_if(data, fetch, NOW + 6 * HOUR_MS, None)
    assert (found.then.place, found.instead.place) == ("one/p0", "two/p0")

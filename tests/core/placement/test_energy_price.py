"""The part energy: what a centre pays for electricity and what that changes; without a price nothing."""

import base64
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import NOW, receipts, scene, site, waiting
from tests.core.placement.test_carbon import ASCEND, BOTH, H100, SPEEDS
from tests.core.placement.test_decide import POOL

from hutong.core.capacity.accelerators import ACCELERATORS, tdp_w_of
from hutong.core.capacity.sites import Site, Supply
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.energy.account import electricity_micro
from hutong.core.kernel.documents import encode
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.placement.columns import PPM
from hutong.core.placement.counterfactual import what_if
from hutong.core.placement.decide import decide
from hutong.core.placement.electricity import by_kwh, least_ppm
from hutong.core.placement.judge import PARTS
from hutong.core.placement.receipt import open_receipt
from hutong.core.placement.request import Policy, PoolView, Request, day_parts, mean_over, policy_at
from hutong.core.work.spec import Ask
from hutong.server.api.shapes.receipts import alternatives

THRIFTY = Policy("thrifty", fit=0, price=0, wait=0, distance=0, green=0, energy=1)
RULES = Rules(policies={"balanced": THRIFTY})
HOURS = st.lists(st.integers(0, 99_999_999), min_size=24, max_size=24)
DEAR = replace(H100, price_micro_per_kwh=800_000)
CHEAP = replace(ASCEND, price_micro_per_kwh=600_000)
# A ticket of version 4 with its pages, as the code before this part wrote them, and the policy that shipped.
THEN = Policy("balanced", 1, 3, 2, 1, 3, speed=2, carbon=1, reliability=1)
OLD = (
    b'{"attempt":1,"cards":8,"job":"01J00000000000000000000000","page":"sha256:afc6eaf86b2446b7896e58ee2'
    b'121a0d083893596b95ff23bb750d4b9df556902","pool":1,"question":0,"score_ppm":853919,"step":0,"versio'
    b'n":4}'
)
OLD_DIGEST = "sha256:4291d45c74d4e8463afe167d3be83fcb09a53dea2aac6ed40f1a9538192924b6"
OLD_PAGES = {
    "sha256:1b08df2647296f7cf44aea91a9bbe10485f6a753b926975e982158016e64cbec": (
        "cmeH_ZEC|X42G{V{M$d0u3zg3c85}e=V+;^V+Y%5$x80N*H&S<KpBGtk|6n!UP;znM3X3r!|^Uu+nX4Tcj6$FPUcENik7rhf"
        "!fA9JBh=mvXS65F)631x%A>tS5lDcj3WeEua!ldX<>M{q;RUIhH}=0{dI<o!@+y|kk^_l1(kfj(R*E0IMyn(u^A{d&bP?Fhi"
        "e#@9*7sMA>%#uK1|KWgq{{rU~)KgR!|HEh4)4WUyv-(oc#z@XqE@im=S9YoU01)=vQA*mmXUs=93hGIv!PkZlrL{S<gNu?kk"
        "SNkOy`bT~Iw2bGf1E;|A%T_@cBf5V>X;a5u+Fu5(LrU%t5)81=UNic!fG6Dvku8F^)-93clIYeqJVY#1ruN^Tk1GO}Z2$4K#"
        "^21fRbycGoHM$BI4-BB;Nwv@*?xpbyv^kd=XSw3Su)6GNdXFV78FRf?&zn*_`Jx}vDN#l6)"
    ),
    "sha256:afc6eaf86b2446b7896e58ee2121a0d083893596b95ff23bb750d4b9df556902": (
        "cmYLHTaKeJ5WI`O{b3y5C)hin5o()eg5ubWZ8RH2x%-yGjFt~DUDZ|9G*3Z!z9%tOz50Jiu|{SwPE{-W4=FxlIQ#;ZNLSKLJ"
        "61;Z%c|SD(?h#<cCBk-8Y&u$;Y!tgv$oVV7c=N~=o%h+T{XR`T5fA=*a|6byk|H-{hrM_LwwS@SGrb8{vH5+9h~wOe8Hb$4{"
        "oy$F+PQ*Xo5#>DV8l|@)mjVvTjht^AiIAzDVKe4oDbsg|xtWk6U2_i|jTso7*x((Uo=vW7JZ7QxVdy!g*&XrsQ1sK0{Nwosq"
        "~|b{r{(2$w&VQgA@JCCxj>*@p#I{R^Ym{XmOCVD_*pqdUs%?PIo%5-^0!_KN;H{hhDjhz?Ll*wAKU5Tiew1IYIfAG3L6KJ|("
        "RPRJkP!m&)Sl1q&2hktMP(!Q7bDlsCHy^?W=HRX7)EH~6M-HOUIRkD}rqg0lCF5^x=V|D5*<8L_I1)>TN%g1_eP@(bl58wQ_"
        "76"
    ),
}


def fetch_old(name: str) -> bytes | None:
    packed = OLD_PAGES.get(name)
    return base64.b85decode(packed) if packed else None


def told(request: Request, *views: PoolView) -> list[str]:
    """Return what a receipt says of the electricity of each pool, in the order of their scores."""
    rows = alternatives(decide(request, views, THRIFTY), views, request, THRIFTY)
    return [part.raw for row in rows for part in row.parts if part.name == "energy"]


def priced(name: str, *prices: int) -> Site:
    """Return a site whose electricity costs so much at each hour of the day, or at all of them."""
    by_hour = prices if len(prices) == 24 else prices * 24
    return replace(
        site(name, 16), supply=Supply((0,) * 24, (500,) * 24, "a test", price_micro_per_kwh=by_hour)
    )


def test_it_is_cards_times_power_times_pue_times_price() -> None:
    # 8 x 0.7 kW x 1.2 x 0.80 = 5.376 an hour; 8 x 0.35 kW x 1.3 x 0.60 = 2.184
    decision = decide(BOTH, (DEAR, CHEAP), THRIFTY)
    assert [row.parts[-1] for row in decision.rows] == [PPM * 2184 // 5376, PPM]
    assert decision.chosen == 1
    assert told(BOTH, DEAR, CHEAP) == [
        "the centre pays 2.18 CNY an hour for electricity",
        "the centre pays 5.38 CNY an hour for electricity",
    ]


def test_where_speeds_are_known_it_is_that_of_the_work() -> None:
    # A card's hour: 0.7 kW x 1.2 x 0.80 = 0.672. As much work: 0.35 kW x 1.3 x 0.60 / 0.5 = 0.546
    request = replace(BOTH, speeds=SPEEDS)
    decision = decide(request, (DEAR, CHEAP), THRIFTY)
    assert [row.parts[-1] for row in decision.rows] == [PPM * 546 // 672, PPM]
    assert told(request, DEAR, CHEAP) == [
        "the centre pays 2.18 CNY an hour for electricity, 0.55 by work",
        "the centre pays 5.38 CNY an hour for electricity, 0.67 by work",
    ]


def test_what_nobody_knows_has_none_of_it_and_is_nobodys_least() -> None:
    silent = replace(H100, site="silent")
    strange = replace(POOL, site="zjk", accelerator="X9", tdp_w=0, price_micro_per_kwh=1)
    request = replace(BOTH, asks=(*BOTH.asks, Ask("X9", 8)))
    rows = decide(request, (DEAR, CHEAP, silent, strange), THRIFTY).rows
    assert [row.parts[-1] for row in rows] == [PPM * 2184 // 5376, PPM, 0, 0]
    assert told(request, silent) == ["the centre does not say what its electricity costs"]
    assert told(request, strange) == ["the power of X9 is not known"]
    free = replace(CHEAP, price_micro_per_kwh=0)
    assert [row.parts[-1] for row in decide(BOTH, (DEAR, free, silent), THRIFTY).rows] == [0, PPM, 0]


@given(st.integers(0, 99_999_999), st.integers(0, 99_999_999), st.integers(1, DAY_MS))
def test_of_two_sites_that_are_else_equal_the_one_with_cheaper_electricity_wins(
    one: int, two: int, run_ms: int
) -> None:
    """Ties go to the smaller name; what a user pays is the same."""
    pair = tuple(
        replace(H100, site=name, price_micro_per_kwh=each) for name, each in (("a", one), ("b", two))
    )
    decision = decide(replace(BOTH, run_ms=run_ms), pair, THRIFTY)
    cost = [each * 7 * 12 * 8 // 100 for each in (one, two)]  # 8 x 0.7 kW x 1.2
    assert decision.chosen == int(cost[1] < cost[0])
    assert max(row.parts[-1] for row in decision.rows) == PPM


@given(
    HOURS,
    st.integers(1, 1024),
    st.sampled_from(sorted(ACCELERATORS)),
    st.integers(1000, 3999),
    st.integers(0, DAY_MS),
    st.integers(1, DAY_MS),
)
def test_a_receipt_and_the_bill_of_a_run_agree(
    prices: list[int], cards: int, model: str, pue_milli: int, start_ms: int, run_ms: int
) -> None:
    supply = Supply((0,) * 24, (0,) * 24, "a test", price_micro_per_kwh=tuple(prices))
    bill = electricity_micro(supply, cards, tdp_w_of(model), pue_milli, start_ms, run_ms)
    assert bill is not None
    mean = mean_over(supply.kwh_micro, day_parts(start_ms, run_ms))
    card_mw = tdp_w_of(model) * pue_milli
    (hourly,) = by_kwh(np.array([card_mw]), np.array([mean]), cards, None).tolist()
    # Both means are cut to whole micro-yuan: of a kWh, and then of an hour.
    lost = (cards * card_mw / 10**6 + 1) * run_ms / HOUR_MS + 1
    assert -1 <= bill - hourly * run_ms / HOUR_MS <= lost
    again = electricity_micro(supply, cards, tdp_w_of(model), pue_milli, start_ms, run_ms + 3 * DAY_MS)
    day = electricity_micro(supply, cards, tdp_w_of(model), pue_milli, 0, DAY_MS)
    assert again is not None
    assert day is not None
    assert abs(again - bill - 3 * day) <= 4, "days repeat"


def test_without_a_price_or_a_power_there_is_no_bill() -> None:
    supply = Supply((0,) * 24, (0,) * 24, "a test")
    assert electricity_micro(supply, 8, 700, 1200, 0, HOUR_MS) is None
    supply = replace(supply, price_micro_per_kwh=(10**6,) * 24)
    assert electricity_micro(supply, 8, 0, 1200, 0, HOUR_MS) is None
    assert electricity_micro(supply, 8, 700, 1200, 0, HOUR_MS) == 6_720_000


@pytest.mark.parametrize("card_ppm", [None, 1_000, 1_000_000])
def test_the_most_that_the_wire_lets_in_fits_into_64_bits(card_ppm: int | None) -> None:
    mw, price, cards = [2000 * 3999, 2000 * 3999], [99_999_999, 99_999_998], 1024
    speed = None if card_ppm is None else np.full(2, card_ppm, np.int64)
    found = by_kwh(np.array(mw), np.array(price), np.full(2, cards), speed)
    exact = [
        cards * a * b // PPM if card_ppm is None else a * b // card_ppm
        for a, b in zip(mw, price, strict=True)
    ]
    assert found.tolist() == exact
    assert least_ppm(found, exact[1]).tolist() == [PPM * exact[1] // exact[0], PPM]


@settings(max_examples=30, deadline=None)
@given(HOURS, HOURS, st.integers(0, 23))
def test_a_turn_takes_the_cheaper_hours_and_what_if_takes_those_of_its_hour(
    one: list[int], two: list[int], later: int
) -> None:
    sites = (priced("one", *one), priced("two", *two))
    done = turn(scene(sites, [waiting(0, 8, 60)]), RULES)
    data, fetch = done.jobs[0].receipts[0][1], dict(done.pages).get
    assert open_receipt(data, fetch).differences == ()
    found = what_if(data, fetch, NOW + later * HOUR_MS, None)
    for at_ms, place in ((NOW, found.then.place), (NOW + later * HOUR_MS, found.instead.place)):
        parts = day_parts(at_ms, HOUR_MS)
        mw = 8 * 700 * 1200
        paid = [mw * mean_over(each, parts) // PPM for each in (one, two)]
        assert place == ("two/p0" if paid[1] < paid[0] else "one/p0")


def test_where_no_site_says_a_price_the_part_is_neither_weighed_nor_shown_nor_kept() -> None:
    """The page, the ticket and the score are those of the policy without it."""
    sites, jobs = (site("one", 16), site("two", 8)), [waiting(0, 8, 60)]
    plain = Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3)
    before, after = (
        turn(scene(sites, jobs), Rules(policies={"balanced": each}))
        for each in (plain, replace(plain, energy=9))
    )
    assert before.jobs[0].receipts == after.jobs[0].receipts
    assert before.pages == after.pages
    (opened,) = receipts(after)
    assert len(opened.now.decision.rows[0].parts) == 5
    assert b"energy" not in encode(opened.now)
    assert b"per_kwh" not in encode(sites[0]).replace(b"grams_per_kwh", b"")
    assert policy_at(THRIFTY, sites).energy == 0
    assert policy_at(THRIFTY, (*sites, priced("three", 0))) == THRIFTY, (
        "one is enough, and nothing is a price"
    )
    answer = what_if(before.jobs[0].receipts[0][1], dict(before.pages).get, None, replace(plain, energy=9))
    assert answer.then == answer.instead


def test_receipts_from_before_replay_bit_for_bit_and_new_ones_of_such_sites_are_the_same() -> None:
    opened = open_receipt(OLD, fetch_old)
    assert opened.differences == ()
    assert opened.digest == opened.now_digest == OLD_DIGEST
    assert len(opened.now.decision.rows[0].parts) == PARTS.index("energy")
    rules = Rules(policies={"balanced": replace(THEN, energy=1)})
    done = turn(scene((site("one", 16), site("two", 8)), [waiting(0, 8, 60)]), rules)
    assert done.jobs[0].receipts[0][1] == OLD
    assert [name for name, _ in done.pages] == list(OLD_PAGES)

"""The part reliability: how likely a run is to get through at a site; old receipts keep their bits."""

import base64
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.control.test_queue import receipts, scene, site, waiting
from tests.core.placement.test_carbon import OLD as OLDER
from tests.core.placement.test_carbon import fetch_old as fetch_older
from tests.core.placement.test_decide import POOL, REQUEST

from hutong.core.book.stays import HALF_LIFE_MS, PRIOR_MTBF_S, Stay, Stays, counted, faded, mtbf_s
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.documents import encode
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.placement.columns import PPM
from hutong.core.placement.counterfactual import what_if
from hutong.core.placement.decide import decide
from hutong.core.placement.judge import PARTS, reliability_ppm
from hutong.core.placement.receipt import open_receipt
from hutong.core.placement.request import Policy, PoolView, Request
from hutong.core.work.spec import Ask
from hutong.server.api.shapes.receipts import alternatives

SUREST = Policy("surest", fit=0, price=0, wait=0, distance=0, green=0, reliability=1)
HOUR = replace(REQUEST, nodes=1, asks=(Ask("H100", 8),), run_ms=HOUR_MS)
DAY = replace(HOUR, nodes=128, run_ms=DAY_MS)  # 3,072 node-hours
NEW = replace(POOL, nodes=256, cards_free=2048)
# 10,000 node-hours and 4 breaks: 16,334 / 5 = 3,266 (and 0.8) node-hours
WORN = replace(NEW, site="tj", mtbf_s=mtbf_s(Stays(10_000 * HOUR_MS, 4 * PPM)))
# A ticket of version 4 with its pages, as the code before this part wrote them.
OLD = (
    b'{"attempt":1,"cards":8,"job":"01J00000000000000000000000","p'
    b'age":"sha256:fb0f2d66e708ae992236af50bc690a769efdc4276de28e9d4a02fb9190f63c1e","'
    b'pool":0,"question":0,"score_ppm":804232,"step":0,"version":4}'
)
OLD_DIGEST = "sha256:fc6c7ec0bb751eb06e8ef38716121ae915468d555d1ecc945adcac5081a510d0"
OLD_PAGES = {
    "sha256:6e2c13005af90109c1d9fdbe608a32f6160acddfd996b586af4b7105b4a95275": (
        "cmeH_ZEC|X42G{V{M$d$u3zg3c85}e=V*zkV+Y%5$x80N*H&S<KpBGtk|6n!UP;znM3X3r<LNF`)0-HLcj73NPUcENiiWgRftu"
        "PoJBj0`vXS65F)631zVza_s-z&-8b=7UUMq_@)4=d>N#RsaHRY@e`>TVE!@+y|kk^_l1(kfj(fg{ZaI95mVm(l(oo|r;0M{@sJ"
        "rFNiL&kgReVFQx2|X>Mz~pe~tf3eT3h#{$z93nm?)(T<XqE@im=S9Yoa+kl=vQA*mmV7>=Cc%mS{_w^ZlrL{SvwyS_Z7!s$OF5"
        "JHmIJ9x!ln7X^V7Ed{J5(h+I7kxSLZYH@PKwDBs)*jMc9Eic!fm6Kh6Z8F^)-93clI8%DN_Y#AxvO70lhF|uc5&q(p121X8yyc"
        "GoHM$BI4-BB;Nwv@*?xztfI`mu2HET6HS>E<E!vz`n4m)3Lhzn*_`J<szuPZ4<b"
    ),
    "sha256:fb0f2d66e708ae992236af50bc690a769efdc4276de28e9d4a02fb9190f63c1e": (
        "cmYL`(T<}q3`PIN&v^(iP~Z#pAJ7Py#7t4sgiV5GtE&G#H)W*d0fOy&ee67m^L$S<R=xiJC|aWkjZ@XBrv6m)6~o~z$|zmAZo9"
        "FQ+Ek6!Ew6*F^k6DGtag!3_uSNLS9O|=wW}S5ZfX0D*N^2=>2~?xp{*}1DZ0s?(E{#&4@r3o9{$sl_TV=2pz%qD;}SgB6xl6h_"
        "6AJ&SvLsr{Q@M?jUvx?q-bGRiY(msxRq+;(k_UMwW4n>!uq8s%DZQ2!p?>7lY`UkL||jYN#q<NT>n&B!x1z#&AY_e2Mg=|1$46"
        "?kZ1sk2XmRmaTaeLvvHit#um=z3jLk`&DU^5hg3+|`etIF(I3tsDfbW`^YX}Y`js9yVagD##4^FkE(zEV|Gu%NdtcbAU_@ba<;"
        "4MO%JC3YUWjMD6_;t!s#p56MC?A7ai`z0F8U1Pf=@XCl~7ogH5aXh@bv?_F00}"
    ),
}


def fetch_old(name: str) -> bytes | None:
    packed = OLD_PAGES.get(name)
    return base64.b85decode(packed) if packed else None


def told(request: Request, *views: PoolView) -> list[str]:
    """Return what a receipt says of the reliability of each pool, in the order of their scores."""
    rows = alternatives(decide(request, views, SUREST), views, request, SUREST)
    return [part.raw for row in rows for part in row.parts if part.name == "reliability"]


def test_the_prior_is_what_was_published() -> None:
    assert 54 * 24 * (16_384 // 8) // 419 == 6_334
    assert PRIOR_MTBF_S == 6_334 * 3600
    assert Stays(6_334 * HOUR_MS, PPM) == counted(Stays(), [Stay("bj", 6_334 * HOUR_MS, broke=True)])
    assert mtbf_s(Stays(6_334 * HOUR_MS, PPM)) == PRIOR_MTBF_S, "what was expected came to pass"


def test_by_hand() -> None:
    assert WORN.mtbf_s == 16_334 * 3600 // 5 == 11_760_480
    hour, day = (decide(request, (NEW, WORN), SUREST).rows for request in (HOUR, DAY))
    # 6,334 / 6,335 and 3,266.8 / 3,267.8; 6,334 / (6,334 + 3,072) and 3,266.8 / (3,266.8 + 3,072)
    assert [row.parts[-1] for row in hour] == [999_842, 999_693]
    assert [row.parts[-1] for row in day] == [673_399, 515_365]
    assert told(DAY, NEW, WORN) == [
        "1 break in 6,334 node-hours (assumed), it takes 3,072",
        "1 break in 3,267 node-hours, it takes 3,072",
    ]
    assert told(replace(HOUR, run_ms=1_800_000), NEW) == [
        "1 break in 6,334 node-hours (assumed), it takes 0.5"
    ]


def test_half_is_forgotten_with_every_half_life() -> None:
    known = Stays(8 * HOUR_MS, 4 * PPM)
    assert faded(known, 0, HALF_LIFE_MS) == Stays(4 * HOUR_MS, 2 * PPM)
    assert faded(known, 5, DAY_MS - 1) == known == faded(known, 9 * DAY_MS, 0), "in a day; back"
    assert mtbf_s(faded(known, 0, 100 * HALF_LIFE_MS)) == PRIOR_MTBF_S
    step = Stays(8 * HOUR_MS, 4 * PPM)
    for hour in range(30 * 24):  # written every hour, and as much is left
        step = faded(step, hour * HOUR_MS, (hour + 1) * HOUR_MS)
    assert abs(step.breaks_ppm - 2 * PPM) < 100
    assert abs(step.node_ms - 4 * HOUR_MS) < 100


@given(st.integers(0, 10**18), st.integers(0, 10**12), st.integers(0, 10**17))
def test_it_is_a_probability_that_falls_with_the_run_and_fits_into_64_bits(
    node_ms: int, breaks_ppm: int, node_s: int
) -> None:
    mean_s = mtbf_s(Stays(node_ms, breaks_ppm))
    (short,) = reliability_ppm(np.array([mean_s]), 0).tolist()
    (found,) = reliability_ppm(np.array([mean_s]), node_s).tolist()
    assert short == PPM
    assert found == PPM * mean_s // (mean_s + node_s)
    assert mtbf_s(Stays(node_ms, breaks_ppm + PPM)) <= mean_s <= mtbf_s(Stays(node_ms + HOUR_MS, breaks_ppm))


@pytest.mark.parametrize(
    ("speed", "carbon", "reliability", "parts"),
    [(0, 0, 0, 5), (2, 0, 0, 6), (0, 2, 0, 7), (0, 0, 2, 8), (2, 2, 2, 8)],
)
def test_late_parts_are_told_where_they_count(speed: int, carbon: int, reliability: int, parts: int) -> None:
    policy = Policy("p", 1, 1, 1, 1, 1, speed=speed, carbon=carbon, reliability=reliability)
    decision = decide(HOUR, (NEW, WORN), policy)
    assert len(decision.rows[0].parts) == parts
    shown = alternatives(decision, (NEW, WORN), HOUR, policy)[0].parts
    assert [part.name for part in shown] == [name for name in PARTS if getattr(policy, name)]


def test_receipts_from_before_replay_bit_for_bit_and_can_be_asked_by_a_new_policy() -> None:
    for data, fetch, parts in ((OLDER, fetch_older, 6), (OLD, fetch_old, 7)):
        opened = open_receipt(data, fetch)
        assert opened.differences == ()
        assert opened.digest == opened.now_digest
        assert len(opened.now.decision.rows[0].parts) == parts
        assert what_if(data, fetch, None, SUREST).instead.place == "one/p0", "all alike, by the prior"
    assert open_receipt(OLD, fetch_old).digest == OLD_DIGEST
    assert b"reliability" not in encode(open_receipt(OLD, fetch_old).now)
    assert b"mtbf_s" not in encode(open_receipt(OLD, fetch_old).now)


def test_what_a_decision_knew_of_the_sites_is_on_its_page() -> None:
    stays = {"one": Stays(100 * HOUR_MS, 6 * PPM)}
    shot = scene((site("one", 64), site("two", 64)), [waiting(0, 8, 600, num_nodes=8)], stays=stays)
    (opened,) = receipts(turn(shot, Rules(policies={"balanced": SUREST})))
    assert opened.differences == ()
    assert [pool.mtbf_s for pool in opened.now.pools] == [6_434 * 3600 // 7, PRIOR_MTBF_S]
    choice = opened.now.decision.choice
    assert choice is not None
    assert choice.site == "two"

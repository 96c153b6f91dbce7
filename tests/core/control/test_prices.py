"""Tenants with prices of their own: one turn, one page, and each decision is that of its tenant's prices."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import CHIPS, NOW, placed, receipts, scene, site, waiting, why

from hutong.core.accounts.registry import FOREVER_MS, InstitutionKind
from hutong.core.book.prices import Book, Price, PriceList, Timeline
from hutong.core.book.snapshot import PoolUse, Snapshot
from hutong.core.capacity.sites import Site
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.work.spec import Ask, Resources, Wish

YUAN = 10**6
OWNERS = {ProjectId("a"): "uni", ProjectId("b"): "shop", ProjectId("c"): "lab"}
KINDS = (
    ("lab", InstitutionKind.RESEARCH), ("shop", InstitutionKind.SME), ("uni", InstitutionKind.UNIVERSITY),
)  # fmt: skip
BOOKS = (
    Book("all", ""), Book("unis", "", (InstitutionKind.UNIVERSITY, InstitutionKind.RESEARCH)),
    Book("shop", "", (), ("shop",)),
)  # fmt: skip
SITES = (site("bj", 16), site("hu", 16, chip=CHIPS[1]), site("tj", 16, 16))


def line(book: str, sku: str, yuan: int, from_ms: int = 0, upto_ms: int = FOREVER_MS) -> Timeline:
    price = Price(f"{book}.{sku}", from_ms, upto_ms, yuan * YUAN, 3_600_000, "agreed", "op", 0)
    return Timeline(book, sku, (price,))


def priced(shot: Snapshot, *lines: Timeline) -> Snapshot:
    return replace(shot, institutions=OWNERS, prices=PriceList(BOOKS, lines, KINDS))


def listed(sites: tuple[Site, ...], paid: dict[tuple[str, str], int]) -> tuple[Site, ...]:
    """Return the sites as if the prices of a tenant were the pools' own."""
    return tuple(
        replace(
            each,
            pools=tuple(
                replace(
                    pool,
                    price_micro_per_card_hour=paid.get((each.id, pool.id), pool.price_micro_per_card_hour),
                )
                for pool in each.pools
            ),
        )
        for each in sites
    )


skus = st.sampled_from(
    [f"card:{chip}{where}" for chip in CHIPS for where in ("", "@bj", "@tj", "@tj/p1", "@hu/p0")]
)
lines = st.lists(
    st.builds(line, st.sampled_from([book.id for book in BOOKS]), skus, st.integers(0, 40)),
    max_size=6, unique_by=lambda each: each.id,
)  # fmt: skip
asked = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(1, 8), st.booleans(),
        st.sampled_from([None, 40 * YUAN, 100 * YUAN]),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(lines, asked, st.integers(0, 16))
def test_each_job_is_placed_and_billed_at_what_its_tenant_pays(
    found: list[Timeline], jobs: list[tuple[str, int, bool, int | None]], used: int
) -> None:
    rows = [
        waiting(
            at, cards, 60, project,
            resources=Resources(tuple(Ask(chip, cards) for chip in CHIPS[: 1 + both])),
            wish=Wish(max_hourly_cost_micro=most),
        )
        for at, (project, cards, both, most) in enumerate(jobs)
    ]  # fmt: skip
    shot = priced(scene(SITES, rows, use=(PoolUse("bj", "p0", used),)), *found)
    outcome = turn(shot, Rules())
    assert outcome.broken == ()
    opened = {each.now.job: each for each in receipts(outcome)}
    for each in outcome.jobs:
        if (attempt := each.after.live) is None:
            continue
        receipt = opened[each.job]
        assert receipt.differences == ()
        assert receipt.digest == receipt.now_digest
        # The pools of the receipt, and the attempt, are at the tenant's prices.
        (view,) = [v for v in receipt.now.pools if (v.site, v.pool) == (attempt.site, attempt.pool)]
        assert view.price_micro_per_card_hour == attempt.price_micro_per_card_hour
        # Alone in the world, with these as the pools' own prices, the job would be judged the same.
        paid = {(v.site, v.pool): v.price_micro_per_card_hour for v in receipt.now.pools}
        alone = [row for row in rows if row.job.id == each.job]
        first = scene(listed(SITES, paid), alone, use=shot.use)
        one = preview(priced(shot, *found), alone[0].spec, alone[0].project, Rules())
        two = preview(first, alone[0].spec, alone[0].project, Rules())
        assert one.decision == two.decision
        assert one.worst_case_micro == two.worst_case_micro


def test_the_cheaper_pool_is_another_one_for_each_tenant() -> None:
    rows = [waiting(1, 2, 60, "a"), waiting(2, 2, 60, "b"), waiting(3, 2, 60, "c")]
    shot = priced(scene(SITES, rows), line("unis", "card:H100@tj/p1", 1), line("shop", "card:H100@bj", 1))
    assert placed(turn(shot, Rules())) == {1: "tj/p1", 2: "bj/p0", 3: "tj/p1"}


def test_who_may_spend_too_little_is_told_its_own_price() -> None:
    wish = Wish(max_hourly_cost_micro=9 * YUAN)
    rows = [waiting(1, 1, 60, "a", wish=wish), waiting(2, 1, 60, "b", wish=wish)]
    shot = priced(scene((site("bj", 16),), rows), line("shop", "card:H100", 12), line("unis", "card:H100", 8))
    outcome = turn(shot, Rules())
    assert placed(outcome) == {1: "bj/p0"}
    assert why(outcome, 2)[0] == "never"
    assert "costs 12.00 yuan an hour" in why(outcome, 2)[1]


def test_only_the_price_of_the_moment_counts_and_what_was_placed_keeps_its_own() -> None:
    rows = [waiting(1, 1, 60, "a")]
    soon, over = line("unis", "card:H100", 1, NOW + 1), line("all", "card:H100", 3, 0, NOW)
    outcome = turn(priced(scene((site("bj", 16),), rows), soon, over), Rules())
    (attempt,) = [each.after.live for each in outcome.jobs]
    assert attempt is not None
    assert attempt.price_micro_per_card_hour == 10 * YUAN

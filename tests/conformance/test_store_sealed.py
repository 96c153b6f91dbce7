"""Sealed reports in every store: one chain for each site, repeats harmless, forks and gaps refused."""

from dataclasses import replace

import pytest

from hutong.core.book import rollups as r
from hutong.core.book.sealed import PoolHour, SealedReport
from hutong.core.book.store import Store
from hutong.core.kernel.chain import GENESIS, START, Head
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.quantities import HOUR_MS


def report(seq: int, prev: str = "", site: str = "bj", own: str = "") -> SealedReport:
    before = prev or (GENESIS if seq == 1 else f"h{seq - 1}")
    return SealedReport(site, seq, before, own or f"h{seq}", "k", "00", "{}", 5)


def hour(seq: int, at: int, pool: str = "p", held: int = 7, site: str = "bj") -> PoolHour:
    return PoolHour(site, pool, at, 8, 3_600_000, 9, held, 0, None, "", seq, 7, "H100")


def sums(store: Store, hours: tuple[int, int], *by: str) -> dict[r.Key, r.Sums]:
    return {each.key: each.sums for each in store.rollup(r.RollupQuery(r.SEEN, hours, by))}


def test_a_chain_grows_and_a_repeat_changes_nothing(store: Store) -> None:
    assert store.sealed_head("bj") == START
    assert store.keep_sealed([report(1), report(2)], [hour(1, 10), hour(2, 11)]) == Head(2, "h2")
    assert store.keep_sealed([report(2), report(1)], [hour(1, 10, held=99)]) == Head(2, "h2")
    assert store.keep_sealed([report(2), report(3)], []) == Head(3, "h3")
    assert store.sealed_head("bj") == Head(3, "h3")
    assert [each.seq for each in store.sealed("bj", 1, 1)] == [2]
    assert store.sealed("bj", 0, 9) == (report(1), report(2), report(3))
    assert store.pool_hours("bj", (0, 99), (-1, ""), 9) == (hour(1, 10), hour(2, 11))


def test_chains_of_sites_are_apart(store: Store) -> None:
    store.keep_sealed([report(1)], [hour(1, 10)])
    store.keep_sealed([report(1, site="sh", own="x1")], [hour(1, 10, site="sh")])
    assert store.sealed_head("sh") == Head(1, "x1")
    assert store.sealed_head("bj") == Head(1, "h1")
    assert store.pool_hours("sh", (0, 99), (-1, ""), 9) == (hour(1, 10, site="sh"),)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (report(4), "gap"),
        (replace(report(3), prev="other"), "fork"),
        (report(2, own="other"), "fork"),
        (report(1, own="other"), "fork"),
    ],
)
def test_forks_and_gaps_are_refused_and_leave_nothing(store: Store, bad: SealedReport, code: str) -> None:
    store.keep_sealed([report(1), report(2)], [])
    with pytest.raises(Conflict) as caught:
        store.keep_sealed([bad], [hour(bad.seq, 12)])
    assert caught.value.code == code
    assert store.sealed_head("bj") == Head(2, "h2")
    assert store.pool_hours("bj", (0, 99), (-1, ""), 9) == ()


def test_a_later_report_of_an_hour_takes_its_place_and_hours_are_paged(store: Store) -> None:
    store.keep_sealed([report(1)], [hour(1, 10), hour(1, 10, "q"), hour(1, 11)])
    store.keep_sealed([report(2)], [hour(2, 10, held=8)])
    assert store.pool_hours("bj", (10, 11), (-1, ""), 1) == (hour(2, 10, held=8),)
    assert store.pool_hours("bj", (0, 99), (10, "p"), 9) == (hour(1, 10, "q"), hour(1, 11))


def test_nothing_to_keep_is_nothing_kept(store: Store) -> None:
    assert store.keep_sealed([], []) == START


def test_sums_of_hours_follow_what_the_newest_report_says(store: Store) -> None:
    counted = replace(hour(1, 30, held=HOUR_MS), busy_card_ms=5, method="npu-smi")
    store.keep_sealed([report(1)], [counted, hour(1, 31), hour(1, 30, "q", held=2)])
    assert sums(store, (0, 99), "sku", "method") == {
        ("H100", ""): (16 * HOUR_MS, 9, 0, 0),
        ("H100", "npu-smi"): (8 * HOUR_MS, HOUR_MS, HOUR_MS, 5),
    }
    later = replace(counted, seq=2, busy_card_ms=6, held_card_ms=11)
    unknown = replace(later, seq=3, busy_card_ms=None, method="", seen_ms=1)
    for _ in range(2):  # a repeat adds nothing
        store.keep_sealed([report(1), report(2)], [counted, later])
        assert sums(store, (0, 24 * 31), "site") == {("bj",): (24 * HOUR_MS, 20, 11, 6)}
    store.keep_sealed([report(3)], [unknown])
    assert sums(store, (30, 31), "method") == {("",): (8 * HOUR_MS + 8, 13, 0, 0)}
    assert store.check_ledger().faults == ()
    assert store.rebuild_rollups() == 3
    assert sums(store, (0, 24 * 31)) == {(): (16 * HOUR_MS + 8, 20, 0, 0)}


def test_of_one_call_the_newest_report_of_an_hour_counts(store: Store) -> None:
    store.keep_sealed([report(1), report(2)], [hour(2, 5, held=3), hour(1, 5, held=9)])
    assert sums(store, (5, 6)) == {(): (8 * HOUR_MS, 3, 0, 0)}

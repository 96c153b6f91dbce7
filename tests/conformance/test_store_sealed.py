"""Sealed reports in every store: one chain for each site, repeats harmless, forks and gaps refused."""

from dataclasses import replace

import pytest

from hutong.core.book.sealed import PoolHour, SealedReport
from hutong.core.book.store import Store
from hutong.core.kernel.chain import GENESIS, START, Head
from hutong.core.kernel.errors import Conflict


def report(seq: int, prev: str = "", site: str = "bj", own: str = "") -> SealedReport:
    before = prev or (GENESIS if seq == 1 else f"h{seq - 1}")
    return SealedReport(site, seq, before, own or f"h{seq}", "k", "00", "{}", 5)


def hour(seq: int, at: int, pool: str = "p", held: int = 7, site: str = "bj") -> PoolHour:
    return PoolHour(site, pool, at, 8, 3_600_000, 9, held, 0, None, "", seq, 7)


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

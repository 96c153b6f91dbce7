"""Values are shown short, with the exact one beside them."""

import pytest

from hutong.clients.portal import charts, show
from hutong.clients.portal.words import Words
from hutong.wire.base import Money
from hutong.wire.money import Balance


@pytest.mark.parametrize(
    ("amount", "short", "exact"),
    [
        ("0.000000", "¥0.00", "¥0.00"),
        ("46.080000", "¥46.08", "¥46.08"),
        ("1234567.895000", "¥1,234,567.90", "¥1,234,567.895"),
        ("0.000160", "¥0.00016", "¥0.00016"),
        ("-18.432000", "-¥18.43", "-¥18.432"),
        ("-0.000001", "-¥0.000001", "-¥0.000001"),
    ],
)
def test_money_is_never_shown_as_nothing_when_it_is_something(amount: str, short: str, exact: str) -> None:
    assert show.rounded(Money(amount=amount)) == short
    assert show.exact(Money(amount=amount)) == exact
    assert f'title="{exact}"' in show.money(amount)


def test_times_are_beijing_time_with_utc_on_hover() -> None:
    shown = show.moment("2026-11-22T20:30:05.250Z", seconds=True)
    assert shown == (
        '<time datetime="2026-11-22T20:30:05.250Z" title="2026-11-22 20:30:05 UTC">2026-11-23 04:30:05</time>'
    )
    assert ">–<" in show.moment(None)


@pytest.mark.parametrize(
    ("total_ms", "text"),
    [
        (40, "<0.1 s"),
        (50, "0.1 s"),
        (59_940, "59.9 s"),
        (61_000, "1 min 1 s"),
        (3_660_000, "1 h 1 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units(total_ms: int, text: str) -> None:
    assert show.duration(Words("en"), total_ms) == text


@pytest.mark.parametrize(
    ("total_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1_234, "1.23 kB"), (999_999, "1 MB"), (5 * 10**15, "5 PB")],
)
def test_sizes(total_bytes: int, text: str) -> None:
    assert show.size(total_bytes) == text


def test_plain_numbers_lose_needless_zeros_only() -> None:
    assert show.plain("7.200000") == "7.2"
    assert show.plain("1580.544") == "1,580.544"
    assert show.plain("1200") == "1,200"


def test_a_bar_is_full_however_its_parts_round() -> None:
    bar = charts.stack([("a", 1, ""), ("b", 1, ""), ("c", 1, "")])
    assert sum(each.width for each in bar) == charts.WIDTH
    assert [each.start for each in bar] == [0, bar[0].width, bar[0].width + bar[1].width]
    assert charts.stack([("a", 0, "")]) == ()
    assert charts.stack([("a", 1, "")], 4)[0].width == 250


def test_what_is_in_flight_is_drawn_inside_what_is_committed() -> None:
    none, lots = Money(amount="0"), ()
    balance = Balance(
        project="p", settled=none, in_flight=Money(amount="30"), committed=Money(amount="100"),
        available=Money(amount="100"), overrun=none, lots=lots,
    )  # fmt: skip
    widths = {each.look: each.width for each in charts.balance_bar(balance)}
    assert widths == {"flight": 150, "committed": 350, "available": 500}


def test_percentages_stay_within_the_bar() -> None:
    assert charts.percent_ppm("37.5") == 375_000
    assert charts.percent_ppm("120") == 1_000_000
    assert charts.percent_ppm("-1") == 0

"""The green report: what is metered stands beside what is booked, and is never added to it."""

from dataclasses import replace

from hutong.core.book.energy import SiteEnergy
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.reports.capacity import green
from hutong.core.reports.report import Facts, Tenant, Used

KWH_J = 3_600_000
USED = Used("", Tenant("", "", ""), "east", "", 100, 0, 10 * KWH_J, KWH_J, 0)
HOURS = SiteEnergy("east", "it=metered; jobs=scaled", 3, 40 * KWH_J, 30 * KWH_J, KWH_J, 2_000_000, 0)
FACTS = Facts((0, 10 * HOUR_MS), 20 * HOUR_MS, used=(USED,))


def test_without_meters_there_is_only_what_is_booked() -> None:
    (booked,) = green(FACTS)
    assert booked.rows == (("east", "10.000", "1.000", "10.00", "0.000"),)


def test_hours_of_several_bases_are_one_row_that_names_them_and_how_much_of_the_span_they_are() -> None:
    more = replace(HOURS, basis="it=pue 1.200; jobs=scaled", hours=1, metered_j=0, green_j=0)
    booked, metered = green(replace(FACTS, metered=(HOURS, more)))
    assert booked == green(FACTS)[0]
    assert metered.rows == (
        (
            "east", "40.00", "40.000", "30.000", "75.00", "2.000", "4.000", "0.000",
            "it=metered, it=pue 1.200, jobs=scaled",
        ),
    )  # fmt: skip
    assert len(metered.rows[0]) == len(metered.columns)

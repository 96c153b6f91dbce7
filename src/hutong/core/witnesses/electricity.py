"""What a site's electricity meter says of the use that is reported: by physics, and by its own past days.

Reported use is put as the energy that the cards held would draw at nameplate power. A straight line
through the hours of past days says what the meter should show for it; the line's slope stands for how
busy cards usually are there, hosts and PUE. How far single days lay from the line says how far a day may.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression, median

from hutong.core.witnesses.shapes import Bounds, DaySeen, Finding, Hour, Kind, Sure

_TO_SIGMA = 1.4826  # a normal distribution's standard deviation by its median absolute deviation
_QUARTER_H = 6
_MS_PER_S = 1000
_SLOPES = (0.05, 5.0)


@dataclass(frozen=True, slots=True)
class Line:
    """What the meter shows: `base_j` for each hour and `slope` for each joule of nameplate energy."""

    base_j: float
    slope: float

    def rest_j(self, hour: Hour) -> float:
        """Return by how much the meter showed more than that."""
        return (hour.metered_j or 0) - self.base_j - self.slope * hour.nameplate_j


def line_of(hours: Sequence[Hour]) -> Line | None:
    """Return the straight line through hours that were metered; None where they do not tell one.

    The tenth that lies farthest from it is left out once: one bad day must not bend it.
    """
    for _ in range(2):
        load = [float(each.nameplate_j) for each in hours]
        if len(hours) < 2 or min(load) == max(load):
            return None
        fit = linear_regression(load, [float(each.metered_j or 0) for each in hours])
        line = Line(fit.intercept, fit.slope)
        hours = sorted(hours, key=lambda each: abs(line.rest_j(each)))[: len(hours) * 9 // 10]
    return line if _SLOPES[0] <= line.slope <= _SLOPES[1] else None


def find_by_past(day: DaySeen, bounds: Bounds) -> Iterator[Finding]:
    """Yield a finding if the day, or else a quarter of it, is far from what past days let expect."""
    today = [each for each in day.hours if each.metered_j is not None]
    past = [each for each in day.past if each.metered_j is not None]
    by_day: dict[int, list[Hour]] = defaultdict(list)
    for each in past:
        by_day[each.hour // 24].append(each)
    whole = {number: hours for number, hours in by_day.items() if len(hours) >= _QUARTER_H}
    line = line_of(past) if len(whole) >= bounds.days_least else None
    if line is None or len(today) < _QUARTER_H or day.watts <= 0:
        return
    windows = (("day", 24, bounds.day_sigmas), ("quarter", _QUARTER_H, bounds.quarter_sigmas))
    for name, width, sigmas in windows:
        usual = _means(past, line, width)
        centre = median(usual)
        sigma = _TO_SIGMA * median(abs(each - centre) for each in usual)
        for at, hours in sorted(_windows(today, width).items()):
            if 2 * len(hours) < width:
                continue
            rest = fmean(line.rest_j(each) for each in hours) - centre
            expected = fmean((each.metered_j or 0) for each in hours) - rest
            if abs(rest) > max(sigmas * sigma, abs(expected) * bounds.least_ppm / 10**6):
                energy_j = int(rest * len(hours))
                # The line's slope turns energy at the meter into use; watts into card-time.
                size = abs(int(energy_j / line.slope * _MS_PER_S / day.watts))
                about = name if name == "day" else f"hours-{at * width % 24}"
                yield _finding(about, energy_j, size, rest / sigma if sigma else 0.0)
                if name == "day":
                    return


def _finding(about: str, energy_j: int, size: int, sigmas: float) -> Finding:
    told = f"{abs(energy_j)} J, {abs(sigmas):.1f} robust standard deviations"
    if energy_j < 0:
        return Finding(
            Kind.OVER_REPORTED, about, size, Sure.LIKELY,
            f"the meter shows {told} less than reported use needs at this site",
            "ask the site for the jobs of the day with the least power; was a meter or a feed left out?",
        )  # fmt: skip
    return Finding(
        Kind.SIDE_USE, about, size, Sure.LIKELY,
        f"the meter shows {told} more than reported use explains at this site",
        "ask the site what else ran: jobs beside the platform, a test, cooling, new equipment on the meter",
    )  # fmt: skip


def _windows(hours: Sequence[Hour], width: int) -> dict[int, list[Hour]]:
    found: dict[int, list[Hour]] = defaultdict(list)
    for each in hours:
        found[each.hour // width].append(each)
    return found


def _means(hours: Sequence[Hour], line: Line, width: int) -> list[float]:
    groups = _windows(hours, width).values()
    return [fmean(line.rest_j(each) for each in group) for group in groups if 2 * len(group) >= width]


def find_by_physics(day: DaySeen, bounds: Bounds) -> Iterator[Finding]:
    """Yield a finding if the meter shows less than cards in use can draw, or more than all can draw."""
    today = [each for each in day.hours if each.metered_j is not None]
    if not today or day.watts <= 0:
        return
    metered = sum(each.metered_j or 0 for each in today)
    least = sum(each.nameplate_j for each in today) * bounds.idle_ppm * bounds.pue_least_milli // 10**9
    most = sum(each.installed_j for each in today) * bounds.busiest_ppm * bounds.pue_most_milli // 10**9
    if metered < least:
        size = (least - metered) * _MS_PER_S * 10**9 // (day.watts * bounds.idle_ppm * bounds.pue_least_milli)
        evidence = f"the meter shows {metered} J; the cards in use would draw {least} J when idle"
        to_do = "ask the site whether all feeds are metered; else the use was not there"
        yield Finding(Kind.OVER_REPORTED, "least", size, Sure.CERTAIN, evidence, to_do)
    elif metered > most:
        size = (metered - most) * _MS_PER_S // day.watts
        evidence = f"the meter shows {metered} J; all that is registered can draw {most} J at most"
        to_do = "ask the site what else is on the meter, and how many cards it really has"
        yield Finding(Kind.SIDE_USE, "most", size, Sure.CERTAIN, evidence, to_do)

"""Moving work to green hours: GAIA's published values, then less carbon at less delay, without knowing lengths.

| rows | what is measured | baseline |
|---|---|---|
| gaia_*_carbon | GAIA's policies under its conventions, over no wait | its published values (Wait-Awhile: its code's) |
| gaia_jobs_per_s_* | the same, jobs per second of CPU | its Python on two shared cores, by the wall |
| green_* | pai_1k x AU-SA, pauses planned from survival curves of the history so far | the best of GAIA that knows no lengths |
| green_front_* | the same for other prices of delay | the same |
| green_starts_* | 17 weeks of the year instead of the one that is published, mean and paired win | Ecovisor, same weeks |
| green_error_* | forecasts with errors, 20 seeds, mean and 95 % interval | no error |
| green_best_* | what one decision costs, from Python | |
| green_year_* | pai-100k through a year of four grids, the same fixed policy | lowest window, same run |

Carbon is over that of starting at once. Data: the directory of `--data`, else HUTONG_DATA; in it traces/carbon.
`python -m bench.green [--data DIR] [--quick]`
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from bench.data import find_traces

from hutong.core.placement.arrays import Ints
from hutong.core.placement.lengths import spread_prior, survival
from hutong.core.placement.pausing import best_pauses
from hutong.core.placement.shifting import LOWEST_WINDOW, best_start, prefix_sums, smoothed
from hutong.sim import gaia, green
from hutong.sim.importers import read
from hutong.sim.importers.grid import disturb, read_signal
from hutong.sim.trace import Trace

# The fixed policy: an hour's pause has to save 5 g/kWh x h of a card. Chosen on the published week, then left as
# it is for other weeks, grids and traces. Without queues every job may wait 24 h, and a higher price stands for it.
PRICE, PRICE_NO_QUEUES = 5000, 12_500
PRICES = (0, 2500, 5000, 7500, 10_000, 20_000, 40_000, 80_000)
RESTORE_S = 300
ZONES = ("AU-SA", "DE", "IN-UP", "KR")
SEEDS = 20
# Error in percent, kind, correlation from hour to hour, reach of the smoothing.
ERRORS = (
    (10, "raw", 0.0, 1), (20, "raw", 0.0, 1), (30, "raw", 0.0, 1),
    (10, "smoothed", 0.0, 2), (20, "smoothed", 0.0, 3), (30, "smoothed", 0.0, 3),
    (20, "lasting", 0.9, 1), (30, "lasting", 0.9, 1),
)  # fmt: skip
# Two-sided 95 % of Student's t with 19 degrees of freedom.
T_95 = 2.093
# Seconds that GAIA's own code took for pai_1k here, on a loaded machine.
GAIA_WALL_S = {
    "no_wait": 15, "lowest_slot": 66, "lowest_window": 47, "carbon_time": 47, "ecovisor": 438, "wait_awhile": 242,
}  # fmt: skip
HOUR_S = green.HOUR_S
TARGET_CARBON, TARGET_DELAY_H = 0.62, 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """One figure and what it is held against."""

    name: str
    value: float
    unit: str
    baseline: str = ""
    baseline_value: float | None = None

    def line(self) -> str:
        """Return the row as a JSON object."""
        ratio = self.value / self.baseline_value if self.baseline_value else None
        return json.dumps(
            {
                "name": self.name, "value": round(self.value, 6), "unit": self.unit, "baseline": self.baseline or None,
                "baseline_value": self.baseline_value, "ratio": None if ratio is None else round(ratio, 6),
            }
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Data:
    """The files, read once."""

    week: Trace
    year: Trace
    signals: dict[str, Ints]


def load(root: Path) -> Data:
    """Read jobs and grids."""
    signals = {zone: read_signal(root / "ci_2022_hourly.csv.gz", zone) for zone in ZONES}
    return Data(read(root / "pai_1k.csv", unit="s"), read(root / "pai-100k.csv", unit="h"), signals)


def check_parity(given: str | None = None) -> dict[str, bool]:
    """Return for each of GAIA's values whether ours agrees with it to the sixth decimal: for `make parity`."""
    root = find_traces(given, "carbon")
    signal = read_signal(root / "ci_2022_hourly.csv.gz", "AU-SA")
    return {
        name: same for name, (_, _, same) in gaia.parity(read(root / "pai_1k.csv", unit="s"), signal).items()
    }


def gaia_rows(data: Data) -> Iterator[Row]:
    """Parity with GAIA, and speed."""
    for name, (ours, theirs, _) in gaia.parity(data.week, data.signals["AU-SA"]).items():
        source = "GAIA's code" if name == "wait_awhile" else "GAIA, published"
        yield Row(f"gaia_{name}_carbon", ours, "of no wait", source, theirs)
    ticks, part = gaia.in_ticks(data.week), _week(data.signals["AU-SA"], gaia.START_INDEX)
    for name in (*gaia.PUBLISHED, "wait_awhile"):
        policy = gaia.POLICIES[name]
        seconds = timed(partial(gaia.run_policy, ticks, part, policy))
        wall = GAIA_WALL_S.get(name)
        yield Row(
            f"gaia_jobs_per_s_{name}", len(data.week) / seconds, "jobs/s", "GAIA's code" if wall else "",
            len(data.week) / wall if wall else None,
        )  # fmt: skip


def week_rows(data: Data) -> Iterator[Row]:
    """The published week: target, bound, what a restore costs, without queues, and the front."""
    signal = _week(data.signals["AU-SA"], gaia.START_INDEX)
    ticks, grid, work = gaia.in_ticks(data.week), green.perfect(signal), green.deferrable(data.week)
    base = gaia.run_policy(ticks, signal, gaia.NO_WAIT).carbon
    ecovisor = gaia.run_policy(ticks, signal, gaia.THRESHOLD)
    learnt = green.learn(work)
    whole = green.deferrable(data.week, queues=False)
    merged = green.learn(whole, queues=False)
    cases = {
        "pauses": green.run_pauses(work, grid, learnt, PRICE),
        "pauses_restore": green.run_pauses(work, grid, learnt, PRICE, resume_s=RESTORE_S),
        "pauses_no_queues": green.run_pauses(whole, grid, merged, PRICE_NO_QUEUES),
        "start_only": green.run_pauses(work, grid, learnt, PRICE, once=True),
        "start_only_median": green.run_starts(
            work, grid, LOWEST_WINDOW, green.expected_lengths(work, learnt, 500_000)
        ),
        "bound_known_lengths": green.run_pauses(work, grid, green.knowing(work), 0),
    }
    for name, found in cases.items():
        once = name.startswith("start_only")
        theirs = gaia.run_policy(ticks, signal, gaia.WINDOW) if once else ecovisor
        rival = "GAIA lowest window" if once else "Ecovisor"
        yield Row(f"green_{name}_carbon", found.carbon, "of no wait", rival, theirs.carbon / base)
        yield Row(f"green_{name}_delay", found.delay_h, "h", rival, theirs.finish_delay_h)
        yield Row(f"green_{name}_card_delay", found.weighted_delay_h, "h by card-hours")
        yield Row(f"green_{name}_resumes", found.resumes, "a job")
        yield Row(f"green_{name}_late", found.late, "jobs past their wait")
    for price in PRICES:
        found = green.run_pauses(work, grid, learnt, price, resume_s=RESTORE_S)
        name = f"green_front_{price // 100 / 10:g}g"
        yield Row(f"{name}_carbon", found.carbon, "of no wait", "target", TARGET_CARBON)
        yield Row(f"{name}_delay", found.delay_h, "h", "target", TARGET_DELAY_H)


def start_rows(data: Data, step: int) -> Iterator[Row]:
    """Other weeks of the year, which the policy was not looked at on."""
    ticks, work = gaia.in_ticks(data.week), green.deferrable(data.week)
    learnt = green.learn(work)
    ours, delays, theirs, their_delays = [], [], [], []
    for start in range(0, 8500, step):
        signal = _week(data.signals["AU-SA"], start)
        base = gaia.run_policy(ticks, signal, gaia.NO_WAIT).carbon
        other = gaia.run_policy(ticks, signal, gaia.THRESHOLD)
        found = green.run_pauses(work, green.perfect(signal), learnt, PRICE, resume_s=RESTORE_S)
        ours.append(found.carbon)
        delays.append(found.delay_h)
        theirs.append(other.carbon / base)
        their_delays.append(other.finish_delay_h)
    wins = sum(a < b and c < d for a, b, c, d in zip(ours, theirs, delays, their_delays, strict=True))
    yield Row("green_starts_carbon", float(np.mean(ours)), "of no wait", "Ecovisor", float(np.mean(theirs)))
    yield Row("green_starts_delay", float(np.mean(delays)), "h", "Ecovisor", float(np.mean(their_delays)))
    yield Row("green_starts_better_in_both", wins, "weeks", "weeks", len(ours))


def error_rows(data: Data) -> Iterator[Row]:
    """Forecasts wrong by 10, 20 and 30 %: planned on as they are, smoothed, and with errors that last for hours.

    The carbon is counted on the true signal. The reach of the smoothing follows the error, which a site knows
    from the forecasts it had.
    """
    work = green.deferrable(data.week)
    learnt, signal = green.learn(work), _week(data.signals["AU-SA"], gaia.START_INDEX)
    right = green.run_pauses(work, green.perfect(signal), learnt, PRICE, resume_s=RESTORE_S)
    for percent, kind, memory, reach in ERRORS:
        forecasts = [disturb(signal, percent * 10_000, seed, memory=memory) for seed in range(SEEDS)]
        grids = [green.Grid(signal, smoothed(each, reach)) for each in forecasts]
        found = [green.run_pauses(work, grid, learnt, PRICE, resume_s=RESTORE_S) for grid in grids]
        carbon = np.array([each.carbon for each in found])
        name = f"green_error_{percent}_{kind}"
        yield Row(f"{name}_carbon", float(carbon.mean()), "of no wait", "no error", right.carbon)
        interval = T_95 * float(carbon.std(ddof=1)) / SEEDS**0.5
        yield Row(f"{name}_carbon_interval", interval, "95 %, plus or minus")
        yield Row(
            f"{name}_delay", float(np.mean([each.delay_h for each in found])), "h", "no error", right.delay_h
        )


def year_rows(data: Data, zones: tuple[str, ...]) -> Iterator[Row]:
    """A year of 100,000 jobs on each grid, hourly quanta, the policy as it is."""
    work = green.deferrable(data.year)
    means = gaia.in_ticks(data.year).expected * gaia.TICK_S
    seconds = timed(lambda: green.learn(work, green.HOUR_S))
    yield Row("green_year_learn", seconds, "s of CPU")
    learnt, known = green.learn(work, green.HOUR_S), green.knowing(work, green.HOUR_S)
    for zone in zones:
        grid = green.perfect(data.signals[zone])
        found = green.run_pauses(work, grid, learnt, PRICE, resume_s=RESTORE_S)
        window = green.run_starts(work, grid, LOWEST_WINDOW, means)
        bound = green.run_pauses(work, grid, known, 0)
        name = f"green_year_{zone.lower()}"
        yield Row(f"{name}_carbon", found.carbon, "of no wait", "lowest window", window.carbon)
        yield Row(f"{name}_delay", found.delay_h, "h", "lowest window", window.delay_h)
        yield Row(f"{name}_bound", bound.carbon, "of no wait, lengths known", "", None)
        seconds = timed(partial(green.run_pauses, work, grid, learnt, PRICE, resume_s=RESTORE_S))
        yield Row(f"{name}_seconds", seconds, "s of CPU", "goal", 0.5)
        seconds = timed(partial(green.run_starts, work, grid, LOWEST_WINDOW, means))
        yield Row(f"{name}_window_seconds", seconds, "s of CPU", "goal", 0.5)


def call_rows(data: Data) -> Iterator[Row]:
    """What one decision costs the live scheduler, the call from Python included."""
    signal = np.ascontiguousarray(data.signals["AU-SA"][:48])
    sums, slot = prefix_sums(signal), green.HOUR_S
    curve = spread_prior(4, 144, 20)
    alive = survival(curve, np.zeros_like(curve), curve)

    def start() -> None:
        for _ in range(1000):
            best_start(signal, sums, slot, LOWEST_WINDOW, 1000, 20_000, 87_400, PRICE)

    def pauses() -> None:
        for _ in range(100):
            best_pauses(signal, sums, slot, 1000, slot // 2, alive, 48, PRICE, RESTORE_S, False)

    yield Row("green_best_start", timed(start) * 1e6 / 1000, "us a call, 24 h ahead")
    yield Row("green_best_pauses", timed(pauses) * 1e6 / 100, "us a call, 24 h, 144 quanta")


def timed(act: Callable[[], object], least_s: float = 0.2) -> float:
    """Return the least CPU seconds of a call, over some; the first, which may compile, is left out."""
    act()
    best, spent = float("inf"), 0.0
    while spent < least_s:
        begin = time.process_time()
        act()
        took = time.process_time() - begin
        best, spent = min(best, max(took, 1e-9)), spent + max(took, 1e-3)
    return best


def print_rows(parts: Iterable[Iterable[Row]]) -> None:
    """Print rows as a table while they come, then all of them as JSON lines."""
    rows: list[Row] = []
    print(f"{'name':42} {'value':>14} {'unit':28} {'baseline':>14}  of what")
    for part in parts:
        for row in part:
            rows.append(row)
            held = "" if row.baseline_value is None else f"{row.baseline_value:,.6g}"
            print(f"{row.name:42} {row.value:14,.6g} {row.unit:28} {held:>14}  {row.baseline}", flush=True)
    for row in rows:
        print(row.line())


def _week(signal: Ints, start: int) -> Ints:
    return signal[start : start + gaia.HOURS]


def main() -> None:
    """Print a table, then the rows as JSON lines; leave with 1 where parity is lost."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", help="directory with traces/carbon (default: HUTONG_DATA)")
    parser.add_argument("--quick", action="store_true", help="fewer weeks, one grid")
    args = parser.parse_args()
    data = load(find_traces(args.data, "carbon"))
    parts = (
        gaia_rows(data), week_rows(data), start_rows(data, 2000 if args.quick else 500), error_rows(data), call_rows(data),
        year_rows(data, ZONES[:1] if args.quick else ZONES),
    )  # fmt: skip
    print_rows(parts)
    lost = [name for name, (_, _, same) in gaia.parity(data.week, data.signals["AU-SA"]).items() if not same]
    if lost:
        sys.exit(f"not GAIA's value: {', '.join(lost)}")


if __name__ == "__main__":
    main()

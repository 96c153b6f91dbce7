"""Beijing, Tianjin, Zhangjiakou, Inner Mongolia: where and when together. A SCENARIO, NOT A MEASUREMENT.

Real: the jobs (pai-100k, a year; wider ones cut to 32 cards), the grids' average factors of 2022, the shapes of
sun (a Chinese site, 2019) and wind (GEFCom2012, four farms).
ASSUMED: how many cards a site has (70, 40, 90, 60), PUE (1.25, 1.30, 1.15, 1.15), 1 kW a card, how much green
power stands beside a site (see `GREEN`), that 30 % of the jobs below an hour are pinned to Beijing or Tianjin,
that sending a job away costs nothing, that a stopped job has a checkpoint an hour and needs ten minutes to go
on, and that wind and sun of the next days are foreseen without error. Neither the wind nor the sun is of these places. Provincial factors
already hold the provinces' own renewables: claiming direct supply on top can count it twice, so the rows
without direct supply stand beside. Read differences between rows, not the rows.

Only rows that say so know lengths, each job's when it comes, and nothing of jobs to come. A job waits at most 6 h
(up to 2 h of length) or 24 h; in rows that say so, 6 h and 72 h, or 24 h and 168 h.
`python -m bench.bth [--data DIR] [--quick]`
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from bench.data import find_traces
from bench.fluid import least_carbon, most_green, within
from bench.green import HOUR_S, Row, print_rows, timed

from hutong.core.placement.arrays import Ints
from hutong.sim import green, region
from hutong.sim.importers import read
from hutong.sim.importers.table import Floats, read_table
from hutong.sim.trace import Trace

CARDS = np.array([70, 40, 90, 60])
# Green power beside a site, in parts of its cards' power: wind and sun at full output.
GREEN = ((0.0, 0.0), (0.0, 0.12), (1.08, 0.6), (0.84, 0.48))
NAMES = ("beijing", "tianjin", "zhangjiakou", "inner mongolia")
PROVINCES = ("Beijing", "Tianjin", "Hebei", "Inner Mongolia")
WIDEST, PINNED_PART = 32, 0.3
# Cards that only pinned jobs may take: so many of each near site, or Tianjin's alone, where power is dirtiest;
# then others make room for the few for whom they are not enough.
KEPT_FREE, SPARE = (32, 32), (0, 32)
# In parts of an hour: what arrivals, ends and expected lengths are planned in.
QUANTUM_S = HOUR_S // 4
# What an hour of a job's wait has to save, in mg of CO2 for a job of one card, and as the root of its cards for more.
PRICES = (200_000, 370_000, 500_000, 1_000_000, 3_000_000)
PRICE = 370_000
# Waits of long jobs that the targets do not forbid.
LONGER_S, LONGER_PRICES = 72 * HOUR_S, (450_000, 500_000)
# All targets at once take longer waits, lengths that are known, one price for jobs of all widths, and more cards kept
# free in Beijing: what runs there is clean by the kWh, but needs more of them.
WEEK_S, HALF_GREEN_PRICE, HALF_GREEN_FREE = 168 * HOUR_S, 1_550_000, (38, 32)
# Targets that were set before; they came from a greedy choice that knew all loads to come. No schedule can pass
# `bth_bound_green`, all green power that ever fits the cards over the least energy, nor the rows `bth_bound_fluid_...`.
TARGET, TARGET_GREEN, TARGET_WAIT_H = 0.60, 0.50, 1.0


def load(root: Path) -> tuple[Trace, region.Region]:
    """Read the jobs and build the sites."""
    jobs = read(root / "pai-100k.csv", unit="h")
    jobs = replace(jobs, cards_per_node=np.minimum(jobs.cards_per_node, WIDEST))
    energy = root.parent / "energy"
    sun = read_table(energy / "cn_pv_15min_2019_2020.csv.gz", ("pv_site1_cf",)).optional_numbers(
        "pv_site1_cf"
    )
    sun = np.nan_to_num(sun)[: 8760 * 4].reshape(-1, 4).mean(axis=1)
    farms = read_table(energy / "gefcom2012_wind.csv.gz", ("wp1", "wp2", "wp3", "wp4"))
    wind = np.nan_to_num(np.mean([farms.optional_numbers(f"wp{each}") for each in range(1, 5)], axis=0))
    # From the first of January 2010 on.
    wind = wind[4416 : 4416 + 8760]
    factors = read_table(energy / "grid_factors_cn_2021_2022.csv", ("region", "kgco2_per_kwh_2022"))
    by_name = dict(zip(factors.texts("region"), factors.numbers("kgco2_per_kwh_2022"), strict=True))
    return jobs, region.Region(
        NAMES,
        CARDS,
        np.array([1250, 1300, 1150, 1150]),
        np.array([round(by_name[each] * 1_000_000) for each in PROVINCES]),
        _supply(wind, sun),
    )


def _supply(wind: Floats, sun: Floats) -> Ints:
    parts = [(w * wind + s * sun) * cards * 1000 for (w, s), cards in zip(GREEN, CARDS, strict=True)]
    return np.stack(parts).astype(np.int64)


def _by_root(price: int, jobs: Trace) -> Ints:
    """Return each job's price of an hour, as the root of its cards."""
    return np.asarray(np.sqrt(jobs.cards) * price).astype(np.int64)


def rows(jobs: Trace, sites: region.Region, *, quick: bool) -> Iterator[Row]:
    """Run the policies."""
    chance = np.random.default_rng(0).random(len(jobs))
    pinned = (chance < PINNED_PART) & (jobs.run_s < HOUR_S)
    work, now = green.deferrable(jobs), green.deferrable(jobs, 0, 0)
    learnt = green.learn(work, QUANTUM_S)
    at_once = green.learn(now, QUANTUM_S)

    def run(
        name: str,
        work: green.Work,
        learnt: green.Learnt,
        base: float = 0.0,
        spare: Sequence[int] = SPARE,
        price: int | Ints = 0,
    ) -> Iterator[Row]:
        policy = region.BEST_PLACE if base else region.IN_ORDER
        found = region.run_region(
            work, sites, learnt, pinned, policy, price=price, spare=spare, make_room=spare is SPARE
        )
        yield Row(
            f"bth_{name}_carbon",
            found.carbon_kg / (base or found.carbon_kg),
            "of latency order",
            "goal",
            TARGET,
        )
        yield Row(f"bth_{name}_green", found.green, "of energy", "goal", TARGET_GREEN)
        yield Row(f"bth_{name}_wait", found.wait_h, "h", "goal", TARGET_WAIT_H)
        yield Row(f"bth_{name}_delay_weighted", found.weighted_delay_h, "h by card-hours")
        yield Row(f"bth_{name}_stops", found.stops, "jobs that made room")
        yield Row(f"bth_{name}_pinned_broken", found.violations, f"of {int(pinned.sum())} pinned jobs")

    base = region.run_region(now, sites, at_once, pinned, region.IN_ORDER).carbon_kg
    yield from run("order", now, at_once, spare=())
    yield from run("place_only", now, at_once, base)
    for price in PRICES:
        yield from run(f"place_time_{price // 1000}g", work, learnt, base, price=_by_root(price, jobs))
    if not quick:
        yield from run("place_only_kept_free", now, at_once, base, KEPT_FREE)
        name, by_root = f"place_time_{PRICE // 1000}g", _by_root(PRICE, jobs)
        yield from run(f"{name}_kept_free", work, learnt, base, KEPT_FREE, by_root)
        known = green.knowing(work, QUANTUM_S)
        yield from run(f"known_lengths_{PRICE // 1000}g", work, known, base, price=by_root)
        longer = green.deferrable(jobs, long_wait_s=LONGER_S)
        for name, told in (
            ("place_time", green.learn(longer, QUANTUM_S)),
            ("known_lengths", green.knowing(longer, QUANTUM_S)),
        ):
            for price in LONGER_PRICES:
                by_root = _by_root(price, jobs)
                yield from run(f"{name}_72h_{price // 1000}g", longer, told, base, price=by_root)
        week = green.deferrable(jobs, 24 * HOUR_S, WEEK_S)
        for name, told in (
            ("place_time", green.learn(week, QUANTUM_S)),
            ("known_lengths", green.knowing(week, QUANTUM_S)),
        ):
            full = f"{name}_168h_{HALF_GREEN_PRICE // 1000}g_each_kept_free"
            yield from run(full, week, told, base, HALF_GREEN_FREE, HALF_GREEN_PRICE)
        for wait_h in (6, 24):
            carbon = least_carbon(jobs, sites, wait_h).carbon_kg / base
            yield Row(f"bth_bound_fluid_{wait_h}h_carbon", carbon, "of latency order", "goal", TARGET)
            share = most_green(jobs, sites, wait_h).green
            yield Row(f"bth_bound_fluid_{wait_h}h_green", share, "of energy", "goal", TARGET_GREEN)
        # Both goals at once: the least carbon within the goal of waits, and that of a schedule which is half green.
        for name, least in (("", 0.0), ("_half_green", TARGET_GREEN)):
            found = within(jobs, sites, pinned, work.wait // HOUR_S, TARGET_WAIT_H, least)
            if found is None:
                raise RuntimeError(f"no schedule is so green: {least}")
            yield Row(
                f"bth_bound_within{name}_carbon", found.carbon_kg / base, "of latency order", "goal", TARGET
            )
            yield Row(f"bth_bound_within{name}_green", found.green, "of energy", "goal", TARGET_GREEN)
    most_w = np.minimum(sites.green_w, (sites.cards * sites.pue_milli * sites.card_w // 1000)[:, None])
    least_wh = (
        int((jobs.run_s * jobs.cards).sum()) // HOUR_S * sites.card_w * int(sites.pue_milli.min()) // 1000
    )
    yield Row("bth_bound_green", int(most_w.sum()) / least_wh, "of energy", "goal", TARGET_GREEN)
    dark = replace(sites, green_w=np.zeros_like(sites.green_w))
    alone = region.run_region(now, dark, at_once, pinned, region.IN_ORDER).carbon_kg
    best = partial(
        region.run_region, work, learnt=learnt, pinned=pinned, policy=region.BEST_PLACE,
        price=_by_root(PRICE, jobs), spare=SPARE, make_room=True,
    )  # fmt: skip
    yield Row("bth_no_direct_supply_carbon", best(region=dark).carbon_kg / alone, "of latency order")
    seconds = timed(lambda: best(region=sites))
    yield Row("bth_jobs_per_s", len(jobs) / seconds, "jobs/s")


def main() -> None:
    """Print what is assumed, a table, and the rows as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--data", help="directory with traces/carbon and traces/energy (default: HUTONG_DATA)"
    )
    parser.add_argument("--quick", action="store_true", help="without the bound")
    args = parser.parse_args()
    print(__doc__.split("\n\n")[0], __doc__.split("\n\n")[1], sep="\n\n", end="\n\n")
    print_rows([rows(*load(find_traces(args.data, "carbon")), quick=args.quick)])


if __name__ == "__main__":
    main()

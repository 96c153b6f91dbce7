"""Frauds and faults of five kinds, put into simulated days of centres: how many the detector finds.

`make frauds SEED=1`. Honest days have what honest days have: meters of class 1, PUE that follows the weather, jobs of
unlike power, requeues, late ends, an agent that was away. What is under test is `core.witnesses.detect`, as live.
Prints one JSON line for each kind, way and size, then a table. A size is the card-time in question as a share
of all that the site could give on that day; of a clock it is how wrong it is.
"""

import argparse
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from bench.fraud_days import DAYS, PAST_DAYS, CentreDays, make_centre
from bench.fraud_ways import WAYS, Way

from hutong.core.witnesses.detect import detect
from hutong.core.witnesses.shapes import Bounds, DaySeen

CENTRES = 20
_SIZES = (0.01, 0.02, 0.05, 0.1, 0.2, 1.0)
_CLOCKS_S = (60, 120, 300, 1800, 10**9)


@dataclass
class Row:
    """What became of the frauds of one kind, way and size."""

    found: int = 0
    named: int = 0
    missed: int = 0


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    >>> [round(each, 3) for each in wilson(9, 10)]
    [0.596, 0.982]
    """
    if not of:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.975)
    share, spread = hits / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return middle - half, middle + half


def bucket(way: Way, size: float) -> str:
    """Return the class of a size."""
    if way.kind == "broken_chain":
        return "any"
    if way.kind == "clock_skew":
        clock = next(each for each in _CLOCKS_S if size <= each)
        return f"<= {clock} s" if clock < 10**9 else f"> {_CLOCKS_S[-2]} s"
    edge = next(each for each in _SIZES if size <= each)
    return f"<= {edge:.0%}" if edge < 1 else f"> {_SIZES[-2]:.0%}"


def seeded(
    centres: Sequence[CentreDays], count: int, chance: random.Random
) -> Iterator[tuple[Way, float, DaySeen]]:
    """Yield that many days with one fraud or fault each, the kinds in turn."""
    kinds = sorted({way.family for way in WAYS})
    ways = {kind: [way for way in WAYS if way.family == kind] for kind in kinds}
    for number in range(count):
        mine = ways[kinds[number % len(kinds)]]
        way = mine[number // len(kinds) % len(mine)]
        while True:
            centre = chance.choice(centres)
            day = chance.randrange(PAST_DAYS, DAYS)
            made = way.make(centre, day, chance)
            if made is not None:
                yield way, *made
                break


def run(
    seed: int, count: int, centre_count: int, bounds: Bounds
) -> tuple[Mapping[tuple[str, ...], Row], Counter[str], int]:
    """Return what was found by kind, way and size; false alarms by kind; and how many honest days there were."""
    chance = random.Random(seed)
    centres = [make_centre(chance, number) for number in range(centre_count)]
    rows: dict[tuple[str, ...], Row] = defaultdict(Row)
    for way, size, day in seeded(centres, count, chance):
        kinds = {each.kind.value for each in detect(day, bounds)}
        row = rows[way.kind, way.name, bucket(way, size)]
        if kinds & way.shows:
            row.found += 1
            row.named += way.kind in kinds
        else:
            row.missed += 1
    alarms: Counter[str] = Counter()
    honest = 0
    for centre in centres:
        for day_number in range(PAST_DAYS, DAYS):
            honest += 1
            seen = {each.kind.value for each in detect(centre.seen(day_number), bounds)}
            alarms.update(seen)
            alarms["any"] += bool(seen)
    return rows, alarms, honest


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--centres", type=int, default=CENTRES)
    asked = parser.parse_args()
    rows, alarms, honest = run(asked.seed, asked.count, asked.centres, Bounds())
    listed = sorted(rows.items(), key=lambda item: (*item[0][:2], _order(item[0][2])))
    for (kind, way, size), row in listed:
        low, high = wilson(row.found, row.found + row.missed)
        told = {
            "name": "fraud", "kind": kind, "way": way, "size": size, "found": row.found, "missed": row.missed,
            "named": row.named, "share_low": round(low, 3), "share_high": round(high, 3),
        }  # fmt: skip
        print(json.dumps(told), flush=True)
    for kind in sorted({*alarms, "any"}):
        low, high = wilson(alarms[kind], honest)
        told = {
            "name": "false_alarm", "kind": kind, "days": alarms[kind], "of": honest,
            "share_low": round(low, 5), "share_high": round(high, 5),
        }  # fmt: skip
        print(json.dumps(told), flush=True)
    _table(listed, alarms, honest)


def _order(size: str) -> tuple[int, float]:
    number = float("".join(each for each in size if each.isdigit() or each == ".") or 0)
    return size.startswith(">"), number


def _table(listed: Sequence[tuple[tuple[str, ...], Row]], alarms: Counter[str], honest: int) -> None:
    print(f"\n{'kind':<14} {'way':<26} {'size':<10} {'found':>6} {'missed':>7}   share, 95 %")
    totals: dict[str, Row] = defaultdict(Row)
    for (kind, way, size), row in listed:
        low, high = wilson(row.found, row.found + row.missed)
        print(f"{kind:<14} {way:<26} {size:<10} {row.found:>6} {row.missed:>7}   {low:.2f} to {high:.2f}")
        total = totals[kind]
        totals[kind] = replace(total, found=total.found + row.found, missed=total.missed + row.missed)
    print(f"\n{'kind':<14} {'found':>6} {'missed':>7} {'false alarms':>13} (of {honest} honest days)")
    for kind, row in totals.items():
        print(f"{kind:<14} {row.found:>6} {row.missed:>7} {alarms[kind]:>13}")
    found, missed = sum(row.found for row in totals.values()), sum(row.missed for row in totals.values())
    low, high = wilson(alarms["any"], honest)
    print(f"{'all':<14} {found:>6} {missed:>7} {alarms['any']:>13}   {low:.4f} to {high:.4f} of honest days")


if __name__ == "__main__":
    main()

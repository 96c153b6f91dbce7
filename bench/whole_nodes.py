"""What the part fragmentation does to waits: Philly over its virtual clusters as pools, with the weights of `balanced`.

`python -m bench.whole_nodes [--data DIR]` prints JSON lines. Prices are the same everywhere, or up to half as high again;
wide jobs take all cards of a node or of several. The baseline is the same without the part.
"""

import argparse
from pathlib import Path

import numpy as np
from bench.data import find_traces
from bench.rows import told
from bench.simulator import philly

from hutong.core.placement.columns import PPM, Backfill
from hutong.sim import fused
from hutong.sim.rules import Queueing
from hutong.sim.scores import Scores
from hutong.sim.world import prepare

PRICE, FIT, WHOLE = 6, 2, 1  # as in policies/placement/balanced.yaml


def main() -> None:
    """Print every row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data (default: HUTONG_DATA)")
    folder = find_traces(parser.parse_args().data)
    for name in ("week1", "oct2017"):
        trace, cluster = philly(folder, name)
        wide = trace.cards >= 8
        dearer = np.random.default_rng(1).integers(0, PPM // 2, len(cluster.names))
        for label, price in (("equal", PPM + 0 * dearer), ("unequal", PPM + dearer)):
            base = PRICE * (PPM * price.min() // price)
            waits = {}
            for whole in (0, WHOLE):
                scores = Scores(lambda *_, base=base: base, FIT, PRICE + FIT + whole, whole_weight=whole)
                ready = prepare(
                    trace, cluster, Queueing.FIFO, Backfill.EASY, isolated=False, scores=scores, by_node=True
                )
                wait = fused.run(ready).start_s - trace.submit_s
                waits[whole] = float(wait[wide].mean()), float(wait.mean())
            for which, part in enumerate(("wide", "all")):
                row = f"mean_wait_{part}_{name}_{label}_prices"
                told(row, waits[WHOLE][which], "s", "without the part", round(waits[0][which], 1))


if __name__ == "__main__":
    main()

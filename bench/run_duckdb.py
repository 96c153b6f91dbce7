"""Run by the Python that has DuckDB: reads records of use from a CSV, and prints how long each question takes.

`run_duckdb.py FILE TIMES NAME FROM_MS UPTO_MS [NAME FROM_MS UPTO_MS ...]` adds the records that ended in a span up
by site and accelerator, scanning them all each time; JSON: milliseconds of each run, by name.
"""

import json
import sys
import time

import duckdb  # type: ignore[import-not-found,unused-ignore]

ASK = (
    "SELECT site, sku, sum(quantity), sum(charge_micro), sum(energy_j), sum(green_j), sum(co2_mg)"
    " FROM usage WHERE upto_ms >= ? AND upto_ms < ? GROUP BY ALL"
)


def main() -> None:
    """Run it."""
    file, times, *spans = sys.argv[1:]
    base = duckdb.connect()
    base.execute("CREATE TABLE usage AS SELECT * FROM read_csv(?, header = true)", [file])
    took: dict[str, list[float]] = {}
    for name, from_ms, upto_ms in zip(spans[::3], spans[1::3], spans[2::3], strict=True):
        for _ in range(int(times)):
            began = time.perf_counter()
            base.execute(ASK, [int(from_ms), int(upto_ms)]).fetchall()
            took.setdefault(name, []).append(1000 * (time.perf_counter() - began))
    print(json.dumps(took))


if __name__ == "__main__":
    main()

"""Faults of every engine, tried on the real ones: runs their fault tests and prints a table of what held.

`python -m bench.faults --count 200 --seed 1` kills a submitter 200 times for each engine that has such a test. Each row is a
test that asserts that nothing ran twice, nothing was left running, and nothing that lived was called lost; exits 1 if one fails.
"""

import argparse
import os
import sys
from collections import Counter

import pytest
from rich.console import Console
from rich.table import Table

FILES = {
    "local": ("tests/adapters/engines/local/test_processes.py", "tests/agent/test_full_disk.py"),
    "slurm": ("tests/adapters/engines/slurm/test_faults.py",),
    "ray": ("tests/adapters/engines/ray/test_engine.py",),
    "kubernetes": ("tests/adapters/engines/kubernetes/test_faults.py",),
    "loop and agents": ("tests/world",),
}


class Results:
    """What pytest says of each test, kept for the table."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, float]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst phase of a test and its time, in seconds."""
        outcome, spent_s = self.rows.get(report.nodeid, ("passed", 0.0))
        worse = report.outcome if report.outcome != "passed" else outcome
        self.rows[report.nodeid] = (worse, spent_s + report.duration)


def engine_of(nodeid: str) -> str:
    """Return the engine whose file holds a test."""
    return next(name for name, files in FILES.items() if nodeid.startswith(files))


def main() -> int:
    """Run the tests and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=list(FILES), help="only this one")
    given = parser.parse_args()
    os.environ |= {"HUTONG_FAULTS": str(given.count), "HUTONG_SEED": str(given.seed)}
    chosen = [given.engine] if given.engine else list(FILES)
    results = Results()
    paths = [path for name in chosen for path in FILES[name]]
    code = pytest.main(["-q", "-p", "no:randomly", "--timeout=1800", "-n", "0", *paths], plugins=[results])
    table = Table("engine", "fault", "held", "s")
    for nodeid, (outcome, spent_s) in results.rows.items():
        fault = nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        table.add_row(engine_of(nodeid), fault, "yes" if outcome == "passed" else outcome, f"{spent_s:.1f}")
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    counts = Counter(outcome for outcome, _ in results.rows.values())
    console.print(
        f"seed {given.seed}, {given.count} kills a test: {counts['passed']} faults held, {counts['failed']} did not"
    )
    return int(code)


if __name__ == "__main__":
    sys.exit(main())

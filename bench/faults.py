"""Faults of every engine, tried on the real ones: runs their fault tests and prints a table of what held.

`python -m bench.faults --count 200 --seed 1` kills clients and agents 200 times for each engine. Each row is a test that
asserts that nothing ran twice, nothing was left running, and nothing that lived was called lost; exits 1 if one fails or
did not run. How far it is goes to standard error. `bench.fault_rows` says which test tries what. `--all` adds what else may go wrong with an engine.
"""

import argparse
import os
import sys
import time
from collections import Counter

import pytest
from bench.fault_rows import ENGINES, FILES, NONE, REAL, ROWS
from rich.console import Console
from rich.table import Table
from tests import faults

_TELL_EVERY = 20


class Results:
    """What pytest says of each test, kept for the table."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, float]] = {}
        self.counted: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst phase of a test, its time in seconds, and what it counted."""
        told = dict(report.user_properties)
        if "counted" in told:
            self.counted[report.nodeid] = str(told["counted"])
        outcome, spent_s = self.rows.get(report.nodeid, ("passed", 0.0))
        worse = report.outcome if report.outcome != "passed" else outcome
        self.rows[report.nodeid] = (worse, spent_s + report.duration)


class Progress:
    """Says on standard error which test begins, how many there are, and how many kills it has had."""

    def __init__(self, kills: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._begin = time.monotonic()
        self._kills, self._killed = kills, 0
        self._all, self._begun = 0, 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn how many tests there are."""
        self._all = len(session.items)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say that a test begins."""
        self._begun, self._killed = self._begun + 1, 0
        self._say(f"{self._begun}/{self._all} {nodeid.removeprefix('tests/')}")

    def killed(self) -> None:
        """Count a kill; say so now and then."""
        self._killed += 1
        if self._killed % _TELL_EVERY == 0:
            self._say(f"{self._killed} of {self._kills} kills")

    def _say(self, what: str) -> None:
        self._console.print(f"{time.monotonic() - self._begin:6.0f} s  {what}", markup=False, soft_wrap=True)


def chosen(engines: tuple[str, ...], *, everything: bool) -> list[str]:
    """Return what pytest shall run: a test once, however often it is named."""
    rows = [test for row in ROWS.values() for engine in engines for test in row.get(engine, ())]
    files = [file for engine in engines for file in FILES[engine]] if everything else []
    return list(dict.fromkeys([*files, *(row for row in rows if row.partition("::")[0] not in files)]))


def told(name: str, results: Results) -> tuple[str, float]:
    """Return the worst outcome of a test and the time of all its cases; a test that did not run is a failure."""
    cases = [row for nodeid, row in results.rows.items() if nodeid == name or nodeid.startswith(f"{name}[")]
    bad = [outcome for outcome, _ in cases if outcome != "passed"]
    return (bad[0] if bad else "passed" if cases else "not run", sum(spent_s for _, spent_s in cases))


def words(name: str) -> str:
    """Return what a test is called, as a sentence."""
    if name.endswith("::runTest"):  # a state machine is told from another by its class
        return "random histories on SQLite" if "Disk" in name else "random histories in memory"
    return name.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")


def tabulate(engines: tuple[str, ...], results: Results, *, everything: bool) -> tuple[Table, Counter[str]]:
    """Return the table, by fault and then by engine, and how many rows held."""
    table, counts = Table("engine", "fault", "held", "s", "counted"), Counter[str]()

    def add(engine: str, name: str) -> None:
        outcome, spent_s = told(name, results)
        counts[outcome] += 1
        held = "yes" if outcome == "passed" else outcome
        table.add_row(engine, f"  {words(name)}", held, f"{spent_s:.1f}", results.counted.get(name, ""))

    for fault, row in ROWS.items():
        none = {engine: why for engine, why in NONE.get(fault, {}).items() if engine in engines}
        if not none and not row.keys() & set(engines):
            continue
        table.add_section()
        table.add_row("", f"[bold]{fault}[/bold]")
        for engine in engines:
            for name in row.get(engine, ()):
                add(engine, name)
            if engine in none:
                table.add_row(engine, f"  cannot happen: {none[engine]}", "-", "-")
            elif engine not in row and engine in REAL and row.keys() & set(REAL):
                table.add_row(engine, "  nothing tries it", "no", "-")
                counts["not tried"] += 1
    if everything:
        known = {name for row in ROWS.values() for names in row.values() for name in names}
        rest = dict.fromkeys(nodeid.partition("[")[0] for nodeid in results.rows)
        table.add_section()
        table.add_row("", "[bold]what else may go wrong[/bold]")
        for name in rest.keys() - known:
            engine = next((each for each in engines if name.startswith(FILES[each])), "")
            if engine:
                add(engine, name)
    return table, counts


def main() -> int:
    """Run the tests and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this one")
    parser.add_argument("--all", action="store_true", help="all fault tests of the engines")
    given = parser.parse_args()
    os.environ |= {"HUTONG_FAULTS": str(given.count), "HUTONG_SEED": str(given.seed)}
    engines = tuple(given.engine or ENGINES)
    results, progress = Results(), Progress(given.count)
    faults.WATCHERS.append(progress.killed)
    paths = chosen(engines, everything=given.all)
    options = ["-q", "-p", "no:randomly", "--timeout=7200", "-n", "0", "--show-capture=no"]
    code = pytest.main([*options, *paths], plugins=[results, progress])
    table, counts = tabulate(engines, results, everything=given.all)
    console = Console(width=None if sys.stdout.isatty() else 170)
    console.print(table)
    held = counts.pop("passed", 0)
    console.print(
        f"seed {given.seed}, {given.count} kills a test: {held} faults held, {counts.total()} did not"
    )
    return int(code) or int(counts.total() > 0)


if __name__ == "__main__":
    sys.exit(main())

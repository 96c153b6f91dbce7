"""A year of a city's usage, from a real trace: closing, statements, invoices, exports; how long, how much memory.

`python -m bench.year [--records N] [--store sqlite|postgres] [--data DIR] [--validate month|all|none] [--quick]`

Each step runs in a process of its own; `..._mb` is its largest resident memory, all modules of the server
included (PostgreSQL's own processes are not). What a step does is in `bench.year_steps`, what the year is made
of in `bench.city_year`. Baselines are bare drivers over the same rows in the same run; what they leave out is
the work. At the end the sums of statements, invoices and files are compared with plain SQL, and files go to the
FinOps Foundation's validator (`make focus` installs it) and to Beancount: anything wrong ends with an error.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from bench import year_steps as steps
from bench.city_year import TRACE, City, Made, fill, make_city
from bench.data import find_traces
from bench.rows import told
from scripts.validate_focus import VENV, validate
from tests.postgres import Postgres

LIMIT_MB = 500
SAMPLE = 2  # March


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step took, and what it gave back."""

    seconds: float
    peak_mb: float
    answer: object


def measured(work: Callable[..., object], *given: object) -> Cost:
    """Run work in a fresh process and return what it took there."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(there, work, given))
    child.start()
    there.close()
    try:
        cost = here.recv()
    except EOFError:
        sys.exit(f"{getattr(work, '__name__', work)} did not end as it should; see above")
    finally:
        child.join()
    assert isinstance(cost, Cost)
    return cost


def _child(pipe: Connection, work: Callable[..., object], given: tuple[object, ...]) -> None:
    start = time.perf_counter()
    answer = work(*given)
    pipe.send(Cost(time.perf_counter() - start, _peak_mb(), answer))


def _peak_mb() -> float:
    """Return the largest resident memory of this process since it began (that of its parent is not in it)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def check_journal(path: Path) -> int:
    """Let Beancount judge a journal; return how many entries it found."""
    from beancount import loader

    entries, errors, _ = loader.load_file(str(path))
    assert not errors, errors[:5]
    return len(entries)


def check_focus(path: Path) -> tuple[str, float]:
    """Let the validator judge an export; return its totals and the memory that it took in MB."""
    total, failed = validate(path)
    assert not failed, failed[:20]
    return total, getrusage(RUSAGE_CHILDREN).ru_maxrss / 1024


def run(url: str, city: City, records: int, seed: int, folder: Path, validated: str) -> None:
    """Make the year and measure each step."""
    filled = measured(fill, url, city, records, seed)
    made = filled.answer
    assert isinstance(made, Made)
    print(f"{made} from {city.trace.name}", file=sys.stderr)
    told("year_fill", records / filled.seconds, "records/s")
    os.sync()
    book = steps.book_of(url, city, folder)
    total, most = 0.0, 0.0
    for name, work in steps.STEPS.items():
        cost = measured(steps.run, book, work)
        baseline, bare_work = steps.BASELINES.get(name, ("", None))
        bare = measured(steps.run, book, bare_work).seconds if bare_work else None
        told(f"year_{name}", cost.seconds, "s", baseline, bare and round(bare, 2), less=True)
        told(f"year_{name}_mb", cost.peak_mb, "MB")
        print(f"{name}: {cost.answer}", file=sys.stderr)
        total += 0 if name == "check_ledger" else cost.seconds
        most = max(most, cost.peak_mb)
    told("year_total", total, "s")
    told("year_most_mb", most, "MB", "the goal", LIMIT_MB, less=True)
    told("year_invoices_that_agree", float(str(measured(steps.run, book, steps.check_sums).answer)), "1")
    _judged(book, validated)
    assert most < LIMIT_MB, most


def _judged(book: steps.Book, validated: str) -> None:
    journal = book.folder / f"journal-{book.months[SAMPLE]}.beancount"
    cost = measured(check_journal, journal)
    told("year_bean_check_month", cost.seconds, "s")
    names = {"month": book.months[SAMPLE : SAMPLE + 1], "all": book.months, "none": ()}[validated]
    for name in names:
        cost = measured(check_focus, book.folder / f"focus-{name}.csv")
        assert isinstance(cost.answer, tuple)
        print(f"{name}: {cost.answer[0]}", file=sys.stderr)
        told(f"year_focus_validator_{name}", cost.seconds, "s")
        told(f"year_focus_validator_{name}_mb", cost.answer[1], "MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 records, within 50 s")
    parser.add_argument("--records", type=int, default=0, help="of use; 1,000,000 where not said")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--data", help="the folder that has the folder `traces`")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--validate", choices=("month", "all", "none"), default="month")
    parser.add_argument("--work", type=Path, help="where the book and the files are written and left")
    given = parser.parse_args()
    records = given.records or (10_000 if given.quick else 1_000_000)
    if records < 24:
        parser.error(f"--records: {records} is too few for twelve months; give 24 or more")
    if given.validate != "none" and not (VENV / ".ready").exists():
        parser.error("--validate: the validator is not there; `make focus` installs it, or say none")
    city = make_city(find_traces(given.data, "philly") / TRACE, records)
    with tempfile.TemporaryDirectory(prefix="hutong-year-") as scratch:
        folder = given.work or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if given.store == "sqlite":
            file = folder / "year.db"
            if file.exists():
                parser.error(f"--work: {file} is there already; name another folder")
            run(f"sqlite:///{file}", city, records, given.seed, folder, given.validate)
        else:
            with Postgres(durable=True) as server:
                run(server.new_database(), city, records, given.seed, folder, given.validate)


if __name__ == "__main__":
    main()

"""Kill -9 API, loop, gateway, agents or everything at random while jobs run, then look for what went wrong.

`python -m bench.kill --count 200 --seed 1` prints a table and exits 1 if anything did: a job that did not end, an attempt
that ran twice, a second attempt that nothing called for, a process left behind, a charge missing or wrong. Each job writes
down that it ran; the seed decides who is killed and when, as far as the machine's own timing lets it.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx2
from rich.console import Console
from rich.table import Table

from hutong import Client
from hutong.adapters.store.open import open_store
from hutong.config import Settings
from hutong.core.book.money import Txn, UsageRecord
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import JobQuery
from hutong.core.kernel.errors import HutongError
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.replay import replay
from hutong.wire.accounts import Institution, NewProject
from hutong.wire.base import Money
from hutong.wire.money import NewAward

Row = TypeVar("Row", Txn, UsageRecord)
LAB = ProjectId("kill")
PARTS = 6  # API, loop, gateway and the agents of three sites
DOCUMENT = {
    "name": "killed-around",
    "resources": {"accelerators": {"H100": 1, "Ascend910B": 1, "MLU370": 1}},
    "run": 'echo "$HUTONG_KEY" >> "$HOME/ran"\nsleep $(( HUTONG_ATTEMPT > 0 ? $RANDOM % 3 : 0 )).$(( RANDOM % 10 ))',
    "max_duration": "10m",
}


@dataclass(slots=True)
class Platform:
    """`hutong up` as a child that is killed and started again."""

    data: Path
    process: subprocess.Popen[bytes] | None = None
    kills: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        """Start it, and wait until it says where it listens."""
        command = [sys.executable, "-m", "hutong.main", "up", "--data", str(self.data), "--scenario", "demo"]
        log = (self.data / "up.log").open("ab")
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--gateway-port", "0"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        log.close()
        wait_until(self._ready, 120, "the platform to come up")

    def _ready(self) -> bool:
        """True once `up` has started all parts, the agents last, and the API answers."""
        told = self.told()
        if self.process is None or told.get("pid") != self.process.pid or len(self.children()) < PARTS:
            return False
        try:
            return httpx2.get(f"{told['api']}/healthz", timeout=2.0).status_code == 200
        except httpx2.HTTPError:
            return False

    def told(self) -> dict[str, object]:
        """Return what `up` says of itself; empty while it is starting."""
        try:
            document: dict[str, object] = json.loads((self.data / "up.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return document

    def children(self) -> dict[str, int]:
        """Return the pids of the processes that run now, by name."""
        children = self.told().get("children", {})
        assert isinstance(children, dict)
        return {name: each["pid"] for name, each in children.items() if each["pid"]}

    def kill_one(self, chance: random.Random) -> None:
        """Kill somebody: mostly one process, now and then all of them with the one that looks after them."""
        names = sorted(self.children())
        if not names:
            return
        victim = chance.choice(names) if chance.random() < 0.85 else "everything"
        self.kills[victim] += 1
        if victim != "everything":
            kill(self.children().get(victim, 0))
            return
        pids = list(self.children().values())
        assert self.process is not None
        self.process.kill()
        for pid in pids:
            kill(pid)
        self.process.wait()
        self.start()

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


def kill(pid: int) -> None:
    """SIGKILL, if it still lives."""
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def wait_until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:.0f} s for {what}")
        time.sleep(0.1)


def client_of(platform: Platform, token: str) -> Client:
    """Return a client of the platform where it listens now."""
    return Client(str(platform.told()["api"]), token)


def insist(work: Callable[[], object], within_s: float = 120) -> object:
    """Do something that the kills get in the way of until it is done."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return work()
        except (HutongError, OSError, KeyError) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"gave up after {within_s:.0f} s: {error}") from error
            time.sleep(0.3)


def open_project(client: Client) -> None:
    """Open an institution, a project and an award, as an operator does."""
    client.institutions.create(Institution(id="uni", kind="university", name_zh="大学", name_en="University"))
    client.projects.create(NewProject(id=LAB, institution="uni", title="Killed around", owner="admin"))
    award = NewAward(
        amount=Money(amount="100000"), starts="2026-01-01T00:00:00.000Z", ends="2036-01-01T00:00:00.000Z"
    )
    client.projects.award(LAB, award)


def submit_all(platform: Platform, token: str, count: int, ids: dict[int, str]) -> None:
    """Submit every job, each under one idempotency key however often its reply is lost."""
    for number in range(count):

        def once(key: str = f"job-{number}") -> str:
            with client_of(platform, token) as client:
                return client.jobs.submit(LAB, DOCUMENT, key=key).id

        ids[number] = str(insist(once))


def unfinished(platform: Platform, token: str, ids: dict[int, str]) -> int:
    """Return how many of the jobs have not ended; all of them while nobody answers."""
    final = {"SUCCEEDED", "FAILED", "CANCELLED", "REJECTED", "EXPIRED"}
    try:
        with client_of(platform, token) as client:
            done = sum(job.state in final for job in client.jobs.list(project=LAB, limit=len(ids) + 10))
    except (HutongError, OSError, KeyError):
        return len(ids)
    return len(ids) - done


def left_behind(data: Path) -> list[int]:
    """Return processes that carry one of this run's attempt keys."""
    mark = str(data).encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                environ = (folder / "environ").read_bytes()
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in line or (b"HUTONG_KEY=ht-" in environ and mark in environ):
                found.append(int(folder.name))
    return found


def examine(data: Path, count: int) -> tuple[dict[str, object], list[str]]:
    """Return the figures of a run and its faults, from the book and from what the jobs wrote themselves."""
    store = open_store(Settings.load(data).database_url)
    faults: list[str] = []
    try:
        rows: list[JobRow] = []
        before = ""
        while page := store.jobs(JobQuery(frozenset({LAB}), before=before, limit=100)):
            rows += page
            before = page[-1].job.id
        ran = Counter(
            line for path in data.glob("sites/**/attempts/ht-*/work/ran") for line in path.read_text().split()
        )
        txns, usage = (
            _records(lambda after: store.txns(LAB, "", after, 200)),
            _records(lambda after: store.usage(LAB, "", after, 200)),
        )
        replayed, check, holds = replay(txns, usage), store.check_ledger(), store.holds(LAB, 10)
    finally:
        store.close()
    states = Counter(row.job.state.value for row in rows)
    attempts = [attempt for row in rows for attempt in row.job.attempts]
    charged = sum(attempt.charge_micro for attempt in attempts)
    expected = {
        "jobs in the book": (len(rows), count),
        "jobs that succeeded": (states["SUCCEEDED"], count),
        "attempts": (len(attempts), count),
        "attempts that ran": (len(ran), count),
        "attempts that ran more than once": (sum(times > 1 for times in ran.values()), 0),
        "open holds": (len(holds), 0),
        "ledger faults": (len(check.faults), 0),
        "replay faults": (len(replayed.faults), 0),
        "charges of attempts minus revenue": (charged - replayed.revenue_micro, 0),
        "usage records": (len(usage), count),
    }
    faults += [
        f"{name}: {got}, expected {wanted}" for name, (got, wanted) in expected.items() if got != wanted
    ]
    faults += [*check.faults[:5], *replayed.faults[:5]]
    faults += [
        f"{row.job.id} is {row.job.state}: {row.job.reason}" for row in rows if row.job.state != "SUCCEEDED"
    ][:5]
    figures: dict[str, object] = {name: got for name, (got, _) in expected.items()}
    figures["adopted attempts"] = sum(attempt.adopted for attempt in attempts)
    return figures, faults


def _records(read: Callable[[str], tuple[Row, ...]]) -> list[Row]:
    found: list[Row] = []
    while page := read(found[-1].id if found else ""):
        found += page
    return found


def run(count: int, seed: int, console: Console) -> list[str]:
    """Run the whole thing; return its faults."""
    chance = random.Random(seed)
    data = Path(tempfile.mkdtemp(prefix="hutong-kill-"))
    platform = Platform(data)
    ids: dict[int, str] = {}
    try:
        # On a slow machine processes take longer to get to work; killed as often, they never would.
        start_s = time.monotonic()
        platform.start()
        start_s = time.monotonic() - start_s
        token = json.loads((data / "keys" / "admin.json").read_text())["token"]
        with client_of(platform, token) as client:
            open_project(client)
        began = time.monotonic()
        submitter = threading.Thread(target=submit_all, args=(platform, token, count, ids), daemon=True)
        submitter.start()
        with console.status("jobs run, processes die") as status:
            while submitter.is_alive() or unfinished(platform, token, ids):
                time.sleep(start_s * chance.uniform(0.05, 0.4))
                if time.monotonic() - began > (15 + 1.5 * count) * max(4, start_s):
                    raise TimeoutError(f"{unfinished(platform, token, ids)} of {len(ids)} jobs did not end")
                left = unfinished(platform, token, ids)
                if submitter.is_alive() or left:
                    platform.kill_one(chance)
                status.update(f"{len(ids)} submitted, {left} to go, {platform.kills.total()} kills")
        took_s = time.monotonic() - began
    finally:
        platform.stop()
    figures, faults = examine(data, count)
    orphans = left_behind(data)
    faults += [f"process {pid} was left behind" for pid in orphans]
    table = Table(title=f"{count} jobs, seed {seed}, {platform.kills.total()} kills in {took_s:.0f} s")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, times in sorted(platform.kills.items()):
        table.add_row(f"kill -9 {name}", str(times))
    table.add_section()
    for name, value in [*figures.items(), ("processes left behind", len(orphans))]:
        table.add_row(name, str(value))
    console.print(table)
    return faults


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    console = Console()
    faults = run(told.count, told.seed, console)
    for fault in faults:
        console.print(f"[red]fault:[/red] {fault}")
    if faults:
        sys.exit(1)
    console.print("no duplicate run, no orphan, no lost charge, and every job ended")


if __name__ == "__main__":
    main()

"""What a testbed of `Household` leaves behind: nothing, also where it stands in another one."""

import os
import subprocess
import sys
from pathlib import Path

from testbeds.daemons import wait_for

NESTED = """
import os, time
from testbeds.processes import Household
outer = Household("outer")
os.environ[Household.MARK] = str(outer.folder)
inner = Household("inner")
for house in (outer, inner):
    house.spawn("sleeper", ["sleep", "600"], os.environ)
pids = [daemon.process.pid for house in (outer, inner) for daemon in house.daemons]
print(outer.folder, inner.folder, *pids, flush=True)
time.sleep(600)
"""


def test_a_bed_within_a_bed_that_is_killed_leaves_no_process_and_no_folder() -> None:
    root = Path(__file__).parents[2]
    run = subprocess.Popen(
        [sys.executable, "-c", NESTED], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert run.stdout is not None
    with run.stdout:
        outer, inner, *pids = run.stdout.readline().split()
    run.kill()
    run.wait()
    left = [Path(outer), Path(inner), *(Path(f"/proc/{pid}") for pid in pids)]
    wait_for(lambda: not any(path.exists() for path in left), 30, "nothing is left")
    assert len(pids) == 2

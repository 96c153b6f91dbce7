"""What beds stand on: nothing outlives the bed, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from testbeds.daemons import NAMESPACE, Daemon, wait_for

FLEEING = "setsid sleep 600 & echo $! > {pids}; sleep 600"  # one that leaves its session
RUN = """
import sys, time
from pathlib import Path
from testbeds.daemons import NAMESPACE, Daemon
folder = Path(sys.argv[1])
Daemon("fleeing", [*NAMESPACE, "sh", "-c", sys.argv[2]], log=folder / "log").start()
time.sleep(600)
"""


def test_killing_a_daemon_ends_what_it_started(tmp_path: Path) -> None:
    script = FLEEING.format(pids=tmp_path / "pids")
    daemon = Daemon("fleeing", ["sh", "-c", script], log=tmp_path / "log")
    daemon.start()
    wait_for(lambda: len(daemon.processes()) == 2, 30, "both sleeps run", daemons=[daemon])
    daemon.kill()
    assert (daemon.alive, daemon.failed, daemon.processes()) == (False, False, [])


def test_a_killed_test_run_leaves_nothing(tmp_path: Path) -> None:
    script = FLEEING.format(pids=tmp_path / "pids")
    root = Path(__file__).parents[2]
    run = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path), script], cwd=root)
    same = Daemon("fleeing", [*NAMESPACE], log=tmp_path / "log")  # never started: it knows the same mark
    try:
        wait_for(lambda: len(same.processes()) >= 3, 30, "all of it runs")
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    wait_for(lambda: not same.processes(), 30, "nothing is left")


def test_a_daemon_that_ends_by_itself_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    daemon = Daemon("weak", ["sh", "-c", "echo no licence; exit 1"], log=tmp_path / "log")
    daemon.start()
    with pytest.raises(RuntimeError, match="weak ended by itself: no licence"):
        wait_for(lambda: False, 30, "never", daemons=[daemon])
    daemon.kill()


def test_waiting_ends_and_says_for_what() -> None:
    with pytest.raises(TimeoutError, match="not within 0 s: rain"):
        wait_for(lambda: None, 0, "rain")

"""Simulated runs as a job array of Slurm: a plan in a folder that all nodes see, and an answer for each run.

`FOLDER/<digest of the plan>/plan` is read by every task, which writes one file for each run that it makes.
What is there is not made again, so the same command goes on where another ended. Options of sbatch are given
by its own variables, as SBATCH_PARTITION or SBATCH_TIMELIMIT.
"""

import os
import pickle
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkstemp

from hutong.core.kernel.errors import Later, Refused
from hutong.sim.compare import Result
from hutong.sim.sweep import Answer, Failure, Plan, Spreader, answer

_TASKS = 200
_LOOK_S = 0.5


def on_slurm(folder: Path) -> Spreader:
    """Return a spreader over the cluster that sbatch talks to.

    Raises Refused where there is no sbatch or the folder is not one's own, Later where tasks failed.
    """

    def spread(plan: Plan, places: Sequence[int]) -> Iterator[tuple[int, Answer]]:
        own = _prepare(folder, plan)
        left = set(places)
        yield from _gather(own, left)
        if not left:
            return
        tasks = min(len(left), _TASKS)
        with _submit(own, tasks) as array:
            ended = False
            while left and not ended:
                ended = array.poll() is not None  # looked at first: what was written before its end is seen
                yield from _gather(own, left)
                if left and not ended:
                    time.sleep(_LOOK_S)
            said = array.communicate()[1].strip()
        if left:
            raise Later(f"{len(left)} runs of {len(places)} are missing: {said or f'see {own}/*.log'}")

    return spread


def make_part(own: Path, task: int, tasks: int) -> None:
    """Make every run of a plan that is due to a task of so many, and is not there yet."""
    plan = _load(own / "plan")
    if not isinstance(plan, Plan):
        raise Refused("simulation", f"{own} holds no plan")
    for place in range(task, len(plan.cases), tasks):
        if not (own / f"{place}.run").exists():
            _write(own / f"{place}.run", answer(plan, place))


def _prepare(folder: Path, plan: Plan) -> Path:
    own = (folder / plan.digest[:16]).absolute()
    try:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (own / "plan").exists():
            _write(own / "plan", plan)
    except OSError as error:
        raise Refused("simulation", f"{own} cannot be written: {error.strerror}") from error
    return own


def _submit(own: Path, tasks: int) -> subprocess.Popen[str]:
    part = shlex.join([sys.executable, "-m", "hutong.sim.on_slurm", str(own)])
    script = f'#!/bin/sh\nexec {part} "$SLURM_ARRAY_TASK_ID" {tasks}\n'
    command = ["sbatch", "--wait", "--job-name=hutong-simulate", f"--array=0-{tasks - 1}"]
    command += [f"--output={own}/%A_%a.log"]
    try:
        array = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError as error:
        raise Refused("simulation", "--on slurm needs sbatch, the client of Slurm; it is missing") from error
    if array.stdin:
        array.stdin.write(script)
        array.stdin.close()
        array.stdin = None
    return array


def _gather(own: Path, left: set[int]) -> Iterator[tuple[int, Answer]]:
    for place in sorted(left):
        path = own / f"{place}.run"
        if path.exists():
            found = _load(path)
            if not isinstance(found, Result | Failure):
                raise Refused("simulation", f"{path} holds no run")
            left.remove(place)
            yield place, found


def _write(path: Path, value: Plan | Answer) -> None:
    handle, part = mkstemp(prefix=f"{path.name}.", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        pickle.dump(value, file)
    Path(part).replace(path)


def _load(path: Path) -> object:
    """Return what a pickle holds; it may run anything, so nobody else must be able to write it."""
    for each in (path, path.parent):
        about = each.stat()
        if about.st_uid != os.getuid() or about.st_mode & 0o022:
            raise Refused("simulation", f"{each} belongs to, or can be written by, somebody else")
    found: object = pickle.loads(path.read_bytes())  # noqa: S301 - one's own, see above
    return found


if __name__ == "__main__":
    make_part(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

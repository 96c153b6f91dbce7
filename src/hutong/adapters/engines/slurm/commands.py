"""Slurm by its own programs: one process a question, bounded in time, its errors sorted into ours."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from hutong.adapters.engines.slurm import build, parse
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.adapters.engines.slurm.nodes import SHOW_NODES, WAITING_FIELDS, Node, read_nodes, read_waits
from hutong.adapters.engines.slurm.parse import Record
from hutong.core.kernel.errors import Later, Problem, Refused

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sacct", "sacctmgr", "sinfo")
_NAMES_AT_ONCE = 100
# What no amount of waiting changes; anything else is tried again.
_NEVER = re.compile(
    r"invalid (account|partition|qos|feature|generic resource|license|user|constraint|reservation|wckey)"
    r"|requested node configuration is not available|node count specification invalid"
    r"|more processors requested than permitted|requested time limit is invalid|invalid generic resource"
    r"|job violates accounting/qos policy|user/group not authorized|access/permission denied"
    r"|job size specification needs to be provided|requested partition configuration not available"
    r"|unrecognized option|invalid .* specification|memory specification can not be satisfied"
    r"|batch job submission failed: (unspecified error|invalid)",
    re.IGNORECASE,
)


class Commands:
    """The programs of one cluster, run with an environment of their own."""

    def __init__(self, config: SlurmConfig, user: str) -> None:
        self._config = config
        self._user = user
        folder = str(config.bin) if config.bin else os.environ.get("PATH", os.defpath)
        self.programs = {name: shutil.which(name, path=folder) or name for name in PROGRAMS}
        self._env = {
            "PATH": folder,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "SLURM_TIME_FORMAT": "%s",
            "HOME": str(config.folder.root),
            **({"SLURM_CONF": str(config.conf)} if config.conf else {}),
        }

    def submit(self, arguments: Sequence[str]) -> str:
        """Submit and return the job's number. Raises Refused if Slurm never will, Later if it cannot now."""
        done = self._run("sbatch", arguments)
        if done.returncode == 0:
            return done.stdout.strip().partition(";")[0]
        text = _last_words(done.stderr)
        if _NEVER.search(done.stderr):
            raise Refused("slurm_refused", f"Slurm refuses it: {text}", (Problem("/resources", text),))
        raise Later(f"sbatch: {text}", 5)

    def queue(self) -> list[Record]:
        """Return every job that the controller knows of our user."""
        return parse.squeue(self._ask("squeue", build.squeue(self._user)))

    def history(self, names: Sequence[str], since_days: int) -> list[Record]:
        """Return what accounting knows of jobs by name."""
        found = []
        for at in range(0, len(names), _NAMES_AT_ONCE):
            some = names[at : at + _NAMES_AT_ONCE]
            found += parse.sacct(self._ask("sacct", build.sacct(self._user, some, since_days)))
        return found

    def cancel(self, job_ids: Iterable[str]) -> None:
        """Have jobs ended; one that is over already is no error."""
        ids = sorted(set(job_ids))
        if ids:
            self._run("scancel", build.scancel(ids))

    def nodes(self) -> list[Node]:
        """Return every node with its devices."""
        return read_nodes(self._ask("scontrol", SHOW_NODES))

    def waits(self, now_s: int) -> dict[str, int]:
        """Return the median wait of the jobs in each partition's queue, in seconds."""
        fields = build.SEPARATOR.join(WAITING_FIELDS)
        return read_waits(
            self._ask("squeue", ["--noheader", "--states=PENDING", f"--format={fields}"]), now_s
        )

    def default_partition(self) -> str:
        """Return the partition of jobs that name none."""
        found = re.search(r"PartitionName=(\S+).*\sDefault=YES", self.partitions())
        return found[1] if found else ""

    def settings(self) -> dict[str, str]:
        """Return the controller's configuration."""
        return parse.settings(self._ask("scontrol", ["show", "config"]))

    def partitions(self) -> str:
        """Return what scontrol says of every partition, one line each."""
        return self._ask("scontrol", ["--all", "--oneliner", "show", "partition"])

    def accounts(self) -> list[str]:
        """Return the accounts that accounting knows our user in."""
        asked = ["--noheader", "--parsable2", "show", "associations", f"user={self._user}", "format=Account"]
        return sorted(set(filter(None, self._ask("sacctmgr", asked).split())))

    def refusal(self, arguments: Sequence[str]) -> str:
        """Return why Slurm would never take a submission, in its words; nothing if it would."""
        done = self._run("sbatch", ["--test-only", *arguments])
        return "" if done.returncode == 0 else _last_words(done.stderr)

    def _ask(self, program: str, arguments: Sequence[str]) -> str:
        done = self._run(program, arguments)
        if done.returncode != 0:
            raise Later(f"{program}: {_last_words(done.stderr)}", 5)
        return done.stdout

    def _run(self, program: str, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        argv = [self.programs[program], *arguments]
        try:
            return subprocess.run(
                argv, capture_output=True, text=True, errors="replace", timeout=self._config.ask_s,
                check=False, env=self._env, stdin=subprocess.DEVNULL, cwd=Path("/"),
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Later(f"{program} gave no answer within {self._config.ask_s:g} s", 5) from error
        except OSError as error:
            raise Later(f"{program} cannot be run: {error}", 30) from error


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "no word why"

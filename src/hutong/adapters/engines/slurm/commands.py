"""Slurm by its own programs: one process a question, bounded in time, its errors sorted into ours."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hutong.adapters.engines.slurm import accounting, build, parse
from hutong.adapters.engines.slurm.accounting import Row
from hutong.adapters.engines.slurm.build import Submission
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.adapters.engines.slurm.nodes import (
    SHOW_NODES,
    WAITING_FIELDS,
    Node,
    median_waits,
    read_nodes,
    read_waits,
    shared_partitions,
)
from hutong.adapters.engines.slurm.parse import Record
from hutong.adapters.engines.slurm.transport import Settings, sort_refusal
from hutong.core.kernel.errors import Later

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sacct", "sacctmgr", "sinfo")
_NAMES_AT_ONCE = 100
_IDS_AT_ONCE = 500


def find_programs(config: SlurmConfig) -> dict[str, str]:
    """Return the paths of Slurm's programs; a name alone where one is not found here."""
    found = {name: shutil.which(name, path=_path(config)) for name in PROGRAMS}
    return {name: path or str(config.bin / name if config.bin else name) for name, path in found.items()}


def job_environment(config: SlurmConfig) -> dict[str, str]:
    """Return the environment of a job's supervisor: nothing of the agent's own may be in it."""
    return {
        "PATH": _path(config),
        "LANG": "C.UTF-8",
        "HOME": str(config.folder.root),
        **({"SLURM_CONF": str(config.conf)} if config.conf else {}),
    }


class Commands:
    """The programs of one cluster, run with an environment of their own."""

    rests = 0

    def __init__(self, config: SlurmConfig) -> None:
        self._config = config
        self._user = user_name()
        self.programs: Mapping[str, str] = find_programs(config)
        self._told = ""
        self._queue: dict[str, Record] = {}
        self._records: list[Record] = []
        # sbatch hands its environment on to the job.
        self._env = {**job_environment(config), "TZ": "UTC", "SLURM_TIME_FORMAT": "%s"}

    def submit(self, job: Submission) -> str:
        """Submit and return the job's number. Raises Refused if Slurm never will, Later if it cannot now."""
        done = self._run("sbatch", build.sbatch(job), job.script if job.elements else "")
        if done.returncode != 0:
            raise sort_refusal(done.stderr)
        number = done.stdout.strip().rpartition("\n")[2].partition(";")[0]
        if not number.isdigit():
            raise Later(f"sbatch names no job: {done.stdout[:200]!r}", 5)
        return number

    def queue(self) -> list[Record]:
        """Return every job that the controller knows of our user."""
        told = self._ask("squeue", build.squeue(self._user))
        if told != self._told:
            self._queue = parse.squeue(told, self._queue)
            self._told, self._records = told, list(self._queue.values())
        return self._records

    def history(self, names: Sequence[str], since_days: int) -> list[Record]:
        """Return what accounting knows of jobs by name."""
        found = []
        for at in range(0, len(names), _NAMES_AT_ONCE):
            some = names[at : at + _NAMES_AT_ONCE]
            found += parse.sacct(self._ask("sacct", build.sacct(self._user, some, since_days)))
        return found

    def ended(self, from_s: int, upto_s: int, *, steps: bool) -> list[Row]:
        """Return what accounting knows of every start of our user's jobs in a time (UTC seconds)."""
        told = self._ask("sacct", accounting.arguments(self._user, from_s, upto_s, steps=steps))
        return accounting.read_text(told)

    def cancel(self, job_ids: Iterable[str]) -> None:
        """Have jobs ended; one that is over already is no error."""
        ids = sorted(set(job_ids))
        for at in range(0, len(ids), _IDS_AT_ONCE):
            self._run("scancel", build.scancel(ids[at : at + _IDS_AT_ONCE]))

    def nodes(self) -> list[Node]:
        """Return every node with its devices."""
        return read_nodes(self._ask("scontrol", SHOW_NODES))

    def waits(self, now_s: int) -> dict[str, int]:
        """Return the median wait of the jobs in each partition's queue, in seconds."""
        fields = build.SEPARATOR.join(WAITING_FIELDS)
        told = self._ask("squeue", ["--noheader", "--states=PENDING", f"--format={fields}"])
        return median_waits(read_waits(told), now_s)

    def default_partition(self) -> str:
        """Return the partition of jobs that name none."""
        found = re.search(r"PartitionName=(\S+).*\sDefault=YES", self.partitions())
        return found[1] if found else ""

    def configuration(self) -> dict[str, str]:
        """Return the controller's whole configuration."""
        return parse.settings(self._ask("scontrol", ["show", "config"]))

    def settings(self) -> Settings:
        """Return what the cluster is."""
        told = self.configuration()
        return Settings(
            cluster=told.get("ClusterName", ""),
            accounting=told.get("AccountingStorageType", "").endswith("slurmdbd"),
            energy=_plugins(told.get("AcctGatherEnergyType", "")),
            array_most=parse.number(told.get("MaxArraySize", "")),
        )

    def partitions(self) -> str:
        """Return what scontrol says of every partition, one line each."""
        return self._ask("scontrol", ["--all", "--oneliner", "show", "partition"])

    def own_cpus(self) -> dict[str, int]:
        """Return the CPUs of nodes that are in no partition where several jobs may have the same ones."""
        shared = shared_partitions(self.partitions())
        return {node.name: node.cpus for node in self.nodes() if not node.partitions & shared}

    def accounts(self) -> list[str]:
        """Return the accounts that accounting knows our user in."""
        asked = ["--noheader", "--parsable2", "show", "associations", f"user={self._user}", "format=Account"]
        return sorted(set(filter(None, self._ask("sacctmgr", asked).split())))

    def refusal(self, arguments: Sequence[str]) -> str:
        """Return why Slurm would never take a submission, in its words; nothing if it would."""
        done = self._run("sbatch", ["--test-only", *arguments])
        return "" if done.returncode == 0 else _last_words(done.stderr)

    def probe(self, arguments: Sequence[str]) -> str:
        """Submit a job that is not an attempt and return its number; raises as `submit` does."""
        done = self._run("sbatch", arguments)
        if done.returncode != 0:
            raise sort_refusal(done.stderr)
        return done.stdout.strip().partition(";")[0]

    def _ask(self, program: str, arguments: Sequence[str]) -> str:
        done = self._run(program, arguments)
        if done.returncode != 0:
            raise Later(f"{program}: {_last_words(done.stderr)}", 5)
        return done.stdout

    def _run(
        self, program: str, arguments: Sequence[str], text: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        argv = [self.programs[program], *arguments]
        try:
            return subprocess.run(
                argv, capture_output=True, text=True, errors="replace", timeout=self._config.ask_s,
                check=False, env=self._env, cwd=Path("/"), input=text or None,
                stdin=None if text else subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Later(f"{program} gave no answer within {self._config.ask_s:g} s", 5) from error
        except OSError as error:
            raise Later(f"{program} cannot be run: {error}", 30) from error


def _plugins(told: str) -> str:
    """Return the names of the plugins of a list, those left out that stand for none."""
    names = (each.strip().rpartition("/")[2] for each in told.split(","))
    return ",".join(name for name in names if name not in {"", "none", "(null)"})


def _last_words(text: str) -> str:
    words = next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "no word why")
    return words[:500]


def user_name() -> str:
    """Return the name of the user whom we are, whatever the environment says; the number if it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _path(config: SlurmConfig) -> str:
    return str(config.bin) if config.bin else os.environ.get("PATH", os.defpath)

"""Record what Slurm's commands and slurmrestd say of every state, for the tests of the parsers.

    python -m testbeds.record_slurm [FOLDER]          # as root; about two minutes

Only what tells of this machine is replaced: the testbed's folders, the machine's name, its kernel.
"""

import argparse
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx2

from testbeds.processes import wait_until
from testbeds.slurm import SlurmCluster, SlurmDatabase
from testbeds.slurm_files import HOST
from testbeds.slurm_states import every_state

VERSION = "22.05"
FOLDER = Path("tests/adapters/engines/slurm/recorded") / VERSION
SEPARATOR = "\x1f"
# Without it, times are local and have no offset. With it, `sacct --json` finds no job and exits with 0.
EPOCH = {"SLURM_TIME_FORMAT": "%s"}

# squeue -o: a letter without a width is never cut. Names are squeue's own.
SQUEUE = {
    "%i": "JobID", "%F": "ArrayJobID", "%K": "ArrayTaskID", "%j": "Name", "%k": "Comment", "%T": "State",
    "%r": "Reason", "%u": "UserName", "%a": "Account", "%P": "Partition", "%q": "QOS", "%D": "NumNodes",
    "%C": "NumCPUs", "%m": "MinMemory", "%b": "tres-per-node", "%W": "Licenses", "%f": "Feature",
    "%v": "Reservation", "%E": "Dependency", "%Q": "PriorityLong", "%N": "NodeList", "%l": "TimeLimit",
    "%M": "TimeUsed", "%V": "SubmitTime", "%S": "StartTime", "%e": "EndTime",
}  # fmt: skip
# squeue -O: a field with a suffix and without a width is never cut either.
SQUEUE_LONG = [
    "JobID", "JobArrayID", "Name", "State", "Reason", "ReasonList", "exit_code", "RestartCnt", "tres-alloc",
    "tres-per-node", "PreemptTime", "EligibleTime", "HetJobID", "HetJobOffset", "StdOut",
]  # fmt: skip
SACCT = ",".join([
    "JobID", "JobIDRaw", "JobName", "Comment", "State", "Reason", "ExitCode", "DerivedExitCode", "Submit",
    "Eligible", "Start", "End", "ElapsedRaw", "TimelimitRaw", "User", "Account", "Partition",
    "QOS", "NNodes", "NodeList", "AllocCPUS", "AllocTRES", "ReqTRES", "MaxRSS", "ConsumedEnergyRaw", "Flags",
])  # fmt: skip
SINFO = {
    "%N": "NodeName", "%T": "State", "%C": "CPUs allocated/idle/other/total", "%m": "Memory", "%e": "FreeMem",
    "%G": "Gres", "%f": "AvailFeatures", "%E": "Reason", "%u": "User", "%H": "Timestamp", "%R": "Partition",
}  # fmt: skip
SINFO_LONG = [
    "NodeList", "StateComplete", "StateLong", "CPUsState", "Memory", "AllocMem", "Gres", "GresUsed",
    "Features", "Reason", "Timestamp", "Partition",
]  # fmt: skip


def short(fields: Mapping[str, str]) -> str:
    """Return a format for -o."""
    return SEPARATOR.join(fields)


def long(fields: list[str]) -> str:
    """Return a format for -O."""
    return ",".join(f"{field}:{SEPARATOR}" for field in fields)


# File -> command.
COMMANDS: dict[str, list[str]] = {
    "squeue.json": ["squeue", "--json", "-t", "all"],
    "squeue.txt": ["squeue", "-h", "-t", "all", "-o", short(SQUEUE)],
    "squeue_arrays.txt": ["squeue", "-h", "-r", "-t", "all", "-o", short(SQUEUE)],
    "squeue_long.txt": ["squeue", "-h", "-t", "all", "-O", long(SQUEUE_LONG)],
    "sacct.json": ["sacct", "-a", "--json"],
    "sacct.txt": ["sacct", "-a", "-D", "--parsable2", "--delimiter", SEPARATOR, "-o", SACCT],
    "sacct_jobs.txt": ["sacct", "-a", "-X", "-n", "--parsable2", "--delimiter", SEPARATOR, "-o", SACCT],
    "sacct_pipes.txt": ["sacct", "-a", "-X", "--parsable2", "-o", "JobID,State,ExitCode,NodeList,JobName"],
    "sinfo.json": ["sinfo", "--json"],
    "sinfo.txt": ["sinfo", "-h", "-N", "-o", short(SINFO)],
    "sinfo_long.txt": ["sinfo", "-h", "-N", "-O", long(SINFO_LONG)],
    "sinfo_version.txt": ["sinfo", "--version"],
    "scontrol_job.txt": ["scontrol", "-o", "show", "job"],
    "scontrol_job_detail.txt": ["scontrol", "-o", "-d", "show", "job"],
    "scontrol_node.txt": ["scontrol", "show", "node"],
    "scontrol_node_oneline.txt": ["scontrol", "-o", "show", "node"],
    "scontrol_partition.txt": ["scontrol", "-o", "show", "partition"],
    "scontrol_config.txt": ["scontrol", "show", "config"],
    "scontrol_licenses.txt": ["scontrol", "-o", "show", "licenses"],
    "scontrol_reservation.txt": ["scontrol", "-o", "show", "reservation"],
    "scontrol_ping.txt": ["scontrol", "ping"],
    "sdiag.txt": ["sdiag"],
    "sacctmgr_assoc.txt": ["sacctmgr", "-n", "-P", "show", "assoc", "format=account,user,qos,grptres"],
}  # fmt: skip

REFUSED: list[list[str]] = [
    ["sbatch", "--gres=gpu:h100:9", "--wrap", "true"],
    ["sbatch", "--gres=gpu:h200:1", "--wrap", "true"],
    ["sbatch", "--gres=tpu:1", "--wrap", "true"],
    ["sbatch", "-N9", "--wrap", "true"],
    ["sbatch", "--mem=900G", "--wrap", "true"],
    ["sbatch", "--constraint=nosuch", "--wrap", "true"],
    ["sbatch", "--partition=nosuch", "--wrap", "true"],
    ["sbatch", "--account=nosuch", "--wrap", "true"],
    ["sbatch", "--qos=nosuch", "--wrap", "true"],
    ["sbatch", "--licenses=nosuch", "--wrap", "true"],
    ["sbatch", "--licenses=matlab:3", "--wrap", "true"],
    ["sbatch", "--nodelist=nosuch", "--wrap", "true"],
    ["sbatch", "--reservation=nosuch", "--wrap", "true"],
    ["sbatch", "--dependency=afterok:999999", "--wrap", "true"],
    ["sbatch", "--time=soon", "--wrap", "true"],
    ["sbatch", "nosuch.sh"],
    ["squeue", "-j", "999999"],
    ["squeue", "-h", "-j", "999999,1000000"],
    ["squeue", "-h", "-n", "nosuch"],
    ["scontrol", "show", "job", "999999"],
    ["scontrol", "release", "999999"],
    ["scontrol", "requeue", "999999"],
    ["scancel", "999999"],
    ["scancel", "{completed}"],
    ["scancel", "--name=nosuch"],
    ["sacct", "-n", "-P", "-j", "999999"],
    ["sinfo", "-h", "-n", "nosuch"],
]
AWAY = [
    ["squeue", "-h"],
    ["sinfo", "-h"],
    ["sbatch", "--wrap", "true"],
    ["scancel", "1"],
    ["scontrol", "ping"],
]


class Recorder:
    """Runs the commands and writes what they say."""

    def __init__(
        self, cluster: SlurmCluster, database: SlurmDatabase, jobs: Mapping[str, str], into: Path
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._jobs = jobs
        self._into = into
        self._replaced = {
            str(cluster.folder): "/srv/slurm",
            str(database.folder): "/srv/slurmdbd",
            platform.release(): "6.1.0-18-amd64",
            platform.version(): "#1 SMP",
        }

    def write(self, name: str, text: str) -> None:
        """Write a file without what tells of this machine; JSON loses its blanks only."""
        for ours, neutral in self._replaced.items():
            text = text.replace(ours, neutral).replace(ours.replace("/", r"\/"), neutral.replace("/", r"\/"))
        text = re.sub(rf"(?<![\w.-]){re.escape(HOST)}(?![\w.-])", "login1", text)
        if name.endswith(".json"):
            text = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")) + "\n"
        (self._into / name).write_text(text)

    def run(self, command: list[str]) -> dict[str, object]:
        """Run a command and return it with its answer, whatever that is."""
        words = [word.format_map(self._jobs) for word in command]
        env = self._cluster.env() | ({} if "--json" in words else EPOCH)
        where = self._cluster.folder / "work"
        done = subprocess.run(words, env=env, cwd=where, text=True, capture_output=True, check=False)
        return {"command": words, "exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    def commands(self) -> None:
        """Record each command in a file, and all of them in `commands.json`."""
        for name, command in COMMANDS.items():
            answer = self.run(command)
            if answer["exit"] or answer["stderr"]:
                raise RuntimeError(f"{command}: {answer['exit']} {answer['stderr']}")
            self.write(name, str(answer["stdout"]))
        self.write("commands.json", json.dumps({"environment": EPOCH, "commands": COMMANDS}))
        self.write("jobs.json", json.dumps(self._jobs))

    def rest(self) -> None:
        """Record the answers of slurmrestd."""
        headers = {"X-SLURM-USER-NAME": "root", "X-SLURM-USER-TOKEN": self._cluster.token()}
        job = {
            "name": "rest",
            "gres": "gpu:h100:1",
            "nodes": 1,
            "current_working_directory": str(self._cluster.folder / "work"),
            "environment": {"PATH": "/usr/bin:/bin"},
        }
        body = {"script": "#!/bin/sh\nsleep 3600\n", "job": job}
        too_much = {**body, "job": {**job, "gres": "gpu:h100:9"}}
        wrong_field = {**body, "job": {**job, "tres_per_node": "gres:gpu:1"}}
        calls: dict[str, tuple[str, str, object]] = {
            "ping": ("GET", "slurm/v0.0.38/ping", None),
            "diag": ("GET", "slurm/v0.0.38/diag", None),
            "jobs": ("GET", "slurm/v0.0.38/jobs", None),
            "nodes": ("GET", "slurm/v0.0.38/nodes", None),
            "partitions": ("GET", "slurm/v0.0.38/partitions", None),
            "job": ("GET", f"slurm/v0.0.38/job/{self._jobs['running']}", None),
            "job_unknown": ("GET", "slurm/v0.0.38/job/999999", None),
            "submit": ("POST", "slurm/v0.0.38/job/submit", body),
            "submit_too_much": ("POST", "slurm/v0.0.38/job/submit", too_much),
            "submit_wrong_field": ("POST", "slurm/v0.0.38/job/submit", wrong_field),
            "delete": ("DELETE", f"slurm/v0.0.38/job/{self._jobs['licensed']}", None),
            "delete_unknown": ("DELETE", "slurm/v0.0.38/job/999999", None),
            "slurmdb_job": ("GET", f"slurmdb/v0.0.38/job/{self._jobs['failed']}", None),
        }  # fmt: skip
        index = {}
        with httpx2.Client(base_url=self._cluster.start_rest(), headers=headers, timeout=30) as client:
            for name, (method, path, sent) in calls.items():
                answer = client.request(method, path, json=sent)
                index[name] = {
                    "method": method,
                    "path": f"/{path}",
                    "body": sent,
                    "status": answer.status_code,
                }
                self.write(f"rest_{name}.json", answer.text)
            wrong = client.get("slurm/v0.0.38/jobs", headers={"X-SLURM-USER-TOKEN": "x.y.z"})
        index["wrong_token"] = {
            "method": "GET",
            "path": "/slurm/v0.0.38/jobs",
            "status": wrong.status_code,
            "text": wrong.text,
        }
        self.write("rest.json", json.dumps(index))

    def trouble(self) -> None:
        """Record refusals, and what commands say while slurmdbd or the controller is away."""
        answers: dict[str, object] = {"refused": [self.run(command) for command in REFUSED]}
        self._database.kill()
        answers["slurmdbd away"] = [
            self.run(["sacct", "-n", "-P"]),
            self.run(["sbatch", "--hold", "--wrap", "true"]),
        ]
        self._cluster.kill_controller()
        answers["slurmctld away"] = [self.run(command) for command in AWAY]
        self.write("errors.json", json.dumps(answers))


def settle(cluster: SlurmCluster, jobs: Mapping[str, str]) -> None:
    """Wait until accounting, which lags by some seconds, knows the end of the job that ended last."""

    def known() -> bool:
        return cluster.run("sacct", "-X", "-n", "-P", "-o", "State", "-j", jobs["timeout"]).startswith(
            "TIMEOUT"
        )

    wait_until(known, seconds=60, what="sacct knows of the timeout")


def main() -> None:
    """Record into a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    into: Path = parser.parse_args().folder
    if os.getuid():
        parser.error("jobs of a second user need root")
    into.mkdir(parents=True, exist_ok=True)
    with every_state() as (cluster, database, jobs):
        settle(cluster, jobs)
        recorder = Recorder(cluster, database, jobs, into)
        recorder.commands()
        recorder.rest()
        recorder.trouble()


if __name__ == "__main__":
    main()

"""A Slurm cluster with a job in every state and for every reason that can be had without cgroups."""

from collections.abc import Iterator
from contextlib import contextmanager

from testbeds.processes import wait_until
from testbeds.slurm import CommandFailed, Nodes, SlurmCluster, SlurmDatabase

NAME = "rec"
NODES = (
    Nodes(count=5, cpus=8, gres="gpu:h100:4"),
    Nodes(count=2, cpus=64, memory_mb=512_000, gres="npu:910c:16", features=("roce", "910c"), prefix="npu"),
)
PREEMPTED, LOST, DRAINED, DRAINING = "rec-n3", "rec-n4", "rec-n5", "rec-npu7"
PARTITIONS = {
    "main": "Nodes=ALL Default=YES",
    "low": f"Nodes={PREEMPTED} PriorityTier=1 PreemptMode=REQUEUE",
    "scrap": f"Nodes={PREEMPTED} PriorityTier=1 PreemptMode=CANCEL",
    "high": f"Nodes={PREEMPTED} PriorityTier=10",
    "pair": "Nodes=rec-n[1-2]",
    "short": "Nodes=rec-n[1-2] MaxTime=10",
    "closed": "Nodes=rec-n[1-2] State=DOWN",
}
SETTINGS = {
    "AccountingStorageEnforce": "associations,limits,qos",
    "JobAcctGatherParams": "OverMemoryKill",
    "KillWait": "600",  # a job that ignores SIGTERM is seen COMPLETING
    "Licenses": "matlab:2",
    "MessageTimeout": "5",
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
    "PriorityType": "priority/multifactor",
    "PriorityWeightPartition": "1000",
}
LONG = "sleep 3600"
STUBBORN = "trap '' TERM; while :; do sleep 1; done"
EATER = "python3 -c 'import time; x = bytearray(300_000_000); time.sleep(600)'"

# What is pending, and why: name of the job -> (reason, options).
PENDING = {
    "wait-resources": ("Resources", ["--partition=pair", "-N2", "--exclusive"]),
    "wait-priority": ("Priority", ["--partition=pair", "-N2", "--exclusive", "--nice=1000"]),
    "wait-held-by-user": ("JobHeldUser", ["--hold"]),
    "wait-begin": ("BeginTime", ["--begin=now+10days"]),
    "wait-dependency": ("Dependency", ["--dependency=afterok:{running}"]),
    "wait-never": ("DependencyNeverSatisfied", ["--dependency=afterok:{failed}", "--kill-on-invalid-dep=no"]),
    "wait-licence": ("Licenses", ["--licenses=matlab:2"]),
    "wait-lost-node": ("ReqNodeNotAvail", [f"--nodelist={LOST}"]),
    "wait-closed": ("PartitionDown", ["--partition=closed"]),
    "wait-too-long": ("PartitionTimeLimit", ["--partition=short", "--time=60"]),
    "wait-too-many": ("PartitionNodeLimit", ["--partition=short", "-N3"]),
    "wait-group-limit": ("AssocGrpGRES", ["--account=tiny", "--gres=gpu:h100:2"]),
    "wait-qos-limit": ("QOSMaxJobsPerUserLimit", ["--qos=single"]),
    "wait-reservation": ("Reservation", ["--reservation=exam"]),
}


class Scenario:
    """Brings the jobs about; `jobs` maps their names to their ids."""

    def __init__(self, cluster: SlurmCluster) -> None:
        self.cluster = cluster
        self.jobs: dict[str, str] = {}

    def submit(self, name: str, script: str, *options: str, user: str | None = None) -> str:
        """Submit a job of that name and return its id."""
        words = ["sbatch", "--parsable", f"--job-name={name}", f"--comment=ht-{name}", *options]
        self.jobs[name] = self.cluster.run(*words, "--wrap", script, user=user).strip()
        return self.jobs[name]

    def accounts(self) -> None:
        """Make accounts, a limit and a QOS, and let everybody in."""
        sacctmgr = ("sacctmgr", "-i", "add")
        cluster = self.cluster
        cluster.run(*sacctmgr, "qos", "single", "maxjobspu=1")
        cluster.run(*sacctmgr, "account", "lab")
        cluster.run(*sacctmgr, "account", "tiny", "grptres=gres/gpu=1")
        for user in ("root", "nobody"):
            for account in ("lab", "tiny"):
                more = ["qos=normal,single", "defaultaccount=lab"] if account == "lab" else []
                cluster.run(*sacctmgr, "user", user, f"account={account}", *more)

        def known() -> bool:
            try:
                cluster.run("sbatch", "--test-only", "--qos=single", "--wrap", "true", user="nobody")
            except CommandFailed:
                return False
            return True

        wait_until(known, seconds=60, what="slurmctld learns of the accounts")

    def over(self) -> None:
        """Jobs that end by themselves or are ended."""
        submit, wait = self.submit, self.cluster.wait_for_job
        on_lost = f"--nodelist={LOST}"
        submit("timeout", LONG, "--time=1", "--nodelist=rec-n2")
        submit("completed", "srun true; srun --ntasks=2 true", "-N2", "--nodelist=rec-n[1-2]")
        submit("训练 模型 a|b", "true", "--gres=npu:910c:2", user="nobody")
        submit("failed", "srun sh -c 'exit 3'; exit 7")
        submit("killed-by-signal", "kill -SEGV $$")
        submit("over-memory", EATER, "--mem=60")
        submit("cancelled-waiting", LONG, "--hold")
        submit("cancelled-running", LONG)
        submit("node-fail", LONG, "--no-requeue", on_lost)
        submit("node-fail-requeued", LONG, "--requeue", on_lost)
        submit("deadline", LONG, "--time=1", "--deadline=now+65seconds", "--exclusive", on_lost)
        submit(
            "array", "[ $SLURM_ARRAY_TASK_ID -lt 3 ] || sleep 3600", "--array=1-9%2", "--nodelist=rec-npu6"
        )
        wait(self.jobs["completed"], "COMPLETED")
        wait(self.jobs["failed"], "FAILED")
        wait(self.jobs["killed-by-signal"], "FAILED")
        wait(self.jobs["over-memory"], "FAILED")
        for name in ("cancelled-running", "node-fail", "node-fail-requeued", "timeout"):
            wait(self.jobs[name], "RUNNING")
        self.cluster.run("scancel", self.jobs["cancelled-waiting"], self.jobs["cancelled-running"])
        self.cluster.kill_node(LOST)
        wait(self.jobs["node-fail"], "NODE_FAIL")

    def preempted(self) -> None:
        """Jobs that a partition of higher tier drives out."""
        submit, wait = self.submit, self.cluster.wait_for_job
        half = "--gres=gpu:h100:2"
        wait(submit("preempted-requeued", LONG, half, "--partition=low", "--requeue"), "RUNNING")
        wait(submit("preempted", LONG, half, "--partition=scrap"), "RUNNING")
        wait(submit("preemptor", LONG, "--gres=gpu:h100:4", "--partition=high"), "RUNNING")
        wait(self.jobs["preempted"], "PREEMPTED")

    def running(self) -> None:
        """Jobs that run: a gang, a group of two kinds, one suspended, one on a draining node."""
        submit, wait, run = self.submit, self.cluster.wait_for_job, self.cluster.run
        gang = submit(
            "running",
            f"srun {LONG}",
            "-N2",
            "--ntasks-per-node=1",
            "--nodelist=rec-n[1-2]",
            "--gres=gpu:h100:2",
        )
        suspended = submit("suspended", LONG, "--gres=gpu:h100:1", "--nodelist=rec-n1")
        draining = submit("on-draining", LONG, "--gres=npu:910c:16", f"--nodelist={DRAINING}", user="nobody")
        licensed = submit("licensed", LONG, "--licenses=matlab:1")
        single = submit("single", LONG, "--qos=single")
        stubborn = submit("completing", STUBBORN, "--nodelist=rec-npu6")
        held = submit("requeued-held", LONG)
        special = submit("special-exit", LONG)
        for job in (gang, suspended, draining, licensed, single, stubborn, held, special):
            wait(job, "RUNNING")
        run("scontrol", "suspend", suspended)
        run("scontrol", "requeuehold", held)
        run("scontrol", "requeuehold", "State=SpecialExit", special)
        self.cluster.drain(DRAINED, "broken fan, ticket 17")
        self.cluster.drain(DRAINING, "firmware: update")
        second = (":", "-N1", "--gres=npu:910c:1", "--wrap", LONG)
        group = run("sbatch", "--parsable", "--job-name=group", "--gres=gpu:h100:1", *second)
        self.jobs["group"] = group.strip()
        wait(self.jobs["group"], "RUNNING")

    def pending(self) -> None:
        """Jobs that wait, each for a reason of its own."""
        run = self.cluster.run
        when = ("StartTime=now+20days", "Duration=60", "Flags=IGNORE_JOBS")
        what = ("ReservationName=exam", f"Nodes={DRAINING}", "Users=root")
        run("scontrol", "create", "reservation", *what, *when)
        for name, (_, options) in PENDING.items():
            self.submit(name, LONG, *(option.format_map(self.jobs) for option in options))
        admin = self.submit("wait-held-by-admin", LONG, "--hold", user="nobody")
        run("scontrol", "hold", admin)
        for name, (reason, _) in PENDING.items():
            self._wait_for_reason(name, reason)

    def last(self) -> None:
        """What must be seen before it goes by, and what takes a minute."""
        cluster = self.cluster
        cluster.wait_for_job(self.jobs["timeout"], "TIMEOUT", seconds=150)
        cluster.wait_for_job(self.jobs["deadline"], "DEADLINE", seconds=150)
        cluster.run("scancel", self.jobs["completing"])
        cluster.wait_for_job(self.jobs["completing"], "COMPLETING", "CANCELLED")

    def _wait_for_reason(self, name: str, reason: str) -> None:
        job = self.jobs[name]

        def there() -> bool:
            return self.cluster.job(job)["Reason"].startswith(reason)

        try:
            wait_until(there, seconds=60, what=name)
        except RuntimeError as error:
            raise RuntimeError(
                f"{name} waits for {self.cluster.job(job)['Reason']}, not for {reason}"
            ) from error


@contextmanager
def every_state() -> Iterator[tuple[SlurmCluster, SlurmDatabase, dict[str, str]]]:
    """Give a cluster, its database and the ids of its jobs by name. Takes about two minutes; needs root."""
    with (
        SlurmDatabase() as database,
        SlurmCluster(
            NAME,
            nodes=NODES,
            partitions=PARTITIONS,
            database=database,
            min_job_age_s=3600,
            slurmd_timeout_s=5,
            settings=SETTINGS,
        ) as cluster,
    ):
        scenario = Scenario(cluster)
        for part in (
            scenario.accounts,
            scenario.over,
            scenario.preempted,
            scenario.running,
            scenario.pending,
            scenario.last,
        ):
            part()
        yield cluster, database, scenario.jobs

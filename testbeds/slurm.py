"""A real Slurm cluster on loopback, for tests and developers: no systemd, no cgroups, no root needed.

    with SlurmCluster("alpha", nodes=[Nodes(count=2, gres="gpu:h100:4")]) as cluster:
        job = cluster.run("sbatch", "--parsable", "--gres=gpu:h100:2", "--wrap", "hostname").strip()
        cluster.wait_for_job(job, "COMPLETED")
        subprocess.run(["squeue", "--json"], env=cluster.env())  # what an adapter does

    with SlurmDatabase() as database, SlurmCluster("beta", database=database) as cluster:
        cluster.run("sacct", "-a")                               # accounting, QOS, limits
        url, token = cluster.start_rest(), cluster.token()       # slurmrestd with JWT

Each cluster has its own temporary folder, munged, key and ports: any number of them can run side by side, in
several test workers too. Every daemon runs in the foreground and listens on the address of its host name,
which is loopback unless /etc/hosts says otherwise (see `bound_address`). Leaving the block kills daemons and
jobs and removes the folder; so does a reaper once the owner of the cluster is gone, even by SIGKILL.

Run by root, daemons and jobs are root's, and `run(..., user="nobody")` or `token("nobody")` gives jobs of
another user: only root can start processes of others. Run by anybody else, everything is that user's.
slurmrestd refuses root and then runs as `nobody`.
"""

import os
import pwd
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from testbeds.processes import (
    NOBODY,
    SEARCH_PATH,
    Daemon,
    Household,
    become_user,
    listens,
    require,
    wait_until,
)
from testbeds.reaper import kill_marked
from testbeds.slurm_database import SlurmDatabase
from testbeds.slurm_files import (
    STANDBY,
    STANDBY_ADDRESS,
    Node,
    Nodes,
    base_settings,
    gres_conf,
    gres_settings,
    host_address,
    munged_command,
    slurm_conf,
    standby_command,
    write_secret,
)

__all__ = ["CommandFailed", "Nodes", "SlurmCluster", "SlurmDatabase"]

PROGRAMS = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "auth_jwt.so": "slurm-wlm-jwt-plugin",
    "setpriv": "util-linux",
}
REST_PROGRAMS = {"slurmrestd": "slurmrestd"}
NODE_MARK = "HUTONG_TESTBED_NODE"
_START_S = 60


class CommandFailed(RuntimeError):
    """A Slurm command ended with an error; the message is what it wrote."""


class SlurmCluster:
    """A cluster as a context manager; `start` and `stop` do the same by hand.

    `partitions` maps a name to the options of its line in slurm.conf; `settings` adds lines or replaces ours
    (`{"Licenses": "matlab:2", "SlurmctldDebug": "debug"}`). Nodes are named `<cluster>-<prefix><number>`.
    Clusters that are to trust each other, as in a federation, share a `munge_key`. With `standby` a second
    controller takes over some seconds after the first is killed.
    """

    def __init__(
        self,
        name: str,
        *,
        nodes: Sequence[Nodes] = (Nodes(count=2),),
        partitions: Mapping[str, str] | None = None,
        database: SlurmDatabase | None = None,
        min_job_age_s: int = 300,
        slurmd_timeout_s: int = 300,
        settings: Mapping[str, str] | None = None,
        munge_key: bytes | None = None,
        standby: bool = False,
    ) -> None:
        require(PROGRAMS)
        host_address()  # before anything is made
        self.name = name
        self._database = database
        self._standby = standby
        self._munge_key = munge_key or secrets.token_bytes(128)
        # Jobs start with the environment of sbatch, not with slurmd's.
        self._house = Household(f"slurm-{name}", "SLURM_CONF={folder}/slurm.conf")
        self.folder = self._house.folder
        self.conf = self.folder / "slurm.conf"
        self._controller_port = self._house.ports.take()
        self._nodes: dict[str, Node] = {}
        for kind in nodes:
            for _ in range(kind.count):
                node = f"{name}-{kind.prefix}{len(self._nodes) + 1}"
                self._nodes[node] = Node(node, self._house.ports.take(), kind)
        self._write_files(
            partitions or {"main": "Nodes=ALL Default=YES"},
            {"MinJobAge": str(min_job_age_s), "SlurmdTimeout": str(slurmd_timeout_s), **(settings or {})},
        )

    # Life

    def __enter__(self) -> "SlurmCluster":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        try:
            self.launch()
            self.wait_idle()
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start all daemons and do not wait for the nodes, see `wait_idle`."""
        run = self.folder / "run"
        self._spawn(
            "munged", munged_command(run, self.folder / "munge.key", self.folder / "log" / "munged.log")
        )
        wait_until(
            (run / "munge.socket").exists,
            seconds=_START_S,
            what="munged's socket",
            daemons=self._house.daemons,
        )
        if self._database is not None:
            self._database.add_cluster(self.name, self.env())
        self.start_controller()  # first: a slurmd that finds none tries again after a second
        if self._standby:
            self._start_standby()
        for node in self._nodes:
            self._spawn_slurmd(node)

    def stop(self) -> None:
        """Kill daemons and jobs, remove the folder. A second call does nothing."""
        self._house.close()

    def processes(self) -> set[int]:
        """Return the ids of all processes that belong to this cluster, jobs included."""
        return self._house.processes()

    # Facts

    @property
    def node_names(self) -> list[str]:
        """All nodes, in the order of slurm.conf."""
        return list(self._nodes)

    def env(self) -> dict[str, str]:
        """Return the environment in which Slurm's commands talk to this cluster: SLURM_CONF and PATH."""
        return {"SLURM_CONF": str(self.conf), "PATH": SEARCH_PATH}

    # Commands

    def run(self, *command: str | Path, user: str | None = None, stdin: str = "") -> str:
        """Run a command against this cluster, in its folder `work`; return its output. `user` needs root."""
        become = [] if user is None else become_user(pwd.getpwnam(user).pw_uid)
        words = [*become, *map(str, command)]
        done = subprocess.run(
            words,
            env=self.env(),
            cwd=self.folder / "work",
            input=stdin,
            encoding="utf-8",
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(
                f"{' '.join(words)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout

    def job(self, job_id: str) -> dict[str, str]:
        """Return what `scontrol show job` says, by its own names; of an array, the first record."""
        line = self.run("scontrol", "-o", "show", "job", job_id).splitlines()[0]
        return {key: value for key, sign, value in (word.partition("=") for word in line.split(" ")) if sign}

    def wait_for_job(self, job_id: str, *states: str, seconds: float = 60) -> str:
        """Wait until the job is in one of these states, and return which."""
        seen = ""

        def there() -> bool:
            nonlocal seen
            seen = self.job(job_id)["JobState"]
            return seen in states

        wait_until(there, seconds=seconds, what=f"job {job_id} becomes {' or '.join(states)}")
        return seen

    def wait_for_nodes(self, state: str, *nodes: str, seconds: float = 60) -> None:
        """Wait until these nodes (all, when none is named) are in a state as `sinfo -o %T` names it."""
        where = [f"--nodes={','.join(nodes)}"] if nodes else []

        def there() -> bool:
            try:
                states = self.run("sinfo", "-h", "-N", "-o", "%N %T", *where)
            except CommandFailed:  # the controller is not up yet
                return False
            return {line.split()[1] for line in states.splitlines()} == {state}

        wait_until(
            there, seconds=seconds, what=f"nodes of {self.name} become {state}", daemons=self._house.daemons
        )

    def wait_idle(self) -> None:
        """Wait until every node is idle."""
        self.wait_for_nodes("idle", seconds=_START_S)

    # Trouble

    def kill_controller(self) -> None:
        """Crash slurmctld (SIGKILL): what it has not saved is forgotten, see `wait_saved`."""
        self._house.take("slurmctld").kill()

    def stop_controller(self) -> None:
        """End slurmctld in order (SIGTERM): it saves its state first."""
        self._house.take("slurmctld").stop()

    def start_controller(self) -> None:
        """Start slurmctld again and wait until it answers."""
        self._spawn("slurmctld", ["slurmctld", "-D", "-f", self.conf])
        self.wait_for_controller()

    def _start_standby(self) -> None:
        daemon = self._spawn("standby", standby_command(self.folder, self.conf))
        wait_until(
            lambda: listens(STANDBY_ADDRESS, self._controller_port),
            seconds=_START_S,
            what=f"the second slurmctld of {self.name} listens",
            daemons=[daemon],
        )

    def wait_for_controller(self) -> None:
        """Wait until slurmctld accepts connections."""
        address = host_address()
        wait_until(
            lambda: listens(address, self._controller_port),
            seconds=_START_S,
            what=f"slurmctld of {self.name} listens",
            daemons=self._house.daemons,
        )

    def wait_saved(self, job_id: str, seconds: float = 60) -> None:
        """Wait until slurmctld has saved the job as it is now (it does so about every five seconds)."""
        mark = secrets.token_hex(16)
        self.run("scontrol", "update", f"JobId={job_id}", f"AdminComment={mark}")
        state = self.folder / "state" / "job_state"
        wait_until(
            lambda: state.exists() and mark.encode() in state.read_bytes(),
            seconds=seconds,
            what=f"slurmctld saves job {job_id}",
        )

    def kill_node(self, node: str) -> None:
        """Take the node's power: its slurmd and all that runs on it end at once."""
        self.kill_slurmd(node)
        kill_marked([f"{NODE_MARK}={self.folder}/{node}"])

    def kill_slurmd(self, node: str) -> None:
        """Crash the node's slurmd only; its jobs run on and are found again after `start_node`."""
        self._house.take(f"slurmd-{node}").kill()

    def start_node(self, node: str) -> None:
        """Start the node's slurmd again; `wait_for_nodes` tells when it is back."""
        self._spawn_slurmd(node)

    def drain(self, node: str, reason: str) -> None:
        """Let the node take no new job."""
        self.run("scontrol", "update", f"NodeName={node}", "State=DRAIN", f"Reason={reason}")

    def resume(self, node: str) -> None:
        """Let the node take jobs again."""
        self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")

    # REST

    def start_rest(self) -> str:
        """Start slurmrestd (v0.0.38), return its URL. Headers: X-SLURM-USER-NAME, X-SLURM-USER-TOKEN."""
        require(REST_PROGRAMS)
        address, port = "127.0.0.1", self._house.ports.take()
        plugins = "openapi/v0.0.38" + (",openapi/dbv0.0.38" if self._database is not None else "")
        command = [
            "slurmrestd",
            "-f",
            str(self.conf),
            "-a",
            "rest_auth/jwt",
            "-s",
            plugins,
            f"{address}:{port}",
        ]
        # It does not want to run as root or as SlurmUser; an ordinary user is nobody else.
        env = {"SLURM_JWT": "daemon", "SLURMRESTD_SECURITY": "disable_user_check"}
        if os.getuid() == 0:
            del env["SLURMRESTD_SECURITY"]
        daemon = self._spawn("slurmrestd", command, env, user_id=NOBODY if os.getuid() == 0 else None)
        wait_until(
            lambda: listens(address, port), seconds=_START_S, what="slurmrestd listens", daemons=[daemon]
        )
        return f"http://{address}:{port}"

    def stop_rest(self) -> None:
        """End slurmrestd."""
        self._house.take("slurmrestd").kill()

    def token(self, user: str | None = None, *, lifespan_s: int = 3600) -> str:
        """Return a JWT of a user, the caller's own when none is named."""
        who = [f"username={user}"] if user else []
        return self.run("scontrol", "token", f"lifespan={lifespan_s}", *who).strip().partition("=")[2]

    # Inside

    def _write_files(self, partitions: Mapping[str, str], given: Mapping[str, str]) -> None:
        for name in ("run", "state", "spool", "work"):
            (self.folder / name).mkdir()
        (self.folder / "work").chmod(0o1777)  # jobs of any user write here
        nodes = list(self._nodes.values())
        settings = base_settings(self.name, self.folder, self._controller_port)
        if self._standby:
            settings["SlurmctldHost"] += f"\nSlurmctldHost={STANDBY}({STANDBY_ADDRESS})"
            settings["SlurmctldTimeout"] = "3"
        settings |= gres_settings(nodes, accounted=self._database is not None)
        if self._database is not None:
            settings |= self._database.cluster_settings()
        else:
            settings |= {"JobCompType": "jobcomp/filetxt", "JobCompLoc": f"{self.folder}/log/jobcomp.txt"}
        write_secret(self.folder / "munge.key", self._munge_key)
        # slurmdbd checks the tokens that slurmrestd hands on, so both know the key.
        jwt_key = self._database.jwt_key if self._database is not None else secrets.token_bytes(32)
        write_secret(self.folder / "jwt.key", jwt_key)
        (self.folder / "gres.conf").write_text(gres_conf(self.folder, nodes))
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        self.conf.write_text(slurm_conf({**settings, **given}, nodes, partitions))

    def _spawn(
        self,
        name: str,
        command: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        user_id: int | None = None,
    ) -> Daemon:
        return self._house.spawn(name, command, {**self.env(), **(env or {})}, user_id=user_id)

    def _spawn_slurmd(self, node: str) -> None:
        command = ["slurmd", "-D", "-f", str(self.conf), "-N", node]
        self._spawn(f"slurmd-{node}", command, {NODE_MARK: f"{self.folder}/{node}"})


def start_together(*clusters: SlurmCluster) -> None:
    """Start several clusters at once; stop all of them when one fails."""
    try:
        for cluster in clusters:
            cluster.launch()
        for cluster in clusters:
            cluster.wait_idle()
    except BaseException:
        for cluster in clusters:
            cluster.stop()
        raise

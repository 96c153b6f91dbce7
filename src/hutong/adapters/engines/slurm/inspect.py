"""What a Slurm cluster has, and whether it can run the platform's jobs: asked of Slurm, proved by a job."""

import getpass
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from hutong.adapters.engines.attempt.checks import check_paths
from hutong.adapters.engines.inspection import (
    Check,
    Count,
    Found,
    Setting,
    bad,
    is_shared,
    kind_of,
    mounts,
    ok,
    warn,
)
from hutong.adapters.engines.slurm import build, survey
from hutong.adapters.engines.slurm.commands import PROGRAMS, Commands
from hutong.adapters.engines.slurm.config import SlurmConfig, SlurmPool
from hutong.adapters.engines.slurm.nodes import Node
from hutong.adapters.engines.slurm.probe import Probe
from hutong.core.kernel.errors import Later

_NEEDED = frozenset(PROGRAMS) - {"sacct", "sacctmgr", "sinfo"}
_OLDEST = (20, 11)
_PLAIN_CONSTRAINT = frozenset("|[]()*!")


class SlurmInspector:
    """Looks at one cluster through its own programs; `wait_s` bounds how long a probe job may take."""

    def __init__(self, config: SlurmConfig, wait_s: float = 60.0) -> None:
        self._config = config
        self._wait_s = wait_s
        self._user = getpass.getuser()
        self._commands = Commands(config)
        self._nodes: list[Node] | None = None
        self._partitions: dict[str, survey.Partition] | None = None

    def inspect(self) -> Found:
        """Return the cluster's like nodes as pools, and the lines that reach it. Raises Later."""
        told = self._commands.configuration()
        version, accounting = told.get("SLURM_VERSION", ""), told.get("AccountingStorageType", "")
        memory_counts = "MEMORY" in told.get("SelectTypeParameters", "").upper()
        groups = survey.groups(self._all_nodes())
        pools = survey.pools(groups, self._all_partitions(), memory_counts=memory_counts)
        grouped = {node.name for group in groups for node in group.nodes}
        stray = [node.name for node in self._all_nodes() if node.name not in grouped]
        named = {device.partition(":")[0] for node in self._all_nodes() for device in node.devices}
        other = named - survey.CARDS
        review = [f"node {name} is in no partition and is left out" for name in stray[:5]]
        if other:
            review.append(f"these devices are not taken for cards: {', '.join(sorted(other))}")
        if not accounting.endswith("slurmdbd"):
            review.append("accounting is off: what the controller has forgotten cannot be asked for any more")
        facts = {
            "cluster": told.get("ClusterName", ""),
            "version": version,
            "nodes": str(len(self._all_nodes())),
            "partitions": ", ".join(sorted(self._all_partitions())),
            "accounting": accounting or "none",
        }
        accounts = self._accounts(told)
        if len(accounts) > 1:
            review.append(f"{self._user} has the accounts {', '.join(accounts)}: set `account` in each pool")
        return Found("slurm", facts, tuple(self._lines()), tuple(pools), tuple(review))

    def _accounts(self, told: dict[str, str]) -> list[str]:
        if "associations" not in told.get("AccountingStorageEnforce", ""):
            return []
        try:
            return self._commands.accounts()
        except Later:
            return []

    def _lines(self) -> Iterator[Setting]:
        root = self._config.folder.root
        kind, doubt = kind_of(root), ""
        if not is_shared(kind):
            shared = [str(at) for at, what in mounts() if is_shared(what) and os.access(at, os.W_OK)]
            doubt = f"every node must see this folder at the same path; it lies on {kind}"
            doubt += f"; shared here are {', '.join(shared[:5])}" if shared else ""
        yield Setting("root", str(root), doubt)
        at = shutil.which(self._commands.programs["sbatch"])
        if at is not None:
            yield Setting("bin", str(Path(at).parent))
        if self._config.conf is not None:
            yield Setting("conf", str(self._config.conf))
        python = str(Path(sys.executable).resolve())
        yield Setting("python", python, "must be there on every node, 3.11 or newer; doctor asks them")

    def _all_nodes(self) -> list[Node]:
        if self._nodes is None:
            self._nodes = [node for node in self._commands.nodes() if "FUTURE" not in node.states]
        return self._nodes

    def _all_partitions(self) -> dict[str, survey.Partition]:
        if self._partitions is None:
            self._partitions = survey.partitions(self._commands.partitions())
        return self._partitions

    def check(self, *, quick: bool) -> Iterator[Check]:
        """Yield checks of the commands, the controller and each pool; unless `quick`, of a node by a job."""
        missing = [name for name in PROGRAMS if not shutil.which(self._commands.programs[name])]
        lacking = sorted(set(missing) & _NEEDED)
        if lacking:
            mend = "install Slurm's client commands, or set [engine] bin to their folder"
            yield bad("slurm commands", f"not found: {', '.join(lacking)}", mend)
            return
        yield ok("slurm commands", str(Path(self._commands.programs["sbatch"]).parent))
        yield from check_paths(self._config.folder)
        try:
            told = self._commands.configuration()
            self._all_nodes()
            self._all_partitions()
        except Later as error:
            mend = "is the controller up? conf names another slurm.conf; `scontrol ping` says more"
            yield bad("slurm controller", str(error), mend)
            return
        yield _check_version(told.get("SLURM_VERSION", ""))
        yield self._check_accounting(told)
        for name, pool in self._config.pools.items():
            yield self._check_pool(name, pool)
        yield self._check_root()
        if quick:
            yield warn("nodes", "not asked (--quick)", "run doctor without --quick: it submits a tiny job")
            return
        yield from Probe(self._config, self._commands, self._wait_s).run()

    def _check_accounting(self, told: dict[str, str]) -> Check:
        if not told.get("AccountingStorageType", "").endswith("slurmdbd"):
            seen = f"off; the controller forgets ended jobs after {told.get('MinJobAge', 'MinJobAge')}"
            mend = "slurmdbd lets the agent ask for jobs that ended while it was away for longer than that"
            return warn("slurm accounting", seen, mend)
        try:
            self._commands.history(["ht-doctor"], 1)
        except Later as error:
            return warn("slurm accounting", str(error), "is slurmdbd up?")
        return ok("slurm accounting", "slurmdbd answers")

    def _check_pool(self, name: str, pool: SlurmPool) -> Check:
        title, known = f"pool {name}", self._all_partitions()
        if pool.partition and pool.partition not in known:
            mend = f"set partition in [engine.pools.{name}] to one of {', '.join(sorted(known))}"
            return bad(title, f"there is no partition {pool.partition!r}", mend)
        gres = [f"--gres={pool.gres}:1"] if pool.gres else []
        why = self._commands.refusal([*build.pool_options(pool), *gres, "--time=1", "--wrap=true"])
        if why:
            mend = f"correct partition, gres, account, qos or the options of [engine.pools.{name}]"
            return bad(title, f"Slurm would refuse its jobs: {why}", mend)
        down = [node.name for node in self._members(pool) if not node.up]
        if down:
            mend = "`sinfo --list-reasons` says why; the platform does not know of it until they are back"
            return warn(title, f"Slurm takes its jobs; {len(down)} nodes are down, such as {down[0]}", mend)
        return ok(title, "Slurm takes its jobs")

    def _check_root(self) -> Check:
        root = self._config.folder.root
        kind = kind_of(root)
        if is_shared(kind) or len(self._all_nodes()) < 1:
            return ok("shared folder", f"{root} lies on {kind}")
        mend = "set [engine] root to a folder that every node mounts at the same path"
        return warn("shared folder", f"{root} lies on {kind}, which is not known to be shared", mend)

    def _members(self, pool: SlurmPool) -> list[Node]:
        default = next((each.name for each in self._all_partitions().values() if each.default), "")
        wanted = _features(pool.constraint)
        found = [
            node
            for node in self._all_nodes()
            if (pool.partition or default) in node.partitions
            and wanted <= node.features
            and _cards(node, pool)
        ]
        plain = [node for node in found if not survey.cards_of(node)]
        return plain or found if not pool.gres else found

    def count(self, pool: str, accelerator: str) -> Count | None:  # noqa: ARG002 - Slurm goes by its own words
        """Return the cards of a pool of the file as Slurm has them. Raises Later."""
        settings = self._config.pools.get(pool)
        if settings is None:
            return None
        members = self._members(settings)
        total = sum(_cards(node, settings) for node in members)
        return Count(total, sum(_cards(node, settings) for node in members if not node.up))


def _features(constraint: str) -> frozenset[str]:
    """Return the features that a node must have; of a constraint that is more than a list, none."""
    if set(constraint) & _PLAIN_CONSTRAINT:
        return frozenset()
    return frozenset(filter(None, constraint.replace(",", "&").split("&")))


def _cards(node: Node, pool: SlurmPool) -> int:
    if not pool.gres:
        return node.cpus
    # A device without a type stands for every type of it.
    return sum(count for each, count in node.devices.items() if pool.gres in {each, each.partition(":")[0]})


def _check_version(version: str) -> Check:
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        return warn("slurm version", version or "not told", f"nothing older than {oldest} is tested")
    return ok("slurm version", version)

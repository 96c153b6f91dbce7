"""The Slurm engine: attempts as batch jobs whose supervisor runs on the first node of each."""

import getpass
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from hutong.adapters.engines.attempt import files, supervise
from hutong.adapters.engines.attempt.engine import FolderEngine, claimed
from hutong.adapters.engines.attempt.programs import collect_programs, install_payloads, install_programs
from hutong.adapters.engines.base import Abilities, Order, Receipt, Seen
from hutong.adapters.engines.slurm import build, parse
from hutong.adapters.engines.slurm import nodes as nodes_of
from hutong.adapters.engines.slurm.commands import Commands
from hutong.adapters.engines.slurm.config import SlurmConfig, SlurmPool
from hutong.adapters.engines.slurm.parse import Record
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Later, Problem, Refused
from hutong.core.kernel.ids import AttemptKey, split_key
from hutong.core.work.states import AttemptState

_log = structlog.get_logger("hutong.engines.slurm")
_SUBMITTED = "submitted.json"
_FENCED = "0:0"
_SETTLE_S = 5.0
_OVERDUE_S = 30.0
_AGAIN_S = 10.0
_CAPACITY_S = 30.0


class SlurmEngine(FolderEngine):
    """Submits to one cluster and follows what it submitted: by name, never by number alone.

    The folder of an attempt says how it ended; Slurm is asked in one question for all, at most every
    `poll_s`, where the folder cannot tell. `ticks` gives milliseconds that never jump.
    """

    def __init__(self, config: SlurmConfig, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        root = config.folder.root.resolve()
        payloads = install_payloads(config.folder.payloads, root / "programs")
        super().__init__(replace(config.folder, payloads=payloads), clock)
        for name, pool in config.pools.items():
            build.check_options(name, pool.options)
        self._slurm = config
        self._ticks = ticks
        self._origin = hashlib.sha256(str(root).encode()).hexdigest()[:16]
        self._commands = Commands(config, getpass.getuser())
        self._program = install_programs(root / "programs") / "batch.py"
        collect_programs(root / "programs", (self._program, payloads), self._attempts)
        self._accounting: bool | None = None
        self._cluster = ""
        self._jobs: dict[str, Record] = {}
        self._all: list[Record] = []
        self._polled_ms: float = float("-inf")
        self._asked_history: dict[AttemptKey, int] = {}
        self._missing_since: dict[AttemptKey, int] = {}
        self._over_since: dict[AttemptKey, int] = {}
        self._cancelled_ms: dict[str, int] = {}
        self._beats: dict[AttemptKey, tuple[int, int]] = {}
        self._cards: dict[AttemptKey, tuple[str, int]] = {}
        self._capacity: tuple[PoolState, ...] = ()
        self._capacity_ms: float = float("-inf")
        self.abilities = Abilities(
            gangs=True, services=True, preemption=True, isolation="bwrap" if self._boxed else "none"
        )

    def submit(self, order: Order) -> Receipt:
        """Submit the attempt unless Slurm has a job of its name, or ever had."""
        pool = self._pool(order)
        folder = self._claim(order.key)
        if folder is None or claimed(folder):
            return Receipt(order.key, adopted=True)
        known = files.read_json(folder / _SUBMITTED)
        if known is not None:
            return Receipt(known["external"], adopted=True)
        self._learn()
        # An earlier submission of ours may have reached Slurm without our hearing of it: ask by name first.
        self._poll(fresh=True)
        record = self._jobs.get(order.key) or self._from_history([order.key]).get(order.key)
        if record is None:
            self._write_job(folder, order, pool)
            comment = build.comment(self._origin, order.project)
            job_id = self._commands.submit(build.sbatch(order, pool, folder, folder / files.SCRIPT, comment))
        else:
            job_id = record.id
        external = self._external(job_id)
        files.write_json(folder / _SUBMITTED, {"external": external, "at_ms": self._clock()})
        self._polled_ms = float("-inf")
        return Receipt(external, adopted=record is not None)

    def observe(self) -> tuple[Seen, ...]:
        """Ask Slurm if it is time, then read the folders. Raises Later if Slurm does not answer."""
        self._learn()
        self._poll()
        seen = super().observe()
        self._cancel_what_should_end()
        return seen

    def capacity(self) -> tuple[PoolState, ...]:
        """Return what the nodes and the queue say of each pool; asked anew every 30 s."""
        now = self._ticks()
        if now - self._capacity_ms >= _CAPACITY_S * 1000:
            waits, nodes = self._commands.waits(self._clock() // 1000), self._commands.nodes()
            default = self._commands.default_partition()
            pools = self._slurm.pools
            self._capacity = nodes_of.pool_states(pools, nodes, waits, self._cards_running(), default)
            self._capacity_ms = now
        return self._capacity

    def _cards_running(self) -> dict[str, int]:
        """Return the cards that jobs of ours hold now, by pool."""
        held: dict[str, int] = {}
        for record in self._all:
            if not record.over and not record.waiting:
                pool, cards = self._asked_for(AttemptKey(record.name))
                held[pool] = held.get(pool, 0) + cards
        return held

    def _asked_for(self, key: AttemptKey) -> tuple[str, int]:
        known = self._cards.get(key)
        if known is None:
            order = files.read_json(self._attempts / key / files.ORDER)
            if order is None:
                return "", 0
            known = order["launcher"]["pool"], order["cards_per_node"] * order["spec"]["num_nodes"]
            self._cards[key] = known
        return known

    def _pool(self, order: Order) -> SlurmPool:
        pool = self._slurm.pools.get(order.attempt.pool)
        if pool is None:
            text = f"pool {order.attempt.pool!r} is not in the agent's configuration"
            raise Refused(
                "unknown_pool", text, (Problem("/pools", text, f"add [engine.pools.{order.attempt.pool}]"),)
            )
        return pool

    def _write_job(self, folder: Path, order: Order, pool: SlurmPool) -> None:
        self._write_order(
            folder,
            order,
            {"pool": order.attempt.pool, **build.launcher(self._commands.programs, pool.visible)},
        )
        files.write_json(folder / files.SECRETS, dict(order.secrets))
        script = build.script(self._slurm.python, self._program, folder)
        (folder / files.SCRIPT).write_text(script)

    def _learn(self) -> None:
        """Ask once what the cluster is and whether it keeps accounts."""
        if self._accounting is None:
            told = self._commands.settings()
            self._cluster = told.get("ClusterName", "")
            self._accounting = told.get("AccountingStorageType", "").endswith("slurmdbd")

    def _external(self, job_id: str) -> str:
        return f"{self._cluster}:{job_id}"

    def _poll(self, *, fresh: bool = False) -> None:
        now = self._ticks()
        if not fresh and now - self._polled_ms < self._slurm.poll_s * 1000:
            return
        mine = [each for each in self._commands.queue() if split_key(each.name)]
        self._all = [each for each in mine if each.origin in {self._origin, ""}]
        self._jobs = parse.newest(self._all)
        self._polled_ms = now

    def _from_history(self, keys: list[AttemptKey]) -> dict[str, Record]:
        """Ask accounting, where there is one; what it does not know it may learn later."""
        if not self._accounting or not keys:
            return {}
        try:
            return parse.newest(self._commands.history(keys, since_days=30))
        except Later as error:
            _log.warning("accounting does not answer", why=str(error))
            return {}

    def _look(self, key: AttemptKey) -> Seen | None:
        folder = self._attempts / key
        submitted = files.read_json(folder / _SUBMITTED)
        external = submitted["external"] if submitted else ""
        seen = self._seen_end(key, external)
        if seen is not None:
            return seen
        record = self._jobs.get(key) or self._remembered(key, submitted is not None)
        if record is None:
            return self._absent(key, folder, external, submitted is not None)
        self._missing_since.pop(key, None)
        external = self._external(record.id)
        if record.over and not self._breathes(key) and self._over_for(key) > _SETTLE_S * 1000:
            self._settle(key, folder, record)
            return self._seen_end(key, external)
        waiting = record.waiting and not (folder / files.BEGAN).exists()
        return self._seen(key, AttemptState.PENDING if waiting else AttemptState.STARTING, external)

    def _settle(self, key: AttemptKey, folder: Path, record: Record) -> None:
        """Write the end of an attempt that is over at Slurm and left none itself."""
        stop = files.read_json(folder / files.STOP)
        verdict = supervise.stop_verdict(stop) if stop else record.verdict()
        self._write_end(key, verdict, record.ended_s * 1000)

    def _absent(self, key: AttemptKey, folder: Path, external: str, submitted: bool) -> Seen | None:
        """Return what may be said of an attempt that Slurm does not name."""
        began = (folder / files.BEGAN).exists()
        if began and self._breathes(key):
            return self._seen(key, AttemptState.STARTING, external)
        stop = files.read_json(folder / files.STOP)
        if not submitted and not began:
            if stop is not None:
                self._write_end(key, supervise.stop_verdict(stop), stop["at_ms"])
            return self._seen_end(key)
        now = self._ticks()
        since = self._missing_since.setdefault(key, now)
        if now - since < self._slurm.lag_s * 1000:
            return self._seen(key, AttemptState.STARTING if began else AttemptState.PENDING, external)
        if stop is not None:
            self._write_end(key, supervise.stop_verdict(stop), stop["at_ms"])
            return self._seen_end(key, external)
        return None

    def _remembered(self, key: AttemptKey, submitted: bool) -> Record | None:
        """Return what accounting says of a job that the controller has forgotten; asked now and then."""
        now = self._ticks()
        if not submitted or now - self._asked_history.get(key, -(10**12)) < _AGAIN_S * 1000:
            return None
        self._asked_history[key] = now
        return self._from_history([key]).get(key)

    def _over_for(self, key: AttemptKey) -> int:
        now = self._ticks()
        return now - self._over_since.setdefault(key, now)

    def _breathes(self, key: AttemptKey) -> bool:
        """Return whether the supervisor's beat has moved of late: then it lives, whatever Slurm says."""
        beat, now = files.read_beat(self._attempts / key), self._ticks()
        known = self._beats.get(key)
        if known is None or known[0] != beat:
            self._beats[key] = (beat, now)
            return beat > 0
        return now - known[1] < self._slurm.beat_dead_s * 1000 and beat > 0

    def _cancel_what_should_end(self) -> None:
        """End jobs that were stopped before their start, copies, and what outstays its stop mark."""
        now, doomed = self._ticks(), []
        for record in self._all:
            if record.over or now - self._cancelled_ms.get(record.id, -(10**12)) < _AGAIN_S * 1000:
                continue
            if self._should_end(record):
                doomed.append(record.id)
                self._cancelled_ms[record.id] = now
        self._commands.cancel(doomed)

    def _should_end(self, record: Record) -> bool:
        key = AttemptKey(record.name)
        folder = self._attempts / key
        if not folder.exists():
            return record.origin == self._origin
        if (folder / files.END).exists():
            return record.waiting
        if self._jobs[record.name].id != record.id and record.waiting:
            return True
        stop = files.read_json(folder / files.STOP)
        if stop is None:
            return False
        if record.waiting and not (folder / files.BEGAN).exists():
            return True
        overdue: bool = self._clock() - stop["at_ms"] > (stop["grace_s"] + _OVERDUE_S) * 1000
        return overdue

    def forget(self, key: AttemptKey) -> None:
        """Delete what is left of an ended attempt."""
        super().forget(key)
        for memory in (self._asked_history, self._missing_since, self._over_since, self._beats, self._cards):
            memory.pop(key, None)

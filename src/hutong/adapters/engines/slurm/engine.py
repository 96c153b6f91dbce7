"""The Slurm engine: attempts as batch jobs whose supervisor runs on the first node of each."""

import dataclasses
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from hutong.adapters.engines.attempt import files, supervise
from hutong.adapters.engines.attempt.engine import DAMAGE, FolderEngine, claimed
from hutong.adapters.engines.attempt.glance import Glances
from hutong.adapters.engines.attempt.origin import check_origin, own_origin
from hutong.adapters.engines.attempt.programs import collect_programs, install_payloads, install_programs
from hutong.adapters.engines.base import Abilities, Order, Receipt, Seen, Use
from hutong.adapters.engines.slurm import accounting, build, parse, verdicts
from hutong.adapters.engines.slurm.commands import Commands
from hutong.adapters.engines.slurm.config import SlurmConfig, SlurmPool
from hutong.adapters.engines.slurm.nodes import pool_states
from hutong.adapters.engines.slurm.parse import Record
from hutong.adapters.engines.slurm.queue import Queue
from hutong.adapters.engines.slurm.rest import Rest
from hutong.adapters.engines.slurm.transport import NotTaken, Transport
from hutong.adapters.engines.slurm.watch import Watch
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.states import AttemptState

_log = structlog.get_logger("hutong.engines.slurm")
_SUBMITTING = "submitting.json"
_SUBMITTED = "submitted.json"
_SETTLE_MS = 5_000
_OVERDUE_MS = 30_000
_FENCE_LAGS = 10
_HOPELESS_LAGS = 5
_CAPACITY_MS = 30_000
_WORDS_BYTES = 500
_SUBMITS_AT_ONCE = 4


class SlurmEngine(FolderEngine):
    """Submits to one cluster and follows what it submitted: by name, never by number alone.

    The folder of an attempt says how it ended; Slurm is asked in one question for all, at most every
    `poll_s`, where the folder cannot tell. `ticks` gives milliseconds that never jump.
    """

    def __init__(self, config: SlurmConfig, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        root = config.folder.root.resolve()
        _check_root(root)
        for name, pool in config.pools.items():
            build.check_pool(name, pool, rest=config.rest is not None)
        payloads = install_payloads(config.folder.payloads, root / "programs")
        super().__init__(dataclasses.replace(config.folder, payloads=payloads), clock)
        self._slurm = config
        self._ticks = ticks
        self._root = root
        self._origin = own_origin(root)
        self._transport: Transport = Rest(config, clock) if config.rest else Commands(config)
        self._queue = Queue(self._transport, config.poll_s, ticks, self._origin)
        self._program = install_programs(root / "programs") / "batch.py"
        collect_programs(root / "programs", (self._program, payloads), self._attempts)
        self._asking = threading.Lock()
        self._watches: dict[AttemptKey, Watch] = {}
        self._glances = Glances(ticks)
        self._strays: dict[str, int] = {}
        self._capacity: tuple[PoolState, ...] = ()
        self._capacity_ms = ticks() - _CAPACITY_MS
        self.abilities = Abilities(
            gangs=True,
            services=True,
            preemption=True,
            reservations=True,
            isolation="bwrap" if self._boxed else "none",
            submits_at_once=_SUBMITS_AT_ONCE,
        )

    def submit(self, order: Order) -> Receipt:
        """Submit the attempt unless it began, or Slurm has a job of its name.

        That we are about to submit is written down first. Who finds that mark and no answer asks Slurm by
        name; a submission still on its way then makes a second job, which does not get past the first one's
        mark that the attempt has begun.
        """
        pool = self._pool(order)
        folder = self._claim(order.key)
        if folder is None:
            return Receipt(order.key, adopted=True)
        known = files.read_json(folder / _SUBMITTED)
        if known is not None:
            return Receipt(known["external"], adopted=True)
        if claimed(folder):
            return Receipt(order.key, adopted=True)
        in_doubt = (folder / _SUBMITTING).exists()
        with self._asking:  # others are submitted by other threads, and the list is one
            self._learn()
            if in_doubt:
                self._queue.poll(fresh=True)
            # A submission that was refused stays in Slurm's list as a job that failed.
            record = parse.choose(each for each in self._queue.named(order.key) if each.state != "FAILED")
        job = self._job(folder, order, pool)
        job_id = record.id if record else self._submit(folder, job, in_doubt=in_doubt)
        external = self._external(job_id)
        # If a power cut takes it, Slurm is asked for the job by name.
        files.write_json(folder / _SUBMITTED, {"external": external}, durable=False)
        return Receipt(external, adopted=record is not None)

    def observe(self) -> tuple[Seen, ...]:
        """Ask Slurm if it is time, then read the folders. Raises Later if Slurm does not answer."""
        check_origin(self._root, self._origin)
        self._learn()
        self._queue.poll()
        self._glances.begin(self._queue.names())
        seen = super().observe()
        self._queue.recall()
        spared = self._glances.spared
        alive = [each for each in self._queue.records if each.name not in spared and not each.over]
        self._queue.cancel([each for each in alive if self._doomed(each)])
        ended = {each.key for each in seen if each.ended is not None}
        for key in self._watches.keys() - self._queue.names():
            if key in ended or not (self._attempts / key).exists():
                del self._watches[key]
        if self._strays:
            for job_id in self._strays.keys() - {record.id for record in self._queue.records}:
                del self._strays[job_id]
        return seen

    def capacity(self) -> tuple[PoolState, ...]:
        """Return what the nodes and the queue say of each pool; asked anew every 30 s."""
        now = self._ticks()
        if now - self._capacity_ms >= _CAPACITY_MS:
            waits = self._transport.waits(self._clock() // 1000)
            self._queue.poll(fresh=True)  # or what started since the last poll would count as others'
            nodes = self._transport.nodes()
            named = all(pool.partition for pool in self._slurm.pools.values() if pool.gres)
            default = "" if named else self._transport.default_partition()
            self._capacity = pool_states(self._slurm.pools, nodes, waits, self._running(), default)
            self._capacity_ms = now
        return self._capacity

    def used(self, from_ms: int, upto_ms: int) -> tuple[Use, ...]:
        """Return what accounting says of every start that ended in `[from, upto)`. Raises Later."""
        span_s = (-(-from_ms // 1000), -(-upto_ms // 1000))
        plugin = self._queue.settings.energy
        rows = self._transport.ended(*span_s, steps=bool(plugin))
        devices = [pool.gres for pool in self._slurm.pools.values()]
        counters = None
        if plugin and rows:
            counters = accounting.Counters(plugin, self._transport.own_cpus())
        return accounting.uses_of(rows, span_s, self._origin, devices, self._asked_cards, counters)

    def _asked_cards(self, key: AttemptKey) -> int:
        told = files.read_json(self._attempts / key / _SUBMITTING) or {}
        return int(told.get("cards", 0))

    def _running(self) -> dict[str, list[tuple[int, int]]]:
        """Return the nodes and cards of each job of ours that holds some now, by pool."""
        held: dict[str, list[tuple[int, int]]] = {}
        for record in self._queue.records:
            asked = self._asked(AttemptKey(record.name)) if record.holding else {}
            if asked:
                held.setdefault(asked["pool"], []).append((max(1, record.nodes), asked["cards"]))
        return held

    def _asked(self, key: AttemptKey) -> dict[str, Any]:
        """Return what was asked for when the attempt was submitted; nothing if it was not."""
        watch = self._watch(key)
        watch.asked = watch.asked or files.read_json(self._attempts / key / _SUBMITTING) or {}
        return watch.asked

    def _watch(self, key: AttemptKey) -> Watch:
        """Return what is remembered of an attempt."""
        found = self._watches.get(key)
        if found is None:
            found = self._watches[key] = Watch(self._ticks)
        return found

    def forget(self, key: AttemptKey) -> None:
        """Delete what is left of an ended attempt."""
        super().forget(key)
        self._watches.pop(key, None)

    # Submission

    def _pool(self, order: Order) -> SlurmPool:
        pool = self._slurm.pools.get(order.attempt.pool)
        if pool is None:
            text = f"pool {order.attempt.pool!r} is not in the agent's configuration"
            raise Refused(
                "unknown_pool", text, (Problem("/pools", text, f"add [engine.pools.{order.attempt.pool}]"),)
            )
        return pool

    def _job(self, folder: Path, order: Order, pool: SlurmPool) -> build.Submission:
        """Return what to submit, and write it into the folder before it can have been submitted."""
        script = build.script(self._slurm.python, self._program, folder)
        comment = build.comment(self._origin, order.project)
        job = build.submission(order, pool, folder, script, comment)
        if not (folder / _SUBMITTING).exists():
            entry = [self._slurm.python, "-I", "-S", str(self._program.with_name("enter.py"))]
            how = build.launcher(self._transport.programs, pool, job.nodes, job.cpus, entry)
            self._write_order(folder, order, how)
            self._write_secrets(folder, order)
            job.path.write_text(script)
            cards = order.attempt.cards
            asked = {"limit_s": job.minutes * 60, "pool": order.attempt.pool, "cards": cards}
            files.write_json(folder / _SUBMITTING, asked)
        return job

    def _submit(self, folder: Path, job: build.Submission, *, in_doubt: bool) -> str:
        try:
            job_id = self._transport.submit(job)
        except (Refused, NotTaken):
            if not in_doubt:  # nothing of it is on its way
                (folder / _SUBMITTING).unlink()
            raise
        self._queue.expire()
        return job_id

    def _learn(self) -> None:
        """Learn once what the cluster is and whether it keeps accounts."""
        if self._queue.learn():
            told = self._queue.settings
            self.abilities = dataclasses.replace(
                self.abilities, accounting=told.accounting, energy=told.accounting and bool(told.energy)
            )

    def _external(self, job_id: str) -> str:
        return f"{self._queue.settings.cluster}:{job_id}"

    # Observation

    def _glance(self, key: AttemptKey) -> Seen | None:
        return self._glances.look(key, f"{self._attempts}/{key}", self._queue.word(key), self._look_safely)

    def _look(self, key: AttemptKey) -> Seen | None:
        watch = self._watch(key)
        if not watch.submitted:
            watch.submitted = (files.read_json(self._file(key, _SUBMITTED)) or {}).get("external", "")
        submitted_id = watch.submitted.rpartition(":")[2]
        seen = self._seen_end(key, watch.submitted)
        if seen is not None:
            files.drop(self._file(key, files.SECRETS))
            return seen
        began = files.read_json(self._file(key, files.BEGAN))
        watch.began_id = _job_id(began)
        # Slurm may purge a job between the look that saw it over and the one that settles it.
        seen_over = parse.choose([watch.over] if watch.over else (), watch.began_id)
        record = self._queue.find(key, watch.began_id, submitted_id) or seen_over
        watch.over = record if record and record.over else None
        external = watch.submitted or (self._external(record.id) if record else "")
        asked = bool(watch.submitted) or files.there(self._file(key, _SUBMITTING))
        if began is None and not asked and (record is None or record.over):
            return self._claimed_only(key)
        if record is None:
            return self._absent(key, watch, external, began=began is not None)
        watch.for_ms("missing", holds=False)
        verdict = self._verdict(key, watch, record, began=began is not None)
        if verdict is not None:
            # Of a job that waits Slurm tells when it might end.
            ended_ms = record.ended_s * 1000 if record.over else 0
            return self._settle(key, verdict, external, ended_ms, began=began is not None)
        before = AttemptState.PENDING if record.waiting and began is None else AttemptState.STARTING
        return self._seen(key, before, external)

    def _verdict(
        self, key: AttemptKey, watch: Watch, record: Record, *, began: bool
    ) -> supervise.Verdict | None:
        """Return the end that Slurm's word stands for, once nothing contradicts it any more."""
        over = record.over or (record.waiting and began)
        settle_ms = _SETTLE_MS + self._slurm.poll_s * 1000
        hopeless_ms = watch.for_ms("hopeless", holds=record.hopeless and not began)
        if watch.for_ms("over", holds=over) > settle_ms and not self._lives(key, watch):
            limit_s, words = self._asked(key).get("limit_s", 0), self._last_words(key)
            return verdicts.of_ended(record, limit_s, words) if record.over else verdicts.of_requeued(record)
        if hopeless_ms > _HOPELESS_LAGS * self._slurm.lag_s * 1000:
            return verdicts.of_hopeless(record)
        return None

    def _last_words(self, key: AttemptKey) -> str:
        """Return the last line that the batch script has written: why its python did not start, say.

        What Slurm adds to the script's log (that it cancels the job, say) it has told us already.
        """
        try:
            with (self._attempts / key / build.SCRIPT_LOG).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _WORDS_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return next((line for line in reversed(said) if not line.startswith("slurmstepd")), "")

    def _settle(
        self, key: AttemptKey, verdict: supervise.Verdict, external: str, ended_ms: int, *, began: bool
    ) -> Seen:
        """Write the end of an attempt that has left none, unless its folder says otherwise after all."""
        folder = self._attempts / key
        living = self._seen(key, AttemptState.STARTING, external)
        files.look_afresh(folder)
        if not began and (folder / files.BEGAN).exists():
            return living  # it began unseen: the next look knows more
        stop = files.read_json(folder / files.STOP)
        self._write_end(key, supervise.stop_verdict(stop) if stop else verdict, ended_ms)
        return self._seen_end(key, external) or living

    def _claimed_only(self, key: AttemptKey) -> Seen | None:
        """Return what may be said of an attempt that never came to its submission, or was refused."""
        (self._attempts / key / files.SECRETS).unlink(missing_ok=True)  # a submission writes them anew
        stop = files.read_json(self._attempts / key / files.STOP)
        if stop is None:
            return None
        return self._settle(key, supervise.stop_verdict(stop), "", stop["at_ms"], began=False)

    def _absent(self, key: AttemptKey, watch: Watch, external: str, *, began: bool) -> Seen | None:
        """Return what may be said of an attempt that Slurm does not name."""
        folder = self._attempts / key
        stop = files.read_json(folder / files.STOP)
        before = self._seen(key, AttemptState.STARTING if began else AttemptState.PENDING, external)
        if began and self._lives(key, watch):
            watch.for_ms("missing", holds=False)
            return before
        self._queue.wonder(key)
        missing_ms = watch.for_ms("missing", holds=not self._queue.in_doubt)
        lag_ms = self._slurm.lag_s * 1000
        if missing_ms < lag_ms:
            return before
        # What never began and is gone is absent; in the end a mark keeps it from ever starting after all.
        if began or stop or missing_ms > _FENCE_LAGS * lag_ms:
            verdict = verdicts.of_forgotten(external.rpartition(":")[2])
            return self._settle(key, verdict, external, 0, began=began)
        return None

    def _lives(self, key: AttemptKey, watch: Watch) -> bool:
        """Return whether a supervisor was heard of late: then it lives, whatever Slurm says."""
        folder = self._attempts / key
        if (folder / files.LEFT).exists():
            return False
        return watch.silent_ms(files.read_pulse(folder)) < self._slurm.beat_dead_s * 1000

    # Ends that we bring about

    def _doomed(self, record: Record) -> bool:
        try:
            return self._should_end(record)
        except DAMAGE as error:
            _log.error("the attempt's files are damaged", key=record.name, why=repr(error))
            return False

    def _should_end(self, record: Record) -> bool:
        """Return whether a living job is a copy, was stopped before its start, or outstays its end."""
        key = AttemptKey(record.name)
        if not files.there(self._file(key, "")):
            return self._is_stray(record)
        watch = self._watch(key)
        if files.there(self._file(key, files.END)):
            return record.waiting or watch.for_ms("ended", holds=True) > _OVERDUE_MS
        chosen = self._queue.find(key, watch.began_id, watch.submitted.rpartition(":")[2])
        if record.waiting and (chosen is None or chosen.id != record.id):
            return True
        stop = files.read_json(self._file(key, files.STOP))
        stopped_ms = watch.for_ms("stop", holds=stop is not None)
        return stop is not None and (record.waiting or stopped_ms > stop["grace_s"] * 1000 + _OVERDUE_MS)

    def _is_stray(self, record: Record) -> bool:
        """Return whether a job of ours has no folder any more, for good."""
        if record.origin != self._origin:
            return False
        now = self._ticks()
        since = self._strays.setdefault(record.id, now)
        return (self._tombs / record.name).exists() or now - since > self._slurm.lag_s * 1000


def _job_id(began: dict[str, Any] | None) -> str:
    """Return the number of the job in which an attempt began: `cluster/number/restarts`."""
    parts = str((began or {}).get("identity", "")).split("/")
    return parts[1] if len(parts) > 1 else ""


def _check_root(root: Path) -> None:
    """Raise Refused for a folder that cannot be a site's. It is not made here: it may just not be mounted."""
    if not root.is_dir():
        text = f"{root} is missing: make it once, on the file system that all nodes mount"
        raise Refused("bad_config", text, (Problem("/root", text),))
    if any(sign in str(root) for sign in "%\\\n"):
        text = f"{str(root)!r} has a sign that Slurm reads as a pattern"
        raise Refused("bad_config", text, (Problem("/root", text, "use letters, digits, - and _"),))

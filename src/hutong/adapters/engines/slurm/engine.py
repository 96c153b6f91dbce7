"""The Slurm engine: attempts as batch jobs whose supervisor runs on the first node of each."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import structlog

from hutong.adapters.engines.attempt import files, supervise
from hutong.adapters.engines.attempt.engine import DAMAGE
from hutong.adapters.engines.attempt.glance import Glances
from hutong.adapters.engines.attempt.origin import check_origin
from hutong.adapters.engines.base import Seen, Use
from hutong.adapters.engines.slurm import accounting, build, parse, verdicts
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.adapters.engines.slurm.nodes import pool_states
from hutong.adapters.engines.slurm.parse import Record
from hutong.adapters.engines.slurm.submitter import SUBMITTED, SUBMITTING, Submitter
from hutong.adapters.engines.slurm.watch import Watch
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.states import AttemptState

_log = structlog.get_logger("hutong.engines.slurm")
_SETTLE_MS = 5_000
_OVERDUE_MS = 30_000
_FENCE_LAGS = 10
_HOPELESS_LAGS = 5
_CAPACITY_MS = 30_000
_WORDS_BYTES = 500


class SlurmEngine(Submitter):
    """Submits to one cluster and follows what it submitted: by name, never by number alone.

    The folder of an attempt says how it ended; Slurm is asked in one question for all, at most every
    `poll_s`, where the folder cannot tell. `ticks` gives milliseconds that never jump.
    """

    def __init__(self, config: SlurmConfig, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        super().__init__(config, clock, ticks)
        self._watches: dict[AttemptKey, Watch] = {}
        self._glances = Glances(ticks)
        self._strays: dict[str, int] = {}
        self._capacity: tuple[PoolState, ...] = ()
        self._capacity_ms = ticks() - _CAPACITY_MS

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
            self._queue.poll(fresh=True)  # or what started since the last poll would count as others'
            nodes = self._transport.nodes()
            waits = self._transport.waits(self._clock() // 1000)
            named = all(pool.partition for pool in self._slurm.pools.values() if pool.gres)
            default = "" if named else self._transport.default_partition()
            self._capacity = pool_states(self._slurm.pools, nodes, waits, self._running(), default)
            self._capacity_ms = now
        return self._capacity

    def used(self, from_ms: int, upto_ms: int) -> tuple[Use, ...]:
        """Return what accounting says of every start that ended in `[from, upto)`. Raises Later."""
        span_s = (-(-from_ms // 1000), -(-upto_ms // 1000))
        plugin = self._queue.settings.energy
        told = self._transport.ended(*span_s, steps=bool(plugin))
        rows = [
            dataclasses.replace(row, name=self._arrays.key(row.name, row.shown) or row.name) for row in told
        ]
        devices = [pool.gres for pool in self._slurm.pools.values()]
        counters = None
        if plugin and rows:
            counters = accounting.Counters(plugin, self._transport.own_cpus())
        return accounting.uses_of(rows, span_s, self._origin, devices, self._asked_cards, counters)

    def _asked_cards(self, key: AttemptKey) -> int:
        told = files.read_json(self._attempts / key / SUBMITTING) or {}
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
        watch.asked = watch.asked or files.read_json(self._attempts / key / SUBMITTING) or {}
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

    # Observation

    def _glance(self, key: AttemptKey) -> Seen | None:
        return self._glances.look(key, f"{self._attempts}/{key}", self._queue.word(key), self._look_safely)

    def _look(self, key: AttemptKey) -> Seen | None:
        watch = self._watch(key)
        if not watch.submitted:
            watch.submitted = (files.read_json(self._file(key, SUBMITTED)) or {}).get("external", "")
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
        asked = bool(watch.submitted) or files.there(self._file(key, SUBMITTING))
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
        hopeless_ms = watch.for_ms("hopeless", holds=record.hopeless and not began)
        if watch.for_ms("over", holds=over) > self._settle_ms() and not self._lives(key, watch):
            limit_s, words = self._asked(key).get("limit_s", 0), self._last_words(key)
            return verdicts.of_ended(record, limit_s, words) if record.over else verdicts.of_requeued(record)
        if hopeless_ms > _HOPELESS_LAGS * self._slurm.lag_s * 1000:
            return verdicts.of_hopeless(record)
        return None

    def _settle_ms(self) -> int:
        """Return for how long Slurm's word must hold: until it was asked again, and a while."""
        return _SETTLE_MS + self._queue.period_ms

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
        if self._queue.awaits(key) or (began and self._lives(key, watch)):
            watch.for_ms("missing", holds=False)
            return before
        array, job_id = self._asked(key).get("array", ""), external.rpartition(":")[2]
        self._queue.wonder(key, array)
        missing_ms = watch.for_ms("missing", holds=not self._queue.in_doubt)
        lag_ms = self._slurm.lag_s * 1000
        # Of an element that is cancelled while it waits Slurm keeps nothing, though it tells of the others.
        if watch.submitted and not began and self._queue.lists(array) and missing_ms > self._settle_ms():
            return self._settle(key, verdicts.of_taken_out(job_id), external, 0, began=began)
        if missing_ms < lag_ms:
            return before
        # What never began and is gone is absent; in the end a mark keeps it from ever starting after all.
        if began or stop or missing_ms > _FENCE_LAGS * lag_ms:
            verdict = verdicts.of_forgotten(job_id)
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

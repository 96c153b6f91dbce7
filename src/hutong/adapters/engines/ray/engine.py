"""The Ray engine: an attempt is a Ray job; its entrypoint is the supervisor, for several nodes the driver."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from hutong.adapters.engines.attempt import files, supervise
from hutong.adapters.engines.attempt.engine import DAMAGE, FolderEngine, claimed
from hutong.adapters.engines.attempt.origin import check_origin, own_origin
from hutong.adapters.engines.attempt.programs import (
    collect_programs,
    install_file,
    install_payloads,
    install_programs,
)
from hutong.adapters.engines.attempt.signs import Signs
from hutong.adapters.engines.attempt.supervise import Verdict
from hutong.adapters.engines.base import Abilities, Order, Receipt, Seen
from hutong.adapters.engines.ray import build, parse
from hutong.adapters.engines.ray.client import JobsClient
from hutong.adapters.engines.ray.config import RayConfig
from hutong.adapters.engines.ray.parse import Record
from hutong.core.capacity.sites import PoolState
from hutong.core.capacity.spread import Shape
from hutong.core.kernel.errors import Later, Problem, Refused
from hutong.core.kernel.ids import AttemptKey, split_key
from hutong.core.work.states import AttemptState

_log = structlog.get_logger("hutong.engines.ray")
_SUBMITTED = "submitted.json"
_SETTLE_S = 5.0
_OVERDUE_S = 30.0
_AGAIN_S = 10.0
_CAPACITY_S = 30.0
_AT_ONCE = 20
_LISTED_S = 30.0
_ORPHAN_S = 120.0  # a busy head may take long from a job's name to what starts it
_FORGOTTEN = Verdict("FAILED", "infra", "Ray does not know it any more, as after a restart of its head")
_ORPHANED = Verdict("FAILED", "infra", "Ray calls it pending, but has nothing that would start it")


class RayEngine(FolderEngine):
    """Submits to one cluster and follows what it submitted by name.

    The folder of an attempt says how it ended, and wins over Ray's word; Ray is asked in one question for all
    jobs, at most every `poll_s`. Before anything is said of an attempt that has not begun, its beginning is
    taken away from it: then it cannot begin later. `ticks` gives milliseconds that never jump.
    """

    def __init__(self, config: RayConfig, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        root = config.folder.root.resolve()
        if not root.is_dir():
            # It is not made here: it may just not be mounted.
            text = f"{root} is missing: make it once, on the file system that all nodes mount"
            raise Refused("bad_config", text, (Problem("/root", text),))
        payloads = install_payloads(config.folder.payloads, root / "programs")
        super().__init__(replace(config.folder, payloads=payloads), clock)
        for name, pool in config.pools.items():
            build.check_pool(name, pool)
        self._ray = config
        self._ticks = ticks
        self._client = JobsClient(config)
        self._programs = install_programs(root / "programs")
        self._files = build.Files(
            *(
                install_file(Path(build.__file__).with_name(f"{name}.py"), root / "programs")
                for name in build.Files._fields
            )
        )
        collect_programs(root / "programs", (self._programs, *self._files, payloads), self._attempts)
        self._root = root
        self._origin = own_origin(root)
        self._jobs: dict[str, Record] = {}
        self._again: set[AttemptKey] = set()
        self._starters: frozenset[str] | None = None
        self._listed_ms: float = float("-inf")
        self._polled_ms: float = float("-inf")
        self._signs = Signs(ticks)
        self._capacity: tuple[PoolState, ...] = ()
        self._capacity_ms: float = float("-inf")
        self.abilities = Abilities(
            gangs=True, services=True, preemption=True, isolation="bwrap" if self._boxed else "none"
        )

    def submit(self, order: Order) -> Receipt:
        """Submit the attempt unless Ray has a job of its name."""
        self._check_pool(order)
        folder = self._claim(order.key)
        if folder is None or claimed(folder) or (folder / _SUBMITTED).exists():
            return Receipt(order.key, adopted=True)
        # An earlier submission of ours may have reached Ray without our hearing of it: Ray takes a name once.
        body = build.submission(self._write_job(folder, order), self._origin)
        try:
            adopted = not self._client.submit(body)
            if adopted:
                self._check_ours(order.key)
        except Refused:
            (folder / files.SECRETS).unlink(missing_ok=True)
            raise
        files.write_json(folder / _SUBMITTED, {"at_ms": self._clock()})
        return Receipt(order.key, adopted)

    def observe(self) -> tuple[Seen, ...]:
        """Ask Ray if it is time, then read the folders. Raises Later if Ray does not answer."""
        check_origin(self._root, self._origin)
        self._poll()
        seen = super().observe()
        for mend in (self._submit_again, self._clear_away):
            try:
                mend()
            except Later as error:
                _log.warning("Ray was not told all that it should be", why=str(error))
        return seen

    def capacity(self) -> tuple[PoolState, ...]:
        """Return what the nodes say of each pool; asked anew every 30 s."""
        now = self._ticks()
        if now - self._capacity_ms >= _CAPACITY_S * 1000:
            # The head is behind in what is in use: what ended just now, or starts, would count as others'.
            holding = self._holding()
            nodes, used = self._client.nodes(), self._client.usage()
            self._polled_ms = float("-inf")
            self._poll()
            now_holding = self._holding()
            shapes = self._shapes_of(holding | now_holding)
            ours = {pool: sum(wide * cards for wide, cards in some) for pool, some in shapes.items()}
            begun = self._shapes_of(each for each in now_holding if self._has_begun(each))
            self._capacity = parse.pool_states(self._ray.pools, nodes, used, ours, begun)
            self._capacity_ms = now
        return self._capacity

    def forget(self, key: AttemptKey) -> None:
        """Delete what is left of an ended attempt; Ray is made to forget it too."""
        super().forget(key)
        self._signs.forget(key)

    def _holding(self) -> set[str]:
        """Return the jobs of ours that hold cards, or are about to: Ray takes them before the job begins."""
        return {
            name
            for name, record in self._jobs.items()
            if not record.over
            and not (record.pending and (self._attempts / name / files.END).exists())  # it will not stay
        }

    def _has_begun(self, name: str) -> bool:
        """Return whether a job has its cards for certain: Ray takes them before it begins."""
        began = files.read_json(self._attempts / name / files.BEGAN)
        return began is not None and "fenced" not in began

    def _shapes_of(self, names: Iterable[str]) -> dict[str, list[Shape]]:
        """Return the nodes of each of these jobs, and its cards on each, by pool."""
        held: dict[str, list[Shape]] = {}
        for name in names:
            order = files.read_json(self._attempts / name / files.ORDER)
            if order is not None:
                shape = order["spec"]["num_nodes"], order["cards_per_node"]
                held.setdefault(order["launcher"]["pool"], []).append(shape)
        return held

    def _check_ours(self, key: AttemptKey) -> None:
        record = self._client.job(key)
        if record is None:
            raise Later(f"Ray has just forgotten its job {key}", 1)
        if record.origin != self._origin:
            raise Refused("taken_key", f"Ray has a job {key} that is not this site's")

    def _check_pool(self, order: Order) -> None:
        if order.attempt.pool not in self._ray.pools:
            text = f"pool {order.attempt.pool!r} is not in the agent's configuration"
            fix = f"add [engine.pools.{order.attempt.pool}]"
            raise Refused("unknown_pool", text, (Problem("/pools", text, fix),))

    def _write_job(self, folder: Path, order: Order) -> dict[str, Any]:
        """Write what the nodes must know, the order last, and return that.

        What is there already stays: an earlier submission may use it.
        """
        written = files.read_json(folder / files.ORDER)
        if written is None:
            if order.spec.num_nodes > 1:
                self._write_token(folder)
            self._write_secrets(folder, order)
            launcher = build.launcher(order, self._ray, self._programs, self._files, folder)
            self._write_order(folder, order, launcher)
            written = files.read_json(folder / files.ORDER)
        if written is None:
            raise Later(f"{folder} does not keep what is written: is its file system well?", 30)
        return written

    def _poll(self) -> None:
        now = self._ticks()
        if now - self._polled_ms < self._ray.poll_s * 1000:
            return
        try:
            known = self._client.jobs()
        except Later:
            self._signs.none("missing")  # only answers one after another prove that a job is missing
            raise
        mine = (each for each in known if each.origin == self._origin and split_key(AttemptKey(each.name)))
        self._jobs = {each.name: each for each in mine}
        self._polled_ms = now
        self._list_starters()

    def _list_starters(self) -> None:
        """Ask what Ray has that will start a job, where one has been pending for some time."""
        long = False
        for key, record in ((AttemptKey(name), each) for name, each in self._jobs.items()):
            if record.pending:
                long = self._signs.lasts(key, "pending") > _ORPHAN_S or long
            else:
                self._signs.over(key, "pending")
        if not long or self._polled_ms - self._listed_ms < _LISTED_S * 1000:
            return
        self._listed_ms = self._polled_ms
        try:
            self._starters = self._client.starters()
        except Later as error:
            self._starters = None
            _log.warning("Ray does not say what it has to start", why=str(error))

    def _look(self, key: AttemptKey) -> Seen | None:
        folder = self._attempts / key
        seen = self._seen_end(key)
        if seen is not None:
            return seen
        stop = files.read_json(folder / files.STOP)
        if stop is not None and self._fenced(folder):
            self._write_end(key, supervise.stop_verdict(stop), stop["at_ms"])
            return self._seen_end(key)
        began = (folder / files.BEGAN).exists()
        if not began and not (folder / _SUBMITTED).exists():
            return None
        verdict = None if not began and self._comes_again(key) else self._verdict(key, folder)
        if verdict is not None and (began or self._fenced(folder)):
            self._write_end(key, supervise.stop_verdict(stop) if stop else verdict)
            return self._seen_end(key)
        return self._seen(key, AttemptState.STARTING if began else AttemptState.PENDING)

    def _verdict(self, key: AttemptKey, folder: Path) -> Verdict | None:
        """Return how an attempt without an end came to one, by Ray's word; None while it may well go on."""
        record = self._jobs.get(key)
        if record is not None:
            self._signs.over(key, "missing")
        if record is None and self._signs.lasts(key, "missing") < self._ray.lag_s:
            return None
        if record is not None and self._orphaned(key, record):
            return _ORPHANED
        if record is not None and (not record.over or self._signs.lasts(key, "over") < _SETTLE_S):
            return None
        left = (folder / files.LEFT).exists()
        if not left and self._signs.pulse(key, files.read_pulse(folder), self._ray.beat_dead_s):
            return None
        return record.verdict() if record else _FORGOTTEN

    def _orphaned(self, key: AttemptKey, record: Record) -> bool:
        """Return whether a job has been pending for long without anything in Ray that would start it."""
        known = self._starters
        if known is None or key in known or not record.pending:
            self._signs.over(key, "orphaned")
            return False
        return self._signs.lasts(key, "orphaned") > _ORPHAN_S

    def _comes_again(self, key: AttemptKey) -> bool:
        """Return whether an attempt that has not begun is, or will be, submitted anew."""
        record = self._jobs.get(key)
        return key in self._again or (record is not None and record.unstarted)

    def _submit_again(self) -> None:
        """Submit anew what Ray gave up as it could not start it in its time limit; some at a time.

        If Ray starts the old one too, the second of them finds that the attempt began, and leaves.
        """
        given_up = {AttemptKey(name) for name, record in self._jobs.items() if record.unstarted}
        settled = {key for key in given_up if self._signs.lasts(key, "unstarted") > _SETTLE_S}
        for key in sorted(settled | self._again)[:_AT_ONCE]:
            folder = self._attempts / key
            document = files.read_json(folder / files.ORDER)
            if document is None or claimed(folder):
                self._again.discard(key)
                continue
            if key in settled:
                self._again.add(key)
                self._client.delete(key)
                del self._jobs[key]
                self._signs.over(key, "unstarted")
            if key not in self._jobs:
                self._submit_known(key, document)
            self._again.discard(key)

    def _submit_known(self, key: AttemptKey, document: dict[str, Any]) -> None:
        try:
            self._client.submit(build.submission(document, self._origin))
        except Refused as error:
            _log.error("Ray does not take a job again that it took before", key=key, why=str(error))

    def _fenced(self, folder: Path) -> bool:
        """Take an attempt's beginning away from it; False if it began."""
        files.create_json(folder / files.BEGAN, {"fenced": True})
        return "fenced" in (files.read_json(folder / files.BEGAN) or {})

    def _clear_away(self) -> None:
        """Stop jobs that should have ended, and have Ray forget what is forgotten here; some at a time."""
        left = _AT_ONCE
        for name, record in list(self._jobs.items()):
            key = AttemptKey(name)
            if record.over and not (self._attempts / key).exists():
                self._client.delete(name)
                del self._jobs[name]
                self._signs.forget(key)
            elif not record.over and self._outstays(key) and self._signs.due(key, "stopped", _AGAIN_S):
                self._client.stop(name)
            else:
                continue
            left -= 1
            if not left:
                return

    def _outstays(self, key: AttemptKey) -> bool:
        try:
            return self._overdue(key)
        except DAMAGE as error:
            _log.error("the attempt's files are damaged", key=key, why=repr(error))
            return False

    def _overdue(self, key: AttemptKey) -> bool:
        """Return whether a job runs on though it has an end, outstayed its stop mark, or is unknown here."""
        folder = self._attempts / key
        stop = files.read_json(folder / files.STOP)
        if stop is not None and self._signs.lasts(key, "stop") > stop["grace_s"] + _OVERDUE_S:
            return True
        if folder.exists() and not (folder / files.END).exists():
            self._signs.over(key, "ended")
            return False
        return self._signs.lasts(key, "ended") > _OVERDUE_S

"""How attempts come to Slurm: each as one batch job, or like ones together as the elements of a job array."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.engine import FolderEngine, claimed
from hutong.adapters.engines.attempt.origin import own_origin
from hutong.adapters.engines.attempt.programs import collect_programs, install_payloads, install_programs
from hutong.adapters.engines.base import Abilities, Fate, Order, Receipt
from hutong.adapters.engines.slurm import build, parse
from hutong.adapters.engines.slurm.arrays import LEAST, MOST, Arrays
from hutong.adapters.engines.slurm.commands import Commands
from hutong.adapters.engines.slurm.config import SlurmConfig, SlurmPool
from hutong.adapters.engines.slurm.queue import Queue
from hutong.adapters.engines.slurm.rest import Rest
from hutong.adapters.engines.slurm.transport import NotTaken, Transport
from hutong.core.kernel.errors import Later, Problem, Refused
from hutong.core.kernel.ids import AttemptKey, split_key

SUBMITTING = "submitting.json"
SUBMITTED = "submitted.json"
_SUBMITS_AT_ONCE = 4
_WRITTEN_AT_ONCE = 10


class Submitter(FolderEngine):
    """The half of the Slurm engine that starts attempts.

    That we are about to submit is written down first. Who finds that mark and no answer asks Slurm by
    name; a submission still on its way then makes a second job, which does not get past the first one's
    mark that the attempt has begun. An attempt without a mark is in no array that may be on its way, so
    it may be put into one.
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
        self._arrays = Arrays(root / "arrays")
        self._queue = Queue(self._transport, config.poll_s, ticks, self._origin, self._arrays)
        self._program = install_programs(root / "programs") / "batch.py"
        collect_programs(root / "programs", (self._program, payloads), self._attempts)
        self._supervisor = build.supervisor(config.python, self._program)
        self._asking = threading.Lock()
        self._groups = self._boxed if config.arrays is None else config.arrays
        self.abilities = Abilities(
            gangs=True,
            services=True,
            preemption=True,
            reservations=True,
            isolation="bwrap" if self._boxed else "none",
            submits_at_once=_SUBMITS_AT_ONCE,
        )

    def submit(self, order: Order) -> Receipt:
        """Submit the attempt unless it began, or Slurm has a job of its name, or of its array's."""
        return self._submit_alone(order, looked=False)

    def _submit_alone(self, order: Order, *, looked: bool) -> Receipt:
        """Submit an attempt as a job of its own; `looked`: Slurm has been asked for its jobs just now."""
        pool = self._pool(order)
        folder = self._claim(order.key)
        if folder is None:
            return Receipt(order.key, adopted=True)
        known = files.read_json(folder / SUBMITTED)
        if known is not None:
            return Receipt(known["external"], adopted=True)
        if claimed(folder):
            return Receipt(order.key, adopted=True)
        in_doubt = (folder / SUBMITTING).exists()
        with self._asking:  # others are submitted by other threads, and the list is one
            self._learn()
            if in_doubt and not looked:
                self._queue.poll(fresh=True)
            # A submission that was refused stays in Slurm's list as a job that failed.
            record = parse.choose(each for each in self._queue.named(order.key) if each.state != "FAILED")
        job = self._job(folder, order, pool)
        job_id = record.id if record else self._submit((folder,), job, in_doubt=in_doubt)
        return self._noted(folder, job_id, adopted=record is not None)

    def alike(self, orders: Sequence[Order]) -> list[Sequence[Order]]:
        """Return the orders, those together that ask Slurm for the same and are worth an array."""
        groups: dict[Hashable, list[Order]] = {}
        with contextlib.suppress(Later):
            self._learn()
        most = min(MOST, self._queue.settings.array_most) if self._groups else 1
        for order in orders:
            pool = self._slurm.pools.get(order.attempt.pool)
            whose: Hashable = order.key
            if pool is not None and order.spec.num_nodes == 1 and split_key(order.key) and most >= LEAST:
                asked = build.submission(order, pool, Path(), "", build.comment(self._origin, order.project))
                whose = (order.attempt.pool, build.alike(asked))
            groups.setdefault(whose, []).append(order)
        parts: list[Sequence[Order]] = []
        for group in groups.values():
            for at in range(0, len(group), max(1, most)):
                part = group[at : at + max(1, most)]
                parts += [part] if len(part) >= LEAST else [[order] for order in part]
        return parts

    def submit_together(self, orders: Sequence[Order]) -> list[Fate]:
        """Submit attempts that are alike as one array, but for those of which anything is known.

        Where Slurm does not take the array they are submitted one by one: it may have room for some.
        """
        fresh: list[Order] = []
        fates: dict[AttemptKey, Fate] = {}
        try:
            fresh += (order for order in orders if self._is_fresh(order.key))
            if len(fresh) > 1:
                fates = self._submit_array(fresh)
        except (Later, OSError) as error:
            fates = {order.key: error for order in fresh}
        rest = [order for order in orders if order.key not in fates]
        fates |= self._submit_each(rest)
        return [fates[order.key] for order in orders]

    def _prepared(self, order: Order, pool: SlurmPool, array: str) -> build.Submission | None:
        """Write down what an element of an array is to be; None for an attempt that is over."""
        folder = self._claim(order.key)
        return self._job(folder, order, pool, array) if folder else None

    def _submit_each(self, orders: Sequence[Order]) -> dict[AttemptKey, Fate]:
        """Submit attempts one by one. Those that may be on their way are asked for in one question."""
        fates: dict[AttemptKey, Fate] = {}
        try:
            looked = any((self._folder(order.key) / SUBMITTING).exists() for order in orders)
            if looked:
                with self._asking:
                    self._learn()
                    self._queue.poll(fresh=True)
        except (Later, OSError) as error:
            return {order.key: error for order in orders}
        for order in orders:
            try:
                fates[order.key] = self._submit_alone(order, looked=looked)
            except (Refused, Later, OSError) as error:
                fates[order.key] = error
        return fates

    def _submit_array(self, orders: Sequence[Order]) -> dict[AttemptKey, Fate]:
        """Submit new attempts as one array; nothing if Slurm does not take it."""
        pool, keys = self._pool(orders[0]), [order.key for order in orders]
        with self._asking:
            self._learn()
        name = self._arrays.write(keys)
        with ThreadPoolExecutor(_WRITTEN_AT_ONCE, "writing") as writers:  # a disk syncs many as soon as one
            jobs = list(writers.map(lambda order: self._prepared(order, pool, name), orders))
        folders = [job.folder for job in jobs if job]
        if jobs[0] is None or len(folders) < len(orders):  # one is over after all
            return {}
        try:
            array = build.array(jobs[0], name, self._attempts, keys, self._supervisor)
            number = self._submit(folders, array, in_doubt=False)
        except (Refused, NotTaken):
            return {}
        return {
            key: self._noted(folder, f"{number}_{index}", adopted=False)
            for index, (key, folder) in enumerate(zip(keys, folders, strict=True))
        }

    def _is_fresh(self, key: AttemptKey) -> bool:
        """Return whether nothing was ever done about an attempt, so that no array can hold it."""
        folder = self._folder(key)
        marked = any((folder / name).exists() for name in (SUBMITTING, SUBMITTED))
        return not (marked or claimed(folder) or self._queue.named(key) or (self._tombs / key).exists())

    def _pool(self, order: Order) -> SlurmPool:
        pool = self._slurm.pools.get(order.attempt.pool)
        if pool is None:
            text = f"pool {order.attempt.pool!r} is not in the agent's configuration"
            raise Refused(
                "unknown_pool", text, (Problem("/pools", text, f"add [engine.pools.{order.attempt.pool}]"),)
            )
        return pool

    def _job(self, folder: Path, order: Order, pool: SlurmPool, array: str = "") -> build.Submission:
        """Return what to submit, and write it into the folder before it can have been submitted."""
        script = build.script(self._supervisor, folder)
        comment = build.comment(self._origin, order.project)
        job = build.submission(order, pool, folder, script, comment)
        if not (folder / SUBMITTING).exists():
            entry = [self._slurm.python, "-I", "-S", str(self._program.with_name("enter.py"))]
            how = build.launcher(self._transport.programs, pool, job.nodes, job.cpus, entry)
            self._write_order(folder, order, how)
            self._write_secrets(folder, order)
            job.path.write_text(script)
            cards = order.attempt.cards
            asked = {"limit_s": job.minutes * 60, "pool": order.attempt.pool, "cards": cards}
            files.write_json(folder / SUBMITTING, asked | ({"array": array} if array else {}))
        return job

    def _submit(self, folders: Sequence[Path], job: build.Submission, *, in_doubt: bool) -> str:
        """Submit what attempts' folders hold and return its number."""
        try:
            job_id = self._transport.submit(job)
        except (Refused, NotTaken):
            if not in_doubt:  # nothing of it is on its way
                for folder in folders:
                    (folder / SUBMITTING).unlink()
            raise
        self._queue.note(folder.name for folder in folders)
        return job_id

    def _noted(self, folder: Path, job_id: str, *, adopted: bool) -> Receipt:
        """Note what an attempt was submitted as."""
        external = self._external(job_id)
        # If a power cut takes it, Slurm is asked for the job by name.
        files.write_json(folder / SUBMITTED, {"external": external}, durable=False)
        return Receipt(external, adopted)

    def _learn(self) -> None:
        """Learn once what the cluster is and whether it keeps accounts."""
        if self._queue.learn():
            told = self._queue.settings
            self.abilities = dataclasses.replace(
                self.abilities, accounting=told.accounting, energy=told.accounting and bool(told.energy)
            )

    def _external(self, job_id: str) -> str:
        return f"{self._queue.settings.cluster}:{job_id}"


def _check_root(root: Path) -> None:
    """Raise Refused for a folder that cannot be a site's. It is not made here: it may just not be mounted."""
    if not root.is_dir():
        text = f"{root} is missing: make it once, on the file system that all nodes mount"
        raise Refused("bad_config", text, (Problem("/root", text),))
    if any(sign in str(root) for sign in "%\\\n"):
        text = f"{str(root)!r} has a sign that Slurm reads as a pattern"
        raise Refused("bad_config", text, (Problem("/root", text, "use letters, digits, - and _"),))

"""What engines share: an attempt is a folder; whoever reads it can follow, stop and forget the attempt."""

import contextlib
import dataclasses
import functools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from hutong.adapters.engines.attempt import box, files, supervise
from hutong.adapters.engines.attempt.call import reach
from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.base import Order, Seen
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.ids import AttemptKey, JobId, split_key
from hutong.core.work.facts import Ended, RankExit
from hutong.core.work.states import UNCHARGED_RETRY, AttemptState, Category

_log = structlog.get_logger("hutong.engines.attempt")
DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


@functools.cache
def why_no_box() -> str:
    """Return why jobs cannot be boxed on this machine, or nothing; asked once per process."""
    argv = [sys.executable, "-I", "-S", str(Path(box.__file__).resolve())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return str(json.loads(done.stdout)) if done.returncode == 0 else done.stderr.strip()


class FolderEngine(ABC):
    """The half of an engine that reads and writes attempts' folders below `config.root`.

    All that it knows lies there, so it may die at any moment. A subclass starts attempts and says what
    became of one whose folder does not tell.
    """

    def __init__(self, config: FolderConfig, clock: Callable[[], int]) -> None:
        self._config = config
        self._clock = clock
        root = config.root.resolve()
        self._attempts = root / "attempts"
        self._tombs = root / "tombs"
        self._trash = root / "trash"
        self._checkpoints = root / "checkpoints"
        for folder in (self._attempts, self._tombs, self._trash, self._checkpoints):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._names: list[str] = []
        self._keys: list[AttemptKey] = []
        self._over: dict[AttemptKey, Seen] = {}
        self._asked_again: dict[AttemptKey, Seen] = {}
        self._unwritten: dict[AttemptKey, dict[str, Any]] = {}
        self._boxed, self._note = _choose_box(config)

    def stop(
        self, key: AttemptKey, attempt: int, category: Category, reason: str, grace_s: int | None = None
    ) -> None:
        """Leave a stop mark, which a supervisor finds at once and a later start too; the first one counts."""
        if (self._tombs / key).exists():
            return
        folder = self._folder(key)
        folder.mkdir(mode=0o700, exist_ok=True)
        if grace_s is None:
            order = files.read_json(folder / files.ORDER)
            grace_s = int(order["spec"]["grace_s"]) if order else 0
        mark = {
            "attempt": attempt,
            "category": category.value,
            "reason": reason,
            "grace_s": max(grace_s, 0),
            "at_ms": self._clock(),
        }
        files.create_json(folder / files.STOP, mark)

    def observe(self) -> tuple[Seen, ...]:
        """Read every attempt's folder; ended ones are remembered, so that many cost little."""
        names = os.listdir(self._attempts)  # noqa: PTH208  (names are what is wanted)
        if names != self._names:
            self._names, self._keys = names, sorted(AttemptKey(name) for name in names if split_key(name))
            for key in self._over.keys() - set(self._keys):
                del self._over[key]
        found = dict(self._asked_again)
        for key in self._keys:
            seen = self._over.get(key) or self._glance(key)
            if seen is not None:
                found[key] = seen
                if seen.ended is not None:
                    self._over[key] = seen
        return tuple(found.values())

    def read_log(self, key: AttemptKey, rank: int, offset: int, limit: int) -> bytes:
        """Return a part of a rank's log."""
        try:
            with (self._folder(key) / files.log_name(rank)).open("rb") as log:
                log.seek(offset)
                return log.read(limit)
        except FileNotFoundError:
            return b""

    def ranks(self, key: AttemptKey) -> tuple[int, ...]:
        """Return the ranks that have a log."""
        try:
            names = [path.name for path in self._folder(key).iterdir()]
        except FileNotFoundError:
            return ()
        return tuple(sorted(rank for name in names if (rank := files.log_rank(name)) is not None))

    def outputs(self, key: AttemptKey) -> Path | None:
        """Return the folder whose files are kept, if the spec names one and it is there."""
        folder = self._folder(key)
        order = files.read_json(folder / files.ORDER)
        if order is None or not order["spec"]["outputs"]:
            return None
        try:
            kept = files.inside(folder / files.WORK, order["spec"]["outputs"])
        except ValueError:
            return None
        return kept if kept.is_dir() else None

    def forget(self, key: AttemptKey) -> None:
        """Delete an ended attempt's folder; its end stays as a small file under its key."""
        seen = self._over.get(key) or self._look(key)
        if seen is None or seen.ended is None:
            return
        files.create_json(self._tombs / key, end_document(seen.ended))
        grave = self._trash / f"{key}.{os.getpid()}.{time.monotonic_ns()}"
        with contextlib.suppress(FileNotFoundError):
            self._folder(key).rename(grave)
        self._over.pop(key, None)
        self._asked_again.pop(key, None)
        self._unwritten.pop(key, None)
        named = split_key(key)
        if named and not any(self._attempts.glob(f"{key.rpartition('-a')[0]}-a*")):
            with contextlib.suppress(FileNotFoundError):
                self._kept(named[0]).rename(grave.with_name(f"{grave.name}.kept"))
        for rest in self._trash.iterdir():
            _delete(rest)

    def checkpoint(self, key: AttemptKey) -> Path | None:
        """Return where the job keeps its checkpoints, if there are any."""
        named = split_key(key)
        kept = self._kept(named[0]) if named else None
        if kept is None or not kept.is_dir() or all(path.name == files.CARRIED for path in kept.iterdir()):
            return None
        return kept

    def capacity(self) -> tuple[PoolState, ...]:
        """Return nothing: the pools are as declared."""
        return ()

    async def reach(self, key: AttemptKey, rank: int, port: int) -> socket.socket:
        """Return a stream to a port of the job, or, for port 0, to a command beside a rank."""
        folder = self._folder(key)
        if (folder / files.END).exists() or not folder.exists():
            raise Refused("job_over", "the job has ended")
        return await reach(folder, rank, port)

    def _glance(self, key: AttemptKey) -> Seen | None:
        """Return what is known of an attempt; an engine with many that wait need not look each time."""
        return self._look_safely(key)

    def _look_safely(self, key: AttemptKey) -> Seen | None:
        """Look at an attempt whose files may be damaged, by job or disk: that must not stop all others."""
        try:
            return self._look(key)
        except (*DAMAGE, OSError) as error:
            # It is here, and that is all that can be said of it now.
            _log.error("the attempt cannot be read", key=key, why=repr(error))
            return Seen(key, AttemptState.PENDING, key)

    @abstractmethod
    def _look(self, key: AttemptKey) -> Seen | None:
        """Return what is known of an attempt that has a folder; None for one that never began."""

    def _claim(self, key: AttemptKey) -> Path | None:
        """Return the attempt's folder, made durably; None if the key is over: then it is seen once more."""
        folder = self._folder(key)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            files.sync_folder(self._attempts)
        tomb = files.read_json(self._tombs / key)
        if tomb is None:
            return folder
        self._asked_again[key] = _seen_end(key, tomb)
        shutil.rmtree(folder, ignore_errors=True)
        return None

    def _seen(self, key: AttemptKey, before: AttemptState, external_id: str = "") -> Seen:
        """Return what a folder says of a living attempt; `before` is its state until its ranks run."""
        started = files.read_json(self._file(key, files.STARTED))
        if started is None:
            return Seen(key, before, external_id or key)
        return Seen(key, AttemptState.RUNNING, external_id or key, started["started_ms"], started["port"])

    def _seen_end(self, key: AttemptKey, external_id: str = "") -> Seen | None:
        """Return the end that the folder holds, if it does."""
        end = files.read_json(self._file(key, files.END)) or self._unwritten.get(key)
        if end is None:
            return None
        port = (files.read_json(self._file(key, files.STARTED)) or {}).get("port", 0)
        return _seen_end(key, {"checkpoint": self._carries(key, end), **end}, port, external_id)

    def _carries(self, key: AttemptKey, end: Mapping[str, Any]) -> bool:
        """Return whether another attempt may follow that could go on from what this one has kept."""
        order = files.read_json(self._attempts / key / files.ORDER)
        if order is None or not end["started_ms"] or self.checkpoint(key) is None:
            return False
        if end["category"] in UNCHARGED_RETRY:
            return True
        return end["category"] in {Category.USER, Category.OOM} and order["spec"].get("retries", False)

    def _write_end(self, key: AttemptKey, verdict: supervise.Verdict, ended_ms: int = 0) -> None:
        """Write the end of an attempt that has no supervisor any more: what it measured, and our verdict.

        Where the disk takes nothing it has ended all the same: what began or was stopped never starts again.
        """
        folder = self._attempts / key
        started = files.read_json(folder / files.STARTED)
        left = files.read_json(folder / files.LEFT) or {}
        ran_ms = int(left.get("ran_ms", 0)) or files.read_beat(folder) if started else 0
        named = split_key(key)
        exits = [each for path in sorted(folder.glob("exit-*.json")) if (each := files.read_json(path))]
        end = {
            "attempt": named[1] if named else 1,
            "outcome": verdict.outcome,
            "category": verdict.category,
            "reason": verdict.reason[:2000],
            "started_ms": started["started_ms"] if started else 0,
            "ended_ms": started["started_ms"] + ran_ms if started else ended_ms or self._clock(),
            "ran_ms": ran_ms,
            "exits": [{name: each[name] for name in ("rank", "code", "signal")} for each in exits],
        }
        try:
            files.create_json(folder / files.END, end)
        except OSError as error:
            _log.warning("end not written down", key=key, why=str(error))
            self._unwritten[key] = end
        (folder / files.SECRETS).unlink(missing_ok=True)

    def _kept(self, job: JobId) -> Path:
        """Where a job keeps what its next attempt at this site may go on from."""
        return self._checkpoints / job.lower()

    def _carry_over(self, source: Path, kept: Path) -> None:
        """Put a checkpoint of another site in place of ours, once: a job that runs may have written since."""
        mark = {"source": source.name}
        if files.read_json(kept / files.CARRIED) == mark:
            return
        fresh = kept.with_name(f".{kept.name}.{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(source, fresh)
        files.write_json(fresh / files.CARRIED, mark)
        kept.rename(self._trash / f"{kept.name}.{os.getpid()}.{time.monotonic_ns()}.old")
        fresh.rename(kept)

    def _folder(self, key: AttemptKey) -> Path:
        if split_key(key) is None:
            raise Refused("bad_key", f"{key!r} is not the key of an attempt", (Problem("/key", "not a key"),))
        return self._attempts / key

    def _file(self, key: AttemptKey, name: str) -> str:
        """Return where a file of an attempt lies; a path object would cost more than the look at it."""
        return f"{self._attempts}/{key}/{name}"

    def _write_token(self, folder: Path) -> None:
        """Write what the supervisor and the followers of an attempt know each other by."""
        files.write_json(folder / files.TOKEN, {"token": secrets.token_hex(32)})

    def _write_secrets(self, folder: Path, order: Order) -> None:
        """Write the secrets of an attempt, if it has any; its supervisor reads and deletes them."""
        if order.secrets:
            files.write_json(folder / files.SECRETS, dict(order.secrets))

    def _write_order(self, folder: Path, order: Order, launcher: Mapping[str, Any]) -> None:
        """Write what the supervisor must know; `launcher` says how it starts a rank."""
        self._kept(order.job).mkdir(mode=0o700, exist_ok=True)
        if order.checkpoint is not None:
            self._carry_over(order.checkpoint, self._kept(order.job))
        spec, config = order.spec, self._config
        listens = spec.type.listens or bool(spec.ports)
        document = {
            "key": order.key,
            "job": order.job,
            "checkpoints": str(self._kept(order.job)),
            "project": order.project,
            "attempt": order.attempt.number,
            "accelerator": order.attempt.accelerator,
            "cards_per_node": order.attempt.cards // max(spec.num_nodes, 1),
            "spec": {
                "num_nodes": spec.num_nodes,
                "run": spec.run,
                "setup": spec.setup,
                "envs": spec.envs,
                "outputs": spec.outputs,
                "ports": spec.ports,
                "listens": listens,
                "network": spec.network or listens,
                "max_duration_s": spec.max_duration_s,
                "grace_s": spec.grace_s,
                "retries": bool(spec.retry.max_restarts_on_errors or spec.retry.recover_on_exit_codes),
            },
            "secret_names": sorted(order.secrets),
            "staged": [(mount, kind, str(path.resolve())) for mount, kind, path in order.staged],
            "launcher": dict(launcher),
            "config": {
                "boxed": self._boxed,
                "note": self._note,
                "readable": [str(path) for path in (*config.readable, config.payloads)],
                "devices": [str(path) for path in config.devices],
                "path": [str(path) for path in config.path],
                "payloads": str(config.payloads),
                "limits": dataclasses.asdict(config.limits),
                "log_most_bytes": config.log_most_bytes,
                "service_host": config.service_host,
                "envs": dict(config.envs),
            },
        }
        files.write_json(folder / files.ORDER, document)


def claimed(folder: Path) -> bool:
    """Return whether the attempt began, ended, or was stopped before it could."""
    return any((folder / name).exists() for name in (files.BEGAN, files.END, files.STOP))


def _delete(folder: Path) -> None:
    """Delete a folder, also where the job has taken its own rights away; what is left is tried again."""
    for here, _, _ in os.walk(folder):
        for path in (entry for entry in os.scandir(here) if entry.is_dir(follow_symlinks=False)):
            with contextlib.suppress(OSError):
                Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _choose_box(config: FolderConfig) -> tuple[bool, str]:
    """Return whether jobs are boxed, and the first line of their logs if they should be and are not."""
    if config.isolation not in {"auto", "bwrap", "none"}:
        problem = Problem("/isolation", f"{config.isolation!r} is unknown", "auto, bwrap or none")
        raise Refused("bad_config", problem.message, (problem,))
    root = config.root.resolve()
    for each in (*config.readable, config.payloads):
        if root.is_relative_to(each.resolve()):
            message = f"{each} holds the engine's own folder, and so every other job's files"
            raise Refused("bad_config", message, (Problem("/readable", message, "name a narrower folder"),))
    if config.isolation == "none":
        return False, ""
    why = why_no_box()
    if why and config.isolation == "bwrap":
        raise Refused("no_isolation", why, (Problem("/isolation", why, "install bubblewrap, or use auto"),))
    note = f"no isolation on this machine, jobs see its files and its network: {why}"
    return (False, note) if why else (True, "")


def _seen_end(key: AttemptKey, end: dict[str, Any], port: int = 0, external_id: str = "") -> Seen:
    exits = tuple(RankExit(each["rank"], each["code"], each["signal"]) for each in end["exits"])
    ended = Ended(
        attempt=end["attempt"],
        outcome=AttemptState(end["outcome"]),
        category=Category(end["category"]),
        reason=end["reason"],
        started_ms=end["started_ms"],
        ended_ms=end["ended_ms"],
        ran_ms=end["ran_ms"],
        exits=exits,
        checkpoint=end.get("checkpoint", False),
    )
    return Seen(key, ended.outcome, external_id or key, ended.started_ms, port, ended)


def end_document(ended: Ended) -> dict[str, Any]:
    """Return an end as it is written into an attempt's folder."""
    return dataclasses.asdict(ended)

"""The local engine: attempts as plain processes of this machine, each under a supervisor of its own."""

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from hutong.adapters.engines.base import Abilities, Order, Receipt, Seen
from hutong.adapters.engines.local import box, files, supervise, tree
from hutong.adapters.engines.local.config import LocalConfig
from hutong.core.kernel.errors import Later, Problem, Refused
from hutong.core.kernel.ids import AttemptKey, JobId, split_key
from hutong.core.work.facts import Ended, RankExit
from hutong.core.work.spec import JobType
from hutong.core.work.states import AttemptState, Category

_log = structlog.get_logger("hutong.agent")
_BEGIN_WITHIN_S = 30.0


@functools.cache
def why_no_box() -> str:
    """Return why jobs cannot be boxed on this machine, or nothing; asked once per process."""
    argv = [sys.executable, "-I", "-S", str(Path(box.__file__).resolve())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return str(json.loads(done.stdout)) if done.returncode == 0 else done.stderr.strip()


class LocalEngine:
    """Runs attempts below `config.root`; all that it knows lies there, so it may die at any moment."""

    def __init__(self, config: LocalConfig, clock: Callable[[], int]) -> None:
        self._config = config
        self._clock = clock
        self._attempts = config.root.resolve() / "attempts"
        self._tombs = config.root.resolve() / "tombs"
        self._trash = config.root.resolve() / "trash"
        self._checkpoints = config.root.resolve() / "checkpoints"
        for folder in (self._attempts, self._tombs, self._trash, self._checkpoints):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._over: dict[AttemptKey, Seen] = {}
        self._asked_again: dict[AttemptKey, Seen] = {}
        self._boxed, self._note = _choose_box(config)
        self.abilities = Abilities(gangs=True, services=True, isolation="bwrap" if self._boxed else "none")

    def submit(self, order: Order) -> Receipt:
        """Start the attempt under a supervisor, or adopt it; it has begun, durably, when this returns."""
        folder = self._folder(order.key)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            files.sync_folder(self._attempts)
        tomb = files.read_json(self._tombs / order.key)
        if tomb is not None:
            self._asked_again[order.key] = _seen_end(order.key, tomb)
            shutil.rmtree(folder, ignore_errors=True)
            return Receipt(order.key, adopted=True)
        deadline = time.monotonic() + _BEGIN_WITHIN_S
        self._kept(order.job).mkdir(mode=0o700, exist_ok=True)
        while not _claimed(folder):
            files.write_json(folder / files.ORDER, self._order(order))
            code, text = self._spawn(folder, order)
            if code == 0:
                return Receipt(order.key, adopted=False)
            if code != supervise.BUSY:
                raise Later(f"{order.key}: the supervisor did not begin (code {code}) {text}".strip(), 5)
            if time.monotonic() > deadline:
                raise Later(f"{order.key}: another process holds the attempt's folder", 5)
            time.sleep(0.02)
        return Receipt(order.key, adopted=True)

    def stop(self, key: AttemptKey, attempt: int, category: Category, reason: str, grace_s: int) -> None:
        """Leave a stop mark, which the supervisor finds within 0.1 s; the first mark counts."""
        if (self._tombs / key).exists():
            return
        folder = self._folder(key)
        folder.mkdir(mode=0o700, exist_ok=True)
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
        with os.scandir(self._attempts) as entries:
            keys = {AttemptKey(entry.name) for entry in entries if split_key(entry.name)}
        for key in self._over.keys() - keys:
            del self._over[key]
        found = dict(self._asked_again)
        for key in sorted(keys):
            try:
                seen = self._over.get(key) or self._look(key)
            except OSError as error:
                # It is here, and that is all that can be said of it now; the others have more to say.
                _log.warning("attempt not readable", key=key, why=str(error))
                seen = Seen(key, AttemptState.PENDING, key)
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
        named = split_key(key)
        if named and not any(self._attempts.glob(f"{key.rpartition('-a')[0]}-a*")):
            with contextlib.suppress(FileNotFoundError):
                self._kept(named[0]).rename(grave.with_name(f"{grave.name}.kept"))
        for rest in self._trash.iterdir():
            _delete(rest)

    def _kept(self, job: JobId) -> Path:
        """Where a job keeps what its next attempt at this site may go on from."""
        return self._checkpoints / job.lower()

    def _folder(self, key: AttemptKey) -> Path:
        if split_key(key) is None:
            raise Refused("bad_key", f"{key!r} is not the key of an attempt", (Problem("/key", "not a key"),))
        return self._attempts / key

    def _order(self, order: Order) -> dict[str, Any]:
        spec, config = order.spec, self._config
        listens = spec.type is JobType.SERVICE or bool(spec.ports)
        return {
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
            },
            "secret_names": sorted(order.secrets),
            "staged": [(mount, kind, str(path.resolve())) for mount, kind, path in order.staged],
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
            },
        }

    def _spawn(self, folder: Path, order: Order) -> tuple[int, str]:
        script = Path(supervise.__file__).resolve()
        given = json.dumps({"secrets": dict(order.secrets), "complete": True}).encode()
        notes = folder / files.NOTES
        try:
            with notes.open("ab") as sink:
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(script), str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,  # its end tells of the answer sooner than waiting would
                    stderr=sink,
                    cwd="/",
                    env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                    start_new_session=True,
                )
            with child:
                try:
                    child.communicate(given, timeout=_BEGIN_WITHIN_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                    return supervise.FAILED, "no answer"
        except OSError as error:
            raise Later(f"{order.key}: no supervisor could be started: {error}", 5) from error
        return child.returncode, notes.read_text(errors="replace")[-500:]

    def _look(self, key: AttemptKey) -> Seen | None:
        """Return what the folder says; None for a claim that never began: nothing runs, nothing ran."""
        folder = self._attempts / key
        end = files.read_json(folder / files.END)
        if end is None:
            began = (folder / files.BEGAN).exists()
            if not began and not (folder / files.STOP).exists():
                return None
            end = self._settle(folder, key)
        if end is not None:
            port = (files.read_json(folder / files.STARTED) or {}).get("port", 0)
            return _seen_end(key, end, port)
        started = files.read_json(folder / files.STARTED)
        if started is None:
            return Seen(key, AttemptState.STARTING, key)
        return Seen(key, AttemptState.RUNNING, key, started["started_ms"], started["port"])

    def _settle(self, folder: Path, key: AttemptKey) -> dict[str, Any] | None:
        """Write the end of an attempt that has no supervisor; None while it has one.

        Where the disk takes nothing it has ended all the same: what began or was stopped never starts again.
        """
        with files.locked(folder) as mine:
            if not mine:
                return None
            end: dict[str, Any] | None = files.read_json(folder / files.END)
            if end is not None:
                return end
            stop = files.read_json(folder / files.STOP)
            if (folder / files.BEGAN).exists():
                end = self._bury(folder, key)
            elif stop is not None:
                verdict = supervise.stop_verdict(stop)
                end = {
                    "attempt": stop["attempt"],
                    "outcome": verdict.outcome,
                    "category": verdict.category,
                    "reason": verdict.reason,
                    "started_ms": 0,
                    "ended_ms": stop["at_ms"],
                    "ran_ms": 0,
                    "exits": [],
                }
            if end is not None:
                try:
                    files.write_json(folder / files.END, end)
                except OSError as error:
                    _log.warning("end not written down", key=key, why=str(error))
            return end

    def _bury(self, folder: Path, key: AttemptKey) -> dict[str, Any] | None:
        """Kill what a dead supervisor left and say how it ended; None if something will not die yet."""
        if not tree.end_all(lambda: tree.carrying(key), lambda: None):
            return None
        started = files.read_json(folder / files.STARTED)
        ran_ms = files.read_beat(folder) if started else 0
        named = split_key(key)
        exits = [files.read_json(path) or {} for path in sorted(folder.glob("exit-*.json"))]
        return {
            "attempt": named[1] if named else 1,
            "outcome": AttemptState.FAILED.value,
            "category": Category.INFRA.value,
            "reason": "the supervisor of this attempt died, or the machine was restarted",
            "started_ms": started["started_ms"] if started else 0,
            "ended_ms": started["started_ms"] + ran_ms if started else self._clock(),
            "ran_ms": ran_ms,
            "exits": [{name: each[name] for name in ("rank", "code", "signal")} for each in exits],
        }


def _delete(folder: Path) -> None:
    """Delete a folder, also where the job has taken its own rights away; what is left is tried again."""
    for here, _, _ in os.walk(folder):
        for path in (entry for entry in os.scandir(here) if entry.is_dir(follow_symlinks=False)):
            with contextlib.suppress(OSError):
                Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _claimed(folder: Path) -> bool:
    """Return whether the attempt began, ended, or was stopped before it could."""
    return any((folder / name).exists() for name in (files.BEGAN, files.END, files.STOP))


def _choose_box(config: LocalConfig) -> tuple[bool, str]:
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


def _seen_end(key: AttemptKey, end: dict[str, Any], port: int = 0) -> Seen:
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
    )
    return Seen(key, ended.outcome, key, ended.started_ms, port, ended)


def end_document(ended: Ended) -> dict[str, Any]:
    """Return an end as it is written into an attempt's folder."""
    return dataclasses.asdict(ended)

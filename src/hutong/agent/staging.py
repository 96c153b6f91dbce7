"""Inputs on their way to a job: fetched by content hash into a cache that is verified and bounded."""

import itertools
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path

from pydantic import ValidationError

from hutong.agent.link import Link
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.spec import Input
from hutong.wire.agent import Manifest

Staged = tuple[tuple[str, str, Path], ...]

_counter = itertools.count()


class Cache:
    """Objects and file sets by digest below one folder; several agents may share it.

    What was used within `keep_s` is never evicted: a job that was just submitted may not have its copy yet.
    """

    def __init__(self, root: Path, link: Link, most_bytes: int = 200 << 30, keep_s: float = 3_600.0) -> None:
        self._objects = root / "objects"
        self._sets = root / "sets"
        self._link = link
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        for folder in (self._objects, self._sets):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def fetch(self, inputs: Sequence[Input]) -> Staged:
        """Return every input as it lies on this machine. Raises Refused for what can never be staged."""
        staged = tuple((each.mount, each.kind, self._one(each)) for each in inputs)
        self.evict()
        return staged

    def _one(self, wanted: Input) -> Path:
        match wanted.kind:
            case "bundle":
                return self._object(wanted.digest)
            case "manifest":
                return self._set(wanted.digest)
        raise Refused("bad_input", f"an input of kind {wanted.kind!r} is unknown: bundle or manifest")

    def _object(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        if len(name) != 64 or set(name) - set("0123456789abcdef"):
            raise Refused("bad_input", f"{digest!r} is not a digest: sha256: and 64 hexadecimal digits")
        path = self._objects / name
        if not path.exists():
            fresh = self._fresh(path)
            try:
                self._link.get_object(digest, fresh)
                fresh.replace(path)
            finally:
                fresh.unlink(missing_ok=True)
        os.utime(path)
        return path

    def _set(self, digest: str) -> Path:
        source = self._object(digest)
        folder = self._sets / source.name
        if folder.exists():
            os.utime(folder)
            return folder
        try:
            manifest = Manifest.model_validate_json(source.read_bytes())
        except ValidationError as error:
            message = f"{digest} is not a manifest: {error.error_count()} faults"
            raise Refused("bad_input", message) from error
        fresh = self._fresh(folder)
        fresh.mkdir()
        try:
            for each in manifest.files:
                target = fresh / each.path
                if ".." in Path(each.path).parts or not target.resolve().is_relative_to(fresh.resolve()):
                    raise Refused("bad_input", f"the path {each.path!r} in {digest} leaves the folder")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(self._object(each.digest))
            fresh.rename(folder)
        except OSError as error:
            if not folder.exists():
                raise Later(f"{digest} could not be laid out: {error}") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return folder

    def evict(self) -> None:
        """Delete what was used longest ago until the rest fits; sets first give back their links."""
        now = time.time()
        entries = []
        for path in self._objects.iterdir():
            try:
                info = path.stat()
            except FileNotFoundError:
                continue
            entries.append((info.st_mtime, info.st_size, path))
        total = sum(size for _, size, _ in entries)
        for used, size, path in sorted(entries):
            if total <= self._most_bytes or now - used < self._keep_s:
                return
            total -= size
            path.unlink(missing_ok=True)
            for folder in self._sets.iterdir():
                if folder.name == path.name:
                    shutil.rmtree(folder, ignore_errors=True)

    def _fresh(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.{os.getpid()}.{next(_counter)}")


class Stager:
    """Fetches the inputs of attempts in the background, each attempt once at a time."""

    def __init__(self, cache: Cache, pool: Executor) -> None:
        self._cache = cache
        self._pool = pool
        self._fetching: dict[AttemptKey, Future[Staged]] = {}

    def stage(self, key: AttemptKey, inputs: Sequence[Input]) -> Staged | None:
        """Return the staged inputs of an attempt, or None while they are on their way: ask again.

        Raises Refused if they can never be had, Later if they could not be had now.
        """
        if not inputs:
            return ()
        if key not in self._fetching:
            self._fetching[key] = self._pool.submit(self._cache.fetch, tuple(inputs))
        future = self._fetching[key]
        if not future.done():
            return None
        del self._fetching[key]
        return future.result()

    def drop(self, key: AttemptKey) -> None:
        """Let go of an attempt whose inputs are not wanted any more."""
        future = self._fetching.pop(key, None)
        if future is not None:
            future.cancel()

"""Inputs on their way to a job: fetched into a bounded cache, checked, and gone on with after a break."""

import fcntl
import hashlib
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from hutong.agent.link import Link
from hutong.agent.moves import Progress
from hutong.agent.offers import Offers
from hutong.agent.pace import Pace
from hutong.agent.stock import Stock
from hutong.core.capacity.sites import Transfer
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.spec import Input
from hutong.wire.agent import Manifest

Staged = tuple[tuple[str, str, Path], ...]

_ASK_AGAIN_S = 0.5
_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Errand:
    """For whom inputs are fetched, with which secrets, and how far that is."""

    project: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    progress: Progress = field(default_factory=lambda: Progress("inputs"))


@dataclass(frozen=True, slots=True)
class _Piece:
    """One object to be had: its name in the cache, and how a file is fetched on from where it ends."""

    name: str
    size_bytes: int
    fetch: Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class _Plan:
    """One input to be placed: a single object, or a folder of objects by their paths in it."""

    mount: str
    kind: str
    name: str
    pieces: tuple[tuple[str, _Piece], ...]


class Cache:
    """Objects and file sets by digest below one folder; several agents may share it.

    What was used within `keep_s` is never evicted: a job that was just submitted may not have its copy yet.
    An object that is there in part, `.<name>.part`, is gone on with by whoever wants it next.
    """

    def __init__(
        self,
        root: Path,
        link: Link,
        most_bytes: int = 200 << 30,
        keep_s: float = 3_600.0,
        offers: Offers | None = None,
    ) -> None:
        self._objects = root / "objects"
        self._sets = root / "sets"
        self._link = link
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._offers = offers or Offers()
        for folder in (self._objects, self._sets):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.stock = Stock(self._objects, self._sets)
        self.pace = Pace(root / "transfers.json")

    def fetch(self, inputs: Sequence[Input], errand: Errand | None = None) -> Staged:
        """Return every input as it lies on this machine. Raises Refused for what can never be staged."""
        errand = errand or Errand()
        # What is wrong with any of them is said before much is fetched, and then the whole size is known.
        plans = [self._plan(each, errand) for each in inputs]
        for each in plans:
            if isinstance(each, _Plan) and not self._laid_out(each):
                errand.progress.expect(sum(piece.size_bytes for _, piece in each.pieces))
        staged = tuple(self._place(each, errand) if isinstance(each, _Plan) else each for each in plans)
        self.evict()
        self.stock.forget()
        return staged

    def _plan(self, wanted: Input, errand: Errand) -> _Plan | tuple[str, str, Path]:
        match wanted.kind:
            case "bundle":
                name = _name(wanted.digest)
                piece = self._content(wanted.digest, 0, errand.progress.go_on)
                return _Plan(wanted.mount, wanted.kind, name, (("", piece),))
            case "manifest":
                return self._plan_manifest(wanted, errand)
            case "url":
                return self._plan_url(wanted, errand)
            case "shared":
                return wanted.mount, "shared", self._offers.folder(wanted.shared)
        raise Refused("bad_input", f"an input of kind {wanted.kind!r} is unknown here: the agent may be old")

    def _plan_manifest(self, wanted: Input, errand: Errand) -> _Plan:
        digest = wanted.digest
        go_on = errand.progress.go_on
        source = self._object(self._content(digest, 0, go_on), errand.progress)
        try:
            manifest = Manifest.model_validate_json(source.read_bytes())
        except ValidationError as error:
            message = f"{digest} is not a manifest: {error.error_count()} faults"
            raise Refused("bad_input", message) from error
        for each in manifest.files:
            if ".." in Path(each.path).parts or Path(each.path).is_absolute():
                raise Refused("bad_input", f"the path {each.path!r} in {digest} leaves the folder")
        pieces = tuple(
            (each.path, self._content(each.digest, each.size_bytes, go_on)) for each in manifest.files
        )
        return _Plan(wanted.mount, "manifest", _name(digest), pieces)

    def _plan_url(self, wanted: Input, errand: Errand) -> _Plan:
        """Ask the store what is there now: what is here already is not fetched again."""
        # Only here, for its library takes 4 MB and most sites offer no store.
        from hutong.agent.stores import listing_document, open_bucket

        bucket = open_bucket(wanted, self._offers, errand.secrets, errand.project)
        remotes = bucket.listing(wanted.url, self._offers)
        document = listing_document(bucket, remotes)
        name = f"s3-{hashlib.sha256(document).hexdigest()}"
        # The listing is an object too, so that its folder goes when it does.
        self._object(_Piece(name, 0, lambda into: _write(into, document)), errand.progress)
        pieces = tuple(
            (
                each.path,
                _Piece(
                    bucket.name_of(each),
                    each.size_bytes,
                    partial(bucket.fetch, each, progress=errand.progress),
                ),
            )
            for each in remotes
        )
        return _Plan(wanted.mount, "manifest", name, pieces)

    def _content(self, digest: str, size_bytes: int, go_on: Callable[[], None]) -> _Piece:
        def fetch(into: Path) -> None:
            with self.pace.fetching(into):
                self._link.get_object(digest, into, go_on)

        return _Piece(_name(digest), size_bytes, fetch)

    def _laid_out(self, plan: _Plan) -> bool:
        return plan.kind != "bundle" and (self._sets / plan.name).exists()

    def _place(self, plan: _Plan, errand: Errand) -> tuple[str, str, Path]:
        if plan.kind == "bundle":
            return plan.mount, plan.kind, self._object(plan.pieces[0][1], errand.progress)
        folder = self._sets / plan.name
        if folder.exists():
            os.utime(folder)
            return plan.mount, plan.kind, folder
        fresh = folder.with_name(f".{folder.name}.{os.getpid()}.{next(_counter)}")
        fresh.mkdir()
        try:
            for path, piece in plan.pieces:
                errand.progress.go_on()
                source, target = self._object(piece, errand.progress), fresh / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(source)
            fresh.rename(folder)
        except OSError as error:
            if not folder.exists():
                raise Later(f"an input could not be laid out: {error.strerror}") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return plan.mount, plan.kind, folder

    def _object(self, piece: _Piece, progress: Progress) -> Path:
        path = self._objects / piece.name
        if not path.exists():
            with _partial(path, progress) as part:
                if part is not None:
                    progress.begin(part)
                    try:
                        piece.fetch(part)
                    except OSError:  # a full disk does not get better by what lies there in part
                        part.unlink(missing_ok=True)
                        raise
                    part.replace(path)
        os.utime(path)
        progress.done(piece.size_bytes)
        return path

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


class Stager:
    """Fetches the inputs of attempts in the background, each attempt once at a time."""

    def __init__(self, cache: Cache, pool: Executor) -> None:
        self._cache = cache
        self._pool = pool
        self._fetching: dict[AttemptKey, Future[Staged]] = {}
        self.progress: dict[AttemptKey, Progress] = {}

    def stage(
        self,
        key: AttemptKey,
        inputs: Sequence[Input],
        project: str = "",
        secrets: Mapping[str, str] | None = None,
    ) -> Staged | None:
        """Return the staged inputs of an attempt, or None while they are on their way: ask again.

        Raises Refused if they can never be had, Later if they could not be had now.
        """
        if not inputs:
            return ()
        if key not in self._fetching:
            errand = Errand(project, secrets or {})
            self.progress[key] = errand.progress
            self._fetching[key] = self._pool.submit(self._cache.fetch, tuple(inputs), errand)
        future = self._fetching[key]
        if not future.done():
            return None
        del self._fetching[key]
        return future.result()

    def stock(self) -> tuple[str, ...]:
        """Return the digests of large inputs that are here."""
        return self._cache.stock.digests()

    def transfers(self) -> tuple[Transfer, ...]:
        """Return the last large transfers of what came from the platform."""
        return self._cache.pace.transfers()

    def so_far(self, key: AttemptKey) -> int:
        """Return how many bytes of the inputs of an attempt are here, as far as is known."""
        return self.progress[key].so_far() if key in self.progress else 0

    def drop(self, key: AttemptKey) -> None:
        """Let go of an attempt whose inputs are not wanted any more."""
        future = self._fetching.pop(key, None)
        if future is not None:
            future.cancel()
        progress = self.progress.pop(key, None)
        if progress is not None:
            progress.drop()

    def close(self) -> None:
        """Let go of all of them."""
        for key in list(self.progress):
            self.drop(key)


def _name(digest: str) -> str:
    name = digest.removeprefix("sha256:")
    if len(name) != 64 or set(name) - set("0123456789abcdef"):
        raise Refused("bad_input", f"{digest!r} is not a digest: sha256: and 64 hexadecimal digits")
    return name


def _write(into: Path, data: bytes) -> None:
    into.write_bytes(data)


@contextmanager
def _partial(path: Path, progress: Progress) -> Iterator[Path | None]:
    """Hold the file that an object grows in, for this thread alone; None if the object is there by then.

    The lock goes with the process. Where a file system has none, two may write: what comes is checked.
    """
    part = path.with_name(f".{path.name}.part")
    while True:
        with part.open("ab") as file:
            while not _locked(file.fileno()):
                progress.pause(_ASK_AGAIN_S)
            if path.exists():
                with suppress(FileNotFoundError):  # ours, made anew after it was renamed, is empty
                    if part.stat().st_ino == os.fstat(file.fileno()).st_ino:
                        part.unlink()
                yield None
                return
            try:
                mine = part.stat().st_ino == os.fstat(file.fileno()).st_ino
            except FileNotFoundError:
                mine = False
            if mine:
                yield part
                return


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks here
        return True
    return True

"""Logs and kept files on their way to the platform: logs by offset, files by content, all repeatable."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from hutong.adapters.engines.base import Engine
from hutong.agent.link import Link, SmallLog
from hutong.agent.moves import Progress
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Collected, Ended, OutputFile
from hutong.wire.agent import (
    LOG_CHUNK_BYTES,
    OUTPUTS_AT_ONCE,
    REPORTS_AT_ONCE,
    SMALL_LOGS_AT_ONCE,
    SMALL_LOGS_BYTES,
    Manifest,
    ManifestFile,
)

_READ_BYTES = 1 << 20
_PATH_CHARS = 1_024
_MISSING_SHOWN = 20
_OURS = ".hutong-"
_SMALL_RANKS = SMALL_LOGS_AT_ONCE // REPORTS_AT_ONCE


class LogShipper:
    """Sends logs as they grow; what the platform already holds is learnt from its answers."""

    def __init__(self, link: Link, engine: Engine) -> None:
        self._link = link
        self._engine = engine
        self._held: dict[tuple[AttemptKey, int], int] = {}
        self._full: set[tuple[AttemptKey, int]] = set()

    def send_new(self, keys: Iterable[AttemptKey]) -> int:
        """Send at most one chunk of each log of these attempts; returns the bytes sent."""
        wanted = [(key, rank) for key in keys for rank in self._engine.ranks(key)]
        for gone in self._held.keys() - set(wanted):
            del self._held[gone]
        sent = 0
        self._full &= set(wanted)
        for key, rank in wanted:
            if (key, rank) in self._full:
                continue
            offset = self._held.get((key, rank), 0)
            data = self._engine.read_log(key, rank, offset, LOG_CHUNK_BYTES)
            if not data:
                continue
            try:
                held = self._link.put_log(key, rank, offset, data, whole=False)
                if held == offset:  # it takes no more: sending the same again would never end
                    self._full.add((key, rank))
                    continue
                self._held[key, rank] = held
            except Refused:
                self._held[key, rank] = offset + len(data)
            sent += len(data)
        return sent

    def send_whole(self, key: AttemptKey) -> tuple[int, list[str]]:
        """Send all logs of an ended attempt to their end; returns their bytes and what is missing."""
        total = 0
        missing = []
        for rank in self._engine.ranks(key):
            try:
                size, problem = self._send_one(key, rank)
            except Refused as error:
                size, problem = 0, str(error)
            total += size
            if problem:
                missing.append(f"log of rank {rank}: {problem}")
        return total, missing

    def _send_one(self, key: AttemptKey, rank: int) -> tuple[int, str]:
        offset = 0
        while True:
            data = self._engine.read_log(key, rank, offset, LOG_CHUNK_BYTES)
            whole = not self._engine.read_log(key, rank, offset + len(data), 1)
            held = self._link.put_log(key, rank, offset, data, whole)
            end = offset + len(data)
            if whole and held >= end:
                return end, ""
            if held <= offset:
                return held, f"the platform keeps no more than {held} bytes"
            offset = min(held, end) if whole else held


class Collector:
    """Brings what an ended attempt leaves to the platform."""

    def __init__(self, link: Link, engine: Engine) -> None:
        self._link = link
        self._engine = engine
        self._logs = LogShipper(link, engine)
        self.progress: dict[AttemptKey, Progress] = {}

    def at_once(self, key: AttemptKey, ended: Ended) -> tuple[Collected, tuple[SmallLog, ...]] | None:
        """Return the report of an attempt that leaves small logs and nothing else, with these; else None."""
        ranks = self._engine.ranks(key)
        if ended.checkpoint or len(ranks) > _SMALL_RANKS or self._engine.outputs(key) is not None:
            return None
        logs, left = [], SMALL_LOGS_BYTES
        for rank in ranks:
            data = self._engine.read_log(key, rank, 0, left + 1)
            left -= len(data)
            if left < 0:
                return None
            if data:  # an empty log is none
                logs.append(SmallLog(key, rank, data))
        return Collected(ended.attempt, (), SMALL_LOGS_BYTES - left), tuple(logs)

    def collect(self, key: AttemptKey, ended: Ended) -> Collected:
        """Send whole logs, kept files and checkpoint; returns the report. Raises Later if the line breaks.

        A file that arrived is not sent again; one that broke off is sent from its beginning.
        """
        log_bytes, missing = self._logs.send_whole(key)
        outputs, checkpoint = (
            self._engine.outputs(key),
            self._engine.checkpoint(key) if ended.checkpoint else None,
        )
        progress = self.progress[key] = Progress("results")
        try:
            for folder in filter(None, (outputs, checkpoint)):
                progress.expect(
                    sum(path.stat().st_size for path, problem in kept_files(folder) if not problem)
                )
            kept = self._send_all(outputs, missing, progress) if outputs is not None else []
            left = self._send_checkpoint(checkpoint, missing, progress) if checkpoint is not None else ("", 0)
        finally:
            del self.progress[key]
        return Collected(ended.attempt, tuple(kept), log_bytes, _summary(missing), *left)

    def _send_all(self, folder: Path, missing: list[str], progress: Progress) -> list[OutputFile]:
        sent = []
        for path, problem in kept_files(folder):
            if problem:
                missing.append(f"{path.relative_to(folder)}: {problem}")
                continue
            try:
                sent.append(self._send(path, path.relative_to(folder).as_posix()))
                progress.done(sent[-1].size_bytes)
            except (Refused, OSError) as error:
                missing.append(f"{path.relative_to(folder)}: {error}")
        return sent

    def _send_checkpoint(self, folder: Path, missing: list[str], progress: Progress) -> tuple[str, int]:
        """Send the checkpoint whole; return its manifest's digest and its bytes, or ("", 0): half is none."""
        faults: list[str] = []
        files = [each for each in self._send_all(folder, faults, progress) if not each.path.startswith(_OURS)]
        if faults:
            missing.append(f"the checkpoint: {_summary(faults)}")
            return "", 0
        shape = Manifest(files=tuple(ManifestFile.model_validate(asdict(each)) for each in files))
        with tempfile.NamedTemporaryFile(prefix="hutong-manifest-") as file:
            file.write(shape.model_dump_json().encode())
            file.flush()
            return self._send(Path(file.name), "manifest").digest, sum(each.size_bytes for each in files)

    def _send(self, path: Path, name: str) -> OutputFile:
        digest, size_bytes = digest_of(path)
        if not self._link.has_object(digest):
            self._link.put_object(digest, path)
        return OutputFile(name, size_bytes, digest)


def digest_of(path: Path) -> tuple[str, int]:
    """Return `sha256:<hex>` and the size of a file."""
    content = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            content.update(chunk)
            size += len(chunk)
    return f"sha256:{content.hexdigest()}", size


def kept_files(folder: Path, most: int = OUTPUTS_AT_ONCE) -> Iterator[tuple[Path, str]]:
    """Yield the files below a folder in a fixed order, each with why it cannot be kept, or nothing.

    A link that leaves the folder is refused: it would carry out a file that is not the job's.
    """
    base = folder.resolve()
    count = 0
    for path in _walk(folder):
        problem = _problem(path, base, folder)
        if not problem and count >= most:
            yield path, f"more than {most} files; this one and those after it are left out"
            return
        count += not problem
        yield path, problem


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders.sort()
        linked = [name for name in folders if (Path(here) / name).is_symlink()]
        for name in sorted([*names, *linked]):
            yield Path(here) / name


def _problem(path: Path, base: Path, folder: Path) -> str:
    name = str(path.relative_to(folder))
    if not path.resolve().is_relative_to(base):
        return "a link that leaves the outputs folder"
    try:
        mode = path.stat().st_mode
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return "" if len(name) <= _PATH_CHARS else f"its path is longer than {_PATH_CHARS} characters"


def _summary(missing: list[str]) -> str:
    shown = "; ".join(missing[:_MISSING_SHOWN])
    more = len(missing) - _MISSING_SHOWN
    text = f"{shown}; and {more} more" if more > 0 else shown
    return text.encode(errors="backslashreplace").decode()

"""Job arrays of ours: which element of one is whose attempt. Slurm gives all of them the array's name.

An array is named after the keys of its attempts, and a file of that name lists them by index. It is written
before the array is submitted, is never changed and stays, for accounting asks about ended jobs.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.slurm.parse import Record
from hutong.core.kernel.ids import AttemptKey

# More would let slurmrestd cut the list of those that wait short: it has 64 letters for it.
MOST = 20
# A job alone is tried as soon as it is submitted, an array at the controller's next turn, which may be some
# seconds later (`batch_sched_delay`, 3 s unless it is set): fewer lose more by that than they spare.
LEAST = 4
_REMEMBERED = 10_000
_PREFIX = "ht-array-"
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")
_SPAN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([1-9][0-9]{0,8}))?)?")


class Arrays:
    """The arrays of one site, listed in the files of a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._known: dict[str, tuple[AttemptKey, ...]] = {}

    def write(self, keys: Sequence[AttemptKey]) -> str:
        """Write durably which attempts an array has, in order of their index, and return its name."""
        name = _PREFIX + hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
        files.create_json(self._folder / f"{name}.json", {"keys": list(keys)})
        return name

    def key(self, name: str, job_id: str) -> AttemptKey | None:
        """Return whose the job `ARRAY_INDEX` of an array of this name is, None if it is nobody's of ours."""
        return next((key for _, key in self._elements(name, job_id)), None)

    def told(self, records: Iterable[Record]) -> list[Record]:
        """Return jobs, those of our arrays by the names of their attempts, one for each element."""
        found: list[Record] = []
        for record in records:
            if is_array(record.name):
                elements = self._elements(record.name, record.id)
                found += (replace(record, id=job_id, name=key) for job_id, key in elements)
            else:
                found.append(record)
        return found

    def _elements(self, name: str, job_id: str) -> Iterator[tuple[str, AttemptKey]]:
        """Give number and attempt of each element that `ARRAY_INDEX` or `ARRAY_[INDICES]` stands for."""
        number, _, indices = job_id.partition("_")
        keys = self._keys(name)
        for index in among(indices, len(keys)):
            yield f"{number}_{index}", keys[index]

    def _keys(self, name: str) -> tuple[AttemptKey, ...]:
        known = self._known.get(name)
        if known is None:
            if not _NAME.fullmatch(name):
                return ()
            written = files.read_json(self._folder / f"{name}.json")
            if written is None:  # of another site, or not seen here yet
                return ()
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[name] = tuple(AttemptKey(each) for each in written["keys"])
        return known


def is_array(name: str) -> bool:
    """Return whether a job's name is that of an array of ours."""
    return name.startswith(_PREFIX)


def among(text: str, count: int) -> list[int]:
    """Return the indices below `count` that Slurm names: `4`, or `[0-2,5,8-16:4%3]`, of which 3 may run."""
    found: list[int] = []
    for part in text.strip("[]").partition("%")[0].split(","):
        span = _SPAN.fullmatch(part)
        if span:
            first, last, step = int(span[1]), int(span[2] or span[1]), int(span[3] or 1)
            found += range(first, min(last + 1, count), step)
    return found

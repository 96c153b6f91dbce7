"""Job arrays: indices in Slurm's grammar, and ids that say which jobs belong together.

The ids of an array's jobs differ in their last ten bits only: there stands a job's place, from 1, in the
order of the indices. With 0 there it is the id of the array, and no job's.
"""

import re
from dataclasses import dataclass

from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.ids import CROCKFORD, JobId

MOST_JOBS = 1000
MOST_INDEX = 4_000_000  # as in Slurm, whose MaxArraySize is at most 4,000,001 (slurm.conf)
_MOST_TEXT = 10_000
_SPAN = re.compile(r"(?a)(\d{1,99})(?:-(\d{1,99})(?::(\d{1,99}))?)?")
_AT_ONCE = re.compile(r"(?a)\d{1,9}")
_EXAMPLES = "like 0-99, 1,3,5, 0-60:15 or 0-99%10"
_WIDTH = len(CROCKFORD)
NAMES = (
    "HUTONG_ARRAY_INDEX", "HUTONG_ARRAY_ID", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_STEP",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IndexRange:
    """Indices from `first` to `last`, both among them, by steps."""

    first: int
    last: int
    step: int = 1

    @property
    def count(self) -> int:
        """How many they are."""
        return (self.last - self.first) // self.step + 1

    def __str__(self) -> str:
        """Return them as one writes them."""
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}-{self.last}" + (f":{self.step}" if self.step > 1 else "")


@dataclass(frozen=True, slots=True)
class Array:
    """The indices of an array, each once and in order; at most `at_once` of its jobs run (0: no limit)."""

    spans: tuple[IndexRange, ...]
    at_once: int = 0

    @property
    def count(self) -> int:
        """How many jobs it has."""
        return sum(each.count for each in self.spans)

    @property
    def least(self) -> int:
        """Its least index."""
        return self.spans[0].first

    @property
    def step(self) -> int:
        """What lies between two neighbors where that is always the same; else 1."""
        return self.spans[0].step if len(self.spans) == 1 else 1

    @property
    def greatest(self) -> int:
        """Its greatest index."""
        return self.spans[-1].last

    def index(self, place: int) -> int:
        """Return the index at a place, from 1."""
        before = place - 1
        for each in self.spans:
            if 0 <= before < each.count:
                return each.first + before * each.step
            before -= each.count
        raise IndexError(place)

    def place(self, index: int) -> int | None:
        """Return the place of an index, from 1; None where it is not among them."""
        before = 0
        for each in self.spans:
            if each.first <= index <= each.last and not (index - each.first) % each.step:
                return before + (index - each.first) // each.step + 1
            before += each.count
        return None

    def __str__(self) -> str:
        """Return it as one writes it."""
        return ",".join(map(str, self.spans)) + (f"%{self.at_once}" if self.at_once else "")


def read_array(text: str) -> Array:
    """Return the array that a text like `0-99`, `1,3,5`, `0-60:15` or `0-99%10` asks for.

    Raises Refused (`bad_array`) where it asks for none, for too many jobs, or for too great an index.
    """
    if len(text) > _MOST_TEXT:
        raise _refused(f"is longer than {_MOST_TEXT} characters", _EXAMPLES)
    listed, percent, limit = text.strip().partition("%")
    if percent and (not _AT_ONCE.fullmatch(limit.strip()) or not int(limit)):
        raise _refused(f"{limit.strip()[:20]!r} is not how many run at once", "a number from 1, like 0-99%10")
    indices: set[int] = set()
    for part in listed.removeprefix("[").removesuffix("]").split(","):
        span = _read_span(part.strip(), text)
        if span.count > MOST_JOBS:
            raise _too_many()
        indices.update(range(span.first, span.last + 1, span.step))
        if len(indices) > MOST_JOBS:
            raise _too_many()
    at_once = int(limit) if percent else 0
    return Array(_spans(sorted(indices)), at_once if at_once < len(indices) else 0)


def _read_span(part: str, text: str) -> IndexRange:
    match = _SPAN.fullmatch(part)
    if match is None:
        raise _refused(f"{text[:40]!r} is no list of indices", _EXAMPLES)
    first = int(match[1])
    last, step = int(match[2] or first), int(match[3] or 1)
    if not step:
        raise _refused(f"{part[:40]!r} has a step of 0", "a step from 1, like 0-60:15")
    if last < first:
        raise _refused(f"{part[:40]!r} ends before it begins", "the lesser index first, like 0-99")
    if last > MOST_INDEX:
        raise _refused(f"{str(last)[:20]} is too great an index", f"at most {MOST_INDEX}")
    return IndexRange(first, last, step)


def _too_many() -> Refused:
    return _refused(f"these are more than {MOST_JOBS} jobs", "submit parts, like 0-999 and 1000-1999")


def _refused(message: str, hint: str) -> Refused:
    return Refused("bad_array", message, (Problem("", message, hint),))


def _spans(indices: list[int]) -> tuple[IndexRange, ...]:
    """Return sorted indices as few spans: three or more by equal steps, or two neighbors, are one."""
    found: list[IndexRange] = []
    at = 0
    while at < len(indices):
        end, step = at, indices[at + 1] - indices[at] if at + 1 < len(indices) else 1
        while end + 1 < len(indices) and indices[end + 1] - indices[end] == step:
            end += 1
        if end == at + 1 and step > 1:
            end = at
        last = indices[end]
        found.append(IndexRange(indices[at], last, step if end > at else 1))
        at = end + 1
    return tuple(found)


def array_of(job: str) -> str:
    """Return the id of the array of a job that is in one; that of an array is its own."""
    return job[:-2] + CROCKFORD[0] * 2


def place_of(job: str) -> int:
    """Return the place of a job in its array, from 1; 0 for the array itself."""
    return CROCKFORD.index(job[-2]) * _WIDTH + CROCKFORD.index(job[-1])


def job_at(array: str, place: int) -> JobId:
    """Return the id of the job at a place of an array."""
    return JobId(array[:-2] + CROCKFORD[place // _WIDTH] + CROCKFORD[place % _WIDTH])


def names_of(array: Array, job: JobId) -> dict[str, str]:
    """Return the variables of the environment that tell a job its part, by our names and by Slurm's.

    Slurm's id of an array is a number, so that here is made of ours: 30 bits of it.
    """
    index, name = str(array.index(place_of(job))), array_of(job)
    values = (index, name, index, str(_number(name)), array.least, array.greatest, array.count)
    return dict(zip(NAMES, map(str, (*values, array.step)), strict=True))


def _number(name: str) -> int:
    number = 0
    for each in name[-8:-2]:
        number = number * _WIDTH + CROCKFORD.index(each)
    return number

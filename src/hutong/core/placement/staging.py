"""What of a request's inputs must still be brought to a site, and how long that is expected to take.

Content goes through the platform's own store: what a job names by digest, and the checkpoint that an attempt
left when it ended. It is at a site already if its agent has it (its stock), or if the job ran there since. A
site's own stores and shared folders are at the site. Inputs whose size nobody knows, and small ones, count
for nothing: they would tell apart jobs between which no pool can tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.core.capacity.links import learnt_from, way_by
from hutong.core.capacity.sites import Transfer
from hutong.core.work.fold import Job
from hutong.core.work.spec import JobSpec

MATTERS_BYTES = 64 << 20
"""A second or so over a slow link: less than this is not worth a word in a score."""

ASSUMED_BITS_PER_S = 1_000_000_000
"""The width of the way to a site to which none is declared: assumed."""

_MOST_BYTES = 10**15  # of one input: 64 of them, as bits, still fit into 64


@dataclass(frozen=True, slots=True)
class Cargo:
    """A large input by digest and size; `held` are sites that need not be given it, for they ran since."""

    digest: str
    size_bytes: int
    held: tuple[str, ...] = ()


def cargo_of(spec: JobSpec, job: Job | None = None) -> tuple[Cargo, ...]:
    """Return what a job's next attempt needs by content: large inputs, and what an attempt left for it."""
    found = {
        each.digest: Cargo(each.digest, min(each.size_bytes, _MOST_BYTES))
        for each in spec.inputs
        if each.digest and each.size_bytes >= MATTERS_BYTES
    }
    left = _left_by(job) if job is not None and job.attempts else None
    return (*found.values(), *((left,) if left else ()))


def _left_by(job: Job) -> Cargo | None:
    """Return the newest checkpoint of a job, see `Job.checkpoint_for`."""
    held = set()
    for attempt in reversed(job.attempts):
        if attempt.started_ms:
            held.add(attempt.site)
        if attempt.checkpoint:
            size_bytes = min(attempt.checkpoint_bytes, _MOST_BYTES)
            return (
                Cargo(attempt.checkpoint, size_bytes, tuple(sorted(held)))
                if size_bytes >= MATTERS_BYTES
                else None
            )
    return None


def to_move_bytes(cargo: Sequence[Cargo], site: str, stock: Sequence[str] | frozenset[str]) -> int:
    """Return how many bytes a site must still be given."""
    return sum(each.size_bytes for each in cargo if site not in each.held and each.digest not in stock)


def ways(
    declared: Sequence[int], transfers: Sequence[Sequence[Transfer]], now_ms: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the width of the way to each site, and from how many transfers it is learnt; 0 for neither."""
    learnt = (learnt_from(each, now_ms) for each in transfers)
    found = [way_by(width or ASSUMED_BITS_PER_S, each) for width, each in zip(declared, learnt, strict=True)]
    bits = tuple(way if count else width for width, (way, count) in zip(declared, found, strict=True))
    return bits, tuple(count for _, count in found)


def staging_s(size_bytes: int, bits_per_s: int) -> int:
    """Return how long so many bytes are on their way, in whole seconds, begun ones counted; 0 for none."""
    return -(-8 * size_bytes // (bits_per_s or ASSUMED_BITS_PER_S))


def say_move(size_bytes: int, bits_per_s: int, learnt: int = 0) -> str:
    """Return a move in words, such as `42 GB to move over 10 Gbit/s: about 34 s`."""
    width = bits_per_s or ASSUMED_BITS_PER_S
    how = f" (by {learnt} transfers)" if learnt else "" if bits_per_s else " (assumed)"
    told = f"{_units(width, 'bit/s')}{how}"
    return f"{_units(size_bytes, 'B')} to move over {told}: about {_time(staging_s(size_bytes, bits_per_s))}"


def _units(amount: int, unit: str) -> str:
    """Return an amount with three digits, or with all of them where it is huge."""
    for prefix, size in (("P", 10**15), ("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if 10_000 * amount >= 9_995 * size:  # three digits of less would be 1000 of the next smaller unit
            return f"{amount / size:.3g} {prefix}{unit}"
    return f"{amount} {unit}"


def _time(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

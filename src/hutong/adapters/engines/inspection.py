"""What an engine's inspector says: what a centre has, the settings that follow, and checks and cures.

An engine has its inspector in `inspect.py` beside it; `hutong agent init` and `hutong agent doctor` know
nothing of any engine but this protocol.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from hutong.core.capacity.accelerators import find_accelerator

# File systems whose files other machines see too; "fuse." covers those that run in user space.
SHARED_KINDS = frozenset(
    {
        "nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "orangefs", "pvfs2", "afs", "cifs",
        "smb3", "9p", "wekafs", "quobyte", "gfs2", "ocfs2", "panfs",
    }
)  # fmt: skip


class Level(StrEnum):
    """How a check came out; with `bad` the agent cannot do its work."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was seen, and how to mend it where it is not as it should be."""

    name: str
    level: Level
    seen: str
    mend: str = ""


def ok(name: str, seen: str) -> Check:
    """Return a check that found nothing to mend."""
    return Check(name, Level.OK, seen)


def warn(name: str, seen: str, mend: str) -> Check:
    """Return a check that found what the operator should know of."""
    return Check(name, Level.WARN, seen, mend)


def bad(name: str, seen: str, mend: str) -> Check:
    """Return a check that found what keeps the agent from its work."""
    return Check(name, Level.BAD, seen, mend)


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the engine's part of the agent's file; `review` says what could not be known."""

    name: str
    value: str | int | tuple[str, ...] | Mapping[str, float]
    review: str = ""


@dataclass(frozen=True, slots=True)
class FoundPool:
    """Like nodes: `accelerator` is a model of the catalogue, or the centre's own word for an unknown one."""

    id: str
    accelerator: str
    nodes: int
    cards_per_node: int
    cpus_per_node: int
    memory_bytes_per_node: int
    settings: tuple[Setting, ...] = ()
    review: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """True if the catalogue has the accelerator."""
        return find_accelerator(self.accelerator) is not None


@dataclass(frozen=True, slots=True)
class Found:
    """What a centre has. `facts` are for people; `review` is what concerns no single line or pool."""

    engine: str
    facts: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    pools: tuple[FoundPool, ...] = ()
    review: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """Cards that the engine shows for one pool; `unusable` of them are on nodes that take no work now."""

    cards: int
    unusable: int = 0


class Inspector(Protocol):
    """One engine, looked at from outside; nothing is changed but by a probe that cleans up after itself."""

    def inspect(self) -> Found:
        """Return what the centre has. Raises Later or Refused if the engine cannot be asked."""
        ...

    def check(self, *, quick: bool) -> Iterator[Check]:
        """Yield what can be said of the engine; `quick` leaves out what takes more than seconds."""
        ...

    def count(self, pool: str, accelerator: str) -> Count | None:
        """Return the cards of a declared pool, None if the engine cannot tell. Raises Later or Refused."""
        ...


def card_name(word: str) -> str:
    """Return the catalogue's model for a driver's or a scheduler's word, or the word itself.

    Schedulers write `nvidia_h100_80gb_hbm3` where drivers say `NVIDIA H100 80GB HBM3`.
    """
    plain = re.sub(r"[\s_]+", "-", word.strip())
    for tried in (word, plain, plain.removeprefix("NVIDIA-"), plain.partition("-")[2], f"Ascend{plain}"):
        card = find_accelerator(tried) if tried else None
        if card is not None:
            return card.model
    return word.strip()


def pool_ids(words: Iterable[str]) -> list[str]:
    """Return a slug for each word, numbered where two would be the same."""
    found: list[str] = []
    for word in words:
        base = re.sub(r"[^a-z0-9]+", "-", word.casefold()).strip("-")[:40].strip("-") or "pool"
        fresh, number = base, 2
        while fresh in found:
            fresh, number = f"{base}-{number}", number + 1
        found.append(fresh)
    return found


def mounts() -> list[tuple[Path, str]]:
    """Return where file systems are mounted, and of what kind they are."""
    found = []
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        fields = line.split(" ")
        if len(fields) > 2:
            at = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1])
            found.append((Path(at), fields[2]))
    return found


def kind_of(path: Path) -> str:
    """Return the kind of file system that a path lies on, such as `ext4` or `nfs4`."""
    real = path.resolve()
    # The last mount on the same place hides those before it.
    inside = [
        (len(at.parts), index, kind) for index, (at, kind) in enumerate(mounts()) if real.is_relative_to(at)
    ]
    return max(inside, default=(0, 0, "unknown"))[2]


def is_shared(kind: str) -> bool:
    """True if other machines see files of such a file system too."""
    return kind in SHARED_KINDS or kind.startswith("fuse.")

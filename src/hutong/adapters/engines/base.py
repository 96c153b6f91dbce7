"""The engine contract: the few verbs every centre's scheduler must answer, and abilities as data."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol, runtime_checkable

from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId
from hutong.core.work.facts import Ended
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import JobSpec
from hutong.core.work.states import AttemptState, Category


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine can do; an agent goes by these, never by its name. Placement reads `gangs`, `services`
    and whether there is isolation.

    `reservations`: cards may be asked for in a reservation that the centre's operator made, as a pool of its
    own. `submits_at_once` is from how many threads attempts may be submitted, each its own.
    """

    gangs: bool
    services: bool
    preemption: bool = False
    reservations: bool = False
    accounting: bool = False
    energy: bool = False
    isolation: str = "none"
    submits_at_once: int = 1

    @property
    def can(self) -> tuple[str, ...]:
        """The names of what it can do."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is True)


@dataclass(frozen=True, slots=True)
class Order:
    """All that an engine needs to run one attempt. `staged` are inputs already on this machine.

    `secrets` reach the ranks' environment and nothing else: not a log or a listing. `checkpoint` is a folder
    that an attempt elsewhere left for this one: the job finds its files where it keeps its own.
    """

    key: AttemptKey
    job: JobId
    project: ProjectId
    attempt: Attempt
    spec: JobSpec
    staged: Sequence[tuple[str, str, Path]] = ()  # (mount, kind, path of bundle or folder)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a submission. `adopted`: the key was there already and nothing new was started."""

    external_id: str
    adopted: bool


Fate = Receipt | Refused | Later | OSError
"""What became of a submission among others, or why it was not taken."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt in a bulk observation. `ended` is there once, and as long as, the engine knows the end."""

    key: AttemptKey
    state: AttemptState
    external_id: str
    started_ms: int = 0
    port: int = 0
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What an engine's own accounting says of one start of a job: it had cards in `[from, upto)` (UTC ms).

    `record` names it there for good. `key` is None for a job that is not the platform's, `card_ms` None where
    accounting does not count cards. `energy_j` is what counters say its nodes took from start to end; None,
    and the reason as `energy_basis`, where none counted it.
    """

    record: str
    key: AttemptKey | None
    card_ms: int | None
    from_ms: int
    upto_ms: int
    energy_j: int | None = None
    energy_basis: str = ""


@runtime_checkable
class Accounted(Protocol):
    """An engine that keeps accounts of its own, where its abilities say `accounting`."""

    def used(self, from_ms: int, upto_ms: int) -> tuple[Use, ...]:
        """Return every start that ended in `[from, upto)`, in order of its record; may run in any thread.

        Raises Later if accounting does not answer.
        """
        ...


@runtime_checkable
class Together(Protocol):
    """An engine for which several attempts that ask for the same are one submission."""

    def alike(self, orders: Sequence[Order]) -> Sequence[Sequence[Order]]:
        """Return the orders, those together that may be submitted together; no order is left out."""
        ...

    def submit_together(self, orders: Sequence[Order]) -> Sequence[Fate]:
        """Do for each what `Engine.submit` does, and return what became of it, in their order."""
        ...


@runtime_checkable
class Reachable(Protocol):
    """An engine that leads connections to its jobs."""

    async def reach(self, key: AttemptKey, rank: int, port: int) -> socket.socket:
        """Return a connected, non-blocking stream to a port of the job, or for port 0 to a command of a rank.

        Raises Refused if that cannot be, Later if it cannot be now.
        """
        ...


class Engine(Protocol):
    """One centre's scheduler. Every verb may be repeated; the key makes the repeat harmless."""

    abilities: Abilities

    def submit(self, order: Order) -> Receipt:
        """Start the attempt, or adopt it if the key is known: also a key that was stopped before its start.

        Raises Refused if the engine can never run it, Later if it cannot be asked now.
        """
        ...

    def stop(
        self, key: AttemptKey, attempt: int, category: Category, reason: str, grace_s: int | None = None
    ) -> None:
        """Have the attempt ended: TERM, grace, KILL. A key never seen is marked so that it never starts.

        Without `grace_s`, in seconds, the attempt has the grace that it was submitted with.
        """
        ...

    def observe(self) -> tuple[Seen, ...]:
        """Return every attempt of ours that the engine knows, in one bulk read."""
        ...

    def read_log(self, key: AttemptKey, rank: int, offset: int, limit: int) -> bytes:
        """Return up to `limit` bytes of a rank's log from `offset`; empty at its present end."""
        ...

    def ranks(self, key: AttemptKey) -> tuple[int, ...]:
        """Return the ranks that have a log; rank -1 is the log of staging and setup."""
        ...

    def outputs(self, key: AttemptKey) -> Path | None:
        """Return the folder of kept files of an attempt, or None if it left none."""
        ...

    def checkpoint(self, key: AttemptKey) -> Path | None:
        """Return the folder of the checkpoint that an ended attempt left, or None if it left none."""
        ...

    def capacity(self) -> tuple[PoolState, ...]:
        """Return what the engine says of its pools; nothing where they are just as declared.

        Raises Later if it cannot be asked now.
        """
        ...

    def forget(self, key: AttemptKey) -> None:
        """Delete what is left of an ended attempt but a mark that keeps its key from starting again."""
        ...

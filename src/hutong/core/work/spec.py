"""The job spec: what a user asked for, checked and resolved; immutable once accepted."""

from dataclasses import dataclass, field
from enum import StrEnum

from hutong.core.kernel.arrays import Array
from hutong.core.kernel.documents import LATE


class JobType(StrEnum):
    """What kind of work a job is; a service runs until it is stopped, a notebook is a task that is opened."""

    TASK = "task"
    SERVICE = "service"
    NOTEBOOK = "notebook"

    @property
    def listens(self) -> bool:
        """True if such a job gets a port even where its file names none."""
        return self is not JobType.TASK


@dataclass(frozen=True, slots=True)
class Ask:
    """One acceptable kind of card: the catalogue's model name and the number on each node."""

    accelerator: str
    cards_per_node: int


@dataclass(frozen=True, slots=True)
class Resources:
    """What each node needs. `asks` are alternatives; `ordered` makes an earlier one preferred."""

    asks: tuple[Ask, ...]
    ordered: bool = False
    cpus: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """The user's budget: restarts after the job's own errors, and exit codes that always restart.

    `avoid_domains` are kinds of failure domains: a retry avoids those in which an attempt was broken.
    """

    max_restarts_on_errors: int = 0
    recover_on_exit_codes: tuple[int, ...] = ()
    avoid_domains: tuple[str, ...] = field(default=(), metadata=LATE)


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the user would like the job to run; it narrows the choice and never widens it.

    A job may start up to `defer_s` after its submission where later hours suit its objective better, and be
    paused `pauses` times, each time until then at the latest. With `isolation` it runs in a sandbox or not at
    all.
    """

    objective: str = "balanced"
    latency_class: str = "batch"
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    start_before_s: int | None = None
    max_hourly_cost_micro: int | None = None
    defer_s: int = field(default=0, metadata=LATE)
    pauses: int = field(default=0, metadata=LATE)
    isolation: bool = field(default=False, metadata=LATE)


@dataclass(frozen=True, slots=True)
class Input:
    """A file set placed before the start. By content: `digest` is `sha256:<hex>` of a manifest or bundle.

    `kind` is `bundle` (a tar of the work folder, unpacked at `mount`), `manifest` (a model or output), `url`
    (an object or all below a prefix, `s3://..`, of the site's store named `store`) or `shared` (a folder that
    the site shares, `NAME/sub/folder`); the last two have no digest. `size_bytes` is what lies behind the
    digest, as the platform found it when the job came in; 0 where it is not known.
    """

    mount: str
    digest: str
    kind: str
    url: str = field(default="", metadata=LATE)
    store: str = field(default="", metadata=LATE)
    shared: str = field(default="", metadata=LATE)
    size_bytes: int = field(default=0, metadata=LATE)

    @property
    def offer(self) -> str:
        """What a site must offer for it, `store/NAME` or `shared/NAME`; empty if the platform has it."""
        if self.store:
            return f"store/{self.store}"
        return f"shared/{self.shared.partition('/')[0]}" if self.shared else ""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as accepted. Secrets appear by name only; their values travel with the start command.

    `outputs` is a folder under the job's work folder whose files are kept, by content, when an attempt ends.
    `network` says whether the job may reach anything beyond itself; services always may. A `preemptible` job
    may be stopped to make room for another, and goes back to the queue. The jobs of an `array` have one spec;
    which index is whose stands in their ids.
    """

    name: str
    type: JobType
    num_nodes: int
    resources: Resources
    run: str
    setup: str = ""
    envs: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: str = ""
    ports: tuple[int, ...] = ()
    max_duration_s: int = 86_400
    grace_s: int = 30
    network: bool = False
    priority: int = 0
    retry: Retry = field(default_factory=Retry)
    wish: Wish = field(default_factory=Wish)
    images: tuple[tuple[str, str], ...] = ()
    deployment: str = ""
    preemptible: bool = field(default=False, metadata=LATE)
    array: Array | None = field(default=None, metadata=LATE)

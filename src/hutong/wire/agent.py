"""The shapes of the agents' door: what a centre's agent and the platform say to each other.

All routes need the site's bearer token and lie under `/v1/agent`:

| route | body | answer |
| --- | --- | --- |
| `GET /site` | | `SiteOut`: what the platform has of the site; nothing is noted of the call |
| `POST /take` | `TakeIn` | `TakeOut`; waits up to `wait_s` for a command with an id above `after` |
| `POST /report` | `ReportIn` | `ReportOut`; the reports are stored when the answer comes |
| `POST /usage` | `usage.UsageIn` | `usage.UsageOut`: what became of each record of the engine's accounting |
| `HEAD, GET, PUT /objects/{digest}` | raw bytes, streamed | 200, 206, 404; GET takes ranges, PUT verifies |
| `PUT /logs/{key}/{rank}?offset=N&whole=B` | raw bytes, at most `LOG_CHUNK_BYTES` | `LogOut` |

A log grows without holes: a chunk that begins beyond what the platform holds is not stored, and the
answer says from where to go on. A chunk that it holds already changes nothing. `whole` says that
the log ends where this chunk ends. A platform whose `TakeOut` says `takes_logs` takes the logs of an ended
attempt with the report too, if they are small. Unknown keys are ignored on both sides, so that either may
be newer.
"""

from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work import facts as f
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import JobSpec
from hutong.core.work.states import AttemptState, Category
from hutong.wire.spread import SpreadDoc
from hutong.wire.told import Abilities, Offers
from hutong.wire.transfers import TRANSFERS_AT_ONCE, TransferDoc

LOG_CHUNK_BYTES = 256 * 1024
REPORTS_AT_ONCE = 500
SMALL_LOGS_BYTES = 4_096
"""Of all ranks of an attempt together: what may come with the report of its end."""
SMALL_LOGS_AT_ONCE = 4 * REPORTS_AT_ONCE
KEYS_AT_ONCE = 50_000
OUTPUTS_AT_ONCE = 10_000
DIALS_AT_ONCE = 500
WATCHED_AT_ONCE = 200
MOVES_AT_ONCE = 200
STOCK_AT_ONCE = 100
WAIT_AT_MOST_S = 30.0

Key = Annotated[str, Field(pattern=r"^ht-[0-9a-hjkmnp-tv-z]{26}-a[1-9][0-9]{0,5}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
DialId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22,64}$")]
Text = Annotated[str, Field(max_length=2_000)]
Number = Annotated[int, Field(ge=0, lt=1 << 53)]
AttemptNumber = Annotated[int, Field(ge=1, le=999_999)]


class Shape(BaseModel):
    """Base of every shape of this door."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class AcceptedDoc(Shape):
    """The engine has the attempt."""

    kind: Literal["accepted"] = "accepted"
    attempt: AttemptNumber
    external_id: Text
    adopted: bool

    def event(self) -> f.Accepted:
        """Return the fact's body."""
        return f.Accepted(self.attempt, self.external_id, self.adopted)


class StartingDoc(Shape):
    """Data is being staged, or `setup` runs."""

    kind: Literal["starting"] = "starting"
    attempt: AttemptNumber

    def event(self) -> f.Starting:
        """Return the fact's body."""
        return f.Starting(self.attempt)


class StartedDoc(Shape):
    """The ranks run since `started_ms`, the site's clock."""

    kind: Literal["started"] = "started"
    attempt: AttemptNumber
    started_ms: Number
    port: Annotated[int, Field(ge=0, le=65_535)] = 0

    def event(self) -> f.Started:
        """Return the fact's body."""
        return f.Started(self.attempt, self.started_ms, self.port)


class ExitDoc(Shape):
    """How one rank ended."""

    rank: Annotated[int, Field(ge=0)]
    code: int
    signal: int = 0


class EndedDoc(Shape):
    """The attempt is over, with proof."""

    kind: Literal["ended"] = "ended"
    attempt: AttemptNumber
    outcome: AttemptState
    category: Category
    reason: Text
    started_ms: Number
    ended_ms: Number
    ran_ms: Number
    exits: tuple[ExitDoc, ...] = ()
    checkpoint: bool = False

    def event(self) -> f.Ended:
        """Return the fact's body."""
        return f.Ended(
            self.attempt,
            self.outcome,
            self.category,
            self.reason,
            self.started_ms,
            self.ended_ms,
            self.ran_ms,
            tuple(f.RankExit(each.rank, each.code, each.signal) for each in self.exits),
            self.checkpoint,
        )


class OutputDoc(Shape):
    """One kept file."""

    path: Annotated[str, Field(min_length=1, max_length=1_024)]
    size_bytes: Number
    digest: Digest


class CollectedDoc(Shape):
    """Logs and outputs are in the object store; `missing` says what is not, and why.

    `checkpoint` is the digest of a manifest: what the attempt left for the next one to go on from, and
    `checkpoint_bytes` how much that is (0 from an agent that does not say).
    """

    kind: Literal["collected"] = "collected"
    attempt: AttemptNumber
    outputs: Annotated[tuple[OutputDoc, ...], Field(max_length=OUTPUTS_AT_ONCE)] = ()
    log_bytes: Number = 0
    missing: Text = ""
    checkpoint: Digest | Literal[""] = ""
    checkpoint_bytes: Number = 0

    def event(self) -> f.Collected:
        """Return the fact's body."""
        outputs = tuple(f.OutputFile(each.path, each.size_bytes, each.digest) for each in self.outputs)
        left = (self.checkpoint, self.checkpoint_bytes)
        return f.Collected(self.attempt, outputs, self.log_bytes, self.missing, *left)


EventDoc = Annotated[
    AcceptedDoc | StartingDoc | StartedDoc | EndedDoc | CollectedDoc, Field(discriminator="kind")
]


def event_doc(event: f.AgentEvent) -> AcceptedDoc | StartingDoc | StartedDoc | EndedDoc | CollectedDoc:
    """Return the wire form of what an agent has to say; texts are cut to what the wire takes."""
    match event:
        case f.Accepted():
            return AcceptedDoc(
                attempt=event.attempt, external_id=event.external_id[:2_000], adopted=event.adopted
            )
        case f.Starting():
            return StartingDoc(attempt=event.attempt)
        case f.Started():
            return StartedDoc(attempt=event.attempt, started_ms=event.started_ms, port=event.port)
        case f.Ended():
            return EndedDoc(
                attempt=event.attempt,
                outcome=event.outcome,
                category=event.category,
                reason=event.reason[:2_000],
                started_ms=event.started_ms,
                ended_ms=event.ended_ms,
                ran_ms=event.ran_ms,
                exits=tuple(
                    ExitDoc(rank=each.rank, code=each.code, signal=each.signal) for each in event.exits
                ),
                checkpoint=event.checkpoint,
            )
        case f.Collected():
            return CollectedDoc(
                attempt=event.attempt,
                outputs=tuple(
                    OutputDoc(path=each.path, size_bytes=each.size_bytes, digest=each.digest)
                    for each in event.outputs
                ),
                log_bytes=event.log_bytes,
                missing=event.missing[:2_000],
                checkpoint=event.checkpoint,
                checkpoint_bytes=event.checkpoint_bytes,
            )


class TakeIn(Shape):
    """Ask for commands with an id above `after`; 0 repeats every command that is still open.

    `dialed` are calls for tunnels that were heard already, None from an agent that does not know of calls;
    `watched` is what it was last told that somebody reads: another answer comes at once.
    """

    after: Number = 0
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    wait_s: Annotated[float, Field(ge=0, le=WAIT_AT_MOST_S)] = 0.0
    dialed: Annotated[tuple[DialId, ...], Field(max_length=DIALS_AT_ONCE)] | None = None
    watched: Annotated[tuple[Key, ...], Field(max_length=WATCHED_AT_ONCE)] | None = None


class CommandDoc(Shape):
    """Start an attempt, or stop it: a stop goes by `attempt.stop_category` and `.stop_reason`.

    `secrets` come with a start only; nobody stores or logs them. `checkpoint` is the manifest of what an
    attempt elsewhere left for this one to go on from.
    """

    id: Number
    key: Key
    kind: Literal["start", "stop"]
    project: str
    job: str
    attempt: Attempt
    spec: JobSpec | None = None
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)
    checkpoint: Digest | None = None


class DialDoc(Shape):
    """A call for a tunnel: connect `port` of a rank, or a command beside it (0), to who waits at `url`.

    The tunnel is an outbound WebSocket to `<url>/v1/tunnels/<id>` with the site's token. Its first message is
    text, `DialAnswer`; then binary messages are bytes of the stream, the text `eof` is the end of one side.
    """

    id: DialId
    key: Key
    rank: Annotated[int, Field(ge=0, lt=1_000_000)]
    port: Annotated[int, Field(ge=0, le=65_535)]
    url: Annotated[str, Field(max_length=2_000)]


class DialAnswer(Shape):
    """What became of a call: `error` is empty if the stream is open."""

    error: Text = ""


class TakeOut(Shape):
    """Commands in order of id, the attempts whose log somebody reads now, calls, and the platform's clock.

    `takes_logs` says that `ReportIn.logs` are stored; an older platform does not know of them.
    """

    commands: tuple[CommandDoc, ...] = ()
    watched: tuple[str, ...] = ()
    dials: tuple[DialDoc, ...] = ()
    now_ms: Number
    takes_logs: bool = False


class PoolDoc(Shape):
    """One pool as it is declared at the platform."""

    id: str
    accelerator: str
    nodes: int
    cards_per_node: int


class SiteOut(Shape):
    """The site as the platform has it, the platform's clock and version: what an operator compares with."""

    site: str
    engine: str
    declared_only: bool
    admission: str
    pools: tuple[PoolDoc, ...]
    now_ms: Number
    version: str = ""


class ReportDoc(Shape):
    """What happened to one attempt."""

    key: Key
    event: EventDoc

    def report(self) -> f.Report:
        """Return the report that the store takes."""
        return f.Report(AttemptKey(self.key), self.event.event())


class PoolStateDoc(Shape):
    """What the centre's own scheduler says of a pool: cards on nodes that take work, cards held by others."""

    pool: Annotated[str, Field(min_length=1, max_length=63)]
    cards_up: Annotated[int, Field(ge=0, lt=1 << 31)]
    cards_elsewhere: Annotated[int, Field(ge=0, lt=1 << 31)]
    wait_s: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    spread: SpreadDoc | None = None

    def state(self) -> PoolState:
        """Return the state that the store takes."""
        spread = self.spread.spread() if self.spread else None
        return PoolState(self.pool, self.cards_up, self.cards_elsewhere, self.wait_s, spread)


class MoveDoc(Shape):
    """How far the bytes of an attempt are on their way: `inputs` to the site, or `results` from there."""

    key: Key
    what: Literal["inputs", "results"]
    done_bytes: Number
    total_bytes: Number


class SightingDoc(Shape):
    """One full observation of the engine; `at_ms` is not later, on the platform's clock, than it was made.

    Attempts whose data the agent is still fetching count as known and live. `trouble` is why its last start
    failed, empty once one went well; everybody who sees the site may read it. `moves` go on now; who may
    see a job may see its own. `offers` are stores and shared folders that jobs may name. `stock` are the
    digests of large inputs used last, shown to nobody, `transfers` the last large ones from our store. `can`
    names what its engine can do (`gangs`, `services`; others are kept and not read).
    """

    at_ms: Number
    known: Annotated[tuple[Key, ...], Field(max_length=KEYS_AT_ONCE)] = ()
    live: Annotated[tuple[Key, ...], Field(max_length=KEYS_AT_ONCE)] = ()
    agent: Annotated[str, Field(max_length=200)] = ""
    isolation: Annotated[str, Field(max_length=200)] = ""
    trouble: Annotated[str, Field(max_length=200)] = ""
    pools: Annotated[tuple[PoolStateDoc, ...], Field(max_length=1_000)] = ()
    moves: Annotated[tuple[MoveDoc, ...], Field(max_length=MOVES_AT_ONCE)] = ()
    offers: Offers | None = None
    stock: Annotated[tuple[Digest, ...], Field(max_length=STOCK_AT_ONCE)] = ()
    transfers: Annotated[tuple[TransferDoc, ...], Field(max_length=TRANSFERS_AT_ONCE)] = ()
    can: Abilities | None = None


class SmallLogDoc(Shape):
    """The whole log of one rank of an ended attempt; `data` is base64."""

    key: Key
    rank: Annotated[int, Field(ge=-1, lt=1_000_000)]
    data: Annotated[Base64Bytes, Field(max_length=SMALL_LOGS_BYTES)]


class ReportIn(Shape):
    """What happened since the last time; repeats are harmless. `logs` are of attempts told as collected."""

    reports: Annotated[tuple[ReportDoc, ...], Field(max_length=REPORTS_AT_ONCE)] = ()
    sighting: SightingDoc | None = None
    logs: Annotated[tuple[SmallLogDoc, ...], Field(max_length=SMALL_LOGS_AT_ONCE)] = ()


class ReportOut(Shape):
    """How many reports were news; `orphans` are keys that run at the site and have no business there.

    `unkept` are those whose `logs` could not be stored now: that they are collected was not written down.
    """

    news: int
    repeats: int
    orphans: tuple[str, ...] = ()
    unkept: tuple[str, ...] = ()


class LogOut(Shape):
    """How much of the log the platform holds now, from its beginning."""

    size_bytes: Number


class ManifestFile(Shape):
    """One file of a file set, by content."""

    path: Annotated[str, Field(min_length=1, max_length=1_024)]
    size_bytes: Number
    digest: Digest


class Manifest(Shape):
    """A file set by content: the object that an input of kind `manifest` names."""

    files: Annotated[tuple[ManifestFile, ...], Field(max_length=OUTPUTS_AT_ONCE)] = ()

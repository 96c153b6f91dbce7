"""The agent's line to the platform: outbound HTTPS only, every call repeatable."""

import base64
import hashlib
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from hutong.adapters.engines.base import Use
from hutong.core.book.store import Sighting
from hutong.core.kernel.chain import Head
from hutong.core.kernel.errors import Conflict, Denied, Later, NotFound, Refused
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId
from hutong.core.work.facts import Report
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import JobSpec
from hutong.wire import agent as wire
from hutong.wire.meters import Meter, NewReadings, SiteMeters, Taken
from hutong.wire.sealed import SealedDoc, SealedHead, SealedIn
from hutong.wire.transfers import TransferDoc
from hutong.wire.usage import TallyDoc, UsageIn, UsageOut, UseDoc

_CHUNK_BYTES = 1 << 20
_PARTIAL = 206
_ALL_THERE = 416  # the range begins beyond the end
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_Any = TypeVar("_Any")
_Out = TypeVar("_Out", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Command:
    """An order of the platform: `start` or `stop` one attempt."""

    id: int
    key: AttemptKey
    kind: str
    project: ProjectId
    job: JobId
    attempt: Attempt
    spec: JobSpec | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Commands in order, the attempts whose log somebody reads, the platform's clock (UTC ms), and calls.

    `came_ms` is when it came, by the agent's steady clock, `takes_logs` whether a report may bring logs.
    """

    commands: tuple[Command, ...]
    watched: frozenset[AttemptKey]
    now_ms: int
    came_ms: int = 0
    dials: tuple[wire.DialDoc, ...] = ()
    takes_logs: bool = False


@dataclass(frozen=True, slots=True)
class SmallLog:
    """The whole log of one rank of an ended attempt."""

    key: AttemptKey
    rank: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What the platform made of reports; `orphans` run here and have no business to.

    Of `unkept` the logs that came with the report are not stored, nor is it written that they are.
    """

    news: int
    repeats: int
    orphans: tuple[AttemptKey, ...] = ()
    unkept: tuple[AttemptKey, ...] = ()


def _wanted() -> None:
    """Let a fetch go on."""


class Link(Protocol):
    """What an agent can say to the platform. Every call may be repeated.

    Each raises Later on network trouble (nothing is known of the effect), Refused on a plain no.
    """

    def take(self, after: int, wait_s: float) -> Delivery:
        """Return open commands with an id above `after`; wait up to `wait_s` for one."""
        ...

    def report(
        self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
    ) -> Reply:
        """Store reports and an observation; they are durable when this returns, and the logs are stored."""
        ...

    def account(self, uses: Sequence[Use], days: Sequence[TallyDoc]) -> tuple[str, ...]:
        """Store records of the engine's accounting and tallies of days; returns the fate of each record."""
        ...

    def sealed_head(self) -> Head:
        """Return how far our site's chain of sealed reports goes."""
        ...

    def send_sealed(self, reports: Sequence[SealedDoc]) -> None:
        """Hand in sealed reports. Raises Conflict where they do not go on after the head."""
        ...

    def has_object(self, digest: str) -> bool:
        """Return whether the platform holds the object `sha256:<hex>`."""
        ...

    def get_object(self, digest: str, into: Path, go_on: Callable[[], None] = _wanted) -> None:
        """Write an object to a file, verified; goes on where the file ends. Raises NotFound.

        `go_on` is called between chunks, and raises what is to end it.
        """
        ...

    def put_object(self, digest: str, source: Path) -> None:
        """Store a file's content under its digest."""
        ...

    def put_log(self, key: AttemptKey, rank: int, offset: int, data: bytes, whole: bool) -> int:
        """Add to a log; returns how much of it the platform holds from its beginning."""
        ...


class HttpLink:
    """The line over HTTP. `token` is bound to the site by the platform.

    `proxy` is the centre's way out, if it has one; `authorities` a file of certificates to trust instead of
    the usual ones. The environment's settings are not used: a service has another one than its operator.
    """

    def __init__(
        self, url: str, token: str, timeout_s: float = 30.0, tries: int = 3, proxy: str = "",
        authorities: Path | None = None, transport: httpx2.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._tries = tries
        self._dialed: deque[str] = deque(maxlen=wire.DIALS_AT_ONCE)
        self._watched: tuple[str, ...] | None = None
        self._timeout_s = timeout_s
        self._client = httpx2.Client(
            base_url=url.rstrip("/") + "/v1/agent",
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
            transport=transport,
            proxy=proxy or None,
            verify=ssl.create_default_context(cafile=authorities) if authorities else True,
            trust_env=False,
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def site(self) -> wire.SiteOut:
        """Return what the platform has of our site; it takes no command and counts as no call."""
        return _parse(self._again(lambda: self._send("GET", "/site"), tries=1), wire.SiteOut)

    def take(self, after: int, wait_s: float) -> Delivery:
        """Return open commands; one long poll, not repeated here. A call for a tunnel is heard once."""
        wait_s = min(wait_s, wire.WAIT_AT_MOST_S)
        ask = wire.TakeIn(after=after, wait_s=wait_s, dialed=tuple(self._dialed), watched=self._watched)
        out = self._post("/take", ask, wire.TakeOut, tries=1, wait_s=wait_s)
        commands = tuple(_command(each) for each in sorted(out.commands, key=lambda each: each.id))
        self._dialed.extend(each.id for each in out.dials)
        self._watched = out.watched
        watched = frozenset(AttemptKey(key) for key in out.watched)
        return Delivery(commands, watched, out.now_ms, dials=out.dials, takes_logs=out.takes_logs)

    def report(
        self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
    ) -> Reply:
        """Store reports, an observation and small logs."""
        docs = tuple(wire.ReportDoc(key=each.key, event=wire.event_doc(each.event)) for each in reports)
        seen = sighting and wire.SightingDoc(
            at_ms=sighting.at_ms,
            known=tuple(sorted(sighting.known)),
            live=tuple(sorted(sighting.live)),
            agent=sighting.agent,
            isolation=sighting.isolation,
            trouble=sighting.trouble,
            pools=tuple(wire.PoolStateDoc(**asdict(each)) for each in sighting.pools),
            moves=tuple(wire.MoveDoc(**asdict(each)) for each in sighting.moves),
            offers=sighting.offers,
            stock=sighting.stock,
            transfers=tuple(TransferDoc(**asdict(each)) for each in sighting.transfers),
            can=sighting.can,
        )
        small = tuple(
            wire.SmallLogDoc(key=each.key, rank=each.rank, data=base64.b64encode(each.data)) for each in logs
        )
        body = wire.ReportIn(reports=docs, sighting=seen, logs=small)
        out = self._post("/report", body, wire.ReportOut)
        orphans, unkept = (tuple(AttemptKey(key) for key in keys) for keys in (out.orphans, out.unkept))
        return Reply(out.news, out.repeats, orphans, unkept)

    def account(self, uses: Sequence[Use], days: Sequence[TallyDoc]) -> tuple[str, ...]:
        """Store records of the engine's accounting and tallies of days."""
        records = tuple(UseDoc(**asdict(each)) for each in uses)
        return self._post("/usage", UsageIn(records=records, days=tuple(days)), UsageOut).fates

    def sealed_head(self) -> Head:
        """Ask for the head of our chain."""
        found = _parse(self._again(lambda: self._send("GET", "/sealed")), SealedHead)
        return Head(found.seq, found.hash)

    def send_sealed(self, reports: Sequence[SealedDoc]) -> None:
        """Hand in sealed reports."""
        self._post("/sealed", SealedIn(reports=tuple(reports)), SealedHead)

    def send_readings(self, meter: str, readings: NewReadings) -> None:
        """Store what a register showed."""
        self._post(f"/meters/{quote(meter)}/readings", readings, Taken)

    def meters(self) -> tuple[Meter, ...]:
        """Return the meters of our site that its agent may read."""
        return _parse(self._again(lambda: self._send("GET", "/meters"), tries=1), SiteMeters).items

    def has_object(self, digest: str) -> bool:
        """Ask for an object's head."""
        try:
            self._again(lambda: self._send("HEAD", f"/objects/{digest}"))
        except NotFound:
            return False
        return True

    def get_object(self, digest: str, into: Path, go_on: Callable[[], None] = _wanted) -> None:
        """Stream an object into a file, from where the file ends; a try that brought bytes costs none.

        What does not match its digest is fetched from zero once, then Later: it may come right.
        """
        left, anew = self._tries, True
        while True:
            go_on()
            before = _size(into)
            try:
                if self._download(digest, into, go_on):
                    return
            except Later:
                left = self._tries if _size(into) > before else left - 1
                if not left:
                    raise
                _pause(self._tries - left)
                continue
            into.write_bytes(b"")
            if not anew:
                raise Later("GET of an object: the content that came has another digest")
            anew = False

    def put_object(self, digest: str, source: Path) -> None:
        """Stream a file to the platform."""
        size = str(source.stat().st_size)
        self._again(
            lambda: self._send(
                "PUT",
                f"/objects/{digest}",
                content=_chunks(source),
                headers={"Content-Type": "application/octet-stream", "Content-Length": size},
            )
        )

    def put_log(self, key: AttemptKey, rank: int, offset: int, data: bytes, whole: bool) -> int:
        """Add to a log."""
        path = f"/logs/{quote(key)}/{rank}?offset={offset}&whole={'true' if whole else 'false'}"
        headers = {"Content-Type": "application/octet-stream"}
        response = self._again(lambda: self._send("PUT", path, content=data, headers=headers))
        return _parse(response, wire.LogOut).size_bytes

    def _post(
        self, path: str, body: BaseModel, shape: type[_Out], tries: int | None = None, wait_s: float = 0.0
    ) -> _Out:
        content = body.model_dump_json().encode()
        headers = {"Content-Type": "application/json"}
        timeout_s = self._timeout_s + wait_s
        response = self._again(
            lambda: self._send("POST", path, content=content, headers=headers, timeout_s=timeout_s), tries
        )
        return _parse(response, shape)

    def _send(
        self,
        method: str,
        path: str,
        content: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> httpx2.Response:
        wait = httpx2.Timeout(timeout_s or self._timeout_s, connect=10.0)
        try:
            response = self._client.request(method, path, content=content, headers=headers, timeout=wait)
        except httpx2.TransportError as error:
            raise Later(f"{method} {path}: {type(error).__name__} {error}") from error
        _check(response, f"{method} {path}")
        return response

    def _download(self, digest: str, into: Path, go_on: Callable[[], None]) -> bool:
        """Fetch what the file lacks; returns whether the whole is what the digest says."""
        content = hashlib.sha256()
        with into.open("a+b") as file:
            file.seek(0)
            while chunk := file.read(_CHUNK_BYTES):
                content.update(chunk)
            held = file.tell()
            headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={held}-"} if held else {})}
            try:
                with self._client.stream("GET", f"/objects/{digest}", headers=headers) as response:
                    if response.status_code == _ALL_THERE:
                        return f"sha256:{content.hexdigest()}" == digest
                    if response.is_error:
                        response.read()
                    _check(response, "GET of an object")  # its digest opens it: not for everybody's eyes
                    if held and response.status_code != _PARTIAL:  # an older platform: it sends all
                        file.truncate(0)
                        content = hashlib.sha256()
                    for chunk in response.iter_bytes():  # as it comes: what a break takes is little
                        go_on()
                        content.update(chunk)
                        file.write(chunk)
                        file.flush()  # how far it is shows in the file
            except httpx2.TransportError as error:
                raise Later(f"GET of an object: {type(error).__name__} {error}") from error
        return f"sha256:{content.hexdigest()}" == digest

    def _again(self, call: Callable[[], _Any], tries: int | None = None) -> _Any:
        most = tries or self._tries
        for count in range(1, most + 1):
            try:
                return call()
            except Later:
                if count == most:
                    raise
                _pause(count)
        raise Later("no try was left")


def _pause(count: int) -> None:
    time.sleep(min(5.0, 0.1 * 2**count) * random.uniform(0.5, 1.5))  # noqa: S311


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check(response: httpx2.Response, what: str) -> None:
    status = response.status_code
    if status < 400:
        return
    text = f"{what}: {status} {response.text[:500]}".strip()
    if status in _BUSY:
        after = response.headers.get("Retry-After", "")
        raise Later(text, int(after) if after.isdigit() else 1)
    kinds: dict[int, type[Refused]] = {401: Denied, 403: Denied, 404: NotFound, 409: Conflict}
    raise kinds.get(status, Refused)("platform_says_no", text)


def _parse(response: httpx2.Response, shape: type[_Out]) -> _Out:
    try:
        return shape.model_validate_json(response.content)
    except ValidationError as error:
        # Not `from error`: it quotes its input, and secrets are in there.
        raise Later(f"the platform's answer is no {shape.__name__}: {error.error_count()} faults") from None


def _command(doc: wire.CommandDoc) -> Command:
    return Command(
        doc.id,
        AttemptKey(doc.key),
        doc.kind,
        ProjectId(doc.project),
        JobId(doc.job),
        doc.attempt,
        doc.spec,
        dict(doc.secrets),
        doc.checkpoint or "",
    )


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk

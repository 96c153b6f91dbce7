"""Streams without sockets: where to take one up again, and what its events mean. Pure."""

import json
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import ValidationError

from hutong.clients.sdk.call import Call, path_of, query_of, raw
from hutong.clients.sdk.jobs import log_query
from hutong.core.kernel.errors import Broken
from hutong.wire.jobs import Fact

Item = TypeVar("Item")
FAILURES_AT_MOST = 6


class Stream(Generic[Item]):
    """A stream that can be taken up where it broke off; `over` is true once its end was seen."""

    over: bool = False

    def call(self) -> Call[bytes]:
        """Return the request that goes on behind what was taken so far."""
        raise NotImplementedError

    def take(self, event: str, data: str) -> Item | None:
        """Return what a server-sent event says, if it is news."""
        raise NotImplementedError


@dataclass(slots=True)
class FactStream(Stream[Fact]):
    """The facts of a job from behind number `after`, until the job is over."""

    job: str
    after: int = 0
    over: bool = field(default=False, init=False)

    def call(self) -> Call[bytes]:
        """Ask for the facts behind the last one that was taken."""
        return Call("GET", path_of("jobs", self.job, "events"), raw, query_of(after=self.after or None))

    def take(self, event: str, data: str) -> Fact | None:
        """Return a fact, unless it was seen before."""
        if event == "end":
            self.over = True
            return None
        try:
            fact = Fact.model_validate_json(data, extra="ignore")
        except ValidationError as err:
            raise Broken(f"the platform's stream is not understood: {err.errors()[0]['msg']}") from err
        if fact.seq <= self.after:
            return None
        self.after = fact.seq
        self.over = fact.kind == "finished"
        return fact


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of a rank's log; `next_offset` is the byte behind it."""

    rank: int
    text: str
    next_offset: int


@dataclass(slots=True)
class LogStream(Stream[LogChunk]):
    """A rank's log from a byte offset, until the attempt is over."""

    job: str
    rank: int = 0
    attempt: int | None = None
    offset: int = 0
    over: bool = field(default=False, init=False)

    def call(self) -> Call[bytes]:
        """Ask for what comes behind the last byte that was taken."""
        query = (*log_query(self.rank, self.attempt, self.offset), ("follow", "1"))
        return Call("GET", path_of("jobs", self.job, "logs"), raw, query)

    def take(self, event: str, data: str) -> LogChunk | None:
        """Return a piece of the log, unless it was seen before."""
        if event == "end":
            self.over = True
            return None
        try:
            piece = json.loads(data)
            upto, text = int(piece["next"]), str(piece["text"])
        except (ValueError, KeyError, TypeError) as err:
            raise Broken("the platform's log stream is not understood") from err
        if upto <= self.offset:
            return None
        self.offset = upto
        return LogChunk(self.rank, text, upto)

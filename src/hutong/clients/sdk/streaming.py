"""The verbs of jobs and models, which also read logs, facts and files as streams."""

from collections.abc import AsyncIterator, Iterator

from hutong.clients.sdk import jobs, models
from hutong.clients.sdk.awaited import AwaitedSender
from hutong.clients.sdk.blocking import BlockingSender
from hutong.clients.sdk.streams import FactStream, LogChunk, LogStream
from hutong.clients.sdk.verbs import AsyncGroup, Group
from hutong.wire.jobs import Fact


class Jobs(jobs.JobVerbs, Group):
    """Jobs: submit, watch, stop, explain, account for."""

    def __init__(self, client: BlockingSender) -> None:
        super().__init__(client)
        self._sender = client

    def follow(self, job: str, *, after: int = 0) -> Iterator[Fact]:
        """Yield the job's facts as they happen, until it is over; breaks of the connection do not show."""
        return self._sender.listen(FactStream(job, after))

    def logs(
        self, job: str, *, rank: int = 0, attempt: int | None = None, offset: int = 0, follow: bool = False
    ) -> Iterator[LogChunk]:
        """Yield a rank's log; with `follow`, until the attempt is over. Rank -1 is staging and setup."""
        if follow:
            yield from self._sender.listen(LogStream(job, rank, attempt, offset))
            return
        body = self.do(jobs.read_log(job, rank=rank, attempt=attempt, offset=offset))
        if body:
            yield LogChunk(rank, body.decode(errors="replace"), offset + len(body))

    def download(self, job: str, path: str) -> Iterator[bytes]:
        """Yield one file that the job left, piece by piece."""
        return self._sender.download(jobs.output(job, path))


class AsyncJobs(jobs.JobVerbs, AsyncGroup):
    """Jobs: submit, watch, stop, explain, account for."""

    def __init__(self, client: AwaitedSender) -> None:
        super().__init__(client)
        self._sender = client

    def follow(self, job: str, *, after: int = 0) -> AsyncIterator[Fact]:
        """Yield the job's facts as they happen, until it is over; breaks of the connection do not show."""
        return self._sender.listen(FactStream(job, after))

    async def logs(
        self, job: str, *, rank: int = 0, attempt: int | None = None, offset: int = 0, follow: bool = False
    ) -> AsyncIterator[LogChunk]:
        """Yield a rank's log; with `follow`, until the attempt is over. Rank -1 is staging and setup."""
        if follow:
            async for chunk in self._sender.listen(LogStream(job, rank, attempt, offset)):
                yield chunk
            return
        body = await self.do(jobs.read_log(job, rank=rank, attempt=attempt, offset=offset))
        if body:
            yield LogChunk(rank, body.decode(errors="replace"), offset + len(body))

    def download(self, job: str, path: str) -> AsyncIterator[bytes]:
        """Yield one file that the job left, piece by piece."""
        return self._sender.download(jobs.output(job, path))


class Models(models.ModelVerbs, Group):
    """Models: versions of content-addressed files, with where they come from."""

    def __init__(self, client: BlockingSender) -> None:
        super().__init__(client)
        self._sender = client

    def download(self, name: str, version: int, path: str, *, project: str | None = None) -> Iterator[bytes]:
        """Yield one file of a version, piece by piece."""
        return self._sender.download(models.file_of(name, version, path, project=project))


class AsyncModels(models.ModelVerbs, AsyncGroup):
    """Models: versions of content-addressed files, with where they come from."""

    def __init__(self, client: AwaitedSender) -> None:
        super().__init__(client)
        self._sender = client

    def download(
        self, name: str, version: int, path: str, *, project: str | None = None
    ) -> AsyncIterator[bytes]:
        """Yield one file of a version, piece by piece."""
        return self._sender.download(models.file_of(name, version, path, project=project))

"""hutong.Client and hutong.AsyncClient: every verb of the API, grouped by resource, with types."""

from collections.abc import AsyncIterator, Iterator

import httpx2

from hutong.clients.sdk import accounts, capacity, jobs, models, quotas, sites
from hutong.clients.sdk.awaited import AwaitedSender
from hutong.clients.sdk.blocking import BlockingSender
from hutong.clients.sdk.profile import load_profile
from hutong.clients.sdk.streams import FactStream, LogChunk, LogStream
from hutong.clients.sdk.verbs import AsyncGroup, Group
from hutong.wire.accounts import Token
from hutong.wire.jobs import Fact

TRIALS = 4
TIMEOUT_S = 30.0


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


class Institutions(accounts.InstitutionVerbs, Group):
    """Institutions."""


class AsyncInstitutions(accounts.InstitutionVerbs, AsyncGroup):
    """Institutions."""


class People(accounts.PeopleVerbs, Group):
    """People who may sign in."""


class AsyncPeople(accounts.PeopleVerbs, AsyncGroup):
    """People who may sign in."""


class Projects(accounts.ProjectVerbs, Group):
    """Projects, their members and their money."""


class AsyncProjects(accounts.ProjectVerbs, AsyncGroup):
    """Projects, their members and their money."""


class Secrets(accounts.SecretVerbs, Group):
    """Secrets of projects: names go out, values only go in."""


class AsyncSecrets(accounts.SecretVerbs, AsyncGroup):
    """Secrets of projects: names go out, values only go in."""


class Tokens(accounts.TokenVerbs, Group):
    """Tokens of people and gateway keys of projects."""


class AsyncTokens(accounts.TokenVerbs, AsyncGroup):
    """Tokens of people and gateway keys of projects."""


class Ledger(accounts.LedgerVerbs, Group):
    """The ledger as a whole."""


class AsyncLedger(accounts.LedgerVerbs, AsyncGroup):
    """The ledger as a whole."""


class Quotas(quotas.QuotaVerbs, Group):
    """What institutions and projects are promised."""


class AsyncQuotas(quotas.QuotaVerbs, AsyncGroup):
    """What institutions and projects are promised."""


class Capacity(capacity.CapacityVerbs, Group):
    """Computing power: cards, figures, conversions, published totals."""


class AsyncCapacity(capacity.CapacityVerbs, AsyncGroup):
    """Computing power: cards, figures, conversions, published totals."""


class Sites(sites.SiteVerbs, Group):
    """Centres: what they have and how they are."""


class AsyncSites(sites.SiteVerbs, AsyncGroup):
    """Centres: what they have and how they are."""


class Deployments(models.DeploymentVerbs, Group):
    """Models being served."""


class AsyncDeployments(models.DeploymentVerbs, AsyncGroup):
    """Models being served."""


class Objects(jobs.ObjectVerbs, Group):
    """Content that jobs need, named by its digest."""


class AsyncObjects(jobs.ObjectVerbs, AsyncGroup):
    """Content that jobs need, named by its digest."""


class Client(accounts.SessionVerbs, BlockingSender):
    """The platform from Python. Without `url` and `token` the user's profile and the environment say.

    >>> with Client() as client:                                             # doctest: +SKIP
    ...     job = client.jobs.submit("weather", {"run": "nvidia-smi"})
    ...     for fact in client.jobs.follow(job.id):
    ...         print(fact.kind)
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        trials: int = TRIALS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        url, token = _place(url, token)
        super().__init__(url, token, timeout_s=timeout_s, trials=trials, transport=transport)
        self.jobs = Jobs(self)
        self.sites = Sites(self)
        self.institutions = Institutions(self)
        self.people = People(self)
        self.projects = Projects(self)
        self.secrets = Secrets(self)
        self.tokens = Tokens(self)
        self.ledger = Ledger(self)
        self.quotas = Quotas(self)
        self.capacity = Capacity(self)
        self.models = Models(self)
        self.deployments = Deployments(self)
        self.objects = Objects(self)

    def login(self, person: str, password: str) -> Token:
        """Sign in and use the session's token from now on; its `secret` is in the answer."""
        token = self.do(accounts.login(person, password))
        self._token = token.secret or ""
        return token

    def logout(self) -> None:
        """End the session whose token is in use."""
        self.do(accounts.logout())
        self._token = ""


class AsyncClient(accounts.SessionVerbs, AwaitedSender):
    """The platform from asynchronous Python: `hutong.Client` with awaited verbs and asynchronous lists."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        trials: int = TRIALS,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        url, token = _place(url, token)
        super().__init__(url, token, timeout_s=timeout_s, trials=trials, transport=transport)
        self.jobs = AsyncJobs(self)
        self.sites = AsyncSites(self)
        self.institutions = AsyncInstitutions(self)
        self.people = AsyncPeople(self)
        self.projects = AsyncProjects(self)
        self.secrets = AsyncSecrets(self)
        self.tokens = AsyncTokens(self)
        self.ledger = AsyncLedger(self)
        self.quotas = AsyncQuotas(self)
        self.capacity = AsyncCapacity(self)
        self.models = AsyncModels(self)
        self.deployments = AsyncDeployments(self)
        self.objects = AsyncObjects(self)

    async def login(self, person: str, password: str) -> Token:
        """Sign in and use the session's token from now on; its `secret` is in the answer."""
        token = await self.do(accounts.login(person, password))
        self._token = token.secret or ""
        return token

    async def logout(self) -> None:
        """End the session whose token is in use."""
        await self.do(accounts.logout())
        self._token = ""


def _place(url: str | None, token: str | None) -> tuple[str, str]:
    """Return where to go and as whom; a token of the profile is never sent to another address."""
    if url is not None:
        return url, token or ""
    profile = load_profile()
    return profile.url, profile.token if token is None else token

"""hutong.Client and hutong.AsyncClient: every verb of the API, grouped by resource, with types."""

import httpx2

from hutong.clients.sdk import accounts, streaming
from hutong.clients.sdk import groups as g
from hutong.clients.sdk.awaited import AwaitedSender
from hutong.clients.sdk.blocking import BlockingSender
from hutong.clients.sdk.profile import load_profile
from hutong.wire.accounts import Token

TRIALS = 4
TIMEOUT_S = 30.0


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
        self.jobs = streaming.Jobs(self)
        self.sites = g.Sites(self)
        self.capacity = g.Capacity(self)
        self.centres = g.Centres(self)
        self.identifiers = g.Identifiers(self)
        self.institutions = g.Institutions(self)
        self.people = g.People(self)
        self.projects = g.Projects(self)
        self.secrets = g.Secrets(self)
        self.tokens = g.Tokens(self)
        self.issuers = g.Issuers(self)
        self.identities = g.Identities(self)
        self.devices = g.Devices(self)
        self.second_factor = g.SecondFactors(self)
        self.service_accounts = g.ServiceAccounts(self)
        self.directories = g.Directories(self)
        self.ledger = g.Ledger(self)
        self.statements = g.Statements(self)
        self.reports = g.Reports(self)
        self.invoices = g.Invoices(self)
        self.disputes = g.Disputes(self)
        self.prices = g.Prices(self)
        self.commitments = g.Commitments(self)
        self.quotas = g.Quotas(self)
        self.budgets = g.Budgets(self)
        self.usage = g.Usage(self)
        self.energy = g.Energy(self)
        self.witnesses = g.Witnesses(self)
        self.vouchers = g.Vouchers(self)
        self.contracts = g.Contracts(self)
        self.programmes = g.Programmes(self)
        self.access = g.Access(self)
        self.audit = g.Audit(self)
        self.calls = g.Calls(self)
        self.applications = g.Applications(self)
        self.allocations = g.Allocations(self)
        self.approvals = g.Approvals(self)
        self.models = streaming.Models(self)
        self.deployments = g.Deployments(self)
        self.objects = g.Objects(self)

    def login(self, person: str, password: str, code: str | None = None) -> Token:
        """Sign in and use the session's token from now on; its `secret` is in the answer."""
        token = self.do(accounts.login(person, password, code))
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
        self.jobs = streaming.AsyncJobs(self)
        self.sites = g.AsyncSites(self)
        self.capacity = g.AsyncCapacity(self)
        self.centres = g.AsyncCentres(self)
        self.identifiers = g.AsyncIdentifiers(self)
        self.institutions = g.AsyncInstitutions(self)
        self.people = g.AsyncPeople(self)
        self.projects = g.AsyncProjects(self)
        self.secrets = g.AsyncSecrets(self)
        self.tokens = g.AsyncTokens(self)
        self.issuers = g.AsyncIssuers(self)
        self.identities = g.AsyncIdentities(self)
        self.devices = g.AsyncDevices(self)
        self.second_factor = g.AsyncSecondFactors(self)
        self.service_accounts = g.AsyncServiceAccounts(self)
        self.directories = g.AsyncDirectories(self)
        self.ledger = g.AsyncLedger(self)
        self.statements = g.AsyncStatements(self)
        self.reports = g.AsyncReports(self)
        self.invoices = g.AsyncInvoices(self)
        self.disputes = g.AsyncDisputes(self)
        self.prices = g.AsyncPrices(self)
        self.commitments = g.AsyncCommitments(self)
        self.quotas = g.AsyncQuotas(self)
        self.budgets = g.AsyncBudgets(self)
        self.usage = g.AsyncUsage(self)
        self.energy = g.AsyncEnergy(self)
        self.witnesses = g.AsyncWitnesses(self)
        self.vouchers = g.AsyncVouchers(self)
        self.contracts = g.AsyncContracts(self)
        self.programmes = g.AsyncProgrammes(self)
        self.access = g.AsyncAccess(self)
        self.audit = g.AsyncAudit(self)
        self.calls = g.AsyncCalls(self)
        self.applications = g.AsyncApplications(self)
        self.allocations = g.AsyncAllocations(self)
        self.approvals = g.AsyncApprovals(self)
        self.models = streaming.AsyncModels(self)
        self.deployments = g.AsyncDeployments(self)
        self.objects = g.AsyncObjects(self)

    async def login(self, person: str, password: str, code: str | None = None) -> Token:
        """Sign in and use the session's token from now on; its `secret` is in the answer."""
        token = await self.do(accounts.login(person, password, code))
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

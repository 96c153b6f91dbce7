"""hutong.Client and hutong.AsyncClient: every verb of the API, grouped by resource, with types."""

from typing import TYPE_CHECKING

import httpx2

from hutong.clients.sdk import accounts
from hutong.clients.sdk.awaited import AwaitedSender
from hutong.clients.sdk.blocking import BlockingSender
from hutong.clients.sdk.profile import load_profile
from hutong.clients.sdk.resource import Resource
from hutong.wire.accounts import Token

# A resource's module is loaded by the first use of its verbs: a command or a program needs a few of them.
if TYPE_CHECKING:
    from hutong.clients.sdk.access import Access, AsyncAccess
    from hutong.clients.sdk.accounts import (
        AsyncPeople,
        AsyncProjects,
        AsyncSecrets,
        AsyncTokens,
        People,
        Projects,
        Secrets,
        Tokens,
    )
    from hutong.clients.sdk.approvals import Approvals, AsyncApprovals
    from hutong.clients.sdk.audit import AsyncAudit, Audit
    from hutong.clients.sdk.budgets import AsyncBudgets, AsyncUsage, Budgets, Usage
    from hutong.clients.sdk.calls import (
        Allocations,
        Applications,
        AsyncAllocations,
        AsyncApplications,
        AsyncCalls,
        AsyncInstitutions,
        Calls,
        Institutions,
    )
    from hutong.clients.sdk.capacity import AsyncCapacity, Capacity
    from hutong.clients.sdk.centres import AsyncCentres, AsyncIdentifiers, Centres, Identifiers
    from hutong.clients.sdk.commitments import AsyncCommitments, Commitments
    from hutong.clients.sdk.energy import AsyncEnergy, Energy
    from hutong.clients.sdk.identity import (
        AsyncDirectories,
        AsyncIdentities,
        AsyncIssuers,
        Directories,
        Identities,
        Issuers,
    )
    from hutong.clients.sdk.jobs import AsyncObjects, Objects
    from hutong.clients.sdk.ledger import AsyncLedger, Ledger
    from hutong.clients.sdk.models import AsyncDeployments, Deployments
    from hutong.clients.sdk.prices import AsyncPrices, Prices
    from hutong.clients.sdk.quotas import AsyncQuotas, Quotas
    from hutong.clients.sdk.reports import AsyncReports, Reports
    from hutong.clients.sdk.service_accounts import AsyncServiceAccounts, ServiceAccounts
    from hutong.clients.sdk.sign_in import AsyncDevices, AsyncSecondFactors, Devices, SecondFactors
    from hutong.clients.sdk.sites import AsyncSites, Sites
    from hutong.clients.sdk.statements import (
        AsyncDisputes,
        AsyncInvoices,
        AsyncStatements,
        Disputes,
        Invoices,
        Statements,
    )
    from hutong.clients.sdk.streaming import AsyncJobs, AsyncModels, Jobs, Models
    from hutong.clients.sdk.vouchers import (
        AsyncContracts,
        AsyncProgrammes,
        AsyncVouchers,
        Contracts,
        Programmes,
        Vouchers,
    )
    from hutong.clients.sdk.witnesses import AsyncWitnesses, Witnesses

TRIALS = 4
TIMEOUT_S = 30.0


class Client(accounts.SessionVerbs, BlockingSender):
    """The platform from Python. Without `url` and `token` the user's profile and the environment say.

    >>> with Client() as client:                                             # doctest: +SKIP
    ...     job = client.jobs.submit("weather", {"run": "nvidia-smi"})
    ...     for fact in client.jobs.follow(job.id):
    ...         print(fact.kind)
    """

    jobs: "Resource[Jobs]" = Resource("streaming.Jobs")
    sites: "Resource[Sites]" = Resource("sites.Sites")
    capacity: "Resource[Capacity]" = Resource("capacity.Capacity")
    centres: "Resource[Centres]" = Resource("centres.Centres")
    identifiers: "Resource[Identifiers]" = Resource("centres.Identifiers")
    institutions: "Resource[Institutions]" = Resource("calls.Institutions")
    people: "Resource[People]" = Resource("accounts.People")
    projects: "Resource[Projects]" = Resource("accounts.Projects")
    secrets: "Resource[Secrets]" = Resource("accounts.Secrets")
    tokens: "Resource[Tokens]" = Resource("accounts.Tokens")
    issuers: "Resource[Issuers]" = Resource("identity.Issuers")
    identities: "Resource[Identities]" = Resource("identity.Identities")
    devices: "Resource[Devices]" = Resource("sign_in.Devices")
    second_factor: "Resource[SecondFactors]" = Resource("sign_in.SecondFactors")
    service_accounts: "Resource[ServiceAccounts]" = Resource("service_accounts.ServiceAccounts")
    directories: "Resource[Directories]" = Resource("identity.Directories")
    ledger: "Resource[Ledger]" = Resource("ledger.Ledger")
    statements: "Resource[Statements]" = Resource("statements.Statements")
    reports: "Resource[Reports]" = Resource("reports.Reports")
    invoices: "Resource[Invoices]" = Resource("statements.Invoices")
    disputes: "Resource[Disputes]" = Resource("statements.Disputes")
    prices: "Resource[Prices]" = Resource("prices.Prices")
    commitments: "Resource[Commitments]" = Resource("commitments.Commitments")
    quotas: "Resource[Quotas]" = Resource("quotas.Quotas")
    budgets: "Resource[Budgets]" = Resource("budgets.Budgets")
    usage: "Resource[Usage]" = Resource("budgets.Usage")
    energy: "Resource[Energy]" = Resource("energy.Energy")
    witnesses: "Resource[Witnesses]" = Resource("witnesses.Witnesses")
    vouchers: "Resource[Vouchers]" = Resource("vouchers.Vouchers")
    contracts: "Resource[Contracts]" = Resource("vouchers.Contracts")
    programmes: "Resource[Programmes]" = Resource("vouchers.Programmes")
    access: "Resource[Access]" = Resource("access.Access")
    audit: "Resource[Audit]" = Resource("audit.Audit")
    calls: "Resource[Calls]" = Resource("calls.Calls")
    applications: "Resource[Applications]" = Resource("calls.Applications")
    allocations: "Resource[Allocations]" = Resource("calls.Allocations")
    approvals: "Resource[Approvals]" = Resource("approvals.Approvals")
    models: "Resource[Models]" = Resource("streaming.Models")
    deployments: "Resource[Deployments]" = Resource("models.Deployments")
    objects: "Resource[Objects]" = Resource("jobs.Objects")

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

    jobs: "Resource[AsyncJobs]" = Resource("streaming.AsyncJobs")
    sites: "Resource[AsyncSites]" = Resource("sites.AsyncSites")
    capacity: "Resource[AsyncCapacity]" = Resource("capacity.AsyncCapacity")
    centres: "Resource[AsyncCentres]" = Resource("centres.AsyncCentres")
    identifiers: "Resource[AsyncIdentifiers]" = Resource("centres.AsyncIdentifiers")
    institutions: "Resource[AsyncInstitutions]" = Resource("calls.AsyncInstitutions")
    people: "Resource[AsyncPeople]" = Resource("accounts.AsyncPeople")
    projects: "Resource[AsyncProjects]" = Resource("accounts.AsyncProjects")
    secrets: "Resource[AsyncSecrets]" = Resource("accounts.AsyncSecrets")
    tokens: "Resource[AsyncTokens]" = Resource("accounts.AsyncTokens")
    issuers: "Resource[AsyncIssuers]" = Resource("identity.AsyncIssuers")
    identities: "Resource[AsyncIdentities]" = Resource("identity.AsyncIdentities")
    devices: "Resource[AsyncDevices]" = Resource("sign_in.AsyncDevices")
    second_factor: "Resource[AsyncSecondFactors]" = Resource("sign_in.AsyncSecondFactors")
    service_accounts: "Resource[AsyncServiceAccounts]" = Resource("service_accounts.AsyncServiceAccounts")
    directories: "Resource[AsyncDirectories]" = Resource("identity.AsyncDirectories")
    ledger: "Resource[AsyncLedger]" = Resource("ledger.AsyncLedger")
    statements: "Resource[AsyncStatements]" = Resource("statements.AsyncStatements")
    reports: "Resource[AsyncReports]" = Resource("reports.AsyncReports")
    invoices: "Resource[AsyncInvoices]" = Resource("statements.AsyncInvoices")
    disputes: "Resource[AsyncDisputes]" = Resource("statements.AsyncDisputes")
    prices: "Resource[AsyncPrices]" = Resource("prices.AsyncPrices")
    commitments: "Resource[AsyncCommitments]" = Resource("commitments.AsyncCommitments")
    quotas: "Resource[AsyncQuotas]" = Resource("quotas.AsyncQuotas")
    budgets: "Resource[AsyncBudgets]" = Resource("budgets.AsyncBudgets")
    usage: "Resource[AsyncUsage]" = Resource("budgets.AsyncUsage")
    energy: "Resource[AsyncEnergy]" = Resource("energy.AsyncEnergy")
    witnesses: "Resource[AsyncWitnesses]" = Resource("witnesses.AsyncWitnesses")
    vouchers: "Resource[AsyncVouchers]" = Resource("vouchers.AsyncVouchers")
    contracts: "Resource[AsyncContracts]" = Resource("vouchers.AsyncContracts")
    programmes: "Resource[AsyncProgrammes]" = Resource("vouchers.AsyncProgrammes")
    access: "Resource[AsyncAccess]" = Resource("access.AsyncAccess")
    audit: "Resource[AsyncAudit]" = Resource("audit.AsyncAudit")
    calls: "Resource[AsyncCalls]" = Resource("calls.AsyncCalls")
    applications: "Resource[AsyncApplications]" = Resource("calls.AsyncApplications")
    allocations: "Resource[AsyncAllocations]" = Resource("calls.AsyncAllocations")
    approvals: "Resource[AsyncApprovals]" = Resource("approvals.AsyncApprovals")
    models: "Resource[AsyncModels]" = Resource("streaming.AsyncModels")
    deployments: "Resource[AsyncDeployments]" = Resource("models.AsyncDeployments")
    objects: "Resource[AsyncObjects]" = Resource("jobs.AsyncObjects")

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

"""The verbs of the API by resource, each for both kinds of clients."""

from hutong.clients.sdk import (
    access,
    accounts,
    approvals,
    audit,
    budgets,
    calls,
    capacity,
    centres,
    commitments,
    energy,
    identity,
    jobs,
    ledger,
    models,
    prices,
    quotas,
    reports,
    service_accounts,
    sign_in,
    sites,
    statements,
    vouchers,
    witnesses,
)
from hutong.clients.sdk.verbs import AsyncGroup, Group


class Institutions(accounts.InstitutionVerbs, calls.HistoryVerbs, Group):
    """Institutions."""


class AsyncInstitutions(accounts.InstitutionVerbs, calls.HistoryVerbs, AsyncGroup):
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


class Issuers(identity.IssuerVerbs, Group):
    """Identity providers, and sign-in through them."""


class AsyncIssuers(identity.IssuerVerbs, AsyncGroup):
    """Identity providers, and sign-in through them."""


class Identities(identity.IdentityVerbs, Group):
    """The identities that sign in as the caller."""


class AsyncIdentities(identity.IdentityVerbs, AsyncGroup):
    """The identities that sign in as the caller."""


class Devices(sign_in.DeviceVerbs, Group):
    """Devices that sign in by a browser's consent."""


class AsyncDevices(sign_in.DeviceVerbs, AsyncGroup):
    """Devices that sign in by a browser's consent."""


class SecondFactors(sign_in.SecondFactorVerbs, Group):
    """The caller's authenticator; operators take away somebody's."""


class AsyncSecondFactors(sign_in.SecondFactorVerbs, AsyncGroup):
    """The caller's authenticator; operators take away somebody's."""


class ServiceAccounts(service_accounts.ServiceAccountVerbs, Group):
    """Programs that act in a project, and their tokens."""


class AsyncServiceAccounts(service_accounts.ServiceAccountVerbs, AsyncGroup):
    """Programs that act in a project, and their tokens."""


class Directories(identity.DirectoryVerbs, Group):
    """Tokens with which directories of institutions provision people (SCIM)."""


class AsyncDirectories(identity.DirectoryVerbs, AsyncGroup):
    """Tokens with which directories of institutions provision people (SCIM)."""


class Ledger(ledger.LedgerVerbs, Group):
    """The ledger as a whole."""


class AsyncLedger(ledger.LedgerVerbs, AsyncGroup):
    """The ledger as a whole."""


class Calls(calls.CallVerbs, Group):
    """Programmes and their calls."""


class AsyncCalls(calls.CallVerbs, AsyncGroup):
    """Programmes and their calls."""


class Applications(calls.ApplicationVerbs, Group):
    """Applications, their reviews and decisions."""


class AsyncApplications(calls.ApplicationVerbs, AsyncGroup):
    """Applications, their reviews and decisions."""


class Allocations(calls.AllocationVerbs, Group):
    """Allocations, their changes and cuts."""


class AsyncAllocations(calls.AllocationVerbs, AsyncGroup):
    """Allocations, their changes and cuts."""


class Statements(statements.StatementVerbs, Group):
    """What a project had, was given, used and owes in a period."""


class AsyncStatements(statements.StatementVerbs, AsyncGroup):
    """What a project had, was given, used and owes in a period."""


class Reports(reports.ReportVerbs, Group):
    """Reports, and what is published of them."""


class AsyncReports(reports.ReportVerbs, AsyncGroup):
    """Reports, and what is published of them."""


class Invoices(statements.InvoiceVerbs, Group):
    """Invoices and credit notes."""


class AsyncInvoices(statements.InvoiceVerbs, AsyncGroup):
    """Invoices and credit notes."""


class Disputes(statements.DisputeVerbs, Group):
    """Disputes of charges."""


class AsyncDisputes(statements.DisputeVerbs, AsyncGroup):
    """Disputes of charges."""


class Prices(prices.PriceVerbs, Group):
    """Price books, their prices over time, and what a project pays."""


class AsyncPrices(prices.PriceVerbs, AsyncGroup):
    """Price books, their prices over time, and what a project pays."""


class Commitments(commitments.CommitmentVerbs, Group):
    """Card-hours that somebody promised to use, at a price of their own."""


class AsyncCommitments(commitments.CommitmentVerbs, AsyncGroup):
    """Card-hours that somebody promised to use, at a price of their own."""


class Quotas(quotas.QuotaVerbs, Group):
    """What institutions and projects are promised."""


class AsyncQuotas(quotas.QuotaVerbs, AsyncGroup):
    """What institutions and projects are promised."""


class Budgets(budgets.BudgetVerbs, Group):
    """Budgets and the notices of their thresholds."""


class AsyncBudgets(budgets.BudgetVerbs, AsyncGroup):
    """Budgets and the notices of their thresholds."""


class Energy(energy.EnergyVerbs, Group):
    """Meters, contracts and certificates; what hours of sites and jobs came to."""


class AsyncEnergy(energy.EnergyVerbs, AsyncGroup):
    """Meters, contracts and certificates; what hours of sites and jobs came to."""


class Usage(budgets.UsageVerbs, Group):
    """Use by day."""


class AsyncUsage(budgets.UsageVerbs, AsyncGroup):
    """Use by day."""


class Witnesses(witnesses.WitnessVerbs, Group):
    """Utilisation in four levels, and what sites seal."""


class AsyncWitnesses(witnesses.WitnessVerbs, AsyncGroup):
    """Utilisation in four levels, and what sites seal."""


class Vouchers(vouchers.VoucherVerbs, Group):
    """Vouchers and the claims on them."""


class AsyncVouchers(vouchers.VoucherVerbs, AsyncGroup):
    """Vouchers and the claims on them."""


class Contracts(vouchers.ContractVerbs, Group):
    """Contracts, and the standing of those who make them."""


class AsyncContracts(vouchers.ContractVerbs, AsyncGroup):
    """Contracts, and the standing of those who make them."""


class Programmes(vouchers.ProgrammeVerbs, Group):
    """Subsidy programmes."""


class AsyncProgrammes(vouchers.ProgrammeVerbs, AsyncGroup):
    """Subsidy programmes."""


class Access(access.AccessVerbs, Group):
    """Who may do what."""


class AsyncAccess(access.AccessVerbs, AsyncGroup):
    """Who may do what."""


class Audit(audit.AuditVerbs, Group):
    """Who changed what."""


class AsyncAudit(audit.AuditVerbs, AsyncGroup):
    """Who changed what."""


class Approvals(approvals.ApprovalVerbs, Group):
    """Changes that take two people."""


class AsyncApprovals(approvals.ApprovalVerbs, AsyncGroup):
    """Changes that take two people."""


class Capacity(capacity.CapacityVerbs, Group):
    """Computing power: cards, figures, conversions, published totals."""


class AsyncCapacity(capacity.CapacityVerbs, AsyncGroup):
    """Computing power: cards, figures, conversions, published totals."""


class Centres(centres.CentreVerbs, Group):
    """The registry of centres."""


class AsyncCentres(centres.CentreVerbs, AsyncGroup):
    """The registry of centres."""


class Identifiers(centres.IdentifierVerbs, Group):
    """Identifiers of resources."""


class AsyncIdentifiers(centres.IdentifierVerbs, AsyncGroup):
    """Identifiers of resources."""


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

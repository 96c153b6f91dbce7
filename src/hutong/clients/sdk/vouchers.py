"""Calls about vouchers, claims, contracts, and the programmes that they go by."""

from hutong.clients.sdk.call import Call, Listing, document, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import subsidies as s
from hutong.wire import vouchers as v
from hutong.wire.base import Page


def check_voucher(voucher: v.NewVoucher) -> Call[v.Verdict]:
    """Say which clauses stand against a voucher; nothing is changed."""
    return post(path_of("vouchers", "check"), shape(v.Verdict), voucher, keyed=False)


def issue_voucher(voucher: v.NewVoucher, *, key: str = "") -> Call[v.Voucher]:
    """Issue a voucher (operators); `key` makes it the same voucher when asked for again."""
    return post(path_of("vouchers"), shape(v.Voucher), voucher, key=key)


def list_vouchers(project: str | None = None, *, limit: int | None = None) -> Listing[v.Voucher]:
    """List the vouchers of a project, or (operators) all."""
    return Listing(path_of("vouchers"), shape(Page[v.Voucher]), query_of(project=project), most=limit)


def get_voucher(voucher: str) -> Call[v.Voucher]:
    """Return a voucher."""
    return Call("GET", path_of("vouchers", voucher), shape(v.Voucher))


def bind_voucher(voucher: str, contract: str) -> Call[v.Voucher]:
    """Bind a voucher to a contract (operators)."""
    body = v.Bind(contract=contract)
    return post(path_of("vouchers", voucher, "bind"), shape(v.Voucher), body, keyed=False)


def expire_voucher(voucher: str) -> Call[v.Voucher]:
    """End a voucher whose time is over (operators)."""
    return post(path_of("vouchers", voucher, "expire"), shape(v.Voucher), keyed=False)


def claw_back_voucher(voucher: str, reason: str) -> Call[v.Voucher]:
    """Take a voucher back (operators)."""
    body = v.Why(reason=reason)
    return post(path_of("vouchers", voucher, "claw-back"), shape(v.Voucher), body, keyed=False)


def check_claim(voucher: str, claim: v.NewClaim) -> Call[v.Redeemable]:
    """Say what a claim would pay, line by line; nothing is changed."""
    return post(path_of("vouchers", voucher, "claims", "check"), shape(v.Redeemable), claim, keyed=False)


def make_claim(voucher: str, claim: v.NewClaim, *, key: str = "") -> Call[v.Claim]:
    """Claim what was settled in a time; `key` makes it the same claim when asked for again."""
    return post(path_of("vouchers", voucher, "claims"), shape(v.Claim), claim, key=key)


def list_claims(voucher: str, *, limit: int | None = None) -> Listing[v.ClaimSummary]:
    """List the claims on a voucher."""
    return Listing(path_of("vouchers", voucher, "claims"), shape(Page[v.ClaimSummary]), most=limit)


def get_claim(voucher: str, claim: str) -> Call[v.Claim]:
    """Return a claim with its lines."""
    return Call("GET", path_of("vouchers", voucher, "claims", claim), shape(v.Claim))


def redeem(voucher: str, claim: str, reference: str = "") -> Call[v.Claim]:
    """Pay a claim (operators): to the balance, or outside under a payment's `reference`."""
    body = v.Redeem(to="outside", reference=reference) if reference else v.Redeem()
    return post(path_of("vouchers", voucher, "claims", claim, "redeem"), shape(v.Claim), body, keyed=False)


def refuse_claim(voucher: str, claim: str, reason: str) -> Call[v.Claim]:
    """Refuse a claim (operators)."""
    path = path_of("vouchers", voucher, "claims", claim, "refuse")
    return post(path, shape(v.Claim), v.Why(reason=reason), keyed=False)


def claw_back_claim(voucher: str, claim: str, reason: str) -> Call[v.Claim]:
    """Take back what a claim was paid (operators)."""
    path = path_of("vouchers", voucher, "claims", claim, "claw-back")
    return post(path, shape(v.Claim), v.Why(reason=reason), keyed=False)


def create_contract(contract: v.NewContract) -> Call[v.Contract]:
    """Enter a contract (operators)."""
    return post(path_of("contracts"), shape(v.Contract), contract)


def get_contract(contract: str) -> Call[v.Contract]:
    """Return a contract."""
    return Call("GET", path_of("contracts", contract), shape(v.Contract))


def set_standing(institution: str, standing: v.Standing) -> Call[v.InstitutionStanding]:
    """Say who an institution's related parties are, and when it was entered with bad credit (operators)."""
    path = path_of("institutions", institution, "standing")
    return Call("PUT", path, shape(v.InstitutionStanding), body=document(standing))


def get_standing(institution: str) -> Call[v.InstitutionStanding]:
    """Return what programmes ask of an institution (operators)."""
    return Call("GET", path_of("institutions", institution, "standing"), shape(v.InstitutionStanding))


def list_programmes() -> Listing[s.SubsidyProgramme]:
    """List the programmes with the source of every clause."""
    return Listing(path_of("subsidies"), shape(Page[s.SubsidyProgramme]))


def get_programme(programme: str) -> Call[s.SubsidyProgramme]:
    """Return one programme."""
    return Call("GET", path_of("subsidies", programme), shape(s.SubsidyProgramme))


def compare(question: s.Compare) -> Call[s.SubsidyComparison]:
    """Say what other rules would have paid (operators)."""
    return post(path_of("subsidies", "compare"), shape(s.SubsidyComparison), question, keyed=False)


class VoucherVerbs:
    """Vouchers and the claims on them."""

    check = Verb(check_voucher)
    issue = Verb(issue_voucher)
    list = ListVerb(list_vouchers)
    get = Verb(get_voucher)
    bind = Verb(bind_voucher)
    expire = Verb(expire_voucher)
    claw_back = Verb(claw_back_voucher)
    check_claim = Verb(check_claim)
    claim = Verb(make_claim)
    claims = ListVerb(list_claims)
    get_claim = Verb(get_claim)
    redeem = Verb(redeem)
    refuse_claim = Verb(refuse_claim)
    claw_back_claim = Verb(claw_back_claim)


class ContractVerbs:
    """Contracts, and the standing of those who make them."""

    create = Verb(create_contract)
    get = Verb(get_contract)
    set_standing = Verb(set_standing)
    standing = Verb(get_standing)


class ProgrammeVerbs:
    """Subsidy programmes."""

    list = ListVerb(list_programmes)
    get = Verb(get_programme)
    compare = Verb(compare)


class Vouchers(VoucherVerbs, Group):
    """Vouchers and the claims on them."""


class AsyncVouchers(VoucherVerbs, AsyncGroup):
    """Vouchers and the claims on them."""


class Contracts(ContractVerbs, Group):
    """Contracts, and the standing of those who make them."""


class AsyncContracts(ContractVerbs, AsyncGroup):
    """Contracts, and the standing of those who make them."""


class Programmes(ProgrammeVerbs, Group):
    """Subsidy programmes."""


class AsyncProgrammes(ProgrammeVerbs, AsyncGroup):
    """Subsidy programmes."""

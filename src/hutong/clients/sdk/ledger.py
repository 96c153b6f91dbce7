"""Calls about the ledger: checks, periods, use from outside, settlements, refunds (operators)."""

from hutong.clients.sdk.call import Call, Listing, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import ledger as w
from hutong.wire import money as m
from hutong.wire import reconciliation as r
from hutong.wire.base import Page


def check_ledger() -> Call[m.LedgerReport]:
    """Check every entry of the ledger."""
    return Call("GET", path_of("ledger", "check"), shape(m.LedgerReport))


def list_periods() -> Call[w.Periods]:
    """Return the billing periods."""
    return Call("GET", path_of("ledger", "periods"), shape(w.Periods))


def close_period(period: str, close: w.ClosePeriod) -> Call[w.Period]:
    """Begin to close a period, or close it for good and settle with the centres."""
    return post(path_of("ledger", "periods", period, "close"), shape(w.Period), close)


def list_settlements() -> Call[w.Settlements]:
    """Return what centres are owed."""
    return Call("GET", path_of("ledger", "settlements"), shape(w.Settlements))


def add_share(site: str, share: w.NewShare) -> Call[w.Settlement]:
    """Say what part of its revenue a centre gets from a moment on."""
    return post(path_of("ledger", "settlements", site, "shares"), shape(w.Settlement), share)


def pay(site: str, payout: w.NewPayout) -> Call[w.Settlement]:
    """Book that a centre was paid."""
    return post(path_of("ledger", "settlements", site, "payouts"), shape(w.Settlement), payout)


def receive_usage(uses: w.NewUses) -> Call[w.Uses]:
    """Hand in records of use of a source."""
    return post(path_of("ledger", "usage"), shape(w.Uses), uses)


def count_usage(source: str, start: str, end: str) -> Call[w.DayCounts]:
    """Count what a source handed in, by day and fate; times are RFC 3339."""
    query = query_of(**{"source": source, "from": start, "to": end})
    return Call("GET", path_of("ledger", "usage"), shape(w.DayCounts), query)


def reconcile(day: str = "", source: str = "") -> Call[r.Reconciliation]:
    """Compare schedulers, records of use and ledger for a UTC day (else yesterday), for one site or all."""
    query = query_of(day=day or None, source=source or None)
    return Call("GET", path_of("reconciliation"), shape(r.Reconciliation), query)


def list_suspense(*, limit: int | None = None) -> Listing[w.Use]:
    """List records of use that wait for a person."""
    return Listing(path_of("ledger", "suspense"), shape(Page[w.Use]), most=limit)


def resolve(decision: w.Resolve) -> Call[w.Use]:
    """Match a suspended record, or dismiss it."""
    return post(path_of("ledger", "suspense", "resolve"), shape(w.Use), decision)


def refund(project: str, refund: w.NewRefund) -> Call[w.Refund]:
    """Give a charge back, in whole or in part."""
    return post(path_of("projects", project, "refunds"), shape(w.Refund), refund)


def correct(project: str, correction: w.NewCorrection) -> Call[w.Correction]:
    """Correct a record of use."""
    return post(path_of("projects", project, "corrections"), shape(w.Correction), correction)


def claim(project: str, lot: str, claim: w.NewLotClaim) -> Call[m.Lot]:
    """Claim a lot back."""
    return post(path_of("projects", project, "lots", lot, "claim"), shape(m.Lot), claim)


class LedgerVerbs:
    """The ledger as a whole."""

    check = Verb(check_ledger)
    periods = Verb(list_periods)
    close = Verb(close_period)
    settlements = Verb(list_settlements)
    share = Verb(add_share)
    pay = Verb(pay)
    receive = Verb(receive_usage)
    counts = Verb(count_usage)
    reconcile = Verb(reconcile)
    suspense = ListVerb(list_suspense)
    resolve = Verb(resolve)


class Ledger(LedgerVerbs, Group):
    """The ledger as a whole."""


class AsyncLedger(LedgerVerbs, AsyncGroup):
    """The ledger as a whole."""

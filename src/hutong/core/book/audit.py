"""The audit: who changed what, when and why, written with the change itself and sealed into a chain."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

from hutong.core.book.money import Lot, Txn
from hutong.core.book.periods import Period
from hutong.core.book.received import Kept
from hutong.core.kernel.chain import Head, canonical, seal
from hutong.core.kernel.documents import to_document

HIDDEN = "(hidden)"
# Never in the audit, whatever document has them; and digests by which a token, a device's code or a recovery
# code could be found.
_SECRET = frozenset({"password", "sealed", "secret"})
_SECRET_OF = {
    "token": frozenset({"digest"}),
    "device": frozenset({"digest"}),
    "second_factor": frozenset({"recovery"}),
}


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and why. `mark` says what is special about it, such as `break-glass`."""

    actor: str
    at_ms: int
    on_behalf_of: str = ""
    address: str = ""
    reason: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One change. `before` and `after` are canonical JSON, empty where there was or is nothing."""

    seq: int
    at_ms: int
    actor: str
    on_behalf_of: str
    action: str
    object: str
    before: str
    after: str
    address: str
    reason: str
    mark: str
    prev: str
    hash: str = ""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which events: numbers above `after`, below `before` (0: no bound), of an actor, of an object."""

    after: int = 0
    before: int = 0
    actor: str = ""
    object: str = ""
    newest_first: bool = False
    limit: int = 200


def make_event(
    head: Head,
    author: Author,
    action: str,
    name: str,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> AuditEvent:
    """Return the event that follows on `head`."""
    event = AuditEvent(
        seq=head.seq + 1,
        at_ms=author.at_ms,
        actor=author.actor,
        on_behalf_of=author.on_behalf_of,
        action=action,
        object=name,
        before=_text(before),
        after=_text(after),
        address=author.address,
        reason=author.reason,
        mark=author.mark,
        prev=head.hash,
    )
    return replace(event, hash=seal(event_document(event)))


def event_document(event: AuditEvent) -> dict[str, object]:
    """Return an event as it is sealed and exported; a `before` or `after` not canonical stays text."""
    return {**asdict(event), "before": _nested(event.before), "after": _nested(event.after)}


UNTOLD = MappingProxyType(
    {
        "request": "repeats that a request was made; what it changed is told",
        "identifier_counter": "how many codes a scheme has made; identifiers are told themselves",
        "member": "an index of the members that projects name",
        "token_use": "when a token was last used, to ten minutes: its use changes nothing",
        "lockout": "wrong passwords, which anybody can type as often as they like; the log has them",
        "origin": "where a session came from, which is told itself",
        "origin_sid": "an index of them",
        "model-name": "an index of models, which are told themselves",
        "application_of": "an index of applications, which are told themselves",
        "application_entry": "which application of a project a call has: that it was submitted is told",
        "review_of": "an index of the reviewers that applications name",
        "relation_of": "an index of relations, which are told themselves",
        "scim_external": "an index of a directory's users, which are told themselves",
        "statement": "what the book says of a closed period, kept; the book is told itself",
        "invoice_credited": "what credit notes took of an invoice, which are told themselves",
        "tally": "sums over vouchers and claims, which are told themselves",
        "holding": "other ones",
        "subsidy-rules": "a copy of rules that a file has, under the digest that vouchers name",
        "ticket": "a link that lives a minute and opens what its owner may open anyhow",
        "visit": "the same, of a browser; the gateway keeps a log",
        "dispute_open": "an index of disputes, which are told themselves",
        "dispute_due": "another one",
        "report_body": "the text of a published report, whose digest is told",
        "report_counter": "how many reports are published, which are told themselves",
        "report_replaced": "an index of corrections, which are told themselves",
        "report_request": "repeats that a report was published, which is told itself",
        "finding_waits": "an index of findings, which are told themselves",
        "finding_day": "another one",
        "invoice_counter": "how many invoices there are, which are told themselves",
        "certificate_serials": "an index of certificates, which are told themselves",
        "certificate_use": "sums over portions that are retired, which is told itself",
        "alone_sum": "sums of changes that one person made, which are told themselves",
        "spend": "lines of a claim, which is told itself",
    }
)
"""Kinds of documents of which the audit does not tell, and why."""


def told(kind: str, doc: Mapping[str, object] | None) -> dict[str, object] | None:
    """Return what the audit may keep of a registry document of that kind."""
    if doc is None:
        return None
    secret = _SECRET | _SECRET_OF.get(kind, frozenset())
    return {name: HIDDEN if name in secret and value else value for name, value in doc.items()}


def told_of_lot(lot: Lot, txn: Txn) -> dict[str, object]:
    """Return what the audit keeps of a lot that is opened: its terms, and what filled it."""
    return {**told_of_terms(lot), **told_of_txn(txn)}


def told_of_terms(lot: Lot) -> dict[str, object]:
    """Return what the audit keeps of a lot: its terms, which people change, not its balances."""
    balances = {"posted_micro", "held_micro"} | (set() if lot.clawed else {"clawed"})
    return {name: each for name, each in _document(lot).items() if name not in balances}


def told_of_period(period: Period) -> dict[str, object]:
    """Return what the audit keeps of a billing period."""
    return _document(period)


def told_of_kept(kept: Kept) -> dict[str, object]:
    """Return what the audit keeps of a record of use that a person decides on."""
    return _document(kept)


def told_of_txn(txn: Txn) -> dict[str, object]:
    """Return what the audit keeps of a transaction."""
    more = {"reason": txn.reason, "reverses": txn.reverses}
    return {
        "txn": txn.id,
        "kind": txn.kind,
        "project": txn.project,
        "cause": txn.cause,
        "entries": [[entry.account, entry.amount_micro] for entry in txn.entries],
        **{name: text for name, text in more.items() if text},
    }


def _document(shape: Lot | Period | Kept) -> dict[str, object]:
    doc = to_document(shape)
    assert isinstance(doc, dict)  # noqa: S101 - a dataclass is a document
    return doc


def _text(doc: Mapping[str, object] | None) -> str:
    return "" if doc is None else canonical(doc).decode()


def _nested(text: str) -> object:
    if not text:
        return None
    try:
        doc: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return doc if canonical(doc).decode() == text else text

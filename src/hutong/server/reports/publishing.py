"""Published reports: numbered without gaps, signed, never changed. A correction is a new edition."""

from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hutong.adapters.identity.vault import Vault
from hutong.core.book.store import Record, Store
from hutong.core.kernel.chain import canonical
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.server.registry import document, load, read
from hutong.wire import reports as w
from hutong.wire.base import rfc3339

EDITION = "report"
BODY = "report_body"
_COUNTER = "report_counter"
_REPLACED = "report_replaced"
_CONTEXT = "reports/ed25519/1"
_TRIES = 20
_REQUEST = "report_request"


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a published report."""

    text: str


@dataclass(frozen=True, slots=True)
class Count:
    """How many reports were published in a year."""

    count: int


@dataclass(frozen=True, slots=True)
class Request:
    """Which edition a request with an idempotency key made, and of what it was."""

    number: str
    digest: str


@dataclass(frozen=True, slots=True)
class Later:
    """Which edition corrects another."""

    number: str


def digest_of(wish: w.NewPublication, kind: str) -> str:
    """Return a digest of what is to be published."""
    return sha256(canonical([kind, wish.model_dump(mode="json")])).hexdigest()


def signer_of(vault: Vault) -> Ed25519PrivateKey:
    """Return the key that signs reports; it follows from that of the vault, so whoever has that has it."""
    return Ed25519PrivateKey.from_private_bytes(vault.derive(_CONTEXT))


def public_key_of(signer: Ed25519PrivateKey) -> str:
    """Return the public key in hex."""
    return signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def publish(
    store: Store, vault: Vault, report: w.Report, wish: w.NewPublication, request: str, now_ms: int
) -> w.Publication:
    """Freeze and sign a report under the next number of its year, with the counter in one transaction.

    An edition is corrected once; what corrects it may be corrected in turn. `request` names the request, if
    not empty: its repeat makes no other edition.
    """
    year, digest = report.made[:4], digest_of(wish, report.kind)
    for left in reversed(range(_TRIES)):
        made_before = repeated(store, request, wish, report.kind)
        if made_before is not None:
            return made_before
        if wish.replaces is not None:
            _check_replaced(store, wish.replaces, report)
        counter = store.get(_COUNTER, year)
        count = (read(Count, counter).count if counter else 0) + 1
        made = _signed(signer_of(vault), f"{year}-{count:06d}", report, wish, now_ms)
        writes: list[tuple[Record, int | None]] = [
            (Record(_COUNTER, year, document(Count(count))), counter.version if counter else 0),
            (Record(EDITION, made.edition.number, made.edition.model_dump()), 0),
            (Record(BODY, made.edition.number, document(Body(made.body))), 0),
        ]
        if wish.replaces is not None:
            writes.append((Record(_REPLACED, wish.replaces, document(Later(made.edition.number))), 0))
        if request:
            writes.append((Record(_REQUEST, request, document(Request(made.edition.number, digest))), 0))
        try:
            store.put_all(writes)
        except Conflict:  # somebody took the number, the edition or the request: look again
            if not left:
                raise
        else:
            return made
    raise AssertionError


def repeated(store: Store, request: str, wish: w.NewPublication, kind: str) -> w.Publication | None:
    """Return what the request made before; raises Conflict if it was another wish."""
    there = store.get(_REQUEST, request) if request else None
    if there is None:
        return None
    found = read(Request, there)
    if found.digest != digest_of(wish, kind):
        raise Conflict("key_reused", "this idempotency key was used for another publication")
    return publication(store, found.number)


def _check_replaced(store: Store, number: str, report: w.Report) -> None:
    before = edition(store, number)
    if (before.kind, before.start, before.end) != (report.kind, report.start, report.end):
        problem = Problem("/replaces", f"{number} is of another kind or span", "the same kind, start and end")
        raise Refused("contradiction", problem.message, (problem,))
    later = store.get(_REPLACED, number)
    if later is not None:
        raise Conflict("replaced", f"{number} is corrected by {read(Later, later).number} already: name that")


def _signed(
    signer: Ed25519PrivateKey, number: str, report: w.Report, wish: w.NewPublication, now_ms: int
) -> w.Publication:
    published = rfc3339(now_ms)
    whole = {
        "number": number,
        "replaces": wish.replaces or "",
        "note": wish.note,
        "published": published,
        "report": report.model_dump(mode="json"),
    }
    body = canonical(whole)
    made = w.Edition(
        number=number,
        kind=report.kind,
        start=report.start,
        end=report.end,
        replaces=wish.replaces or "",
        note=wish.note,
        published=published,
        digest=f"sha256:{sha256(body).hexdigest()}",
        public_key=public_key_of(signer),
        signature=signer.sign(body).hex(),
    )
    return w.Publication(edition=made, body=body.decode())


def edition(store: Store, number: str) -> w.Edition:
    """Return what there is to know of a published report; raises NotFound."""
    record = store.get(EDITION, number)
    if record is None:
        raise NotFound("not_found", f"there is no published report {number!r}")
    return w.Edition.model_validate(record.doc)


def publication(store: Store, number: str) -> w.Publication:
    """Return a published report; raises NotFound."""
    found = edition(store, number)
    return w.Publication(edition=found, body=load(store, BODY, number, Body).text)

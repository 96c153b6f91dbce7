"""Who may open a job's own pages: one-time tickets for the address line, and visits that a cookie stands for.

Both are secrets known here by digest only, bound to one job and one person. What the person may do is asked
anew while the visit lasts: a membership that ends, ends it.
"""

import os
from dataclasses import dataclass

from hutong.adapters.identity.tokens import digest_secret
from hutong.core.accounts.registry import Person
from hutong.core.accounts.roles import Principal
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Denied
from hutong.server.people import principal_of_person
from hutong.server.registry import document, read
from hutong.server.suspensions import suspended

OPEN = "job.open"
ENTER = "/.hutong/enter"
TICKET_MS = 60_000
VISIT_MS = 12 * 3_600_000
_TICKET, _VISIT = "ticket", "visit"
_SWEPT_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Leave:
    """A ticket or a visit: who, to which job, and until when."""

    job: str
    person: str
    expires_ms: int


def issue_ticket(store: Store, job: str, person: str, now_ms: int) -> str:
    """Return a secret that opens the job's pages once, within a minute, in the person's name."""
    return _issue(store, _TICKET, Leave(job, person, now_ms + TICKET_MS), now_ms)


def swap_ticket(store: Store, ticket: str, job: str, now_ms: int) -> str:
    """Return the secret of a visit for a ticket, which is then used up; raises Denied."""
    digest = digest_secret(ticket)
    record = store.get(_TICKET, digest)
    leave = read(Leave, record) if record is not None else None
    # The removal decides between two who come with the same ticket.
    if leave is None or leave.job != job or not store.remove(_TICKET, digest) or leave.expires_ms <= now_ms:
        raise Denied("bad_ticket", "this link was used already, or is too old; open the job again")
    return _issue(store, _VISIT, Leave(job, leave.person, now_ms + VISIT_MS), now_ms)


def visitor(store: Store, secret: str, job: str, now_ms: int) -> Principal | None:
    """Return who visits the job with this secret, as what they are now; None for no good secret."""
    record = store.get(_VISIT, digest_secret(secret))
    leave = read(Leave, record) if record is not None else None
    if leave is None or leave.job != job or leave.expires_ms <= now_ms or suspended(store, leave.person):
        return None
    person = store.get("person", leave.person)
    return principal_of_person(store, read(Person, person), now_ms) if person is not None else None


def may_open(principal: Principal, row: JobRow) -> bool:
    """True if the principal may look into the job: people of its project, and nobody else."""
    return not principal.site and principal.may(OPEN, row.project)


def _issue(store: Store, kind: str, leave: Leave, now_ms: int) -> str:
    for record in store.records(kind, leave.job, "", _SWEPT_AT_ONCE):
        if read(Leave, record).expires_ms <= now_ms:
            store.remove(kind, record.id)
    secret = os.urandom(32).hex()
    store.put(Record(kind, digest_secret(secret), document(leave), leave.job), expect=0)
    return secret

"""Which records of a kind, grouped by project, a caller may see: one page of them."""

from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.server.api.access import require, sees_all
from hutong.server.api.paging import Paging
from hutong.server.services import Services


def visible_records(
    here: Services, principal: Principal, permission: str, kind: str, project: str | None, pages: Paging
) -> tuple[Record, ...]:
    """Return records in order of their ids, one more than the page takes.

    Those of `project` where it is given (NotFound if it is not the caller's to see), else of all of theirs.
    """
    if project is not None:
        require(principal, permission, project, f"project {project!r}")
        return here.store.records(kind, project, pages.after, pages.limit + 1)
    if sees_all(principal, permission):
        return here.store.records(kind, "", pages.after, pages.limit + 1)
    mine = sorted(principal.projects_with(permission))
    found: list[Record] = []
    for name in mine:
        found += here.store.records(kind, name, pages.after, pages.limit + 1)
    return tuple(sorted(found, key=lambda record: record.id)[: pages.limit + 1])

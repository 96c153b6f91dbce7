"""What a token may be narrowed to, and when each was last used."""

import contextlib
from collections.abc import Collection

from hutong.core.accounts.registry import Token
from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Denied, Later, Problem, Refused

USE_KIND = "token_use"
NOTED_EVERY_MS = 600_000


def check_scopes(me: Principal, scopes: Collection[str], known: Collection[str]) -> None:
    """Raise Refused for a scope that is no permission there, Denied for one that the caller's token lacks."""
    for index, scope in enumerate(scopes):
        if scope not in known:
            problem = Problem(
                f"/scopes/{index}", f"{scope!r} cannot be given", f"some of {', '.join(sorted(known))}"
            )
            raise Refused("unknown_scope", f"{scope!r} is not a permission that can be given", (problem,))
    if me.scopes and (not scopes or not me.scopes.issuperset(scopes)):
        raise Denied("forbidden", "a token cannot make one that may do more than itself")


def note_use(store: Store, token: Token, parent: str, now_ms: int) -> None:
    """Note that a token is in use, to ten minutes; whatever keeps it from being noted does not matter."""
    with contextlib.suppress(Later, Conflict):
        before = store.get(USE_KIND, token.id)
        if before is None or now_ms - _at(before) >= NOTED_EVERY_MS:
            store.put(Record(USE_KIND, token.id, {"at_ms": now_ms}, parent))


def last_uses(store: Store, parent: str, after: str, limit: int) -> dict[str, int]:
    """Return when tokens were last used, by id, for a page of an owner's tokens."""
    return {row.id: _at(row) for row in store.records(USE_KIND, parent, after, limit)}


def _at(record: Record) -> int:
    at_ms = record.doc["at_ms"]
    return at_ms if isinstance(at_ms, int) else 0

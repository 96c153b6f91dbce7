"""People who may not sign in now: nothing of theirs opens anything until that is lifted."""

from hutong.core.accounts.scim_users import Suspension
from hutong.core.book.store import Record, Store
from hutong.server.registry import document

KIND = "suspension"


def suspended(store: Store, person: str) -> bool:
    """True while a person may not sign in."""
    return store.get(KIND, person) is not None


def suspend(store: Store, person: str, by: str, now_ms: int) -> None:
    """Keep a person out from now on; their tokens are refused before they are removed."""
    if not suspended(store, person):
        store.put(Record(KIND, person, document(Suspension(person, by, now_ms)), by))


def lift(store: Store, person: str) -> None:
    """Let a person in again; what they had was removed and does not come back."""
    store.remove(KIND, person)

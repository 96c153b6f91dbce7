"""Calls in the registry: programmes, rounds, and the money of a round under its one guard."""

from collections.abc import Callable

from hutong.core.accounts.calls import Call
from hutong.core.book.store import Store
from hutong.server.registry import amend, load

KIND = "call"


def load_call(store: Store, call: str) -> Call:
    """Return a call; raises NotFound."""
    return load(store, KIND, call, Call)


def change_call(store: Store, call: str, change: Callable[[Call], Call]) -> Call:
    """Change a call in one guarded write; what `change` raises leaves it as it was."""
    return amend(store, KIND, call, Call, change)[0]

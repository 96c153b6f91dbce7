"""The verbs of a resource as an attribute of a client, loaded when they are first asked for."""

from importlib import import_module
from typing import Generic, Self, TypeVar, overload

Verbs = TypeVar("Verbs")


class Resource(Generic[Verbs]):
    """Gives a client its group of verbs; `path` names it within this package, as in `sites.Sites`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: object, owner: type) -> Verbs: ...
    def __get__(self, client: object, owner: type) -> Self | Verbs:
        """Return the group of this client, made on its first use and kept among its attributes."""
        if client is None:
            return self
        module, _, name = self.path.partition(".")
        made: Verbs = getattr(import_module(f"hutong.clients.sdk.{module}"), name)(client)
        vars(client)[self._name] = made
        return made

"""Hutong: one public AI computing service over many computing centres."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hutong.clients.sdk.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> object:
    """Load the client when it is first asked for, so that importing a part of hutong costs only that part."""
    if name in __all__:
        from importlib import import_module

        value: object = getattr(import_module("hutong.clients.sdk.client"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

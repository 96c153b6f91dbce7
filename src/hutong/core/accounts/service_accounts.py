"""Service accounts: programs that act in one project, owned by the project and by no person."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A program that may do in its project what a member may; it outlives whoever made it."""

    project: str
    name: str
    title: str
    made_by: str
    made_ms: int


def account_id(project: str, name: str) -> str:
    """Return the id of a service account in the registry."""
    return f"{project}/{name}"


def principal_id(project: str, name: str) -> str:
    """Return who a service account is wherever people are named: no person's id has a colon."""
    return f"service:{project}/{name}"

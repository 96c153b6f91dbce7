"""Conflicts of interest: why somebody may neither review nor decide on an application."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hutong.core.kernel.errors import Denied


@dataclass(frozen=True, slots=True)
class Interest:
    """Whom an application concerns: its institution, those related to it now, the people of its project.

    `declared` maps people onto the conflict that they named themselves.
    """

    institution: str
    related: Collection[str]
    people: Collection[str]
    declared: Mapping[str, str]


def conflict_of(person: str, institution: str, interest: Interest) -> str:
    """Return why a person of an institution is not impartial, or an empty string."""
    if person in interest.people:
        return "is a member of the project, or applied for it"
    if institution == interest.institution:
        return f"belongs to the applicant's institution, {institution}"
    if institution in interest.related:
        return f"belongs to {institution}, a related party of {interest.institution}"
    if person in interest.declared:
        return f"declared a conflict: {interest.declared[person]}"
    return ""


def check_impartial(person: str, institution: str, interest: Interest) -> None:
    """Raise Denied (`conflict_of_interest`) with the reason if somebody is not impartial."""
    if why := conflict_of(person, institution, interest):
        raise Denied("conflict_of_interest", f"{person} {why}")

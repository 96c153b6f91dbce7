"""What main gives the commands, which know only the wire: rules and facts of the core, places of files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hutong.clients.sdk.importers.draft import Card

JobCheck = Callable[[Mapping[str, Any]], None]
Catalogue = Callable[[], "Sequence[Card]"]


def accept(document: Mapping[str, Any]) -> None:
    """Leave every check to the platform."""


def no_cards() -> "Sequence[Card]":
    """Know of no card: a file that names none is refused then."""
    return ()


check_job: JobCheck = accept
"""Refuses a job's document by what it means."""
catalogue: Catalogue = no_cards
"""Lists the cards there are."""
scenarios: Callable[[str], Path] = Path
"""Where a scenario's files are."""

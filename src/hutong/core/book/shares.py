"""What somebody has used lately: card-milliseconds, of which half are forgotten with every half-life."""

from collections.abc import Mapping

from hutong.core.kernel.ids import ProjectId

HALF_LIFE_MS = 7 * 86_400_000


def of_project(project: str) -> str:
    """Return the name under which a project's use is kept."""
    return f"project/{project}"


def of_institution(institution: str) -> str:
    """Return the name under which an institution's use is kept."""
    return f"institution/{institution}"


def names(projects: Mapping[ProjectId, str]) -> list[str]:
    """Return the names of projects and of their institutions (project -> institution, empty for none)."""
    owners = {of_institution(each) for each in projects.values() if each}
    return sorted({of_project(each) for each in projects} | owners)


def decayed(card_ms: int, elapsed_ms: int, half_life_ms: int = HALF_LIFE_MS) -> int:
    """Return what is left of a use after a time: halved for each half-life, and in proportion in between.

    A clock that went back changes nothing.
    """
    if elapsed_ms <= 0:
        return card_ms
    halves, rest_ms = divmod(elapsed_ms, half_life_ms)
    return (card_ms >> halves) * (2 * half_life_ms - rest_ms) // (2 * half_life_ms) if halves < 63 else 0

"""The tree of commands for tests that walk it: what is loaded late is loaded."""

from typing import Any

from hutong.clients.cli.late import Late


def commands_of(group: Any) -> dict[str, Any]:
    """Return the commands and groups of a group by name; of a command, none."""
    return {
        name: each.load() if isinstance(each, Late) else each
        for name, each in getattr(group, "commands", {}).items()
    }

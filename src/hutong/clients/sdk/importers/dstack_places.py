"""Where the keys of a dstack file stand, so that each note and each fault names its line."""

from collections.abc import Mapping
from dataclasses import dataclass

from hutong.clients.sdk.importers.draft import Draft
from hutong.clients.sdk.yaml_tree import Position
from hutong.core.kernel.pointers import parent


@dataclass(frozen=True, slots=True)
class Places:
    """A dstack file as read, and the draft of the job that is made of it. Paths are JSON pointers."""

    document: Mapping[str, object]
    positions: Mapping[str, Position]
    draft: Draft

    def line(self, path: str) -> int:
        """Return the line of a pointer, or of what contains it."""
        while path and path not in self.positions:
            path = parent(path)
        return self.positions[path].line if path in self.positions else 1

    def refuse(self, path: str, message: str, hint: str) -> None:
        """Note something that keeps the file from becoming a job."""
        self.draft.refuse(self.line(path), message, hint, path)

    def same(self, path: str, message: str) -> None:
        """Say that a key was carried over."""
        self.draft.same(self.line(path), _source(path), message)

    def changed(self, path: str, message: str) -> None:
        """Say that a key was carried over, but means another thing now."""
        self.draft.changed(self.line(path), _source(path), message)

    def note_same(self, path: str, source: str, message: str) -> None:
        """Say under a name of its own that something was carried over."""
        self.draft.same(self.line(path), source, message)

    def note_changed(self, path: str, source: str, message: str) -> None:
        """Say under a name of its own that something was carried over with another meaning."""
        self.draft.changed(self.line(path), source, message)

    def note_left_out(self, path: str, source: str, message: str) -> None:
        """Say under a name of its own that something was left out, and what to do instead."""
        self.draft.left_out(self.line(path), source, message)


def _source(path: str) -> str:
    return path.removeprefix("/").replace("/", ".")

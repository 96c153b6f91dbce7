"""Commands that are loaded when they are called; before that a name, a panel and a line of help are known."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from hutong.core.kernel.errors import Broken


class Late(TyperCommand):
    """Stands for a command or a group in the list of commands; its callback loads the real one."""

    def load(self) -> Any:  # noqa: ANN401 - typer keeps its commands private
        """Return the real command or group."""
        if self.callback is None:
            raise Broken(f"{self.name} was not added by add_late")
        return self.callback().commands[self.name]

    def make_context(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - typer keeps its context private
        """Hand over to the real command: a call, its help and its completion all begin here."""
        return self.load().make_context(*args, **more)


def add_late(
    app: typer.Typer, panel: str, lines: Mapping[str, str], add_to: Callable[[typer.Typer], None]
) -> None:
    """Add commands by their names and lines of help; `add_to` adds the real ones once any is called."""

    @cache
    def load() -> TyperGroup:
        made = typer.Typer(rich_markup_mode="rich")
        add_to(made)
        return typer.main.get_group(made)

    for name, line in lines.items():
        app.command(name, cls=Late, help=line, rich_help_panel=panel)(load)

"""What the audience sees: numbered steps with their times, and claims checked before they are made."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text


class Untrue(Exception):
    """The demonstration was about to say something that does not hold."""


def expect(holds: object, what: str) -> None:
    """Raise Untrue unless it holds: nothing is shown that was not checked on data."""
    if not holds:
        raise Untrue(what)


class Stage:
    """The screen of the demonstration, and its clock."""

    def __init__(self) -> None:
        self.screen = Console(markup=False, highlight=False)
        self._times: list[tuple[str, float]] = []
        self._began_s = time.monotonic()

    @contextmanager
    def step(self, number: int, title: str) -> Iterator[None]:
        """Announce a step, and say how long it took."""
        self.screen.print()
        self.screen.print(Rule(Text(f" {number}  {title} ", "bold"), align="left", style="cyan"))
        began_s = time.monotonic()
        yield
        took_s = time.monotonic() - began_s
        self._times.append((f"{number}  {title}", took_s))
        self.screen.print(Text(f"{took_s:.1f} s", "dim"), justify="right")

    def say(self, text: str, style: str = "") -> None:
        """Say a line."""
        self.screen.print(Text(text, style), soft_wrap=False)

    def show(self, text: str) -> None:
        """Say something that was checked."""
        self.screen.print(Text.assemble(("✔ ", "bold green"), text))

    def times(self) -> None:
        """Print how long each step took."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column()
        table.add_column(justify="right")
        for title, took_s in self._times:
            table.add_row(title, f"{took_s:6.1f} s")
        table.add_row(Text("all", "bold"), Text(f"{time.monotonic() - self._began_s:6.1f} s", "bold"))
        self.screen.print()
        self.screen.print(table)

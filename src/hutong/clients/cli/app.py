"""The command line: every command of a user and of an operator; main adds those that run the platform."""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer

from hutong.clients.cli.frame import Frame
from hutong.clients.cli.late import add_late
from hutong.clients.cli.listing import PARTS


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hutong {version('hutong')}")
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    """Hutong: one public AI computing service over many computing centres.

    Begin with `hutong up` (a platform on this machine) and `hutong login`. Exit codes: 0 done, 1 a failed job
    or a platform in trouble, 2 something to change on your side, 130 Ctrl-C.
    """


def make_cli() -> typer.Typer:
    """Return the command line. No command's module is loaded before one of its commands is called."""
    app = typer.Typer(
        name="hutong",
        cls=Frame,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for part in PARTS:
        add_late(app, part.panel, part.lines, adder_of(part.module))
    return app


def adder_of(module: str) -> Callable[[typer.Typer], None]:
    """Return what loads a module of this package and adds all its commands."""

    def add_to(app: typer.Typer) -> None:
        import_module(f"hutong.clients.cli.{module}").add_to(app)

    return add_to

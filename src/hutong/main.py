"""The composition root: the command line, and the processes of the platform."""

import json
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hutong.clients.cli.app import make_cli
from hutong.config import Settings, now_ms

DataOption = Annotated[
    Path | None, typer.Option("--data", help="The data folder; else $HUTONG_DATA, else ~/.local/share/hutong.")
]
HostOption = Annotated[str | None, typer.Option("--host", help="Where to listen; else 127.0.0.1.")]
PortOption = Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="The API's port; 0: any free one.")]
_GRACE_S = 2

cli = make_cli()
_agent = typer.Typer(help="The process at a centre.", no_args_is_help=True)
_db = typer.Typer(help="The platform's store.", no_args_is_help=True)
cli.add_typer(_agent, name="agent", rich_help_panel="Platform")
cli.add_typer(_db, name="db", rich_help_panel="Platform")


def _services(settings: Settings) -> "Any":
    from hutong.adapters.telemetry.logs import configure_logs
    from hutong.server.policies import load_rules
    from hutong.server.services import open_services
    from hutong.server.up import die_with_parent

    die_with_parent()
    configure_logs(settings.log_level)
    return open_services(settings, load_rules(settings.policies))

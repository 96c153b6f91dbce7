"""The composition root: the command line, and the processes of the platform."""

import gc
import os
import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hutong.clients.cli import given
from hutong.clients.cli.app import make_cli
from hutong.clients.cli.late import add_late

# What a command does not need is imported by the command that does: `hutong jobs` must not load a server.
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.types import ASGIApp

    from hutong.clients.sdk.importers.draft import Card
    from hutong.config import Settings
    from hutong.core.capacity.sites import Site
    from hutong.core.placement.request import Policy
    from hutong.server.services import Services

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder; else $HUTONG_HOME, else ~/.local/share/hutong."),
]
HostOption = Annotated[str | None, typer.Option("--host", help="Where to listen; else 127.0.0.1.")]
PortOption = Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="0: any free port.")]


class Part(StrEnum):
    """A process of the platform."""

    API = "api"
    LOOP = "loop"
    GATEWAY = "gateway"


def _check_job(document: Mapping[str, object]) -> None:
    from hutong.core.capacity.accelerators import ACCELERATORS, model_of
    from hutong.core.work.check import Catalogue, check_spec

    check_spec(document, Catalogue(model_of, tuple(ACCELERATORS)))


def _catalogue() -> "tuple[Card, ...]":
    from hutong.clients.sdk.importers.draft import Card
    from hutong.core.capacity.accelerators import ACCELERATORS

    return tuple(Card(card.model, card.vendor, card.memory_bytes) for card in ACCELERATORS.values())


cli = make_cli()
_agent = typer.Typer(help="The process at a centre.", no_args_is_help=True)
_db = typer.Typer(help="The platform's store.", no_args_is_help=True)


@cli.command(rich_help_panel="Platform")
def serve(part: Part, data: DataOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Run one process of the platform until SIGTERM; `hutong up` runs them all.

    Example: hutong serve api --data ./data
    """
    from hutong.server.parent import die_with_parent

    die_with_parent()
    settings = _settings(data, host, port, part)
    with _services(settings) as services:
        match part:
            case Part.API:
                _listen(_make_site(services), settings.api_host, settings.api_port)
            case Part.GATEWAY:
                from hutong.server.gateway.app import make_gateway

                _listen(
                    make_gateway(services), settings.gateway_host, settings.gateway_port, "websockets-sansio"
                )
            case Part.LOOP:
                from hutong.config import new_ulid
                from hutong.server.heap import settle
                from hutong.server.loop import run_loop
                from hutong.server.metering import limits_of
                from hutong.server.policies import load_reclaim

                settle()
                holder = f"{socket.gethostname()}-{os.getpid()}-{new_ulid()}"
                run_loop(
                    services.store,
                    services.rules,
                    services.clock,
                    holder,
                    _ended_by_signal(),
                    limits_of(services.settings),
                    lambda: load_reclaim(settings.policies),
                    settings.zone,
                )


def _settings(data: Path | None, host: str | None, port: int | None, part: Part = Part.API) -> "Settings":
    from hutong.config import Settings

    name = "gateway" if part is Part.GATEWAY else "api"
    return Settings.load(data, os.environ, **{f"{name}_host": host, f"{name}_port": port})


@contextmanager
def _services(settings: "Settings") -> "Iterator[Services]":
    from hutong.adapters.telemetry.logs import configure_logs
    from hutong.server.policies import load_rules
    from hutong.server.services import open_services
    from hutong.server.subsidies.programmes import load_programmes

    configure_logs(settings.log_level)
    programmes = load_programmes(settings.policies / "subsidies")
    rules = load_rules(settings.policies, settings.backfill, settings.run_lengths)
    services = open_services(settings, rules, programmes)
    try:
        yield services
    finally:
        services.close()


def _make_site(services: "Services") -> "ASGIApp":
    """Return the API with the portal on every path that is not the API's."""
    from hutong.clients.portal.app import make_portal
    from hutong.clients.portal.inprocess import InProcess
    from hutong.server.api.app import make_app

    app = make_app(services)
    app.mount("/", make_portal(InProcess(app)))
    return app


def _listen(app: "ASGIApp", host: str, port: int, ws: Literal["none", "websockets-sansio"] = "none") -> None:
    import uvicorn

    from hutong.server.heads import BoundedHeads

    # What is loaded by now lives to the end. Walking it in each full collection held requests up by 100 ms.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app, host=host, port=port, loop="uvloop", http=BoundedHeads, log_config=None, access_log=False,
        server_header=False, timeout_graceful_shutdown=2, ws=ws, ws_per_message_deflate=False,
        ws_max_size=32 << 20, ws_ping_timeout=300.0,
    )  # fmt: skip


def _ended_by_signal() -> threading.Event:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended


@_agent.command("run")
def run_an_agent(
    config: Annotated[
        Path, typer.Option("--config", help="Its TOML file: site, url, token, root and engine.")
    ],
) -> None:
    """Run a centre's agent until SIGTERM; its jobs go on running.

    Example: hutong agent run --config agent.toml
    """
    from hutong.adapters.telemetry.logs import configure_logs
    from hutong.agent.config import read_agent
    from hutong.agent.run import run_agent
    from hutong.server.parent import die_with_parent

    die_with_parent()
    configure_logs(os.environ.get("HUTONG_LOG_LEVEL", "INFO"))
    run_agent(read_agent(config))


@_db.command("migrate")
def migrate_db(data: DataOption = None) -> None:
    """Bring the store's schema up to this release.

    Example: hutong db migrate --data ./data
    """
    from hutong.adapters.store.open import migrate
    from hutong.clients.cli.terminal import say
    from hutong.config import Settings

    settings = Settings.load(data)
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate(settings.database_url)
    say("the store is up to date")


@cli.command(rich_help_panel="Platform")
def up(
    data: DataOption = None,
    host: HostOption = None,
    port: PortOption = None,
    gateway_port: Annotated[int | None, typer.Option("--gateway-port", min=0, max=65_535)] = None,
    scenario: Annotated[str, typer.Option("--scenario", help="Also its sites, with their agents here.")] = "",
    stop_jobs: Annotated[bool, typer.Option("--stop-jobs", help="Cancel live jobs at the end.")] = False,
    login: Annotated[bool, typer.Option("--login", help="Sign you in as the operator.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line when all is up.")] = False,
) -> None:
    """Run a whole platform on this machine until Ctrl-C. Jobs go on, and the next `hutong up` adopts them.

    Example: hutong up --data ./data --scenario demo
    """
    from hutong.adapters.telemetry.logs import configure_logs
    from hutong.config import Settings
    from hutong.server.founding import found_operator, hold_folder, settle_ports
    from hutong.server.parent import die_with_parent
    from hutong.up import keep_up

    ended = _ended_by_signal()
    die_with_parent()
    told = {"api_host": host, "gateway_host": host, "api_port": port, "gateway_port": gateway_port}
    settings = Settings.load(data, os.environ, **told)
    with hold_folder(settings.data), (settings.data / "logs" / "up.log").open("a", encoding="utf-8") as log:
        configure_logs(settings.log_level, log)
        settings = settle_ports(settings, told)
        operator = found_operator(settings)
        folder = _scenario(scenario) if scenario else None
        keep_up(settings, operator, ended, folder, stop_jobs=stop_jobs, login=login, as_json=as_json)


def _sites_of(scenario: str) -> "list[Site]":
    from hutong.clients.cli.scenario import read_scenario
    from hutong.server.api.shapes.sites import read_site

    return [read_site(each) for each in read_scenario(_scenario(scenario))]


def _scenario(name: str) -> Path:
    from hutong.config import data_folder

    return data_folder("scenarios") / name


def _policies_of(names: "Sequence[str]") -> "list[Policy]":
    from hutong.config import data_folder
    from hutong.server.policies import choose_policies

    return choose_policies(names, data_folder("policies") / "placement")


def _add_capacity(app: typer.Typer) -> None:
    from hutong.clients.cli import capacity_commands
    from hutong.sim import mix_commands

    capacity_commands.add_to(app)
    mix_commands.add_to(capacity_commands.group)


def _add_simulate(app: typer.Typer) -> None:
    from hutong.sim import commands

    commands.add_to(app, _sites_of, _policies_of)


def _add_plan(app: typer.Typer) -> None:
    from hutong.sim.plan import commands

    commands.add_to(app, _sites_of, _policies_of, _scenario)


def _add_moves(app: typer.Typer) -> None:
    from hutong.sim import moves_commands

    moves_commands.add_to(app)


def _add_agent(app: typer.Typer) -> None:
    from hutong.agent import commands

    commands.add_to(app)


given.check_job, given.catalogue, given.scenarios = _check_job, _catalogue, _scenario
add_late(
    cli, "Operators", {"capacity": "Computing power: figures, conversions, published totals."}, _add_capacity
)
add_late(
    cli,
    "Platform",
    {"simulate": "Simulate a trace with the code that places jobs live, and show what came of it."},
    _add_simulate,
)
add_late(
    cli,
    "Platform",
    {
        "plan": "Plan a city's capacity: what to add, where and when, at the least cost; proved in the "
        "simulator."
    },
    _add_plan,
)
add_late(
    cli,
    "Platform",
    {"moves": "Say which running tasks to move so that those that wait have room; nothing is moved."},
    _add_moves,
)
add_late(
    _agent,
    "",
    {
        "init": "Look at this machine or its cluster, and propose an agent's file and a registration to "
        "review.",
        "doctor": "Check everything an agent needs, and say how to mend what is wrong. Exit code 1 if "
        "anything is bad.",
        "key": "Print the public key with which this agent seals its reports, to be registered with the "
        "platform.",
        "release": "Let go of all that a retired agent holds in its cluster, so that it can be deleted.",
    },
    _add_agent,
)
cli.add_typer(_agent, name="agent", rich_help_panel="Platform")
cli.add_typer(_db, name="db", rich_help_panel="Platform")

if __name__ == "__main__":
    cli()

"""The composition root: the command line, and the processes of the platform."""

import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hutong.agent import commands as agent_commands
from hutong.clients.cli import capacity_commands, centre_commands
from hutong.clients.cli.app import make_cli
from hutong.clients.cli.terminal import say, show_json, warn
from hutong.config import Settings, address, data_folder, new_ulid, now_ms
from hutong.core.kernel.errors import HutongError, Later
from hutong.sim import commands as sim_commands
from hutong.sim import mix_commands
from hutong.sim.plan import commands as plan_commands

# What a command does not need is imported by the command that does: `hutong jobs` must not load a server.
if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from hutong.clients.sdk.client import Client
    from hutong.clients.sdk.importers.draft import Card
    from hutong.core.capacity.sites import Site
    from hutong.core.placement.request import Policy
    from hutong.server.founding import Operator
    from hutong.server.services import Services
    from hutong.server.up import Household

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder; else $HUTONG_HOME, else ~/.local/share/hutong."),
]
HostOption = Annotated[str | None, typer.Option("--host", help="Where to listen; else 127.0.0.1.")]
PortOption = Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="0: any free port.")]
STOP_JOBS_WITHIN_S = 45.0
START_WITHIN_S = 60.0
LIVE = ("ACCEPTED", "QUEUED", "PLACED", "DISPATCHED", "PENDING", "STARTING", "RUNNING", "FINISHING", "HELD")


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


cli = make_cli(_check_job, _catalogue)
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
                from hutong.server.loop import run_loop
                from hutong.server.metering import limits_of
                from hutong.server.policies import load_reclaim

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


def _settings(data: Path | None, host: str | None, port: int | None, part: Part = Part.API) -> Settings:
    name = "gateway" if part is Part.GATEWAY else "api"
    return Settings.load(data, os.environ, **{f"{name}_host": host, f"{name}_port": port})


@contextmanager
def _services(settings: Settings) -> "Iterator[Services]":
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

    # What is loaded by now lives to the end. Walking it in each full collection held requests up by 100 ms.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=2, ws=ws, ws_per_message_deflate=False, ws_max_size=32 << 20,
        ws_ping_timeout=300.0,
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
    run_agent(read_agent(config), now_ms)


@_db.command("migrate")
def migrate_db(data: DataOption = None) -> None:
    """Bring the store's schema up to this release.

    Example: hutong db migrate --data ./data
    """
    from hutong.adapters.store.open import migrate

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
    from hutong.server.founding import found_operator, hold_folder, settle_ports
    from hutong.server.parent import die_with_parent

    ended = _ended_by_signal()
    die_with_parent()
    given = {"api_host": host, "gateway_host": host, "api_port": port, "gateway_port": gateway_port}
    settings = Settings.load(data, os.environ, **given)
    with hold_folder(settings.data), (settings.data / "logs" / "up.log").open("a", encoding="utf-8") as log:
        configure_logs(settings.log_level, log)
        settings = settle_ports(settings, given)
        operator = found_operator(settings)
        _keep_up(settings, operator, ended, scenario, stop_jobs=stop_jobs, login=login, as_json=as_json)


def _keep_up(
    settings: Settings,
    operator: "Operator",
    ended: threading.Event,
    scenario: str,
    *,
    stop_jobs: bool,
    login: bool,
    as_json: bool,
) -> None:
    from hutong.clients.sdk.client import Client
    from hutong.server.up import Household

    told = {
        "api": address(settings.api_host, settings.api_port),
        "gateway": address(settings.gateway_host, settings.gateway_port),
    }
    household = Household(settings.data, told, ended)
    try:
        with Client(told["api"], operator.token, trials=1, timeout_s=5) as client:
            if not _start(household, settings, client, scenario):
                return
            if login:
                _log_in(told["api"], operator)
            _announce(told, settings, operator, client, as_json=as_json)
            while not ended.is_set():
                for name in household.tend():
                    warn(f"{name} died and is started again; its log is {household.log_of(name)}")
                ended.wait(0.2)
            warn("stopping ...")
            if stop_jobs:
                _stop_jobs(client)
    finally:
        household.stop()


def _start(household: "Household", settings: Settings, client: "Client", scenario: str) -> bool:
    """Start every process; False if asked to end meanwhile."""
    from hutong.clients.cli.scenario import enter, read_whole, write_agent_file

    folder, here = str(settings.data), settings
    wanted = read_whole(_scenario(scenario)) if scenario else None
    sites = wanted.sites if wanted else []
    household.add(
        "api", ("serve", "api", "--data", folder, "--host", here.api_host, "--port", str(here.api_port)), 3
    )
    household.add("loop", ("serve", "loop", "--data", folder), 2)
    gateway = ("--host", here.gateway_host, "--port", str(here.gateway_port))
    household.add("gateway", ("serve", "gateway", "--data", folder, *gateway), 2)
    if not household.wait(lambda: _answers(client), START_WITHIN_S, "the API did not answer"):
        return False
    for kept in enter(client, wanted) if wanted else ():
        warn(f"{kept} is there in another form than the scenario's; it stays as it is")
    for site in sites:
        home = settings.data / "sites" / site.id
        url = str(household.told["api"])
        config = write_agent_file(client, site.id, home, url, payload_bin())
        household.add(f"agent-{site.id}", ("agent", "run", "--config", str(config)), 1)
    return household.wait(
        lambda: _reached(client, {site.id for site in sites}), START_WITHIN_S, "a site did not call"
    )


def payload_bin() -> Path:
    """Return the `bin` folder of the software that jobs use: HUTONG_PAYLOAD_BIN, or the repository's."""
    told = os.environ.get("HUTONG_PAYLOAD_BIN")
    return Path(told) if told else Path(__file__).resolve().parents[2] / ".venv-payload" / "bin"


def _answers(client: "Client") -> bool:
    try:
        client.me()
    except Later:
        return False
    return True


def _reached(client: "Client", sites: "Iterable[str]") -> bool:
    wanted = set(sites)
    if not wanted:
        return True
    try:
        return wanted <= {site.id for site in client.sites.list() if site.reachable}
    except Later:
        return False


def _log_in(url: str, operator: "Operator") -> None:
    from hutong.clients.sdk.profile import Profile, save_profile

    path = save_profile(Profile(url, operator.token))
    warn(f"you are signed in as {operator.person}; the token is kept in {path}")


def _announce(
    told: dict[str, str], settings: Settings, operator: "Operator", client: "Client", *, as_json: bool
) -> None:
    sites = list(client.sites.list())
    if as_json:
        show_json(
            {**told, "data": str(settings.data), "operator": operator.person, "sites": [s.id for s in sites]}
        )
        return
    say(f"platform  {told['api']}  (portal and API)")
    say(f"gateway   {told['gateway']}/v1")
    say(f"data      {settings.data}")
    for site in sites:
        declared = ", cards declared" if site.declared_only else ""
        say(f"site      {site.id}  {site.name_zh}  {site.name_en}{declared}")
    if any(site.declared_only for site in sites):
        say("Cards are declared: the work runs on CPU processes here, and no speed shown is that of a card.")
    if operator.fresh and operator.password:
        kept = settings.data / "keys" / "admin.json"
        say(f"operator  {operator.person}, password {operator.password}  (shown once; kept in {kept})")
    say(f"sign in   hutong login {told['api']} --person {operator.person}")
    say("Ctrl-C stops the platform; jobs go on and the next `hutong up` adopts them.")


def _stop_jobs(client: "Client") -> None:
    """Cancel every live job and wait, bounded, until none is left."""
    deadline_s = time.monotonic() + STOP_JOBS_WITHIN_S
    asked: set[str] = set()
    try:
        while time.monotonic() < deadline_s:
            live = [job.id for job in client.jobs.list(state=LIVE)]
            if not live:
                return
            for job in live:
                if job not in asked:
                    client.jobs.cancel(job, "the platform stops")
                    asked.add(job)
            time.sleep(0.2)
        warn(f"{len(live)} jobs are still stopping; the next `hutong up` sees to them")
    except HutongError as error:
        warn(f"live jobs could not be stopped: {error}")


def _sites_of(scenario: str) -> "list[Site]":
    from hutong.clients.cli.scenario import read_scenario
    from hutong.server.api.shapes.sites import read_site

    return [read_site(each) for each in read_scenario(_scenario(scenario))]


def _scenario(name: str) -> Path:
    return data_folder("scenarios") / name


def _shipped_policies() -> "Mapping[str, Policy]":
    from hutong.server.policies import load_policies

    return load_policies(data_folder("policies") / "placement")


centre_commands.scenarios = _scenario
sim_commands.add_to(cli, _sites_of, _shipped_policies)
mix_commands.add_to(capacity_commands.group)
plan_commands.add_to(cli, _sites_of, _shipped_policies, _scenario)
agent_commands.add_to(_agent)
cli.add_typer(_agent, name="agent", rich_help_panel="Platform")
cli.add_typer(_db, name="db", rich_help_panel="Platform")

if __name__ == "__main__":
    cli()

"""`hutong up`: the processes of a whole platform on this machine, and what it says about itself."""

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hutong.clients.cli.scenario import enter, read_whole, write_agent_file
from hutong.clients.cli.terminal import say, show_json, warn
from hutong.clients.sdk.client import Client
from hutong.clients.sdk.profile import Profile, save_profile
from hutong.config import Settings, address
from hutong.core.kernel.errors import HutongError, Later
from hutong.server.founding import Operator
from hutong.server.up import Household

STOP_JOBS_WITHIN_S = 45.0
START_WITHIN_S = 60.0
LIVE = ("ACCEPTED", "QUEUED", "PLACED", "DISPATCHED", "PENDING", "STARTING", "RUNNING", "FINISHING", "HELD")


def keep_up(
    settings: Settings,
    operator: Operator,
    ended: threading.Event,
    scenario: Path | None,
    *,
    stop_jobs: bool,
    login: bool,
    as_json: bool,
) -> None:
    """Run the processes of a platform until `ended`, with the sites of the scenario in that folder."""
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


def _start(household: Household, settings: Settings, client: Client, scenario: Path | None) -> bool:
    """Start every process; False if asked to end meanwhile."""
    folder, here = str(settings.data), settings
    wanted = read_whole(scenario) if scenario else None
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


def _answers(client: Client) -> bool:
    try:
        client.me()
    except Later:
        return False
    return True


def _reached(client: Client, sites: Iterable[str]) -> bool:
    wanted = set(sites)
    if not wanted:
        return True
    try:
        return wanted <= {site.id for site in client.sites.list() if site.reachable}
    except Later:
        return False


def _log_in(url: str, operator: Operator) -> None:
    path = save_profile(Profile(url, operator.token))
    warn(f"you are signed in as {operator.person}; the token is kept in {path}")


def _announce(
    told: dict[str, str], settings: Settings, operator: Operator, client: Client, *, as_json: bool
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


def _stop_jobs(client: Client) -> None:
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

"""The agent as a process: a thread that listens to the platform, a loop that ticks, and a quiet end."""

import fcntl
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import structlog

from hutong.adapters.engines.base import Accounted, Engine
from hutong.adapters.engines.kubernetes.config import KubernetesConfig
from hutong.adapters.engines.ray.config import RayConfig
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.adapters.identity.signing import SigningKey
from hutong.agent.accounts import Accounts
from hutong.agent.card_counters import CardCounters
from hutong.agent.config import AgentConfig, EngineConfig
from hutong.agent.core import Agent
from hutong.agent.habits import steady_ms
from hutong.agent.hours import SEAL_KEY, Hours
from hutong.agent.link import Delivery, HttpLink
from hutong.agent.meters import Meters
from hutong.agent.spool import Spool
from hutong.agent.staging import Cache, Stager
from hutong.agent.tunnels import Tunnels
from hutong.config import now_ms
from hutong.core.kernel.errors import Broken, Denied, Later, Refused

_log = structlog.get_logger("hutong.agent")
_POLL_S = 20.0
_SOON_S = 0.05
_LIVE_S = 1.0
_WATCHED_AT_ONCE = 400
_LIVE_AT_ONCE = 200
_IDLE_S = 5.0
_WORKERS = 4


def open_engine(config: EngineConfig, clock: Callable[[], int]) -> Engine:
    """Return the engine that the configuration describes; the code of the others is not loaded."""
    match config:
        case SlurmConfig():
            from hutong.adapters.engines.slurm.engine import SlurmEngine

            return SlurmEngine(config, clock, steady_ms)
        case RayConfig():
            from hutong.adapters.engines.ray.engine import RayEngine

            return RayEngine(config, clock, steady_ms)
        case KubernetesConfig():
            from hutong.adapters.engines.kubernetes.engine import KubernetesEngine

            return KubernetesEngine(config, clock, steady_ms)
        case _:
            from hutong.adapters.engines.local.engine import LocalEngine

            return LocalEngine(config, clock)


def run_agent(
    config: AgentConfig, clock: Callable[[], int] = now_ms, ended: threading.Event | None = None
) -> None:
    """Work for the site until SIGTERM or SIGINT, or until `ended` is set; jobs go on running."""
    ended = ended or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
    config.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(config.root / "agent.lock", ended) as mine:
        if mine:
            _work(config, clock, ended)


def _work(config: AgentConfig, clock: Callable[[], int], ended: threading.Event) -> None:
    link = HttpLink(config.url, config.token, proxy=config.proxy, authorities=config.authorities)
    engine = open_engine(config.engine, clock)
    staging = ThreadPoolExecutor(_WORKERS, "staging")
    shipping = ThreadPoolExecutor(_WORKERS, "shipping")
    cache = Cache(config.cache, link, config.cache_most_bytes, offers=config.offers)
    stager = Stager(cache, staging)
    cards = CardCounters(config.counters, clock)
    agent = Agent(
        config.site,
        link,
        engine,
        Spool(config.root / "settled.jsonl"),
        clock,
        stager=stager,
        pool=shipping,
        name=f"{socket.gethostname()}:{os.getpid()}",
        habits=config.habits,
        offers=config.offers.names,
        without=config.without,
        accounts=Accounts(config.root / "accounts.json", link, engine, clock)
        if isinstance(engine, Accounted)
        else None,
        hours=Hours(
            config.root / "hours.json",
            link,
            config.site,
            SigningKey.open(config.root / SEAL_KEY),
            engine,
            clock,
            cards,
        ),
    )
    _log.info("agent began", site=config.site, isolation=engine.abilities.isolation, can=engine.abilities.can)
    inbox: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
    bell = threading.Event()
    tunnels = Tunnels(engine, config.url, config.token)
    listener = threading.Thread(
        target=_listen, args=(agent, config.site, inbox, bell, ended, tunnels), name="listen", daemon=True
    )
    listener.start()
    if config.meters:
        meters = Meters(config.root / "meters.json", link, config.meters, clock)
        threading.Thread(target=meters.run, args=(ended,), name="meters", daemon=True).start()
    if config.counters:
        threading.Thread(target=cards.run, args=(ended,), name="cards", daemon=True).start()
    try:
        _tick_on(agent, config.site, inbox, bell, ended, listener)
    finally:
        stager.close()
        staging.shutdown(wait=False, cancel_futures=True)
        shipping.shutdown(wait=False, cancel_futures=True)
        tunnels.close()
        link.close()
        _log.info("agent ended", site=config.site)


def _listen(
    agent: Agent,
    site: str,
    inbox: queue.SimpleQueue[Delivery],
    bell: threading.Event,
    ended: threading.Event,
    tunnels: Tunnels,
) -> None:
    """Long-poll for commands; each delivery goes to the loop at once, and calls for tunnels sooner."""
    pause_s = 0.2
    while not ended.is_set():
        try:
            delivery = agent.take(_POLL_S)
        except (Later, Refused) as error:
            if not ended.is_set():
                _log.warning("platform out of reach", site=site, why=str(error))
            pause_s = min(pause_s * 2, 60.0 if isinstance(error, Denied) else 10.0)
            ended.wait(pause_s)
            continue
        except RuntimeError:
            if ended.is_set():  # the line was closed under us
                return
            raise
        pause_s = 0.2
        tunnels.dig(delivery.dials)
        inbox.put(delivery)
        bell.set()


def _tick_on(
    agent: Agent,
    site: str,
    inbox: queue.SimpleQueue[Delivery],
    bell: threading.Event,
    ended: threading.Event,
    listener: threading.Thread,
) -> None:
    """Tick: at once when a delivery came, soon while things move, seldom while nothing does."""
    pause_s = _SOON_S
    while not ended.is_set():
        bell.clear()
        if not listener.is_alive():
            raise Broken("the agent hears the platform no more: its listener has ended")
        while not inbox.empty():
            agent.receive(inbox.get())
        moved = False
        try:
            moved = agent.tick()
        except (Later, OSError) as error:
            _log.warning("step put off", site=site, why=str(error))
        # A look at many costs more: then they are looked at less often, unless somebody reads their logs.
        at_once = _WATCHED_AT_ONCE if agent.watched else _LIVE_AT_ONCE
        often = min(max(_LIVE_S, agent.live / at_once), _IDLE_S)
        longest = often if agent.live or agent.busy else _IDLE_S
        # What moved a moment ago moves on soon: late by a fifth of what has passed since, no more.
        pause_s = _SOON_S if moved else min(pause_s * 1.25, longest)
        _wait_any(bell, ended, 0.0 if agent.hurries else pause_s)


def _wait_any(bell: threading.Event, ended: threading.Event, most_s: float) -> None:
    """Wait for the bell; a signal handler cannot ring it safely, so the end is looked at in between."""
    left_s = most_s
    while left_s > 0 and not ended.is_set():
        if bell.wait(min(left_s, 0.5)):
            return
        left_s -= 0.5


@contextmanager
def _alone(path: Path, ended: threading.Event) -> Iterator[bool]:
    """Hold the folder for one agent; a second one waits, and says so. False if told to end meanwhile."""
    with path.open("a") as file:
        said = False
        while not ended.is_set():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    _log.warning("another agent works in this folder; waiting for its end", path=str(path))
                    said = True
                ended.wait(0.5)
                continue
            yield True
            return
        yield False

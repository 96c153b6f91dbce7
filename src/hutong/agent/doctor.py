"""Checks of an agent before and while it works: what is seen, and how to mend what is not as it should be."""

import fcntl
import os
import socket
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from hutong.adapters.engines.attempt.checks import check_leftovers, check_space
from hutong.adapters.engines.inspection import Check, Inspector, bad, is_shared, kind_of, ok, warn
from hutong.agent.config import AgentConfig, read_agent
from hutong.agent.inspectors import inspector_of
from hutong.agent.link import HttpLink
from hutong.agent.meter_checks import check_meters
from hutong.agent.offers import Offers
from hutong.config import now_ms
from hutong.core.kernel.errors import Denied, Later, NotFound, Refused
from hutong.wire.agent import SiteOut
from hutong.wire.meters import Meter

SKEW_WARN_MS = 2_000
SKEW_BAD_MS = 30_000
_CONNECT_S = 10.0
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def examine(
    path: Path, *, quick: bool = False, wait_s: float = 60.0, clock: Callable[[], int] = now_ms
) -> Iterator[Check]:
    """Yield every check in turn; what makes the rest pointless ends it."""
    yield from _check_file(path)
    try:
        config = read_agent(path)
    except Refused as error:
        faults = "; ".join(f"{each.path} {each.message}" for each in error.problems) or error.message
        yield bad("configuration", faults, f"correct {path}; `hutong agent init` writes one from scratch")
        return
    yield ok("configuration", f"site {config.site}, {config.url}")
    yield from _check_token_file(path)
    yield _check_user()
    yield _check_log_level()
    checks, declared = _ask_platform(config, clock)
    yield from checks
    yield from _check_folder(config)
    yield from _check_offers(config.offers)
    yield from check_meters(config.meters, lambda: _meters_there(config, declared), config.site)
    inspector = inspector_of(config.engine, wait_s)
    yield from inspector.check(quick=quick)
    if declared is not None:
        yield from _check_cards(declared, inspector)


def _check_file(path: Path) -> Iterator[Check]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        yield bad("file", f"{path} cannot be read: {error}", "`hutong agent init` writes one")
        return
    if any(line.split("=")[0].strip() == "token" for line in text.splitlines()):
        yield _check_secrecy("file", path)
    else:
        yield ok("file", f"{path}, mode {path.stat().st_mode & 0o777:o}")


def _check_token_file(path: Path) -> Iterator[Check]:
    """Yield who may read the file of the token, if the configuration names one."""
    named = tomllib.loads(path.read_text(encoding="utf-8")).get("token_file")
    if named:
        yield _check_secrecy("token file", Path(named))


def _check_secrecy(name: str, path: Path) -> Check:
    """Return who may read a file with the token; a group may if the file is another's, as in Kubernetes."""
    found = path.stat()
    seen = f"{path} holds the token, mode {found.st_mode & 0o777:o}"
    if found.st_mode & 0o007:
        mend = f"chmod 600 {path}, then make a new token: `hutong site token`"
        return bad(name, f"{seen}: everybody on this machine may use it", mend)
    if found.st_mode & 0o070 and found.st_uid == os.geteuid():
        return warn(name, f"{seen}: its group may use it", f"chmod 600 {path}")
    return ok(name, seen)


def _check_user() -> Check:
    if os.geteuid() == 0:
        mend = "run it as an ordinary user: local jobs then are root's no more, and limits of processes count"
        return warn("user", "root", mend)
    return ok("user", f"uid {os.geteuid()}")


def _check_log_level() -> Check:
    level = os.environ.get("HUTONG_LOG_LEVEL", "INFO")
    if level not in _LEVELS:
        return bad("log level", f"HUTONG_LOG_LEVEL={level!r}", f"one of {', '.join(_LEVELS)}")
    if level == "DEBUG":
        return warn("log level", level, "INFO is enough in operation, and the log grows slower")
    return ok("log level", level)


def _ask_platform(config: AgentConfig, clock: Callable[[], int]) -> tuple[list[Check], SiteOut | None]:
    """Return checks of the line to the platform, and what it has of the site if it says so."""
    checks = []
    there = urlsplit(config.url)
    if there.scheme == "http" and there.hostname not in {"127.0.0.1", "::1", "localhost"}:
        mend = "use https: everybody on the way reads the token and the jobs' secrets"
        checks.append(warn("encryption", f"{config.url} is not encrypted", mend))
    try:
        link = HttpLink(config.url, config.token, proxy=config.proxy, authorities=config.authorities)
    except (OSError, ValueError) as error:
        mend = "correct them in the file"
        return [*checks, bad("platform", f"proxy or authorities cannot be used: {error}", mend)], None
    before_ms, begin_s = clock(), time.monotonic()
    try:
        declared = link.site()
    except (Later, Refused) as error:
        return [*checks, _explain(config, error)], None
    finally:
        link.close()
    took_ms = int((time.monotonic() - begin_s) * 1000)
    checks.append(ok("platform", f"{config.url} answered in {took_ms} ms"))
    if declared.site != config.site:
        mend = f"make a token for it: `hutong site token {config.site}`"
        seen = f"it is bound to {declared.site}, the file says {config.site}"
        return [*checks, bad("token", seen, mend)], None
    checks.append(ok("token", f"good, and bound to {declared.site}"))
    checks.append(_check_clock(declared.now_ms - before_ms - took_ms // 2, took_ms // 2))
    checks.append(_check_versions(declared.version))
    return [*checks, *_check_registration(config, declared)], declared


def _meters_there(config: AgentConfig, declared: SiteOut | None) -> tuple[Meter, ...]:
    if declared is None:
        raise Later("it did not answer well")
    link = HttpLink(config.url, config.token, proxy=config.proxy, authorities=config.authorities)
    try:
        return link.meters()
    finally:
        link.close()


def _check_registration(config: AgentConfig, declared: SiteOut) -> Iterator[Check]:
    if declared.engine != config.kind:
        mend = "change [engine] kind, or register the site anew"
        yield warn("engine", f"the platform has {declared.engine}, the file says {config.kind}", mend)
    if declared.admission != "active":
        mend = f"`hutong site drain {config.site} --undo` opens it again"
        yield warn("admission", f"the platform sends no new work: {declared.admission}", mend)


def _explain(config: AgentConfig, error: Later | Refused) -> Check:
    """Return why the platform did not answer: the token, the name, the way there, or the platform."""
    if isinstance(error, Denied):
        mend = f"make a new token (`hutong site token {config.site}`) and put it into token_file"
        return bad("token", f"the platform refuses it: {error}", mend)
    if isinstance(error, NotFound):
        return bad("platform", str(error), "is url the platform's address, and is the platform this new?")
    if isinstance(error, Refused):
        return bad("platform", str(error), "is url the platform's address?")
    there = urlsplit(config.proxy or config.url)
    port = there.port or (443 if there.scheme == "https" else 80)
    what = "the proxy" if config.proxy else "the platform"
    try:
        socket.create_connection((there.hostname or "", port), _CONNECT_S).close()
    except socket.gaierror as fault:
        mend = f"correct url or proxy, or see to this machine's name service: {fault.strerror}"
        return bad("platform", f"the name {there.hostname} of {what} is not known", mend)
    except OSError as fault:
        mend = "let this machine make outbound connections to it, or set `proxy`"
        used = [name for name in ("https_proxy", "HTTPS_PROXY") if os.environ.get(name)]
        mend += f" ({used[0]} in the environment is not used)" if used and not config.proxy else ""
        return bad("platform", f"{what} at {there.hostname}:{port} cannot be reached: {fault}", mend)
    if "certificate" in str(error).lower():
        mend = "set `authorities` to a file with the certificate of whoever signed it; is the clock right?"
        return bad("platform", f"its certificate is not trusted: {error}", mend)
    return bad("platform", f"{what} takes connections and does not answer well: {error}", "try again soon")


def _check_clock(skew_ms: int, doubt_ms: int) -> Check:
    seen = f"{abs(skew_ms) / 1000:.1f} s {'behind' if skew_ms > 0 else 'ahead of'} the platform's"
    seen += f" (to {doubt_ms / 1000:.1f} s)" if doubt_ms > 500 else ""
    mend = "keep the clock with NTP (systemd-timesyncd, chrony): times of jobs and charges are told by it"
    if abs(skew_ms) - doubt_ms > SKEW_BAD_MS:
        return bad("clock", seen, mend)
    return warn("clock", seen, mend) if abs(skew_ms) - doubt_ms > SKEW_WARN_MS else ok("clock", seen)


def _check_versions(theirs: str) -> Check:
    mine = version("hutong")
    if theirs and theirs != mine:
        return warn("version", f"agent {mine}, platform {theirs}", "upgrade the older of the two soon")
    return ok("version", mine)


def _check_folder(config: AgentConfig) -> Iterator[Check]:
    root = config.root
    trial = root / f".doctor-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        trial.write_text("")
        trial.unlink()
    except OSError as error:
        yield bad("folder", f"{root} cannot be written: {error}", "give it to the agent's user, or set root")
        return
    kind = kind_of(root)
    if is_shared(kind):
        mend = "set root to a folder on a local disk: two agents may not see each other's lock here"
        yield warn("folder", f"{root} lies on {kind}", mend)
    else:
        yield ok("folder", f"{root}, on {kind}")
    engine = config.attempts
    yield from check_space("folder", root)
    if not engine.resolve().is_relative_to(root.resolve()):
        yield from check_space("engine folder", engine)
    yield check_leftovers(engine)
    yield _check_lock(root / "agent.lock")


def _check_offers(offers: Offers) -> Iterator[Check]:
    """Yield whether what jobs may read is there: as this machine sees it."""
    for name in sorted(offers.shared):
        title, mend = f"shared {name}", "mount it, let the agent's user read it, or take it out of the file"
        try:
            folder = offers.folder(name)
        except (Later, Refused) as error:
            yield bad(title, error.message, mend)
            continue
        if os.access(folder, os.R_OK | os.X_OK):
            yield ok(title, str(folder))
        else:
            yield bad(title, f"{folder} cannot be read", mend)
    for name, store in sorted(offers.stores.items()):
        title = f"store {name}"
        try:
            answer = httpx2.get(store.endpoint, timeout=_CONNECT_S, trust_env=False)
        except httpx2.HTTPError as error:
            mend = "correct endpoint, or let this machine make outbound connections to it"
            yield bad(title, f"{store.endpoint} does not answer: {type(error).__name__} {error}", mend)
            continue
        yield ok(title, f"{store.endpoint} answered with status {answer.status_code}")


def _check_lock(path: Path) -> Check:
    """Return whether an agent works in the folder; one that starts at this moment waits half a second."""
    if not path.exists():
        return ok("agent", "none works in this folder yet")
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ok("agent", "one works in this folder; another would wait for its end")
        except OSError as error:
            return bad("agent", f"{path} cannot be locked: {error}", "set root to a folder on a local disk")
    return ok("agent", "none works in this folder now")


def _check_cards(declared: SiteOut, inspector: Inspector) -> Iterator[Check]:
    if declared.declared_only:
        yield ok("cards", "declared and not to be seen, as the registration says")
        return
    for pool in declared.pools:
        title, told = f"cards of {pool.id}", pool.nodes * pool.cards_per_node
        try:
            seen = inspector.count(pool.id, pool.accelerator)
        except (Later, Refused) as error:
            yield warn(title, f"the engine cannot be asked: {error}", "see the checks of the engine")
            continue
        if seen is None:
            mend = f"add [engine.pools.{pool.id}] to the file, or take the pool off the registration"
            yield bad(title, f"{told} {pool.accelerator} are declared, and the agent has no such pool", mend)
        elif seen.cards < told:
            mend = "register what is there: jobs for the rest would wait at the centre"
            yield bad(title, f"{told} {pool.accelerator} are declared, the engine shows {seen.cards}", mend)
        elif seen.cards - seen.unusable < told:
            text = f"{told} are declared, {seen.unusable} of {seen.cards} are on nodes that take no work now"
            yield warn(title, text, "bring the nodes back, or drain the site meanwhile")
        else:
            yield ok(title, f"{told} {pool.accelerator} are declared, the engine shows {seen.cards}")

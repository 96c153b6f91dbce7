"""What a platform needs before its processes start: its folder, free ports, a schema, a first operator."""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hutong.adapters.store.open import migrate
from hutong.config import SETTINGS_FILE, Settings
from hutong.core.kernel.errors import Conflict, Refused
from hutong.server.services import bootstrap, open_services

LOCK = "up.lock"
ADMIN = "admin.json"
_PORTS = {"api_port": "api_host", "gateway_port": "gateway_host"}


@dataclass(frozen=True, slots=True)
class Operator:
    """The first operator. `fresh`: was made just now, so the password is to be shown once."""

    person: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    fresh: bool


@contextmanager
def hold_folder(data: Path) -> Iterator[None]:
    """Hold a data folder for one `hutong up`; raises Conflict if another has it. Made with mode 0700."""
    try:
        for folder in (data, data / "keys", data / "logs", data / "sites", data / "objects"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data / LOCK).open("a")
    except OSError as err:
        raise Refused("bad_data", f"the data folder {data} cannot be used: {err.strerror}") from err
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("already_up", f"another `hutong up` works with {data}: {_where(data)}") from None
        yield


def _where(data: Path) -> str:
    try:
        told = json.loads((data / "up.json").read_text(encoding="utf-8"))
        return f"process {told['pid']}, {told['api']}"
    except (OSError, ValueError, KeyError):
        return "stop it, or choose another --data"


def settle_ports(settings: Settings, given: Mapping[str, object]) -> Settings:
    """Return settings with ports that are free; those that had to be chosen are remembered in the folder.

    A port that was named on the command line or in the environment must be free; another one is replaced.
    """
    chosen: dict[str, int] = {}
    for name, host in _PORTS.items():
        port = int(getattr(settings, name))
        where = str(getattr(settings, host))
        told = given.get(name) is not None or f"HUTONG_{name.upper()}" in os.environ
        if told and port and not _free(where, port):
            raise Refused(
                "port_taken", f"port {port} on {where} is taken: choose another with --{_option(name)}"
            )
        if not port or (not told and (port in chosen.values() or not _free(where, port))):
            chosen[name] = _any_port(where)
    if chosen:
        remember(settings.data / SETTINGS_FILE, chosen)
    return settings.model_copy(update=chosen)


def _option(name: str) -> str:
    return "port" if name == "api_port" else "gateway-port"


def remember(path: Path, values: Mapping[str, int]) -> None:
    """Set whole-number keys in a settings file; every other line stays as its owner wrote it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in lines if line.partition("=")[0].strip() not in values]
    write_private(path, "\n".join([*(f"{name} = {value}" for name, value in values.items()), *kept]) + "\n")


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _any_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def found_operator(settings: Settings) -> Operator:
    """Migrate the store; make the first operator where there is none, and return who it is.

    Password and token are kept in `keys/admin.json`, mode 0600. Where that file is lost, a new token is made;
    the password stays what it was, unknown to us.
    """
    migrate(settings.database_url)
    path = settings.data / "keys" / ADMIN
    services = open_services(settings)
    try:
        known = _read(path)
        there = services.store.get("person", "admin") is not None
        if known is not None and there:
            return known
        password = "" if there else (known.password if known else secrets.token_urlsafe(15))
        person, token = bootstrap(services, password or None)
    finally:
        services.close()
    document = {"person": person.id, "password": password, "token": token}
    write_private(path, json.dumps(document, indent=1) + "\n")
    return Operator(person.id, password, token, fresh=True)


def _read(path: Path) -> Operator | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Operator(told["person"], told["password"], told["token"], fresh=False)
    except (OSError, ValueError, KeyError):
        return None


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that a reader sees the old text or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    draft.replace(path)

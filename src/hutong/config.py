"""The edge: the one clock, fresh ids, the data folder and the settings of a platform."""

import os
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.ids import ulid

SETTINGS_FILE = "hutong.toml"
_PREFIX = "HUTONG_"
HOME = "HUTONG_HOME"
_MIB = 1 << 20

Port = Annotated[int, Field(ge=0, le=65_535)]
"""A TCP port; 0 lets the system choose a free one."""


def now_ms() -> int:
    """Return the time in UTC milliseconds: the one clock of the platform."""
    return time.time_ns() // 1_000_000


class _Entropy:
    """Entropy for ids in pieces of ten bytes. A call of the system for each let another thread go first."""

    def __init__(self) -> None:
        self.forget()
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Let go of what is left: a forked process must not have the same."""
        self._left: Iterator[bytes] = iter(())

    def take(self) -> bytes:
        """Return ten bytes that nobody else gets."""
        piece = next(self._left, None)
        if piece is None:
            some = os.urandom(1280)
            fresh = iter([some[at : at + 10] for at in range(0, len(some), 10)])
            piece, self._left = next(fresh), fresh
        return piece


_entropy = _Entropy()


def new_ulid() -> str:
    """Return a fresh ULID of now."""
    return ulid(now_ms(), _entropy.take())


def data_folder(name: str) -> Path:
    """Return a folder of shipped data (`policies`, `scenarios`, `examples`): packaged, or the source's."""
    here = Path(__file__).resolve().parent
    packaged = here / "_data" / name
    return packaged if packaged.is_dir() else here.parents[1] / name


def address(host: str, port: int) -> str:
    """Return the URL of a server on this machine that listens there."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - where to call, not to listen
    return f"http://{name}:{port}"


def default_data() -> Path:
    """Return where a platform keeps its data: `$HUTONG_HOME`, else the XDG data folder."""
    told = os.environ.get("HUTONG_HOME")
    if told:
        return Path(told)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "hutong"


class Settings(BaseModel):
    """What a platform can be told: keys of `<data>/hutong.toml`; `HUTONG_<KEY>` in the environment wins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path
    database: str = ""
    objects: str = ""
    policies: Path = Field(default_factory=lambda: data_folder("policies"))
    backfill: Literal["none", "easy", "conservative", "greedy"] = "easy"
    run_lengths: Literal["walltime", "predicted"] = "walltime"
    zone: Annotated[str, Field(min_length=1, max_length=64)] = "Asia/Shanghai"
    api_host: str = "127.0.0.1"
    api_port: Port = 8470
    gateway_host: str = "127.0.0.1"
    gateway_port: Port = 8471
    gateway_url: Annotated[str, Field(pattern=r"^(https?://[^/?#]+)?$")] = ""
    apps_domain: Annotated[str, Field(pattern=r"^([a-z0-9.-]+(:[0-9]{1,5})?)?$")] = ""
    portal_url: Annotated[str, Field(pattern=r"^(https?://[^?#]*[^/?#])?$")] = ""
    tunnel_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    log_level: Annotated[str, Field(pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    second_factor: Literal["optional", "operators", "owners", "everybody"] = "optional"
    session_hours: Annotated[int, Field(ge=1, le=24 * 31)] = 12
    accounting_slack_ms: Annotated[int, Field(ge=0, le=60_000)] = 2_000
    accounting_unbilled_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 60_000
    accounting_prepare_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 1_860_000
    accounting_skew_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 300_000
    accounting_correct_card_ms: Annotated[int, Field(ge=0, le=10**13)] = 3_600_000
    accounting_correct_ppm: Annotated[int, Field(ge=0, le=1_000_000)] = 100_000
    body_bytes_max: Annotated[int, Field(ge=1024)] = _MIB
    bundle_bytes_max: Annotated[int, Field(ge=1024)] = 512 * _MIB
    object_bytes_max: Annotated[int, Field(ge=1024)] = 20 << 30
    log_bytes_max: Annotated[int, Field(ge=1024)] = 1 << 30
    submissions_waiting_max: Annotated[int, Field(ge=1)] = 2000
    streams_max: Annotated[int, Field(ge=1)] = 500
    uploads_max: Annotated[int, Field(ge=1)] = 16

    @property
    def database_url(self) -> str:
        """The store's URL: as told, else SQLite in the data folder."""
        return self.database or f"sqlite:///{self.data / 'hutong.sqlite'}"

    @property
    def objects_url(self) -> str:
        """The object store's URL: as told, else files in the data folder."""
        return self.objects or f"file://{self.data / 'objects'}"

    @property
    def gateway_address(self) -> str:
        """Where people reach the gateway, without a slash at the end."""
        return self.gateway_url or address(self.gateway_host, self.gateway_port)

    @property
    def tunnel_address(self) -> str:
        """Where agents reach this very gateway process, which waits for their tunnels."""
        return (self.tunnel_url or self.gateway_address).rstrip("/")

    @property
    def portal_address(self) -> str:
        """Where browsers and identity providers reach the portal and the API."""
        return self.portal_url or address(self.api_host, self.api_port)

    @property
    def apps(self) -> str:
        """The domain, with a port if need be, below which each job has a host of its own."""
        return self.apps_domain or f"localhost:{self.gateway_port}"

    def app_address(self, job: str) -> str:
        """The address of a job's own pages: a host for each job, so that no two share an origin."""
        return f"{self.gateway_address.partition('://')[0]}://{job.lower()}.{self.apps}"

    @property
    def vault_key(self) -> Path:
        """The key that protects secrets at rest; only its owner may read it."""
        return self.data / "keys" / "vault.key"

    @classmethod
    def load(
        cls,
        data: Path | None = None,
        environ: Mapping[str, str] | None = None,
        **given: object,
    ) -> Self:
        """Read the settings of the platform in `data`; `given` beats the environment, which beats the file.

        Raises Refused that names the key, what is wrong and where it was set.
        """
        env = os.environ if environ is None else environ
        folder = (data or Path(env.get(HOME) or default_data())).expanduser().resolve()
        path = folder / SETTINGS_FILE
        values: dict[str, object] = {**_read_file(path), **_read_environment(cls, env)}
        values.update({key: value for key, value in given.items() if value is not None}, data=folder)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = tuple(_problem(each["loc"], each["msg"], path) for each in error.errors())
            raise Refused("bad_settings", "the settings cannot be used", problems) from error


def _read_file(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = Problem("", f"{path}: {error}", "TOML: key = value, one a line")
        raise Refused("bad_settings", f"{path} is not TOML", (problem,)) from error


def _read_environment(cls: type[BaseModel], env: Mapping[str, str]) -> dict[str, object]:
    names = {name: f"{_PREFIX}{name.upper()}" for name in cls.model_fields if name != "data"}
    return {name: env[key] for name, key in names.items() if env.get(key)}


def _problem(loc: tuple[int | str, ...], message: str, path: Path) -> Problem:
    name = str(loc[0]) if loc else ""
    hint = f"set {name} in {path} or {_PREFIX}{name.upper()} in the environment"
    return Problem(f"/{name}", f"{name}: {message}", hint)

"""The agent's configuration: one TOML file, checked whole; each fault is named with its place."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from hutong.adapters.engines.attempt.config import FolderConfig, Limits
from hutong.adapters.engines.kubernetes.config import (
    KubernetesConfig,
    KubernetesPool,
    Toleration,
    Volume,
)
from hutong.adapters.engines.ray.config import RayConfig, RayPool
from hutong.adapters.engines.slurm.config import RestConfig, SlurmConfig, SlurmPool
from hutong.agent.card_counters import CardCounter
from hutong.agent.habits import Habits
from hutong.agent.meter_config import MeterTables
from hutong.agent.meter_sources import MeterSource
from hutong.agent.offers import Offers, StoreOffer
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire.base import Slug

EngineConfig = FolderConfig | SlurmConfig | RayConfig | KubernetesConfig
PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One agent: its site, the platform's URL, the site's token, its own folder and its engine.

    `proxy` is the URL of the centre's way out, `authorities` a file of certificates to trust. `without` names
    what the engine could do and the centre does not want.
    """

    site: str
    url: str
    token: str = field(repr=False)
    root: Path
    engine: EngineConfig
    habits: Habits = field(default_factory=Habits)
    cache_most_bytes: int = 200 << 30
    proxy: str = ""
    authorities: Path | None = None
    offers: Offers = field(default_factory=Offers)
    counters: tuple[CardCounter, ...] = ()
    meters: tuple[MeterSource, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The engine's name, as the platform knows it."""
        kinds = {SlurmConfig: "slurm", RayConfig: "ray", KubernetesConfig: "kubernetes"}
        return kinds.get(type(self.engine), "local")

    @property
    def attempts(self) -> Path:
        """The folder of attempts, which every machine that runs jobs must see."""
        return self.engine.root if isinstance(self.engine, FolderConfig) else self.engine.folder.root

    @property
    def cache(self) -> Path:
        """The folder of inputs, which jobs read where they run."""
        return (self.root if isinstance(self.engine, FolderConfig) else self.attempts) / "cache"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Limits(_Table):
    address_space_bytes: int = Field(Limits().address_space_bytes, ge=0)
    file_bytes: int = Field(Limits().file_bytes, ge=0)
    open_files: int = Field(Limits().open_files, ge=0)
    processes: int = Field(Limits().processes, ge=0)
    input_bytes: int = Field(Limits().input_bytes, ge=0)


class _Folder(_Table):
    root: Path | None = None
    payloads: Path = PAYLOADS
    readable: tuple[Path, ...] = ()
    path: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    isolation: Literal["auto", "bwrap", "none"] = "auto"
    limits: _Limits = _Limits()
    service_host: str = "127.0.0.1"
    log_most_bytes: int = Field(256 << 20, ge=1 << 10)
    envs: dict[str, str] = Field(default_factory=dict)

    def folder(self, root: Path) -> FolderConfig:
        """Return where attempts live; `root` is the agent's own folder."""
        return FolderConfig(
            root=self.root or root / "engine",
            payloads=self.payloads,
            readable=self.readable,
            path=self.path,
            devices=self.devices,
            isolation=self.isolation,
            limits=Limits(**self.limits.model_dump()),
            service_host=self.service_host,
            log_most_bytes=self.log_most_bytes,
            envs=tuple(self.envs.items()),
        )


class _Local(_Folder):
    kind: Literal["local"] = "local"

    def engine(self, root: Path) -> EngineConfig:
        return self.folder(root)


class _SlurmPool(_Table):
    partition: str = ""
    gres: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    reservation: str = ""
    licenses: str = ""
    cpus_per_card: int = Field(0, ge=0)
    memory_mb_per_card: int = Field(0, ge=0)
    visible: str = ""
    options: tuple[str, ...] = ()


class _Slurm(_Folder):
    kind: Literal["slurm"]
    root: Path
    pools: dict[str, _SlurmPool] = Field(min_length=1)
    python: str = "python3"
    bin: Path | None = None
    conf: Path | None = None
    poll_s: float = Field(2.0, gt=0, le=60)
    ask_s: float = Field(60.0, gt=0, le=600)
    lag_s: float = Field(60.0, ge=5)
    beat_dead_s: float = Field(60.0, ge=10)
    arrays: bool | None = None
    rest_url: str = Field("", pattern=r"^(https?://[^/]+)?$")
    rest_user: str = ""
    rest_token_file: Path | None = None
    rest_token_command: tuple[str, ...] = ()
    api_version: str = Field("v0.0.38", pattern=r"^v0\.0\.[0-9]{2}$")

    @model_validator(mode="after")
    def _has_a_token(self) -> "_Slurm":
        if self.rest_url and bool(self.rest_token_file) == bool(self.rest_token_command):
            raise ValueError("rest_url wants either rest_token_file or rest_token_command")
        return self

    def engine(self, root: Path) -> EngineConfig:
        pools = {name: SlurmPool(**pool.model_dump()) for name, pool in self.pools.items()}
        return SlurmConfig(
            self.folder(root), pools, self.python, self.bin, self.conf, self.poll_s, self.ask_s,
            self.lag_s, self.beat_dead_s, self._rest(), self.arrays,
        )  # fmt: skip

    def _rest(self) -> RestConfig | None:
        if not self.rest_url:
            return None
        return RestConfig(
            self.rest_url, self.rest_user, self.rest_token_file, self.rest_token_command, self.api_version
        )


class _RayPool(_Table):
    per_card: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    per_node: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    cpus_per_card: float = Field(0, ge=0)
    strategy: Literal["STRICT_SPREAD", "SPREAD", "PACK", "STRICT_PACK"] = "STRICT_SPREAD"


class _Ray(_Folder):
    kind: Literal["ray"]
    root: Path
    url: str = Field(pattern=r"^https?://")
    pools: dict[str, _RayPool] = Field(min_length=1)
    ray_python: str = "python3"
    python: str = "python3"
    token_file: Path | None = None
    poll_s: float = Field(2.0, gt=0, le=60)
    ask_s: float = Field(60.0, gt=0, le=600)
    lag_s: float = Field(60.0, ge=5)
    beat_dead_s: float = Field(60.0, ge=10)
    meet_s: float = Field(120.0, ge=10)

    def engine(self, root: Path) -> EngineConfig:
        pools = {name: RayPool(**pool.model_dump()) for name, pool in self.pools.items()}
        return RayConfig(
            self.folder(root), self.url, pools, self.ray_python, self.python, self.token_file, self.poll_s,
            self.ask_s, self.lag_s, self.beat_dead_s, self.meet_s,
        )  # fmt: skip


class _Toleration(_Table):
    key: str = ""
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class _KubernetesPool(_Table):
    device: str = ""
    beside: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    image: str = ""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[_Toleration, ...] = ()
    queue: str = ""
    priority_class: str = ""
    runtime_class: str = ""
    scheduler: str = ""
    cpus_per_card: int = Field(0, ge=0)
    memory_mb_per_card: int = Field(0, ge=0)

    def pool(self) -> KubernetesPool:
        tolerations = tuple(Toleration(**each.model_dump()) for each in self.tolerations)
        return KubernetesPool(**{**self.model_dump(), "tolerations": tolerations})


class _Volume(_Table):
    claim: str = ""
    host_path: str = ""
    mount: Path = Path("/srv/hutong")


class _Kubernetes(_Folder):
    kind: Literal["kubernetes"]
    root: Path
    volume: _Volume
    pools: dict[str, _KubernetesPool] = Field(min_length=1)
    service_host: str = "0.0.0.0"  # noqa: S104 - inside of a pod
    kubeconfig: Path | None = None
    context: str = ""
    namespace: str = Field("default", pattern=r"^[a-z0-9-]*(\{project\})?[a-z0-9-]*$", min_length=1)
    shape: Literal["auto", "jobs", "indexed", "jobset"] = "auto"
    python: str = "python3"
    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    images_from: tuple[str, ...] = ()
    user: int | None = Field(None, ge=0)
    group: int | None = Field(None, ge=0)
    network_policies: bool = True
    finalizers: bool = True
    ask_s: float = Field(30.0, gt=0, le=600)
    lag_s: float = Field(60.0, ge=5)
    beat_dead_s: float = Field(60.0, ge=10)
    meet_s: float = Field(600.0, ge=10)
    stuck_s: float = Field(600.0, ge=10)
    keep_s: float = Field(3600.0, ge=0)

    def engine(self, root: Path) -> EngineConfig:
        own = self.model_dump(exclude={"kind", "volume", "pools", *_Folder.model_fields})
        pools = {name: pool.pool() for name, pool in self.pools.items()}
        return KubernetesConfig(self.folder(root), Volume(**self.volume.model_dump()), pools, **own)


class _Store(_Table):
    endpoint: str = Field(pattern=r"^https?://[^/?#@\s]+/?$")
    region: str = "us-east-1"


_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class _Inputs(_Table):
    stores: dict[_Name, _Store] = Field(default_factory=dict)
    shared: dict[_Name, Path] = Field(default_factory=dict)
    most_files: int = Field(Offers().most_files, ge=1, le=1_000_000)
    most_bytes: int = Field(Offers().most_bytes, ge=1)

    def offers(self) -> Offers:
        """Return what jobs may read beside the platform's own objects."""
        stores = {
            name: StoreOffer(each.endpoint.rstrip("/"), each.region) for name, each in self.stores.items()
        }
        return Offers(stores, self.shared, self.most_files, self.most_bytes)


def _kind(table: object) -> str:
    return str(table.get("kind", "local")) if isinstance(table, dict) else "local"


class _Counter(_Table):
    """How the cards of a pool are counted; the key is the pool's id."""

    tool: Literal["nvidia-smi", "npu-smi", "cnmon"]
    cards: int = Field(ge=1, le=1_000_000)
    every_s: int = Field(30, ge=5, le=300)
    command: tuple[str, ...] = ()


class _File(_Table):
    site: str = Field(min_length=1)
    url: str = Field(pattern=r"^https?://")
    token: str = Field("", repr=False)
    token_file: Path | None = None
    root: Path
    cache_most_bytes: int = Field(200 << 30, ge=0)
    proxy: str = Field("", pattern=r"^(https?://.+)?$")
    authorities: Path | None = None
    engine: Annotated[
        Annotated[_Local, Tag("local")]
        | Annotated[_Slurm, Tag("slurm")]
        | Annotated[_Ray, Tag("ray")]
        | Annotated[_Kubernetes, Tag("kubernetes")],
        Discriminator(_kind),
    ] = _Local()
    inputs: _Inputs = _Inputs()
    counters: dict[Slug, _Counter] = Field(default_factory=dict, max_length=200)
    meters: MeterTables = ()
    without: tuple[Literal["gangs", "services"], ...] = ()


def read_agent(path: Path) -> AgentConfig:
    """Read an agent's file. Raises Refused with the place of every fault and what is wrong there."""
    try:
        told = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        token = told.token or (told.token_file.read_text(encoding="utf-8").strip() if told.token_file else "")
    except ValidationError as error:
        problems = tuple(_problem(each["loc"], each["msg"]) for each in error.errors(include_url=False))
        raise Refused("bad_agent_file", f"{path} does not describe an agent", problems) from error
    except (OSError, ValueError) as error:
        raise Refused("bad_agent_file", f"{path} cannot be used: {error}") from error
    if not token:
        problem = Problem(
            "/token", "is missing", "token, or token_file with the path of a file that holds it"
        )
        raise Refused("bad_agent_file", f"{path} does not describe an agent", (problem,))
    config = AgentConfig(
        told.site,
        told.url,
        token,
        told.root,
        told.engine.engine(told.root),
        cache_most_bytes=told.cache_most_bytes,
        proxy=told.proxy,
        authorities=told.authorities,
        offers=told.inputs.offers(),
        counters=tuple(
            CardCounter(pool, each.tool, each.cards, each.every_s, each.command)
            for pool, each in sorted(told.counters.items())
        ),
        meters=tuple(each.source() for each in told.meters),
        without=told.without,
    )
    _refuse_inside_out(path, config)
    return config


def _refuse_inside_out(path: Path, config: AgentConfig) -> None:
    """Refuse to share what holds the agent's own folders, or lies in them: other jobs' files and secrets."""
    own = [config.root.resolve(), config.attempts.resolve()]
    for name, folder in config.offers.shared.items():
        shared = folder.resolve()
        if not folder.is_absolute():
            message, hint = f"{folder} is not written in full", "a path that begins with /"
        elif any(each.is_relative_to(shared) or shared.is_relative_to(each) for each in own):
            message = f"{folder} holds the agent's own folder, or lies in it, and so other jobs' files"
            hint = "a folder that holds data sets and nothing else"
        else:
            continue
        problem = Problem(f"/inputs/shared/{name}", message, hint)
        raise Refused("bad_agent_file", f"{path} does not describe an agent", (problem,))


def _problem(loc: tuple[int | str, ...], text: str) -> Problem:
    shown = [str(part) for part in loc if part not in {"local", "slurm", "ray", "kubernetes"}]
    return Problem("/" + "/".join(shown), text[:1].lower() + text[1:])

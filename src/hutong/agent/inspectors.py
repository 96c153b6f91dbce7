"""The inspector of each engine, for a configuration that is there or for a centre that has none yet."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.inspection import Inspector
from hutong.adapters.engines.kubernetes.config import KubernetesConfig, Volume
from hutong.adapters.engines.kubernetes.inspect import KubernetesInspector, default_kubeconfig
from hutong.adapters.engines.local.inspect import LocalInspector
from hutong.adapters.engines.ray.config import RayConfig
from hutong.adapters.engines.ray.inspect import RayInspector, default_url
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.adapters.engines.slurm.inspect import SlurmInspector
from hutong.agent.config import PAYLOADS, EngineConfig
from hutong.core.kernel.errors import Problem, Refused


def inspector_of(config: EngineConfig, wait_s: float) -> Inspector:
    """Return the inspector of a configured engine; a probe of it may take `wait_s`."""
    match config:
        case SlurmConfig():
            return SlurmInspector(config, wait_s)
        case RayConfig():
            return RayInspector(config)
        case KubernetesConfig():
            return KubernetesInspector(config)
        case _:
            return LocalInspector(config)


def _local(root: Path) -> Inspector:
    return LocalInspector(FolderConfig(root, PAYLOADS))


def _slurm(root: Path) -> Inspector:
    told = os.environ.get("SLURM_CONF")
    return SlurmInspector(SlurmConfig(FolderConfig(root, PAYLOADS), conf=Path(told) if told else None))


def _ray(root: Path) -> Inspector:
    return RayInspector(RayConfig(FolderConfig(root, PAYLOADS), default_url()))


def _kubernetes(root: Path) -> Inspector:
    kubeconfig = default_kubeconfig(os.environ.get("KUBECONFIG", ""), Path.home())
    config = KubernetesConfig(FolderConfig(root, PAYLOADS), Volume(mount=root), kubeconfig=kubeconfig)
    return KubernetesInspector(config)


# In the order in which they are tried where none is named.
ENGINES: dict[str, tuple[Callable[[Path], Inspector], str]] = {
    "slurm": (_slurm, "sbatch"),
    "ray": (_ray, "ray"),
    "kubernetes": (_kubernetes, "kubectl"),
    "local": (_local, ""),
}


def guess_engine() -> str:
    """Return the first engine whose program is found here; the local one needs none."""
    return next(name for name, (_, program) in ENGINES.items() if not program or shutil.which(program))


def new_inspector(engine: str, root: Path) -> Inspector:
    """Return an inspector for a centre without a configuration. Raises Refused for an unknown engine."""
    if engine not in ENGINES:
        problem = Problem("/engine", f"{engine!r} is unknown", " or ".join(sorted(ENGINES)))
        raise Refused("bad_engine", f"there is no engine {engine!r}", (problem,))
    return ENGINES[engine][0](root)

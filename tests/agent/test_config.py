"""An agent's file: what it may say, and what is said of one that is wrong."""

import re
from pathlib import Path

import pytest

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.kubernetes.config import KubernetesConfig, Toleration, Volume
from hutong.adapters.engines.ray.config import RayConfig
from hutong.adapters.engines.slurm.config import RestConfig, SlurmConfig
from hutong.agent.config import _Slurm, _SlurmPool, read_agent
from hutong.core.kernel.errors import Refused

HEAD = 'site = "east"\nurl = "https://hutong.example"\nroot = "/var/lib/hutong"\n'
SLURM = HEAD + 'token = "t"\n[engine]\nkind = "slurm"\nroot = "/s"\n'
SLURM_POOL = "[engine.pools.a]\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return path


def test_the_local_engine_is_the_default(tmp_path: Path) -> None:
    config = read_agent(write(tmp_path, HEAD + 'token = "t"\n[engine]\n[engine.limits]\nprocesses = 7\n'))
    assert isinstance(config.engine, FolderConfig)
    assert config.engine.root == Path("/var/lib/hutong/engine")
    assert config.engine.limits.processes == 7
    assert (config.engine.payloads / "train.py").is_file()


def test_a_slurm_site(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    text = f"""{HEAD}token_file = "{tmp_path}/token"
[engine]
kind = "slurm"
root = "/shared/hutong"
[engine.envs]
NCCL_SOCKET_IFNAME = "ib0"
[engine.pools.ascend]
gres = "npu:910c"
partition = "ai"
visible = "ASCEND_RT_VISIBLE_DEVICES"
options = ["--exclusive"]
"""
    config = read_agent(write(tmp_path, text))
    assert config.token == "secret"
    assert "secret" not in repr(config)
    assert isinstance(config.engine, SlurmConfig)
    assert config.engine.folder.root == Path("/shared/hutong")
    assert config.engine.folder.envs == (("NCCL_SOCKET_IFNAME", "ib0"),)
    assert config.engine.pools["ascend"].gres == "npu:910c"
    assert config.engine.rest is None
    assert config.engine.arrays is None, "where jobs run in boxes"
    for word, arrays in (("true", True), ("false", False)):
        told = read_agent(write(tmp_path, text.replace('kind = "slurm"', f'kind = "slurm"\narrays = {word}')))
        assert isinstance(told.engine, SlurmConfig)
        assert told.engine.arrays is arrays


def test_the_file_in_the_operators_manual_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operator" / "slurm.md").read_text()
    text = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "token").write_text("t")
    config = read_agent(write(tmp_path, text.replace("/etc/hutong/token", str(tmp_path / "token"))))
    assert isinstance(config.engine, SlurmConfig)
    assert config.engine.pools["ascend"].visible == "ASCEND_RT_VISIBLE_DEVICES"
    fields = set(_Slurm.model_fields) - {"kind"} | set(_SlurmPool.model_fields)
    assert {name for name in fields if f"`{name}`" not in page} == {"payloads", "pools"}


def test_a_slurm_site_by_slurmrestd(tmp_path: Path) -> None:
    text = f"""{HEAD}token = "t"
[engine]
kind = "slurm"
root = "/shared/hutong"
rest_url = "https://slurm.example:6820"
rest_user = "hutong"
rest_token_file = "/run/hutong/jwt"
[engine.pools.a]
"""
    config = read_agent(write(tmp_path, text))
    assert isinstance(config.engine, SlurmConfig)
    assert config.engine.rest == RestConfig(
        "https://slurm.example:6820", "hutong", token_file=Path("/run/hutong/jwt"), api_version="v0.0.38"
    )


RAY = 'token = "t"\n[engine]\nkind = "ray"\nroot = "/shared/hutong"\nurl = "http://head:8265"\n'


def test_a_ray_site(tmp_path: Path) -> None:
    text = f"""{HEAD}{RAY}
ray_python = "/opt/ray/bin/python"
[engine.pools.h100]
per_card = {{"GPU" = 1, "accelerator_type:H100" = 0.001}}
cpus_per_card = 12
"""
    config = read_agent(write(tmp_path, text))
    assert isinstance(config.engine, RayConfig)
    assert (config.kind, config.attempts) == ("ray", Path("/shared/hutong"))
    assert config.cache == Path("/shared/hutong/cache")
    pool = config.engine.pools["h100"]
    assert next(iter(pool.per_card)) == "GPU"
    assert (pool.cpus_per_card, pool.strategy) == (12, "STRICT_SPREAD")


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('site = "a"\nurl = "https://x"\ntoken = "t"\n', "/root"),
        (HEAD, "/token"),
        (HEAD + 'token = "t"\ncolour = "red"\n', "/colour"),
        (HEAD + 'token = "t"\n[engine]\nkind = "pbs"\n', "/engine"),
        (HEAD + 'token = "t"\n[engine]\nkind = "slurm"\nroot = "/s"\n', "/engine/pools"),
        (
            HEAD + 'token = "t"\n[engine]\nkind = "slurm"\nroot = "/s"\n[engine.pools.a]\ngpu = 1\n',
            "/engine/pools/a/gpu",
        ),
        (HEAD + RAY, "/engine/pools"),
        (HEAD + RAY + "[engine.pools.a.per_card]\nGPU = 0\n", "/engine/pools/a/per_card/GPU"),
        (HEAD + RAY + '[engine.pools.a]\nstrategy = "WIDE"\n', "/engine/pools/a/strategy"),
        (f"{SLURM}rest_url = 'ftp://x'\n{SLURM_POOL}", "/engine/rest_url"),
        (f"{SLURM}rest_url = 'http://x'\n{SLURM_POOL}", "/engine"),
        (f"{SLURM}api_version = '38'\n{SLURM_POOL}", "/engine/api_version"),
        (HEAD + 'token = "t"\n[engine]\nisolation = "chroot"\n', "/engine/isolation"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, pointer: str) -> None:
    with pytest.raises(Refused) as caught:
        read_agent(write(tmp_path, text))
    assert pointer in {problem.path for problem in caught.value.problems}


@pytest.mark.parametrize("text", ["site = ", "\x00", HEAD + 'token_file = "/no/such/file"\n'])
def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused, match="cannot be used"):
        read_agent(write(tmp_path, text))


KUBERNETES = """token = "t"
[engine]
kind = "kubernetes"
root = "/srv/hutong/site"
namespace = "hutong-{project}"
[engine.volume]
claim = "hutong"
[engine.pools.npu]
device = "huawei.com/Ascend910"
image = "registry.example/cann:8"
beside = {"huawei.com/Ascend910-memory" = 32}
node_selector = {"accelerator" = "huawei-Ascend910"}
tolerations = [{key = "npu", effect = "NoSchedule"}]
"""


def test_a_kubernetes_site(tmp_path: Path) -> None:
    config = read_agent(write(tmp_path, HEAD + KUBERNETES))
    engine = config.engine
    assert isinstance(engine, KubernetesConfig)
    assert (engine.volume, engine.namespace) == (Volume("hutong"), "hutong-{project}")
    assert engine.pools["npu"].tolerations == (Toleration("npu", "", "NoSchedule"),)
    assert engine.folder.service_host == "0.0.0.0"  # noqa: S104 - inside of a pod
    assert config.cache == Path("/srv/hutong/site/cache")


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ("shape = 'two'\n[engine.volume]", "/engine/shape"),
        ("[engine.volume]\nclaims = 'x'", "/engine/volume/claims"),
        ("namespace = 'Big'\n[engine.volume]", "/engine/namespace"),
    ],
)
def test_a_fault_of_a_kubernetes_site_is_named(tmp_path: Path, wrong: str, place: str) -> None:
    text = KUBERNETES.replace('namespace = "hutong-{project}"\n', "").replace("[engine.volume]", wrong)
    with pytest.raises(Refused) as error:
        read_agent(write(tmp_path, HEAD + text))
    assert place in [problem.path for problem in error.value.problems]

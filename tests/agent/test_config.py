"""An agent's file: what it may say, and what is said of one that is wrong."""

from pathlib import Path

import pytest

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.ray.config import RayConfig
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.agent.config import read_agent
from hutong.core.kernel.errors import Refused

HEAD = 'site = "east"\nurl = "https://hutong.example"\nroot = "/var/lib/hutong"\n'


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

"""Letting go for a retired agent: what is refused before any cluster is asked."""

import fcntl
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.kubernetes.config import KubernetesConfig, Volume
from hutong.agent.config import AgentConfig
from hutong.agent.release import release
from hutong.core.kernel.errors import Refused
from hutong.main import cli


def agent(root: Path, *, kubernetes: bool) -> AgentConfig:
    folder = FolderConfig(root / "site", root / "payloads")
    kubeconfig = root / "kubeconfig"
    kubeconfig.write_text(json.dumps({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }))  # fmt: skip
    config = KubernetesConfig(folder, Volume(mount=root), kubeconfig=kubeconfig) if kubernetes else folder
    return AgentConfig("s", "http://127.0.0.1:1", "t", root / "agent", config)


def test_only_an_agent_of_kubernetes_holds_anything(tmp_path: Path) -> None:
    with pytest.raises(Refused) as error:
        list(release(agent(tmp_path, kubernetes=False)))
    assert error.value.code == "nothing_held"


def test_a_folder_without_a_name_has_created_nothing(tmp_path: Path) -> None:
    assert list(release(agent(tmp_path, kubernetes=True))) == []


def test_an_agent_that_works_lets_go_itself(tmp_path: Path) -> None:
    config = agent(tmp_path, kubernetes=True)
    config.root.mkdir()
    with (config.root / "agent.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Refused) as error:
            list(release(config))
        assert error.value.code == "agent_works"
        assert list(release(config, only_list=True)) == []
    assert list(release(config)) == []


def test_the_command_says_what_it_cannot_do(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'site = "s"\nurl = "http://127.0.0.1:1"\ntoken = "t"\nroot = "{tmp_path}"\n')
    file.chmod(0o600)
    done = CliRunner().invoke(cli, ["agent", "release", "--config", str(file), "--json"])
    assert done.exit_code == 2
    assert "only agents of Kubernetes hold jobs" in done.output

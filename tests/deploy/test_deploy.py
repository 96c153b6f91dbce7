"""What operators deploy: the unit by systemd's own check, the chart by Helm's engine and an API server."""

import configparser
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import chart
from helm_python.errors import HelmError
from testbeds.kubernetes import KubernetesCluster

from hutong.adapters.engines.kubernetes.inspect import HOLD, NEEDED
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.agent.config import read_agent

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "hutong-agent.service"
CHART = DEPLOY / "helm" / "hutong-agent"
VALUES: dict[str, Any] = {
    "site": "beijing-a",
    "platform": {"url": "https://hutong.example", "proxy": "http://proxy.example:3128"},
    "token": {"secret": "site-token"},
    "engine": 'kind = "slurm"\nroot = "/srv/hutong"\n\n[engine.pools.npu]\ngres = "npu:910c"\n',
    "image": {"repository": "registry.example/hutong"},
    "networkPolicy": {"cidrs": ["10.0.0.0/8"]},
}
PATHS = {
    "ConfigMap": "/api/v1/namespaces/default/configmaps",
    "Deployment": "/apis/apps/v1/namespaces/default/deployments",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
    "PersistentVolumeClaim": "/api/v1/namespaces/default/persistentvolumeclaims",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
    "ServiceAccount": "/api/v1/namespaces/default/serviceaccounts",
}


def render(**values: Any) -> dict[str, dict[str, Any]]:
    """Return the manifests of the chart by kind."""
    with chart.Chart.load(CHART) as loaded:
        texts = loaded.render({**VALUES, **values}, name="agent", namespace="default")
    manifests = [
        each for name, text in texts.items() if name.endswith(".yaml") for each in yaml.safe_load_all(text)
    ]
    return {each["kind"]: each for each in manifests if each}


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.fail("systemd-analyze is missing: apt-get install --no-install-recommends -y systemd")
    text = UNIT.read_text()
    program = "/opt/hutong/bin/hutong"
    assert f"ExecStart={program} agent run" in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, "/bin/true"))  # it wants the program to be there
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_lets_jobs_live_on_and_gives_no_rights_away() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    service = dict(unit["Service"])
    assert service["KillMode"] == "process"
    assert service["OOMPolicy"] == "continue"
    assert service["Restart"] == "on-failure"
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")
    assert service["User"] not in {"", "root"}


def test_helm_finds_nothing_to_complain_of() -> None:
    report = chart.lint(CHART, VALUES, strict=True)
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("name", ["site", "platform", "token", "engine", "image"])
def test_the_chart_says_what_it_misses(name: str) -> None:
    with pytest.raises(HelmError, match=name):
        render(**{name: "" if isinstance(VALUES[name], str) else {}})


def test_the_chart_refuses_values_that_make_no_sense() -> None:
    with pytest.raises(HelmError):
        render(user=0)
    with pytest.raises(HelmError):
        render(platform={"url": "hutong.example"})


def test_the_agent_reads_the_file_that_the_chart_makes(tmp_path: Path) -> None:
    text = render()["ConfigMap"]["data"]["agent.toml"]
    token_file = tomllib.loads(text)["token_file"]
    (tmp_path / "token").write_text("secret")
    (tmp_path / "agent.toml").write_text(text.replace(token_file, str(tmp_path / "token")))
    config = read_agent(tmp_path / "agent.toml")
    assert (config.site, config.proxy) == ("beijing-a", "http://proxy.example:3128")
    assert isinstance(config.engine, SlurmConfig)
    mounts = render()["Deployment"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    at = {each["mountPath"] for each in mounts}
    assert {str(Path(token_file).parent), str(config.root), str(config.engine.folder.root)} <= at


def test_the_pod_meets_the_restricted_standard_and_only_one_runs() -> None:
    spec = render()["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
    assert all(volume.keys() - {"name"} <= allowed for volume in pod["volumes"])


def test_nothing_may_call_the_agent_and_it_may_do_little() -> None:
    found = render()
    policy = found["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    assert policy["egress"][1]["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    rules = found["Role"]["rules"]
    assert {name for rule in rules for name in rule["resources"]} == {
        "jobs", "jobsets", "pods", "services", "networkpolicies", "events",
    }  # fmt: skip
    held = (("batch", "jobs", HOLD), ("jobset.x-k8s.io", "jobsets", HOLD))
    for group, name, verbs in (*NEEDED, *held):
        mine = [
            set(each["verbs"]) for each in rules if group in each["apiGroups"] and name in each["resources"]
        ]
        assert set(verbs) <= set().union(*mine)
    (wide,) = found["ClusterRole"]["rules"]
    assert (wide["resources"], wide["verbs"]) == (["nodes", "pods"], ["list"])
    assert "ClusterRole" not in render(rbac={"cluster": False})
    assert not any(
        "*" in rule[part] for rule in [*rules, wide] for part in ("verbs", "resources", "apiGroups")
    )


def test_a_claim_that_is_there_is_used() -> None:
    found = render(attempts={"existingClaim": "lustre"})
    assert "PersistentVolumeClaim" not in found
    volumes = found["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "attempts", "persistentVolumeClaim": {"claimName": "lustre"}} in volumes


@pytest.fixture(scope="module")
def cluster() -> Iterator[KubernetesCluster]:
    with KubernetesCluster() as running:
        yield running


def lost(sent: Any, kept: Any, at: str = "") -> list[str]:
    """Return where the server did not keep what was sent: it drops fields that it does not know."""
    if isinstance(sent, dict):
        there = kept if isinstance(kept, dict) else {}
        return [each for name, value in sent.items() for each in lost(value, there.get(name), f"{at}/{name}")]
    if isinstance(sent, list):
        there = kept if isinstance(kept, list) and len(kept) == len(sent) else [None] * len(sent)
        return [
            each for index, value in enumerate(sent) for each in lost(value, there[index], f"{at}/{index}")
        ]
    return [] if sent == kept else [f"{at}: {sent!r} became {kept!r}"]


@pytest.mark.parametrize("kind", sorted(PATHS))
def test_an_api_server_takes_every_manifest_and_knows_every_field(
    cluster: KubernetesCluster, kind: str
) -> None:
    found = render()
    assert found.keys() == PATHS.keys()
    answer = cluster.request("POST", f"{PATHS[kind]}?dryRun=All", found[kind])
    assert answer.status_code == 201, answer.text
    assert lost(found[kind], answer.json()) == []

"""A platform with centres of several kinds: real schedulers on loopback, each with its own agent process."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from bench.forked import Forked, Nursery
from bench.rig import Rig
from testbeds.kubernetes import KubernetesCluster
from testbeds.ray import RayCluster

from hutong import Client
from hutong.wire.sites import NewSite

PAYLOAD_BIN = Path(__file__).resolve().parents[1] / ".venv-payload" / "bin"


@dataclass
class Centres:
    """API and loop over SQLite, and sites that are added one after another.

    With a `nursery` their agents are forked from it, else each is a Python that starts anew.
    """

    folder: Path
    rig: Rig = field(init=False)
    nursery: Nursery | None = None
    _agents: dict[str, "subprocess.Popen[bytes] | Forked"] = field(default_factory=dict)

    def __enter__(self) -> "Centres":
        data = self.folder / "data"
        data.mkdir()
        self.rig = Rig(data, f"sqlite:///{data / 'hutong.sqlite'}")
        self.rig.__enter__()
        self.rig.set_up()
        self.rig.give_money("100000")
        with self.client() as client:
            client.sites.set_admission("bj", "inactive")  # the rig's own site has no agent
        self.rig.start("loop")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._agents):
            self.stop_agent(name)
        if self.nursery is not None:
            self.nursery.close()
        self.rig.__exit__(kind, error, trace)

    def client(self) -> Client:
        """Return a client of the project's owner."""
        return Client(self.rig.url, self.rig.token)

    def add(
        self,
        name: str,
        accelerator: str,
        price: str,
        engine: Mapping[str, Any],
        pools: Mapping[str, Any] = MappingProxyType({}),
        cards_per_node: int = 4,
    ) -> None:
        """Register a site with one pool `p` of three nodes and start its agent; `engine` and `pools` go into its file."""
        site = {
            "id": name, "name_zh": name, "name_en": name, "region": "beijing", "distance_km": 20,
            "engine": engine.get("kind", "local"), "declared_only": True,
            "pools": [
                {"id": "p", "accelerator": accelerator, "nodes": 3, "cards_per_node": cards_per_node,
                 "price_per_card_hour": {"amount": price}, "pue": "1.2"},
            ],
            "supply": {"green_ppm": [500_000] * 24, "grams_per_kwh": [500] * 24, "source": "invented",
                       "synthetic": True},
        }  # fmt: skip
        with self.client() as client:
            client.sites.create(NewSite.model_validate(site))
            token = client.sites.create_token(name).secret or ""
        root = self.folder / name
        (root / "attempts").mkdir(parents=True)
        rows = {"site": name, "url": self.rig.url, "token": token, "root": str(root / "agent")}
        common: dict[str, Any] = {"root": str(root / "attempts"), "path": [str(PAYLOAD_BIN)]}
        if engine.get("kind") != "kubernetes":
            common["isolation"] = "none"
        text = _toml(rows) + "\n[engine]\n" + _toml({**common, **engine})
        text += "".join(f"\n[engine.pools.{pool}]\n{_toml(rows)}" for pool, rows in (pools or {}).items())
        (root / "agent.toml").write_text(text)
        self.start_agent(name)

    def add_slurm(
        self,
        name: str,
        accelerator: str,
        price: str,
        conf: Path,
        gres: str,
        *,
        cards_per_node: int = 4,
        poll_s: float = 0.3,
        licenses: str = "",
        rest_url: str = "",
        arrays: bool = False,
    ) -> None:
        """Add a site on a Slurm cluster, by slurmrestd if there is one, where each job asks for these licences too."""
        engine: dict[str, Any] = {
            "kind": "slurm", "conf": str(conf), "python": sys.executable, "poll_s": poll_s, "lag_s": 10,
            "arrays": arrays,
        }  # fmt: skip
        if rest_url:
            token = ["env", f"SLURM_CONF={conf}", "scontrol", "token", "lifespan=3600"]
            engine |= {"rest_url": rest_url, "rest_token_command": token}
        self.add(
            name, accelerator, price, engine, {"p": {"gres": gres, "licenses": licenses}}, cards_per_node
        )

    def add_ray(self, name: str, accelerator: str, price: str, cluster: RayCluster, resource: str) -> None:
        """Add a site on a Ray cluster, whose cards are a custom resource."""
        engine = {"kind": "ray", "url": cluster.url, "python": sys.executable, "poll_s": 0.3, "lag_s": 10,
                  "ray_python": str(cluster.python)}  # fmt: skip
        pool = {"per_card": {resource: 1}, "cpus_per_card": 0.1}
        self.add(name, accelerator, price, engine, {"p": pool})

    def add_kubernetes(self, name: str, accelerator: str, price: str, cluster: KubernetesCluster) -> None:
        """Add a site on a Kubernetes cluster of the testbed, where a pod is a process and a volume a folder."""
        volume = {"host_path": str(self.folder), "mount": str(self.folder)}
        engine = {"kind": "kubernetes", "kubeconfig": str(cluster.kubeconfig), "python": sys.executable,
                  "lag_s": 10, "volume": volume}  # fmt: skip
        pool = {"device": "huawei.com/Ascend910", "image": "registry.example/train:1"}
        self.add(name, accelerator, price, engine, {"p": pool})

    def kill_agent(self, name: str) -> None:
        """Kill a site's agent with SIGKILL; its jobs go on, and `start_agent` starts another."""
        agent = self._agents.pop(name)
        agent.kill()
        agent.wait(20)

    def begun(self, name: str) -> int:
        """Return how many agents of a site have got to work so far."""
        return (self.folder / name / "agent.log").read_text().count('"agent began"')

    def agent_pid(self, name: str) -> int:
        """Return the process of a site's agent."""
        return self._agents[name].pid

    def start_agent(self, name: str) -> None:
        """Start a site's agent and wait until the platform hears it."""
        root = self.folder / name
        if self.nursery is not None:
            self._agents[name] = self.nursery.start(root / "agent.toml", root / "agent.log")
        else:
            with (root / "agent.log").open("ab") as log:
                command = ["-m", "hutong.main", "agent", "run", "--config", str(root / "agent.toml")]
                self._agents[name] = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)
        with self.client() as client:
            wait_until(lambda: client.sites.get(name).reachable, 600, (root / "agent.log").read_text)

    def stop_agent(self, name: str) -> None:
        """End a site's agent; its jobs go on."""
        agent = self._agents.pop(name)
        agent.send_signal(signal.SIGTERM)
        try:
            agent.wait(20)
        except (subprocess.TimeoutExpired, TimeoutError):  # its engine is gone, and a question to it is open
            agent.kill()
            agent.wait(20)


def _toml(rows: Mapping[str, Any]) -> str:
    return "".join(f"{name} = {_value(value)}\n" for name, value in rows.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_value(each)}" for name, each in value.items()) + "}"
    return json.dumps(value)


def wait_until(true: Callable[[], object], within_s: float, tell: Callable[[], object]) -> None:
    """Wait for a condition; what `tell` says is the message if it never comes true."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, tell()
        time.sleep(0.1)

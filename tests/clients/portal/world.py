"""A world for the portal's tests: the real API, store and loop, and agents that use their own door."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from hutong.adapters.objects.open import open_objects
from hutong.adapters.store.open import open_store
from hutong.clients.portal.app import make_portal
from hutong.clients.portal.inprocess import InProcess
from hutong.config import Settings, now_ms
from hutong.server.api.app import make_app
from hutong.server.loop import Loop
from hutong.server.services import Services, bootstrap, make_services
from hutong.wire.base import rfc3339

PASSWORD = "a quiet alley in the north"
HOUR_MS = 3_600_000
LOG = "".join(
    f"step {n:4d}  loss {6.2 - n * 0.011:.4f}  tokens/s {2100 + n % 37}\n" for n in range(0, 240, 5)
)


def site(name: str, zh: str, en: str, km: int, green: int, *pools: dict[str, Any]) -> dict[str, Any]:
    """Return a site as its operator declares it."""
    return {
        "id": name, "name_zh": zh, "name_en": en, "region": "north", "distance_km": km, "pools": list(pools),
        "supply": {
            "green_ppm": [green] * 24, "grams_per_kwh": [560] * 24,
            "source": "invented for tests", "synthetic": True,
        },
        "declared_only": True,
    }  # fmt: skip


def pool(name: str, chip: str, nodes: int, price: str, pue: str) -> dict[str, Any]:
    """Return a pool of nodes with eight cards each."""
    return {
        "id": name, "accelerator": chip, "nodes": nodes, "cards_per_node": 8,
        "price_per_card_hour": {"amount": price}, "pue": pue,
    }  # fmt: skip


_HEADER = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
MODEL = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"], "hidden_size": 2}',
    "model.safetensors": len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(8),
}

SITES = (
    site("haidian", "海淀算力中心", "Haidian Computing Centre", 12, 310_000,
         pool("a100", "A100", 4, "9.6", "1.28")),
    site("zhangbei", "张北绿色算力中心", "Zhangbei Green Computing Centre", 240, 780_000,
         pool("910b", "Ascend910B", 8, "6.4", "1.12")),
    site("ulanqab", "乌兰察布算力中心", "Ulanqab Computing Centre", 410, 640_000,
         pool("mlu", "MLU370", 6, "4.2", "1.18"), pool("h20", "H20", 2, "8.8", "1.18")),
)  # fmt: skip
SPEC: dict[str, Any] = {
    "name": "train-tiny-llm",
    "num_nodes": 2,
    "resources": {"accelerators": {"A100": 8, "Ascend910B": 8, "H20": 8}},
    "run": "torchrun train.py",
    "max_duration": "6h",
}


@dataclass(slots=True)
class Clock:
    """The platform's clock, which a test can push ahead."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms


@dataclass
class World:
    """The API with the portal mounted, and hands to play the operator, a user, the loop and the agents."""

    app: FastAPI
    services: Services
    clock: Clock
    http: TestClient
    loop: Loop
    operator: dict[str, str]
    agents: dict[str, dict[str, str]] = field(default_factory=dict)
    running: dict[str, set[str]] = field(default_factory=dict)

    def call(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None, verb: str = "POST"
    ) -> Any:
        """Call the API, as the operator unless told otherwise; must succeed."""
        answer = self.http.request(verb, path, json=body, headers=headers or self.operator)
        assert answer.status_code < 300, f"{verb} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def person(self, name: str, shown: str) -> dict[str, str]:
        """Make a person and sign them in to the API."""
        self.call("/v1/people", {"id": name, "name": shown, "institution": "tsinghua", "password": PASSWORD})
        token = self.call("/v1/login", {"person": name, "password": PASSWORD})["secret"]
        return {"Authorization": f"Bearer {token}"}

    def project(self, name: str, title: str, owner: str, award: str = "20000", voucher: str = "3000") -> None:
        """Open a project with an award and a voucher that pays 40 %."""
        self.call("/v1/projects", {"id": name, "institution": "tsinghua", "title": title, "owner": owner})
        times = {"starts": rfc3339(self.clock() - HOUR_MS), "ends": rfc3339(self.clock() + 90 * 24 * HOUR_MS)}
        self.call(f"/v1/projects/{name}/awards", {"amount": {"amount": award}, **times})
        times["ends"] = rfc3339(self.clock() + 30 * 24 * HOUR_MS)
        self.call(f"/v1/projects/{name}/vouchers", {"face": {"amount": voucher}, "rate_percent": 40, **times})

    def submit(self, who: dict[str, str], project: str, **changes: Any) -> str:
        """Submit a job; return its id."""
        job: str = self.call("/v1/jobs", {"project": project, "spec": {**SPEC, **changes}}, who)["id"]
        return job

    def settle(self) -> None:
        """Let the loop turn until it has nothing more to say."""
        for _ in range(20):
            if not self.loop.step():
                return
        raise AssertionError("the loop does not come to rest")

    def sighting(self, site: str) -> None:
        """Have a site's agent call in and say what it sees."""
        keys = sorted(self.running.get(site, ()))
        seen = {
            "at_ms": self.clock(),
            "known": keys,
            "live": keys,
            "agent": "test",
            "isolation": "bubblewrap",
        }
        self.call("/v1/agent/report", {"sighting": seen}, self.agents[site])

    def say(self, key: str, site: str, **event: Any) -> None:
        """Have a site's agent report what happened to an attempt."""
        self.call("/v1/agent/report", {"reports": [{"key": key, "event": event}]}, self.agents[site])

    def attempt(self, job: str) -> dict[str, Any]:
        """Return a job's latest attempt."""
        found: dict[str, Any] = self.call(f"/v1/jobs/{job}", verb="GET")["attempts"][-1]
        return found

    def start(self, job: str) -> dict[str, Any]:
        """Have the job placed, taken by its site's agent, and started; return its attempt."""
        self.settle()
        attempt = self.attempt(job)
        site, key, number = attempt["site"], attempt["key"], attempt["number"]
        self.call("/v1/agent/take", {}, self.agents[site])
        self.say(key, site, kind="accepted", attempt=number, external_id="local:4711", adopted=False)
        self.clock.ahead_ms += 2_300
        self.say(key, site, kind="starting", attempt=number)
        self.clock.ahead_ms += 9_100
        self.say(key, site, kind="started", attempt=number, started_ms=self.clock())
        self.running.setdefault(site, set()).add(key)
        self.sighting(site)
        return attempt

    def log(self, attempt: dict[str, Any], text: str, offset: int = 0, *, whole: bool = False) -> int:
        """Have the agent send a piece of rank 0's log; return how far it reaches."""
        path = f"/v1/agent/logs/{attempt['key']}/0?offset={offset}&whole={str(whole).lower()}"
        answer = self.http.put(path, content=text.encode(), headers=self.agents[attempt["site"]])
        assert answer.status_code == 200, answer.text
        size: int = answer.json()["size_bytes"]
        return size

    def keep(self, attempt: dict[str, Any], path: str, content: bytes) -> dict[str, Any]:
        """Have the agent store a file; return it as an output."""
        digest = f"sha256:{sha256(content).hexdigest()}"
        headers = self.agents[attempt["site"]]
        answer = self.http.put(f"/v1/agent/objects/{digest}", content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        return {"path": path, "size_bytes": len(content), "digest": digest}

    def finish(
        self,
        attempt: dict[str, Any],
        ran_ms: int,
        *,
        code: int = 0,
        outputs: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Have the attempt end after it ran for so long, and its files collected."""
        self.clock.ahead_ms += ran_ms
        key, site, number = attempt["key"], attempt["site"], attempt["number"]
        end_ms = self.clock()
        exits = [{"rank": rank, "code": code} for rank in range(attempt["nodes"])]
        outcome = {"outcome": "FAILED", "category": "user", "reason": f"rank 0 exited with {code}"}
        if not code:
            outcome = {"outcome": "SUCCEEDED", "category": "none", "reason": ""}
        self.say(
            key, site, kind="ended", attempt=number, started_ms=end_ms - ran_ms, ended_ms=end_ms,
            ran_ms=ran_ms, exits=exits, **outcome,
        )  # fmt: skip
        self.say(key, site, kind="collected", attempt=number, outputs=list(outputs), log_bytes=0)
        self.running[site].discard(key)
        for name in self.agents:
            self.sighting(name)
        self.settle()

    def signed_in(self, name: str) -> "TestClient":
        """Return a browser without scripts, signed in to the portal."""
        browser = TestClient(self.app, base_url="http://portal.test", follow_redirects=False)
        page = browser.get("/sign-in").text
        form = {"person": name, "password": PASSWORD, "next": "/jobs", "form_token": token_in(page)}
        answer = browser.post("/sign-in", data=form)
        assert answer.status_code == 303, answer.text
        return browser


def token_in(page: str) -> str:
    """Return the token that a page's form carries."""
    return page.partition('name="form_token" value="')[2].partition('"')[0]


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """Open a platform with a tenant, three sites and an operator; closed at the end."""
    clock = Clock()
    settings = Settings(data=folder)
    store, objects = open_store(settings.database_url), open_objects(settings.objects_url)
    services = make_services(settings, store, objects, clock=clock)
    _, secret = bootstrap(services, PASSWORD)
    app = make_app(services)
    app.mount("/", make_portal(InProcess(app)))
    with TestClient(app) as http:
        loop = Loop(services.store, services.rules, clock, "test")
        world = World(app, services, clock, http, loop, {"Authorization": f"Bearer {secret}"})
        tenant = {
            "id": "tsinghua",
            "kind": "university",
            "name_zh": "清华大学",
            "name_en": "Tsinghua University",
        }
        world.call("/v1/institutions", tenant)
        for each in SITES:
            world.call("/v1/sites", each)
            secret = world.call(f"/v1/sites/{each['id']}/tokens")["secret"]
            world.agents[each["id"]] = {"Authorization": f"Bearer {secret}"}
            world.sighting(each["id"])
        yield world
    services.close()


def tell_story(world: World) -> dict[str, str]:
    """Fill the world with Li's work: jobs in every sort of state, a model and its deployment."""
    li = world.person("li", "李晓雨")
    world.project("physics", "大模型物理先导专项", "li")
    jobs = {"done": world.submit(li, "physics")}
    attempt = world.start(jobs["done"])
    world.log(attempt, LOG, whole=True)
    kept = [world.keep(attempt, f"model/{path}", content) for path, content in MODEL.items()]
    world.finish(attempt, 27 * 60_000, outputs=kept)
    world.call("/v1/models", {"name": "tiny-llm", "project": "physics", "job": jobs["done"]}, li)
    jobs["failed"] = world.submit(li, "physics", name="evaluate-weather", num_nodes=1)
    attempt = world.start(jobs["failed"])
    world.log(attempt, "Traceback (most recent call last):\nKeyError: 'temperature'\n", whole=True)
    world.finish(attempt, 95_000, code=1)
    jobs["running"] = world.submit(li, "physics", name="finetune-classical-poems")
    attempt = world.start(jobs["running"])
    world.log(attempt, LOG)
    jobs["queued"] = world.submit(
        li,
        "physics",
        name="ablation-03",
        num_nodes=6,
        resources={"accelerators": {"Ascend910B": 8}},
        max_duration="1h",
    )
    jobs["waiting"] = world.submit(
        li,
        "physics",
        name="ablation-04",
        num_nodes=4,
        resources={"accelerators": {"Ascend910B": 8}},
        max_duration="1h",
    )
    deployment = {"name": "chat", "project": "physics", "model": "tiny-llm", "accelerators": {"A100": 1}}
    jobs["serving"] = world.call("/v1/deployments", deployment, li)["job"]
    world.settle()
    return jobs

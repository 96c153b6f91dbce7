"""The API does what its OpenAPI document says, whatever a client may send: a bounded sample of each route."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hutong.server.api.app import make_app
from hutong.server.loop import Loop

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 4


def prepare(case: Any, real: dict[str, str]) -> None:
    """Name things that exist, so that more than 404 is seen; and never wait for commands."""
    for name, value in real.items():
        if case.path_parameters and name in case.path_parameters:
            case.path_parameters[name] = value
    if case.operation.path == "/v1/agent/take" and isinstance(case.body, dict):
        case.body["wait_s"] = 0


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True], ids=["any names", "names that exist"])
def test_every_route_answers_as_described(
    platform: Any, li: dict[str, str], submit: Any, named: bool
) -> None:
    job = submit()["id"]
    platform.post(f"/v1/jobs/{job}/cancel", {"reason": "so that its streams end"})
    services = platform.services
    loop = Loop(services.store, services.rules, services.clock, "test")
    while loop.step():
        pass
    assert services.store.job(job).job.final
    headers = platform.person("mei", "chemistry")
    agent = platform.agent("haidian")
    real = {"project": "physics", "person": "li", "institution": "tsinghua", "site": "haidian"}
    if named:
        real |= {"job": job, "call": "spring", "n": "1", "other": "operator"}
        spec = {"run": "true", "resources": {"accelerators": "A100:1"}, "array": "0-2%1"}
        real["array"] = platform.post("/v1/arrays", {"project": "physics", "spec": spec}, headers=li)["id"]
        real["application"] = real["allocation"] = allocation(platform, li)
    api = schemathesis.openapi.from_asgi("/openapi.json", make_app(platform.services))
    for found in api.get_all_operations():
        operation = found.ok()
        if operation.path == "/v1/logout":
            continue
        door = operation.path.startswith("/v1/agent")
        sample(operation, [agent] if door else [platform.operator, headers], real if named else {})


def allocation(platform: Any, li: dict[str, str]) -> str:
    """Return the id of an allocation of physics, with a change asked for; its application has the same."""
    platform.post("/v1/programmes", {"id": "science", "name_zh": "科", "name_en": "S"})
    body = {
        "id": "spring", "programme": "science", "title": "Spring", "opens": "2026-01-01T00:00:00Z",
        "closes": "2090-01-01T00:00:00Z", "starts": "2026-01-01T00:00:00Z", "ends": "2091-01-01T00:00:00Z",
        "budget": {"amount": "100"}, "policy": {"accept_at_once": {"amount": "50"}},
    }  # fmt: skip
    platform.post("/v1/calls", body)
    asked = {"call": "spring", "title": "t", "narrative": "what it is for " * 3, "amount": {"amount": "5"}}
    draft = platform.post("/v1/projects/physics/applications", asked, headers=li)["id"]
    made = platform.post(f"/v1/applications/{draft}/submit", headers=li)
    assert made["state"] == "awarded"
    change = {"kind": "supplement", "amount": {"amount": "5"}, "reason": "more"}
    platform.post(f"/v1/allocations/{draft}/changes", change, headers=li)
    return str(draft)


def sample(operation: Any, tokens: list[dict[str, str]], real: dict[str, str]) -> None:
    """Call one operation with a few cases made from its description, once with each token."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        prepare(case, real)
        for token in tokens:
            case.call_and_validate(headers=token, checks=CHECKS)

    run()


def test_operations_and_schemas_have_names_of_their_own(platform: Any) -> None:
    """Generated clients call things by these names; two classes of one name would get those of modules."""
    document = platform.http.get("/openapi.json").json()
    operations = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(operations) == len(set(operations)) > 200
    assert not [name for name in document["components"]["schemas"] if name.startswith("hutong__")]

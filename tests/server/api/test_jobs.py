"""What a user may rely on when submitting and looking at jobs."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

SPEC: dict[str, Any] = {"name": "train", "resources": {"accelerators": "A100:1"}, "run": "echo hello"}


def test_a_submitted_job_is_there_at_once_and_for_its_project_only(
    platform: Any, li: dict[str, str], wang: dict[str, str]
) -> None:
    answer = platform.http.post("/v1/jobs", json={"project": "physics", "spec": SPEC}, headers=li)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert job["state"] == "ACCEPTED"
    assert job["accelerators"] == ["A100:1"]
    detail = platform.http.get(f"/v1/jobs/{job['id']}", headers=li).json()
    assert detail["submitted"] == job["submitted"]
    assert detail["spec"]["run"] == "echo hello"
    assert platform.http.get(f"/v1/jobs/{job['id']}", headers=wang).status_code == 404
    assert platform.http.get(f"/v1/jobs/{job['id']}", headers=platform.operator).status_code == 200
    assert platform.http.get("/v1/jobs", headers=wang).json()["items"] == []
    assert platform.http.get("/v1/jobs?project=physics", headers=wang).status_code == 404
    facts = platform.http.get(f"/v1/jobs/{job['id']}/facts", headers=li).json()["items"]
    assert [fact["kind"] for fact in facts] == ["submitted"]

"""Links and large inputs through the API: declared, listed, taken away; sizes looked up; why a job waits."""

from hashlib import sha256
from typing import Any

import pytest
from tests.server.conftest import SITE, SPEC

from hutong.core.book.store import Sighting
from hutong.core.capacity.sites import Transfer
from hutong.core.kernel.ids import SiteId
from hutong.wire.agent import Manifest, ManifestFile

URL = "/v1/links"
LINK = {
    "one": "site/haidian", "other": "platform", "bits_per_s": 10**10, "rtt_us": 400, "source": "a contract",
    "synthetic": False,
}  # fmt: skip
GB = 10**9


def put(platform: Any, **changes: Any) -> Any:
    """Declare a link as an operator."""
    return platform.http.put(URL, json={**LINK, **changes}, headers=platform.operator)


def test_a_link_is_declared_listed_changed_and_taken_away(platform: Any, li: dict[str, str]) -> None:
    made = put(platform)
    assert made.status_code == 200, made.text
    shown = {**LINK, "one": "platform", "other": "site/haidian", "id": "platform|site/haidian"}
    assert made.json() == shown
    wider = put(platform, one="platform", other="site/haidian", bits_per_s=2 * 10**10).json()
    assert wider["bits_per_s"] == 2 * 10**10
    assert platform.http.get(URL, headers=li).json()["items"] == [wider], "everybody sees it, once"
    assert platform.http.put(URL, json=LINK, headers=li).status_code == 403
    ends = {"one": "site/haidian", "other": "platform"}
    assert platform.http.delete(URL, params=ends, headers=li).status_code == 403
    assert platform.http.delete(URL, params=ends, headers=platform.operator).status_code == 204
    assert platform.http.delete(URL, params=ends, headers=platform.operator).status_code == 404
    assert put(platform, one="region/beijing", other="region/beijing").status_code == 200


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"one": "site/nowhere"}, "/one"),
        ({"other": "region/Atlantis"}, "/other"),
        ({"one": "platform"}, "/other"),
        ({"one": "haidian"}, "/one"),
        ({"bits_per_s": 0}, "/bits_per_s"),
        ({"source": ""}, "/source"),
    ],
)
def test_what_cannot_be_meant_names_the_field(
    platform: Any,
    li: dict[str, str],
    changes: dict[str, Any],
    path: str,
) -> None:
    answer = put(platform, **changes)
    assert answer.status_code == 422, answer.text
    assert path in [each["path"] for each in answer.json()["problems"]]


def upload(platform: Any, who: dict[str, str], data: bytes) -> str:
    """Store bytes and return their digest."""
    digest = f"sha256:{sha256(data).hexdigest()}"
    answer = platform.http.put(f"/v1/objects/{digest}", content=data, headers=who)
    assert answer.status_code == 200, answer.text
    return digest


def manifest(platform: Any, who: dict[str, str], size_bytes: int) -> str:
    """Store the manifest of two files of that size together; nobody looks whether they are there."""
    parts = (size_bytes // 3, size_bytes - size_bytes // 3)
    files = tuple(
        ManifestFile(path=f"part-{at}", size_bytes=each, digest=f"sha256:{at:064x}")
        for at, each in enumerate(parts)
    )
    return upload(platform, who, Manifest(files=files).model_dump_json().encode())


def test_sizes_are_looked_up_when_a_job_comes_in(platform: Any, li: dict[str, str], submit: Any) -> None:
    work, bad = upload(platform, li, b"x" * 1000), upload(platform, li, b"no manifest")
    data = manifest(platform, li, 42 * GB)
    inputs = [
        {"mount": "data", "digest": data, "kind": "manifest"},
        {"mount": "bad", "digest": bad, "kind": "manifest"},
        {"mount": "pack", "digest": bad, "kind": "bundle"},
    ]
    made = submit(workdir={"digest": work}, inputs=inputs)
    row = platform.services.store.job(made["id"])
    assert [each.size_bytes for each in row.spec.inputs] == [1000, 42 * GB, 0, 11]
    body = {"jobs": [{"project": "physics", "spec": {**SPEC, "inputs": inputs[:1]}}]}
    (other,) = platform.post("/v1/jobs/batch", body, headers=li)["ids"]
    assert platform.services.store.job(other).spec.inputs[0].size_bytes == 42 * GB
    shown = platform.http.get(f"/v1/jobs/{made['id']}", headers=li).json()["spec"]
    assert "size_bytes" not in str(shown), "the job file is shown as it was written"


def test_a_check_says_what_must_be_moved_and_where_it_is(platform: Any, li: dict[str, str]) -> None:
    far = {**SITE, "id": "tianjin", "region": "tianjin"}
    platform.post("/v1/sites", far)
    put(platform)
    data = manifest(platform, li, 42 * GB)
    store, now_ms = platform.services.store, platform.clock()
    none: frozenset[Any] = frozenset()
    store.report(SiteId("haidian"), [], Sighting(now_ms, none, none), now_ms)
    store.report(SiteId("tianjin"), [], Sighting(now_ms, none, none, stock=(data,)), now_ms)

    def waits() -> dict[str, str]:
        spec = {**SPEC, "inputs": [{"mount": "data", "digest": data, "kind": "manifest"}]}
        found = platform.post("/v1/jobs/check", {"project": "physics", "spec": spec}, headers=li)
        return {
            each["site"]: part["raw"]
            for each in found["alternatives"]
            for part in each["parts"]
            if part["name"] == "wait"
        }

    assert waits() == {
        "haidian": "34 s; 42 GB to move over 10 Gbit/s: about 34 s",
        "tianjin": "0 s; its large inputs are there",
    }
    store.report(SiteId("tianjin"), [], Sighting(now_ms + 1, none, none), now_ms + 1)
    assert waits()["tianjin"] == "336 s; 42 GB to move over 1 Gbit/s (assumed): about 6 min"
    came = tuple(Transfer(now_ms + at, GB, 4000) for at in range(5))
    store.report(SiteId("tianjin"), [], Sighting(now_ms + 2, none, none, transfers=came), now_ms + 2)
    assert waits()["tianjin"] == "168 s; 42 GB to move over 2 Gbit/s (by 5 transfers): about 3 min"
    sites = platform.http.get("/v1/sites", headers=li)
    assert data not in sites.text, "a digest is a capability"
    learnt = {each["id"]: each["learnt"] for each in sites.json()["items"]}
    assert learnt["haidian"] is None
    assert learnt["tianjin"].pop("at")
    assert learnt["tianjin"] == {"bits_per_s": 2 * GB, "transfers": 5, "counts": True}

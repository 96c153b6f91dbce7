"""Every wrong request gets a problem that says what is wrong; ours never say more than that it is ours."""

from typing import Any

from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from hutong.core.kernel.errors import Broken, Later
from hutong.server.api.app import make_app


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["status"], found["code"]) == (status, code)
    return found


def test_wrong_requests(platform: Any, li: dict[str, str]) -> None:
    http = platform.http
    problem(http.get("/v1/nothing"), 404, "no_such_route")
    wrong = http.put("/v1/jobs", headers=li)
    problem(wrong, 405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"]
    json = {**li, "Content-Type": "application/json"}
    problem(http.post("/v1/jobs", content=b"{'a'", headers=json), 400, "bad_json")
    problem(http.post("/v1/jobs", content=b"{\xff\xff", headers=json), 400, "bad_request")
    problem(http.post("/v1/jobs", content=b"[" * 100_000, headers=json), 400, "bad_request")
    big = b'{"project": "physics", "spec": {"run": "' + b"x" * (1 << 20) + b'"}}'
    problem(http.post("/v1/jobs", content=big, headers=json), 413, "too_large")
    problem(http.post("/v1/jobs", content=iter([big]), headers=json), 413, "too_large")
    missing = problem(
        http.post("/v1/jobs", json={"project": "physics", "speck": {}}, headers=li), 422, "invalid"
    )
    assert {each["path"]: each["hint"] for each in missing["problems"]} == {
        "/spec": "this field is required",
        "/speck": "remove this field",
    }
    bad = problem(http.get("/v1/jobs?limit=0", headers=li), 422, "invalid")
    assert bad["problems"][0]["path"] == "?limit"
    bad = problem(http.get("/v1/jobs/UPPER", headers=li), 422, "invalid")
    assert bad["problems"][0]["path"] == "{job}"


def test_a_lone_surrogate_or_a_number_beyond_64_bits_is_refused_and_fails_nobody_else(
    platform: Any, li: dict[str, str]
) -> None:
    json = {**li, "Content-Type": "application/json"}
    for value in (b'"\\ud800"', b"1" + b"0" * 400, b"1e400", b"NaN"):
        for field in (b"run", b"num_nodes", b"name"):
            body = b'{"project":"physics","spec":{"run":"true","' + field + b'":' + value + b"}}"
            answer = platform.http.post("/v1/jobs", content=body, headers=json)
            assert answer.status_code in {400, 422}, (field, value, answer.text)


def test_our_own_faults_say_nothing_and_what_is_busy_says_when(platform: Any, li: dict[str, str]) -> None:
    app = make_app(platform.services)

    @app.get("/broken")
    def broken() -> None:
        raise Broken("the account of li does not balance")

    @app.get("/unexpected")
    def unexpected() -> None:
        raise KeyError("password of li")

    @app.get("/busy")
    def busy() -> None:
        raise Later("locked", 7)

    http = TestClient(app, raise_server_exceptions=False)
    for path in ("/broken", "/unexpected"):
        found = problem(http.get(path), 500, "internal")
        assert "li" not in found["detail"].split()
    later = http.get("/busy")
    problem(later, 503, "later")
    assert later.headers["Retry-After"] == "7"


def test_every_answer_carries_its_request_id_and_no_page_may_frame_it(platform: Any) -> None:
    answer = platform.http.get("/healthz", headers={"X-Request-Id": "abc-1"})
    assert answer.json() == {"status": "ok"}
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert len(platform.http.get("/healthz", headers={"X-Request-Id": "a b"}).headers["x-request-id"]) == 26
    assert (
        "access-control-allow-origin"
        not in platform.http.get("/healthz", headers={"Origin": "http://x"}).headers
    )


def test_what_is_mounted_beside_the_api_keeps_its_own_policy(platform: Any) -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("a page", headers={"Cache-Control": "max-age=60"})(scope, receive, send)

    app = make_app(platform.services)
    app.mount("/", page)
    http = TestClient(app)
    found = http.get("/jobs")
    assert found.text == "a page"
    assert found.headers["cache-control"] == "max-age=60"
    assert "content-security-policy" not in found.headers
    assert found.headers["x-content-type-options"] == "nosniff"
    assert http.get("/v1/me").status_code == 401


def test_the_meters_count_by_route_and_never_by_what_users_type(platform: Any, li: dict[str, str]) -> None:
    platform.http.get("/v1/jobs/01JD0000000000000000000000", headers=li)
    platform.http.get("/v1/secret-looking-path")
    text = platform.http.get("/metrics").text
    assert 'hutong_http_requests_total{method="GET",route="/v1/jobs/{job}",status="404"} 1.0' in text
    assert 'route="unknown",status="404"' in text
    assert "secret-looking" not in text

"""Coming and going: cookies, forms that only our pages can send, and places one may be led to."""

from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient

from hutong.clients.portal.app import _PAGES
from hutong.clients.portal.session import safe_next

_OPEN = {
    "/", "/sign-in", "/sign-in/with/{issuer}", "/sign-in/with/{issuer}/back", "/sign-out", "/language"
}  # fmt: skip


def browser_of(world: Any, url: str = "http://portal.test") -> TestClient:
    return TestClient(world.app, base_url=url, follow_redirects=False)


@pytest.mark.parametrize(("verb", "path"), [(verb, path) for verb, path, _ in _PAGES if path not in _OPEN])
def test_without_a_session_every_page_leads_to_the_door(world: Any, verb: str, path: str) -> None:
    browser = browser_of(world)
    path = path.replace("{job}", world.jobs["done"]).replace("{path:path}", "model/x.bin")
    if verb == "GET":
        answer = browser.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=%2F")
    else:
        assert browser.post(path, data={}).status_code == 403


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(world: Any, told: ModuleType) -> None:
    for url, name, secure in (
        ("http://portal.test", "ht_session", False),
        ("https://portal.test", "__Host-ht_session", True),
    ):
        browser = browser_of(world, url)
        token = told.token_in(browser.get("/sign-in").text)
        answer = browser.post(
            "/sign-in", data={"person": "li", "password": told.PASSWORD, "form_token": token}
        )
        cookie = next(
            each for each in answer.headers.get_list("set-cookie") if each.startswith(name + "=ht_session_")
        )
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie
        assert ("Secure" in cookie) is secure
        assert "expires=" in cookie.lower()


def test_a_wrong_password_is_told_beside_the_form_in_the_visitors_language(
    world: Any, told: ModuleType
) -> None:
    browser = browser_of(world)
    token = told.token_in(browser.get("/sign-in").text)
    for person, password in (("li", "wrong"), ("nobody", told.PASSWORD), ("NO SUCH NAME!", "x"), ("li", "")):
        answer = browser.post("/sign-in", data={"person": person, "password": password, "form_token": token})
        assert answer.status_code == 401, (person, password)
        assert "用户名与密码不符" in answer.text
        assert told.PASSWORD not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_sent_from_another_site_is_refused(
    world: Any, told: ModuleType, li: TestClient, headers: dict[str, str]
) -> None:
    job = world.jobs["running"]
    token = told.token_in(li.get(f"/jobs/{job}").text)
    answer = li.post(f"/jobs/{job}/cancel", data={"form_token": token}, headers=headers)
    assert answer.status_code == 403
    assert world.call(f"/v1/jobs/{job}", verb="GET")["conditions"]["cancel_asked_by"] == ""


def test_a_form_needs_the_token_of_its_own_visitor(world: Any, told: ModuleType, li: TestClient) -> None:
    job = world.jobs["running"]
    strangers = told.token_in(browser_of(world).get("/sign-in").text)
    for token in ("", "0" * 64, strangers, "中"):
        assert li.post(f"/jobs/{job}/cancel", data={"form_token": token}).status_code == 403
    login = {"person": "li", "password": told.PASSWORD, "form_token": strangers}
    assert browser_of(world).post("/sign-in", data=login).status_code == 403


def test_signing_out_ends_the_session_on_both_sides(world: Any, told: ModuleType) -> None:
    browser = world.signed_in("li")
    secret = browser.cookies["ht_session"]
    token = told.token_in(browser.get("/jobs").text)
    assert browser.post("/sign-out", data={"form_token": token}).headers["location"] == "/sign-in"
    assert "ht_session" not in browser.cookies
    old = world.http.get("/v1/me", headers={"Authorization": f"Bearer {secret}"})
    assert old.status_code == 401


def test_a_session_that_has_ended_is_forgotten_and_htmx_is_told(world: Any) -> None:
    browser = browser_of(world)
    browser.cookies.set("ht_session", "ht_session_01ARZ3NDEKTSV4RRFFQ69G5FAV_gone")
    answer = browser.get("/jobs", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/sign-in?next=%2Fjobs"
    assert 'ht_session=""' in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "target",
    ["//evil.test", "/\\evil.test", "https://evil.test/", "evil.test", "", "/jobs\nx", "javascript:alert(1)",
     "/" + "x" * 2000, "\\\\evil.test", "/a\\..\\b"],
)  # fmt: skip
def test_nobody_is_led_off_the_portal(world: Any, told: ModuleType, target: str) -> None:
    assert safe_next(target) == "/jobs"
    answer = browser_of(world).get("/language", params={"to": "en", "next": target})
    assert answer.headers["location"] == "/jobs"


def test_one_goes_on_to_where_one_wanted_to_be(world: Any, told: ModuleType) -> None:
    browser = browser_of(world)
    place = browser.get("/jobs?state=RUNNING").headers["location"]
    page = browser.get(place).text
    assert 'name="next" value="/jobs?state=RUNNING"' in page
    form = {
        "person": "li",
        "password": told.PASSWORD,
        "next": "/jobs?state=RUNNING",
        "form_token": told.token_in(page),
    }
    assert browser.post("/sign-in", data=form).headers["location"] == "/jobs?state=RUNNING"


def test_a_form_that_is_too_large_is_refused_before_it_is_read(li: TestClient) -> None:
    answer = li.post("/jobs/new", content=b"text=" + b"x" * 600_000)
    assert answer.status_code == 413


def test_a_read_only_view_shows_a_banner_on_every_page(world: Any, told: ModuleType) -> None:
    body = {"person": "li", "reason": "ticket 4711"}
    secret = world.call("/v1/access/views", body)["secret"]
    browser = browser_of(world)
    token = told.token_in(browser.get("/sign-in").text)
    form = {"person": "li", "password": secret, "form_token": token}
    assert browser.post("/sign-in", data=form).status_code == 303
    for path in ("/jobs", "/sites", "/models"):
        page = browser.get(path, headers={"accept-language": "en"}).text
        assert 'class="viewing" role="status"' in page, path
        assert "You can change nothing." in page
    ordinary = world.signed_in("li")
    assert 'class="viewing"' not in ordinary.get("/jobs").text

"""Sign-in through identity providers: two at once, whatever goes wrong on the way, and who ends sessions."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from testbeds.ports import Ports
from tests.oidc import mock_provider
from tests.server.provider import Bent, bent_provider, new_key


@pytest.fixture
def bent() -> Iterator[Bent]:
    with bent_provider() as found:
        yield found


@pytest.fixture
def ports() -> Iterator[Ports]:
    with Ports() as found:
        yield found


def enter(platform: Any, name: str, url: str, **more: Any) -> dict[str, Any]:
    """Enter a provider of the university."""
    body = {
        "url": url, "client_id": "hutong", "institution": "tsinghua", "name_zh": name, "name_en": name,
        "creates": True, **more,
    }  # fmt: skip
    answer = platform.http.put(f"/v1/issuers/{name}", json=body, headers=platform.operator)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def begin(platform: Any, name: str) -> dict[str, str]:
    answer = platform.http.post(f"/v1/issuers/{name}/begin", json={"back": "/models"})
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


def finish(platform: Any, name: str, flow: str, brought: dict[str, str]) -> Any:
    return platform.http.post(f"/v1/issuers/{name}/finish", json={"flow": flow, **brought})


def sign_in(platform: Any, name: str, bent: Bent, subject: str = "s-1", **claims: Any) -> dict[str, str]:
    """Sign in; return the session's headers."""
    begun = begin(platform, name)
    answer = finish(platform, name, begun["flow"], bent.visit(begun["address"], subject, **claims))
    assert answer.status_code == 201, answer.text
    assert answer.json()["back"] in {"/models", "/account"}
    return {"Authorization": f"Bearer {answer.json()['token']['secret']}"}


def me(platform: Any, headers: dict[str, str]) -> Any:
    return platform.http.get("/v1/me", headers=headers)


def at_mock(address: str, subject: str) -> dict[str, str]:
    """Fill in the mock's form as a browser would; return what its redirect brings."""
    answer = httpx2.post(address, data={"sub": subject}, trust_env=False)
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@pytest.mark.slow
def test_two_providers_at_once_know_different_people_by_the_same_subject(platform: Any, ports: Ports) -> None:
    with ExitStack() as stack:
        names = ("north", "south")
        people = {}
        for name in names:
            enter(platform, name, stack.enter_context(mock_provider(ports.take())), secret="s3cret")
        listed = platform.http.get("/v1/issuers").json()["items"]
        assert [issuer["id"] for issuer in listed] == ["north", "south"]
        for name in names:
            begun = begin(platform, name)
            brought = at_mock(begun["address"], "li@example.edu")
            answer = finish(platform, name, begun["flow"], brought)
            assert answer.status_code == 201, answer.text
            headers = {"Authorization": f"Bearer {answer.json()['token']['secret']}"}
            people[name] = me(platform, headers).json()["id"]
            again = finish(platform, name, begun["flow"], brought)  # the code was used
            assert (again.status_code, again.json()["code"]) == (401, "unauthenticated")
        assert people["north"] != people["south"]
        # What one provider's redirect brings is worth nothing at the other.
        begun = begin(platform, "north")
        brought = at_mock(begun["address"], "li@example.edu")
        assert finish(platform, "south", begun["flow"], brought).status_code == 401


@pytest.mark.slow
def test_keys_that_changed_are_fetched_again_and_a_short_token_expires(platform: Any, ports: Ports) -> None:
    port = ports.take()
    with mock_provider(port) as url:
        enter(platform, "north", url, secret="s3cret")
        begun = begin(platform, "north")
        done = finish(platform, "north", begun["flow"], at_mock(begun["address"], "li"))
        assert done.status_code == 201
    with mock_provider(port, "--token-max-age", "1"):  # another process, so another key
        platform.clock.ahead_ms += 31_000
        begun = begin(platform, "north")
        answer = finish(platform, "north", begun["flow"], at_mock(begun["address"], "li"))
        assert answer.status_code == 201, answer.text
        begun = begin(platform, "north")
        brought = at_mock(begun["address"], "li")
        platform.clock.ahead_ms += 62_000
        late = finish(platform, "north", begun["flow"], brought)
        assert late.status_code == 401
        assert "expired" in late.json()["detail"]


def test_a_person_is_made_once_and_is_known_by_issuer_and_subject_alone(platform: Any, bent: Bent) -> None:
    enter(platform, "north", bent.url)
    first = me(platform, sign_in(platform, "north", bent)).json()
    assert first["name"] == "李娜"
    assert first["id"].startswith("li-na-")
    assert me(platform, sign_in(platform, "north", bent, preferred_username="admin")).json() == first
    other = me(platform, sign_in(platform, "north", bent, "s-2", preferred_username="admin")).json()
    assert other["id"] not in {first["id"], "admin"}
    assert not other["operator"]
    enter(platform, "north", bent.url, creates=False)
    begun = begin(platform, "north")
    stranger = finish(platform, "north", begun["flow"], bent.visit(begun["address"], "s-3"))
    assert stranger.status_code == 401
    assert "no account here" in stranger.json()["detail"]


def test_killed_between_identity_and_person_the_next_sign_in_finishes_it(platform: Any, bent: Bent) -> None:
    enter(platform, "north", bent.url)
    person = me(platform, sign_in(platform, "north", bent)).json()
    platform.services.store.remove("person", person["id"])
    assert me(platform, sign_in(platform, "north", bent)).json() == person


HOUR = 3_600
LIES: dict[str, Any] = {
    "another nonce": {"nonce": "other"},
    "no nonce": {"nonce": None},
    "another issuer": {"iss": "https://evil.example"},
    "another client": {"aud": "other"},
    "several clients and another meant": {"aud": ["hutong", "other"], "azp": "other"},
    "expired": {"exp": int(time.time()) - 61},
    "of the future": {"iat": int(time.time()) + HOUR},
    "not yet": {"nbf": int(time.time()) + HOUR},
    "no subject": {"sub": ""},
    "a subject without end": {"sub": "x" * 256},
    "no time": {"exp": "soon"},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_token_that_is_not_right_signs_nobody_in(platform: Any, bent: Bent, lie: dict[str, Any]) -> None:
    enter(platform, "north", bent.url)
    bent.claims = lie
    begun = begin(platform, "north")
    answer = finish(platform, "north", begun["flow"], bent.visit(begun["address"]))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert not platform.services.store.records("identity", "", "", 1)


def test_clocks_may_differ_by_a_minute(platform: Any, bent: Bent) -> None:
    enter(platform, "north", bent.url)
    bent.claims = {"iat": int(time.time()) + 50, "exp": int(time.time()) - 50}
    sign_in(platform, "north", bent)


def test_a_key_nobody_published_and_an_algorithm_of_secrets_are_refused(platform: Any, bent: Bent) -> None:
    enter(platform, "north", bent.url, secret="s3cret")
    sign_in(platform, "north", bent)
    old, bent.key = bent.key, new_key("two")
    for wait_ms, calls in ((0, 1), (31_000, 2), (0, 2)):  # asked again, but not by every guess
        platform.clock.ahead_ms += wait_ms
        begun = begin(platform, "north")
        answer = finish(platform, "north", begun["flow"], bent.visit(begun["address"]))
        assert answer.status_code == 401
        assert bent.key_calls == calls
    bent.published = [old, bent.key]
    platform.clock.ahead_ms += 31_000
    sign_in(platform, "north", bent)
    bent.key, bent.published = old, [old]
    sign_in(platform, "north", bent)
    honest = bent.token
    for forged in ("eyJhbGciOiJub25lIn0.e30.", "not a token", ""):
        bent.token = lambda _claims, forged=forged: forged  # type: ignore[method-assign,misc]
        begun = begin(platform, "north")
        assert finish(platform, "north", begun["flow"], bent.visit(begun["address"])).status_code == 401
    bent.token = honest  # type: ignore[method-assign]


def test_an_answer_belongs_to_one_browser_one_purpose_and_ten_minutes(
    platform: Any, bent: Bent, li: dict[str, str]
) -> None:
    enter(platform, "north", bent.url)
    begun, other = begin(platform, "north"), begin(platform, "north")
    brought = bent.visit(begun["address"])
    for flow, change in (
        (other["flow"], {}),
        (begun["flow"], {"state": "guessed"}),
        (begun["flow"], {"iss": "https://evil.example"}),
        (begun["flow"][:-8] + "AAAAAAA=", {}),
        ("nonsense", {}),
    ):
        assert finish(platform, "north", flow, {**brought, **change}).status_code == 401
    join = platform.http.post(
        "/v1/issuers/north/join/finish", json={"flow": begun["flow"], **brought}, headers=li
    )
    assert join.status_code == 401
    assert finish(platform, "north", begun["flow"], {**brought, "iss": bent.url}).status_code == 201
    late = begin(platform, "north")
    brought = bent.visit(late["address"])
    platform.clock.ahead_ms += 600_000
    assert finish(platform, "north", late["flow"], brought).status_code == 401


def test_a_provider_that_names_itself_in_its_answers_must_do_so(platform: Any, bent: Bent) -> None:
    bent.metadata = {"authorization_response_iss_parameter_supported": True}
    enter(platform, "north", bent.url)
    begun = begin(platform, "north")
    assert finish(platform, "north", begun["flow"], bent.visit(begun["address"])).status_code == 401
    begun = begin(platform, "north")
    brought = {**bent.visit(begun["address"]), "iss": bent.url}
    assert finish(platform, "north", begun["flow"], brought).status_code == 201


@pytest.mark.parametrize(
    ("told", "status"),
    [({"issuer": "https://evil.example"}, 422), ({"token_endpoint": "http://10.0.0.1/token"}, 422)],
)
def test_a_provider_that_says_it_is_another_or_sends_us_elsewhere_in_clear_is_refused(
    platform: Any, bent: Bent, told: dict[str, str], status: int
) -> None:
    bent.metadata = told
    enter(platform, "north", bent.url)
    answer = platform.http.post("/v1/issuers/north/begin", json={})
    assert answer.status_code == status, answer.text


def test_a_provider_that_is_away_is_told_apart_from_a_refusal(platform: Any) -> None:
    enter(platform, "gone", "http://127.0.0.1:9")
    answer = platform.http.post("/v1/issuers/gone/begin", json={})
    assert answer.status_code == 503
    assert platform.http.post("/v1/issuers/none/begin", json={}).status_code == 422


def test_a_second_identity_is_joined_by_who_is_signed_in_and_never_taken_from_another(
    platform: Any, bent: Bent, li: dict[str, str], wang: dict[str, str]
) -> None:
    enter(platform, "north", bent.url, creates=False)

    def join(headers: dict[str, str], subject: str) -> Any:
        begun = platform.http.post("/v1/issuers/north/join/begin", json={"back": "/account"}, headers=headers)
        brought = bent.visit(begun.json()["address"], subject)
        return platform.http.post(
            "/v1/issuers/north/join/finish", json={"flow": begun.json()["flow"], **brought}, headers=headers
        )

    made = join(li, "s-1")
    assert (made.status_code, made.json()["back"]) == (201, "/account")
    assert join(li, "s-1").json() == made.json()
    taken = join(wang, "s-1")
    assert (taken.status_code, taken.json()["code"]) == (409, "identity_taken")
    session = sign_in(platform, "north", bent)
    assert me(platform, session).json()["id"] == "li"
    key = made.json()["identity"]["id"]
    assert platform.http.delete(f"/v1/me/identities/{key}", headers=wang).status_code == 404
    last = platform.http.delete(f"/v1/me/identities/{key}", headers=li)
    assert (last.status_code, last.json()["code"]) == (409, "last_identity")  # Li has no password
    assert join(li, "s-2").status_code == 201
    assert platform.http.delete(f"/v1/me/identities/{key}", headers=li).status_code == 204
    assert me(platform, session).status_code == 401
    left = platform.http.get("/v1/me/identities", headers=li).json()["items"]
    assert [identity["subject"] for identity in left] == ["s-2"]


def test_the_provider_ends_the_sessions_of_a_subject_or_one_of_them(platform: Any, bent: Bent) -> None:
    enter(platform, "north", bent.url)

    def out(token: str) -> int:
        answer = platform.http.post("/v1/issuers/north/logout", data={"logout_token": token})
        return int(answer.status_code)

    laptop, phone = (sign_in(platform, "north", bent, sid=sid) for sid in ("laptop", "phone"))
    other = sign_in(platform, "north", bent, "s-2", sid="desk")
    assert out(bent.logout_token("hutong", sub="s-1", sid="laptop")) == 200
    seen = [me(platform, each).status_code for each in (laptop, phone, other)]
    assert seen == [401, 200, 200]
    everywhere = bent.logout_token("hutong", sub="s-1")
    assert out(everywhere) == 200
    assert [me(platform, each).status_code for each in (phone, other)] == [401, 200]
    platform.clock.ahead_ms += 5_000
    back = sign_in(platform, "north", bent)
    assert out(everywhere) == 200  # sent again: what began since then goes on
    assert me(platform, back).status_code == 200
    for lie in (
        {"sub": "s-2", "nonce": "n"},
        {"sub": "s-2", "events": {}},
        {"sub": "s-2", "aud": "other"},
        {"sub": "s-2", "iat": int(time.time()) - 400},
        {"sub": "s-2", "exp": int(time.time()) - 120},
        {},
    ):
        assert out(bent.logout_token("hutong", **lie)) == 400
    assert out("nonsense") == 400
    assert me(platform, other).status_code == 200


def test_an_issuers_secret_is_sealed_kept_unless_given_anew_and_never_shown(
    platform: Any, bent: Bent, li: dict[str, str]
) -> None:
    made = enter(platform, "north", bent.url, secret="a secret of ours")
    assert made["has_secret"]
    assert made["redirect"].endswith("/sign-in/with/north/back")
    assert enter(platform, "north", bent.url)["has_secret"]
    assert "a secret of ours" not in str(platform.services.store.get("issuer", "north"))
    assert not enter(platform, "north", bent.url, secret="")["has_secret"]
    assert platform.http.get("/v1/issuers/north", headers=li).status_code == 403
    body = {
        "url": "http://id.example.edu",
        "client_id": "x",
        "institution": "tsinghua",
        "name_zh": "x",
        "name_en": "x",
    }
    unsafe = platform.http.put("/v1/issuers/bad", json=body, headers=platform.operator)
    assert (unsafe.status_code, unsafe.json()["problems"][0]["path"]) == (422, "/url")
    assert platform.http.delete("/v1/issuers/north", headers=platform.operator).status_code == 204
    assert platform.http.get("/v1/issuers").json()["items"] == []

"""An institution's directory makes and ends accounts: SCIM 2.0, by somebody else's tester and by hand."""

from typing import Any

import pytest
from tests.server.provider import bent_provider

from hutong.server import guests

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@pytest.fixture
def directory(platform: Any) -> dict[str, str]:
    """The headers of the university's directory."""
    made = platform.post("/v1/institutions/tsinghua/scim-tokens", {"name": "HR", "days": 366})
    return {"Authorization": f"Bearer {made['secret']}"}


@pytest.fixture
def call(platform: Any, directory: dict[str, str]) -> Any:
    def work(verb: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = platform.http.request(verb, f"/v1/scim/v2{path}", json=body, headers=directory)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    return work


def user(name: str, **more: Any) -> dict[str, Any]:
    return {"schemas": [USER], "userName": name, **more}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(operations)}


def test_somebody_elses_tester_finds_nothing_wrong(platform: Any, directory: dict[str, str]) -> None:
    # Here, for every worker of the tests would take seconds to import them.
    from scim2_client.engines.httpx2 import SyncSCIMClient
    from scim2_tester import Status, check_server

    platform.http.headers.update(directory)
    platform.http.base_url = "http://testserver/v1/scim/v2"
    client = SyncSCIMClient(platform.http)
    results = check_server(client)
    wrong = [
        f"{each.status.name} {each.title}: {each.reason}"
        for each in results
        if each.status in {Status.ERROR, Status.CRITICAL}
    ]
    assert not wrong
    assert len([each for each in results if each.status is Status.SUCCESS]) > 20


def test_a_user_that_is_deactivated_is_out_at_once_and_comes_back_without_what_they_had(
    platform: Any, call: Any
) -> None:
    made = call("POST", "/Users", user("li.na@example.edu", displayName="李娜", externalId="42"), 201)
    person = made["id"]
    assert person.startswith("li-na-")
    platform.post(
        "/v1/projects", {"id": "physics", "institution": "tsinghua", "title": "Physics", "owner": person}
    )
    with bent_provider() as bent:
        body = {
            "url": bent.url, "client_id": "hutong", "institution": "tsinghua", "name_zh": "x", "name_en": "x",
            "scim": True,
        }  # fmt: skip
        entered = platform.http.put("/v1/issuers/north", json=body, headers=platform.operator)
        assert entered.status_code == 200

        def sign_in(subject: str) -> Any:
            begun = platform.http.post("/v1/issuers/north/begin", json={}).json()
            arrival = {"flow": begun["flow"], **bent.visit(begun["address"], subject)}
            return platform.http.post("/v1/issuers/north/finish", json=arrival)

        session = sign_in("42")  # the directory's external id is the provider's subject
        assert session.status_code == 201, session.text
        headers = {"Authorization": f"Bearer {session.json()['token']['secret']}"}
        token = platform.http.post("/v1/tokens", json={"name": "laptop"}, headers=headers).json()["secret"]
        assert platform.http.get("/v1/me", headers=headers).json()["name"] == "李娜"
        assert sign_in("43").status_code == 401
        gone = call("PATCH", f"/Users/{person}", patch({"op": "Replace", "path": "active", "value": "False"}))
        assert gone["active"] is False
        for secret in (headers["Authorization"], f"Bearer {token}"):
            assert platform.http.get("/v1/me", headers={"Authorization": secret}).status_code == 401
        assert "was ended" in sign_in("42").json()["detail"]
        call("PATCH", f"/Users/{person}", patch({"op": "replace", "value": {"active": True}}))
        assert platform.http.get("/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        assert sign_in("42").status_code == 201
        call("DELETE", f"/Users/{person}", status=204)
        call("GET", f"/Users/{person}", status=404)
        assert sign_in("42").status_code == 401
        back = call("POST", "/Users", user("li.na@example.edu", externalId="42"), 201)
        assert back["id"] == person  # the same human by the directory's own id
        assert sign_in("42").status_code == 201
        call("DELETE", f"/Users/{person}", status=204)
        another = call("POST", "/Users", user("li.na@example.edu", externalId="77"), 201)
        assert another["id"] != person  # a user name that was given to somebody else


def test_users_are_found_by_name_and_external_id_and_names_are_unique(call: Any) -> None:
    one = call("POST", "/Users", user("Li", externalId="1"), 201)
    two = call("POST", "/Users", user("wang", externalId="2"), 201)
    taken = call("POST", "/Users", user("li"), 409)
    assert (taken["scimType"], taken["status"]) == ("uniqueness", "409")
    assert call("POST", "/Users", user("mei", externalId="1"), 409)["scimType"] == "uniqueness"

    def found(sought: str) -> list[str]:
        return [each["id"] for each in call("GET", f"/Users?filter={sought}")["Resources"]]

    assert found('userName eq "LI"') == [one["id"]]
    assert found('externalId eq "2"') == [two["id"]]
    assert found('userName eq "nobody"') == []
    assert call("GET", '/Users?filter=userName sw "l"', status=400)["scimType"] == "invalidFilter"
    page = call("GET", "/Users?startIndex=2&count=1")
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (2, 2, 1)
    assert call("GET", "/Users?count=0")["Resources"] == []
    call("PUT", f"/Users/{two['id']}", user("wang", externalId="3"))
    assert found('externalId eq "2"') == []
    assert call("PUT", f"/Users/{two['id']}", user("LI"), 409)["scimType"] == "uniqueness"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"userName": 7},
        {"userName": "a\nb"},
        {"userName": "x" * 201},
        {"userName": "x", "active": "perhaps"},
        {"userName": "x", "externalId": ["1"]},
    ],
)
def test_a_user_that_cannot_be_is_refused_in_scims_own_words(call: Any, body: dict[str, Any]) -> None:
    told = call("POST", "/Users", body, 400)
    assert told["scimType"] == "invalidValue"
    assert call("GET", "/Users")["totalResults"] == 0


def test_patches_that_make_no_sense_change_nothing(call: Any) -> None:
    made = call("POST", "/Users", user("li"), 201)
    path = f"/Users/{made['id']}"
    for operations, kind in (
        ([], "invalidSyntax"),
        ([{"op": "move", "path": "active"}], "invalidSyntax"),
        ([{"op": "remove"}], "noTarget"),
        ([{"op": "replace", "path": "id", "value": "admin"}], "mutability"),
        ([{"op": "replace", "value": 7}], "invalidValue"),
        (
            [{"op": "replace", "path": "userName", "value": "x"}, {"op": "remove", "path": "userName"}],
            "mutability",
        ),
    ):
        assert call("PATCH", path, patch(*operations), 400)["scimType"] == kind
    assert call("GET", path) == made


def test_a_directory_sees_its_own_institution_and_nothing_else(
    platform: Any, call: Any, directory: dict[str, str], li: dict[str, str]
) -> None:
    made = call("POST", "/Users", user("mei"), 201)
    cau = {"id": "cau", "kind": "university", "name_zh": "农大", "name_en": "CAU"}
    platform.post("/v1/institutions", cau)
    token = platform.post("/v1/institutions/cau/scim-tokens", {"name": "HR"})
    other = {"Authorization": f"Bearer {token['secret']}"}
    http, users = platform.http, "/v1/scim/v2/Users"
    assert http.get(f"{users}/{made['id']}", headers=other).status_code == 404
    assert http.delete(f"{users}/{made['id']}", headers=other).status_code == 404
    assert http.get(users, headers=other).json()["totalResults"] == 0
    assert http.post(users, json=user("mei"), headers=other).status_code == 201
    call("GET", "/Users/li", status=404)  # a person that no directory made
    for path in ("/v1/me", "/v1/projects", "/v1/people", "/v1/tokens"):
        assert http.get(path, headers=directory).status_code == 403, path
    assert http.get(users, headers=li).status_code == 403
    refused = http.get(users)
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/scim+json")
    assert http.post("/v1/institutions/cau/scim-tokens", json={"name": "x"}, headers=li).status_code == 403
    assert http.delete(f"/v1/tokens/{token['id']}", headers=li).status_code == 404
    assert http.delete(f"/v1/tokens/{token['id']}", headers=platform.operator).status_code == 204
    assert http.get(users, headers=other).status_code == 401


def test_an_open_visit_to_a_jobs_pages_ends_with_its_person(platform: Any, call: Any) -> None:
    person = call("POST", "/Users", user("mei"), 201)["id"]
    store, now_ms = platform.services.store, platform.clock()
    visit = guests.swap_ticket(store, guests.issue_ticket(store, "job", person, now_ms), "job", now_ms)
    assert guests.visitor(store, visit, "job", now_ms) is not None
    call("PATCH", f"/Users/{person}", patch({"op": "replace", "path": "active", "value": False}))
    assert guests.visitor(store, visit, "job", now_ms) is None

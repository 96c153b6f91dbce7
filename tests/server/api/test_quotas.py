"""Quotas: set whole, shown, taken away; by operators only, and only what can be meant."""

from typing import Any

import pytest

URL = "/v1/quotas/institution/tsinghua"
QUOTA = {
    "share_milli": 2000,
    "allotments": [{"accelerator": "H100", "nominal": 8, "borrow": 4, "lend": 2}],
}


def put(platform: Any, body: dict[str, Any], url: str = URL) -> Any:
    """Set a quota as an operator."""
    return platform.http.put(url, json=body, headers=platform.operator)


def test_a_quota_is_set_shown_and_taken_away(platform: Any, li: dict[str, str]) -> None:
    made = put(platform, QUOTA)
    assert made.status_code == 200, made.text
    assert made.json() == {**QUOTA, "kind": "institution", "name": "tsinghua"}
    assert put(platform, QUOTA).json() == made.json()
    listed = platform.http.get("/v1/quotas", headers=platform.operator).json()["items"]
    assert listed == [made.json()]
    assert platform.http.get(URL, headers=platform.operator).json() == made.json()
    for answer in (
        platform.http.get(URL, headers=li),
        platform.http.put(URL, json=QUOTA, headers=li),
        platform.http.delete(URL, headers=li),
    ):
        assert answer.status_code == 403
    assert platform.http.delete(URL, headers=platform.operator).status_code == 204
    assert platform.http.delete(URL, headers=platform.operator).status_code == 404
    assert platform.http.get(URL, headers=platform.operator).status_code == 404


@pytest.mark.parametrize(
    ("allotments", "path"),
    [
        ([{"accelerator": "H1000"}], "/allotments/0/accelerator"),
        ([{"accelerator": "*"}, {"accelerator": "*", "nominal": 1}], "/allotments/1/accelerator"),
        ([{"accelerator": "H100", "nominal": 2, "lend": 3}], "/allotments/0/lend"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field(
    platform: Any, allotments: list[dict[str, Any]], path: str
) -> None:
    answer = put(platform, {"allotments": allotments})
    assert answer.status_code == 422
    assert path in {each["path"] for each in answer.json()["problems"]}


def test_whose_quota_it_is_must_be_there(platform: Any) -> None:
    assert put(platform, QUOTA, "/v1/quotas/institution/mit").status_code == 422
    assert put(platform, QUOTA, "/v1/quotas/person/li").status_code == 422
    assert platform.http.get("/v1/quotas", headers=platform.operator).json()["items"] == []

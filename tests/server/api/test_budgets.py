"""Budgets and use by day through the API: who may set and see what, what blocks, what people are told."""

from typing import Any

import pytest
from tests.server.conftest import SPEC

from hutong.core.book.money import Posting, UsageRecord
from hutong.core.kernel.days import day_of, day_text
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.server.budgets import NOTICES_KEPT_MS, Noticer
from hutong.server.loop import Loop

AWARD = {"amount": {"amount": "1000"}, "starts": "2026-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}
URL = "/v1/budgets/b1"
BUDGET: dict[str, Any] = {
    "scope": "project",
    "name": "physics",
    "unit": "card-hours",
    "accelerator": "A100",
    "amount": "10.5",
    "monthly": False,
    "thresholds": [{"percent": 80, "action": "notify"}, {"percent": 100, "action": "block_new"}],
    "note": "for the thesis",
    "person": "",
}


def put(platform: Any, who: dict[str, str], url: str = URL, **change: Any) -> Any:
    return platform.http.put(url, json={**BUDGET, **change}, headers=who)


def use(platform: Any, name: str, hours: int, days_ago: int = 0, person: str = "li") -> None:
    """Book free use of one A100."""
    upto_ms, project = platform.clock() - days_ago * DAY_MS, ProjectId("physics")
    amounts = (hours * HOUR_MS, 0, HOUR_MS, 0, upto_ms - 1, upto_ms, hours * 3_600_000, 0, hours * 500_000)
    record = UsageRecord(name, project, name, "haidian", "A100", "card_ms", *amounts, person=person)
    platform.services.store.post(Posting(usage=(record,)))


def get(platform: Any, path: str, who: dict[str, str], **query: Any) -> Any:
    answer = platform.http.get(path, params=query, headers=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_budget_is_set_shown_with_its_four_numbers_and_ended(platform: Any, li: dict[str, str]) -> None:
    use(platform, "before", 3, days_ago=1)
    use(platform, "u", 3)
    made = put(platform, li)
    assert made.status_code == 200, made.text
    today = day_text(day_of(platform.clock()))
    numbers = {"settled": "3", "in_flight": "0", "committed": "0", "available": "7.5", "percent": "28.5714"}
    shown = {
        **BUDGET, "id": "b1", "by": "li", "start": today, "end": None, "ended": False, "period": today,
        "numbers": numbers,
    }  # fmt: skip
    assert made.json() == shown
    assert put(platform, li).json() == shown
    assert get(platform, URL, li) == shown
    assert get(platform, "/v1/budgets", li)["items"] == [shown]
    assert get(platform, "/v1/projects/physics/balance", li)["budgets"] == [shown]
    ended = platform.http.delete(URL, headers=li).json()
    assert (ended["ended"], ended["numbers"], ended["period"]) == (True, None, "")
    assert platform.http.delete(URL, headers=li).json() == ended
    assert get(platform, "/v1/projects/physics/balance", li)["budgets"] == []


def test_who_is_not_concerned_neither_sees_nor_sets_a_budget(
    platform: Any, li: dict[str, str], wang: dict[str, str]
) -> None:
    assert put(platform, wang).status_code == 403
    assert put(platform, li).status_code == 200
    for answer in (
        platform.http.get(URL, headers=wang),
        platform.http.delete(URL, headers=wang),
        platform.http.get("/v1/budgets?project=physics", headers=wang),
        platform.http.get("/v1/notices?project=physics", headers=wang),
    ):
        assert answer.status_code == 404, answer.text
    assert get(platform, "/v1/budgets", wang)["items"] == []
    assert put(platform, li, scope="institution", name="tsinghua").status_code == 403


def test_who_sees_many_projects_sees_their_budgets_page_by_page(platform: Any) -> None:
    owner = platform.person("mei", "lab-0")
    for at in range(1, 23):
        body = {"id": f"lab-{at}", "institution": "tsinghua", "title": "Lab", "owner": "mei"}
        platform.post("/v1/projects", body)
    for at in (3, 7, 20):
        assert put(platform, owner, f"/v1/budgets/of-{at}", name=f"lab-{at}").status_code == 200
    platform.person("li", "physics")
    assert put(platform, platform.operator).status_code == 200
    first = get(platform, "/v1/budgets", owner, limit=2)
    rest = get(platform, "/v1/budgets", owner, limit=2, cursor=first["next"])
    assert [each["name"] for each in (*first["items"], *rest["items"])] == ["lab-20", "lab-3", "lab-7"]
    assert rest["next"] == ""


def test_a_project_does_not_undo_what_was_set_above_it(platform: Any, li: dict[str, str]) -> None:
    assert put(platform, platform.operator).status_code == 200
    assert put(platform, li, amount="1000000").status_code == 403
    assert platform.http.delete(URL, headers=li).status_code == 403
    assert get(platform, URL, li)["amount"] == "10.5"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "nowhere"}, "/name"),
        ({"accelerator": "H1000"}, "/accelerator"),
        ({"unit": "kWh"}, "/accelerator"),
        ({"person": "li"}, "/person"),
        ({"scope": "person"}, "/person"),
        ({"start": "2026-02-30"}, "/start"),
        ({"start": "2026-12-01", "end": "2026-12-01"}, "/end"),
        ({"unit": "tokens", "accelerator": "*"}, "/thresholds"),
        ({"unit": "tokens", "accelerator": "*", "thresholds": [], "amount": "1.5"}, "/amount"),
        ({"amount": "-1"}, "/amount"),
        ({"thresholds": [{"percent": 0, "action": "notify"}]}, "/thresholds/0/percent"),
        ({"thresholds": [{"percent": 5, "action": "explode"}]}, "/thresholds/0/action"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field(
    platform: Any, li: dict[str, str], change: dict[str, Any], path: str
) -> None:
    answer = put(platform, li, **change)
    assert answer.status_code == 422, answer.text
    assert path in {each["path"] for each in answer.json()["problems"]}


def test_jobs_that_would_go_beyond_wait_are_told_so_and_start_when_there_is_more(
    platform: Any, li: dict[str, str]
) -> None:
    services, clock = platform.services, platform.clock
    loop = Loop(services.store, services.rules, clock, "test")
    platform.post("/v1/projects/physics/awards", AWARD)
    sighting = {"at_ms": clock(), "known": [], "live": [], "agent": "test/1"}
    told = platform.http.post(
        "/v1/agent/report", json={"sighting": sighting}, headers=platform.agent("haidian")
    )
    assert told.status_code == 200, told.text
    use(platform, "u", 2)
    assert put(platform, li, scope="person", person="li").status_code == 200

    def submit(cards: int) -> str:
        spec = {**SPEC, "resources": {"accelerators": f"A100:{cards}"}, "max_duration": "2h"}
        return str(platform.post("/v1/jobs", {"project": "physics", "spec": spec}, headers=li)["id"])

    def shown(job: str) -> Any:
        while loop.step():
            pass
        return get(platform, f"/v1/jobs/{job}", li)

    first, second = submit(4), submit(1)
    assert shown(first)["state"] != "QUEUED"
    waits = shown(second)["conditions"]
    assert waits["waiting_code"] == "budget"
    assert waits["waiting_text"] == (
        "budget b1 of li in project physics has 0.5 card-hours of A100 left, the job may use 2; take another "
        "accelerator, or shorten max_duration or take fewer cards, or ask li for more"
    )
    asked = {"project": "physics", "spec": {**SPEC, "max_duration": "2h"}}
    checked = platform.post("/v1/jobs/check", asked, headers=li)
    assert checked["reason"] == waits["waiting_text"], "who asks beforehand is told the same"
    numbers = get(platform, URL, li)["numbers"]
    assert (numbers["settled"], numbers["committed"], numbers["available"]) == ("2", "8", "0.5")
    assert put(platform, li, scope="person", person="li", amount="12").status_code == 200
    assert shown(second)["state"] != "QUEUED"
    assert get(platform, URL, li)["numbers"]["available"] == "0"


def test_people_are_told_once_of_each_threshold_in_each_period(platform: Any, li: dict[str, str]) -> None:
    noticer, clock, store = Noticer(platform.services.store), platform.clock, platform.services.store
    put(platform, li, monthly=True)
    assert noticer.step(clock()) == 0
    use(platform, "u", 9)
    assert [noticer.step(clock()), noticer.step(clock()), Noticer(store).step(clock())] == [1, 0, 0]
    (notice,) = get(platform, "/v1/notices", li)["items"]
    assert (notice["percent"], notice["action"], notice["budget"]) == (80, "notify", "b1")
    assert notice["text"] == (
        "budget b1 of project physics: 9 of 10.5 card-hours of A100 are used, 80 % were to be told of; "
        "nothing is held back for it"
    )
    use(platform, "v", 9)
    assert noticer.step(clock()) == 1
    clock.ahead_ms += 32 * DAY_MS
    assert noticer.step(clock()) == 0, "nothing is used in the new month"
    use(platform, "w", 11)
    assert noticer.step(clock()) == 2
    assert len(store.records("notice", "project/physics", "", 10)) == 4
    clock.ahead_ms += NOTICES_KEPT_MS
    noticer.step(clock())
    assert store.records("notice", "", "", 10) == ()


def test_no_service_is_begun_where_a_budget_is_drained(platform: Any, li: dict[str, str]) -> None:
    put(platform, li, thresholds=[{"percent": 50, "action": "drain"}])
    use(platform, "u", 6)
    body = {"project": "physics", "name": "bot", "model": "poet", "accelerators": {"A100": 1}}
    answer = platform.http.post("/v1/deployments", json=body, headers=li)
    assert (answer.status_code, answer.json()["code"]) == (422, "budget"), answer.text


def test_use_is_shown_in_groups_beside_the_time_before_and_only_ones_own(
    platform: Any, li: dict[str, str], wang: dict[str, str]
) -> None:
    use(platform, "a", 2)
    use(platform, "b", 4, person="mei")
    use(platform, "c", 1, days_ago=40)
    found = get(platform, "/v1/usage", li, by=["person", "accelerator"], compare="true")
    names = ("person", "accelerator", "unit", "quantity", "kwh")
    rows = [tuple(row[name] for name in names) for row in found["rows"]]
    assert rows == [("li", "A100", "card-hour", "2", "2"), ("mei", "A100", "card-hour", "4", "4")]
    assert [row["before"]["quantity"] for row in found["rows"]] == ["1", "0"]
    assert found["rows"][0]["co2e_kg"] == "1"
    by_day = get(platform, "/v1/usage", li, by="day", project="physics", person="mei")
    assert [row["day"] for row in by_day["rows"]] == [day_text(day_of(platform.clock()))]
    first = get(platform, "/v1/usage", li, by="person", limit=1)
    rest = get(platform, "/v1/usage", li, by="person", limit=1, cursor=first["next"])
    assert [row["person"] for row in (*first["rows"], *rest["rows"])] == ["li", "mei"]
    assert rest["next"] == ""
    assert get(platform, "/v1/usage", wang)["rows"] == []
    assert platform.http.get("/v1/usage?project=physics", headers=wang).status_code == 404
    everything = get(platform, "/v1/usage", platform.operator, by="project", institution="tsinghua")
    assert [(row["project"], row["quantity"]) for row in everything["rows"]] == [("physics", "6")]
    answer = platform.http.post("/v1/ledger/usage/days/rebuild", headers=platform.operator)
    assert answer.json() == {"groups": 3}
    assert platform.http.post("/v1/ledger/usage/days/rebuild", headers=li).status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-13-01", "to=tomorrow", "from=2026-02-01&to=2026-01-01", "from=2000-01-01&to=2026-01-01",
        "by=colour", "by=day&by=site&by=person", "by=day&compare=true", "cursor=IjEi",
        "by=day&cursor=WyJ4Il0",
        "unit=litre", "limit=501",
    ],
)  # fmt: skip
def test_a_question_that_has_no_answer_is_refused(platform: Any, li: dict[str, str], query: str) -> None:
    answer = platform.http.get(f"/v1/usage?{query}", headers=li)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"]

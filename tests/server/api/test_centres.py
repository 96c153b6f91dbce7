"""The registry over the API: centres, phases, imports, sums, plans and identifiers, safe under repeats."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples" / "centres"
SAID = {"source": "a notice"}
SHOWN = {"source": "a report", "document": "report 7", "confirmed_by": "the city's office"}
STATED = {"amount": "500 P", "source": "a notice", "dated": "2024-01"}
CENTRE: dict[str, Any] = {
    "id": "shangzhuang", "name_en": "Shangzhuang", "name_zh": "上庄", "region": "Beijing",
    "owner": {"name": "Energy", "institution": "tsinghua"}, "contract": "contract 12", "sites": ["haidian"],
    "phases": [
        {
            "id": "1", "capacity": {"stated": STATED},
            "plans": [{"due": "2024-03", "told": "2024-01", "source": "a notice"}],
            "changes": [{"state": "planned", "on": "2024-01", "evidence": SAID}],
        }
    ],
}  # fmt: skip


@pytest.fixture
def centre(platform: Any, li: dict[str, str]) -> Any:
    """Return what asks as the operator, with a centre registered and its answer checked."""

    def call(
        method: str, path: str, body: Any = None, status: int = 200, who: Any = None, **query: Any
    ) -> Any:
        answer = platform.http.request(
            method, f"/v1/{path}", json=body, params=query, headers=who or platform.operator
        )
        assert answer.status_code == status, (path, answer.text)
        return answer.json()

    call("POST", "centres", CENTRE, 201)
    return call


def test_a_phase_goes_from_plan_to_service_and_any_day_can_be_asked(centre: Any, li: Any) -> None:
    url = "centres/shangzhuang/phases/1/changes"
    wrong = centre("POST", url, {"state": "in-service", "on": "2025-01", "evidence": SAID}, 422)
    assert (wrong["code"], wrong["problems"][0]["path"]) == ("illegal_transition", "/state")
    centre("POST", url, {"state": "accepted", "on": "2025-05-20", "evidence": SHOWN}, 201)
    less = {"stated": {**STATED, "amount": "480 P FP16 dense nominal"}}
    served = {"state": "in-service", "on": "2025-06", "evidence": SAID, "capacity": less}
    once = centre("POST", url, served, 201)
    assert centre("POST", url, served, 201) == once, "a repeat changes nothing"
    assert len(once["phases"][0]["changes"]) == 3
    days = {"2024-01": "planned", "2025-05": "accepted", "2025-06": "in-service", "2023": ""}
    for day, state in days.items():
        (phase,) = centre("GET", "centres/shangzhuang", as_of=day)["phases"]
        assert phase["state"] == state
        assert phase["proved"] == (day in {"2025-05", "2025-06"})
    assert phase["capacity"]["stated"]["gops"] == 500_000_000
    whole, part = centre("GET", "centres/shangzhuang"), centre("GET", "centres/shangzhuang", who=li)
    assert (whole["contract"], part["contract"]) == ("contract 12", "")
    assert {each["by"] for each in part["phases"][0]["changes"]} == {""}
    found = centre("GET", "capacity/plan", **{"from": "2024-01", "until": "2025-07", "months": 6})
    assert [point["day"] for point in found["points"]] == [
        "2024-01-31",
        "2024-07-31",
        "2025-01-31",
        "2025-07-31",
    ]
    last = found["points"][-1]["rows"][0]
    assert (last["first_plan"]["likely"], last["actual"]["likely"]) == (500_000_000, 480_000_000)
    assert (found["delays"][0]["late_days"], found["delays"][0]["in_service"]) == (456, "2025-06")
    centre("GET", "capacity/plan", None, 422, **{"from": "1000", "until": "9999", "months": 1})
    centre("GET", "capacity/plan", None, 422, **{"from": "2025", "until": "2024"})


def test_what_is_there_is_not_overwritten_and_wrong_references_are_named(centre: Any, li: Any) -> None:
    assert centre("POST", "centres", CENTRE, 201)["id"] == "shangzhuang"
    assert centre("POST", "centres", {**CENTRE, "note": "other"}, 409)["code"] == "exists"
    for more, path in (
        ({"sites": ["nowhere"]}, "/sites/0"),
        ({"owner": {"institution": "nobody"}}, "/owner/institution"),
        ({"owner": {"uscc": "12345"}}, "/owner/uscc"),
        ({"name_en": "", "name_zh": ""}, "/name_en"),
        ({"phases": [CENTRE["phases"][0]] * 2}, "/phases"),
    ):
        problem = centre("POST", "centres", {**CENTRE, "id": "b", **more}, 422)
        assert problem["problems"][0]["path"] == path
    phase = CENTRE["phases"][0]
    future = {**phase, "id": "2", "changes": [{"state": "planned", "on": "2099", "evidence": SAID}]}
    assert centre("POST", "centres/shangzhuang/phases", future, 422)["code"] == "bad_date"
    cards = {"cards": [{"model": "H999", "cards": 1}]}
    assert (
        centre("POST", "centres/shangzhuang/phases", {**phase, "capacity": cards}, 422)["code"]
        == "unknown_card"
    )
    centre("POST", "centres/nowhere/phases", phase, 404)
    centre("POST", "centres", CENTRE, 403, who=li)
    facts = {key: CENTRE[key] for key in ("name_en", "region", "sites")}
    changed = centre("PUT", "centres/shangzhuang/facts", {**facts, "region": "Tianjin"})
    assert (changed["region"], len(changed["phases"])) == ("Tianjin", 1)
    assert [each["id"] for each in centre("GET", "centres", region="Tianjin")["items"]] == ["shangzhuang"]
    assert centre("GET", "centres", region="Beijing")["items"] == []
    gone = centre("POST", "centres/shangzhuang/phases/1/withdrawal", {"reason": "a mistake"})
    assert (gone["phases"][0]["state"], gone["phases"][0]["withdrawn"]) == ("", "a mistake")
    plan = {"due": "2026", "told": "2025", "source": "s"}
    assert centre("POST", "centres/shangzhuang/phases/1/plans", plan, 409)["code"] == "withdrawn"


def test_bad_inputs_are_refused_row_by_row_and_nothing_is_entered_by_halves(centre: Any) -> None:
    body = {"csv": (EXAMPLES / "bad.csv").read_text()}
    found = centre("POST", "centres/import", body)
    codes = {each["centre"]: [one["code"] for one in each["remarks"] if one["severity"] == "error"]
             for each in found["verdicts"] if each["outcome"] == "refused"}  # fmt: skip
    assert codes == {
        "unknown-p": ["sentinel"], "unknown-q": ["sentinel"], "minus": ["sentinel"],
        "sparse": ["sparse_as_dense"], "dies": ["die_as_card"], "again": ["duplicate"],
        "future": ["bad_date"],
    }  # fmt: skip
    assert (found["stored"], found["refused"]) == (0, 7)
    assert len(centre("GET", "centres")["items"]) == 1
    assert centre("POST", "centres/import", {**body, "dry_run": True, "skip_bad": True})["stored"] == 0
    assert centre("POST", "centres/import", {**body, "skip_bad": True})["stored"] == 2
    again = centre("POST", "centres/import", {**body, "skip_bad": True})
    assert (again["stored"], again["unchanged"]) == (0, 2)
    other = body["csv"].replace("1000,312", "2000,624")
    verdict = centre("POST", "centres/import", {"csv": other})["verdicts"][0]
    assert [each["code"] for each in verdict["remarks"] if each["severity"] == "error"] == ["exists"]
    assert centre("POST", "centres/import", {"csv": "a,b\n1\n"}, 422)["code"] == "bad_table"


def test_27_small_centres_come_in_one_transaction_and_are_summed(centre: Any) -> None:
    csv = (EXAMPLES / "zhangjiakou.csv").read_text()
    found = centre("POST", "centres/import", {"csv": csv})
    assert (found["stored"], found["refused"]) == (27, 0), found["verdicts"]
    gaps = [one["code"] for each in found["verdicts"] for one in each["remarks"]]
    assert (gaps.count("no_owner"), gaps.count("no_operator"), gaps.count("no_place")) == (5, 4, 3)
    groups = centre("GET", "capacity/rollup", by="region")["groups"]
    (row,) = groups[0]["rows"]
    assert (groups[0]["key"], groups[0]["centres"]) == ("Zhangjiakou, Hebei", 27)
    assert row["declared"]["likely"] == row["assumed_gops"] == 7_600_000_000
    assert row["evidence_ppm"] == 0
    page = centre("GET", "centres", limit=20)
    assert len(centre("GET", "centres", limit=20, cursor=page["next"])["items"]) == 8
    assert centre("GET", "capacity/rollup", by="state", state=["planned"])["groups"][0]["key"] == "planned"
    centre("GET", "capacity/rollup", None, 422, by="colour")
    half = csv.replace("zjk-26", "zjk-99").replace("zjk-27", "shangzhuang")
    refused = centre("POST", "centres/import", {"csv": half, "keep_duplicates": True})
    assert (refused["stored"], refused["refused"], refused["unchanged"]) == (0, 1, 25)


def test_45000_p_is_a_plan_of_which_the_phases_cover_a_part(centre: Any) -> None:
    plan = {"due": "2025-12", "told": "2025-06", "source": "a notice"}
    later = {
        **CENTRE["phases"][0],
        "id": "2",
        "plans": [plan],
        "capacity": {"stated": {**STATED, "amount": "1000 P"}},
    }
    centre("POST", "centres/shangzhuang/phases", later, 201)
    served = {"state": "in-service", "on": "2025-01", "evidence": SHOWN}
    far = {**CENTRE, "id": "far", "region": "Tianjin", "sites": [],
           "phases": [{"id": "1", "capacity": {"stated": STATED}, "changes": [served]}]}  # fmt: skip
    centre("POST", "centres", far, 201)
    asked = {"claim": "beijing-2025", "since": "beijing-2025-q1"}
    found = centre("GET", "capacity/coverage", **asked)
    assert found["growth"]["planned"]
    assert [row["total"]["gops"]["likely"] for row in found["planned"]] == [1_500_000_000]
    assert [row["total"]["gops"]["likely"] for row in found["evidence"]] == [500_000_000]
    assert [row["total"]["cards"] for row in found["declared"]] == [16], "by the site that shangzhuang has"
    assert (found["sites_with_evidence"], found["sites_declared_only"]) == (1, 1)
    near = centre("GET", "capacity/coverage", **asked, region="Beijing")
    assert (near["evidence"], near["left_gops"]) == ([], 45_000_000_000)


def test_identifiers_are_registered_once_resolved_by_anybody_and_never_given_again(
    centre: Any, platform: Any
) -> None:
    asked = {"subject": "centre/shangzhuang", "holder": "Energy"}
    first = centre("POST", "identifiers", asked, 201)
    assert (first["code"], first["name"]) == ("HT-C-00000001-" + first["code"][-1], "Shangzhuang")
    assert centre("POST", "identifiers", asked, 201) == first
    second = centre("POST", "identifiers", {"subject": "pool/haidian/a100"}, 201)
    assert second["code"].startswith("HT-P-00000002-")
    anybody = platform.http.get(f"/v1/identifiers/{first['code'].lower()}")
    assert (anybody.status_code, anybody.json()["subject"]) == (200, "centre/shangzhuang")
    assert platform.http.get("/v1/identifiers/HT-C-00000009-A").status_code == 404
    moved = {"holder": "Buyer", "reason": "sold"}
    for _ in range(2):
        found = centre("POST", f"identifiers/{first['id']}/transfer", moved)
    assert [each["holder"] for each in found["events"]] == ["Energy", "Buyer"]
    gone = {"reason": "closed", "successor": second["id"]}
    for _ in range(2):
        found = centre("POST", f"identifiers/{first['id']}/retirement", gone)
    assert (found["state"], found["successor"], len(found["events"])) == ("retired", second["id"], 3)
    centre("POST", f"identifiers/{first['id']}/transfer", {"holder": "X", "reason": "late"}, 409)
    third = centre("POST", "identifiers", asked, 201)
    assert third["code"].startswith("HT-C-00000003-")
    listed = centre("GET", "identifiers", subject="centre/shangzhuang")["items"]
    assert [each["state"] for each in listed] == ["retired", "active"]


def test_codes_that_others_assigned_are_kept_as_they_are(centre: Any) -> None:
    given = {"subject": "centre/shangzhuang", "scheme": "given", "code": "CN.110108:77-A"}
    assert centre("POST", "identifiers", given, 201)["id"] == "given:CN.110108:77-A"
    assert centre("POST", "identifiers", {**given, "code": "OTHER"}, 409)["code"] == "exists"
    assert centre("POST", "identifiers", {**given, "subject": "site/haidian"}, 409)["code"] == "exists"
    for body, code in (
        ({"subject": "site/haidian", "scheme": "given"}, "code_needed"),
        ({**given, "subject": "site/haidian", "code": "a/b"}, "bad_code"),
        ({**given, "scheme": "miit"}, "unknown_scheme"),
        ({"subject": "centre/shangzhuang", "code": "HT-C-00000001-A"}, "code_given"),
        ({"subject": "job/1"}, "bad_subject"),
    ):
        assert centre("POST", "identifiers", body, 422)["code"] == code
    centre("POST", "identifiers", {"subject": "centre/nowhere"}, 404)
    centre("POST", "identifiers", {"subject": "pool/haidian/nope"}, 404)
    names = [each["name"] for each in centre("GET", "identifiers/schemes")["items"]]
    assert names == ["given", "hutong"]


def test_phases_are_set_beside_what_sites_declare(centre: Any, platform: Any, li: Any) -> None:
    found = centre("GET", "capacity/reconciliation", who=li)
    (one,) = found["items"]
    assert (one["centre"], one["sites"], one["verdict"]) == ("shangzhuang", ["haidian"], "more")
    (cards,) = one["cards"]
    assert (cards["model"], cards["in_service"], cards["declared"], cards["difference"]) == (
        "A100",
        0,
        16,
        16,
    )
    phase = {
        "id": "2", "capacity": {"cards": [{"model": "A100", "cards": 16}]},
        "changes": [{"state": "in-service", "on": "2025-01", "evidence": SAID}],
    }  # fmt: skip
    centre("POST", "centres/shangzhuang/phases", phase, 201)
    (one,) = centre("GET", "capacity/reconciliation", centre="shangzhuang", region="Beijing")["items"]
    assert (one["verdict"], one["cards"][0]["difference"], one["power"][0]["difference"]) == ("agrees", 0, 0)
    (past,) = centre("GET", "capacity/reconciliation", as_of="2025-02")["items"]
    assert past["notes"][0] == "nothing is known of what site haidian declares"
    assert past["cards"][0]["verdict"] == "less"
    centre("POST", "centres", {**CENTRE, "id": "zz", "sites": ["haidian"]}, 201)
    page = centre("GET", "capacity/reconciliation", limit=1)
    last = centre("GET", "capacity/reconciliation", limit=1, cursor=page["next"])
    assert [each["items"][0]["centre"] for each in (page, last)] == ["shangzhuang", "zz"]
    assert (last["next"], page["unnamed"]) == ("", [])
    for wrong, status in (({"centre": "nobody"}, 404), ({"as_of": "soon"}, 422), ({"cursor": "x"}, 422)):
        centre("GET", "capacity/reconciliation", None, status, **wrong)
    day = datetime.fromtimestamp(platform.services.clock() / 1000, UTC).date()
    span = {"from": (day - timedelta(days=1)).isoformat(), "to": (day + timedelta(days=2)).isoformat()}
    table = centre("GET", "reports/supply", **span)["tables"][-1]
    assert (table["id"], len(table["rows"][0])) == ("supply-agreement", len(table["columns"]))
    assert {row[-1] for row in table["rows"]} == {"unsure"}, "one site, two centres"

"""Reports through the API: what they say, who may see them, and that what is published stands."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from hutong.clients.sdk.signed import faults_of
from hutong.core.book.money import Posting, UsageRecord
from hutong.core.book.sealed import PoolHour, SealedReport
from hutong.core.kernel.chain import GENESIS
from hutong.core.kernel.ids import ProjectId
from hutong.server.reports.watching import PoolWatcher
from hutong.wire.reports import Publication

HOUR_MS = 3_600_000
LAB = ProjectId("physics")


@pytest.fixture
def used(platform: Any, li: dict[str, str]) -> Any:
    """A platform on which a project used 100 card-hours an hour ago."""
    store, now_ms = platform.services.store, platform.services.clock()
    PoolWatcher(store).step(now_ms - 2 * HOUR_MS)
    record = UsageRecord(
        "u1", LAB, "u1", "haidian", "A100", "card_ms", 100 * HOUR_MS, 0, HOUR_MS, 0,
        now_ms - HOUR_MS, now_ms, 36_000_000, 9_000_000, 5_000_000, person="li",
    )  # fmt: skip
    store.post(Posting(usage=(record,)))
    return platform


def span(platform: Any) -> dict[str, str]:
    """Return three days of the platform's zone with now in the middle."""
    zone = ZoneInfo(platform.services.settings.zone)
    today = datetime.fromtimestamp(platform.services.clock() / 1000, UTC).astimezone(zone).date()
    one = timedelta(days=1)
    return {"from": (today - one).isoformat(), "to": (today + 2 * one).isoformat()}


def read(platform: Any, kind: str, status: int = 200, who: Any = None, **query: Any) -> Any:
    reply = platform.http.get(
        f"/v1/reports/{kind}", params={**span(platform), **query}, headers=who or platform.operator
    )
    assert reply.status_code == status, reply.text
    return reply.json()


def test_use_is_told_with_definitions_sources_and_coverage(used: Any) -> None:
    report = read(used, "use", by=["kind", "project"])
    table, levels = report["tables"]
    (row,) = table["rows"]
    assert [each[0].split()[1] for each in levels["rows"]] == [
        "Installed", "Available", "Allocated", "Sampled", "Busy", "Effective",
    ]  # fmt: skip
    assert all(each[4] for each in levels["rows"])
    assert row[1:3] == ["physics", "100.000"]
    assert table["total"][2] == "100.000"
    assert report["definitions"]
    assert any("not over" in text for text in report["coverage"])
    (green,) = read(used, "green")["tables"]
    assert green["rows"] == [["haidian", "10.000", "2.500", "25.00", "5.000"]]
    (domestic,) = read(used, "domestic")["tables"]
    assert domestic["rows"][0][1:4] == ["0.000", "100.000", "0.00"]


def test_busy_is_what_agents_sampled_and_unknown_elsewhere(used: Any) -> None:
    busy = slice(4, 9)
    table, _ = read(used, "use")["tables"]
    assert table["rows"][0][busy] == ["0.00", "", "", "", ""]
    assert "how busy cards were is not known of: haidian" in read(used, "use")["coverage"]
    hour = used.services.clock() // HOUR_MS - 1
    sealed = SealedReport("haidian", 1, GENESIS, "h", "k", "00", "{}", 5)
    seen = PoolHour(
        "haidian", "a100", hour, 16, HOUR_MS, 0, 10 * HOUR_MS, 0, 4 * HOUR_MS, "a tool", 1, 0, "A100"
    )
    used.services.store.keep_sealed([sealed], [seen])
    report = read(used, "use", by=["site", "accelerator"])
    table, levels = report["tables"]
    assert table["rows"][0][5:8] == ["10.00", "4.000", "40.00"]
    assert table["rows"][0][-1] == "a tool"
    assert levels["rows"][4][1:4] == ["4.000", "40.00", "已采样 sampled"]
    assert not any("busy" in text for text in report["coverage"])


def test_who_was_served_is_counted_and_people_are_not_named(used: Any) -> None:
    report = read(used, "served")
    kinds, districts, firsts = report["tables"]
    assert [row[1:7] for row in kinds["rows"]] == [["1", "1", "1", "1", "1", "100.000"]]
    assert len(districts["rows"]) == 1
    assert [row[0] for row in firsts["rows"]] == ["physics"]
    cells = {cell for table in report["tables"] for row in table["rows"] for cell in row}
    assert "li" not in cells


def test_the_report_of_a_node_has_all_tables(used: Any) -> None:
    names = [table["id"] for table in read(used, "node")["tables"]]
    assert names == [
        "supply", "use", "use-levels", "waits", "served-kind", "served-district", "first-time", "domestic",
        "green", "subsidy", "unmet",
    ]  # fmt: skip


def test_what_is_registered_stands_beside_what_is_connected(used: Any, li: dict[str, str]) -> None:
    assert [table["id"] for table in read(used, "supply")["tables"]] == ["supply"]
    shown = {"source": "a report", "document": "report 7", "confirmed_by": "the city's office"}
    body = {
        "id": "shangzhuang", "name_en": "Shangzhuang", "name_zh": "上庄", "region": "Beijing",
        "owner": {"name": "Energy", "institution": "tsinghua"}, "contract": "", "sites": [],
        "phases": [
            {
                "id": "1",
                "capacity": {
                    "stated": {"amount": "480 P FP16 dense nominal", "source": "x", "dated": "2024-01"}
                },
                "plans": [],
                "changes": [
                    {"state": "planned", "on": "2024-01", "evidence": {"source": "a notice"}},
                    {"state": "accepted", "on": "2025-05-20", "evidence": shown},
                    {"state": "in-service", "on": "2025-06", "evidence": {"source": "a notice"}},
                ],
            }
        ],
    }  # fmt: skip
    reply = used.http.post("/v1/centres", json=body, headers=used.operator)
    assert reply.status_code == 201, reply.text
    connected, registered = read(used, "supply")["tables"]
    (row,) = registered["rows"]
    assert connected["id"] == "supply"
    assert (row[0], row[2], row[4]) == ("Beijing", "480.000", "100.00")
    assert row[1].startswith("FP16")


def test_it_is_for_those_who_run_and_audit_the_platform(used: Any, li: dict[str, str]) -> None:
    read(used, "use", 403, li)
    assert used.http.get("/v1/reports/use").status_code == 401


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("use", {"by": ["size"]}), ("waits", {"by": ["site"]}), ("use", {"from": "soon"}),
        ("use", {"from": "2026-02-01", "to": "2026-02-01"}),
        ("use", {"from": "1900-01-01", "to": "2026-01-01"}),
        ("node", {"by": ["site"]}), ("use", {"by": ["site", "site"]}),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_in_words(used: Any, kind: str, query: Any) -> None:
    assert read(used, kind, 422, **query)["problems"]


def test_papers_have_the_same_rows(used: Any) -> None:
    def paper(form: str) -> bytes:
        query = {**span(used), "form": form}
        reply = used.http.get("/v1/reports/use/paper", params=query, headers=used.operator)
        assert reply.status_code == 200, reply.text
        return bytes(reply.content)

    rows = list(csv.reader(io.StringIO(paper("csv").decode("utf-8-sig"))))
    assert any(row[:2] == ["haidian", "100.000"] for row in rows)
    book = openpyxl.load_workbook(io.BytesIO(paper("xlsx")))
    assert book.worksheets[1]["B2"].value == 100
    assert paper("pdf").startswith(b"%PDF")
    page = paper("html").decode()
    assert "<script" not in page
    assert '<svg viewBox="0 0 900 32" role="img" aria-label="' in page


def publish(platform: Any, status: int = 201, key: str = "", **more: Any) -> Any:
    days = span(platform)
    body = {"start": days["from"], "end": days["to"], **more}
    headers = {**platform.operator, "Idempotency-Key": key}
    reply = platform.http.post("/v1/reports/use/publications", json=body, headers=headers)
    assert reply.status_code == status, reply.text
    return reply.json()


def test_what_is_published_is_signed_and_for_everybody(used: Any) -> None:
    made = publish(used, note="first")
    number = made["edition"]["number"]
    found = used.http.get(f"/v1/published-reports/{number}").json()
    assert found == made
    (listed,) = used.http.get("/v1/published-reports").json()["items"]
    assert listed == made["edition"]
    key = used.http.get("/v1/reports-key").json()["public_key"]
    publication = Publication.model_validate(found)
    assert faults_of(publication, key) == ()
    assert faults_of(publication) == ()
    page = used.http.get(f"/v1/published-reports/{number}/paper").text
    assert made["edition"]["digest"] in page
    assert used.http.get("/v1/published-reports/2026-999999").status_code == 404


def test_any_change_of_what_was_published_is_seen(used: Any) -> None:
    found = Publication.model_validate(publish(used))
    key = found.edition.public_key
    body = json.loads(found.body)
    body["report"]["tables"][0]["rows"][0][1] = "900.000"
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert faults_of(found.model_copy(update={"body": text}), key)
    assert faults_of(found.model_copy(update={"body": found.body + " "}), key)
    for name, value in (("number", "2026-000099"), ("note", "x"), ("kind", "green"), ("start", "2020-01-01")):
        edition = found.edition.model_copy(update={name: value})
        assert faults_of(found.model_copy(update={"edition": edition}), key) == (
            f"the body says another {name}",
        )
    assert faults_of(found, "00" * 32)


def test_a_correction_is_a_new_edition_and_the_old_one_stands(used: Any) -> None:
    first = publish(used)
    number = first["edition"]["number"]
    record = UsageRecord(
        "u2", LAB, "u2", "haidian", "A100", "card_ms", HOUR_MS, 0, HOUR_MS, 0,
        used.services.clock() - 10, used.services.clock(),
    )  # fmt: skip
    used.services.store.post(Posting(usage=(record,)))
    second = publish(used, replaces=number)
    assert second["edition"]["replaces"] == number
    assert int(second["edition"]["number"][5:]) == int(number[5:]) + 1
    assert used.http.get(f"/v1/published-reports/{number}").json() == first
    assert publish(used, 409, replaces=number)["code"] == "replaced"
    assert publish(used, 422, replaces=number, end="2027-12-31")["code"] == "contradiction"
    publish(used, 404, replaces="2020-000001")


def test_a_repeat_publishes_nothing_more(used: Any) -> None:
    first = publish(used, key="k1")
    assert publish(used, key="k1") == first
    publish(used, 409, key="k1", note="another")
    assert len(used.http.get("/v1/published-reports").json()["items"]) == 1


def test_use_of_before_an_institution_changed_counts_as_what_it_was(used: Any) -> None:
    store = used.services.store
    record = store.get("institution", store.get("project", LAB).doc["institution"])
    kind, now_ms = record.doc["kind"], used.services.clock()
    later = "startup" if kind != "startup" else "sme"
    periods = [
        {"kind": kind, "from_ms": 0, "upto_ms": now_ms - 40 * 60_000},
        {"kind": later, "from_ms": now_ms - 40 * 60_000, "upto_ms": 1 << 47},
    ]
    store.put(replace(record, doc={**record.doc, "kind": later, "kinds": periods}))
    table, _ = read(used, "use", by=["kind"])["tables"]
    amounts = {row[0]: float(row[1]) for row in table["rows"]}
    assert sum(amounts.values()) == pytest.approx(100)
    assert amounts[kind] > 0


def test_sums_are_made_anew_where_somebody_asks(used: Any) -> None:
    before = read(used, "green")["tables"]
    reply = used.http.post("/v1/ledger/rollups/rebuild", headers=used.operator)
    assert reply.status_code == 200, reply.text
    assert reply.json()["records"] >= 1
    assert read(used, "green")["tables"] == before

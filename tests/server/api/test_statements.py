"""Statements, exports, invoices and disputes through the API, on a ledger that the loop and people wrote."""

import csv
import io
from decimal import Decimal
from typing import Any

import pypdf
import pytest

from hutong.core.book.money import REVENUE, Entry, Posting, Txn, UsageRecord, lot_account
from hutong.core.kernel.ids import ProjectId
from hutong.wire.base import rfc3339

DAY_MS = 86_400_000
LAB = ProjectId("physics")
ALWAYS = {"starts": "2000-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}


class Desk:
    """The platform with a project that has money, and work that was charged a month ago."""

    def __init__(self, platform: Any, li: dict[str, str]) -> None:
        self.platform = platform
        self.store = platform.services.store
        self.li = li
        self.then_ms = platform.services.clock() - 40 * DAY_MS

    def get(self, path: str, who: dict[str, str] | None = None, status: int = 200) -> Any:
        reply = self.platform.http.get(path, headers=who or self.li)
        assert reply.status_code == status, reply.text
        return reply

    def post(
        self, path: str, body: object = None, who: dict[str, str] | None = None, status: int = 200
    ) -> Any:
        reply = self.platform.http.post(path, json=body, headers=who or self.platform.operator)
        assert reply.status_code == status, reply.text
        return reply.json()

    def charge(self, name: str, micro: int, at_ms: int | None = None) -> None:
        at_ms = at_ms or self.then_ms
        (lot, *_) = self.store.lots(LAB)
        record = UsageRecord(
            name,
            LAB,
            name,
            "haidian",
            "A100",
            "card_ms",
            3_600_000,
            micro,
            3_600_000,
            micro,
            at_ms - 1000,
            at_ms,
        )
        legs = (Entry(lot_account(lot.id), -micro), Entry(REVENUE, micro))
        txn = Txn(name, "usage", LAB, at_ms, name, legs, site="haidian")
        assert self.store.post(Posting((txn,), usage=(record,)))

    @property
    def period(self) -> str:
        return next(each.id for each in self.store.periods() if each.from_ms <= self.then_ms < each.until_ms)

    def close(self) -> None:
        for each in self.store.periods():
            if each.from_ms <= self.then_ms:
                for final in (False, True):
                    self.post(f"/v1/ledger/periods/{each.id}/close", {"final": final, "note": "test"})


@pytest.fixture
def desk(platform: Any, li: dict[str, str]) -> Desk:
    found = Desk(platform, li)
    platform.post("/v1/projects/physics/awards", {**ALWAYS, "amount": {"amount": "100"}})
    found.charge("use:a:0-1", 12_345_678)
    found.charge("use:b:0-1", 7)
    return found


def test_a_statement_adds_up_and_is_kept_as_it_was_when_its_period_closes(desk: Desk) -> None:
    path = f"/v1/projects/physics/statements/{desk.period}"
    before = desk.get(path).json()
    assert before["final"] is False
    assert before["used"]["amount"] == "12.345685"
    assert [(use["sku"], use["quantity"]) for use in before["use"]] == [("A100", "1.000000")] * 2
    assert before["billed"]["amount"] == "0.000000", "an award paid all of it"
    assert [(line["kind"], line["amount"]["amount"]) for line in before["credits"]] == [
        ("award", "-12.345685")
    ]
    desk.close()
    after = desk.get(path).json()
    assert after == {**before, "final": True}
    desk.charge("use:late:0-1", 1_000_000)
    assert desk.get(path).json() == after, "what is late books in the open period"
    now = next(each.id for each in desk.store.periods() if not each.closed)
    late = desk.get(f"/v1/projects/physics/statements/{now}").json()
    assert late["used"]["amount"] == "1.000000"
    opening = sum(Decimal(lot["opening"]["amount"]) for lot in late["lots"])
    assert opening == sum(Decimal(lot["closing"]["amount"]) for lot in after["lots"])


def test_a_month_begins_with_what_the_months_without_a_statement_left(desk: Desk) -> None:
    desk.charge("use:b:1-2", 5_000_000, desk.then_ms - 62 * DAY_MS)
    desk.charge("use:c:1-2", 7_000_000, desk.then_ms - 31 * DAY_MS)
    desk.close()
    first, *_, last = [each.id for each in desk.store.periods() if each.closed]
    desk.get(f"/v1/projects/physics/statements/{first}")  # and nobody asks for those between
    (lot,) = desk.get(f"/v1/projects/physics/statements/{last}").json()["lots"]
    assert (lot["opening"]["amount"], lot["closing"]["amount"]) == ("-12.000000", "-24.345685")


def test_a_period_in_which_nothing_was_booked_has_no_statement(desk: Desk) -> None:
    desk.get("/v1/projects/physics/statements/1999-01", status=404)
    desk.get("/v1/projects/physics/statements/november", status=422)


def test_papers_are_read_by_other_peoples_readers(desk: Desk) -> None:
    path = f"/v1/projects/physics/statements/{desk.period}/paper"
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(desk.get(path).content)).pages)
    assert "physics" in text
    assert "12.345685" in text
    assert desk.get(f"{path}?form=xlsx").content[:2] == b"PK"
    desk.get(f"{path}?form=docx", status=422)


def test_exports_have_the_sums_of_the_ledger(desk: Desk) -> None:
    rows = list(csv.DictReader(io.StringIO(desk.get(f"/v1/projects/physics/focus/{desk.period}").text)))
    by_kind: dict[str, Decimal] = {}
    for row in rows:
        kind = row["ChargeCategory"]
        by_kind[kind] = by_kind.get(kind, Decimal(0)) + Decimal(row["BilledCost"])
    assert by_kind == {"Usage": Decimal("12.345685"), "Credit": Decimal("-12.345685")}
    everybody = desk.get(f"/v1/ledger/focus/{desk.period}", desk.platform.operator).text
    assert everybody.count("\n") == len(rows) + 1
    desk.get(f"/v1/ledger/focus/{desk.period}", status=403)
    journal = desk.get(f"/v1/ledger/journal/{desk.period}", desk.platform.operator).text
    assert journal.count("Income:Revenue  -") == 2


def test_invoices_are_made_once_for_a_closed_period_under_numbers_without_gaps(desk: Desk) -> None:
    path = f"/v1/ledger/periods/{desk.period}/invoices"
    assert desk.post(path, status=409)["code"] == "period_open"
    desk.close()
    assert desk.post(path)["made"] == 1
    again = desk.post(path)
    assert (again["made"], again["there"]) == (0, 1)
    found = desk.get("/v1/invoices", desk.platform.operator).json()["items"]
    assert [each["number"][-6:] for each in found] == ["000001"]
    total = sum(Decimal(line["amount"]["amount"]) for line in found[0]["lines"])
    assert total == Decimal(found[0]["total"]["amount"]) == 0
    number = found[0]["number"]
    desk.get(f"/v1/invoices/{number}", status=403)
    assert desk.get(f"/v1/invoices/{number}/paper", desk.platform.operator).content.startswith(b"%PDF")


def test_an_invoice_is_paid_and_taxed_once_and_mended_by_credit_notes(desk: Desk) -> None:
    desk.close()
    desk.post(f"/v1/ledger/periods/{desk.period}/invoices")
    (invoice,) = desk.get("/v1/invoices", desk.platform.operator).json()["items"]
    path = f"/v1/invoices/{invoice['number']}"
    assert desk.post(f"{path}/payment", {"reference": "bank-1"})["state"] == "paid"
    assert desk.post(f"{path}/payment", {"reference": "bank-2"}, status=409)["code"] == "paid"
    assert desk.post(f"{path}/tax", {"reference": "2411"})["tax_reference"] == "2411"
    note = {"project": "physics", "amount": {"amount": "1.00"}, "reason": "by mistake"}
    assert desk.post(f"{path}/credit-notes", note, status=422)["code"] == "too_much", "the total is nothing"
    note["amount"] = {"amount": "1.001"}
    assert desk.post(f"{path}/credit-notes", note, status=422)["code"] == "bad_amount"


def test_money_paid_in_advance_is_booked_once_and_billed_when_it_was_paid(desk: Desk) -> None:
    path, paid = "/v1/projects/physics/topups", {"amount": {"amount": "50"}, "reference": "ICBC 42"}
    lot = desk.post(path, paid, status=201)
    assert desk.post(path, paid, status=201) == lot
    assert (lot["kind"], lot["posted"]["amount"]) == ("topup", "50.000000")
    other = {**paid, "amount": {"amount": "60"}}
    assert desk.post(path, other, status=409)["code"] == "idempotency_conflict"
    desk.post(path, paid, desk.li, status=403)
    now = next(
        each.id
        for each in desk.store.periods()
        if each.from_ms <= desk.platform.services.clock() < each.until_ms
    )
    statement = desk.get(f"/v1/projects/physics/statements/{now}").json()
    assert statement["paid_in_advance"]["amount"] == statement["billed"]["amount"] == "50.000000"


def test_cost_centres_bear_the_whole_amount(desk: Desk) -> None:
    path = "/v1/projects/physics/cost-centres"
    parts = [{"name": "optics", "percent": "33.3333"}, {"name": "theory", "percent": "66.6667"}]
    put = desk.platform.http.put(path, json={"parts": parts}, headers=desk.li)
    assert put.status_code == 200, put.text
    assert desk.get(path).json() == {"parts": parts}
    short = desk.platform.http.put(path, json={"parts": parts[:1]}, headers=desk.li)
    assert short.json()["code"] == "bad_split"


def test_time_has_a_name(desk: Desk) -> None:
    assert (
        rfc3339(desk.then_ms)[:7] == desk.period or rfc3339(desk.then_ms + 8 * 3_600_000)[:7] == desk.period
    )

"""The audit of the ledger's own business: periods, centres' shares, refunds, suspense, invoices, disputes."""

from typing import Any

from tests.server.api.test_agent import Centre, centre, end, started
from tests.server.api.test_ledger import AWARD, KEY
from tests.server.api.test_ledger import Desk as Charges
from tests.server.api.test_statements import ALWAYS, LAB
from tests.server.api.test_statements import Desk as Invoices
from tests.server.walking import Walk

from hutong.core.book.money import REVENUE, Entry, Posting, Txn, overrun_account

__all__ = ["centre", "started"]  # fixtures

DAY_MS = 86_400_000
PERIOD = "/v1/ledger/periods/{period}"
SETTLEMENT = "/v1/ledger/settlements/{site}"
PROJECT = "/v1/projects/{project}"
INVOICE = "/v1/invoices/{number}"
DISPUTE = "/v1/disputes/{dispute}"
LEDGER = (
    f"POST {PERIOD}/close",
    f"POST {SETTLEMENT}/shares",
    f"POST {SETTLEMENT}/payouts",
    f"POST {PROJECT}/refunds",
    f"POST {PROJECT}/corrections",
    f"POST {PROJECT}/lots/{{lot}}/claim",
    "POST /v1/ledger/suspense/resolve",
)
INVOICES = (
    f"PUT {PROJECT}/cost-centres",
    f"POST {PERIOD}/invoices",
    f"POST {INVOICE}/payment",
    f"POST {INVOICE}/tax",
    f"POST {INVOICE}/credit-notes",
)
DISPUTES = (
    "POST /v1/jobs/{job}/disputes",
    f"POST {DISPUTE}/messages",
    f"POST {DISPUTE}/decision",
    f"POST {DISPUTE}/withdrawal",
)
WHY = {"reason": "slow disk"}
USE = {
    "source": "slurm", "record": "4711", "key": KEY, "quantity": 5,
    "start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00Z",
}  # fmt: skip


def test_what_is_done_with_the_ledger_is_told(platform: Any, li: dict[str, str]) -> None:
    desk = Charges(platform)
    walk = Walk(platform.http, desk.store, {"admin": platform.operator, "li": li})
    physics = {"project": "physics"}
    desk.charge(40, "old", platform.clock() - 40 * DAY_MS)
    desk.charge(20, "new")
    share = {"starts": "2020-01-01T00:00:00Z", "ppm": 700_000}
    walk("admin", f"POST {SETTLEMENT}/shares", share, "revenue-share.create", site="haidian")
    period = desk.get("/v1/ledger/periods")["items"][0]["id"]
    closing, final = {}, {"final": True, "note": "seen"}
    walk("admin", f"POST {PERIOD}/close", closing, "period.change", period=period)
    walk("admin", f"POST {PERIOD}/close", final, "period.change settlement.post", period=period)
    walk("admin", f"POST {PERIOD}/close", final, "", period=period)  # a repeat is no change
    paid = {"amount": {"amount": "1"}, "reference": "bank-1"}
    walk("admin", f"POST {SETTLEMENT}/payouts", paid, "payout.post", site="haidian")
    refund = {"subject": KEY, "amount": {"amount": "15"}, **WHY}
    walk("admin", f"POST {PROJECT}/refunds", refund, "refund.post", **physics)
    (told,) = platform.http.get("/v1/audit?limit=1", headers=platform.operator).json()["items"]
    assert told["after"]["reason"] == WHY["reason"]
    correction = {"subject": KEY, "record": "old", "quantity": 30, **WHY}
    walk("admin", f"POST {PROJECT}/corrections", correction, "reversal.post tokens.post", **physics)
    claimed = "award.claim clawback.post"
    walk("admin", f"POST {PROJECT}/lots/{{lot}}/claim", WHY, claimed, **physics, lot=desk.lot)
    desk.post("/v1/ledger/usage", {"records": [USE]})
    dismissed = {"source": "slurm", "record": "4711", "action": "dismiss", **WHY}
    walk("admin", "POST /v1/ledger/suspense/resolve", dismissed, "use.dismissed")
    walk.done(LEDGER)


def test_who_sent_use_that_corrects_the_book_is_told_and_use_that_agrees_is_not(
    platform: Any, centre: Centre, started: tuple[str, str]
) -> None:
    _, key = started
    end(centre, key)
    centre.tell(key, "collected", outputs=[], log_bytes=0)
    centre.settle()
    walk = Walk(platform.http, platform.services.store, {"admin": platform.operator})
    (used, *_) = platform.services.store.usage("physics", key, "", 10)
    for record, quantity, told in (
        ("1", used.quantity, ""),
        ("2", used.quantity // 2, "reversal.post usage.post"),
    ):
        body = {"records": [{**USE, "record": record, "key": key, "quantity": quantity}]}
        walk("admin", "POST /v1/ledger/usage", body, told)


def test_what_becomes_of_invoices_is_told(platform: Any, li: dict[str, str]) -> None:
    desk = Invoices(platform, li)
    platform.post("/v1/projects/physics/awards", {**ALWAYS, **AWARD})
    desk.charge("use:a:0-1", 12_345_678)
    owed = (Entry(overrun_account(LAB), -2_000_000), Entry(REVENUE, 2_000_000))
    assert desk.store.post(Posting((Txn("use:b:0-1", "usage", LAB, desk.then_ms, "use:b:0-1", owed),)))
    walk = Walk(platform.http, desk.store, {"admin": platform.operator, "li": li})
    split = {"parts": [{"name": "optics", "percent": "100"}]}
    walk("li", f"PUT {PROJECT}/cost-centres", split, "cost_centres.create", project="physics")
    desk.close()
    walk("admin", f"POST {PERIOD}/invoices", None, "invoice.create", period=desk.period)
    (invoice,) = desk.get("/v1/invoices", platform.operator).json()["items"]
    number = invoice["number"]
    walk("admin", f"POST {INVOICE}/payment", {"reference": "bank-1"}, "invoice.change", number=number)
    walk("admin", f"POST {INVOICE}/tax", {"reference": "2411"}, "invoice.change", number=number)
    note = {"project": "physics", "amount": {"amount": "1.00"}, **WHY}
    walk("admin", f"POST {INVOICE}/credit-notes", note, "invoice.create", number=number)
    walk.done(INVOICES)


def test_each_step_of_a_dispute_is_told(
    platform: Any, li: dict[str, str], centre: Centre, started: tuple[str, str]
) -> None:
    job, key = started
    end(centre, key)
    centre.tell(key, "collected", outputs=[], log_bytes=0)
    centre.settle()
    walk = Walk(platform.http, platform.services.store, {"admin": platform.operator, "li": li})
    wish = {"ground": "site-fault", "text": "the node lost its disk"}
    first = walk("li", "POST /v1/jobs/{job}/disputes", wish, "dispute.create", job=job)["id"]
    walk("li", f"POST {DISPUTE}/withdrawal", None, "dispute.change", dispute=first)
    again = walk("li", "POST /v1/jobs/{job}/disputes", wish, "dispute.create", job=job)["id"]
    walk("admin", f"POST {DISPUTE}/messages", {"text": "which?"}, "dispute.change", dispute=again)
    decision = {"refund": {"amount": "0.1"}, "reasons": "the log shows it"}
    given = "dispute.change refund.post"
    walk("admin", f"POST {DISPUTE}/decision", decision, given, dispute=again)
    walk.done(DISPUTES)

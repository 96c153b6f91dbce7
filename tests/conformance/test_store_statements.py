"""What every store promises to statements: what was booked in a period, with the records of use behind it."""

from dataclasses import replace

from book_samples import P, Q, fund

from hutong.core.book.money import REVENUE, Entry, Posting, Txn, UsageRecord, lot_account
from hutong.core.book.store import Store
from hutong.core.kernel.ids import LotId, ProjectId

NOV = 1_793_462_400_000  # 2026-11-01 in Shanghai
DAY = 86_400_000


def cards(name: str, amount: int, at_ms: int, project: ProjectId = P) -> Posting:
    record = UsageRecord(name, project, name, "east", "H100", "card_ms", 5, 1, 1, amount, at_ms - 1, at_ms)
    legs = (Entry(lot_account(LotId(f"a-{project}")), -amount), Entry(REVENUE, amount))
    txns = (Txn(name, "usage", project, at_ms, name, legs, site="east"),) if amount else ()
    return Posting(txns, usage=(record,))


def tokens(key: str, parts: tuple[int, int], at_ms: int) -> Posting:
    records = tuple(
        UsageRecord(f"{key}:{unit}", P, key, "east", "poet", unit, 7, 1, 1, amount, at_ms - 1, at_ms)
        for unit, amount in zip(("token_in", "token_out"), parts, strict=True)
    )
    legs = (Entry(lot_account(LotId(f"a-{P}")), -sum(parts)), Entry(REVENUE, sum(parts)))
    return Posting(
        (Txn(f"tokens:{key}", "tokens", P, at_ms, key, legs),) if sum(parts) else (), usage=records
    )


def filled(store: Store) -> None:
    for project in (P, Q):
        fund(store, f"a-{project}", 10_000, project)
    for posting in (
        cards("use:k1:0-5", 100, NOV + DAY),
        cards("use:k2:0-5", 0, NOV + 2 * DAY),
        cards("use:k3:0-5", 30, NOV - DAY),
        cards("use:q1:0-5", 50, NOV + DAY, Q),
        tokens("gw-1", (3, 0), NOV + DAY),
        tokens("gw-2", (0, 0), NOV + DAY),
    ):
        assert store.post(posting)


def test_what_was_booked_in_a_period_is_read_project_by_project_in_pages(store: Store) -> None:
    filled(store)
    months = [period.id for period in store.periods() if period.from_ms >= NOV - 31 * DAY]
    assert months == ["2026-10", "2026-11"]
    ids = [txn.id for txn in store.booked(P, "2026-11", "", 10)]
    assert ids == ["tokens:gw-1", "use:k1:0-5"]
    assert [txn.id for txn in store.booked(P, "2026-11", ids[0], 10)] == ids[1:]
    assert [txn.id for txn in store.booked(P, "2026-11", "", 1)] == ids[:1]
    assert [txn.id for txn in store.booked(P, "2026-10", "", 10)] == ["use:k3:0-5"]
    assert [txn.id for txn in store.booked(Q, "2026-11", "", 10)] == ["use:q1:0-5"]


def test_each_transaction_has_the_records_that_it_charged_or_took_back(store: Store) -> None:
    filled(store)
    first = store.txn("use:k1:0-5")
    assert first is not None
    (record,) = store.usage(P, "use:k1:0-5", "", 10)
    back = replace(
        record, id="use:k1:0-5~r2-", quantity=-5, charge_micro=-100, revision=2, reverses=record.id
    )
    again = replace(record, id="use:k1:0-5~r2", quantity=4, charge_micro=80, revision=2)
    undo = Txn(
        "reversal:use:k1:0-5:0", "reversal", P, first.effective_ms, first.cause,
        tuple(Entry(leg.account, -leg.amount_micro) for leg in first.entries), first.id, 0, "late", "east",
    )  # fmt: skip
    legs = (Entry(lot_account(LotId(f"a-{P}")), -80), Entry(REVENUE, 80))
    redo = Txn("use:k1:0-5~r2", "usage", P, first.effective_ms, first.cause, legs, site="east")
    assert store.post(Posting((undo, redo), usage=(back, again)))
    booked = store.booked(P, "2026-11", "", 10)
    found = {txn: [each.id for each in records] for txn, records in store.records_of(booked).items()}
    assert found == {
        "use:k1:0-5": ["use:k1:0-5"],
        "reversal:use:k1:0-5:0": ["use:k1:0-5~r2-"],
        "use:k1:0-5~r2": ["use:k1:0-5~r2"],
        "tokens:gw-1": ["gw-1:token_in", "gw-1:token_out"],
    }


def test_use_that_costs_nothing_is_found_though_nothing_charges_it(store: Store) -> None:
    filled(store)
    span = (NOV, NOV + 30 * DAY)
    found: list[tuple[int, str]] = []
    while page := store.unpriced(P, span, found[-1] if found else (0, ""), 1):
        found += [(record.upto_ms, record.id) for record in page]
    assert [name for _, name in found] == ["gw-2:token_in", "gw-2:token_out", "use:k2:0-5"]
    assert store.unpriced(P, (NOV, NOV + 2 * DAY), (0, ""), 10)[-1].id == "gw-2:token_out"
    assert store.unpriced(Q, span, (0, ""), 10) == ()


def test_accounts_move_over_periods(store: Store) -> None:
    filled(store)
    account = lot_account(LotId(f"a-{P}"))
    assert store.moved(P, ["2026-10"])[account] == -30
    assert store.moved(P, ["2026-10", "2026-11"])[account] == -133
    assert dict(store.moved(P, [])) == {}

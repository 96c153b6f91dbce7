"""A town with programmes, start-ups with money, contracts, settled use: for tests of vouchers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from hutong.config import data_folder
from hutong.core.accounts.registry import Institution, InstitutionKind, Project
from hutong.core.accounts.roles import Role
from hutong.core.book.money import (
    ISSUED,
    REVENUE,
    Entry,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.book.store import Record, Store
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.ledger.subsidies.parties import Contract
from hutong.core.ledger.subsidies.programme import Party
from hutong.server.registry import document
from hutong.server.subsidies import shelf
from hutong.server.subsidies.claims import Claims, ClaimWanted
from hutong.server.subsidies.desk import Desk, Wanted
from hutong.server.subsidies.programmes import Rules, make_rules
from hutong.wire.subsidies import SubsidyProgramme

YUAN = 1_000_000
DAY_MS = 86_400_000
NOW = 1_780_000_000_000  # 2026-05-28
PROOF = {"invoice": "0451", "delivery-proof": "77"}
WHOLE = ClaimWanted(NOW - 90 * DAY_MS, NOW, PROOF)


def programme(name: str, pays: str = "claim", **clauses: dict[str, Any]) -> Rules:
    """Return Beijing's rules under another name, open to today, with clauses changed."""
    text = (data_folder("policies") / "subsidies" / "beijing-2023.yaml").read_text()
    doc = yaml.safe_load(text)
    del doc["clauses"]["contract-signed"]["until"]
    for clause, fields in clauses.items():
        there = doc["clauses"][clause.replace("_", "-")]
        there.update({"status": "assumed", **fields})
    return make_rules(SubsidyProgramme.model_validate({**doc, "id": name, "pays": pays}))


TOWN = {
    "town": programme("town", cap_per_year={"yuan": 1000}, redeem_by={"days": 30}),
    "county": programme("county", cap_per_year={"yuan": 1000}, one_per_contract={"status": "unknown"}),
    "pooled": programme("pooled", pool_per_year={"yuan": 1500}, cap_per_year={"yuan": 1000}),
    "prompt": programme("prompt", pays="charge", cap_per_year={"yuan": 1000, "counts": ["issue"]}),
}


@dataclass
class Town:
    """A store with all that vouchers need, and the desks over it."""

    store: Store
    programmes: Mapping[str, Rules] = field(default_factory=lambda: TOWN)
    now_ms: int = NOW
    used: int = 0

    @property
    def desk(self) -> Desk:
        return Desk(self.store, self.programmes, lambda: self.now_ms)

    @property
    def claims(self) -> Claims:
        return Claims(self.desk)

    def firm(self, name: str, kind: InstitutionKind = InstitutionKind.STARTUP, yuan: int = 100_000) -> None:
        """Enter a firm with a project of its own name, and money."""
        self.store.put(Record("institution", name, document(Institution(name, kind, name, name))))
        project = Project(name, name, name, (("li", Role.OWNER),))
        self.store.put(Record("project", name, document(project), name))
        lot = Lot(LotId(f"award-{name}"), ProjectId(name), LotKind.AWARD, YUAN, 0, NOW * 2)
        entries = (Entry(ISSUED, -yuan * YUAN), Entry(lot_account(lot.id), yuan * YUAN))
        self.store.open_lot(lot, Txn(f"fill:{name}", "award", lot.project, 1, lot.id, entries))

    def contract(self, name: str, firm: str, yuan: int = 100_000, **changes: Any) -> str:
        """Enter a contract of a firm with the centre."""
        start = NOW - 100 * DAY_MS
        fields = {
            "number": name, "project": firm, "demander": firm, "provider": "centre", "sites": ("hd",),
            "amount_micro": yuan * YUAN, "signed_ms": start, "starts_ms": start,
            "ends_ms": start + 300 * DAY_MS, **changes,
        }  # fmt: skip
        made = Contract(id=name, **fields)
        self.store.put(Record(shelf.CONTRACT, name, document(made), firm), 0)
        return name

    def use(self, firm: str, yuan: int, days_ago: int = 10, lot: str = "", site: str = "hd") -> str:
        """Book settled use of a firm, paid by its award or by another lot; return its name."""
        self.used += 1
        name, key = f"use:{firm}:{self.used}", f"ht-{firm}-{self.used}"
        amount, end = yuan * YUAN, NOW - days_ago * DAY_MS
        record = UsageRecord(
            name, ProjectId(firm), key, site, "A100", "card_ms", 1, amount, 1, amount, end - 1000, end
        )
        legs = (Entry(lot_account(LotId(lot or f"award-{firm}")), -amount), Entry(REVENUE, amount))
        txn = Txn(name, "usage", ProjectId(firm), end, key, legs)
        assert self.store.post(Posting(txns=(txn,), usage=(record,)))
        return name

    def use_much(self, firm: str, lines: int) -> None:
        """Book many settled lines of a yuan each, at once."""
        end, owner, award = NOW - DAY_MS, ProjectId(firm), lot_account(LotId(f"award-{firm}"))
        records = tuple(
            UsageRecord(
                f"use:{n:05d}", owner, f"k{n}", "hd", "A100", "card_ms", 1, YUAN, 1, YUAN, end - 9, end
            )
            for n in range(lines)
        )
        legs = (Entry(award, -lines * YUAN), Entry(REVENUE, lines * YUAN))
        assert self.store.post(Posting(txns=(Txn("much", "usage", owner, end, "k", legs),), usage=records))

    def issue(
        self,
        firm: str,
        contract: str = "",
        face: int | None = None,
        programme: str = "town",
        name: str = "v1",
    ) -> Any:
        """Issue a voucher."""
        face_micro = None if face is None else face * YUAN
        wanted = Wanted(programme, firm, Party.DEMANDER, face_micro, contract)
        return self.desk.issue(name, wanted, repr(wanted))

    def taken(self, programme: str, counts: str, year: int = 2026, firm: str = "") -> int:
        """Return what counts against a cap, in yuan."""
        name = f"{programme}/{year}/{counts}" + (f"/{firm}" if firm else "")
        return shelf.load_tally(self.store, name)[0].taken_micro // YUAN

    def balance(self, firm: str) -> int:
        """Return what a firm's lots have, less what it owes, in yuan."""
        lots = sum(lot.posted_micro for lot in self.store.lots(ProjectId(firm)))
        owed = self.store.balances([f"overrun:{firm}"])[0].amount_micro
        return (lots + owed) // YUAN

    def faults(self) -> list[str]:
        """Return what is wrong with the ledger; that the use here belongs to no job is not."""
        found = self.store.check_ledger().faults
        return [each for each in found if "belong to no attempt" not in each]

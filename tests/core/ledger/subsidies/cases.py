"""A programme, an applicant, a contract and a voucher that are good: for tests of subsidies to spoil."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hutong.core.accounts.registry import InstitutionKind
from hutong.core.ledger.subsidies.issue import Case
from hutong.core.ledger.subsidies.parties import Applicant, Contract, Room, Spend, Voucher, VoucherState
from hutong.core.ledger.subsidies.programme import Counts, Party, Pays, Programme
from hutong.core.ledger.subsidies.redeem import Asked

YUAN = 1_000_000
DAY_MS = 86_400_000
EAST_MS = 8 * 3_600_000


def at(text: str) -> int:
    """Return the UTC millisecond of a local time of Asia/Shanghai."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000 - EAST_MS


NOW = at("2024-06-01")
BEIJING = Programme(
    id="beijing",
    name_zh="北京",
    name_en="Beijing",
    zone="Asia/Shanghai",
    offset_ms=EAST_MS,
    pays=Pays.CLAIM,
    clauses=(),
    claimants=(Party.DEMANDER,),
    rates=((InstitutionKind.STARTUP, 300_000),),
    other_rate_ppm=200_000,
    kinds=(InstitutionKind.STARTUP, InstitutionKind.SME, InstitutionKind.ENTERPRISE),
    signed_from_ms=at("2023-09-01"),
    signed_until_ms=at("2026-01-01"),
    term_months=12,
    unrelated=True,
    clean_credit_years=3,
    one_per_contract=True,
    cap_year_micro=2_000_000 * YUAN,
    counts=(Counts.ISSUE, Counts.CLAIM),
    lines=("compute",),
    evidence=("invoice", "delivery-proof"),
    no_double=True,
    redeem_days=90,
)
FIRM = Applicant("rain", InstitutionKind.SME)
CONTRACT = Contract(
    id="c1", number="2024-17", project="clouds", demander="rain", provider="haidian", sites=("hd",),
    amount_micro=1_000_000 * YUAN, signed_ms=at("2024-03-01"), starts_ms=at("2024-03-01"),
    ends_ms=at("2025-03-01"),
)  # fmt: skip
VOUCHER = Voucher(
    id="v1", programme="beijing", rules="x", institution="rain", project="clouds", claimant=Party.DEMANDER,
    rate_ppm=200_000, face_micro=200_000 * YUAN, issued_ms=NOW, year=2024, state=VoucherState.BOUND,
    contract="c1", expires_ms=at("2025-05-30"),
)  # fmt: skip
PROOF = {"invoice": "0451", "delivery-proof": "77"}


def case(programme: Programme = BEIJING, face: int = 100_000 * YUAN, **changes: Any) -> Case:
    """Return a case that nothing stands against, with changes."""
    good = Case(programme, FIRM, Party.DEMANDER, face, CONTRACT, Room(), NOW)
    return replace(good, **changes)


def spend(number: int, charge: int, **changes: Any) -> Spend:
    """Return a settled line of the contract's site."""
    start = CONTRACT.starts_ms + number * 3_600_000
    return replace(Spend(f"use:{number:04d}", "hd", "compute", charge, start, start + 3_600_000), **changes)


def asked(*spends: Spend, programme: Programme = BEIJING, **changes: Any) -> Asked:
    """Return a claim that nothing stands against, with changes."""
    good = Asked(programme, VOUCHER, CONTRACT, spends, PROOF, Room(), 0, NOW)
    return replace(good, **changes)

"""Every clause of a programme refuses what it is for, is named, and says what would be right."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.ledger.subsidies.cases import BEIJING, CONTRACT, DAY_MS, FIRM, NOW, YUAN, at, case

from hutong.core.accounts.registry import InstitutionKind
from hutong.core.ledger.subsidies.issue import Case, face_at_most, may_bind, may_issue
from hutong.core.ledger.subsidies.parties import Applicant, Capacity, Room
from hutong.core.ledger.subsidies.programme import Counts, Party, Threshold

amounts = st.integers(1, 50_000_000 * YUAN)
capped = replace(BEIJING, cap_voucher_micro=500_000 * YUAN, pool_year_micro=9_000_000 * YUAN)
rich = replace(CONTRACT, amount_micro=10**15)
threshold = replace(BEIJING, threshold=Threshold(2_500_000, "FP16"))


def clauses(judged: Case) -> list[str]:
    return [each.clause.removeprefix("beijing/") for each in may_issue(judged)]


def test_nothing_stands_against_a_good_case() -> None:
    assert clauses(case()) == []
    assert clauses(case(contract=None)) == []


@pytest.mark.parametrize(
    ("spoiled", "clause", "hint"),
    [
        (case(claimant=Party.SUPPLIER, contract=None), "claimant", "demander"),
        (case(contract=replace(CONTRACT, demander="snow")), "claimant", "own"),
        (
            case(applicant=replace(FIRM, kind=InstitutionKind.UNIVERSITY)),
            "applicant-kind",
            "startup, enterprise",
        ),
        (case(contract=replace(CONTRACT, signed_ms=at("2023-09-01") - 1)), "contract-signed", "2023-09-01"),
        (case(contract=replace(CONTRACT, signed_ms=NOW + 1)), "contract-signed", "once it is signed"),
        (case(contract=replace(CONTRACT, ends_ms=CONTRACT.ends_ms + 1)), "contract-term", "12 months"),
        (case(applicant=replace(FIRM, related=("haidian",))), "unrelated-provider", "unrelated"),
        (case(contract=replace(CONTRACT, provider="rain")), "unrelated-provider", "unrelated"),
        (case(room=Room(holders=("v0",))), "one-per-contract", "another contract"),
        (case(contract=replace(CONTRACT, subsidised_by=("city fund",))), "no-double-subsidy", "no other"),
        (case(face=200_000 * YUAN + 1), "rate", "at most 200,000 yuan"),
        (case(threshold), "threshold", "2500 P of FP16 dense"),
    ],
)
def test_each_clause_refuses_what_it_is_for(spoiled: Case, clause: str, hint: str) -> None:
    found = may_issue(spoiled)
    assert [each.clause for each in found] == [f"beijing/{clause}"]
    assert hint in found[0].hint or all(word in found[0].hint for word in hint.split(", "))
    assert found[0].path.startswith("/")


@given(days=st.integers(0, 4000))
def test_bad_credit_stands_against_an_applicant_for_exactly_three_years(days: int) -> None:
    bad = NOW - days * DAY_MS
    found = clauses(case(applicant=Applicant("rain", InstitutionKind.SME, bad_credit_ms=bad)))
    assert found == (["clean-credit"] if bad > at("2021-06-01") else [])


def test_a_contract_that_was_signed_in_the_first_and_the_last_moment_counts() -> None:
    late = case(now_ms=at("2027-01-01"))
    for moment, good in (
        (at("2023-09-01"), True),
        (at("2026-01-01") - 1, True),
        (at("2026-01-01"), False),
    ):
        signed = replace(CONTRACT, signed_ms=moment)
        assert ("contract-signed" not in clauses(replace(late, contract=signed))) is good


@given(start=st.integers(at("2024-01-01"), at("2025-12-31")), months=st.integers(1, 36))
def test_a_term_is_counted_in_months_of_the_calendar(start: int, months: int) -> None:
    rules = replace(BEIJING, term_months=months)
    latest = rules.months_after(start, months)
    assert rules.month(latest) == rules.month(start) + months
    for ends, good in ((latest, True), (latest + 1, False)):
        judged = case(rules, contract=replace(CONTRACT, starts_ms=start, ends_ms=ends))
        assert ("contract-term" not in clauses(judged)) is good


def test_a_month_without_such_a_day_ends_on_its_last() -> None:
    assert BEIJING.months_after(at("2024-01-31T10:00:00"), 1) == at("2024-02-29T10:00:00")
    assert BEIJING.months_after(at("2024-02-29"), 12) == at("2025-02-28")


@given(kind=st.sampled_from(InstitutionKind), contract=amounts, face=amounts)
def test_no_face_is_above_the_rate_of_the_kind(kind: InstitutionKind, contract: int, face: int) -> None:
    judged = case(
        applicant=replace(FIRM, kind=kind), face=face, contract=replace(CONTRACT, amount_micro=contract)
    )
    found = clauses(judged)
    if kind not in (BEIJING.kinds or ()):
        assert "applicant-kind" in found
        return
    rate_ppm = 300_000 if kind is InstitutionKind.STARTUP else 200_000
    assert ("rate" in found) == (face * 1_000_000 > contract * rate_ppm)


@given(face=amounts, firm=amounts, pool=amounts)
def test_no_face_goes_beyond_the_caps_of_voucher_year_and_pool(face: int, firm: int, pool: int) -> None:
    found = clauses(case(capped, face=face, room=Room(firm, pool), contract=rich))
    assert ("cap-per-voucher" in found) == (face > 500_000 * YUAN)
    assert ("cap-per-year" in found) == (firm + face > 2_000_000 * YUAN)
    assert ("pool-per-year" in found) == (pool + face > 9_000_000 * YUAN)


@given(firm=amounts, pool=amounts, contract=amounts, held=amounts)
def test_the_most_that_is_left_may_be_issued_and_nothing_more(
    firm: int, pool: int, contract: int, held: int
) -> None:
    rules = replace(capped, one_per_contract=False)
    signed = replace(CONTRACT, amount_micro=contract)
    judged = case(rules, contract=signed, room=Room(firm, pool, held_micro=held))
    most, bound = face_at_most(judged)
    if most:
        assert clauses(replace(judged, face_micro=most)) == []
    above = [each.clause for each in may_issue(replace(judged, face_micro=most + 1))]
    assert bound in above


def test_where_claims_alone_count_the_caps_of_a_year_do_not_stop_an_issue() -> None:
    rules = replace(capped, counts=(Counts.CLAIM,))
    full = Room(2_000_000 * YUAN, 9_000_000 * YUAN)
    assert clauses(case(rules, room=full)) == []


@given(
    milli_p=st.integers(0, 10**7),
    precision=st.sampled_from(["FP16", "BF16", "FP32", "INT8", "FP8"]),
    sparse=st.booleans(),
)
def test_a_threshold_compares_only_its_own_precision_dense(
    milli_p: int, precision: str, sparse: bool
) -> None:
    stated = replace(CONTRACT, capacity=Capacity(milli_p, precision, sparse))
    found = may_issue(case(threshold, contract=stated))
    good = precision == "FP16" and not sparse and milli_p >= 2_500_000
    assert [each.clause for each in found] == ([] if good else ["beijing/threshold"])
    if precision != "FP16" or sparse:
        assert "cannot be compared" in found[0].message


def test_a_supplier_may_claim_where_the_programme_says_so_and_only_for_its_own_contract() -> None:
    rules = replace(BEIJING, claimants=(Party.SUPPLIER, Party.DEMANDER))
    provider = Applicant("haidian", InstitutionKind.ENTERPRISE)
    assert clauses(case(rules, applicant=provider, claimant=Party.SUPPLIER)) == []
    assert clauses(case(rules, claimant=Party.SUPPLIER)) == ["claimant"]
    related = replace(provider, related=("rain",))
    assert clauses(case(rules, applicant=related, claimant=Party.SUPPLIER)) == ["unrelated-provider"]


def test_a_programme_whose_rate_nobody_knows_issues_nothing() -> None:
    silent = replace(BEIJING, rates=(), other_rate_ppm=0)
    assert "rate" in clauses(case(silent))


def test_binding_asks_the_contract_s_clauses_and_not_the_caps_once_more() -> None:
    full = case(room=Room(2_000_000 * YUAN, 0))
    assert clauses(full) == ["cap-per-year"]
    assert may_bind(full) == ()
    related = replace(full, applicant=replace(FIRM, related=("haidian",)))
    assert [each.clause for each in may_bind(related)] == ["beijing/unrelated-provider"]

"""What-if: the same rules change nothing, sums add up, caps hold, and the order of use is all the same."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.core.ledger.subsidies.cases import BEIJING, YUAN, at

from hutong.core.accounts.registry import InstitutionKind
from hutong.core.ledger.subsidies.what_if import Used, compare

KINDS = {"rain": InstitutionKind.SME, "snow": InstitutionKind.STARTUP, "uni": InstitutionKind.UNIVERSITY}
used = st.builds(
    lambda firm, contract, line, charge, day, related: Used(
        firm, KINDS[firm], contract, "haidian", line, charge, at("2024-11-15") + day * 86_400_000, related
    ),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["", "c1"]),
    st.sampled_from(["compute", "compute", "storage"]),
    st.integers(-(10**6), 10**13),
    st.integers(0, 90),
    st.booleans(),
)
MORE = replace(BEIJING, other_rate_ppm=300_000)


def test_thirty_percent_instead_of_twenty_costs_half_as_much_again() -> None:
    use = [
        Used("rain", InstitutionKind.SME, "", "hd", "compute", 1_000_000 * YUAN, at("2024-05-01")),
        Used("snow", InstitutionKind.STARTUP, "", "hd", "compute", 100_000 * YUAN, at("2024-06-01")),
        Used("uni", InstitutionKind.UNIVERSITY, "", "hd", "compute", 500 * YUAN, at("2024-06-01")),
    ]
    found = compare(BEIJING, MORE, use)
    assert found.before.paid_micro == 230_000 * YUAN
    assert found.after.paid_micro == 330_000 * YUAN
    assert [(each.institution, each.gain_micro // YUAN) for each in found.changes] == [
        ("rain", 100_000),
        ("snow", 0),
        ("uni", 0),
    ]
    assert dict(found.before.kept_back) == {"beijing/applicant-kind": 500 * YUAN}


def test_years_are_cut_in_shanghai_and_the_cap_begins_anew() -> None:
    use = [
        Used("rain", InstitutionKind.SME, "", "hd", "compute", 15_000_000 * YUAN, at("2025-01-01") - 1),
        Used("rain", InstitutionKind.SME, "", "hd", "compute", 15_000_000 * YUAN, at("2025-01-01")),
    ]
    found = compare(BEIJING, replace(BEIJING, cap_year_micro=None), use)
    assert found.before.by_year == ((2024, 2_000_000 * YUAN), (2025, 2_000_000 * YUAN))
    assert found.after.by_year == ((2024, 3_000_000 * YUAN), (2025, 3_000_000 * YUAN))
    assert dict(found.before.kept_back) == {"beijing/cap-per-year": 2_000_000 * YUAN}


def test_a_pool_that_runs_out_pays_the_month_s_applicants_the_same_part() -> None:
    use = [
        Used("rain", InstitutionKind.SME, "", "hd", "compute", 300 * YUAN, at("2024-05-01")),
        Used("snow", InstitutionKind.SME, "", "hd", "compute", 100 * YUAN, at("2024-05-31")),
        Used("hail", InstitutionKind.SME, "", "hd", "compute", 100 * YUAN, at("2024-06-01")),
    ]
    small = replace(BEIJING, pool_year_micro=40 * YUAN)
    paid = {each.institution: each.paid_micro for each in compare(small, small, use).before.institutions}
    assert paid == {"rain": 30 * YUAN, "snow": 10 * YUAN, "hail": 0}


@given(st.lists(used, max_size=40))
def test_sums_add_up_caps_hold_and_order_is_all_the_same(use: list[Used]) -> None:
    rules = replace(
        MORE,
        cap_voucher_micro=2_500_000 * YUAN,
        cap_year_micro=2_000_000 * YUAN,
        pool_year_micro=3_000_000 * YUAN,
    )
    found = compare(BEIJING, rules, use)
    assert all(each.gain_micro == 0 for each in compare(rules, rules, use).changes)
    assert sum(each.paid_micro for each in found.after.institutions) == found.after.paid_micro
    assert sum(paid for _, paid in found.after.by_year) == found.after.paid_micro
    assert all(paid <= 3_000_000 * YUAN for _, paid in found.after.by_year)
    assert sum(each.gain_micro for each in found.changes) == found.after.paid_micro - found.before.paid_micro
    for each in found.after.institutions:
        if each.kind is InstitutionKind.UNIVERSITY:
            assert each.paid_micro == 0
    assert compare(BEIJING, rules, sorted(use, key=lambda each: each.charge_micro)) == found

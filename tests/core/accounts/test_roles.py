"""Rights: nothing is allowed by default, and a right in one project is none in another."""

import pytest

from hutong.core.accounts.roles import PERMISSIONS, Principal, Role

EVERY = sorted({permission for granted in PERMISSIONS.values() for permission in granted})


@pytest.mark.parametrize("permission", EVERY)
def test_somebody_without_a_role_may_nothing(permission: str) -> None:
    assert not Principal("eve").may(permission)
    assert not Principal("eve").may(permission, "lab")


@pytest.mark.parametrize("permission", EVERY)
def test_a_member_may_what_members_may_in_the_own_project_only(permission: str) -> None:
    member = Principal("ada", projects=(("lab", Role.MEMBER),))
    assert member.may(permission, "lab") == (permission in PERMISSIONS[Role.MEMBER])
    assert not member.may(permission, "other")


def test_an_owner_may_more_than_a_member_and_a_gateway_key_next_to_nothing() -> None:
    owner = Principal("ada", projects=(("lab", Role.OWNER), ("other", Role.MEMBER)))
    assert owner.may("secret.write", "lab")
    assert not owner.may("secret.write", "other")
    key = Principal("key", projects=(("lab", Role.CALLER),))
    assert [permission for permission in EVERY if key.may(permission, "lab")] == ["model.call"]


def test_an_operator_runs_the_platform_and_does_not_spend_a_projects_money() -> None:
    operator = Principal("admin", operator=True)
    assert operator.may("award.write")
    assert operator.may("job.read", "lab")
    assert not operator.may("job.submit", "lab")
    assert not operator.may("secret.write", "lab")


def test_a_sites_token_is_for_the_agents_door_only() -> None:
    agent = Principal("site:bj", site="bj")
    assert [permission for permission in EVERY if agent.may(permission)] == ["agent.call"]


def test_scopes_narrow_and_never_widen() -> None:
    narrow = Principal("ada", projects=(("lab", Role.MEMBER),), scopes=frozenset({"job.read", "award.write"}))
    assert narrow.may("job.read", "lab")
    assert not narrow.may("job.submit", "lab")
    assert not narrow.may("award.write", "lab")

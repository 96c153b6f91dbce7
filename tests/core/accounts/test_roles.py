"""Rights: nothing is allowed by default, and a right in one project is none in another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.accounts.roles import (
    GRANTABLE,
    PERMISSIONS,
    READING,
    Principal,
    Reach,
    Role,
    ScopeKind,
)

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


SCOPES = st.one_of(
    st.just((ScopeKind.PLATFORM, "")),
    st.tuples(st.just(ScopeKind.INSTITUTION), st.sampled_from(["cau", "pku"])),
    st.tuples(st.just(ScopeKind.PROJECT), st.sampled_from(["soil", "rain", "ice"])),
)
PROJECTS = {"soil": "cau", "rain": "cau", "ice": "pku"}
ROLES = st.sampled_from(sorted(map(str, GRANTABLE)))


def reach(kind: ScopeKind, name: str, role: str) -> Reach:
    of_it = frozenset(project for project, institution in PROJECTS.items() if institution == name)
    projects = of_it if kind is ScopeKind.INSTITUTION else frozenset()
    return Reach(PERMISSIONS[role], kind, name, projects)


GRANTS = st.lists(st.builds(lambda scope, role: reach(*scope, role), SCOPES, ROLES), max_size=4).map(tuple)


@given(GRANTS, st.sampled_from(EVERY))
def test_lists_are_filtered_by_what_is_asked_of_one_thing(grants: tuple[Reach, ...], permission: str) -> None:
    somebody = Principal("ada", grants=grants)
    listed = set(PROJECTS) if somebody.everywhere(permission) else somebody.projects_with(permission)
    assert listed == {project for project in PROJECTS if somebody.may(permission, project)}
    institutions = {"cau", "pku"}
    named = institutions if somebody.everywhere(permission) else somebody.institutions_with(permission)
    assert named == {name for name in institutions if somebody.may(permission, institution=name)}
    assert bool(listed or named) <= somebody.may(permission)


@given(GRANTS, st.sampled_from(EVERY), st.sampled_from(sorted(PROJECTS)))
def test_only_a_grant_that_names_it_there_allows_it(
    grants: tuple[Reach, ...], permission: str, project: str
) -> None:
    allowed = any(
        permission in each.permissions and each.name in {"", project, PROJECTS[project]} for each in grants
    )
    assert Principal("ada", grants=grants).may(permission, project) == allowed
    narrow = Principal("ada", grants=grants, scopes=frozenset({"no.such"}))
    assert not narrow.may(permission, project)


def test_a_role_in_one_institution_is_none_in_another_nor_on_the_platform() -> None:
    admin = Principal("ada", grants=(reach(ScopeKind.INSTITUTION, "cau", "institution-admin"),))
    assert admin.may("person.write", institution="cau")
    assert admin.may("job.read", "soil")
    assert not admin.may("person.write", institution="pku")
    assert not admin.may("job.read", "ice")
    assert not admin.everywhere("person.write")
    assert admin.lacks(frozenset({"person.write", "award.write"}), institution="cau") == {"award.write"}


def test_what_reads_changes_nothing_and_every_shipped_role_but_agents_can_be_granted() -> None:
    assert all(each.partition(".")[2] in {"read", "list", "verify"} for each in READING)
    assert "job.open" not in READING
    assert frozenset(PERMISSIONS) - GRANTABLE == {"site", "caller", "directory"}

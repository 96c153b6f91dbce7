"""Who uses the platform: entered, listed, let into projects and taken out of them."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from hutong.clients.cli.session import which_project
from hutong.clients.sdk.client import Client

WIDE = {"COLUMNS": "200"}
PASSWORD = "a long password of hers"


@pytest.fixture(scope="module")
def hers(house: Any) -> Callable[..., Any]:
    """Return what runs commands as the owner of a project of her own: other tests count on theirs."""
    house.run(
        "institution", "create", "clay", "--kind", "research", "--zh", "黏土", "--en", "Clay", admin=True
    )
    words = ("person", "create", "wu-min", "-i", "clay", "--name", "吴敏", "--password-stdin", "--json")
    made = house.run(*words, text=PASSWORD, admin=True)
    assert json.loads(made.out)["name"] == "吴敏"
    house.run("person", "create", "he-lin", "-i", "clay", admin=True)
    house.run("project", "create", "pots", "-i", "clay", "--owner", "wu-min", "--title", "Pots", admin=True)
    with Client(house.url, "") as client:
        token = client.login("wu-min", PASSWORD).secret or ""
    return partial(house.run, env={**WIDE, "HUTONG_TOKEN": token})


def test_a_project_s_members_come_and_go(house: Any, hers: Callable[..., Any]) -> None:
    assert "Pots" in house.run("project", "list", admin=True, env=WIDE).out
    assert house.run("project", "add", "he-lin", "-p", "pots", admin=True).code == 2, "its owners say who"
    done = hers("project", "add", "he-lin", "--json")
    assert {"person": "he-lin", "role": "member"} in json.loads(done.out)["members"]
    assert hers("project", "add", "he-lin", "--owner").out.endswith("an owner of pots\n")
    listed = [line.split() for line in hers("project", "members").out.splitlines()[1:]]
    assert sorted(listed) == [["he-lin", "owner"], ["wu-min", "owner"]]
    assert hers("project", "remove", "he-lin").code == 0
    assert hers("project", "remove", "wu-min").code == 2, "its last owner stays"
    left = json.loads(hers("project", "members", "--json").out)["members"]
    assert [each["person"] for each in left] == ["wu-min"]


def test_who_asks_is_told_what_they_may_see(house: Any, hers: Callable[..., Any]) -> None:
    me = json.loads(hers("whoami", "--json").out)
    assert (me["id"], me["operator"]) == ("wu-min", False)
    assert "project pots: Pots, owner" in hers("whoami").out
    assert "an operator" in house.run("whoami", admin=True).out
    people = json.loads(house.run("person", "list", "--json", admin=True).out)
    assert {"li-na", "wu-min", "admin"} <= {each["id"] for each in people}
    assert "吴敏" in house.run("person", "list", admin=True, env=WIDE).out
    assert hers("person", "list").code == 2
    known = json.loads(house.run("institution", "list", "--json", admin=True).out)
    assert {"uni", "clay"} <= {each["id"] for each in known}
    assert "黏土" in house.run("institution", "list", admin=True, env=WIDE).out
    assert [each["id"] for each in json.loads(hers("project", "list", "--json").out)] == ["pots"]


@pytest.mark.parametrize(
    ("mine", "operator", "said"),
    [
        (["a", "b"], True, "yours are a, b"),
        ([], False, "ask an operator for one"),
        ([], True, "hutong project create"),
    ],
)
def test_who_has_no_project_or_several_is_told_what_to_do(mine: list[str], operator: bool, said: str) -> None:
    """An operator need not ask an operator."""
    told = which_project(mine, operator=operator)
    assert said in f"{told.message} {told.hint}"

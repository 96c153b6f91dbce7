"""Who uses the platform: entered, listed, let into projects and taken out of them."""

import json
from typing import Any

WIDE = {"COLUMNS": "200"}


def test_a_project_s_members_come_and_go(house: Any) -> None:
    house.run(
        "institution", "create", "lab", "--kind", "research", "--zh", "实验室", "--en", "Lab", admin=True
    )
    made = house.run("person", "create", "wu-min", "-i", "lab", "--name", "吴敏", "--json", admin=True)
    assert json.loads(made.out)["password"]
    house.run("project", "create", "soil", "-i", "lab", "--owner", "li-na", "--title", "Soil", admin=True)
    assert "Soil" in house.run("project", "list", admin=True, env=WIDE).out
    assert house.run("project", "add", "wu-min", "-p", "soil", admin=True).code == 2, "its owners say who"
    done = house.run("project", "add", "wu-min", "-p", "soil", "--json")
    assert {"person": "wu-min", "role": "member"} in json.loads(done.out)["members"]
    assert house.run("project", "add", "wu-min", "-p", "soil", "--owner").out.endswith("of soil\n")
    listed = house.run("project", "members", "-p", "soil", env=WIDE)
    assert [line.split() for line in listed.out.splitlines()[1:]] == [["li-na", "owner"], ["wu-min", "owner"]]
    assert "project soil: Soil, owner" in house.run("whoami").out
    assert house.run("project", "remove", "wu-min", "-p", "soil").code == 0
    assert house.run("project", "remove", "li-na", "-p", "soil").code == 2, "its last owner stays"
    assert [
        each["person"]
        for each in json.loads(house.run("project", "members", "-p", "soil", "--json").out)["members"]
    ] == ["li-na"]


def test_who_asks_is_told_what_they_may_see(house: Any) -> None:
    me = json.loads(house.run("whoami", "--json").out)
    assert (me["id"], me["operator"]) == ("li-na", False)
    assert "an operator" in house.run("whoami", admin=True).out
    people = json.loads(house.run("person", "list", "--json", admin=True).out)
    assert {"li-na", "admin"} <= {each["id"] for each in people}
    assert house.run("person", "list").code == 2
    known = json.loads(house.run("institution", "list", "--json", admin=True).out)
    assert "uni" in {each["id"] for each in known}
    assert "uni" in house.run("institution", "list", admin=True, env=WIDE).out
    mine = json.loads(house.run("project", "list", "--json").out)
    assert all(any(m["person"] == "li-na" for m in each["members"]) for each in mine)

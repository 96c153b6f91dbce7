"""Access, audit and approvals from the command line, as an operator and a user meet them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

SCOPE = "institution/uni"
WIDE = {"COLUMNS": "220"}


def test_a_role_is_given_reviewed_and_taken(house: Any) -> None:
    reason = ("--reason", "head of computing")
    made = house.run("access", "grant", "li-na", "institution-admin", SCOPE, *reason, "--json", admin=True)
    assert made.code == 0, made.err
    grant = json.loads(made.out)["id"]
    assert "institution-admin" in house.run("access", "grants", "--scope", SCOPE, admin=True, env=WIDE).out
    review = house.run("access", "review", "--csv", admin=True)
    rows = list(csv.DictReader(io.StringIO(review.out)))
    held = {(row["person"], row["role"], row["scope"]) for row in rows}
    assert {("li-na", "institution-admin", SCOPE), ("admin", "operator", "platform")} <= held
    assert next(row for row in rows if row["person"] == "admin")["active"].endswith("Z")
    assert "institution-admin" in house.run("access", "review", admin=True, env=WIDE).out
    denied = house.run("access", "grant", "li-na", "auditor", "platform", *reason)
    assert (denied.code, "access.write in platform" in denied.err) == (2, True), denied.err
    assert house.run("access", "revoke", grant, admin=True).code == 0
    assert json.loads(house.run("access", "grants", "--scope", SCOPE, "--json", admin=True).out) == []
    assert "auditor" in house.run("access", "roles", env=WIDE).out


def test_a_copy_of_the_audit_is_checked_alone(house: Any, tmp_path: Path) -> None:
    copy = tmp_path / "audit.jsonl"
    made = house.run("audit", "export", str(copy), "--json", admin=True)
    assert made.code == 0, made.err
    head = json.loads(made.out)["head"]
    here = house.run("audit", "verify", "--head", head, admin=True)
    assert (here.code, "nothing amiss" in here.out) == (0, True), here.err
    assert house.run("audit", "verify", str(copy), "--head", head).code == 0
    lines = copy.read_bytes().splitlines(keepends=True)
    assert len(lines) > 5
    seq, _, digest = json.loads(lines[2])["seq"], 0, json.loads(lines[2])["hash"]
    part = tmp_path / "part.jsonl"
    part.write_bytes(b"".join(lines[3:]))
    assert house.run("audit", "verify", str(part)).code == 1
    assert house.run("audit", "verify", str(part), "--since", f"{seq}:{digest}").code == 0

    copy.write_bytes(b"".join([*lines[:4], lines[4].replace(b"admin", b"nobody"), *lines[5:]]))
    wrong = house.run("audit", "verify", str(copy), "--json")
    assert wrong.code == 1
    assert [each["seq"] for each in json.loads(wrong.out)["faults"]] == [5]
    copy.write_bytes(b"".join(lines[:-1]))
    assert house.run("audit", "verify", str(copy)).code == 0
    assert house.run("audit", "verify", str(copy), "--head", head).code == 1


def test_the_audit_is_listed(house: Any) -> None:
    listed = house.run("audit", "list", "--object", SCOPE, "--json", admin=True)
    assert [json.loads(line)["action"] for line in listed.out.splitlines()] == ["institution.create"]
    assert "institution.create" in house.run("audit", "list", "-n", "1000", admin=True, env=WIDE).out


def test_an_award_above_the_threshold_waits_for_somebody_else(house: Any) -> None:
    assert house.run("approvals", "threshold", "award", "500", admin=True).code == 0
    assert "award" in house.run("approvals", "thresholds").out
    asked = house.run("award", "poems", "501", admin=True)
    assert asked.code == 2
    assert "waits for the second" in asked.err
    (found,) = json.loads(house.run("approvals", "list", "--json", admin=True).out)
    assert f"hutong approvals approve {found['id']}" in asked.err
    own = house.run("approvals", "approve", found["id"], admin=True)
    assert (own.code, "own proposal" in own.err) == (2, True)
    role = ("access", "grant", "li-na", "finance", "platform", "--reason", "for now", "--json")
    given = json.loads(house.run(*role, admin=True).out)
    done = house.run("approvals", "approve", found["id"], "--note", "fine", "--json")
    assert json.loads(done.out)["state"] == "done"
    assert "501000000" in house.run("approvals", "show", found["id"], admin=True).out
    loosened = house.run("approvals", "threshold", "award", "none", admin=True)
    assert (loosened.code, "waits for the second" in loosened.err) == (2, True)
    (found,) = json.loads(house.run("approvals", "list", "--json", admin=True).out)
    reason = ("--reason", "nobody else is left in this test")
    assert house.run("approvals", "break-glass", found["id"], *reason, admin=True).code == 0
    assert "suffices" in house.run("approvals", "thresholds").out
    assert house.run("access", "revoke", given["id"], admin=True).code == 0


def test_a_view_is_a_token_that_reads(house: Any) -> None:
    why = ("--reason", "ticket 4711")
    assert house.run("access", "impersonate", "nobody", *why, admin=True).code == 2
    assert house.run("access", "impersonate", "li-na", *why).code == 2
    role = ("access", "grant", "li-na", "finance", "platform", "--reason", "for now", "--json")
    mighty = json.loads(house.run(*role, admin=True).out)
    # Li Na has a role on the whole platform now: nobody looks as her.
    assert house.run("access", "impersonate", "li-na", *why, admin=True).code == 2
    assert house.run("access", "revoke", mighty["id"]).code == 0, "one lays down one's own role"
    made = json.loads(house.run("access", "impersonate", "li-na", *why, "--json", admin=True).out)
    view = {"HUTONG_TOKEN": made["secret"]}
    assert house.run("secret", "list", "-p", "poems", env=view).code == 0
    refused = house.run("key", "create", "k", "-p", "poems", env=view)
    assert (refused.code, "may change nothing" in refused.err) == (2, True), refused.err

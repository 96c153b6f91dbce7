"""A university applies, is reviewed, runs a job, disputes its charge, gets a statement; an auditor looks."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.journeys.test_cli import Machine, machine  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]
EXAMPLES = Path(__file__).parents[2] / "examples" / "calls"
JOB = "name: rain\nresources: {accelerators: {H100: 1, MLU370: 1}}\nrun: echo two hours ahead\n"


def test_a_university_from_its_application_to_the_audit(machine: Machine) -> None:  # noqa: F811
    machine.start()
    admin = machine.data / "keys" / "admin.json"
    passwords: dict[str, str] = {}
    for name, person in (("cau", "li-na"), ("thu", "wang"), ("pku", "zhao")):
        machine.run("institution", "create", name, "--kind", "university", "--zh", name, "--en", name)
        made = machine.ask("person", "create", person, "-i", name)
        passwords[person] = made["password"]
    machine.run("institution", "identify", "thu", "--ror", "https://ror.org/03cve4549")
    wrong = machine.run("institution", "identify", "pku", "--uscc", "91110000600037341M", code=2)
    assert "would have to be 'L'" in wrong
    machine.run("institution", "verify", "cau", "--note", "licence seen")
    machine.run("project", "create", "weather", "-i", "cau", "--owner", "li-na")
    machine.run("calls", "programme", "science", "--zh", "科学智能", "--en", "AI for science")
    machine.run("calls", "create", str(EXAMPLES / "call.yaml"))
    admin_password = json.loads(admin.read_text())["password"]

    machine.sign_in("li-na", passwords["li-na"])
    bad = machine.folder / "bad.yaml"
    bad.write_text((EXAMPLES / "application.yaml").read_text().replace("title:", "titel:"))
    assert "bad.yaml:" in machine.run("apply", "save", str(bad), "-p", "weather", code=2)
    draft = machine.ask("apply", "save", str(EXAMPLES / "application.yaml"), "-p", "weather")
    assert draft["state"] == "draft"
    name = draft["id"]
    assert "a decision is due" in machine.run("apply", "submit", name)

    machine.sign_in("admin", admin_password)
    assert "member of the project" in machine.run("review", "assign", name, "li-na", code=2)
    for person in ("wang", "zhao"):
        machine.run("review", "assign", name, person)
    for person, score in (("wang", "85"), ("zhao", "75")):
        machine.sign_in(person, passwords[person])
        assert name in machine.run("review", "list")
        machine.run("review", "write", name, "--score", score, "--public", "sound")
    machine.sign_in("admin", admin_password)
    reason = ("--reason", "as the reviews say")
    made = machine.ask("review", "decide", name, "partly", "--amount", "15000", *reason)
    assert made["state"] == "awarded"

    machine.sign_in("li-na", passwords["li-na"])
    (allocation,) = machine.ask("allocations", "list", "-p", "weather")
    assert (allocation["phase"], allocation["free"]["amount"]) == ("active", "15000.000000")
    machine.run("run", machine.job_file(JOB), "--project", "weather")
    bill = machine.ask("bill", "last")
    assert bill["final"] is True
    assert [each["lot"] for each in bill["paid"]] == [f"award-{name}"]
    assert "two hours ahead" in machine.run("logs", "last")
    change = ("allocations", "change", name, "supplement", "--amount", "1000", "--reason", "more data")
    assert "asked" in machine.run(*change)

    machine.sign_in("admin", admin_password)
    decide = ("allocations", "decide", name, "1", "--grant", "--reason", "there is some")
    assert "16,000.00" in machine.run(*decide)
    machine.run("allocations", "review")
    assert "in order" in machine.run("ledger", "check")

    machine.sign_in("li-na", passwords["li-na"])
    total = bill["total"]["amount"]
    opened = machine.ask("disputes", "open", "last", "--ground", "site-fault", "--text", "the node was slow")
    assert (opened["state"], opened["charged"]["amount"]) == ("open", total)
    own = ("disputes", "decide", opened["id"], "--refund", total, "--reasons", "I say so")
    machine.run(*own, code=2)
    machine.sign_in("admin", admin_password)
    assert [each["id"] for each in machine.ask("disputes", "list", "--to-decide")] == [opened["id"]]
    upheld = machine.ask(*own[:-1], "the log shows it")
    assert (upheld["state"], upheld["decided_by"]) == ("upheld", "admin")

    (period,) = machine.ask("ledger", "periods")["items"]
    machine.sign_in("li-na", passwords["li-na"])
    statement = machine.ask("statement", period["id"], "-p", "weather")
    assert statement["used"]["amount"] == total
    credits = {each["kind"]: each["amount"]["amount"] for each in statement["credits"]}
    assert credits["refund"] == f"-{total}"
    assert statement["billed"]["amount"] == "0.000000"
    paper = machine.folder / "statement.pdf"
    machine.run("statement", period["id"], "-p", "weather", "--out", str(paper))
    assert paper.read_bytes().startswith(b"%PDF")
    rows = machine.run("focus", period["id"], "-p", "weather").splitlines()
    assert len(rows) > 3
    assert "BilledCost" in rows[0]

    _audit(machine, passwords, admin_password)


def _audit(machine: Machine, passwords: dict[str, str], admin_password: str) -> None:  # noqa: F811
    """An auditor finds one byte that was changed, in an export and in the platform's own table."""
    machine.sign_in("admin", admin_password)
    machine.run("access", "grant", "zhao", "auditor", "platform", "--reason", "audits this year")
    machine.sign_in("zhao", passwords["zhao"])
    export = machine.folder / "audit.jsonl"
    machine.run("audit", "export", str(export))
    head = machine.ask("audit", "verify", str(export))["head"]
    assert machine.ask("audit", "verify", "--head", head)["ok"] is True
    lines = export.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if '"application' in line)
    forged = lines[at].replace("weather", "weathor", 1)
    assert forged != lines[at]
    export.write_text("".join([*lines[:at], forged, *lines[at + 1 :]]))
    found = machine.run("audit", "verify", str(export), code=1)
    assert str(json.loads(lines[at])["seq"]) in found

    seq = json.loads(lines[at])["seq"]
    with closing(sqlite3.connect(machine.data / "hutong.sqlite")) as book, book:
        with pytest.raises(sqlite3.IntegrityError):
            book.execute("UPDATE audit SET reason = 'x' WHERE seq = ?", (seq,))
        for (trigger,) in book.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            if "audit" in trigger:
                book.execute(f'DROP TRIGGER "{trigger}"')
        book.execute("UPDATE audit SET reason = reason || 'x' WHERE seq = ?", (seq,))
    assert str(seq) in machine.run("audit", "verify", code=1)

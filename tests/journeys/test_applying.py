"""A university applies, is reviewed by others, runs a job on what it was given, and sees who paid."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.journeys.test_cli import HUTONG, Machine, machine  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]
EXAMPLES = Path(__file__).parents[2] / "examples"
JOB = "name: rain\nresources: {accelerators: {H100: 1, MLU370: 1}}\nrun: echo two hours ahead\n"


def sign_in(machine: Machine, person: str, password: str) -> None:  # noqa: F811 - the fixture's value
    words = [*HUTONG, "login", machine.told["api"], "-u", person]
    subprocess.run(words, input=password, text=True, env=machine.env, check=True, capture_output=True)


def test_a_university_applies_is_reviewed_and_runs_a_job(machine: Machine) -> None:  # noqa: F811
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

    sign_in(machine, "li-na", passwords["li-na"])
    bad = machine.folder / "bad.yaml"
    bad.write_text((EXAMPLES / "application.yaml").read_text().replace("title:", "titel:"))
    assert "bad.yaml:" in machine.run("apply", "save", str(bad), "-p", "weather", code=2)
    draft = machine.ask("apply", "save", str(EXAMPLES / "application.yaml"), "-p", "weather")
    assert draft["state"] == "draft"
    name = draft["id"]
    assert "a decision is due" in machine.run("apply", "submit", name)

    sign_in(machine, "admin", admin_password)
    assert "member of the project" in machine.run("review", "assign", name, "li-na", code=2)
    for person in ("wang", "zhao"):
        machine.run("review", "assign", name, person)
    for person, score in (("wang", "85"), ("zhao", "75")):
        sign_in(machine, person, passwords[person])
        assert name in machine.run("review", "list")
        machine.run("review", "write", name, "--score", score, "--public", "sound")
    sign_in(machine, "admin", admin_password)
    reason = ("--reason", "as the reviews say")
    made = machine.ask("review", "decide", name, "partly", "--amount", "15000", *reason)
    assert made["state"] == "awarded"

    sign_in(machine, "li-na", passwords["li-na"])
    (allocation,) = machine.ask("allocations", "list", "-p", "weather")
    assert (allocation["phase"], allocation["free"]["amount"]) == ("active", "15000.000000")
    machine.run("run", machine.job_file(JOB), "--project", "weather")
    bill = machine.ask("bill", "last")
    assert bill["final"] is True
    assert [each["lot"] for each in bill["paid"]] == [f"award-{name}"]
    assert "two hours ahead" in machine.run("logs", "last")
    change = ("allocations", "change", name, "supplement", "--amount", "1000", "--reason", "more data")
    assert "asked" in machine.run(*change)

    sign_in(machine, "admin", admin_password)
    decide = ("allocations", "decide", name, "1", "--grant", "--reason", "there is some")
    assert "16,000.00" in machine.run(*decide)
    machine.run("allocations", "review")
    assert "in order" in machine.run("ledger", "check")

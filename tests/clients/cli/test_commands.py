"""What a user may rely on of every command: JSON alone on stdout, exit codes, messages that help."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.clients.cli.tree import commands_of
from typer.testing import CliRunner

from hutong.clients.sdk.profile import load_profile
from hutong.main import cli

PROCESSES = {"serve", "agent run", "db migrate", "exec", "forward"}
HELLO = "name: hello\nresources: {accelerators: H100:1}\nrun: echo hello\n"


def commands(group: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    group = group or typer.main.get_command(cli)
    for name, command in commands_of(group).items():
        whole = f"{path} {name}".strip()
        if commands_of(command):
            yield from commands(command, whole)
        else:
            yield whole, command


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_command_has_help_with_an_example_and_json(name: str, command: Any) -> None:
    assert f"Example: hutong {name.split()[0]}" in command.help
    assert command.help.split("\n")[0].strip().endswith((".", ";"))
    options = {option for each in command.params for option in each.opts}
    assert name in PROCESSES or "--json" in options
    shown = CliRunner().invoke(cli, [*name.split(), "--help"])
    assert shown.exit_code == 0, shown.exception  # a bracket in a help text may be taken for markup
    assert "Usage: hutong" in shown.output


def job_file(folder: Path, text: str = HELLO) -> str:
    path = folder / "job.yaml"
    path.write_text(text)
    return str(path)


def test_a_job_is_submitted_found_explained_and_cancelled(house: Any, tmp_path: Path) -> None:
    done = house.run("run", job_file(tmp_path), "--detach", "--json", "--env", "SEED=1")
    assert (done.code, done.err) == (0, "")
    job = json.loads(done.out)
    assert job["name"] == "hello"
    assert job["id"] in {each["id"] for each in json.loads(house.run("jobs", "--json").out)}
    detail = json.loads(house.run("job", "last", "--json").out)
    assert detail["spec"]["envs"] == {"SEED": "1"}
    assert json.loads(house.run("job", job["id"][:20].lower(), "--json").out)["id"] == job["id"]
    assert "hello" in house.run("jobs").out
    kinds = [json.loads(line)["kind"] for line in house.run("facts", "last", "--json").out.splitlines()]
    assert kinds == ["submitted"]
    assert json.loads(house.run("hold", "last", "--json").out)["id"] == job["id"]
    assert json.loads(house.run("release", "last", "--json").out)["id"] == job["id"]
    cancelled = json.loads(house.run("cancel", "last", "--reason", "enough", "--json").out)
    assert cancelled["conditions"]["cancel_asked_by"] == "li-na"


def test_a_check_says_what_would_happen_and_stores_nothing(house: Any, tmp_path: Path) -> None:
    before = house.run("jobs", "--json").out
    found = json.loads(house.run("check", job_file(tmp_path), "--json").out)
    assert {each["site"] for each in found["alternatives"]} == {"haidian"}
    assert "haidian/h100" in house.run("check", job_file(tmp_path)).out
    assert house.run("jobs", "--json").out == before


def test_a_work_folder_is_packed_and_sent_with_the_job(house: Any, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print(1)")
    file = job_file(tmp_path, HELLO + "workdir: code\n")
    assert house.run("check", file, "--json").code == 0
    done = house.run("run", file, "--detach", "--json")
    assert done.code == 0, done.err
    spec = json.loads(house.run("job", json.loads(done.out)["id"], "--json").out)["spec"]
    assert spec["workdir"]["digest"].startswith("sha256:")


def test_secrets_go_in_by_standard_input_and_never_come_out(house: Any, tmp_path: Path) -> None:
    value = "s3cret-value-of-nobody"
    assert house.run("secret", "set", "HF_TOKEN", "--json", text=f"{value}\n").code == 0
    names = json.loads(house.run("secret", "list", "--json").out)
    assert [each["name"] for each in names] == ["HF_TOKEN"]
    done = house.run("run", job_file(tmp_path), "--secret", "HF_TOKEN", "--detach", "--json")
    detail = house.run("job", json.loads(done.out)["id"], "--json").out
    assert json.loads(detail)["spec"]["secrets"] == ["HF_TOKEN"]
    everything = detail + house.run("secret", "list").out + house.run("facts", "last", "--json").out
    assert value not in everything
    assert house.run("secret", "remove", "HF_TOKEN", "--json").code == 0
    refused = house.run("run", job_file(tmp_path), "--secret", "HF_TOKEN", "--detach")
    assert refused.code == 2
    assert "HF_TOKEN" in refused.err


def test_signing_in_keeps_a_token_for_its_owner_alone(house: Any) -> None:
    env = {"HUTONG_URL": "", "HUTONG_TOKEN": ""}
    done = house.run("login", house.url, "-u", "li-na", "--json", text="a long enough password\n", env=env)
    assert done.code == 0, done.err
    assert json.loads(done.out)["name"] == "李娜"
    path = house.folder / "config.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    profile = load_profile({"HUTONG_CONFIG": str(path)})
    assert (profile.url, profile.project) == (house.url, "poems")
    assert house.run("balance", "--json", env=env).code == 0
    assert house.run("logout", "--json", env=env).code == 0
    assert not load_profile({"HUTONG_CONFIG": str(path)}).token
    signed_out = house.run("jobs", env=env)
    assert signed_out.code == 2
    assert "hutong login" in signed_out.err


def test_a_wrong_password_is_refused_and_changes_nothing(house: Any) -> None:
    env = {"HUTONG_CONFIG": str(house.folder / "none.toml")}
    assert house.run("login", house.url, "-u", "li-na", text="wrong\n", env=env).code == 2
    assert not (house.folder / "none.toml").exists()


def test_a_key_is_shown_once(house: Any) -> None:
    secret = house.run("key", "create", "chatbot").out.strip()
    assert secret.startswith("ht_key_")
    listed = json.loads(house.run("key", "list", "--json").out)
    assert [each["name"] for each in listed if each["kind"] == "key"] == ["chatbot"]
    assert secret not in house.run("key", "list", "--json").out
    token = next(each["id"] for each in listed if each["kind"] == "key")
    assert house.run("key", "revoke", token, "--json").code == 0


def test_an_operator_promises_cards_and_a_user_does_not(house: Any) -> None:
    def set_(*words: str) -> Any:
        return house.run("quota", "set", "institution/uni", *words, "--json", admin=True)

    assert json.loads(set_("H100", "--nominal", "64", "--borrow", "32").out)["share_milli"] == 1000
    made = json.loads(set_("H100", "--lend", "8", "--share", "1.5").out)
    assert made["share_milli"] == 1500
    allotment = {"accelerator": "H100", "nominal": 64, "borrow": 32, "lend": 8, "each_person": None}
    assert made["allotments"] == [allotment]
    assert json.loads(set_("H100", "--borrow", "any").out)["allotments"][0]["borrow"] is None
    shown = house.run("quota", "list", admin=True).out
    assert "institution/uni" in shown
    assert "any" in shown
    assert set_("H100", "--lend", "many").code == 2
    refused = set_("H100", "--each-person", "8")
    assert refused.code == 2
    assert "each_person" in refused.err
    assert house.run("quota", "set", "uni", admin=True).code == 2
    assert house.run("quota", "list").code != 0, "a user sets none and sees none"
    assert house.run("quota", "remove", "institution/uni", admin=True).code == 0
    assert json.loads(house.run("quota", "list", "--json", admin=True).out) == []


def test_an_operator_limits_each_person_of_a_project(house: Any) -> None:
    def set_(*words: str) -> Any:
        return house.run("quota", "set", "project/poems", "H100", *words, "--json", admin=True)

    (made,) = json.loads(set_("--each-person", "16").out)["allotments"]
    assert (made["nominal"], made["borrow"], made["each_person"]) == (0, None, 16)
    (more,) = json.loads(set_("--borrow", "64").out)["allotments"]
    assert (more["borrow"], more["each_person"]) == (64, 16), "what is not given stays as it was"
    shown = house.run("quota", "list", admin=True).out
    assert "each person" in shown
    assert "16" in shown
    assert json.loads(set_("--each-person", "any").out)["allotments"][0]["each_person"] is None
    assert set_("--each-person", "few").code == 2
    assert house.run("quota", "remove", "project/poems", admin=True).code == 0


def test_an_operator_opens_what_a_user_needs(house: Any) -> None:
    made = house.run(
        "institution", "create", "lab", "--kind", "research", "--zh", "所", "--en", "Lab", admin=True
    )
    assert made.code == 0, made.err
    person = json.loads(house.run("person", "create", "wang", "-i", "lab", "--json", admin=True).out)
    assert len(person["password"]) >= 10
    assert (
        house.run("project", "create", "rain", "-i", "lab", "--owner", "wang", "--json", admin=True).code == 0
    )
    assert json.loads(house.run("award", "rain", "12.50", "--json", admin=True).out)["kind"] == "award"
    lot = json.loads(house.run("voucher", "rain", "5", "--rate", "30", "--json", admin=True).out)
    assert lot["posted"]["amount"] == "5.000000"
    balance = json.loads(house.run("balance", "-p", "rain", "--json", admin=True).out)
    assert balance["available"]["amount"] == "17.500000"
    assert json.loads(house.run("ledger", "check", "--json", admin=True).out)["ok"] is True
    assert house.run("award", "rain", "-3", admin=True).code == 2
    assert house.run("award", "rain", "1e9", admin=True).code == 2
    assert house.run("award", "rain", "5").code == 2, "a user gives no money"


def test_bills_and_sites_are_shown_within_eighty_columns(house: Any) -> None:
    for words in (("sites",), ("bill",), ("balance",), ("deployments",), ("models", "list"), ("jobs",)):
        done = house.run(*words)
        assert done.code == 0, done.err
        assert max(len(line) for line in done.out.splitlines()) <= 80, done.out
        assert done.out.strip()
    bill = json.loads(house.run("bill", "--from", "2026-01-01", "--json").out)
    assert bill["entries_sum"]["amount"] == "0.000000"
    wrong = house.run("bill", "--from", "yesterday")
    assert wrong.code == 2
    assert "2026-11-22" in wrong.err


def test_a_maintenance_is_announced_shown_and_cancelled(house: Any) -> None:
    words = ("site", "maintain", "haidian")
    span = ("--from", "2100-01-01T08:00", "--until", "2100-01-01T20:00+00:00", "--reason", "cooling")
    made = json.loads(house.run(*words, *span, "--stop-jobs", "--json", admin=True).out)["maintenance"]
    assert [(each["end"], each["reason"], each["stop_jobs"]) for each in made] == [
        ("2100-01-01T20:00:00.000Z", "cooling", True)
    ]
    assert "maintenance" in house.run("sites", env={"COLUMNS": "200"}).out
    assert house.run(*words, *span).code == 2, "a user may not"
    for wrong in (
        ("--reason", "x"),
        (*span, "--cancel"),
        ("--from", "soon", "--until", "later", "--reason", "x"),
    ):
        assert house.run(*words, *wrong, admin=True).code == 2
    assert "no maintenance to come" in house.run(*words, "--cancel", admin=True).out


def test_cards_are_booked_listed_and_given_back(house: Any) -> None:
    project = "poems"
    pool = json.loads(house.run("sites", "--json").out)[0]["pools"][0]["id"]
    words = ("booking", "add", f"haidian/{pool}", "--cards", "2", "--for", f"project/{project}")
    span = ("--from", "2100-01-01T08:00", "--until", "2100-01-01T20:00+00:00", "--reason", "exam")
    (made,) = json.loads(house.run(*words, *span, "--json", admin=True).out)["bookings"]
    assert (made["pool"], made["cards"], made["end"]) == (pool, 2, "2100-01-01T20:00:00.000Z")
    shown = house.run("booking", "list", env={"COLUMNS": "200"}).out
    assert made["id"] in shown
    assert f"project/{project}" in shown
    assert list(json.loads(house.run("booking", "list", "--json").out)) == ["haidian"]
    assert house.run(*words, *span).code == 2, "a user may not"
    for wrong in (("--from", "soon", "--until", "later"), ("--from", "2100-01-02T00:00", *span[2:])):
        assert house.run(*words, *wrong, admin=True).code == 2
    assert house.run("booking", "add", "haidian", *words[3:], *span, admin=True).code == 2
    assert "any more" in house.run("booking", "remove", "haidian", made["id"], admin=True).out
    assert house.run("booking", "remove", "haidian", made["id"], admin=True).code == 2
    assert "no bookings" in house.run("booking", "list").out


def test_a_centres_power_is_limited_shown_and_the_limit_taken_away(house: Any) -> None:
    words = ("site", "power", "haidian")
    span = ("--from", "2100-01-01T18:00", "--until", "2100-01-01T20:00+00:00", "--reason", "demand response")
    (made,) = json.loads(house.run(*words, "--limit-kw", "800", *span, "--json", admin=True).out)[
        "power_limits"
    ]
    assert (made["limit_kw"], made["end"], made["stop_jobs"]) == (800, "2100-01-01T20:00:00.000Z", False)
    wide = {"COLUMNS": "200"}
    shown = house.run(*words, "--limit-kw", "1200", "--stop-jobs", admin=True, env=wide).out
    assert "at once" in shown
    assert "for good" in shown
    assert "stops jobs" in shown
    assert "draw 0 kW now" in shown
    assert made["id"] in house.run(*words, env=wide).out, "everybody sees it"
    notes = house.run("sites", env=wide).out
    assert "power at most 1200 kW" in notes
    assert "power at most 800 kW from" in notes
    assert house.run(*words, "--limit-kw", "800").code == 2, "a user may not"
    for wrong in (
        ("--reason", "x"),
        ("--limit-kw", "5", "--remove", "x"),
        ("--limit-kw", "5", "--from", "soon"),
    ):
        assert house.run(*words, *wrong, admin=True).code == 2
    left = json.loads(house.run(*words, "--remove", made["id"], "--json", admin=True).out)["power_limits"]
    assert [each["limit_kw"] for each in left] == [1200]
    assert house.run(*words, "--remove", made["id"], admin=True).code == 2
    house.run(*words, "--remove", left[0]["id"], admin=True)
    assert "no limit of its power" in house.run(*words).out


def test_a_link_is_declared_listed_and_taken_away(house: Any) -> None:
    words, wide = ("site", "link"), {"COLUMNS": "200"}
    assert "counts as 1000 Mbit/s" in house.run(*words).out
    ends = ("platform", "haidian")
    figures = ("--mbit-s", "10000", "--rtt-ms", "0.4", "--source", "a contract")
    (made,) = json.loads(house.run(*words, *ends, *figures, "--json", admin=True).out)
    assert (made["one"], made["other"]) == ("platform", "site/haidian")
    assert (made["bits_per_s"], made["rtt_us"], made["source"]) == (10**10, 400, "a contract")
    assert "a contract" in house.run(*words, env=wide).out, "everybody sees it"
    assert house.run(*words, *ends, "--mbit-s", "5").code == 2, "a user may not"
    for wrong in (
        ("platform",),
        ends,
        (*ends, "--mbit-s", "5", "--remove"),
        ("--mbit-s", "5"),
        ("--remove",),
        ("platform", "nowhere", "--mbit-s", "5"),
        ("platform", "platform", "--mbit-s", "5"),
        ("platform", "..", "--mbit-s", "5"),
    ):
        assert house.run(*words, *wrong, admin=True).code == 2, wrong
    assert json.loads(house.run(*words, *ends, "--remove", "--json", admin=True).out) == []
    assert house.run(*words, *ends, "--remove", admin=True).code == 2


def test_failure_domains_are_said_and_shown(house: Any) -> None:
    words = ("site", "domains")
    made = json.loads(house.run(*words, "haidian", "power/feed-2", "--json", admin=True).out)
    assert made["domains"] == ["power/feed-2"]
    pool = made["pools"][0]["id"]
    assert "building/b3" in house.run(*words, f"haidian/{pool}", "building/b3", admin=True).out
    shown = house.run(*words, "haidian").out
    assert "haidian: power/feed-2, and its region" in shown
    assert f"haidian/{pool}: building/b3" in shown
    assert house.run(*words, "haidian", "power/feed-3").code == 2, "a user may not"
    for wrong in (
        ("haidian", "feed"),
        ("haidian/none", "power/x"),
        ("nowhere",),
        ("haidian", "a/b", "--none"),
    ):
        assert house.run(*words, *wrong, admin=True).code == 2, wrong
    house.run(*words, f"haidian/{pool}", "--none", admin=True)
    assert json.loads(house.run(*words, "haidian", "--none", "--json", admin=True).out)["domains"] == []
    assert "none of its own" in house.run(*words, "haidian").out


def test_what_a_centre_pays_for_electricity_is_said_and_shown(house: Any) -> None:
    words = ("site", "electricity", "haidian")
    assert "does not say what it pays" in house.run(*words).out
    assert "haidian pays ¥0.62" in house.run(*words, "0.62", admin=True).out
    by_hour = [f"0.{hour:02d}" for hour in range(24)]
    made = json.loads(house.run(*words, *by_hour, "--json", admin=True).out)
    assert made["price_per_kwh_now"]["amount"][:4] in by_hour
    assert house.run(*words, "0.5").code == 2, "a user may not"
    for wrong in (("0.5", "0.6"), ("0.5", "--none"), ("dear",), ("100",)):
        assert house.run(*words, *wrong, admin=True).code == 2, wrong
    assert "does not say what it pays" in house.run(*words, "--none", admin=True).out


def test_a_site_is_drained_and_opened_and_its_token_made(house: Any, tmp_path: Path) -> None:
    assert json.loads(house.run("site", "drain", "haidian", "--json", admin=True).out)["admission"] == "drain"
    again = house.run("site", "drain", "haidian", "--undo", "--json", admin=True)
    assert json.loads(again.out)["admission"] == "active"
    assert house.run("site", "token", "haidian", admin=True).out.startswith("ht_site_")
    bad = tmp_path / "site.yaml"
    bad.write_text("sites: [{id: X}]")
    done = house.run("site", "add", str(bad), admin=True)
    assert done.code == 2
    assert "/pools" in done.err
    for text in ("a: [", "- 1", "sites: 3", "\x00"):
        bad.write_text(text)
        assert house.run("site", "add", str(bad), admin=True).code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("job", "01ZZZZZZZZZZZZZZZZZZZZZZZZ"), ("job", "short"), ("job", "01ZZZZZZZZ"),
        ("logs", "last", "-r", "x"),
        ("run", "/no/such/file.yaml"), ("check", "."), ("models", "show", "a/b/c/d"),
        ("models", "show", "none"),
        ("deploy", "none"), ("undeploy", "none"), ("jobs", "--state", "SLEEPING"),
        ("balance", "-p", "../x"),
        ("key", "revoke", "x"), ("jobs", "--nonsense"), ("bill", "--to", "32"), ("nonsense",),
    ],
)  # fmt: skip
def test_what_one_mistypes_is_answered_with_code_two_and_no_trace(house: Any, words: tuple[str, ...]) -> None:
    done = house.run(*words)
    assert done.code == 2, done.out + done.err
    assert done.out == ""
    assert done.err.strip()
    assert "Traceback" not in done.err


def test_errors_are_json_on_stderr_where_json_was_asked_for(house: Any) -> None:
    done = house.run("job", "01ZZZZZZZZZZZZZZZZZZZZZZZZ", "--json")
    assert (done.code, done.out) == (2, "")
    assert json.loads(done.err)["code"] == "not_found"


def test_a_platform_that_is_not_there_is_trouble_and_not_the_user_s_fault(house: Any) -> None:
    done = house.run("jobs", env={"HUTONG_URL": "http://127.0.0.1:9"})
    assert done.code == 1
    assert "hutong up" in done.err
    done = house.run("jobs", env={"HUTONG_URL": "nonsense"})
    assert done.code in {1, 2}
    assert "Traceback" not in done.err

"""The file of `--rules`: what it changes, what a run says of it, and what is refused, field by field."""

import json
from pathlib import Path

import pytest
from tests.sim.test_sweep import TRACE, run

from hutong.sim.rules_file import read_rules
from hutong.sim.settled import Booking, Maintenance, PowerLimit, Preemptible

RULES = """
institutions:
  uni: [vc0]
quotas:
  - kind: institution
    name: uni
    allotments: [{accelerator: "*", nominal: 8, borrow: 4, lend: 2}]
  - kind: project
    name: vc1
    allotments: [{accelerator: "*", nominal: 8, borrow: 0}]
bookings:
  - {pool: all, cards: 4, from: 1h, to: 3h, holder: project/vc1}
"""


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text(TRACE)
    return path


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def test_a_file_says_what_is_settled(rules_file: Path) -> None:
    rules_file.write_text(f"{RULES}power_limits:\n  - {{site: bj, limit_kw: 9, to: 2d}}\n")
    found = read_rules(rules_file)
    assert found.institutions == (("uni", ("vc0",)),)
    assert [(each.id, each.allotments[0].ceiling) for each in found.quotas] == [
        ("institution/uni", 12),
        ("project/vc1", 8),
    ]
    assert found.bookings == (Booking("all", 4, 3600, 10_800, "project/vc1"),)
    assert found.power_limits == (PowerLimit("bj", 9, 0, 172_800),)
    assert found.moments_s == (3600, 10_800, 172_800)


def test_a_run_under_rules_says_how_far_they_were_used(trace_file: Path, rules_file: Path) -> None:
    words = ["--nodes", "4", "--trace", trace_file, "--order", "fifo", "--lengths", "known"]
    calm = json.loads(run(*words, "--json")[1])["runs"][0]
    code, said = run(*words, "--rules", rules_file, "--json")
    assert code == 0
    (bound,) = json.loads(said)["runs"]
    assert calm["uses"] == []
    assert bound["digest"] != calm["digest"]
    uni, alone = bound["uses"]
    assert (uni["name"], uni["what"], uni["promised"], uni["most"]) == ("institution/uni", "*", 8, 12)
    assert 0 < uni["mean"] <= uni["peak"] <= 12
    assert 0 <= alone["peak"] <= 8
    assert alone["full_h"] >= 0
    page = rules_file.parent / "report.html"
    assert "at the limit" in run(*words, "--rules", rules_file, "--out", page)[1]
    assert "<th>at the limit</th>" in page.read_text()


def test_power_is_limited_in_a_scenario(trace_file: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("power_limits: [{site: zhangjiakou, limit_kw: 8}]")
    words = ["demo", "--trace", trace_file, "--order", "fifo", "--lengths", "known", "--json"]
    (bound,) = json.loads(run(*words, "--rules", rules)[1])["runs"]
    (use,) = bound["uses"]
    assert (use["name"], use["what"], use["most"]) == ("site/zhangjiakou", "kW", 8)
    assert 0 < use["peak"] <= 8


def test_jobs_make_room_in_a_run_and_it_says_what_that_cost(trace_file: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("preemptible: {projects: [vc0], share: 25%, grace: 1m}")
    assert read_rules(rules).preemptible == Preemptible(("vc0",), 250_000, 60)
    words = ["--nodes", "4", "--trace", trace_file, "--order", "fifo", "--lengths", "known", "--rules", rules]
    (run_,) = json.loads(run(*words, "--json")[1])["runs"]
    assert run_["measures"]["stops"] == run_["measures"]["restarts"] > 0
    assert run_["measures"]["stop_lost_card_s"] == run_["measures"]["lost_card_s"]
    assert "of them stopped" in run(*words)[1]
    (saving,) = json.loads(run(*words, "--checkpoint", "10m", "--json")[1])["runs"]
    assert saving["digest"] != run_["digest"]


CLOSED = """
maintenance:
  - {site: zhangjiakou, from: 2h, to: 3h, stop_jobs: true, announced: 2h}
  - {site: tianjin, from: 1d, to: 26h}
power_limits:
  - {site: zhangjiakou, limit_kw: 0, from: 25h, stop_jobs: true, announced: 24h}
preemptible: {share: 100%, grace: 1m}
"""


def test_maintenance_and_limits_of_power_stop_jobs_and_a_run_says_how_many(
    trace_file: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(CLOSED)
    found = read_rules(rules)
    assert found.maintenance == (
        Maintenance("zhangjiakou", 7200, 10_800, stop_jobs=True, announced_s=7200),
        Maintenance("tianjin", 86_400, 93_600),
    )
    assert found.power_limits == (
        PowerLimit("zhangjiakou", 0, 90_000, 0, stop_jobs=True, announced_s=86_400),
    )
    assert found.moments_s == (7200, 10_800, 86_400, 90_000, 93_600)
    words = ["demo", "--trace", trace_file, "--order", "fifo", "--lengths", "known", "--json"]
    (run_,) = json.loads(run(*words, "--rules", rules)[1])["runs"]
    told = run_["measures"]
    assert told["maintenance_stops"] > 0
    assert told["power_stops"] > 0
    assert told["maintenance_stops"] + told["power_stops"] <= told["stops"] == told["restarts"]
    (saving,) = json.loads(run(*words, "--rules", rules, "--checkpoint", "10m")[1])["runs"]
    assert saving["measures"]["stop_lost_card_s"] < told["stop_lost_card_s"]


def test_who_is_stopped_and_never_has_power_again_is_not_called_given_up(
    trace_file: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    sites = ("shangzhuang", "tianjin", "zhangjiakou")
    limits = "".join(
        f"  - {{site: {each}, limit_kw: 0, from: 25h, announced: 25h, stop_jobs: true}}\n" for each in sites
    )
    rules.write_text(f"power_limits:\n{limits}preemptible: {{share: 100%}}\n")
    code, told = run("demo", "--trace", trace_file, "--order", "fifo", "--lengths", "known", "--rules", rules)
    assert code != 0
    assert "no start" in told
    assert "given up" not in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "maintenance: [{site: moon, from: 1h, to: 2h}]",
            "/maintenance/0/site: no site 'moon'; there are all",
        ),
        ("maintenance: [{site: all, from: 1h}]", "/maintenance/0/to"),
        ("maintenance: [{site: all, from: 2h, to: 1h}]", "after `from`"),
        ("maintenance: [{site: all, from: 1h, to: 2h, stop_jobs: maybe}]", "/maintenance/0/stop_jobs"),
        (
            "maintenance: [{site: all, from: 1h, to: 2h, announced: 90m}]",
            "/maintenance/0/announced: '90m' is after `from`",
        ),
        ("maintenance: [{site: all, from: 1h, to: 2h, announced: soon}]", "/maintenance/0/announced"),
        ("preemptible: {projects: [nobody]}", "/preemptible/projects/0: 'nobody' is no group of the trace"),
        ("preemptible: {share: 101%}", "/preemptible/share"),
        ("preemptible: {grace: soon}", "/preemptible/grace"),
        ("quotas: [{kind: project, name: nobody}]", "'nobody' is no group of the trace"),
        ("bookings: [{pool: moon, cards: 1, to: 1h, holder: project/vc0}]", "no pool 'moon'; there are all"),
        ("bookings: [{pool: all, cards: 99, to: 1h, holder: project/vc0}]", "99 cards of all are booked"),
        ("bookings: [{pool: all, cards: 1, from: 2h, to: 1h, holder: project/vc0}]", "after `from`"),
        ("bookings: [{pool: all, cards: 1, to: 1h, holder: ada}]", "/bookings/0/holder"),
        (
            "{institutions: {uni: [vc0]}, bookings: [{pool: all, cards: 1, to: 2h, holder: institution/uni},"
            " {pool: all, cards: 1, from: 1h, to: 3h, holder: project/vc0}]}",
            "/bookings/1/holder: institution/uni has cards of all booked",
        ),
        ("power_limits: [{site: all, limit_kw: 1}]", "limits are of a scenario's centres"),
        ("institutions: {uni: [vc0], two: [vc0]}", "belongs to uni already"),
        (
            "quotas: [{kind: project, name: vc0, allotments: [{accelerator: '*', nominal: 0, borrow: 0}]}]",
            "raise the quota",
        ),
        (
            "quotas: [{kind: project, name: vc0, allotments: [{accelerator: H100}]}]",
            "no pool has 'H100'; there are *, card",
        ),
        (
            "quotas: [{kind: project, name: vc0, allotments: [{accelerator: '*', nominal: 9, lend: 1}]}]",
            "a project of no institution keeps nothing back",
        ),
        ("shares: 3", "/shares"),
        ("[", "is not YAML"),
    ],
)
def test_rules_that_make_no_sense_are_refused_field_by_field(
    text: str,
    says: str,
    trace_file: Path,
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(text)
    code, said = run("--nodes", "4", "--trace", trace_file, "--order", "fifo", "--rules", rules)
    assert code == 2
    assert says in " ".join(said.split())

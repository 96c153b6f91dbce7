"""Slurm's answers as it gave them (22.05.8), as later versions are said to give them, and any others."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.adapters.engines.slurm import build, parse, parse_json, verdicts
from hutong.adapters.engines.slurm.parse import Record
from hutong.adapters.engines.slurm.transport import NotTaken, sort_refusal
from hutong.core.kernel.errors import Later, Refused
from hutong.core.work.states import AttemptState, Category

RECORDED = Path(__file__).parent / "recorded" / "22.05"
STATES = {
    "completed": "COMPLETED",
    "failed": "FAILED",
    "killed-by-signal": "FAILED",
    "over-memory": "FAILED",
    "timeout": "TIMEOUT",
    "deadline": "DEADLINE",
    "cancelled-waiting": "CANCELLED",
    "cancelled-running": "CANCELLED",
    "node-fail": "NODE_FAIL",
    "node-fail-requeued": "PENDING",
    "preempted": "PREEMPTED",
    "preempted-requeued": "PENDING",
    "running": "RUNNING",
    "suspended": "SUSPENDED",
    "completing": "COMPLETING",
    "requeued-held": "PENDING",
    "special-exit": "SPECIAL_EXIT",
    "wait-resources": "PENDING",
}
HOPELESS = {"wait-too-long", "wait-too-many", "wait-never"}


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


def rows(text: str, have: list[str], wanted: tuple[str, ...]) -> str:
    """Return recorded rows with the fields that we ask for, in our order."""
    lines = [line.split(build.SEPARATOR) for line in text.split("\n") if line]
    return "\n".join(build.SEPARATOR.join(line[have.index(name)] for name in wanted) for line in lines)


def squeue() -> dict[str, Record]:
    command = json.loads(recorded("commands.json"))["commands"]["squeue.txt"]
    have = next(word for word in command if build.SEPARATOR in word).split(build.SEPARATOR)
    text = rows(recorded("squeue.txt"), have, build.SQUEUE_FIELDS)
    told = parse.squeue(text)
    again = parse.squeue(f"{text}\nnothing", told)
    assert all(again[line] is record for line, record in told.items()), "what is as before is not read anew"
    assert again == told
    assert parse.squeue("", told) == {}
    return {each.name: each for each in told.values()}


def sacct() -> dict[str, Record]:
    head, _, rest = recorded("sacct.txt").partition("\n")
    names = head.split(build.SEPARATOR)
    jobs = "\n".join(line for line in rest.split("\n") if "." not in line.split(build.SEPARATOR)[0])
    return {each.name: each for each in parse.sacct(rows(jobs, names, build.SACCT_FIELDS))}


def test_squeue_as_recorded() -> None:
    told = squeue()
    ids = json.loads(recorded("jobs.json"))
    assert {name: told[name].state for name in STATES} == STATES
    assert {name: told[name].id for name in STATES} == {name: ids[name] for name in STATES}
    assert {each.name for each in told.values() if each.hopeless} == HOPELESS
    assert told["训练 模型 a|b"].over
    completed = told["completed"]
    assert (completed.nodes, completed.partition, completed.origin) == (2, "main", "")
    assert completed.submitted_s <= completed.started_s <= completed.ended_s
    assert told["wait-lost-node"].reason == "ReqNodeNotAvail, UnavailableNodes:rec-n4"
    assert told["wait-held-by-user"].started_s == 0


@pytest.mark.parametrize("name", ["squeue.json", "rest_jobs.json"])
def test_json_tells_the_same_as_text(name: str) -> None:
    text = squeue()
    told = {each.name: each for each in parse_json.jobs(json.loads(recorded(name)))}
    for each in text.values():
        if each.name in {"array", "group"}:  # of several rows
            continue
        other = told[each.name]
        same = ["id", "state", "submitted_s", "nodes", "partition", "over", "waiting", "hopeless"]
        same += [] if each.waiting else ["started_s"]  # when a waiting job may start is a guess that changes
        assert {what: getattr(each, what) for what in same} == {what: getattr(other, what) for what in same}
    assert (told["failed"].code, told["killed-by-signal"].code) == ("7:0", "0:11")


def test_elements_of_an_array_have_one_number_however_they_are_told() -> None:
    command = json.loads(recorded("commands.json"))["commands"]["squeue.txt"]
    have = next(word for word in command if build.SEPARATOR in word).split(build.SEPARATOR)

    def in_text(name: str) -> list[tuple[str, str]]:
        told = parse.squeue(rows(recorded(name), have, build.SQUEUE_FIELDS)).values()
        return sorted((each.id, each.state) for each in told if each.name == "array")

    def in_json(name: str) -> list[tuple[str, str]]:
        told = parse_json.jobs(json.loads(recorded(name)))
        return sorted((each.id, each.state) for each in told if each.name == "array")

    known = [("13_1", "COMPLETED"), ("13_2", "COMPLETED"), ("13_3", "RUNNING"), ("13_4", "RUNNING")]
    for told in (in_text("squeue.txt"), in_json("squeue.json"), in_json("rest_jobs.json")):
        assert told == [*known, ("13_[5-9%2]", "PENDING")]
    assert in_text("squeue_arrays.txt") == [*known, *((f"13_{index}", "PENDING") for index in range(5, 10))]
    past = parse_json.past_jobs(json.loads(recorded("sacct.json")))
    assert sorted((each.id, each.state) for each in past if each.name == "array") == known


def test_numbers_of_elements_in_the_shape_of_later_versions() -> None:
    def told(**more: object) -> str:
        (job,) = parse_json.jobs({"jobs": [{"job_id": 125, "name": "n", **more}]})
        return job.id

    array = {"set": True, "infinite": False, "number": 123}
    unset = {"set": False, "infinite": False, "number": 0}
    assert told(array_job_id=array, array_task_id=array | {"number": 0}, array_task_string="") == "123_0"
    assert told(array_job_id=array, array_task_id=unset, array_task_string="0-3") == "123_[0-3]"
    assert told(array_job_id=array | {"number": 0}, array_task_id=unset, array_task_string="") == "125"
    assert told(array_job_id=unset, array_task_id=unset) == told() == "125"


def test_sacct_as_recorded() -> None:
    text = sacct()
    told = {each.name: each for each in parse_json.past_jobs(json.loads(recorded("sacct.json")))}
    assert text.keys() == told.keys()
    for name, each in text.items():
        if name == "group":  # a heterogeneous job: we have none, and its numbers are written in two ways
            continue
        same = ("id", "state", "submitted_s", "started_s", "ended_s", "partition", "over", "energy_j")
        assert {what: getattr(each, what) for what in same} == {
            what: getattr(told[name], what) for what in same
        }
    assert (text["failed"].code, text["cancelled-running"].by) == ("7:0", "0")
    assert told["cancelled-running"].by == "root"
    # A requeued job's former run is an end to sacct; the engine asks it only of what squeue does not know.
    assert text["preempted-requeued"].over


def test_energy_is_kept() -> None:
    row = ["9", "n", "COMPLETED", "None", "1", "2", "3", "1", "main", "", "0:0", "123456"]
    assert parse.sacct(build.SEPARATOR.join(row))[0].energy_j == 123456
    row[-1] = "18446744073709551614"  # not measured
    assert parse.sacct(build.SEPARATOR.join(row))[0].energy_j == 0
    steps = [{"statistics": {"energy": {"consumed": 70}}}, {"statistics": {"energy": {"consumed": 5}}}, {}]
    assert parse_json.past_jobs({"jobs": [{"name": "n", "steps": steps}]})[0].energy_j == 75


def test_refusals_as_recorded() -> None:
    told = json.loads(recorded("errors.json"))
    sbatch = [each for each in told["refused"] if each["command"][0] == "sbatch" and each["exit"]]
    assert len(sbatch) >= 12
    for each in sbatch:
        if "nosuch.sh" not in each["command"]:
            assert isinstance(sort_refusal(each["stderr"]), Refused), each
    away = next(each for each in told["slurmctld away"] if each["command"][0] == "sbatch")
    assert isinstance(sort_refusal(away["stderr"]), Later)


@pytest.mark.parametrize(
    "text",
    [
        "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)",
        "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates "
        "accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sbatch: error: Batch job submission failed: Invalid authentication credential",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        "",
    ],
)
def test_what_may_be_taken_later(text: str) -> None:
    told = sort_refusal(text)
    assert isinstance(told, Later)
    assert isinstance(told, NotTaken) == (bool(text) and "timed out" not in text)


# Later versions, by their published description; never run here


def _number(value: int | None) -> dict[str, Any]:
    return {"set": value is not None, "infinite": False, "number": value or 0}


V40 = {
    "jobs": [
        {
            "job_id": 71,
            "name": "one",
            "job_state": ["CANCELLED", "COMPLETING"],
            "state_reason": "None",
            "submit_time": _number(100),
            "start_time": _number(110),
            "end_time": _number(120),
            "node_count": _number(2),
            "partition": "main",
            "comment": '{"hutong":"abc","project":"p"}',
            "user_name": "svc",
            "exit_code": {
                "status": ["SIGNALED"],
                "return_code": _number(None),
                "signal": {"id": _number(9), "name": "KILL"},
            },
        },
        {"job_id": 72, "name": "two", "job_state": ["PENDING"], "state_reason": "PartitionTimeLimit",
         "start_time": {"set": False, "infinite": True, "number": 7}},
        {"job_id": 73, "name": "three", "job_state": ["RUNNING", "SOMETHING_NEW"]},
        {"job_id": 74, "name": "four", "job_state": ["REQUEUE_HOLD", "PENDING"]},
    ],
    "errors": [],
    "meta": {"slurm": {"cluster": "alpha", "version": {"major": "24"}}},
}  # fmt: skip


def test_states_with_flags_and_numbers_as_objects() -> None:
    one, two, three, four = parse_json.jobs(V40)
    assert (one.id, one.state, one.over, one.code) == ("71", "COMPLETING", False, "0:9")
    assert (one.submitted_s, one.started_s, one.ended_s, one.nodes, one.origin) == (100, 110, 120, 2, "abc")
    assert (two.state, two.started_s, two.hopeless) == ("PENDING", 0, True)
    assert (three.state, three.over) == ("RUNNING", False)
    assert (four.state, four.waiting) == ("PENDING", True)


def test_nodes_of_both_shapes() -> None:
    old = {each.name: each for each in parse_json.nodes(json.loads(recorded("rest_nodes.json")))}
    assert old["rec-n1"].up
    assert not old["rec-n4"].up, "down"
    assert not old["rec-n5"].up, "idle, with the flag DRAIN"
    assert (old["rec-npu6"].devices, old["rec-npu6"].used["npu:910c"]) == ({"npu:910c": 16}, 1)
    assert "main" in old["rec-n1"].partitions
    new = {"nodes": [{"name": "a", "state": ["IDLE", "DRAIN"], "gres": "gpu:h100:8", "partitions": ["main"]}]}
    assert not parse_json.nodes(new)[0].up
    assert parse_json.default_partition(json.loads(recorded("rest_partitions.json"))) == "main"


def test_errors_of_slurmrestd() -> None:
    found = parse_json.problems(json.loads(recorded("rest_submit_too_much.json")))
    assert found == [(2014, "Requested node configuration is not available")]


# Anything


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["jobs", "job_id", "name", "job_state", "state", "current", "time", "start", "set", "number",
             "infinite", "exit_code", "return_code", "signal", "id", "comment", "job", "steps", "statistics",
             "energy", "consumed", "errors", "error_number", "nodes", "partitions", "flags", "gres"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=30,
)  # fmt: skip


@given(JSON)
def test_no_document_is_an_error(document: object) -> None:
    for each in [*parse_json.jobs(document), *parse_json.past_jobs(document)]:
        assert each.state
    parse_json.nodes(document)
    parse_json.default_partition(document)
    parse_json.problems(document)


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    parse.squeue(text)
    parse.sacct(text)
    parse.settings(text)
    parse.origin(text)
    assert 0 <= parse.number(text) < 1 << 62


WORD = st.text(st.characters(exclude_characters=build.SEPARATOR + "\n"), max_size=12)


@given(st.lists(WORD, min_size=10, max_size=10))
def test_any_row_is_a_record_and_an_unknown_state_is_alive(fields: list[str]) -> None:
    (record,) = parse.squeue(build.SEPARATOR.join(fields)).values()
    assert record.over == (record.state in parse.ENDED)
    assert isinstance(record.hopeless, bool)


@given(st.sampled_from(sorted(parse.ENDED)), WORD, WORD, st.integers(0, 99), st.integers(0, 99), WORD)
def test_every_end_has_a_verdict(
    state: str, reason: str, code: str, started_s: int, ended_s: int, words: str
) -> None:
    record = Record("7", "n", state, reason, started_s=started_s, ended_s=ended_s, code=code)
    verdict = verdicts.of_ended(record, 60, words)
    assert AttemptState(verdict.outcome)
    assert Category(verdict.category)
    assert "job 7" in verdict.reason


def test_a_time_limit_counts_as_the_users_only_if_it_was_used_up() -> None:
    def category(ran_s: int, limit_s: int) -> str:
        return verdicts.of_ended(
            Record("1", "n", "TIMEOUT", started_s=1000, ended_s=1000 + ran_s), limit_s
        ).category

    assert category(3_600, 3_600) == category(3_560, 3_600) == "user"
    assert category(1_800, 3_600) == "infra"
    assert category(86_400, 0) == "infra", "a service has no limit of the user's"


def _job(id_: str, state: str, submitted_s: int = 0) -> Record:
    return Record(id_, "n", state, submitted_s=submitted_s)


def test_which_of_several_jobs_of_one_name_counts() -> None:
    waits, runs, over = _job("9", "PENDING", 1), _job("10", "RUNNING", 2), _job("8", "FAILED", 3)
    assert parse.choose([waits, over, runs]) is runs
    assert parse.choose([over, waits]) is waits
    assert parse.choose([waits, runs, over], began_id="8") is over
    assert parse.choose([waits, runs], began_id="8") is None, "copies say nothing of the one that began"
    assert parse.choose([_job("9", "PENDING", 5), _job("10", "PENDING", 5)]).id == "9"  # type: ignore[union-attr]
    assert parse.choose([_job("9", "PENDING", 1), _job("10", "PENDING", 5)], submitted_id="10").id == "10"  # type: ignore[union-attr]
    reused = [_job("8", "COMPLETED", 3), _job("8", "RUNNING", 90)]
    assert parse.choose(reused, began_id="8") is reused[1]
    assert parse.choose([]) is None

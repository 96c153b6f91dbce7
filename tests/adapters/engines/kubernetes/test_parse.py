"""Answers of a real API server as records, whatever else stands in them."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.adapters.engines.kubernetes import build, nodes, parse
from hutong.adapters.engines.kubernetes.config import KubernetesPool, Toleration
from hutong.adapters.engines.kubernetes.parse import KEY, Pod, Work
from hutong.core.capacity.spread import Spread

RECORDED = Path(__file__).parent / "recorded/1.20"
read_work: Callable[[Any], Work | None] = partial(parse.work, api=build.JOBS, plural="jobs")


def body(name: str) -> dict[str, Any]:
    """Return a recorded object, labelled as one of ours."""
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return labelled(found)


def labelled(found: dict[str, Any]) -> dict[str, Any]:
    found["metadata"]["labels"] = {**(found["metadata"].get("labels") or {}), KEY: "ht-x-a1"}
    return found


def pod(name: str) -> Pod:
    found = parse.pod(body(name))
    assert found is not None
    return found


def work(name: str) -> Work:
    found = read_work(body(name))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "outcome", "category", "words"),
    [
        ("pod-evicted", "FAILED", "infra", "The node was low on resource: memory."),
        ("pod-deadline", "FAILED", "user", "walltime"),
        ("pod-on-lost-node", "FAILED", "infra", "does not answer"),
        ("pod-killed", "FAILED", "infra", "exit code 137"),
        ("pod-start-error", "FAILED", "infra", "exit code 128"),
    ],
)
def test_the_end_of_a_pod(name: str, outcome: str, category: str, words: str) -> None:
    verdict = parse.verdict([pod(name)], [])
    assert (verdict.outcome, verdict.category) == (outcome, category)
    assert words in verdict.reason


@pytest.mark.parametrize(
    ("reason", "category"),
    [("Preempted", "preempted"), ("TaintManagerEviction", "infra"), ("Scheduled", "infra")],
)
def test_events_say_why_a_pod_is_gone(reason: str, category: str) -> None:
    gone = Pod("u", "n", "default", "k", "", 0, "node", "Running", leaving=True, gone=True)
    assert parse.verdict([gone], [], [(reason, "")]).category == category


def test_what_tells_most_counts() -> None:
    killed = body("pod-killed")
    killed["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] = "OOMKilled"
    known = parse.pod(killed)
    assert known is not None
    assert parse.verdict([pod("pod-killed"), known], [work("job-failed")]).category == "oom"


def test_newer_servers_name_the_disruption() -> None:
    disrupted = body("pod-killed")
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    disrupted["status"]["conditions"].append(condition)
    known = parse.pod(disrupted)
    assert known is not None
    assert parse.verdict([known], []).outcome == "PREEMPTED"


def test_a_suspended_job_was_preempted_by_its_queue() -> None:
    suspended = Work("u", "/p", "default", "k", "o", "f", suspended=True)
    assert parse.verdict([pod("pod-killed")], [suspended]).category == "preempted"


def test_why_a_pod_waits() -> None:
    waiting = pod("pod-unschedulable")
    assert waiting.unplaced
    assert waiting.waits.startswith("Unschedulable: 0/3 nodes are available")
    image = pod("pod-image-pull")
    assert (image.stuck, image.waits.startswith("ImagePullBackOff: ")) == (True, True)
    assert pod("pod-config-error").stuck
    assert pod("pod-running").waits == ""


def test_what_is_over() -> None:
    states = {
        name: pod(f"pod-{name}") for name in ("succeeded", "failed", "running", "evicted", "on-lost-node")
    }
    assert {name for name, each in states.items() if each.over} == {"succeeded", "failed", "evicted"}
    assert {name for name, each in states.items() if each.ended} == {"succeeded", "failed"}
    assert {name for name, each in states.items() if each.silent} == {"on-lost-node"}
    assert [work(f"job-{name}").over for name in ("running", "complete", "failed", "deadline")] == [
        False, True, True, True,
    ]  # fmt: skip
    assert work("job-deadline").why[0] == "DeadlineExceeded"
    assert work("job-complete").ended_s > 0


@pytest.mark.parametrize("path", sorted(RECORDED.glob("status-*.json")), ids=lambda path: path.stem)
def test_every_refusal_has_words(path: Path) -> None:
    reason, message, _ = parse.refusal(json.loads(path.read_text()))
    assert reason
    assert message


def test_every_object_of_a_list_and_of_a_watch_is_read() -> None:
    for name in ("pod-list", "job-list"):
        for row in json.loads((RECORDED / f"{name}.json").read_text())["items"]:
            assert (parse.pod if name == "pod-list" else read_work)(labelled(row)) is not None
    for line in (RECORDED / "watch-pods.jsonl").read_text().splitlines():
        assert parse.pod(labelled(json.loads(line)["object"])) is not None


def test_cards_of_nodes() -> None:
    rows = json.loads((RECORDED / "node-list.json").read_text())["items"]
    known = [nodes.node(row) for row in rows]
    pool = KubernetesPool("huawei.com/Ascend910")
    reserved = [each.name for each in known if each.taints]
    assert reserved
    open_to_all = [each for each in known if nodes.suits(each, pool)]
    assert not any(each.name in reserved for each in open_to_all)
    tolerant = KubernetesPool("huawei.com/Ascend910", tolerations=(Toleration("reserved", "lab"),))
    assert {each.name for each in known if nodes.suits(each, tolerant)} >= {each.name for each in open_to_all}
    uses = [nodes.use(row, "o") for row in json.loads((RECORDED / "pod-list.json").read_text())["items"]]
    (state,) = nodes.pool_states({"p": pool}, known, [each for each in uses if each], 0)
    assert state.cards_up == sum(each.allocatable["huawei.com/Ascend910"] for each in open_to_all if each.up)
    assert not nodes.node(json.loads((RECORDED / "node-lost.json").read_text())).up


def test_cards_of_nodes_are_told_by_how_many_are_free_on_each() -> None:
    device, pool = "d", KubernetesPool("d")
    hosts = [nodes.Node(name, {}, (), {device: 8.0}, name != "down") for name in ("a", "b", "c", "down")]
    hosts.append(
        nodes.Node("lost", {}, (("node.kubernetes.io/unreachable", "", "NoExecute"),), {device: 8.0})
    )
    uses = [
        nodes.Use("a", {device: 4.0}, ours=True, key="k1", pool="p"),
        nodes.Use("b", {device: 4.0}, ours=True, key="k1", pool="p"),
        nodes.Use("b", {device: 1.0}, ours=True, key="k2", pool="other"),
        nodes.Use("down", {device: 2.0}, ours=True, key="k3", pool=""),
        nodes.Use("c", {device: 3.0}),
        nodes.Use("", {device: 8.0}, ours=True, key="k4", pool="p"),
        nodes.Use("c", {"cpu": 3.0}),
    ]
    (state,) = nodes.pool_states({"p": pool}, hosts, uses, 0)
    assert state.spread == Spread((0, 0, 0, 1, 1, 1), ((1, 2, 1), (2, 4, 1)))


@pytest.mark.parametrize(
    ("text", "amount"),
    [("16", 16), ("500m", 0.5), ("64Gi", 64 << 30), ("1e3", 1000), ("2k", 2000), ("", 0), ("many", 0)],
)
def test_quantities(text: str, amount: float) -> None:
    assert nodes.quantity(text) == pytest.approx(amount)


JUNK = (
    None,
    True,
    -1,
    2**70,
    "",
    "Strange",
    "\x00",
    [],
    ["x"],
    [None],
    {},
    {"reason": 7},
    {"state": []},
    [[{}]],
)


@given(
    st.sampled_from(
        ["pod-failed", "pod-evicted", "pod-image-pull", "pod-unschedulable", "job-failed", "node-lost"]
    ),
    st.lists(st.integers(0, 30), min_size=1, max_size=8),
    st.sampled_from(JUNK),
)
def test_nothing_in_an_object_raises(name: str, steps: list[int], junk: Any) -> None:
    """Any part of an object, found by steps into it, may be something that we have never seen."""
    found = body(name)
    place: Any = found
    for number, step in enumerate(steps):
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = keys[step % len(keys)]
        if number == len(steps) - 1 or not isinstance(place[key], dict | list):
            place[key] = junk
            break
        place = place[key]
    known = parse.pod(found)
    if known is not None:
        assert parse.verdict([known], []).outcome in {"FAILED", "PREEMPTED"}
    read_work(found)
    nodes.node(found)
    nodes.use(found, "o")


@given(st.sampled_from(JUNK) | st.text())
def test_nothing_as_an_answer_raises(junk: Any) -> None:
    parse.refusal(junk)
    nodes.quantity(junk)
    parse.seconds(str(junk))

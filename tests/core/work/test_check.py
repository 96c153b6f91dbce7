"""The check of a job: what a user's document becomes, and what it is refused for."""

import math
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.accelerators import ACCELERATORS, find_accelerator
from hutong.core.kernel.documents import encode
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.work import check_words
from hutong.core.work.check import MOST_DURATION_S, Catalogue, check_spec
from hutong.core.work.spec import Ask, Input, JobSpec, JobType, Resources, Retry
from hutong.core.work.unparse import unparse

DIGEST = "sha256:" + "ab" * 32


def _resolve(name: str) -> str | None:
    card = find_accelerator(name)
    return card.model if card else None


KNOWN = Catalogue(_resolve, tuple(ACCELERATORS))


def check(**document: object) -> JobSpec:
    return check_spec({"run": "true", **document}, KNOWN)


def problems(document: object) -> tuple[Problem, ...]:
    with pytest.raises(Refused) as caught:
        check_spec(document, KNOWN)
    assert caught.value.code == "bad_spec"
    return caught.value.problems


def problem(**document: object) -> Problem:
    """Return the one problem of a document that is right but for what is given."""
    found = problems({"run": "true", **document})
    assert len(found) == 1, found
    return found[0]


def test_an_array_is_kept_with_the_spec_and_one_alone_has_none() -> None:
    assert check().array is None
    assert encode(check()) == encode(replace(check(array=7), array=None)), "digests of before stay"
    for said, written in (("0-9%3", "0-9%3"), (7, "7"), ("9,1-3", "1-3,9")):
        spec = check(array=said)
        assert str(spec.array) == written
        assert unparse(spec)["array"] == written
        assert check_spec(unparse(spec), KNOWN) == spec
    assert check(envs={"SLURM_ARRAY_TASK_ID": "1"}).envs == (("SLURM_ARRAY_TASK_ID", "1"),)


def test_pauses_are_read_and_written_again() -> None:
    spec = check(preemptible=True, placement={"defer": "12h", "pauses": 2})
    assert (spec.wish.defer_s, spec.wish.pauses) == (43_200, 2)
    assert check_spec(unparse(spec), KNOWN) == spec


def test_who_insists_on_isolation_is_read_and_written_again() -> None:
    spec = check(placement={"isolation": True})
    assert spec.wish.isolation
    assert check_spec(unparse(spec), KNOWN) == spec
    assert not check(placement={"isolation": False}).wish.isolation
    assert problem(placement={"isolation": "bwrap"}).path == "/placement/isolation"


def test_inputs_by_url_and_shared_are_read_and_written_again() -> None:
    spec = check(
        inputs=[
            {"mount": "a", "url": "s3://bucket/deep/prefix/", "store": "lab"},
            {"mount": "b", "shared": "datasets/zh/wiki"},
        ],
        secrets=["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    )
    assert spec.inputs == (
        Input("a", "", "url", url="s3://bucket/deep/prefix/", store="lab"),
        Input("b", "", "shared", shared="datasets/zh/wiki"),
    )
    assert check_spec(unparse(spec), KNOWN) == spec


def test_the_least_job_is_one_line_and_needs_one_core() -> None:
    spec = check_spec({"run": "echo hi"}, KNOWN)
    assert spec == JobSpec("job", JobType.TASK, 1, Resources((Ask("CPU", 1),)), "echo hi")
    assert spec.max_duration_s == 86_400


def test_a_whole_job_is_read() -> None:
    spec = check_spec(
        {
            "name": "qwen-sft",
            "type": "task",
            "num_nodes": 4,
            "resources": {
                "accelerators": {"910B": 8, "H100": 8},
                "cpus": "32+",
                "memory": "256+",
                "use_spot": False,
                "max_hourly_cost": 120,
                "job_recovery": {"max_restarts_on_errors": 3, "recover_on_exit_codes": [75, 33]},
            },
            "workdir": {"digest": DIGEST},
            "inputs": [{"mount": "data/zh", "digest": DIGEST}],
            "outputs": "results/",
            "envs": {"MODEL": "Qwen3-8B", "SEED": 7, "LR": 0.5, "DEBUG": True},
            "secrets": ["HF_TOKEN"],
            "ports": [6006],
            "setup": "pip list",
            "run": "torchrun train.py",
            "max_duration": "12h",
            "grace": "2m",
            "network": True,
            "priority": -10,
            "placement": {
                "objective": "greenest",
                "latency_class": "offline",
                "sites": {"allow": ["bj-*"], "deny": ["bj-old"]},
                "start_before": "2h",
                "defer": "90m",
                "on_centre_loss": "wait",
            },
        },
        KNOWN,
    )
    assert spec.resources == Resources((Ask("Ascend910B", 8), Ask("H100", 8)), False, 32, 256 * 10**9)
    assert spec.inputs == (Input(".", DIGEST, "bundle"), Input("data/zh", DIGEST, "manifest"))
    assert spec.outputs == "results"
    assert dict(spec.envs) == {"MODEL": "Qwen3-8B", "SEED": "7", "LR": "0.5", "DEBUG": "true"}
    assert (spec.secrets, spec.ports, spec.max_duration_s, spec.grace_s) == (
        ("HF_TOKEN",),
        (6006,),
        43_200,
        120,
    )
    assert spec.retry == Retry(3, (33, 75))
    assert spec.wish.defer_s == 5400
    assert (spec.wish.allow, spec.wish.deny, spec.wish.start_before_s) == (("bj-*",), ("bj-old",), 7200)
    assert spec.wish.max_hourly_cost_micro == 120_000_000
    assert spec.wish.objective == "greenest"
    assert spec.network
    assert spec.priority == -10


@pytest.mark.parametrize(
    ("accelerators", "asks", "ordered"),
    [
        ("H100:8", [("H100", 8)], False),
        ("H100", [("H100", 1)], False),
        ("nvidia-h100-80gb-hbm3:2", [("H100", 2)], False),
        ({"H100": 8, "A100": 4}, [("H100", 8), ("A100", 4)], False),
        ({"H100:8": None, "A100:4": None}, [("H100", 8), ("A100", 4)], False),
        (["A100:8", {"H100": 4}], [("A100", 8), ("H100", 4)], True),
        (["A100:8"], [("A100", 8)], False),
        ({"910B": "8"}, [("Ascend910B", 8)], False),
    ],
)
def test_accelerators_in_every_form(accelerators: object, asks: list[tuple[str, int]], ordered: bool) -> None:
    resources = check(resources={"accelerators": accelerators}).resources
    assert resources.asks == tuple(Ask(*ask) for ask in asks)
    assert resources.ordered is ordered


@pytest.mark.parametrize(("key", "ordered"), [("any_of", False), ("ordered", True)])
def test_alternatives_as_a_list_of_resources(key: str, ordered: bool) -> None:
    entries = [{"accelerators": "A100:8", "use_spot": False}, {"accelerators": "H100:4"}]
    resources = check(resources={key: entries, "cpus": 8}).resources
    assert resources == Resources((Ask("A100", 8), Ask("H100", 4)), ordered, 8)


@pytest.mark.parametrize("key", ["any_of", "ordered"])
def test_alternatives_without_cards_of_their_own_want_those_of_all(key: str) -> None:
    resources = check(resources={"accelerators": "H100:8", key: [{"use_spot": False}, {}]}).resources
    assert resources == Resources((Ask("H100", 8),))
    found = problem(resources={"accelerators": "H100:8", key: [{}, {"infra": "aws"}]})
    assert found.path == f"/resources/{key}/1/infra"
    both = {"any_of": [{"accelerators": "H100"}], "ordered": [{"accelerators": "A100"}]}
    assert problem(resources=both).path == "/resources/ordered"


def test_a_notebook_is_for_somebody_who_waits_and_ends_the_same_day() -> None:
    spec = check(type="notebook")
    assert (spec.type.listens, spec.max_duration_s, spec.wish.latency_class) == (
        True,
        8 * 3600,
        "interactive",
    )
    told = check(type="notebook", max_duration="1d", placement={"latency_class": "batch"})
    assert (told.max_duration_s, told.wish.latency_class) == (86_400, "batch")


def test_cores_of_a_job_without_cards() -> None:
    assert check(resources={"cpus": "4+"}).resources == Resources((Ask("CPU", 4),), cpus=4)
    assert check(resources={"accelerators": "CPU:4"}).resources == Resources((Ask("CPU", 4),))


@pytest.mark.parametrize(
    ("memory", "size"),
    [(32, 32 * 10**9), ("32+", 32 * 10**9), (0.5, 5 * 10**8), ("32GB", 32 * 10**9), ("1GiB", 2**30)],
)
def test_memory_is_gigabytes_unless_it_says_otherwise(memory: object, size: int) -> None:
    assert check(resources={"memory": memory}).resources.memory_bytes == size


def test_a_service_runs_until_it_is_stopped() -> None:
    assert check(type="service").max_duration_s == 0
    assert check(type="service", max_duration="1d").max_duration_s == 86_400
    assert problem(max_duration=0).path == "/max_duration"


def test_secrets_in_skypilot_form_are_names_only() -> None:
    assert check(secrets={"HF_TOKEN": None, "WANDB": None}).secrets == ("HF_TOKEN", "WANDB")


@pytest.mark.parametrize(
    "document",
    [
        {"secrets": {"HF_TOKEN": "hf_canary"}},
        {"secrets": ["HF_TOKEN=hf_canary"]},
        {"secrets": "hf_canary"},
        {"secrets": {"HF_TOKEN=hf_canary": None}},
        {"secrets": [["hf_canary"]]},
        {"envs": "HF_TOKEN=hf_canary"},
        {"envs": {"HF_TOKEN=hf_canary": None}},
        {"envs": {"HF_TOKEN": "hf_canary"}, "secrets": ["HF_TOKEN"]},
        {"envs": {"HF_TOKEN": ["hf_canary"]}},
        {"envs": {"HUTONG_X": "hf_canary"}},
        {"envs": {"HF_TOKEN": "hf_canary\0"}},
    ],
)
def test_no_message_repeats_what_may_be_a_secret(document: dict[str, object]) -> None:
    found = problems({"run": "true", **document})
    assert all("canary" not in p.path + p.message + p.hint for p in found)


@pytest.mark.parametrize(
    ("document", "path", "says"),
    [
        ({"runn": "x"}, "/runn", "did you mean run?"),
        ({"Name": "x"}, "/Name", "did you mean name?"),
        ({"env": {"A": 1}}, "/env", "did you mean envs?"),
        ({"accelerators": "H100:8"}, "/accelerators", "belongs under resources"),
        ({"resources": {"envs": {"A": "1"}}}, "/resources/envs", "belongs under the top level"),
        ({"resources": {"accelerator": "H100"}}, "/resources/accelerator", "did you mean accelerators?"),
        ({"allow": ["x"]}, "/allow", "placement.sites"),
        ({"a/b~c": 1}, "/a~1b~0c", "one of"),
        ({"name": "two words"}, "/name", "1 to 63"),
        ({"name": "trailing\n"}, "/name", "1 to 63"),
        ({"name": ""}, "/name", "1 to 63"),
        ({"name": 5}, "/name", 'in quotes: "5"'),
        ({"name": "x" * 64}, "/name", "1 to 63"),
        ({"type": "servce"}, "/type", "did you mean service?"),
        ({"type": "dev-environment"}, "/type", "write type: notebook"),
        ({"num_nodes": -1}, "/num_nodes", "between 1 and 10000"),
        ({"num_nodes": "-1"}, "/num_nodes", "between 1 and 10000"),
        ({"num_nodes": True}, "/num_nodes", "whole number, not true"),
        ({"num_nodes": 1.5}, "/num_nodes", "whole number, not 1.5"),
        ({"num_nodes": 10**5000}, "/num_nodes", "out of range"),
        ({"num_nodes": 2, "nodes": 2}, "/nodes", "keep one"),
        ({"resources": []}, "/resources", "must be a mapping"),
        ({"resources": {"accelerators": "H100:-8"}}, "/resources/accelerators", "between 1 and 1024"),
        ({"resources": {"accelerators": "H100:0.5"}}, "/resources/accelerators", "whole number"),
        ({"resources": {"accelerators": "H100:9999"}}, "/resources/accelerators", "between 1 and 1024"),
        ({"resources": {"accelerators": 8}}, "/resources/accelerators", "like H100:8"),
        ({"resources": {"accelerators": {}}}, "/resources/accelerators", "between 1 and 32"),
        ({"resources": {"accelerators": "H10:8"}}, "/resources/accelerators", "did you mean H100?"),
        ({"resources": {"accelerators": "tpu-v5p-8"}}, "/resources/accelerators", "one of H100"),
        ({"resources": {"accelerators": {"H100": 8, "H100-SXM": 4}}}, "/resources/accelerators", "2 times"),
        ({"resources": {"accelerators": {"H100:8": 8}}}, "/resources/accelerators/H100:8", "given twice"),
        (
            {"resources": {"accelerators": "H100", "any_of": [{"accelerators": "A100"}]}},
            "/resources/any_of",
            "accelerators is given too",
        ),
        (
            {"resources": {"any_of": [{"cpus": 4, "accelerators": "A100"}]}},
            "/resources/any_of/0/cpus",
            "differ in",
        ),
        ({"resources": {"any_of": [{"use_spot": False}]}}, "/resources/any_of/0", "names no accelerators"),
        ({"resources": {"cpus": 4, "accelerators": "CPU:2"}}, "/resources/cpus", "already asked for"),
        ({"resources": {"cpus": "4x"}}, "/resources/cpus", "whole number"),
        ({"resources": {"cpus": 0}}, "/resources/cpus", "between 1 and 1024"),
        ({"resources": {"memory": "-4"}}, "/resources/memory", "like 64"),
        ({"resources": {"memory": 0}}, "/resources/memory", "more than 0"),
        ({"resources": {"memory": "32B"}}, "/resources/memory", "like 64"),
        ({"resources": {"memory": math.nan}}, "/resources/memory", "like 64"),
        ({"resources": {"memory": 10**400}}, "/resources/memory", "many digits"),
        ({"resources": {"memory": "4x"}}, "/resources/memory", "like 64"),
        (
            {"resources": {"any_of": [{"accelerators": "H100", "use_spot": True}]}},
            "/resources/any_of/0/use_spot",
            "cannot be preemptible by itself",
        ),
        ({"resources": {"infra": "aws/us-east-1"}}, "/resources/infra", "placement.sites"),
        ({"resources": {"disk_size": 500}}, "/resources/disk_size", "leave it out"),
        ({"resources": {"max_hourly_cost": -1}}, "/resources/max_hourly_cost", "above 0"),
        ({"resources": {"max_hourly_cost": math.inf}}, "/resources/max_hourly_cost", "above 0"),
        ({"resources": {"job_recovery": "FAILOVER"}}, "/resources/job_recovery", "EAGER_NEXT_REGION"),
        (
            {"resources": {"job_recovery": {"recover_on_exit_codes": [0]}}},
            "/resources/job_recovery/recover_on_exit_codes/0",
            "between 1 and 255",
        ),
        (
            {"resources": {"job_recovery": {"avoid_domains": ["power/feed-2"]}}},
            "/resources/job_recovery/avoid_domains/0",
            "like building",
        ),
        ({"avoid_domains": ["power"]}, "/avoid_domains", "resources.job_recovery"),
        ({"ports": 70_000}, "/ports", "between 1 and 65535"),
        ({"ports": "8000-8010"}, "/ports", "list each port"),
        ({"ports": [80, 80]}, "/ports/1", "there twice"),
        ({"ports": [80], "resources": {"ports": 80}}, "/ports", "keep one"),
        ({"priority": 1001}, "/priority", "between -1000 and 1000"),
        ({"envs": {"A": None}}, "/envs/A", "--env A="),
        ({"envs": {"1A": "x"}}, "/envs", "no digit first"),
        ({"envs": {"MASTER_ADDR": "x"}}, "/envs/MASTER_ADDR", "set by the platform"),
        ({"envs": {"SKYPILOT_X": "x"}}, "/envs/SKYPILOT_X", "set by the platform"),
        ({"secrets": ["HUTONG_X"]}, "/secrets/0", "set by the platform"),
        ({"envs": {"A": "x" * 32_769}}, "/envs/A", "at most 32768"),
        ({"envs": {"A": math.nan}}, "/envs/A", "quotes"),
        ({"envs": {f"A{n}": "x" for n in range(201)}}, "/envs", "at most 200"),
        ({"envs": {f"A{n}": "x" * 30_000 for n in range(20)}}, "/envs", "in all"),
        ({"workdir": "."}, "/workdir", "packed before"),
        ({"workdir": {"url": "https://x"}, "run": ""}, "/run", "missing"),
        ({"workdir": {"digest": DIGEST + "\n"}}, "/workdir/digest", "64 digits"),
        ({"inputs": {"s3://x": 10}}, "/inputs", "a list"),
        ({"inputs": [{"mount": "../x", "digest": DIGEST}]}, "/inputs/0/mount", "relative path"),
        ({"inputs": [{"mount": "/x", "digest": DIGEST}]}, "/inputs/0/mount", "relative path"),
        ({"inputs": [{"mount": "a//x", "digest": DIGEST}]}, "/inputs/0/mount", "relative path"),
        ({"inputs": [{"mount": [], "digest": DIGEST}]}, "/inputs/0/mount", "must be text"),
        ({"inputs": [{"digest": DIGEST}]}, "/inputs/0/mount", "missing"),
        ({"inputs": [{"mount": "x"}]}, "/inputs/0/digest", "missing"),
        ({"inputs": [{"mount": "x", "url": "s3://bucket/k"}]}, "/inputs/0/store", "missing"),
        ({"inputs": [{"mount": "x", "url": "s3://bucket/k", "store": "A"}]}, "/inputs/0/store", "no name"),
        (
            {"inputs": [{"mount": "x", "url": "http://169.254.169.254/", "store": "a"}]},
            "/inputs/0/url",
            "no URL",
        ),
        ({"inputs": [{"mount": "x", "url": "s3://b@d/k", "store": "a"}]}, "/inputs/0/url", "no URL"),
        ({"inputs": [{"mount": "x", "url": "s3://b..d/k", "store": "a"}]}, "/inputs/0/url", "no URL"),
        ({"inputs": [{"mount": "x", "url": "s3://bucket/a/../b", "store": "a"}]}, "/inputs/0/url", "plain"),
        ({"inputs": [{"mount": "x", "url": "s3://bucket/a?b", "store": "a"}]}, "/inputs/0/url", "plain"),
        (
            {
                "inputs": [{"mount": "x", "url": "s3://bucket/a", "store": "a"}],
                "secrets": ["AWS_ACCESS_KEY_ID"],
            },
            "/inputs/0/url",
            "AWS_SECRET_ACCESS_KEY is not",
        ),
        ({"inputs": [{"mount": "x", "digest": DIGEST, "shared": "a/b"}]}, "/inputs/0/shared", "given too"),
        ({"inputs": [{"mount": "x", "digest": DIGEST, "store": "a"}]}, "/inputs/0/store", "url only"),
        ({"inputs": [{"mount": "x", "shared": "a", "kind": "bundle"}]}, "/inputs/0/kind", "digest only"),
        ({"inputs": [{"mount": "x", "shared": "a/../b"}]}, "/inputs/0/shared", "relative path"),
        ({"inputs": [{"mount": "x", "shared": "/etc"}]}, "/inputs/0/shared", "relative path"),
        ({"inputs": [{"mount": "x", "shared": "Data/x"}]}, "/inputs/0/shared", "begin with a name"),
        (
            {"inputs": [{"mount": m, "digest": DIGEST} for m in ("a", "a/b")]},
            "/inputs/1/mount",
            "inside each other",
        ),
        ({"outputs": "~/x"}, "/outputs", "relative path"),
        ({"outputs": {"s3://x": 10}}, "/outputs", "one folder"),
        ({"file_mounts": {"/data": "s3://x"}}, "/file_mounts", "workdir"),
        ({"service": {"readiness_probe": "/"}}, "/service", "type: service"),
        ({"image": "docker:x"}, "/image", "setup"),
        ({"deployment": "other"}, "/deployment", "only the platform"),
        ({"setup": "x" * (120 * 1024 + 1)}, "/setup", "at most 122880"),
        ({"run": "a\0b"}, "/run", "remove"),
        ({"run": "\ud800"}, "/run", "remove"),
        ({"run": "  \n"}, "/run", "missing"),
        ({"run": ["a"]}, "/run", "must be text, not a list"),
        ({"max_duration": "31d"}, "/max_duration", "between 1s and 30d"),
        ({"max_duration": "12 parsecs"}, "/max_duration", "like 12h"),
        ({"max_duration": "-5h"}, "/max_duration", "like 12h"),
        ({"max_duration": -5}, "/max_duration", "between 1s and 30d"),
        ({"max_duration": True}, "/max_duration", "like 12h"),
        ({"network": "yes"}, "/network", "true or false"),
        ({"placement": {"objective": {"wait": 0.4}}}, "/placement/objective", "one of"),
        ({"placement": {"objective": "greener"}}, "/placement/objective", "did you mean greenest?"),
        ({"placement": {"on_centre_loss": "restart"}}, "/placement/on_centre_loss", "never kills"),
        ({"placement": {"sites": {"allow": ["B*j"]}}}, "/placement/sites/allow/0", "any ending"),
        ({"placement": {"sites": {"allow": "bj"}}}, "/placement/sites/allow", "must be a list"),
        (
            {"placement": {"sites": {"allow": ["bj"], "deny": ["bj"]}}},
            "/placement/sites/deny",
            "in allow too",
        ),
        ({"placement": {"centres": {"deny": [1]}}}, "/placement/centres/deny/0", "any ending"),
        ({"placement": {"start_before": 0}}, "/placement/start_before", "between 1s"),
        ({"placement": {"defer": "31d"}}, "/placement/defer", "between 0s"),
        (
            {"placement": {"pauses": 4, "defer": "9h"}, "preemptible": True},
            "/placement/pauses",
            "between 0 and 3",
        ),
        ({"placement": {"pauses": 1}, "preemptible": True}, "/placement/pauses", "placement.defer: 12h"),
        ({"array": "5-1"}, "/array", "lesser index first"),
        ({"array": "x"}, "/array", "0-99%10"),
        ({"array": [1, 2]}, "/array", "array: 0-99"),
        ({"array": True}, "/array", "array: 0-99"),
        ({"array": "0-1000"}, "/array", "1000-1999"),
        ({"array": "0-9", "type": "service"}, "/array", "type: task"),
        ({"array": "0-9", "envs": {"SLURM_ARRAY_TASK_ID": "1"}}, "/array", "take it out"),
        ({"array": "0-9", "secrets": ["SLURM_ARRAY_JOB_ID"]}, "/array", "take it out"),
        ({"placement": {"pauses": 1, "defer": "9h"}}, "/placement/pauses", "preemptible: true"),
    ],
)
def test_a_fault_is_named_by_place_with_what_would_be_right(
    document: dict[str, object], path: str, says: str
) -> None:
    found = problems({"run": "true", **document})
    matching = [each for each in found if each.path == path]
    assert matching, found
    assert says in matching[0].message + ": " + matching[0].hint
    assert matching[0].hint


def test_every_fault_is_named_at_once() -> None:
    found = problems({"nam": "x", "num_nodes": 0, "resources": {"cpus": -1, "accelerators": "H1"}})
    assert {each.path for each in found} == {
        "/nam",
        "/num_nodes",
        "/resources/cpus",
        "/resources/accelerators",
        "/run",
    }


def test_a_hundred_faults_are_told_and_the_rest_counted() -> None:
    found = problems({f"k{n}": 1 for n in range(5000)})
    assert len(found) == 101
    assert "4901 more" in found[-1].message


@pytest.mark.parametrize("document", [None, [], "run: x", 5, True])
def test_what_is_no_mapping_is_refused_once(document: object) -> None:
    (only,) = problems(document)
    assert only.path == ""


def test_words_that_ask_for_nothing_are_no_fault() -> None:
    empty = dict.fromkeys(check_words.TOP.refused, None) | {"file_mounts": {}, "preemptible": False}
    assert check(**empty, resources={"image_id": None, "autostop": False}) == check()


def test_what_is_refused_with_a_hint_is_no_known_word() -> None:
    for words in (check_words.TOP, check_words.RESOURCES, check_words.ALTERNATIVE, check_words.WORKDIR):
        assert not set(words.known) & set(words.refused)


SHORT = st.text(min_size=1, max_size=20) | st.sampled_from(["\ud800", "\0", "H100:8", "12h", "4+", "", "a/b"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | SHORT
    | st.just(10**3000)
    | st.binary(max_size=2)
)
ANY = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(SHORT | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=12,
)
WORDS = sorted({*check_words.TOP.known, *check_words.TOP.refused})
BELOW = st.dictionaries(
    st.sampled_from([*check_words.RESOURCES.known, *check_words.PLACEMENT.known, "allow", "deny", "mount"]),
    ANY,
    max_size=5,
)


@given(ANY | st.dictionaries(st.sampled_from(WORDS), ANY | BELOW, max_size=8))
@settings(max_examples=400, deadline=None)
def test_nothing_but_a_refusal_comes_of_any_document(document: object) -> None:
    answer = _answer(document)
    if isinstance(answer, JobSpec):
        assert_bounds(answer)
        return
    assert answer.code == "bad_spec"
    assert answer.problems
    for each in answer.problems:
        assert (each.path + each.message + each.hint).encode()
        assert len(each.message) < 500


def _answer(document: object) -> JobSpec | Refused:
    try:
        return check_spec(document, KNOWN)
    except Refused as refusal:
        return refusal


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True).filter(
    lambda name: not name.startswith(("HUTONG_", "SKYPILOT_")) and name not in {"HOME", "PWD", "RANK"}
)
MODELS = st.sampled_from(["H100", "A100", "H20", "Ascend910B", "MLU370", "MI300X"])
CARDS = st.integers(1, 1024)
SITES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}\*?", fullmatch=True)
RIGHT = st.fixed_dictionaries(
    {"run": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)},
    optional={
        "name": st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True),
        "type": st.sampled_from(["task", "service"]),
        "num_nodes": st.integers(1, 10_000),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "accelerators": st.dictionaries(MODELS, CARDS, min_size=1)
                | st.lists(MODELS, min_size=1, unique=True)
                | st.builds("{}:{}".format, MODELS, CARDS),
                "cpus": st.integers(1, 1024) | st.integers(1, 1024).map("{}+".format),
                "memory": st.integers(1, 1000) | st.decimals(1, 999, places=3).map(str),
                "max_hourly_cost": st.integers(1, 10**6) | st.decimals(1, 999, places=6).map(str),
                "job_recovery": st.fixed_dictionaries(
                    {},
                    optional={
                        "max_restarts_on_errors": st.integers(0, 100),
                        "recover_on_exit_codes": st.lists(st.integers(1, 255)) | st.integers(1, 255),
                        "avoid_domains": st.lists(st.sampled_from(["power", "building"]), unique=True),
                    },
                ),
            },
        ),
        "envs": st.dictionaries(
            NAMES.map("E{}".format), st.text(max_size=20).filter(lambda t: "\0" not in t)
        ),
        "secrets": st.lists(NAMES.map("S{}".format), unique=True),
        "workdir": st.just({"digest": DIGEST}),
        "inputs": st.lists(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,3})?", fullmatch=True), max_size=1).map(
            lambda mounts: [{"mount": m, "digest": DIGEST, "kind": "bundle"} for m in mounts]
        ),
        "outputs": st.from_regex(r"[a-z]{1,8}(/[a-z]{1,3})?", fullmatch=True),
        "ports": st.lists(st.integers(1, 65_535), unique=True, max_size=5),
        "setup": st.text(max_size=50).filter(lambda t: "\0" not in t),
        "max_duration": st.integers(1, MOST_DURATION_S),
        "grace": st.integers(0, 3600),
        "network": st.booleans(),
        "priority": st.integers(-1000, 1000),
        "placement": st.fixed_dictionaries(
            {},
            optional={
                "objective": st.sampled_from(["fastest", "cheapest", "greenest", "balanced"]),
                "latency_class": st.sampled_from(["interactive", "standard", "batch", "offline"]),
                "sites": st.fixed_dictionaries({"allow": st.lists(SITES, unique=True)}),
                "start_before": st.integers(1, MOST_DURATION_S),
                "defer": st.integers(1, MOST_DURATION_S),
            },
        ),
    },
)


@given(RIGHT)
@settings(max_examples=300, deadline=None)
def test_an_accepted_job_is_within_bounds_and_can_be_written_down_again(document: dict[str, object]) -> None:
    spec = check_spec(document, KNOWN)
    assert_bounds(spec)
    assert check_spec(unparse(spec), KNOWN) == spec


def assert_bounds(spec: JobSpec) -> None:
    assert {field.name for field in fields(spec)} >= {"name", "run"}
    assert 1 <= len(spec.name) <= 63
    assert spec.run.strip()
    assert len(spec.run.encode()) <= 120 * 1024
    assert 1 <= spec.num_nodes <= 10_000
    assert spec.resources.asks
    assert all(1 <= ask.cards_per_node <= 1024 for ask in spec.resources.asks)
    assert all(ask.accelerator in ACCELERATORS for ask in spec.resources.asks)
    assert len({ask.accelerator for ask in spec.resources.asks}) == len(spec.resources.asks)
    assert 0 <= spec.resources.cpus <= 1024
    assert 0 <= spec.resources.memory_bytes <= 10**14
    assert 0 <= spec.max_duration_s <= MOST_DURATION_S
    assert spec.type is JobType.SERVICE or spec.max_duration_s
    assert all(type(value) is str and "\0" not in value for pair in spec.envs for value in pair)
    assert -1000 <= spec.priority <= 1000
    assert not spec.deployment

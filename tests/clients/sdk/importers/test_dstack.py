"""A task or service of dstack becomes a job that checks, with a word on each key, or is refused by line."""

import textwrap

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clients.sdk.importers.catalogue import CARDS, checked

from hutong.clients.sdk.importers.draft import Imported
from hutong.clients.sdk.importers.dstack import import_dstack
from hutong.clients.sdk.importers.dstack_gpu import BadAsk, Gpu, Least, read_count, read_gpu, read_size
from hutong.clients.sdk.importers.dstack_left_out import LEFT_OUT
from hutong.clients.sdk.jobfile import locate
from hutong.clients.sdk.yaml_text import write_job
from hutong.clients.sdk.yaml_tree import JobFileError
from hutong.core.kernel.errors import Refused
from hutong.core.work.spec import Ask, JobSpec, JobType, Retry


def made(text: str, *accelerators: str, folder: str = ".") -> Imported:
    data = textwrap.dedent(text).encode()
    return import_dstack(data, "train.dstack.yml", catalogue=CARDS, accelerators=accelerators, folder=folder)


def task(more: str) -> Imported:
    return made(f"type: task\ncommands: [python train.py]\n{textwrap.dedent(more)}")


def refused(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(JobFileError) as caught:
        made(text)
    return [(each.line, each.path, each.message) for each in caught.value.file_problems]


def notes(found: Imported) -> dict[str, tuple[str, str]]:
    return {each.source: (each.kind.value, each.message) for each in found.notes}


TRAIN = """\
type: task
name: sft-qwen
nodes: 2
image: nvcr.io/nvidia/pytorch:25.03-py3
working_dir: code
files:
  - .
env:
  - HF_TOKEN
  - EPOCHS=3
  - WANDB_API_KEY=${{ secrets.wandb }}
commands:
  - pip install -r requirements.txt
  - >-
    torchrun --nnodes $DSTACK_NODES_NUM --node-rank $DSTACK_NODE_RANK
    --nproc-per-node $DSTACK_GPUS_PER_NODE --master-addr $DSTACK_MASTER_NODE_IP sft.py
ports: [6006, "8001:8000"]
resources:
  gpu: nvidia:H100,A100:80GB:8
  cpu: 32..
  memory: 256GB..512GB
  shm_size: 64GB
  disk: 1TB..
max_duration: 6h
stop_duration: 2m
retry:
  on_events: [no-capacity, interruption, error]
  duration: 4h
priority: 50
spot_policy: auto
max_price: 40
"""


def test_a_task_on_two_nodes() -> None:
    found = made(TRAIN)
    spec = checked(found)
    assert (spec.name, spec.type, spec.num_nodes) == ("sft-qwen", JobType.TASK, 2)
    assert spec.resources.asks == (Ask("H100", 8), Ask("A100", 8))
    assert (spec.resources.cpus, spec.resources.memory_bytes) == (32, 256 * 2**30)
    assert (dict(spec.envs), spec.secrets) == ({"EPOCHS": "3"}, ("HF_TOKEN", "WANDB_API_KEY"))
    assert (spec.ports, spec.network, spec.priority) == ((6006, 8000), True, 50)
    assert (spec.max_duration_s, spec.grace_s, spec.retry) == (21_600, 120, Retry(3))
    assert found.job.document["workdir"] == "."
    assert spec.run.splitlines()[:4] == [
        "export DSTACK_NODES_NUM=$HUTONG_NUM_NODES",
        "export DSTACK_NODE_RANK=$HUTONG_NODE_RANK",
        "export DSTACK_GPUS_PER_NODE=$HUTONG_NUM_GPUS_PER_NODE",
        "export DSTACK_MASTER_NODE_IP=$MASTER_ADDR",
    ]
    assert "set -e\ncd code\npip install -r requirements.txt\ntorchrun " in spec.run
    told = notes(found)
    for source in ("image", "spot_policy", "max_price", "resources.disk"):
        assert told[source][0] == "left_out", source
    assert told["resources.memory"][0] == "changed", "there is no upper end"
    assert "hutong secret set HF_TOKEN" in told["env HF_TOKEN"][1]
    assert [each.line for each in found.notes] == sorted(each.line for each in found.notes)


def test_a_service() -> None:
    found = made("""\
        type: service
        name: chat
        port: 8000
        model: Qwen/Qwen3-8B
        commands: [vllm serve Qwen/Qwen3-8B]
        resources: {gpu: 24GB..}
        replicas: 1..4
        scaling: {metric: rps, target: 10}
        """)
    spec = checked(found)
    assert (spec.type, spec.max_duration_s) == (JobType.SERVICE, 0)
    told = notes(found)
    assert "$HUTONG_HOST:$HUTONG_PORT" in told["port"][1]
    assert told["replicas"][0] == "changed"
    assert told["model"][0] == told["scaling"][0] == "left_out"


def test_the_least_task_has_what_dstack_gives_it() -> None:
    found = made("type: task\ncommands:\n  - python x.py\n")
    assert found.job.document == {
        "name": "train",
        "type": "task",
        "resources": {"cpus": "2+", "memory": "8GiB"},
        "run": "python x.py\n",
    }
    assert notes(found)["no max_duration"][0] == "changed"
    checked(found)


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        ("1", {"H100": 1, "A100": 1, "H20": 1}),
        ("24GB", {"H100": 1, "A100": 1, "H20": 1}),
        ("90GB..:2", "H20:2"),
        ("'80GB:8'", {"H100": 8, "A100": 8, "H20": 8}),
        ("H100", "H100:1"),
        ("H100:2", "H100:2"),
        ("A100:40GB:2", "A100:2"),
        ("H100:1..8", "H100:1"),
        ("'nvidia:H100,A100:4'", {"H100": 4, "A100": 4}),
        ("amd:MI300X:8", "MI300X:8"),
        ("amd", "MI300X:1"),
        ("huawei:Ascend910B:8", "Ascend910B:8"),
        ("huawei:8", "Ascend910B:8"),
        ("cambricon:40GB..:2", "MLU370:2"),
        ("{name: H100, count: 2}", "H100:2"),
        ("{name: [H100, A100], memory: 24GB.., count: 2..4}", {"H100": 2, "A100": 2}),
        ("{memory: {min: 90GB}, count: {min: 2, max: 4}}", "H20:2"),
        ("{vendor: huawei, count: 8}", "Ascend910B:8"),
        ("{name: A100, compute_capability: 8.0, total_memory: 160GB..}", "A100:1"),
    ],
)
def test_cards_in_every_form(gpu: str, expected: object) -> None:
    found = task(f"resources: {{gpu: {gpu}}}")
    resources = found.job.document["resources"]
    assert isinstance(resources, dict)
    assert resources["accelerators"] == expected
    checked(found)


def test_cards_that_may_be_none_are_not_asked_for() -> None:
    found = task("resources: {gpu: 0..2}")
    assert "accelerators" not in str(found.job.document)
    assert notes(found)["resources.gpu"][0] == "left_out"


def test_the_user_may_name_other_cards() -> None:
    found = made("type: task\ncommands: [x]\nresources: {gpu: X9000:2}\n", "910B")
    assert checked(found).resources.asks == (Ask("Ascend910B", 2),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24GB", Gpu(memory=Least(24 * 1024, exact=True, capped=True))),
        ("A100:2", Gpu(names=("A100",), count=Least(2, exact=True, capped=True))),
        ("nvidia", Gpu(vendor="NVIDIA")),
        (2, Gpu(count=Least(2, exact=True, capped=True))),
        ("40GB..80GB", Gpu(memory=Least(40 * 1024, capped=True))),
    ],
)
def test_the_shorthand_of_cards(text: object, expected: Gpu) -> None:
    assert read_gpu(text) == expected


@pytest.mark.parametrize(
    "text", ["H100:A100", "24GB:40GB", "1:2", "nvidia:amd", "H100::2", "", "4GX", True, []]
)
def test_what_is_no_card(text: object) -> None:
    with pytest.raises(BadAsk):
        read_gpu(text)


def test_ranges() -> None:
    assert read_count("4..", "cpu") == Least(4)
    assert read_count("..8", "cpu") == Least(0, capped=True)
    assert read_size("1TB", "memory") == Least(1024**2, exact=True, capped=True)
    assert read_size(16, "memory") == Least(16 * 1024, exact=True, capped=True)
    assert read_size("0.5GB..", "memory") == Least(512)
    for bad in ("..", "8..4", "x", None, [], {}, True, "1..2..3"):
        with pytest.raises(BadAsk):
            read_count(bad, "cpu")


@pytest.mark.parametrize(
    ("more", "key", "value"),
    [
        ("max_duration: off", "max_duration", "30d"),
        ("max_duration: 60d", "max_duration", "30d"),
        ("max_duration: 3600", "max_duration", "3600s"),
        ("stop_duration: off", "grace", "1h"),
        ("env: {VERSION: 1.10, A: yes}", "envs", {"VERSION": "1.10", "A": "yes"}),
        ("env: {TOKEN: }", "secrets", ["TOKEN"]),
        ("files: [train.py, data]", "workdir", "."),
        ("files: [src/]", "workdir", "src"),
        ("files: ['.:/app']", "workdir", "."),
        ("files: [{local_path: a.py, path: /app/a.py}]", "workdir", "."),
        ("repos: [..]", "workdir", ".."),
        ("ports: ['*:8000', 80, 8000]", "ports", [8000, 80]),
        ("nodes: 3", "num_nodes", 3),
    ],
)
def test_keys_that_keys_become(more: str, key: str, value: object) -> None:
    found = task(more)
    assert found.job.document[key] == value
    checked(found)


def test_a_service_without_an_end_stays_without() -> None:
    found = made("type: service\nport: 80\ncommands: [x]\nmax_duration: off\n")
    assert "max_duration" not in found.job.document
    checked(found)


@pytest.mark.parametrize(
    ("repo", "setup", "run"),
    [
        (
            "https://example.org/a/b.git",
            "git clone -- https://example.org/a/b.git repository",
            "cd repository",
        ),
        ("git@example.org:a/b.git", "git clone -- git@example.org:a/b.git repository", "cd repository"),
        ("https://example.org/a/b:lib", "git clone -- https://example.org/a/b lib", ""),
        (
            "{url: https://example.org/x, branch: dev, hash: abc123, path: lib}",
            "git clone --branch dev -- https://example.org/x lib\ngit -C lib checkout abc123",
            "",
        ),
    ],
)
def test_a_repository_is_cloned(repo: str, setup: str, run: str) -> None:
    found = task(f"repos: [{repo}]")
    assert found.job.document["setup"] == f"set -e\n{setup}\n"
    assert found.job.document["network"] is True
    assert found.job.document["run"] == f"set -e\n{run}\npython train.py\n" if run else "python train.py\n"
    checked(found)


@pytest.mark.parametrize(
    ("text", "line", "path", "says"),
    [
        ("commands: [x]\n", 1, "/type", "no type"),
        ("type: dev-environment\nide: vscode\ncommands: [x]\n", 1, "/type", "no task"),
        ("type: [task]\ncommands: [x]\n", 1, "/type", "no task"),
        ("type: task\nimage: x\n", 1, "/commands", "is missing"),
        ("type: task\ncommands: x\n", 2, "/commands", "no list"),
        ("type: task\ncommands: [{a: b}]\n", 2, "/commands", "no list"),
        ("type: task\ncommands: [x]\nresources:\n  gpu: H100:x9\n", 4, "/resources/gpu", "twice"),
        ("type: task\ncommands: [x]\nresources:\n  gpus: 1\n", 4, "/resources/gpus", "there is no"),
        ("type: task\ncommands: [x]\nresources:\n  gpu: {size: 1}\n", 4, "/resources/gpu", "there is no"),
        ("type: task\ncommands: [x]\nresources:\n  gpu: 200GB\n", 4, "/resources/gpu", "no center"),
        ("type: task\ncommands: [x]\nresources: 5\n", 3, "/resources", "no mapping"),
        ("type: task\ncommands: [x]\nresources: {cpu: many}\n", 3, "/resources/cpu", "no whole number"),
        ("type: task\ncommands: [x]\nresources: {memory: many}\n", 3, "/resources/memory", "no size"),
        ("type: task\ncommands: [x]\nmax_duration: long\n", 3, "/max_duration", "no duration"),
        ("type: task\ncommands: [x]\nstop_duration: [1]\n", 3, "/stop_duration", "no duration"),
        ("type: task\ncommands: [x]\nretry: maybe\n", 3, "/retry", "no policy"),
        ("type: task\ncommands: [x]\nnosuch: 1\n", 3, "/nosuch", "no key"),
        ("type: task\ncommands: [x]\nports: [web]\n", 3, "/ports/0", "no port"),
        ("type: task\ncommands: [x]\nenv: A=1\n", 3, "/env", "no list"),
        ("type: task\ncommands: [x]\nenv: [1A=2]\n", 3, "/env/0", "NAME=VALUE"),
        ("type: task\ncommands: [x]\nenv:\n  A: ${{ run.x }}\n", 4, "/env/A", "filled in by dstack"),
        ("type: task\ncommands: [x]\nfiles: .\n", 3, "/files", "no list"),
        ("type: task\ncommands: [x]\nfiles: [5]\n", 3, "/files/0", "names no file"),
        ("type: task\ncommands: [x]\nrepos: [{branch: x}]\n", 3, "/repos/0", "names no repository"),
        ("type: task\ncommands: [x]\nrepos: [a, b]\n", 3, "/repos", "one repository"),
        ("type: service\ncommands: [x]\n", 1, "/port", "port"),
        ("type: service\nport: 80\ncommands: [x]\nreplicas: [{count: 1}]\n", 4, "/replicas", "groups"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_by_line(text: str, line: int, path: str, says: str) -> None:
    (only,) = refused(text)
    assert only[:2] == (line, path)
    assert says in only[2]


def test_what_the_check_refuses_has_the_line_of_the_dstack_file() -> None:
    found = made("type: task\nnodes: many\ncommands: [x]\nenv:\n  MASTER_ADDR: x\nresources: {gpu: X9000}\n")
    with pytest.raises(Refused) as caught:
        checked(found)
    assert [(each.line, each.path) for each in locate(caught.value.problems, found.job.positions)] == [
        (2, "/num_nodes"),
        (5, "/envs/MASTER_ADDR"),
        (6, "/resources/accelerators"),
    ]


def test_no_note_repeats_a_value_that_may_be_secret() -> None:
    text = "type: task\ncommands: [x]\nenv: [TOKEN=canary]\nregistry_auth: {username: u, password: canary}\n"
    assert not [each for each in made(text).notes if "canary" in each.source + each.message]
    for bad in ("env: [1A=canary]", "env: {A: '${{ canary }}'}", "env: canary"):
        assert "canary" not in str(refused(f"type: task\ncommands: [x]\n{bad}\n"))


def test_every_key_of_dstack_has_an_answer() -> None:
    keys = """type name image user privileged entrypoint working_dir home_dir registry_auth python nvcc
        single_branch env shell resources priority volumes docker repos files setup ports commands nodes port
        gateway strip_prefix model https auth scaling rate_limits probes replicas backends regions
        availability_zones instance_types reservation spot_policy retry max_duration stop_duration max_price
        creation_policy idle_duration utilization_policy startup_order stop_criteria schedule fleets tags"""
    for key in keys.split():
        text = f"type: service\ncommands: [x]\nport: 80\n{key}: null\n"
        document = text if key not in {"type", "commands", "port"} else text.rsplit(f"{key}: null", 1)[0]
        made(document)
        if key in LEFT_OUT:
            assert notes(made(document.replace(": null", ": x")))[key][0] == "left_out"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 100_000)
    | st.floats(-5, 5)
    | st.sampled_from(["H100:8", "24GB", "8..4", "2h", "off", "a", "", "../x", "A=1", "https://x/y", "80:90"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["name", "nodes", "env", "commands", "ports", "port", "max_duration", "stop_duration", "retry", "files",
     "repos", "working_dir", "priority", "replicas", "shell", "image", "resources", "type"]
)  # fmt: skip
RESOURCES = st.dictionaries(st.sampled_from(["gpu", "cpu", "memory", "disk", "shm_size"]), VALUES, max_size=4)


@given(st.dictionaries(KEYS, VALUES, max_size=6), RESOURCES)
@settings(max_examples=400, deadline=None)
def test_a_file_becomes_a_job_that_checks_or_is_refused_by_line(
    more: dict[str, object], resources: dict[str, object]
) -> None:
    document = {"type": "task", "commands": ["echo hi"], "resources": resources, **more}
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    lines = range(len(text.splitlines()) + 2)  # YAML breaks lines at more than "\n"
    answer = verdict(text)
    if isinstance(answer, JobFileError):
        assert all(each.line in lines and each.message for each in answer.file_problems)
    elif isinstance(answer, Refused):
        assert answer.problems
        assert all(each.path for each in answer.problems)
    else:
        assert answer.run.strip()


def verdict(text: str) -> JobSpec | Refused:
    try:
        return checked(import_dstack(text.encode(), "x.dstack.yml", catalogue=CARDS))
    except Refused as error:
        return error


def test_what_is_written_is_read_again() -> None:
    found = made(TRAIN)
    assert write_job(found.job.document).startswith("name: sft-qwen\ntype: task\nnum_nodes: 2\nresources:\n")

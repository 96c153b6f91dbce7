"""Job files: what is read, how each bad file is refused with its line, and what SkyPilot's files become."""

import os
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.clients.sdk.jobfile import (
    FileProblem,
    JobFileError,
    LoadedJob,
    Position,
    load_job,
    locate,
    override,
    parse_job,
)
from hutong.core.capacity.accelerators import ACCELERATORS, find_accelerator
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.work import check_words
from hutong.core.work.check import Catalogue, check_spec
from hutong.core.work.spec import JobSpec


def _resolve(name: str) -> str | None:
    card = find_accelerator(name)
    return card.model if card else None


KNOWN = Catalogue(_resolve, tuple(ACCELERATORS))


def parse(text: str) -> LoadedJob:
    return parse_job(textwrap.dedent(text).encode())


def refusal(data: bytes | str) -> FileProblem:
    with pytest.raises(JobFileError) as caught:
        parse_job(data.encode() if isinstance(data, str) else data)
    assert caught.value.code == "bad_job_file"
    (only,) = caught.value.file_problems
    assert only.message in caught.value.message
    assert "\n" not in caught.value.message, "one line"
    assert len(caught.value.message) < 400
    return only


def verdict(text: str) -> JobSpec | list[tuple[int, str]]:
    """Return the spec of a file, or (line, pointer) of every problem in it."""
    try:
        job = parse(text)
    except JobFileError as error:
        return [(each.line, each.path) for each in error.file_problems]
    try:
        return check_spec(job.document, KNOWN)
    except Refused as refused:
        return [(each.line, each.path) for each in locate(refused.problems, job.positions)]


def test_a_job_file_is_a_document_with_the_line_of_each_part() -> None:
    job = parse("""\
        # a comment
        name: train
        resources:
          accelerators: {H100:8, A100: 8}
        ports:
          - 6006
          - 8080
        run: |
          echo "a: b"
        """)
    assert job.document == {
        "name": "train",
        "resources": {"accelerators": {"H100:8": None, "A100": 8}},
        "ports": [6006, 8080],
        "run": 'echo "a: b"\n',
    }
    assert job.name == "train"
    assert job.positions["/name"] == Position(2, 1)
    assert job.positions["/resources/accelerators/A100"] == Position(4, 26)
    assert job.positions["/ports/1"] == Position(7, 5)


def test_variables_keep_the_text_they_were_written_as() -> None:
    job = parse(
        "envs: {VERSION: 1.10, ZIP: 010, FLAG: yes, DAY: 2026-11-22, T: 12:30, BIG: .inf, NO: }\nrun: x\n"
    )
    assert job.document["envs"] == {
        "VERSION": "1.10",
        "ZIP": "010",
        "FLAG": "yes",
        "DAY": "2026-11-22",
        "T": "12:30",
        "BIG": ".inf",
        "NO": None,
    }


def test_plain_values_elsewhere() -> None:
    job = parse(
        "a: [yes, Off, 'yes', 0x10, 1_000, -3, 1.5, ~, 2026-11-22, 12:30, !!str 5, !!float 1, yEs]\non: 1\n"
    )
    expected = [True, False, "yes", 16, 1000, -3, 1.5, None, "2026-11-22", "12:30", "5", 1.0, "yEs"]
    assert job.document == {"a": expected, "on": 1}


def test_anchors_and_merges_are_written_out() -> None:
    job = parse("""\
        envs: &base {A: "1", B: "2"}
        resources:
          <<: [*base, {C: "9"}]
          B: "3"
        run: x
        """)
    assert job.document["resources"] == {"A": "1", "B": "3", "C": "9"}
    assert job.positions["/resources/A"].line == 3
    assert job.positions["/resources/B"].line == 4


def bomb() -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(rows)


BAD_FILES: list[tuple[bytes | str, int, str]] = [
    ("", 1, "is empty"),
    ("# only\n# comments\n", 1, "is empty"),
    ("---\n", 1, "is empty"),
    ("- run: x\n", 1, "this is a list"),
    ("\n\nhello\n", 3, "a single value"),
    ("run: x\n" * 1_500_000, 0, "larger than 1 MiB"),
    (b"\x7fELF\x02\x01\x01" + bytes(100), 1, "control character U+007F"),
    (b"run: x\nname: \x00\n", 2, "control character U+0000"),
    (b"run: x\nname: \xe9t\xe9\n", 2, "not UTF-8"),
    ("run: x\n".encode("utf-16"), 1, "not UTF-8"),
    (bomb(), 5, "with its aliases written out"),
    ("a: &a " + "x" * 500_000 + "\nb: [" + "*a, " * 10 + "]\n", 2, "with its aliases written out"),
    ("a: &a [" + "x" * 500_000 + "]\nb: [" + "*a, " * 10 + "]\n", 2, "with its aliases written out"),
    ("a: &a [*a]\n", 1, "inside &a itself"),
    ("a: &a {b: 1, <<: *a}\n", 1, "inside &a itself"),
    ("run: *x\n", 1, "there is no &x"),
    ("a: [" * 60 + "x\n", 1, "nested more than 50"),
    ("[" * 900_000, 1, "nested more than 50"),
    ("{" * 900_000, 1, "a key must be text"),
    ("- " * 400_000, 1, "nested more than 50"),
    ("? " * 400_000, 1, "a key must be text"),
    ("a: &a [[[[[[[[[[x]]]]]]]]]]\n" + "b: " + "[" * 45 + "*a" + "]" * 45, 2, "nested more than 50"),
    ("a: [" + "x," * 60_000 + "]\n", 1, "more than 50000 values"),
    ("run: x\nname: a\nrun: y\n", 3, "'run' is there twice, first in line 1"),
    ("envs:\n  A: 1\n  B: 2\n  A: 1\n", 4, "'A' is there twice, first in line 2"),
    ("a: {<<: {b: 1}, <<: {c: 1}}\n", 1, "'<<' is there twice"),
    ("a: {<<: 5}\n", 1, "merges mappings"),
    ("name: a\nrun: x\n---\nrun: y\n", 3, "a second document"),
    ("run: x\n...\nmore: y\n", 3, "follows the end"),
    ("run: x\nsetup:\n\t- y\n", 3, "a tab"),
    ("run: x\n  name: y\n", 2, "a colon stands"),
    ("run: echo a: b\n", 1, "a colon stands"),
    ("run: x\nname: 'y\nports: 1\n", 2, "never closed"),
    ("run: x\nports: [1, 2\nname: y\n", 2, "never closed"),
    ("run: x\nresources: {cpus: 4\n", 2, "never closed"),
    ("run: @x\n", 1, "no value may begin with '@'"),
    ("run: %x\n", 1, "no value may begin with '%'"),
    ('run: "\\q"\n', 1, "backslash"),
    ("name: {{ name }}\n", 1, "a key must be text"),
    ("num_nodes: 010\n", 1, "010 means different numbers"),
    ("priority: .nan\n", 1, "no number that can be used"),
    ("run: x\nname: !!python/object/apply:os.system [id]\n", 2, "is not allowed"),
    ("name: !!binary aGk=\n", 1, "is not allowed"),
    ("name: !Ref x\n", 1, "is not allowed"),
    ("num_nodes: !!int x\n", 1, "is tagged int but is none"),
    ("a: !e!x y\n", 1, "a ! begins a tag"),
    ("%YAML 9.9\n---\nrun: x\n", 1, "a version that cannot be read"),
    ("run: x\n- y\n", 2, "does not fit the lines above"),
    ("run: |\n    a\n  b\n", 3, "does not fit the lines above"),
    ("a: b: c", 1, "a colon stands"),
    ("a: ]\n", 1, "where a value belongs"),
]


@pytest.mark.parametrize(("data", "line", "says"), BAD_FILES, ids=[row[2][:30] for row in BAD_FILES])
def test_each_bad_file_gives_one_clear_message_with_its_line(data: bytes | str, line: int, says: str) -> None:
    found = refusal(data)
    assert says in found.message
    assert found.line == line
    assert found.hint


@given(
    st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*<'\"|>!%@# \n\t?,0.~", max_size=80).map(str.encode)
)
@settings(max_examples=500, deadline=None)
def test_nothing_but_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    answer: LoadedJob | JobFileError
    try:
        answer = parse_job(data)
    except JobFileError as error:
        answer = error
    if isinstance(answer, LoadedJob):
        assert isinstance(answer.document, dict)
        assert answer.name
        return
    assert answer.file_problems[0].line >= 1
    assert answer.message.encode()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, says in [(tmp_path / "none.yaml", "no such file"), (tmp_path, "is a folder")]:
        with pytest.raises(JobFileError, match=says) as caught:
            load_job(path)
        assert path.name in caught.value.message
    with pytest.raises(JobFileError, match="no path"):
        load_job(Path("a\0b"))
    with pytest.raises(JobFileError, match="larger than 1 MiB"):
        load_job(Path("/dev/zero"))


def test_a_job_is_called_after_its_file_unless_it_has_a_name(tmp_path: Path) -> None:
    path = tmp_path / "my 训练 job.v2.yaml"
    path.write_text("run: x\n", "utf-8")
    assert load_job(path).name == "my-job-v2"
    path.write_text("\ufeffrun: x\r\nname: other\r\n", "utf-8")
    assert load_job(path).name == "other"


def test_problems_stand_at_their_line_in_the_order_of_the_file() -> None:
    job = parse("name: x\nresources:\n  cpus: 0\n  acelerators: H100\nenvs: {A: }\n")
    with pytest.raises(Refused) as caught:
        check_spec(job.document, KNOWN)
    found = locate(caught.value.problems, job.positions)
    assert [(each.line, each.column, each.path) for each in found] == [
        (1, 1, "/run"),
        (3, 3, "/resources/cpus"),
        (4, 3, "/resources/acelerators"),
        (5, 8, "/envs/A"),
    ]
    assert "did you mean accelerators?" in found[2].hint


def test_a_problem_of_no_place_in_the_file_stands_at_its_parent() -> None:
    positions = {"": Position(1, 1), "/a": Position(4, 2)}
    (found,) = locate([Problem("/a/b/c", "m", "h")], positions)
    assert found == FileProblem(4, 2, "/a/b/c", "m", "h")
    assert locate([Problem("", "m")], {})[0].line == 0


def test_the_command_line_wins_over_the_file() -> None:
    document: dict[str, object] = {
        "run": "x",
        "nodes": 1,
        "envs": {"A": None, "B": "2"},
        "resources": {"any_of": [], "cpus": 4},
    }
    changed = override(
        document,
        envs=["A=1=2", "C", "D="],
        environ={"C": "from here"},
        name="other",
        num_nodes=3,
        accelerators="H100:8",
    )
    assert changed == {
        "run": "x",
        "name": "other",
        "num_nodes": 3,
        "envs": {"A": "1=2", "B": "2", "C": "from here", "D": ""},
        "resources": {"cpus": 4, "accelerators": "H100:8"},
    }
    assert document["envs"] == {"A": None, "B": "2"}, "the file's own document stays as it is"


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("=canary", "no name"),
        ("1A=canary", "no name"),
        ("NOT_SET", "not set here"),
        ("TOKEN=canary", "a secret"),
    ],
)
def test_a_bad_option_is_refused_without_its_value(option: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        override({"run": "x", "secrets": ["TOKEN"]}, envs=[option])
    assert caught.value.code == "bad_option"
    assert "canary" not in caught.value.message


# Files as users of SkyPilot write them: they run as they are, or the field that keeps them from it is named.
SKYPILOT: list[tuple[str, str, list[tuple[int, str]]]] = [
    ("hello", "run: |\n  echo hello\n", []),
    (
        "one card",
        "name: bert\nresources:\n  accelerators: A100:1\nsetup: pip list\nrun: |\n  python train.py\n",
        [],
    ),
    (
        "two nodes with torchrun",
        """\
        name: ddp
        num_nodes: 2
        resources:
          accelerators: H100:8
          cpus: 32+
          memory: 256+
          use_spot: false
        envs:
          EPOCHS: 3
          LR: 1e-4
        run: |
          HEAD=$(echo "$SKYPILOT_NODE_IPS" | head -n1)
          torchrun --nnodes=$SKYPILOT_NUM_NODES --nproc_per_node=$SKYPILOT_NUM_GPUS_PER_NODE \\
            --node_rank=$SKYPILOT_NODE_RANK --master_addr=$HEAD --master_port=12375 train.py
        """,
        [],
    ),
    ("any of a set", "resources:\n  accelerators: {A100:8, H100:8}\nrun: nvidia-smi\n", []),
    ("in order", "resources:\n  accelerators: [H100:8, A100-80GB:8]\nrun: nvidia-smi\n", []),
    (
        "any_of over accelerators",
        "resources:\n  any_of:\n    - accelerators: A100:8\n    - accelerators: H100:8\nrun: x\n",
        [],
    ),
    ("cores only", "resources:\n  cpus: 4+\n  memory: 8+\nrun: make -j4\n", []),
    ("secrets by name", "secrets:\n  HF_TOKEN:\nrun: hf auth login --token $HF_TOKEN\n", []),
    (
        "recovery",
        """\
        resources:
          accelerators: H100
          ports: 8888
          priority: 100
          job_recovery:
            strategy: EAGER_NEXT_REGION
            max_restarts_on_errors: 3
            recover_on_exit_codes: [33]
        run: python train.py
        """,
        [],
    ),
    (
        "a cloud and its region",
        "resources:\n  cloud: gcp\n  region: us-central1\n  accelerators: A100:8\nrun: x\n",
        [(2, "/resources/cloud"), (3, "/resources/region")],
    ),
    ("infra", "resources:\n  infra: k8s/my-context\nrun: x\n", [(2, "/resources/infra")]),
    ("spot", "resources:\n  accelerators: H100:8\n  use_spot: true\nrun: x\n", []),
    (
        "bucket mounts",
        "file_mounts:\n  /data:\n    source: s3://bucket\n    mode: MOUNT\nrun: ls /data\n",
        [(1, "/file_mounts")],
    ),
    ("a container", "resources:\n  image_id: docker:ubuntu:22.04\nrun: x\n", [(2, "/resources/image_id")]),
    (
        "SkyServe",
        "service:\n  readiness_probe: /v1/models\n  replicas: 2\nresources:\n  ports: 8080\nrun: vllm\n",
        [(1, "/service")],
    ),
    (
        "a variable to be given",
        "envs:\n  MODEL:\n  SIZE: 7b\nrun: echo $MODEL\n",
        [(2, "/envs/MODEL")],
    ),
    ("a secret in clear", "secrets:\n  HF_TOKEN: hf_abc\nrun: x\n", [(2, "/secrets/HF_TOKEN")]),
    ("a TPU", "resources:\n  accelerators: tpu-v5p-8\nrun: x\n", [(2, "/resources/accelerators")]),
    (
        "disks and tiers",
        "resources:\n  accelerators: A100\n  disk_size: 512\n  network_tier: best\nrun: x\n",
        [(3, "/resources/disk_size"), (4, "/resources/network_tier")],
    ),
    (
        "a git workdir",
        "workdir:\n  url: https://example.org/x.git\nrun: x\n",
        [(1, "/workdir/digest"), (2, "/workdir/url")],
    ),
    ("engine options", "config:\n  kubernetes:\n    pod_config: {spec: {}}\nrun: x\n", [(1, "/config")]),
    ("set-up only", "setup: pip list\n", [(1, "/run")]),
    (
        "one card, anywhere of several places",
        """\
        resources:
          accelerators: H100:8
          any_of:
            - infra: aws/us-west-2
            - infra: gcp
              use_spot: true
        run: x
        """,
        [
            (4, "/resources/any_of/0/infra"),
            (5, "/resources/any_of/1/infra"),
            (6, "/resources/any_of/1/use_spot"),
        ],
    ),
    (
        "the same card with and without spot",
        "resources:\n  accelerators: H100:8\n  ordered:\n    - use_spot: false\n    - {}\nrun: x\n",
        [],
    ),
    ("exact cores and units", "resources:\n  cpus: 16\n  memory: 64GB+\nrun: x\n", []),
    ("no recovery", "resources:\n  job_recovery: none\nrun: x\n", []),
    (
        "fail over",
        "resources:\n  job_recovery:\n    strategy: FAILOVER\nrun: x\n",
        [(3, "/resources/job_recovery/strategy")],
    ),
    (
        "a range of ports",
        "resources:\n  ports:\n    - 8080\n    - 10022-10040\nrun: x\n",
        [(4, "/resources/ports/1")],
    ),
    (
        "stop when idle",
        "resources:\n  autostop:\n    idle_minutes: 10\nrun: x\n",
        [(2, "/resources/autostop")],
    ),
    ("no stop when idle", "resources:\n  autostop: false\n  labels: {}\nrun: x\n", []),
    (
        "sizes of what goes in and out",
        "inputs: {s3://b: 10}\noutputs: {s3://c: 1}\nrun: x\n",
        [(1, "/inputs"), (2, "/outputs")],
    ),
    ("half a card", "resources:\n  accelerators: H100:0.5\nrun: x\n", [(2, "/resources/accelerators")]),
    ("a worker pool", "pool:\n  workers: 3\nrun: x\n", [(1, "/pool")]),
    ("volumes", "volumes:\n  /data: my-volume\nrun: ls\n", [(1, "/volumes")]),
    ("a callback", "event_callback: curl x\nrun: x\n", [(1, "/event_callback")]),
    ("managed secrets", "managed_secrets: [HF_TOKEN]\nrun: x\n", [(1, "/managed_secrets")]),
    ("a list of secrets", "secrets: [HF_TOKEN, WANDB_API_KEY]\nrun: x\n", []),
    (
        "a docker login",
        "envs:\n  SKYPILOT_DOCKER_USERNAME: me\nrun: x\n",
        [(2, "/envs/SKYPILOT_DOCKER_USERNAME")],
    ),
    ("a pipeline", "name: p\n---\nrun: x\n---\nrun: y\n", [(2, "")]),
    (
        "a YAML whose value is left open",
        "name:\nnum_nodes:\nworkdir:\nenvs:\nfile_mounts:\nsetup:\nrun: x\n",
        [],
    ),
]
# Every key that SkyPilot's own schema of a task has, so that none is called unknown.
SKYPILOT_TASK = (
    "name", "workdir", "event_callback", "num_nodes", "resources", "file_mounts", "service", "pool", "setup",
    "run", "envs", "secrets", "managed_secrets", "inputs", "outputs", "file_mounts_mapping", "config",
    "volumes", "volume_mounts", "api_server_access", "_metadata", "experimental",
)  # fmt: skip
SKYPILOT_RESOURCES = (
    "cloud", "region", "zone", "infra", "cpus", "memory", "accelerators", "instance_type", "use_spot",
    "job_recovery", "volumes", "disk_size", "ephemeral_storage", "disk_tier", "network_tier", "local_disk",
    "max_hourly_cost", "ports", "labels", "accelerator_args", "_no_missing_accel_warnings", "image_id",
    "autostop", "priority", "priority_class", "_docker_login_config", "_is_image_managed", "_requires_fuse",
    "_cluster_config_overrides", "any_of", "ordered",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"), [row[1:] for row in SKYPILOT], ids=[row[0] for row in SKYPILOT]
)
def test_a_skypilot_file_runs_or_is_refused_by_field_and_line(
    text: str, expected: list[tuple[int, str]]
) -> None:
    answer = verdict(text)
    assert (answer == expected) if expected else isinstance(answer, JobSpec)


@pytest.mark.parametrize("key", SKYPILOT_TASK)
def test_every_key_of_a_skypilot_task_is_known_or_refused_by_name(key: str) -> None:
    words = check_words.TOP
    assert (key in words.known) != bool(words.refused.get(key))


@pytest.mark.parametrize("key", SKYPILOT_RESOURCES)
def test_every_key_of_skypilot_resources_is_known_or_refused_by_name(key: str) -> None:
    words = check_words.RESOURCES
    assert (key in words.known) != bool(words.refused.get(key))
    named = words.refused.get(key) or f"`{key}`" in GUIDE
    assert named


def test_a_batch_script_is_no_job_file() -> None:
    found = refusal("#!/bin/bash\n#SBATCH -n 1\npython train.py\n")
    assert (found.line, "hutong import sbatch" in found.hint) == (1, True)
    assert parse("#!/usr/bin/env hutong\nrun: x\n").document == {"run": "x"}


def test_a_pipe_is_a_job_file_too(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"run: x\n")
    os.close(writer)
    try:
        assert load_job(Path(f"/dev/fd/{reader}")).document == {"run": "x"}
    finally:
        os.close(reader)


GUIDE = (Path(__file__).parents[3] / "docs" / "user" / "job-file.md").read_text("utf-8")


def test_every_example_of_the_guide_is_right() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert len(examples) >= 5
    for example in examples:
        document = override(parse(example).document, envs=["MODEL=given"])
        if "workdir" in document:
            document["workdir"] = {"digest": "sha256:" + "0" * 64}
        assert isinstance(check_spec(document, KNOWN), JobSpec)


def test_the_guide_names_every_word_of_the_file() -> None:
    for words in (check_words.TOP, check_words.RESOURCES, check_words.PLACEMENT, check_words.RECOVERY):
        for word in words.known:
            assert word == "strategy" or f"`{word}`" in GUIDE, word

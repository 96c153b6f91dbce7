"""A batch script becomes a job that checks, with a word on each line, or is refused by line."""

import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clients.sdk.importers.catalogue import CARDS, check, checked

from hutong.clients.sdk.importers.draft import Imported
from hutong.clients.sdk.importers.sbatch import import_sbatch
from hutong.clients.sdk.jobfile import locate
from hutong.clients.sdk.yaml_tree import JobFileError
from hutong.core.kernel.errors import Refused
from hutong.core.work.spec import Ask, JobSpec, Resources

SCRIPTS = Path(__file__).parent / "scripts"


def read(name: str, *accelerators: str) -> Imported:
    path = SCRIPTS / name
    return import_sbatch(path.read_bytes(), path.name, catalogue=CARDS, accelerators=accelerators)


def made(options: str, body: str = "python train.py", *accelerators: str) -> Imported:
    lines = "".join(f"#SBATCH {line}\n" for line in options.split("\n"))
    data = f"#!/bin/bash\n{lines}{textwrap.dedent(body)}\n".encode()
    return import_sbatch(data, "job.sh", catalogue=CARDS, accelerators=accelerators)


def refused(options: str, body: str = "python train.py") -> list[tuple[int, str]]:
    with pytest.raises(JobFileError) as caught:
        made(options, body)
    assert all(each.hint for each in caught.value.file_problems)
    return [(each.line, each.message) for each in caught.value.file_problems]


def notes(found: Imported, line: int = 0) -> dict[str, tuple[str, str]]:
    """Return (kind, message) by source, of one line or of all."""
    return {each.source: (each.kind.value, each.message) for each in found.notes if line in {0, each.line}}


def test_a_training_script_for_four_nodes() -> None:
    found = read("finetune-4-nodes.sh")
    document = dict(found.job.document)
    run = str(document.pop("run"))
    assert document == {
        "name": "sft-32b",
        "num_nodes": 4,
        "resources": {"accelerators": "nvidia-h100-80gb-hbm3:8", "cpus": 64, "memory": "900GiB"},
        "workdir": ".",
        "max_duration": "60h",
        "grace": "600s",
    }
    spec = checked(found)
    assert spec.resources == Resources((Ask("H100", 8),), cpus=64, memory_bytes=900 * 2**30)
    assert (spec.max_duration_s, spec.grace_s) == (216_000, 600)
    assert run.startswith("set -e\n# What Slurm would have given")
    assert "\nsrun() {" in run
    assert "\nscontrol() {" in run
    assert run.endswith('    sft.py --data "$DATA" --out checkpoints\n')
    assert "#SBATCH" not in run
    told = notes(found)
    assert told["--nodes=4"][0] == "changed"
    assert "starts on every node" in told["--nodes=4"][1]
    assert told["--gres=gpu:nvidia_h100_80gb_hbm3:8"][0] == "same"
    assert "not USR1" in told["--signal=B:USR1@600"][1]
    for source in (
        "-p train",
        "-A nlp-0417",
        "--qos=long",
        "--exclude=gpu[013,027]",
        "--exclusive",
        "module",
    ):
        assert told[source][0] == "left_out", source
    assert "(also line 16)" in told["module"][1]
    assert told["/lustre/nlp/corpus/zh-sft"][0] == "left_out"
    assert [each.line for each in found.notes] == sorted(each.line for each in found.notes)


def test_an_array_stays_one_and_its_jobs_are_told_their_index_by_the_platform() -> None:
    found = read("sweep-array.sh")
    spec = checked(found)
    assert spec.name == "sweep"
    assert (str(spec.array), spec.envs) == ("1-24%6", ())
    assert spec.resources.asks == (Ask("H100", 1), Ask("A100", 1), Ask("H20", 1))
    assert spec.resources.memory_bytes == 4 * 4000 * 2**20
    assert spec.max_duration_s == 90 * 60
    assert spec.network
    told = notes(found)
    assert told["-a 1-24%6"] == ("same", "array: 1-24%6: 24 jobs, 6 at work at once")
    assert told["--gpus=1"][0] == "changed"
    assert told["--requeue"][0] == "same"
    assert told["$SLURM_ARRAY_TASK_ID"][0] == "same"
    assert told["$SLURM_ARRAY_JOB_ID"][0] == "changed"
    assert "SLURM_ARRAY_JOB_ID=" not in spec.run


def test_mpi_over_nodes_ends_the_job_instead_of_starting_as_often_as_there_are_nodes() -> None:
    found = read("mpi-weather.sh")
    spec = checked(found)
    assert (spec.num_nodes, spec.resources.cpus, spec.resources.memory_bytes) == (4, 64, 64 * 3 * 2**30)
    assert spec.priority == -200
    assert "mpirun() { echo" in spec.run
    assert "export SLURM_NTASKS=256" in spec.run
    told = notes(found)
    for source in (
        "--constraint=ib",
        "--dependency=afterok:123456",
        "--licenses=fluent:2",
        "mpirun",
        "module",
    ):
        assert told[source][0] == "left_out", source
    assert told["squeue and its like"][0] == "left_out"


def test_a_script_for_ascend_on_one_node() -> None:
    found = read("ascend-one-node.sh")
    spec = checked(found)
    assert spec.resources == Resources((Ask("Ascend910B", 8),), cpus=96)
    assert dict(spec.envs) == {"MODEL": "Qwen3-8B"}
    assert spec.max_duration_s == 86_400
    assert "# 昇腾环境" in spec.run
    told = notes(found)
    assert "--env WANDB_API_KEY" in told["--export=ALL,MODEL=Qwen3-8B,WANDB_API_KEY"][1]
    assert told["srun"][0] == "changed", "one task on one node: the command in its place"


def test_a_script_for_python_is_handed_to_python() -> None:
    found = read("analysis.py.sbatch")
    spec = checked(found)
    assert spec.name == "stats"
    assert spec.run.rstrip().endswith('exec python3 "$script"')
    assert "\n".join((SCRIPTS / "analysis.py.sbatch").read_text().splitlines()) in spec.run
    assert spec.resources.memory_bytes == 8 * 2**30


def test_several_tasks_a_node_are_not_guessed() -> None:
    found = read("eight-tasks.sh")
    spec = checked(found)
    assert (spec.num_nodes, spec.resources.asks, spec.resources.cpus) == (2, (Ask("A100", 8),), 64)
    assert "srun() { echo" in spec.run
    kind, message = notes(found)["srun"]
    assert kind == "left_out"
    assert "8 tasks" in message
    assert "torchrun" in message


@pytest.mark.parametrize(
    ("options", "nodes", "resources"),
    [
        ("-n 1", 1, {"cpus": 1}),
        ("-n 16", 1, {"cpus": 16}),
        ("-n 16 -c 2", 1, {"cpus": 32}),
        ("-N 2 -n 16", 2, {"cpus": 8}),
        ("-N 3 -n 16", 3, {"cpus": 6}),
        ("-N 4 -n 2", 2, {"cpus": 1}),
        ("-n 16 --ntasks-per-node=4", 4, {"cpus": 4}),
        ("-N 2 --ntasks-per-node=4 -c 3", 2, {"cpus": 12}),
        ("-c 6", 1, {"cpus": 6}),
        ("-N 2-4", 2, {}),
        ("--mincpus=12", 1, {"cpus": 12}),
        ("--gpus-per-node=a100:4", 1, {"accelerators": "a100:4"}),
        ("-N 2 --gpus=a100:8", 2, {"accelerators": "a100:4"}),
        ("-N 2 -n 8 --gpus-per-task=a100:1", 2, {"accelerators": "a100:4", "cpus": 4}),
        ("--gpus-per-socket=a100:2 --sockets-per-node=2", 1, {"accelerators": "a100:4"}),
        ("--gres=gpu:a100:4 --gpus-per-node=4", 1, {"accelerators": "a100:4"}),
        ("--gpus-per-node=4 --gres=gpu:a100:4", 1, {"accelerators": "a100:4"}),
        ("--gres=gpu:a100:4 --cpus-per-gpu=8", 1, {"accelerators": "a100:4", "cpus": 32}),
        ("--gres=gpu:a100:4 --mem-per-gpu=60G", 1, {"accelerators": "a100:4", "memory": "240GiB"}),
        ("--gres=gpu:a100:4 --ntasks-per-gpu=2", 1, {"accelerators": "a100:4"}),
        ("--gres=gpu:0", 1, {}),
        ("--mem=64G --mem-per-cpu=2G -c 8", 1, {"cpus": 8, "memory": "64GiB"}),
        ("--mem-per-cpu=2G -c 8", 1, {"cpus": 8, "memory": "16GiB"}),
        ("--mem=0", 1, {}),
    ],
)
def test_what_each_node_needs(options: str, nodes: int, resources: dict[str, object]) -> None:
    found = made(options)
    assert found.job.document.get("num_nodes", 1) == nodes
    assert found.job.document.get("resources", {}) == resources
    checked(found)


def test_a_card_that_the_script_does_not_name() -> None:
    assert made("--gres=gpu:2").job.document["resources"] == {
        "accelerators": {"H100": 2, "A100": 2, "H20": 2}
    }
    assert made("--gres=npu:8").job.document["resources"] == {"accelerators": "Ascend910B:8"}
    assert made("--gres=mlu:8").job.document["resources"] == {"accelerators": "MLU370:8"}
    assert refused("--gres=dcu:4") == [
        (2, "--gres=dcu:4 does not say which card, and no center has one of Hygon")
    ]


def test_without_a_catalogue_a_card_must_be_named() -> None:
    data = b"#!/bin/bash\n#SBATCH --gres=gpu:2\ntrue\n"
    with pytest.raises(JobFileError, match="does not say which card"):
        import_sbatch(data, "job.sh")
    assert import_sbatch(data, "job.sh", accelerators=["A100"]).job.document["resources"]


def test_the_user_may_name_other_cards() -> None:
    found = made("--gres=gpu:x9000:2", "true", "A100", "910B")
    assert found.job.document["resources"] == {"accelerators": {"A100": 2, "910B": 2}}
    assert "in place of x9000" in notes(found)["--gres=gpu:x9000:2"][1]
    assert made("--gres=gpu:2", "true", "A100").job.document["resources"] == {"accelerators": "A100:2"}


@pytest.mark.parametrize(
    ("options", "line", "says"),
    [
        ("-n 2\n--gres=gpu:a100:2,gpu:h100:2", 3, "two kinds"),
        ("-n 2\n--gres=shard:1", 3, "share"),
        ("-N 2 --gpus=a100:7", 2, "do not divide over 2 nodes"),
        ("--gres=gpu:a100:4\n--gpus-per-node=8", 3, "line 2 for 4"),
        ("--gres=gpu:a100:4\n--gpus-per-node=h100:4", 3, "line 2 for 4"),
        ("--gpus-per-socket=2", 2, "how many sockets"),
        ("--tres-per-task=gres/gpu:1", 2, "not understood"),
        ("-n 2\n--time=abc", 3, "no time"),
        ("-n 2\n--mem=lots", 3, "no size"),
        ("-N x", 2, "no number of nodes"),
        ("-n 0", 2, "no number"),
        ("-a x", 2, "no list of indices"),
        ("--nice=x", 2, "no number"),
        ("--signal=@5", 2, "no signal"),
        ("--export=1A=2", 2, "no name of a variable"),
        ("-n 2\n--nosuch", 3, "no option --nosuch"),
        ("-n 2\nhetjob\n-n 4", 3, "heterogeneous"),
        ("-n 2\npackjob", 3, "heterogeneous"),
        ("--job-name='x", 2, "never closed"),
    ],
)
def test_a_script_that_cannot_be_carried_over_is_refused_by_line(options: str, line: int, says: str) -> None:
    (only,) = refused(options)
    assert only[0] == line
    assert says in only[1]


def test_every_line_that_is_wrong_is_told_at_once() -> None:
    assert [line for line, _ in refused("--time=x\n--mem=y\n-N z\nfoo")] == [2, 3, 4, 5]


def test_a_script_without_a_command_is_refused() -> None:
    assert refused("-n 1", "# nothing\n") == [(3, "the script has no command")]


@pytest.mark.parametrize(
    ("options", "line", "path"),
    [
        ("--job-name=x\n--gres=gpu:x9000:2", 3, "/resources/accelerators"),
        ("-c 2\n-n 3000", 2, "/resources/cpus"),
        ("-n 2\n-N 20000 -n 20000", 3, "/num_nodes"),
        ("--export=NONE\n--export=MASTER_PORT=1", 3, "/envs/MASTER_PORT"),
        ("-n 2\n--mem=900T", 3, "/resources/memory"),
    ],
)
def test_what_the_check_refuses_has_the_line_of_the_script(options: str, line: int, path: str) -> None:
    found = made(options)
    with pytest.raises(Refused) as caught:
        check(found.job.document)
    (only,) = locate(caught.value.problems, found.job.positions)
    assert (only.line, only.path) == (line, path)


@pytest.mark.parametrize(
    ("options", "key", "value", "kind"),
    [
        ("--time=UNLIMITED", "max_duration", "30d", "changed"),
        ("--time=40-0", "max_duration", "30d", "changed"),
        ("--time=1:30:00", "max_duration", "90m", "same"),
        ("--signal=TERM", "grace", "60s", "changed"),
        ("--signal=USR1@7200", "grace", "3600s", "changed"),
        ("--nice", "priority", -100, "changed"),
        ("--nice=-99999", "priority", 1000, "changed"),
        ("--chdir=src", "workdir", "src", "changed"),
        ("-D /home/me/project", "workdir", "/home/me/project", "changed"),
        ("--job-name=a.b-c_1", "name", "a.b-c_1", "same"),
        ("--job-name='训练'", "name", "job", "changed"),
    ],
)
def test_keys_that_options_become(options: str, key: str, value: object, kind: str) -> None:
    found = made(options)
    assert found.job.document[key] == value
    assert notes(found, 2)[next(iter(notes(found, 2)))][0] == kind
    checked(found)


def test_a_job_is_called_after_its_script() -> None:
    assert import_sbatch(b"#!/bin/sh\n#SBATCH -n 1\ntrue\n", "my run.sh").job.document["name"] == "my-run"


def test_the_folder_of_sbatch_is_seen_from_the_job_file() -> None:
    data = b"#!/bin/sh\n#SBATCH -n 1\n#SBATCH --chdir=src\ntrue\n"
    assert import_sbatch(data, "x.sh", folder="../..").job.document["workdir"] == "../../src"


def test_a_limit_that_is_not_said_is_noted() -> None:
    assert "24h" in notes(made("-n 1"))["no --time"][1]
    assert "no --time" not in notes(made("--time=5"))


def test_exports() -> None:
    assert notes(made("--export=NONE"))["--export=NONE"][0] == "same"
    assert notes(made("--export=ALL"))["--export=ALL"][0] == "changed"
    found = made("--export=A=1,B=,C")
    assert found.job.document["envs"] == {"A": "1", "B": ""}
    checked(found)


@pytest.mark.parametrize(
    ("body", "source", "kind", "line"),
    [
        ("module load x", "module", "left_out", 3),
        ("ml load x", "module", "left_out", 3),
        ("true\nconda activate x", "the environment of your home", "left_out", 4),
        (". ~/venv/bin/activate", "the environment of your home", "left_out", 3),
        ("singularity exec x.sif python x", "a container", "left_out", 3),
        ("if true; then sbatch next.sh; fi", "sbatch", "left_out", 3),
        ("cp $HOME/x .", "$HOME", "changed", 3),
        ("scontrol requeue $SLURM_JOB_ID", "scontrol", "left_out", 3),
        ("ls /gpfs/data/x", "/gpfs/data/x", "left_out", 3),
        ("echo $SLURM_CLUSTER_NAME", "$SLURM_CLUSTER_NAME", "left_out", 3),
        ("echo ${SLURM_NTASKS}", "$SLURM_NTASKS", "left_out", 3),
        ("echo ${SLURM_RESTART_COUNT:-0}", "$SLURM_RESTART_COUNT", "same", 3),
        ("mpirun -np 4 ./x", "mpirun", "changed", 3),
        ("A=1 git clone https://example.org/x", "git clone", "changed", 3),
        ("python -m pip install x", "python -m pip install", "changed", 3),
    ],
)
def test_what_a_script_does_is_noticed(body: str, source: str, kind: str, line: int) -> None:
    found = made("-c 1", body)
    (note,) = [each for each in found.notes if each.source == source]
    assert (note.kind.value, note.line) == (kind, line)


def test_what_differs_between_nodes_is_noticed() -> None:
    body = "export MASTER_ADDR=$(hostname)\nID=$RANDOM\n"
    assert {"hostname", "$RANDOM"} <= set(notes(made("-N 2", body)))
    assert not {"hostname", "$RANDOM"} & set(notes(made("-N 1", body)))


@pytest.mark.parametrize(
    "body",
    [
        "# srun is what we used to call; module load x",
        "echo hi  # mpirun, git clone, $SLURM_NTASKS",
        "echo '# no comment' && ls /usr/bin/env /etc/passwd /tmp/x",
        "export SLURM_CPU_BIND=none",
        "./my_srun x; srun-helper; $srun",
        "echo git clone",
    ],
)
def test_what_only_looks_like_it_is_not_noticed(body: str) -> None:
    found = made("-c 1 --time=5", f"true\n{body}")
    assert [each.source for each in found.notes if each.line >= 3] == []
    assert "network" not in found.job.document


def test_sources_are_short_and_move_no_cursor() -> None:
    found = made("--job-name='\x1b[31mred' --comment=" + "x" * 500)
    for note in found.notes:
        assert (note.source + note.message).isprintable()
        assert len(note.source) <= 80


GOOD = (
    "-N 2", "--nodes=1-3", "-n 4", "--ntasks=1", "--ntasks-per-node=2", "-c 4",
    "--gres=gpu:a100:2", "--gres=gpu:2,nvme:1", "--gpus=2", "--gpus-per-node=h100:4",
    "--gpus-per-task=1", "--mem=4G", "--mem-per-cpu=2G", "--mem-per-gpu=8G", "-t 1-0", "--time=90",
    "-p x", "-A y", "--qos=z", "-C \"a&b\"", "-a 0-3", "-d afterok:1", "-o x.%j",
    "--mail-type=END", "--requeue", "--no-requeue", "--signal=B:USR1@60", "--exclusive",
    "-w n[1-3]", "--export=ALL,A=1", "--export=NONE", "-D sub", "--begin=now+1hour",
    "--deadline=12:00", "--nice=3", "--priority=7", "--open-mode=append", "--hint=nomultithread",
    "--comment=\"a 'b' # c\"", "--wckey=k", "-J \"a b\"", "--job-name=x", "--job-name=08",
    "-J yes", "--tmp=4G", "-vH", "-k", "--time UNLIMITED", "# only a comment", "--gres=npu:910b:8",
)  # fmt: skip
BODY = (
    "python train.py", "srun hostname", "srun -n1 python x &", "srun --mpi=pmix ./a.out",
    "srun \"$CMD", "module load cuda", "echo $SLURM_JOB_ID ${SLURM_NTASKS} $SLURM_NODEID",
    "scontrol show hostnames $SLURM_JOB_NODELIST", "  indented \\", "mpirun -np 4 ./x",
    "export A='b", "cat <<EOF", "EOF", "pip install x", "cd /scratch/me/x", "#SBATCH -n 9",
    "\tif true; then", "fi", "echo 昇腾 end", "  ", "trailing   ", "---", "- a: b", "\"quote",
    "{ x: [", "srun -W 0 x", "$(srun hostname)",
    "echo \u3000 \x1b[0m \u2028 \x85 end",
)  # fmt: skip
ODD = (
    "nodes",
    "ntasks",
    "mem",
    "gres",
    "gpus",
    "time",
    "array",
    "export",
    "signal",
    "job-name",
    "nice",
    "nosuch",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=12)
OPTIONS = st.sampled_from(GOOD) | st.builds(lambda name, text: f"--{name}={text}", st.sampled_from(ODD), TEXT)
SCRIPT = st.builds(
    lambda first, options, body, end: (
        "\n".join([first, *(f"#SBATCH {each}" for each in options), *body]) + end
    ),
    st.sampled_from(["#!/bin/bash", "#!/bin/bash -le", "#!/usr/bin/env python3", "#!/bin/sh"]),
    st.lists(OPTIONS, min_size=1, max_size=6),
    st.lists(st.sampled_from(BODY) | TEXT, min_size=1, max_size=8),
    st.sampled_from(["", "\n", "\n\n", " "]),
)


def answer(data: bytes, cards: tuple[str, ...] = ()) -> Imported | JobFileError:
    try:
        return import_sbatch(data, "job.sh", catalogue=CARDS, accelerators=cards)
    except JobFileError as error:
        return error


def verdict(found: Imported) -> JobSpec | Refused:
    try:
        return checked(found)
    except Refused as error:
        return error


@given(SCRIPT, st.sampled_from([(), (), (), ("A100",)]))
@settings(max_examples=400, deadline=None)
def test_every_script_becomes_a_job_that_checks_or_is_refused_by_line(
    text: str, cards: tuple[str, ...]
) -> None:
    lines = range(1, text.count("\n") + 2)
    found = answer(text.encode(), cards)
    if isinstance(found, JobFileError):
        assert found.file_problems
        assert all(each.line in lines and each.message and each.hint for each in found.file_problems)
        return
    assert all(each.line in lines and each.message.isprintable() for each in found.notes)
    spec = verdict(found)
    if isinstance(spec, Refused):
        problems = locate(spec.problems, found.job.positions)
        assert problems
        assert all(each.line in lines and each.path for each in problems)
        return
    program = [line for line in text.split("\n") if not line.startswith("#")]
    assert all(line in spec.run for line in program), "the program is carried over whole"


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_nothing_but_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    found = answer(b"#!/bin/bash\n#SBATCH -n 1\n" + data)
    if isinstance(found, JobFileError):
        assert found.file_problems[0].line >= 1
    else:
        assert checked(found).run.strip()

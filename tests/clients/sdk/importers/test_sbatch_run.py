"""What an imported script does when bash runs it on each node, as a center does."""

import os
import subprocess
import textwrap
from pathlib import Path

import pytest
from tests.clients.sdk.importers.catalogue import CARDS, checked

from hutong.clients.sdk.importers.sbatch import import_sbatch
from hutong.core.kernel.arrays import names_of
from hutong.core.kernel.ids import JobId

TORCHRUN = '#!/bin/bash\necho "torchrun $* procid=$SLURM_PROCID ntasks=$SLURM_NTASKS"\n'


def run(folder: Path, script: str, *, rank: int = 0, attempt: int = 1) -> tuple[int, list[str]]:
    """Import a script and run it as one rank; return its exit code and what it wrote."""
    data = textwrap.dedent(script).encode()
    spec = checked(import_sbatch(data, "job.sh", catalogue=CARDS))
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "torchrun").write_text(TORCHRUN)
    (tools / "torchrun").chmod(0o755)
    env = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(folder),
        "HUTONG_JOB_ID": "01JABCDEFGHJKMNPQRSTVWXYZ0",
        "HUTONG_ATTEMPT": str(attempt),
        "HUTONG_NODE_RANK": str(rank),
        "HUTONG_NUM_NODES": str(spec.num_nodes),
        "HUTONG_NUM_GPUS_PER_NODE": str(spec.resources.asks[0].cards_per_node),
        "HUTONG_NODE_IPS": "\n".join(f"10.0.0.{node + 1}" for node in range(spec.num_nodes)),
        **dict(spec.envs),
        **(names_of(spec.array, JobId("01JABCDEFGHJKMNPQRSTVWXY02")) if spec.array else {}),
    }
    done = subprocess.run(
        ["/bin/bash", "-c", spec.run],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout.splitlines()


def test_variables_of_slurm_have_their_meaning(tmp_path: Path) -> None:
    script = """\
        #!/bin/bash
        #SBATCH -N 2 --ntasks-per-node=1 -c 6 --gres=gpu:a100:4 --mem=2G -p big -J 'it is'
        echo $SLURM_NNODES $SLURM_JOB_NUM_NODES $SLURM_NTASKS $SLURM_NODEID $SLURM_PROCID $SLURM_LOCALID
        echo $SLURM_CPUS_PER_TASK $SLURM_CPUS_ON_NODE $SLURM_GPUS_ON_NODE $SLURM_GPUS $SLURM_MEM_PER_NODE
        echo "$SLURM_JOB_PARTITION $SLURM_JOB_NAME $SLURM_JOB_NODELIST $SLURM_TASKS_PER_NODE"
        [[ $SLURM_SUBMIT_DIR == "$PWD" ]] && echo here
        echo restarts=${SLURM_RESTART_COUNT-none} $((SLURM_JOB_ID % 2 < 2)) $((SLURM_JOBID == SLURM_JOB_ID))
        """
    code, lines = run(tmp_path, script, rank=1)
    assert code == 0, lines
    assert lines == [
        "2 2 2 1 1 0",
        "6 6 4 8 2048",
        "big it-is 10.0.0.1,10.0.0.2 1(x2)",
        "here",
        "restarts=none 1 1",
    ]
    assert run(tmp_path, script, attempt=3)[1][-1] == "restarts=2 1 1"


def test_torchrun_under_srun_starts_once_on_each_node(tmp_path: Path) -> None:
    script = """\
        #!/bin/bash -e
        #SBATCH --nodes=2 --ntasks-per-node=1
        head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
        srun --cpu-bind none -l -N 2 --kill-on-bad-exit=1 torchrun --nnodes $SLURM_NNODES --to $head t.py
        """
    for rank in range(2):
        code, lines = run(tmp_path, script, rank=rank)
        assert code == 0, lines
        assert lines == [f"torchrun --nnodes 2 --to 10.0.0.1 t.py procid={rank} ntasks=2"]


def test_one_task_under_srun_is_the_command(tmp_path: Path) -> None:
    script = """\
        #!/bin/bash
        #SBATCH -n 1 -c 4
        srun --mpi=pmix -c 4 -u echo 'a  b' > out
        x=$(srun cat out); echo "$x"
        """
    assert run(tmp_path, script) == (0, ["a  b"])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("-N 2", "srun ./mpi_program"),
        ("-N 2", "srun python train.py"),
        ("-N 2", "srun -n 1 torchrun t.py"),
        ("-N 2 --ntasks-per-node=2", "srun torchrun t.py"),
        ("-n 4", "srun hostname"),
        ("-n 1", "srun --jobid $SLURM_JOB_ID hostname"),
        ("-n 1", "srun --multi-prog plan.conf"),
        ("-n 1", "srun -o out.log hostname"),
        ("-n 1", "srun -W 0 hostname"),
        ("-n 1", "srun bash -c 'hostname; date'"),
        ("-n 1", 'eval "srun hostname"'),
        ("-N 2", "mpirun -np 8 ./mpi_program"),
    ],
)
def test_what_would_do_other_things_than_under_slurm_ends_the_job(
    options: str, line: str, tmp_path: Path
) -> None:
    code, lines = run(tmp_path, f"#!/bin/bash\n#SBATCH {options}\n{line}\necho went on\n")
    assert code == 127
    (only,) = lines
    assert "is not available here" in only


def test_mpirun_on_one_node_is_left_alone(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mpirun").write_text('#!/bin/bash\necho "mpirun $*"\n')
    (tools / "mpirun").chmod(0o755)
    script = "#!/bin/bash\n#SBATCH -n 4\nmpirun -np $SLURM_NTASKS ./x\n"
    assert run(tmp_path, script) == (0, ["mpirun -np 4 ./x"])


def test_the_flags_of_the_first_line_are_kept(tmp_path: Path) -> None:
    assert run(tmp_path, "#!/bin/bash -e\n#SBATCH -n 1\nfalse\necho went on\n") == (1, [])
    assert run(tmp_path, "#!/bin/bash\n#SBATCH -n 1\nfalse\necho went on\n") == (0, ["went on"])


def test_python_gets_the_script_whole(tmp_path: Path) -> None:
    script = """\
        #!/usr/bin/env python3
        #SBATCH --job-name=stats -n 1
        import os, sys
        print(os.environ["SLURM_JOB_NAME"], 'quotes "and" $dollars `stay`')
        sys.exit(3)
        """
    assert run(tmp_path, script) == (3, ['stats quotes "and" $dollars `stay`'])


def test_an_array_runs_the_index_it_is_given(tmp_path: Path) -> None:
    script = "#!/bin/bash\n#SBATCH -a 3-9:3\necho $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT\n"
    assert run(tmp_path, script) == (0, ["6 of 3"])

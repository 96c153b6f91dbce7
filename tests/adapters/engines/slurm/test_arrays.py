"""Job arrays without a cluster: what is put together, what is written down, and kills at each line of it.

Slurm is two scripts here: sbatch keeps what it takes in a file, squeue shows that file.
"""

import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.benches import folder_config, memory_bench, now_ms

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.base import Fate, Order, Receipt
from hutong.adapters.engines.slurm import arrays, build, submitter
from hutong.adapters.engines.slurm.accounting import read_text
from hutong.adapters.engines.slurm.arrays import Arrays, among
from hutong.adapters.engines.slurm.config import SlurmConfig, SlurmPool
from hutong.adapters.engines.slurm.engine import SlurmEngine
from hutong.adapters.engines.slurm.parse import Record
from hutong.adapters.engines.slurm.rest import submission_body
from hutong.agent.habits import steady_ms
from hutong.core.kernel.ids import AttemptKey, ProjectId
from hutong.core.work.states import Category

POOLS = {"p": SlurmPool(gres="gpu:h800"), "q": SlurmPool(gres="gpu:h800", partition="ai")}
SBATCH = r"""#!/bin/sh
cd DIR
echo asked >>asked
for each; do case $each in
--job-name=*) name=${each#*=} ;;
--comment=*) comment=${each#*=} ;;
--array=0-*) last=${each#*-*-*-} ;;
esac; done
if [ -e not-taken ] && [ "$last" ]; then
    echo 'sbatch: error: AssocMaxSubmitJobLimit' >&2
    exit 1
fi
if [ -e never-came ]; then
    echo 'sbatch: error: Socket timed out on send/recv operation' >&2
    exit 1
fi
number=$(wc -l <asked)
as='%s\037%s\037PENDING\037None\0371\0370\0370\0371\037main\037%s\n'
row() { printf "$as" "$1" "$name" "$comment" >>jobs; }
if [ "$last" ]; then
    index=0
    while [ $index -le $last ]; do row ${number}_$index; index=$((index + 1)); done
else
    row $number
fi
if [ -e lost ]; then
    echo 'sbatch: error: Socket timed out on send/recv operation' >&2
    exit 1
fi
echo $number
"""
SQUEUE = "#!/bin/sh\ncd DIR\necho asked >>looked\ntouch jobs\nexec cat jobs\n"
SCONTROL = "#!/bin/sh\nprintf 'ClusterName = fake\\nMaxArraySize = %s\\n' $(cat DIR/most)\n"


@dataclasses.dataclass
class Desk:
    """An agent's engine and the scripts that it takes for Slurm."""

    folder: Path
    config: SlurmConfig
    engine: SlurmEngine

    def again(self, **changes: object) -> "Desk":
        """Return the same with an agent that remembers nothing."""
        config = dataclasses.replace(self.config, **changes)  # type: ignore[arg-type]
        return dataclasses.replace(self, config=config, engine=SlurmEngine(config, now_ms, steady_ms))

    def taken(self) -> dict[AttemptKey, list[str]]:
        """Return the numbers of the jobs that Slurm has of each attempt."""
        rows = (line.split(build.SEPARATOR) for line in self.lines("jobs"))
        found: dict[AttemptKey, list[str]] = {}
        known = Arrays(self.config.folder.root / "arrays")
        for each in known.told(Record(row[0], row[1], row[2]) for row in rows):
            found.setdefault(AttemptKey(each.name), []).append(each.id)
        return found

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    @contextmanager
    def when(self, what: str) -> Iterator[None]:
        (self.folder / what).touch()
        yield
        (self.folder / what).unlink()


def open_desk(folder: Path, **more: Any) -> Desk:
    programs = folder / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scontrol", SCONTROL)):
        (programs / name).write_text(text.replace("DIR", str(folder)))
        (programs / name).chmod(0o700)
    (folder / "most").write_text("1001")
    config = folder_config(folder, "none")
    config.root.mkdir()
    (programs / "cat").symlink_to("/bin/cat")
    for name in ("wc", "touch"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    given = SlurmConfig(config, POOLS, sys.executable, bin=programs, arrays=True)
    desk = Desk(folder, given, SlurmEngine(given, now_ms, steady_ms))
    return desk.again(**more) if more else desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return open_desk(tmp_path)


def orders(count: int, **more: object) -> list[Order]:
    with memory_bench() as bench:
        return [bench.order("true", **more) for _ in range(count)]


def ids(fates: Sequence[Fate]) -> list[str]:
    return [each.external_id if isinstance(each, Receipt) else type(each).__name__ for each in fates]


# What is put together


def test_what_asks_for_the_same_is_put_together_in_its_order(desk: Desk) -> None:
    like = orders(4)
    longer = orders(1, max_duration_s=3600)
    gang = orders(2, num_nodes=2)
    fewer = [
        dataclasses.replace(each, attempt=dataclasses.replace(each.attempt, cards=1)) for each in orders(4)
    ]
    theirs = [dataclasses.replace(each, project=ProjectId("other")) for each in orders(1)]
    other = [
        dataclasses.replace(each, attempt=dataclasses.replace(each.attempt, pool="q")) for each in orders(1)
    ]
    lost = [
        dataclasses.replace(each, attempt=dataclasses.replace(each.attempt, pool="r")) for each in orders(2)
    ]
    mixed = [like[0], *longer, gang[0], like[1], *fewer, *theirs, *other, *lost, gang[1], *like[2:]]
    assert [list(part) for part in desk.engine.alike(mixed)] == [
        like, longer, [gang[0]], fewer, theirs, other, [lost[0]], [lost[1]], [gang[1]],
    ]  # fmt: skip


def test_an_array_is_no_longer_than_slurm_takes_and_than_its_list_can_be_read(desk: Desk) -> None:
    many = orders(45)
    assert [len(part) for part in desk.engine.alike(many)] == [20, 20, 5]
    assert [len(part) for part in desk.engine.alike(many[:23])] == [20, 1, 1, 1], "few are not worth it"
    (desk.folder / "most").write_text("5")
    assert [len(part) for part in desk.again().engine.alike(many[:9])] == [5, 4]
    for most in ("0", "1", "3"):
        (desk.folder / "most").write_text(most)
        assert [len(part) for part in desk.again().engine.alike(many[:5])] == [1] * 5
    listed = ",".join(str(index) for index in range(0, 20, 2))
    assert len(listed) < 64, "slurmrestd cuts a longer list"


def test_where_jobs_reach_slurm_there_are_no_arrays_unless_the_operator_wants_them(desk: Desk) -> None:
    many = orders(5)
    assert [len(part) for part in desk.again(arrays=None).engine.alike(many)] == [1] * 5
    assert [len(part) for part in desk.again(arrays=False).engine.alike(many)] == [1] * 5
    assert [len(part) for part in desk.again(arrays=True).engine.alike(many)] == [5]


def test_while_slurm_does_not_answer_nothing_is_put_together(desk: Desk) -> None:
    (desk.folder / "bin" / "scontrol").unlink()
    assert [len(part) for part in desk.again().engine.alike(orders(4))] == [1] * 4


# What Slurm is told


def test_one_submission_for_all(desk: Desk) -> None:
    many = orders(3, secrets={"TOKEN": "hunter2"})
    assert ids(desk.engine.submit_together(many)) == ["fake:1_0", "fake:1_1", "fake:1_2"]
    assert len(desk.lines("asked")) == 1
    assert desk.taken() == {order.key: [f"1_{index}"] for index, order in enumerate(many)}
    seen = {each.key: each.external_id for each in desk.again().engine.observe()}
    assert seen == {order.key: f"fake:1_{index}" for index, order in enumerate(many)}
    assert ids(desk.again().engine.submit_together(many)) == ["fake:1_0", "fake:1_1", "fake:1_2"]
    assert len(desk.lines("asked")) == 1, "what is known is not submitted again"


def test_words_to_sbatch_and_to_slurmrestd() -> None:
    (order,) = orders(1)
    one = build.submission(order, POOLS["p"], Path("/s/a"), "x", "{}")
    array = build.array(one, "ht-array-1", Path("/s/attempts"), ["k0", "k1", "k2"], "python")
    told = build.sbatch(array)
    assert {"--array=0-2", "--job-name=ht-array-1", "--chdir=/s/attempts", "--output=/dev/null"} <= set(told)
    assert told[-1].startswith("--"), "the script comes by sbatch's input"
    body = submission_body(array, {}, 38)
    assert (body["job"]["array"], body["job"]["standard_output"]) == ("0-2", "/dev/null")
    assert body["script"] == array.script
    assert "array" not in submission_body(one, {}, 38)["job"]
    assert build.alike(one) == build.alike(
        dataclasses.replace(one, name="b", folder=Path("/s/b"), script="y")
    )


def test_each_element_finds_its_own_attempt_and_shows_nothing_of_the_array(tmp_path: Path) -> None:
    (order,) = orders(1)
    attempts = tmp_path / "it's a folder"
    one = build.submission(order, POOLS["p"], Path(), "", "{}")
    keys = [f"key-{index}" for index in range(12)]
    told = build.array(one, "n", attempts, keys, "/bin/sh -c 'pwd; env; echo \"$@\"' sh").script
    inherited = {"SLURM_JOB_ID": "99", "SLURM_ARRAY_JOB_ID": "88", "PATH": os.defpath}
    inherited |= {f"SLURM_ARRAY_TASK_{name}": "1" for name in ("COUNT", "MAX", "MIN", "STEP")}
    for index in (0, 11):
        (attempts / keys[index]).mkdir(parents=True)
        env = inherited | {"SLURM_ARRAY_TASK_ID": str(index)}
        subprocess.run(["/bin/sh"], input=told, text=True, env=env, check=True, cwd=tmp_path)
        first, *rest = (attempts / keys[index] / build.SCRIPT_LOG).read_text().splitlines()
        assert first == rest[-1] == str(attempts / keys[index])
        assert f"HUTONG_SLURM_JOB=88_{index}" in rest
        assert not [line for line in rest if line.startswith("SLURM_ARRAY_")]
    for index in (1, 12):  # an attempt that was forgotten, and one that never was
        env = inherited | {"SLURM_ARRAY_TASK_ID": str(index)}
        done = subprocess.run(["/bin/sh"], input=told, text=True, env=env, capture_output=True, check=False)
        assert done.returncode
        assert not done.stdout


# What Slurm tells


@given(st.sets(st.integers(0, 19)), st.sampled_from(["", "%3"]))
def test_indices_as_slurm_writes_them(indices: set[int], throttle: str) -> None:
    spans: list[list[int]] = []
    for index in sorted(indices):
        if spans and spans[-1][-1] == index - 1:
            spans[-1].append(index)
        else:
            spans.append([index])
    text = ",".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans)
    assert among(f"[{text}{throttle}]", 20) == sorted(indices)


def test_indices_by_steps_and_what_is_none() -> None:
    assert among("[0-8:4,9]", 20) == [0, 4, 8, 9]
    assert among("7", 20) == [7]
    assert among("[0-999999999]", 3) == [0, 1, 2]
    assert among("[0,2,...]", 20) == [0, 2]


@given(st.text(alphabet="0123456789-,:%[]. x", max_size=30))
def test_no_text_gives_indices_that_are_not_there(text: str) -> None:
    assert set(among(text, 5)) <= set(range(5))


def test_elements_are_told_by_the_names_of_their_attempts(tmp_path: Path) -> None:
    known = Arrays(tmp_path / "arrays")
    keys = [order.key for order in orders(4)]
    name = known.write(keys)
    assert known.write(keys) == name
    told = known.told(
        [
            Record("7_[0,2-3%2]", name, "PENDING"),
            Record("7_1", name, "RUNNING"),
            Record("7_9", name, "RUNNING"),
            Record("7", name, "FAILED"),
            Record("8_0", "ht-array-0123", "RUNNING"),
            Record("9_0", f"ht-array-{'0' * 32}", "RUNNING"),
            Record("10_0", "ht-array-../../../etc/passwd", "RUNNING"),
            Record("11", keys[0], "RUNNING"),
        ]
    )
    assert [(each.id, each.name, each.state) for each in told] == [
        ("7_0", keys[0], "PENDING"),
        ("7_2", keys[2], "PENDING"),
        ("7_3", keys[3], "PENDING"),
        ("7_1", keys[1], "RUNNING"),
        ("11", keys[0], "RUNNING"),
    ]
    assert known.key(name, "7_2") == keys[2]
    assert known.key(keys[0], "7") is None


def test_accounting_tells_of_elements_by_their_own_numbers_and_by_their_indices() -> None:
    fields = ["125", "ht-array-1", "1", "2", "3", "1", "gres/gpu=1", "", "bj", "123_4"]
    step = ["125.batch", "batch", "1", "2", "3", "1", "gres/gpu=1", "", "bj", "123_4.batch", "1", "n1", "5"]
    text = "\n".join(build.SEPARATOR.join(row) for row in ([*fields, "1", "n1", ""], step))
    (row,) = read_text(text)
    assert (row.id, row.shown, row.name, len(row.steps)) == ("125", "123_4", "ht-array-1", 1)


# What goes wrong


def test_an_array_whose_number_was_never_heard_is_adopted_whole(desk: Desk) -> None:
    many = orders(4)
    with desk.when("lost"):
        assert ids(desk.engine.submit_together(many)) == ["Later"] * 4
    looked = len(desk.lines("looked"))
    agent = desk.again().engine
    fates = agent.submit_together(many)
    assert ids(fates) == [f"fake:1_{index}" for index in range(4)]
    assert all(isinstance(each, Receipt) and each.adopted for each in fates)
    assert len(desk.lines("asked")) == 1
    assert len(desk.lines("looked")) == looked + 1, "one question for all that are in doubt"


def test_an_array_of_which_a_part_is_there_is_adopted_as_far_as_it_is(desk: Desk) -> None:
    many = orders(3)
    with desk.when("lost"):
        desk.engine.submit_together(many)
    rows = desk.lines("jobs")
    (desk.folder / "jobs").write_text("".join(f"{row}\n" for row in (rows[0], rows[2])))
    assert ids(desk.again().engine.submit_together(many)) == ["fake:1_0", "fake:2", "fake:1_2"]


def test_an_array_that_never_came_is_submitted_one_by_one_and_never_put_together_anew(desk: Desk) -> None:
    many = orders(3)
    with desk.when("never-came"):
        assert ids(desk.engine.submit_together(many)) == ["Later"] * 3
    assert ids(desk.again().engine.submit_together([*many, *orders(1)])) == [
        "fake:2", "fake:3", "fake:4", "fake:5",
    ]  # fmt: skip


def test_an_array_for_which_there_is_no_room_is_tried_one_by_one(desk: Desk) -> None:
    many = orders(3)
    with desk.when("not-taken"):
        assert ids(desk.engine.submit_together(many)) == ["fake:2", "fake:3", "fake:4"]
    assert desk.taken() == {order.key: [str(at)] for at, order in enumerate(many, 2)}


def test_what_was_stopped_or_forgotten_is_in_no_array(desk: Desk) -> None:
    many = orders(4)
    desk.engine.stop(many[1].key, 1, Category.CANCELLED, "not wanted", 0)
    ended = files.read_json(desk.config.folder.root / "attempts" / many[1].key / files.STOP)
    assert ended
    assert ids(desk.engine.submit_together(many)) == ["fake:1_0", many[1].key, "fake:1_1", "fake:1_2"]
    assert many[1].key not in desk.taken()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True),
            st.sampled_from(["", "", "lost", "never-came", "not-taken"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_happens_an_attempt_has_one_job(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[int], str, bool]]
) -> None:
    desk = open_desk(tmp_path_factory.mktemp("desk"))
    many = orders(6)
    for chosen, trouble, restarts in steps:
        if restarts:
            desk = desk.again()
        some = [many[index] for index in chosen]
        if trouble:
            with desk.when(trouble):
                desk.engine.submit_together(some)
        else:
            assert "Later" not in ids(desk.engine.submit_together(some))
    assert "Later" not in ids(desk.engine.submit_together(many))
    assert {key: len(numbers) for key, numbers in desk.taken().items()} == {order.key: 1 for order in many}
    live = [
        key
        for name in {row.split(build.SEPARATOR)[1] for row in desk.lines("jobs")}
        if (written := files.read_json(desk.config.folder.root / "arrays" / f"{name}.json"))
        for key in written["keys"]
    ]
    assert max(Counter(live).values(), default=1) == 1, "no key is in two arrays that Slurm has"


def dies_at(line: int, work: Callable[[], object]) -> bool:
    """Do some work in a child that is gone before so many lines of ours; False if it came to its end."""
    child = os.fork()
    if child == 0:
        left = [line]

        def trace(frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code.co_filename not in {submitter.__file__, arrays.__file__, files.__file__}:
                return None
            if event == "line":
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
            return trace

        sys.settrace(trace)
        threading.settrace(trace)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_an_agent_that_dies_at_any_line_leaves_neither_two_jobs_nor_none(desk: Desk) -> None:
    line, deaths, adopted = 0, 0, 0
    while True:
        two = orders(2)
        died = dies_at(line, lambda two=two: desk.engine.submit_together(two))  # type: ignore[misc]
        taken = set(desk.taken())
        fates = desk.again().engine.submit_together(two)
        assert "Later" not in ids(fates), line
        adopted += sum(isinstance(each, Receipt) and each.adopted for each in fates)
        told = desk.taken()
        assert [len(told[order.key]) for order in two] == [1, 1], line
        assert all(order.key in told for order in two if order.key in taken)
        (desk.folder / "jobs").unlink()
        if not died:
            break
        deaths += 1
        line += 1 + line // 6  # each line of the beginning, and then ever fewer
    assert deaths > 20
    assert adopted, "no death came after the submission: the test has lost its point"


def test_a_list_that_was_written_is_whole_and_stays(tmp_path: Path) -> None:
    keys = [order.key for order in orders(2)]
    name = Arrays(tmp_path / "arrays").write(keys)
    assert json.loads((tmp_path / "arrays" / f"{name}.json").read_text()) == {"keys": keys}
    assert Arrays(tmp_path / "arrays").key(name, "5_1") == keys[1]

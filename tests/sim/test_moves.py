"""`hutong moves`: what it proposes can be done, loses nobody and moves none that must stay."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hutong.core.kernel.errors import Refused
from hutong.core.placement.defragmentation import Effort
from hutong.main import cli
from hutong.sim.moves import Fleet, Place, Step

NODES = (
    "sn,cpu_milli,memory_mib,gpu,model\nn1,64000,64000,4,H100\nn2,64000,64000,4,H100\nn3,64000,64000,2,A100\n"
)
HEAD = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,node,cards,movable\n"
TASKS = (
    "a,4000,8192,1,1000,,n1,0,yes\n"
    "b,4000,8192,1,1000,,n2,3,\n"
    "c,4000,8192,1,500,,n3,0,yes\n"
    "d,4000,8192,1,1000,H100,n2,,no\n"
    "big,8000,16384,4,1000,H100,,,\n"
    "small,1000,1024,1,250,,,,\n"
    "huge,8000,16384,4,1000,H100,,,\n"
)
SIZES = {"n1": 4, "n2": 4, "n3": 2}


def files(folder: Path, tasks: str, nodes: str = NODES) -> tuple[Path, Path]:
    (folder / "nodes.csv").write_text(nodes)
    (folder / "tasks.csv").write_text(HEAD + tasks)
    return folder / "nodes.csv", folder / "tasks.csv"


def run(folder: Path, tasks: str, *words: str) -> tuple[int, str]:
    named = [word for pair in zip(("--nodes", "--tasks"), files(folder, tasks), strict=True) for word in pair]
    done = CliRunner().invoke(cli, ["moves", *map(str, named), *words], env={"COLUMNS": "100"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout + done.stderr


def test_a_table_says_who_moves_where_and_who_finds_no_room(tmp_path: Path) -> None:
    code, said = run(tmp_path, TASKS)
    assert code == 0
    lines = [line.split() for line in said.splitlines()]
    assert ["big", "a", "n1,", "card", "0", "n2,", "card", "1"] in lines
    assert ["big", "starts", "n1,", "cards", "0", "1", "2", "3"] in lines
    assert ["small", "starts", "n3,", "card", "0"] in lines
    assert ["huge", "no", "way", "found", "within", "3", "moves"] in lines
    assert "35.0% in use; waiting: 3" in said
    assert "2 of 3 get room by 1 move; 77.5% in use then" in said
    found = json.loads(
        run(tmp_path, TASKS, "--for", "small", "--for", "small", "--at-most", "0", "--json")[1]
    )
    assert found["steps"] == [{"task": "small", "place": {"node": "n3", "cards": [0]}, "moves": []}]
    assert (found["waiting"], found["placed"], found["moves"]) == (3, 1, 0)
    assert "nothing waits" in run(tmp_path, "a,1,1,0,0,,n1,,\n")[1]


@pytest.mark.parametrize(
    ("tasks", "words", "says"),
    [
        ("a,1,1,1,1000,,n9,,\n", (), "line 2: expected a node of the file of nodes"),
        ("a,1,1,9,1000,,n1,,\n", (), "at most 8 as num_gpu, found '9'"),
        ("a,1,1,2,500,,n1,,\n", (), "1000 as gpu_milli, or less of a single card, found '500'"),
        ("a,1,1,1,1000,,n1,9,\n", (), "cards as 0 1 5, each below 8, found '9'"),
        ("a,1,1,1,1000,,n1,0 1,\n", (), "expected 1 cards and processors of 'n1' with room for 'a'"),
        ("a,1,1,1,1000,,n3,3,\n", (), "of 'n3' with room for 'a', found '3'"),
        ("a,1,1,1,1000,,n1,0,\nb,1,1,1,1000,,n1,0,\n", (), "line 3: expected 1 cards"),
        ("a,1,1,2,1000,,n3,,\nb,1,1,1,1000,,n3,,\n", (), "room for 'b', found 'too little'"),
        ("a,1,1,1,1000,,n1,0,\na,1,1,1,1000,,n1,1,\n", (), "a name of its own as name, found 'a'"),
        ("a,2000000000,1,1,1000,,n1,0,\n", (), "at most 1,000,000,000 as cpu_milli"),
        ("a,-1,1,1,1000,,n1,0,\n", (), "at least 0 as cpu_milli"),
        ("a,1,1,1,1000,,n1,0,maybe\n", (), "yes or no as movable"),
        ("a,1,1,1,1000,,n1,0,\n", ("--for", "a"), "task 'a' runs already; those that wait: none"),
        ("a,1,1,1,1000,,,,\n", ("--for", "z"), "task 'z' is not in the file; those that wait: a"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(
    tmp_path: Path, tasks: str, words: tuple[str, ...], says: str
) -> None:
    code, said = run(tmp_path, tasks, *words)
    assert code == 2
    assert says in " ".join(said.split())


def test_too_many_to_weigh_are_refused_before_memory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hutong.sim.moves._LARGEST", 5)
    with pytest.raises(Refused, match="3 nodes and 2 kinds of tasks are too many to weigh together"):
        Fleet(*files(tmp_path, "a,1,1,0,0,,,,\nb,2,1,0,0,,,,\n"))


Task = tuple[int, int, Place | None, bool]


@st.composite
def crowds(draw: Any) -> list[Task]:
    """Tasks as cards, milli of each, where they run (None: they wait), and whether they may move."""
    free = {node: [1000] * cards for node, cards in SIZES.items()}
    found: list[Task] = []
    shapes = st.sampled_from([(1, 300), (1, 500), (1, 1000), (2, 1000)])
    for cards, milli in draw(st.lists(shapes, min_size=1, max_size=14)):
        node = draw(st.sampled_from(["", *SIZES]))
        able = [card for card, left in enumerate(free.get(node, ())) if left >= milli]
        chosen = tuple(sorted(draw(st.permutations(able))[:cards]))
        for card in chosen if len(chosen) == cards else ():
            free[node][card] -= milli
        place = Place(node, chosen) if len(chosen) == cards else None
        found.append((cards, milli, place, draw(st.booleans())))
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crowd=crowds(), most=st.integers(0, 3))
def test_what_is_proposed_can_be_done_step_by_step(tmp_path: Path, crowd: list[Task], most: int) -> None:
    rows = [
        f"t{at},1,1,{cards},{milli},,{place.node if place else ''},"
        f"{' '.join(map(str, place.cards)) if place else ''},{'yes' if may else 'no'}\n"
        for at, (cards, milli, place, may) in enumerate(crowd)
    ]
    fleet = Fleet(*files(tmp_path, "".join(rows)))
    waiting = fleet.waiting
    assert waiting == [f"t{at}" for at, row in enumerate(crowd) if row[2] is None]
    before = fleet.used
    steps = fleet.make_room(waiting, Effort(most))
    assert [each.task for each in steps] == waiting
    assert fleet.used == pytest.approx(before + follow(crowd, steps, most) / 10_000)


def follow(crowd: list[Task], steps: list[Step], most: int) -> int:
    """Do what the steps say on a table of our own; return how many milli of cards began to be used."""
    where = {at: row[2] for at, row in enumerate(crowd) if row[2] is not None}
    gained = 0
    for step in steps:
        assert len(step.moves) <= most
        assert step.place is not None or not step.moves
        for move in step.moves:
            at = int(move.task[1:])
            assert (crowd[at][3], where[at]) == (True, move.was)
            where[at] = move.to
        if step.place is not None:
            at = int(step.task[1:])
            where[at] = step.place
            gained += crowd[at][0] * crowd[at][1]
        held: Counter[tuple[str, int]] = Counter()
        for at, place in where.items():
            assert len(place.cards) == crowd[at][0]
            for card in place.cards:
                assert card < SIZES[place.node]
                held[place.node, card] += crowd[at][1]
        assert max(held.values(), default=0) <= 1000
    return gained

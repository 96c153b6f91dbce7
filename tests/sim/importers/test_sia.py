"""Sia and Gavel have no run times: the caller says how long each application takes."""

from pathlib import Path

import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import read, types_in

SIA = "name,time,application,num_replicas,batch_size\nbert-0,775.66,bert,12,384\ncifar-1,101,cifar10,6,2048\n"
GAVEL = (
    "LM (batch size 5)\tcd %s && python main.py\t--steps\t1\t2400\t6.000000\t1\n"
    "A3C\tcd %s && python3 main.py\t--max-steps\t0\t100\t0.000000\t4\n"
)


def _write(tmp_path: Path, text: str, name: str = "workload.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_run_times_come_from_the_table(tmp_path: Path) -> None:
    trace = read(_write(tmp_path, SIA), seconds={"bert": 3600, "cifar10": 60, "cifar10@6": 90.5})
    assert trace.submit_s.tolist() == [0, 675]
    assert trace.run_s.tolist() == [91, 3600]
    assert trace.cards.tolist() == [6, 12]
    assert trace.groups == ("bert", "cifar10")


def test_a_missing_table_or_entry_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    path = _write(tmp_path, SIA)
    assert types_in(path) == ["bert", "cifar10"]
    with pytest.raises(Refused, match="no run times; give the option seconds"):
        read(path)
    with pytest.raises(Refused, match="seconds has no entry for 'cifar10'; it has bert"):
        read(path, seconds={"bert": 1})
    for wrong in (-1, float("nan"), "1", None):
        with pytest.raises(Refused, match="expected a number of at least 0 for 'bert'"):
            read(path, seconds={"bert": wrong})
    with pytest.raises(Refused, match="give the option seconds"):
        read(path, seconds=3600)


def test_gavel_counts_steps(tmp_path: Path) -> None:
    path = _write(tmp_path, GAVEL, "a.trace")
    assert types_in(path) == ["A3C", "LM (batch size 5)"]
    trace = read(path, steps_per_s={"A3C": 1, "A3C@4": 4, "LM (batch size 5)": 16})
    assert trace.submit_s.tolist() == [0, 6]
    assert trace.run_s.tolist() == [25, 150]
    assert trace.cards.tolist() == [4, 1]


@pytest.mark.parametrize(
    "text",
    [
        'A3C\t"cd x" && python3 main.py\t--max-steps\t100\t7\t4\n',
        "A3C\tpython3 main.py\trl\t--max-steps\t0\t100\t4\t1\t-1.000000\t7.5\n",
    ],
)
def test_gavels_first_form_has_six_fields_and_its_last_ten(tmp_path: Path, text: str) -> None:
    trace = read(_write(tmp_path, text, "a.trace"), steps_per_s={"A3C": 10})
    assert (trace.run_s.tolist(), trace.cards.tolist()) == ([10], [4])


@pytest.mark.parametrize(
    ("text", "speed", "says"),
    [
        (GAVEL, {}, "give the option steps_per_s"),
        (GAVEL, {"A3C": 0}, "steps_per_s: expected numbers above 0"),
        (GAVEL, {"A3C": 1e-12, "LM (batch size 5)": 1}, "steps_per_s is too small"),
        ("a\tb\tc\n", {"A3C": 1}, "6, 7 or 10 fields with tabs between them"),
        (GAVEL + "A3C\tx\n", {"A3C": 1}, "line 3: expected 7 fields, found '2 fields'"),
        (GAVEL.replace("2400", "many"), {"A3C": 1, "LM (batch size 5)": 1}, "line 1: expected a number as"),
    ],
)
def test_a_damaged_gavel_trace_is_refused(
    tmp_path: Path, text: str, speed: dict[str, float], says: str
) -> None:
    with pytest.raises(Refused) as refused:
        read(_write(tmp_path, text, "a.trace"), "gavel", steps_per_s=speed)
    assert says in refused.value.message

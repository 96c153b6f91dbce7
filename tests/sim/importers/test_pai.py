"""GAIA's lists, whose unit nobody wrote down, and the jobs of PAI's simulator."""

from pathlib import Path

import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import read, read_imported


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "jobs.csv"
    path.write_text(text)
    return path


def _gaia(tmp_path: Path, *rows: str) -> Path:
    return _write(tmp_path, "\n".join(("arrival_time,length,cpus", *rows)) + "\n")


def test_times_with_fractions_below_a_year_are_hours(tmp_path: Path) -> None:
    trace = read(_gaia(tmp_path, "0.5,0.0836111,4", "8759.9167,25.5,400"))
    assert trace.run_s.tolist() == [301, 91_800]
    assert trace.span_s == 31_533_900
    assert trace.cards.tolist() == [4, 400]
    assert "read as hours" in trace.source


def test_whole_times_beyond_a_year_of_hours_are_seconds(tmp_path: Path) -> None:
    trace = read(_gaia(tmp_path, "0.0,6302.0,1", "604756.0,303.0,2"))
    assert trace.run_s.tolist() == [6302, 303]
    assert trace.span_s == 604_756


@pytest.mark.parametrize("rows", [("0.0,1.0,1", "2.0,3.0,1"), ("0.5,1.0,1", "20000.5,3.0,1")])
def test_times_that_could_be_either_need_a_word(tmp_path: Path, rows: tuple[str, ...]) -> None:
    path = _gaia(tmp_path, *rows)
    with pytest.raises(Refused, match="the option unit, h or s"):
        read(path)
    assert read(path, unit="s").run_s.tolist() == [1, 3]
    assert read(path, unit="h").run_s.tolist() == [3600, 10_800]
    with pytest.raises(Refused, match="expected h or s"):
        read(path, unit="min")


def test_pai_has_instances_shares_and_chips(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "job_id,user,group,num_inst,num_gpu,num_cpu,gpu_type,submit_time,duration\n"
        "0,u1,g1,2,0.5,6,T4,10,100\n1,u2,g2,,8,6,V100,5,7.5\n2,u2,g2,1,0,6,CPU,5,7\n3,u2,g2,1,1,6,T4,5,\n",
    )
    imported = read_imported(path)
    trace = imported.trace
    assert trace.nodes.tolist() == [1, 2]
    assert trace.cards_per_node.tolist() == [8, 1]
    assert trace.run_s.tolist() == [8, 100]
    assert (trace.chips, trace.groups, trace.users) == (("T4", "V100"), ("g1", "g2"), ("u1", "u2"))
    assert imported.left_out == {"without cards": 1, "never ran": 1}


def test_pai_needs_no_more_than_its_simulator_does(tmp_path: Path) -> None:
    trace = read(_write(tmp_path, "job_id,user,num_gpu,submit_time,duration\n0,u1,0.25,10,100\n"))
    assert (trace.nodes.tolist(), trace.cards.tolist(), trace.group.tolist()) == ([1], [1], [-1])

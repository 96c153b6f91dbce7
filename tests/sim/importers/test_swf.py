"""The Standard Workload Format: 18 fields, -1 for what is not known, comments before the jobs."""

from pathlib import Path

import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import read, read_imported


def _line(**said: float) -> str:
    fields = {
        "job": 1, "submit": 0, "wait": 0, "run": 100, "allocated": 4, "cpu": -1, "memory": -1, "requested": 4,
        "limit": 200, "req_mem": -1, "status": 1, "user": 7, "unix": -1, "exe": -1, "queue": 2,
        "partition": 3, "before": -1, "think": -1,
    }  # fmt: skip
    assert set(said) <= set(fields)
    return " ".join(str(each) for each in (fields | said).values())


def _write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "log.swf"
    path.write_text("; MaxProcs: 256\n;\n; Note: one\n; Note: two: more\n" + "\n".join(lines) + "\n")
    return path


def test_a_job_keeps_its_time_processors_limit_queue_and_user(tmp_path: Path) -> None:
    trace = read(_write(tmp_path, _line(submit=50), "", _line(submit=20.5, run=9.5, limit=-1, user=-1)))
    assert trace.submit_s.tolist() == [0, 29]
    assert trace.run_s.tolist() == [10, 100]
    assert trace.limit_s.tolist() == [0, 200]
    assert trace.cards.tolist() == [4, 4]
    assert trace.groups == ("2",)
    assert trace.users == ("7",)
    assert trace.user.tolist() == [-1, 0]


def test_the_header_is_kept(tmp_path: Path) -> None:
    imported = read_imported(_write(tmp_path, _line()))
    assert imported.header == {"MaxProcs": "256", "Note": "one\ntwo: more"}


def test_requested_processors_go_before_allocated_ones_unless_asked_otherwise(tmp_path: Path) -> None:
    path = _write(tmp_path, _line(allocated=8), _line(requested=-1, allocated=2), _line(allocated=-1))
    assert read(path).cards.tolist() == [4, 2, 4]
    assert read(path, processors="allocated").cards.tolist() == [8, 2, 4]


def test_partitions_are_the_groups_where_asked_or_where_there_are_no_queues(tmp_path: Path) -> None:
    assert read(_write(tmp_path, _line()), group="partition").groups == ("3",)
    assert read(_write(tmp_path, _line(queue=-1))).groups == ("3",)
    mixed = read(_write(tmp_path, _line(queue=-1), _line()))
    assert mixed.group.tolist() == [-1, 0]


def test_what_never_ran_or_took_nothing_is_left_out_and_counted(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        _line(),
        _line(run=0),
        _line(run=-1),
        _line(run=0, status=5),
        _line(requested=0, allocated=-1),
        _line(status=2),
        _line(status=3),
        _line(submit=-1),
    )
    imported = read_imported(path)
    assert len(imported.trace) == 2
    assert imported.left_out == {
        "parts of a job": 2,
        "without a submission time": 1,
        "never ran": 2,
        "without processors": 1,
    }


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"log\.swf, line 6: expected 18 fields, found '3 fields'"):
        read(_write(tmp_path, _line(), "1 2 3"))
    with pytest.raises(Refused, match=r"line 6: expected a number as run, found 'x'"):
        read(_write(tmp_path, _line(), _line().replace("100", "x")))
    with pytest.raises(Refused, match="at least one job"):
        read(_write(tmp_path))
    with pytest.raises(Refused, match="expected queue or partition"):
        read(_write(tmp_path, _line()), group="user")
    with pytest.raises(Refused, match="expected requested or allocated"):
        read(_write(tmp_path, _line()), processors="all")

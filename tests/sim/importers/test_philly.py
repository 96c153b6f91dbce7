"""Philly in its three forms, and the sizes of its virtual clusters."""

import json
from pathlib import Path

import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import read, read_imported, read_vc_config


def _attempt(start: str | None, end: str | None, *gpus: int) -> dict[str, object]:
    detail = [{"ip": f"m{node}", "gpus": [f"gpu{n}" for n in range(each)]} for node, each in enumerate(gpus)]
    return {"start_time": start, "end_time": end, "detail": detail}


def _job(*attempts: dict[str, object], submitted: str = "2017-10-07 01:11:39") -> dict[str, object]:
    return {
        "status": "Pass", "vc": "ee9e8c", "jobid": "application_1", "attempts": list(attempts),
        "submitted_time": submitted, "user": "ce2f4c",
    }  # fmt: skip


def _log(tmp_path: Path, *jobs: object) -> Path:
    path = tmp_path / "cluster_job_log"
    path.write_text(json.dumps(list(jobs), indent=2))
    return path


def test_lucids_form_gives_virtual_clusters_and_users(tmp_path: Path) -> None:
    path = tmp_path / "philly.csv"
    path.write_text(
        "job_id,user,vc,gpu_num,state,submit_time,duration\n0,u2,b,32,COMPLETED,45,30.5\n1,u1,a,1,FAILED,15,61\n"
    )
    trace = read(path)
    assert (trace.name, trace.groups, trace.users) == ("philly", ("a", "b"), ("u1", "u2"))
    assert trace.submit_s.tolist() == [0, 30]
    assert trace.run_s.tolist() == [61, 31]
    assert trace.nodes.tolist() == [1, 1]
    assert trace.cards.tolist() == [1, 32]
    assert "CC-BY-4.0" in trace.source


def test_sias_form_has_dates_and_no_users(tmp_path: Path) -> None:
    path = tmp_path / "philly.csv"
    path.write_text(
        "timestamp,duration,num_gpus,gpu_time,cluster\n"
        "2017-10-03 00:00:00,100,2,200,a\n2017-10-03 01:00:00,5,128,640,b\n"
    )
    trace = read(path)
    assert trace.span_s == 3600
    assert trace.cards.tolist() == [2, 128]
    assert trace.user.tolist() == [-1, -1]


def test_a_job_of_the_raw_log_held_its_cards_in_each_of_its_attempts(tmp_path: Path) -> None:
    """The example of the log's own description: two attempts on one node of eight."""
    first = _attempt("2017-10-07 01:12:09", "2017-10-07 01:13:23", 8)
    second = _attempt("2017-10-07 01:13:30", "2017-10-09 06:53:12", 8)
    trace = read(_log(tmp_path, _job(first, second)))
    assert trace.run_s.tolist() == [74 + 193_182]
    assert (trace.nodes.tolist(), trace.cards_per_node.tolist()) == ([1], [8])
    assert (trace.groups, trace.users) == (("ee9e8c",), ("ce2f4c",))


def test_nodes_of_the_raw_log_are_kept_where_they_are_alike(tmp_path: Path) -> None:
    start, end = "2017-10-07 02:00:00", "2017-10-07 03:00:00"
    trace = read(_log(tmp_path, _job(_attempt(start, end, 8, 8)), _job(_attempt(start, end, 8, 4))))
    assert trace.nodes.tolist() == [2, 1]
    assert trace.cards_per_node.tolist() == [8, 12]


def test_what_the_raw_log_does_not_know_is_left_out_and_counted(tmp_path: Path) -> None:
    start, end = "2017-10-07 02:00:00", "2017-10-07 03:00:00"
    path = _log(
        tmp_path,
        _job(_attempt(start, end, 1)),
        _job(),
        _job(_attempt(None, end, 1)),
        _job(_attempt(start, None, 1)),
        _job(_attempt(start, "None", 1)),
        _job(_attempt(end, start, 1)),
        _job(_attempt(start, end)),
    )
    imported = read_imported(path)
    assert imported.trace.run_s.tolist() == [3600]
    assert imported.left_out == {"still running": 2, "never ran": 3, "without cards": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[\n{"attempts": [}]', "line 2: expected JSON"),
        ('{"attempts": []}', "line 1: expected a JSON list of jobs"),
        ("[]", "a JSON list of jobs"),
        ('[{"attempts": []}]', "in job 1 (no jobid) submitted_time, vc and attempts"),
        (
            '[{"jobid": "j", "submitted_time": "2017-10-07 01:11:39", "attempts": 3, "vc": "a"}]',
            "in job 1 (j)",
        ),
        (
            '[{"jobid": "j", "submitted_time": "2017-10-07 01:11:39", "attempts": [3], "vc": "a"}]',
            "job 1 (j)",
        ),
        ('[{"jobid": "j", "submitted_time": "noon", "attempts": [], "vc": "a"}]', "job 1 (j)"),
    ],
)
def test_a_damaged_raw_log_is_refused_with_its_job(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "cluster_job_log"
    path.write_text(text)
    with pytest.raises(Refused) as refused:
        read(path, "philly-raw")
    assert says in refused.value.message


def test_virtual_clusters_have_nodes(tmp_path: Path) -> None:
    path = tmp_path / "vc_config.csv"
    path.write_text(",num\n103959,3\n11cb48,2\n")
    assert read_vc_config(path) == {"103959": 3, "11cb48": 2}
    assert read_vc_config(str(path)) == {"103959": 3, "11cb48": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (",num\na,0\n", "line 2: expected a number of at least 1 as num"),
        (",num\na,1\na,2\n", "line 3: expected each virtual cluster once, found 'a'"),
        (",num\n,1\n", "line 2: expected each virtual cluster once"),
        ("vc,number\na,1\n", "line 1: expected the columns"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "vc_config.csv"
    path.write_text(text)
    with pytest.raises(Refused) as refused:
        read_vc_config(path)
    assert says in refused.value.message

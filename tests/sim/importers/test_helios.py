"""Helios and Acme: the rows that their own descriptions show."""

from pathlib import Path

import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import read, read_imported

HELIOS = """job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue
1425511,uXBbc,vcJkd,1,1,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848,0
1425512,uVMrF,vchbv,16,16,2,FAILED,2020-06-09 18:41:27,2020-06-09 18:41:27,2020-06-09 18:45:36,249,0
1425513,uzqls,vcpDC,0,1,1,CANCELLED,2020-06-09 18:41:28,2020-06-09 18:41:28,2020-06-17 14:15:21,675233,0
1425514,uzqls,vcpDC,9,1,2,CANCELLED,2020-06-09 18:41:29,2020-06-09 18:41:29,2020-06-09 18:41:30,1,0
1425515,uzqls,vcpDC,1,1,1,CANCELLED,2020-06-09 18:41:30,None,2020-06-09 18:41:30,0,0
"""
KALOS = """job_id,user,node_num,gpu_num,cpu_num,mem_per_pod_GB,shared_mem_per_pod,type,state,\
submit_time,start_time,end_time,fail_time,stop_time,duration,queue,gpu_time
dlctk,uf794,8,64,960,1000,100.0,Other,FAILED,2023-05-17 11:00:58+00:00,2023-05-17 11:01:08+00:00,\
2023-05-17 11:01:16+00:00,2023-05-17 11:01:16+00:00,,18,10.0,1152.0
dlc1t,uf794,8,64.0,960,1000,100.0,Pretrain,CANCELLED,2023-05-17 19:28:42+08:00,2023-05-17 11:28:54+00:00,\
2023-05-17 11:30:04+00:00,,2023-05-17 11:30:04+00:00,82,12.0,5248.0
dlc2t,uf794,,1,1,1,1.0,,PENDING,2023-05-17 12:00:00+00:00,,,,,,,
"""


def test_helios_spreads_gpus_over_nodes_and_leaves_out_cpu_jobs(tmp_path: Path) -> None:
    path = tmp_path / "cluster_log.csv"
    path.write_text(HELIOS)
    imported = read_imported(path)
    trace = imported.trace
    assert trace.submit_s.tolist() == [0, 26, 28]
    assert trace.run_s.tolist() == [36848, 249, 1]
    assert list(zip(trace.nodes.tolist(), trace.cards_per_node.tolist(), strict=True)) == [
        (1, 1),
        (2, 8),
        (1, 9),
    ]
    assert trace.groups == ("vcJkd", "vchbv", "vcpDC")
    assert imported.left_out == {"without cards": 1, "never ran": 1}


def test_acme_has_zones_and_types_of_work(tmp_path: Path) -> None:
    path = tmp_path / "trace_kalos.csv"
    path.write_text(KALOS)
    imported = read_imported(path)
    trace = imported.trace
    assert trace.span_s == 27 * 60 + 44
    assert trace.nodes.tolist() == [8, 8]
    assert trace.cards.tolist() == [64, 64]
    assert trace.groups == ("Other", "Pretrain")
    assert imported.left_out == {"never ran": 1}


def test_a_time_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "cluster_log.csv"
    path.write_text(HELIOS.replace("2020-06-09 18:41:27,2020", "the 9th,2020"))
    with pytest.raises(Refused, match=r"line 3: expected a date and time, such as .* found 'the 9th'"):
        read(path)

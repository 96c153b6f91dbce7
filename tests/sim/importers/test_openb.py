"""Pods of Alibaba's 2023 trace as a queue: whole cards, or thousandths of one."""

from pathlib import Path

import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import read, read_imported

PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,\
creation_time,deletion_time,scheduled_time
p0,12000,16384,8,1000,,LS,Running,100,500,160
p1,6000,12288,1,460,V100M16|V100M32,BE,Succeeded,90,100,90
p2,6000,12288,0,0,,BE,Running,0,100,0
p3,6000,12288,1,1000,,BE,Pending,200,300,
"""


def _write(tmp_path: Path, text: str = PODS) -> Path:
    path = tmp_path / "openb_pod_list_x.csv"
    path.write_text(text)
    return path


def test_a_share_of_a_card_takes_the_whole_card(tmp_path: Path) -> None:
    imported = read_imported(_write(tmp_path))
    trace = imported.trace
    assert trace.submit_s.tolist() == [0, 10]
    assert trace.run_s.tolist() == [10, 340]
    assert trace.cards.tolist() == [1, 8]
    assert trace.chips == ("V100M16|V100M32",)
    assert trace.chip.tolist() == [0, -1]
    assert trace.groups == ("BE", "LS")
    assert imported.left_out == {"without cards": 1, "never ran": 1}


def test_a_share_of_a_card_can_be_counted_in_thousandths(tmp_path: Path) -> None:
    assert read(_write(tmp_path), unit="milli").cards.tolist() == [460, 8000]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="line 3: expected at most 1000 as gpu_milli, found '1460'"):
        read(_write(tmp_path, PODS.replace(",460,", ",1460,")))
    with pytest.raises(Refused, match="expected card or milli"):
        read(_write(tmp_path), unit="gpu")
    with pytest.raises(Refused, match="expected the columns creation_time"):
        read(_write(tmp_path, PODS.replace("creation_time", "created")), "openb")

"""How busy cards are, as vendors' tools tell it: samples in their published formats, and what is no reading.

No sample was taken from a card of ours: we have none.
"""

import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agent.test_hours import HOUR_MS, KEY, Counter, Scene

from hutong.adapters.engines.base import Seen
from hutong.agent.card_counters import CardCounter, CardCounters
from hutong.agent.card_tools import READERS, read_cnmon, read_npu_smi, read_nvidia_smi
from hutong.agent.config import read_agent
from hutong.agent.hours import Hours
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Refused
from hutong.core.work.states import AttemptState

NVIDIA = """index, utilization.gpu [%], power.draw [W]
0, 97 %, 612.10 W
1, 0 %, 70.02 W
2, [N/A], 71.00 W
"""
NPU = """+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc3                 Version: 24.1.rc3                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B1               | OK            | 101.0       49                0    / 0             |
| 0                         | 0000:C1:00.0  | 37          0    / 0          7324 / 65536         |
+===========================+===============+====================================================+
| 1     910B1               | Alarm         | 98.4        47                0    / 0             |
| 0                         | 0000:01:00.0  | 0           0    / 0          7311 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 4711          | python3                  | 4021                    |
+===========================+===============+====================================================+
| No running processes found in NPU 1                                                            |
+===========================+===============+====================================================+
"""
DIES = """| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     Ascend910           | OK            | 172.6       52                0    / 0             |
| 0     0                   | 0000:9D:00.0  | 80          0    / 0          3151 / 65536         |
+------------------------------------------------------------------------------------------------+
| 0     Ascend910           | OK            | -           54                0    / 0             |
| 1     1                   | 0000:9F:00.0  | 20          0    / 0          2884 / 65536         |
+===========================+===============+====================================================+
"""
CNMON = """Thu Dec 19 22:05:42 2024
+------------------------------------------------------------------------------+
| CNMON v5.10.31                                               Driver v5.10.31 |
+-------------------------------+----------------------+-----------------------+
| Card  VF  Name       Firmware |               Bus-Id | Util        Ecc-Error |
| Fan   Temp      Pwr:Usage/Cap |         Memory-Usage | Mode     Compute-Mode |
|===============================+======================+=======================|
| 0     /   MLU370-X8    v1.1.6 |         0000:39:00.0 | 64%               N/A |
|  0%   32C        106 W/ 250 W |     0 MiB/ 23374 MiB | N/A           Default |
+-------------------------------+----------------------+-----------------------+
| 1     /   MLU370-X8    v1.1.6 |         0000:3D:00.0 | 0%                  0 |
|  0%   39C        106 W/ 250 W |     0 MiB/ 23374 MiB | FULL          Default |
+-------------------------------+----------------------+-----------------------+
"""


def test_each_tool_s_table_is_read_card_by_card() -> None:
    assert read_nvidia_smi(NVIDIA) == (970, 0)
    assert read_nvidia_smi("97 %\n3 %\n") == read_nvidia_smi("0, 97\n1, 3\n") == (970, 30)
    assert read_npu_smi(NPU) == (370, 0)
    assert read_npu_smi(DIES) == (500,)
    assert read_cnmon(CNMON) == (640, 0)


@pytest.mark.parametrize(
    ("tool", "text", "one"), [("nvidia-smi", NVIDIA, 2), ("npu-smi", DIES, 1), ("cnmon", CNMON, 2)]
)
def test_outputs_of_several_nodes_may_follow_each_other(tool: str, text: str, one: int) -> None:
    assert len(READERS[tool](text * 3)) == 3 * one


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(READERS)), st.data())
def test_whatever_is_printed_is_read_or_left_out(tool: str, data: st.DataObject) -> None:
    sample = {"nvidia-smi": NVIDIA, "npu-smi": NPU, "cnmon": CNMON}[tool]
    at = data.draw(st.integers(0, len(sample)))
    text = sample[:at] + data.draw(st.text(max_size=20)) + sample[data.draw(st.integers(at, len(sample))) :]
    assert all(0 <= each <= 1000 for each in READERS[tool](text))


def printing(folder: Path, text: str, *, code: int = 0) -> tuple[str, ...]:
    """Return a command that prints a text and ends so."""
    path = folder / f"said-{code}-{len(text)}"
    path.write_text(text)
    script = "import pathlib,sys; print(pathlib.Path(sys.argv[1]).read_text()); sys.exit(int(sys.argv[2]))"
    return (sys.executable, "-c", script, str(path), str(code))


def test_a_reading_of_other_cards_or_of_a_tool_that_failed_is_none(tmp_path: Path) -> None:
    cases = {
        "good": CardCounter("good", "npu-smi", 2, 30, printing(tmp_path, NPU)),
        "fewer": CardCounter("fewer", "npu-smi", 8, 30, printing(tmp_path, NPU)),
        "failed": CardCounter("failed", "npu-smi", 2, 30, printing(tmp_path, NPU, code=1)),
        "missing": CardCounter("missing", "npu-smi", 2, 30, ("/no/such/tool",)),
    }
    counters = CardCounters(tuple(cases.values()), lambda: 1_000_000)
    for pool in cases:
        counters.read(pool)
    assert {pool: counters.busy_milli(pool, 1_000_000) for pool in cases} == {
        "good": 370, "fewer": None, "failed": None, "missing": None
    }  # fmt: skip
    assert counters.busy_milli("good", 1_090_000) == 370
    assert counters.busy_milli("good", 1_090_001) is None
    assert counters.busy_milli("good", 999_999) is None
    assert (counters.counts("good"), counters.counts("x")) == ("npu-smi, sampled every 30 s", None)


def test_the_thread_reads_at_once_and_ends_when_told(tmp_path: Path) -> None:
    ended = threading.Event()

    def clock() -> int:
        ended.set()
        return 5

    counters = CardCounters((CardCounter("main", "cnmon", 2, 300, printing(tmp_path, CNMON)),), clock)
    counters.run(ended)
    assert counters.busy_milli("main", 5) == 640


class Read(CardCounters):
    """Counters whose readings a test gives."""

    def give(self, busy: int, now_ms: int) -> None:
        self._read["main"] = (now_ms, busy)


class Carded(Scene):
    """A site with cards that a tool tells of, beside an engine that counts too."""

    def fresh(self) -> Hours:
        self.cards = Read((CardCounter("main", "nvidia-smi", 8, 30),), lambda: self.world.now)
        return Hours(
            self.path, self.line, "a", self.key, self.counter, lambda: self.world.now, self.cards
        )  # fmt: skip

    def live(self, minutes: int, busy: int | None, elsewhere: int = 0) -> None:
        state = PoolState("main", 8, elsewhere)
        for _ in range(2 * minutes):
            self.world.now += 30_000
            if busy is not None:
                self.cards.give(busy, self.world.now)
            self.hours.look([Seen(KEY, AttemptState.RUNNING, "x")], (state,))


def hour_of(tmp_path: Path, *parts: tuple[int, int | None, int]) -> dict[str, object]:
    scene = Carded(tmp_path, counter=Counter({KEY: 5}))
    scene.note()
    scene.hours.look((), ())
    for part in parts:
        scene.live(*part)
    scene.live(1, 0)
    (closed,) = scene.hours._closed
    (pool,) = closed["pools"]
    assert pool["held_card_ms"] == 4 * HOUR_MS
    found: dict[str, object] = pool
    return found


def test_busy_is_what_the_tool_tells_and_never_more_than_is_held(tmp_path: Path) -> None:
    pool = hour_of(tmp_path, (30, 2500, 0), (30, 8000, 0))
    assert pool["busy_card_ms"] == 5 * HOUR_MS // 4 + 2 * HOUR_MS
    assert pool["method"] == "nvidia-smi, sampled every 30 s"
    assert "blind" not in pool


@pytest.mark.parametrize("part", [(30, None, 0), (1, 2500, 4)])
def test_an_hour_that_is_not_known_whole_is_not_measured(
    tmp_path: Path, part: tuple[int, int | None, int]
) -> None:
    pool = hour_of(tmp_path, (60 - part[0], 2500, 0), part)
    assert (pool["busy_card_ms"], pool["method"]) == (None, "")


def test_counters_are_read_from_the_agent_s_file_and_each_fault_is_named(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    base = f'site = "a"\nurl = "http://localhost"\ntoken = "t"\nroot = "{tmp_path}"\n'
    path.write_text(base + '[counters.main]\ntool = "cnmon"\ncards = 8\n')
    assert read_agent(path).counters == (CardCounter("main", "cnmon", 8, 30, ()),)
    path.write_text(base + '[counters."No Pool"]\ntool = "rocm"\ncards = 0\nevery_s = 1\n')
    with pytest.raises(Refused) as refused:
        read_agent(path)
    places = {each.path.rpartition("/")[2] for each in refused.value.problems}
    assert {"tool", "cards", "every_s"} <= places

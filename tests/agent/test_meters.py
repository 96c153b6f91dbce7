"""Registers that an agent reads: each format, what is no reading, missed hours, any kill and repeat.

No sample was taken from a meter of ours: we have none.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.adapters.store.memory.store import MemoryStore
from hutong.agent.config import read_agent
from hutong.agent.meter_sources import MeterSource
from hutong.agent.meters import ON_THE_HOUR_MS, PENDING_MOST, Meters
from hutong.core.book.meters import METER, Batch, Counts, Measures, Meter, Reading
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, Denied, Later, NotFound, Refused
from hutong.core.kernel.quantities import HOUR_MS
from hutong.server.registry import document
from hutong.wire.base import parse_rfc3339
from hutong.wire.meters import NewReadings

KWH = 3_600_000
T0 = 1_795_000_000_000 // HOUR_MS * HOUR_MS
PROM = """# HELP pdu_energy_joules_total What went through an outlet.
# TYPE pdu_energy_joules_total counter
pdu_energy_joules_total{outlet="1",rack="a"} 1.2345678e+09
pdu_energy_joules_total{outlet="2",rack="a"} 77
node_load1 0.5
"""
REDFISH = {"@odata.id": "/redfish/v1/Chassis/1/EnvironmentMetrics", "EnergykWh": {"Reading": 137.4501}}


def source(path: Path, text: str | bytes, **more: Any) -> MeterSource:
    file = path / "shown"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return replace(MeterSource("feed-1", "kWh", "number", file=file), **more)


@pytest.mark.parametrize(
    ("text", "more", "value"),
    [
        ("1250.5\n", {}, 1250 * KWH + KWH // 2),
        ("0", {}, 0),
        ("1e3", {"unit": "Wh"}, 3_600_000),
        ("0.0000001", {}, 0),
        ("12.3456789", {"unit": "J"}, 12),
        ("1.5", {"unit": "m3"}, 1_500_000),
        ('{"value": 2.25}', {"form": "json"}, 9 * KWH // 4),
        ('{"value": "2.25"}', {"form": "json"}, 9 * KWH // 4),
        (json.dumps(REDFISH), {"form": "json", "value": "/EnergykWh/Reading"}, 494_820_360),
        ('[{"a/b": [7]}]', {"form": "json", "value": "/0/a~1b/0", "unit": "J"}, 7),
        ("7", {"form": "json", "value": "", "unit": "J"}, 7),
        (
            PROM,
            {
                "form": "prometheus",
                "sample": "pdu_energy_joules_total",
                "labels": {"outlet": "1"},
                "unit": "J",
            },
            1_234_567_800,
        ),
    ],
)
def test_each_format_is_read_to_the_joule_below(
    tmp_path: Path, text: str, more: dict[str, Any], value: int
) -> None:
    assert source(tmp_path, text, **more).read() == value


JSON, PROMETHEUS = {"form": "json"}, {"form": "prometheus", "sample": "pdu_energy_joules_total"}


@pytest.mark.parametrize(
    ("text", "more", "why"),
    [
        ("", {}, "no number"),
        ("12 kWh", {}, "no number"),
        ("1\n2", {}, "no number"),
        ("-1", {}, "from 0 up"),
        ("NaN", {}, "from 0 up"),
        ("Infinity", {}, "from 0 up"),
        ("1e11", {}, "more than"),
        ("9e999999999", {"unit": "J"}, "more than"),
        ("1" * 100, {}, "longer"),
        (b"\xff\xfe1", {}, "no number"),
        ("{", JSON, "no json"),
        ("[" * 100_000, JSON, "no json"),
        ('{"value": true}', JSON, "no number"),
        ('{"value": null}', JSON, "no number"),
        ('{"other": 1}', JSON, "nothing at /value"),
        ('{"value": [1]}', {**JSON, "value": "/value/1"}, "nothing at"),
        (PROM, PROMETHEUS, "2 samples"),
        (PROM, {**PROMETHEUS, "labels": {"outlet": "3"}}, "0 samples"),
        ("pdu_energy_joules_total NaN", PROMETHEUS, "from 0 up"),
        ("pdu_energy_joules_total 1 1000", PROMETHEUS, "s old"),
        ("pdu_energy_joules_total{ 1", PROMETHEUS, "no prometheus"),
    ],
)
def test_what_is_no_reading_says_why(
    tmp_path: Path, text: str | bytes, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        source(tmp_path, text, **more).read()


def test_a_file_that_nobody_writes_any_more_is_no_reading(tmp_path: Path) -> None:
    told = source(tmp_path, "5", max_age_s=300)
    assert told.file is not None
    os.utime(told.file, (time.time() - 301,) * 2)
    with pytest.raises(Later, match="has stopped"):
        told.read()
    with pytest.raises(Later, match="cannot be read"):
        replace(told, file=tmp_path / "none").read()


def test_a_command_that_fails_is_no_reading() -> None:
    def run(program: str) -> MeterSource:
        return MeterSource("feed-1", "J", "number", command=(sys.executable, "-c", program))

    assert run("print(12)").read() == 12
    for program in ("import sys; print(12); sys.exit(3)", "import os; os.kill(os.getpid(), 9)"):
        with pytest.raises(Later):
            run(program).read()
    with pytest.raises(Later):
        MeterSource("feed-1", "J", "number", command=("/no/such/program",)).read()


@given(st.text(max_size=60), st.sampled_from(["number", "json", "prometheus"]))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_whole_number_or_refused(text: str, form: str) -> None:
    made = MeterSource("m", "kWh", form, command=("x",), sample="a" if form == "prometheus" else "")
    made = replace(made, value="")
    try:
        value = _read_text(made, text)
    except Refused:
        return
    assert 0 <= value <= 10**17


def _read_text(told: MeterSource, text: str) -> int:
    """Return what a source makes of a text, whoever printed it."""

    class Printed(MeterSource):
        def _run(self) -> str:
            return text

    return Printed(**{name: getattr(told, name) for name in MeterSource.__slots__}).read()


class Shown(MeterSource):
    """A register that a test turns."""

    __slots__ = ()
    at: ClassVar[dict[str, int | Exception]] = {}

    def read(self) -> int:
        value = self.at[self.meter]
        if isinstance(value, Exception):
            raise value
        return value


class Platform:
    """A line to a store in the same process; `faults` are what calls meet, before or after their effect."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.now = T0
        self.meter = Meter(
            "m", Measures.FACILITY, Counts.REGISTER, "north", 10**12, "test", "east", by_agent=True
        )
        self.faults: list[tuple[str, Exception]] = []
        self.calls = 0
        self.register()

    def register(self) -> None:
        self.store.put(Record(METER, "m", document(self.meter), "north"))

    def send_readings(self, meter: str, readings: NewReadings) -> None:
        self.calls += 1
        when, error = self.faults.pop(0) if self.faults else ("", Later(""))
        if when == "before":
            raise error
        told = tuple(
            Reading(meter, *(parse_rfc3339(each.end),) * 2, int(each.value or 0))
            for each in readings.readings
        )
        assert readings.unit == "J"
        self.store.read_meter(Batch(self.meter, told, "site:east", self.now))
        if when == "after":
            raise error

    @property
    def readings(self) -> list[tuple[int, int | None]]:
        found = self.store.readings("m", (0, 2 * T0), 1000)
        assert all(each.revision == 1 for each in found)
        return [(each.reading.upto_ms - T0, each.reading.value) for each in found]


class Scene:
    def __init__(self, folder: Path) -> None:
        self.folder, self.platform = folder, Platform()
        self.source = Shown("m", "J", "number", command=("x",))
        self.at = Shown.at = {"m": 100}
        self.meters = self.anew()

    def anew(self) -> Meters:
        """Return an agent that knows what is written down, as after a kill."""
        self.meters = Meters(
            self.folder / "meters.json", self.platform, (self.source,), lambda: self.platform.now
        )
        return self.meters

    def go(self, at_ms: int, value: int | Exception | None = None) -> int:
        self.platform.now = T0 + at_ms
        if value is not None:
            self.at["m"] = value
        return self.meters.step()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_register_is_read_once_an_hour_and_counts_as_of_the_full_hour(scene: Scene) -> None:
    assert scene.go(20 * 60_000, 100) == 1
    assert scene.go(40 * 60_000, 150) == 0
    assert scene.go(HOUR_MS + 3000, 200) == 1
    assert scene.go(HOUR_MS + 4000, 201) == 0
    assert scene.go(2 * HOUR_MS + ON_THE_HOUR_MS, 300) == 1
    assert scene.go(3 * HOUR_MS + ON_THE_HOUR_MS + 1, 400) == 1
    assert scene.platform.readings == [
        (20 * 60_000, 100), (HOUR_MS, 200), (2 * HOUR_MS, 300), (3 * HOUR_MS + ON_THE_HOUR_MS + 1, 400),
    ]  # fmt: skip
    hours = scene.platform.store.meter_hours("east", (0, 10**9), (-1, ""), 99)
    (whole,) = [each for each in hours if each.covered_ms == HOUR_MS and not each.spread_ms]
    assert whole.value == 100


def test_hours_that_were_missed_come_with_the_next_reading_and_are_said_to_be_spread(scene: Scene) -> None:
    scene.go(0, 0)
    scene.anew()
    assert scene.go(5 * HOUR_MS + 20 * 60_000, 1000) == 1
    assert scene.go(6 * HOUR_MS, 1100) == 1
    hours = scene.platform.store.meter_hours("east", (0, 10**9), (-1, ""), 99)
    assert sum(each.value for each in hours) == 1100
    assert [each.spread_ms for each in hours] == [HOUR_MS] * 5 + [20 * 60_000]


def test_a_register_that_went_back_is_told_and_what_went_through_is_a_gap(scene: Scene) -> None:
    for hour, value in enumerate((500, 600, 10, 30)):
        scene.go(hour * HOUR_MS, value)
    assert [value for _, value in scene.platform.readings] == [500, 600, 10, 30]
    hours = scene.platform.store.meter_hours("east", (0, 10**9), (-1, ""), 99)
    assert [each.value for each in hours] == [100, 20]


def test_what_cannot_be_read_is_tried_again_and_holds_up_no_other(scene: Scene) -> None:
    other = Shown("n", "J", "number", command=("x",))
    scene.at["n"] = Later("out of reach")
    scene.meters = Meters(
        scene.folder / "m.json", scene.platform, (other, scene.source), lambda: scene.platform.now
    )
    assert scene.go(0) == 1
    assert scene.go(60_000) == 0
    scene.at["n"] = 7
    scene.platform.faults = [("before", NotFound("not_found", "no such meter"))] * 3
    assert scene.go(120_000) == 0, "n is not registered"
    assert scene.go(180_000) == 0
    assert json.loads((scene.folder / "m.json").read_bytes())["n"]["pending"] == [[T0 + 120_000, 7]]


def test_while_the_platform_is_away_readings_wait_and_survive_a_kill(scene: Scene) -> None:
    scene.platform.faults = [*[("before", Later("away"))] * 3, ("after", Later("lost on the way back"))]
    for hour in range(3):
        assert scene.go(hour * HOUR_MS, hour * 100) == 0
        scene.anew()
    assert scene.go(2 * HOUR_MS + 60_000) == 0, "it was kept, and the answer lost"
    scene.anew()
    assert scene.go(2 * HOUR_MS + 120_000) == 3
    assert scene.platform.readings == [(0, 0), (HOUR_MS, 100), (2 * HOUR_MS, 200)]


@pytest.mark.parametrize("error", [Refused("bad_reading", "no"), Conflict("reading_differs", "another")])
def test_one_that_the_platform_never_takes_is_left_out_alone(scene: Scene, error: Refused) -> None:
    scene.platform.faults = [("before", Denied("forbidden", "not yet"))] * 3
    for hour in range(3):
        scene.go(hour * HOUR_MS, hour)
    # All three, then the first alone; the other two together.
    scene.platform.faults = [("before", error), ("before", error)]
    scene.go(2 * HOUR_MS + 60_000)
    assert scene.platform.readings == [(HOUR_MS, 1), (2 * HOUR_MS, 2)]
    assert scene.go(2 * HOUR_MS + 120_000) == 0


def test_readings_of_a_clock_that_was_ahead_are_left_out(scene: Scene) -> None:
    scene.platform.faults = [("before", Later("the clock is ahead"))]
    scene.go(100 * HOUR_MS, 5)
    assert scene.go(HOUR_MS, 6) == 1
    assert scene.platform.readings == [(HOUR_MS, 6)]


def test_what_is_written_down_is_bounded_and_spoilt_files_are_nothing(scene: Scene) -> None:
    path = scene.folder / "meters.json"
    many = [[T0 + at, at] for at in range(PENDING_MOST)]
    path.write_text(json.dumps({"m": {"last": many[-1], "pending": many}}))
    scene.platform.faults = [("before", Later("away"))] * 2
    scene.anew()
    scene.go(2 * HOUR_MS, 10**6)
    kept = json.loads(path.read_bytes())["m"]["pending"]
    assert (len(kept), kept[0], kept[-1]) == (PENDING_MOST, many[1], [T0 + 2 * HOUR_MS, 10**6])
    for spoilt in ("", "[]", '{"m": 5}', '{"m": {"last": [1]}}', '{"m": {"last": [1, 2], "pending": 3}}'):
        path.write_text(spoilt)
        scene.anew()
        scene.platform.faults = []
        scene.go(2 * HOUR_MS)
    assert scene.platform.readings[-1] == (2 * HOUR_MS, 10**6)


def test_many_go_in_parts_that_the_platform_takes(scene: Scene) -> None:
    months = [[T0 + 20 * 24 * HOUR_MS * at, at] for at in range(9)]
    (scene.folder / "meters.json").write_text(json.dumps({"m": {"last": months[-1], "pending": months}}))
    scene.anew()
    assert scene.go(months[-1][0] - T0 + 60_000) == 9
    assert scene.platform.calls == 5


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_however_calls_and_agents_fail_the_sum_is_what_went_through(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    scene = Scene(tmp_path_factory.mktemp("meters"))
    at_ms = value = 0
    faults = st.sampled_from(
        [("before", Later("")), ("after", Later("")), ("", Later("")), ("before", NotFound("not_found", ""))]
    )
    for _ in range(data.draw(st.integers(1, 8))):
        at_ms += data.draw(st.integers(1000, 3 * HOUR_MS))
        value += data.draw(st.integers(0, 1000))
        scene.platform.faults = data.draw(st.lists(faults, max_size=2))
        if data.draw(st.booleans()):
            scene.anew()
        scene.go(at_ms, Later("no answer") if data.draw(st.booleans()) else value)
    scene.platform.faults = []
    scene.go(at_ms + HOUR_MS, value)
    told = scene.platform.readings
    assert told[-1][1] == value
    hours = scene.platform.store.meter_hours("east", (0, 10**9), (-1, ""), 999)
    assert sum(each.value for each in hours) == value - (told[0][1] or 0)


def test_the_file_names_meters_and_says_what_is_wrong_with_one(tmp_path: Path) -> None:
    def read(text: str) -> Sequence[MeterSource]:
        path = tmp_path / "agent.toml"
        path.write_text(f'site = "a"\nurl = "http://x"\ntoken = "t"\nroot = "{tmp_path}"\n{text}')
        return read_agent(path).meters

    good = """[[meters]]
meter = "feed-1"
unit = "J"
format = "prometheus"
sample = "pdu_energy_joules_total"
labels = {outlet = "1"}
file = "/var/lib/exporter/pdu.prom"
[[meters]]
meter = "feed-2"
command = ["/opt/site/bin/feed-2"]
"""
    first, second = read(good)
    assert (first.form, first.labels, first.max_age_s) == ("prometheus", {"outlet": "1"}, 300)
    assert (second.unit, second.form, second.command) == ("kWh", "number", ("/opt/site/bin/feed-2",))
    one = '[[meters]]\nmeter = "m"\n'
    for bad, why in (
        (one, "either command or file"),
        (one + 'file = "/a"\ncommand = ["b"]', "either command or file"),
        (one + 'file = "/a"\nformat = "prometheus"', "wants sample"),
        (one + 'file = "/a"\nsample = "x"', "wants sample"),
        (one + 'file = "/a"\nunit = "GWh"', "J"),
        (one + 'file = "/a"\nvalue = "a.b"', "pattern"),
        (2 * (one + 'file = "/a"\n'), "one meter"),
    ):
        with pytest.raises(Refused) as caught:
            read(bad)
        assert any(why in each.message for each in caught.value.problems), caught.value.problems


def test_it_works_in_a_thread_until_it_is_told_to_end(scene: Scene) -> None:
    waits: list[float] = []

    class Once(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            self.set()
            return True

    ended = Once()
    scene.platform.now = T0 + HOUR_MS - 5000
    scene.meters.run(ended)
    assert len(scene.platform.readings) == 1
    assert waits == [pytest.approx(5.05)]

"""`hutong energy`: a meter's file, contracts and certificates, as an operator meets them."""

import json
from pathlib import Path
from typing import Any

from hutong.clients.cli.energy_commands import _basis, _lines_of
from hutong.config import now_ms
from hutong.core.kernel.quantities import HOUR_MS
from hutong.wire.base import rfc3339
from hutong.wire.energy import JobEnergy, SiteHour

WIDE = {"COLUMNS": "240"}


def test_from_a_file_of_readings_to_a_balance(house: Any, tmp_path: Path) -> None:
    made = house.run(
        "energy", "meters", "add", "feed-cli", "--site", "haidian", "--most-per-hour", "900",
        "--source", "grid",
        admin=True, env=WIDE,
    )  # fmt: skip
    assert (made.code, "feed-cli" in made.out) == (0, True), made.err
    hour = now_ms() // HOUR_MS - 40
    times = [rfc3339((hour + at) * HOUR_MS) for at in range(4)]
    file = tmp_path / "readings.csv"
    lines = [f"{times[at]},{times[at + 1]},{100 + at}" for at in (2, 0, 1)]
    file.write_text("\ufeffstart,end,value\n" + "\n".join(lines) + "\n")
    for wanted in ({"news": 3, "repeats": 0, "hours": 3}, {"news": 0, "repeats": 3, "hours": 0}):
        told = house.run("energy", "meters", "import", "feed-cli", str(file), "--json", admin=True)
        assert json.loads(told.out) == wanted
    file.write_text(f"start,end,value\n{times[0]},{times[1]},90\n")
    assert house.run("energy", "meters", "import", "feed-cli", str(file), admin=True).code == 2
    words = ("energy", "meters", "import", "feed-cli", str(file), "--correct", "misread")
    assert "1 readings are news" in house.run(*words, admin=True).out
    shown = house.run("energy", "meters", "readings", "feed-cli", "--from", times[0], admin=True, env=WIDE)
    assert (shown.out.count("misread"), shown.code) == (1, 0)
    balance = house.run("energy", "balance", "haidian", "--from", times[0], admin=True, env=WIDE)
    assert (balance.code, "hours are settled" in balance.out) == (0, True)
    assert house.run("energy", "progress", "haidian", admin=True, env=WIDE).code == 0
    assert house.run("energy", "balance", "haidian").code == 2  # not everybody's


def test_a_meter_is_given_to_the_site_s_agent(house: Any) -> None:
    add = (
        "energy", "meters", "add", "feed-agent", "--site", "haidian", "--most-per-hour", "900", "--source",
        "the centre", "--by-agent",
    )  # fmt: skip
    assert house.run(*add, admin=True).code == 2, "an agent reads registers"
    made = house.run(*add, "--register", admin=True, env=WIDE)
    assert (made.code, "the centre, by the agent" in made.out) == (0, True), made.err


def test_hours_say_what_was_spread_over_them() -> None:
    hour = SiteHour(
        hour="2026-11-28T00:00:00Z", metered_j=0, it_j=0, jobs_j=0, idle_j=0, overhead_j=0, modelled_j=0,
        green_j=0, grid_green_j=0, location_mg=0, market_mg=0, reused_j=0, water_ml=0, covered_ms=HOUR_MS,
        spread_ms=HOUR_MS // 3, basis="it=metered", settled="2026-11-28T02:00:00Z",
    )  # fmt: skip
    assert _basis(hour) == "it=metered; 20 min of it spread"
    assert _basis(hour.model_copy(update={"spread_ms": 0})) == "it=metered"


def test_bad_files_name_the_line(house: Any, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    for text, what in (
        ("a,b\n", "no column"),
        ("end,value\nmonday,5\n", "bad.csv:2"),
        ("end,value\n2026-11-01,5\n", ":2"),
    ):
        file.write_text(text)
        told = house.run("energy", "meters", "import", "none", str(file), admin=True)
        assert (told.code, what in told.err) == (2, True), told.err
    assert house.run("energy", "meters", "import", "none", str(tmp_path / "none.csv"), admin=True).code == 2


def test_contracts_and_certificates(house: Any) -> None:
    region = "Beijing"
    add = (
        "energy", "contracts", "add", "wind-cli", "--kind", "ppa", "--source", "wind", "--region", region,
        "--site", "haidian", "--supplier", "a farm", "--from", "2026-01-01T00:00:00Z",
    )  # fmt: skip
    assert house.run(*add, admin=True).code == 0
    assert "wind-cli" in house.run("energy", "contracts", "list", admin=True, env=WIDE).out
    assert (
        house.run("energy", "contracts", "end", "wind-cli", "--at", "2099-01-01T00:00:00Z", admin=True).code
        == 0
    )
    buy = (
        "energy", "certificates", "add", "gec-cli", "--scheme", "gec", "--series", "CLI", "--first", "1",
        "--last", "5",
        "--source", "wind", "--region", region, "--from", "2026-01-01T00:00:00Z",
        "--to", "2026-02-01T00:00:00Z", "--expires", "2098-01-01T00:00:00Z", "--bought-from", "x",
    )  # fmt: skip
    assert house.run(*buy, admin=True).code == 0
    give = (
        "energy",
        "certificates",
        "give",
        "gec-cli",
        "p1",
        "--site",
        "haidian",
        "--month",
        "2026-11",
        "--mwh",
        "2",
    )
    assert house.run(*give, admin=True).code == 0
    assert house.run("energy", "certificates", "take-back", "gec-cli", "p1", admin=True).code == 0
    assert house.run(*give, admin=True).code == 0
    retire = ("energy", "certificates", "retire", "gec-cli", "p1", "--reference", "R-1")
    assert house.run(*retire, admin=True).code == 0
    again = house.run(*retire, admin=True)
    assert (again.code, "retired already" in again.err) == (2, True)
    stated = ("--grams", "150000", "--lifetime-hours", "43800", "--covers", "card", "--source", "x")
    for pool, code in (("h100", 0), ("none", 2)):
        assert house.run("energy", "embodied", "haidian", pool, *stated, admin=True).code == code
    told = house.run("energy", "certificates", "list", admin=True, env=WIDE).out
    assert "retired under R-1" in told
    assert (
        house.run("energy", "residual", region, "2026", "--residual", "5", "--source", "x", admin=True).code
        == 0
    )


def test_a_job_s_energy_says_how_it_is_known() -> None:
    item = {
        "hour": "2026-11-28T00:00:00Z", "attempt": 1, "site": "bj", "it_j": 7_200_000, "overhead_j": 0,
        "green_j": 0, "location_mg": 5, "market_mg": 5, "method": "counted: ipmi",
    }  # fmt: skip
    told = {
        "job": "j", "card_ms": 3_600_000, "booked_j": 3_600_000, "booked_green_j": 0, "booked_mg": 0,
        "booked_method": "modelled", "counted_j": 7_200_000, "counted_by": "ipmi", "metered_hours": 2,
        "it_j": 14_400_000, "overhead_j": 0, "green_j": 0, "location_mg": 10, "market_mg": 10,
        "sci_mg_per_card_hour": 5000, "embodied_mg": 4990, "items": [item, item],
    }  # fmt: skip
    lines = list(_lines_of(JobEnergy.model_validate(told)))
    assert lines[1] == "counted: 2.000 kWh, without overhead (ipmi)"
    assert lines[3:] == ["  2 h counted: ipmi", "SCI: 5.000 g per card-hour, embodied carbon in it"]
    bare = told | {"counted_j": None, "counted_by": "not counted: x", "metered_hours": 0, "items": []}
    lines = list(_lines_of(JobEnergy.model_validate(bare)))
    assert lines[1:] == ["not counted: x", "metered: no hour of it is settled by a meter of its site"]

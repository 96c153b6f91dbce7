"""The registry on the command line: a scenario is loaded, a workbook imported, sums and identifiers shown."""

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from hutong.clients.cli.sheets import read_table
from hutong.core.kernel.errors import Refused

EXAMPLES = Path(__file__).parents[3] / "examples" / "centres"
WIDE = {"COLUMNS": "200"}


def test_a_city_is_loaded_twice_and_asked_what_it_has(house: Any) -> None:
    for _ in range(2):
        loaded = house.run("centres", "load", "kajaani", admin=True)
        assert (loaded.code, loaded.out.strip()) == (0, "2 centres are in the registry"), loaded.err
    assert "in-service" in house.run("centres", "list", "--region", "Kajaani, Finland", env=WIDE).out
    shown = house.run("centres", "show", "lumi", "--as-of", "2022", env=WIDE).out
    assert "10,240 MI250X; 375 P FP64" in shown
    assert "due 2022, as told 2020-10" in shown
    summed = house.run("centres", "rollup", "--by", "chip", "--region", "Kajaani, Finland", env=WIDE).out
    assert "11,912" in summed
    plan = house.run("centres", "plan", "--from", "2022", "--until", "2024", "--months", "12",
                     "--region", "Kajaani, Finland", env=WIDE)  # fmt: skip
    assert "365" in plan.out
    made = house.run("identifiers", "register", "centre/lumi", "--holder", "EuroHPC", admin=True)
    code = made.out.strip()
    assert "centre/lumi" in house.run("identifiers", "resolve", code, env=WIDE).out
    assert "made here" in house.run("identifiers", "schemes", env=WIDE).out
    moved = house.run("identifiers", "transfer", code, "--to", "CSC", "--reason", "given", admin=True)
    assert "held by CSC" in moved.out
    house.run("identifiers", "retire", code, "--reason", "closed", admin=True)
    assert "retired" in house.run("identifiers", "list", "--subject", "centre/lumi", env=WIDE).out
    told = house.run(
        "centres", "change", "lumi-ai", "1", "accepted", "--on", "2026-01", "--source", "s", admin=True
    )
    assert "accepted since 2026-01" in told.out
    late = house.run(
        "centres", "replan", "lumi-ai", "1", "--due", "2027", "--told", "2026", "--source", "s", admin=True
    )
    assert "due 2027" in late.out
    gone = house.run("centres", "withdraw", "lumi-ai", "1", "--reason", "a trial", admin=True)
    assert (gone.code, "withdrawn" in gone.out) == (0, True)
    assert house.run("centres", "load", "atlantis", admin=True).code == 2


CITY = """
centres:
  - id: west
    name_en: West
    region: Testing
    sites: [haidian]
    phases:
      - id: "1"
        capacity: {cards: [{model: H100, cards: 24}]}
        changes: [{state: in-service, on: "2025", evidence: {source: news}}]
      - id: "2"
        capacity: {stated: {amount: 5 P FP64 dense benchmark, source: news, dated: "2025"}}
        changes: [{state: in-service, on: "2025", evidence: {source: news}}]
"""


def test_phases_are_set_beside_what_sites_declare(house: Any, tmp_path: Path) -> None:
    file = tmp_path / "city.yaml"
    file.write_text(CITY)
    assert house.run("centres", "load", str(file), admin=True).code == 0
    shown = house.run("centres", "reconcile", "--region", "Testing", env=WIDE)
    assert shown.code == 1, shown.err
    for text in ("H100 cards", "-8", "less", "unlike", "FP64 is not FP16", "nobody said which cards phase 2"):
        assert text in shown.out
    narrow = house.run("centres", "reconcile", "west").out
    assert "west" in narrow.splitlines()[1], "names are there within eighty columns"
    (found,) = json.loads(house.run("centres", "reconcile", "west", "--json").out)["items"]
    assert (found["verdict"], found["cards"][0]["difference"]) == ("less", -8)
    assert house.run("centres", "reconcile", "nobody").code == 2


def test_an_import_says_for_each_row_what_is_wrong(house: Any) -> None:
    tried = house.run("centres", "import", str(EXAMPLES / "bad.csv"), "--dry-run", admin=True, env=WIDE)
    assert (tried.code, "7 refused; nothing entered: a dry run" in tried.out) == (1, True), tried.err
    assert "sparse_as_dense" in tried.out
    good = json.loads(
        house.run("centres", "import", str(EXAMPLES / "bad.csv"), "--skip-bad", "--json", admin=True).out
    )
    assert (good["stored"], good["refused"]) == (2, 7)
    assert house.run("centres", "import", str(EXAMPLES / "bad.csv")).code == 2, "a user imports none"
    assert house.run("centres", "import", "nowhere.csv", admin=True).code == 2


def test_a_workbook_is_read_as_its_rows_stand(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["name", "p", "note"], ["甲", 7600.0, "two\nlines, and a comma"], [], ["乙", 0.5, None]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    lines = read_table(tmp_path / "a.xlsx").split("\n")
    assert lines == ["name,p,note", '甲,7600,"two lines, and a comma"', "", "乙,0.5,", ""]
    for name, data in (("b.xlsx", b"PK\x03\x04 no"), ("c.csv", "中".encode("gbk")), ("d.csv", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Refused):
            read_table(tmp_path / name)

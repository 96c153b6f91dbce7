"""Commands about computing power: answers for people and programs, exit codes, files that are none."""

import json
import re
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[3] / "examples" / "capacity"


def test_the_questions_of_a_city_are_answered(house: Any) -> None:
    wide = {"COLUMNS": "160"}
    shown = house.run("capacity", "convert", "3000 P", "--card", "910B", "--card", "H100", env=wide)
    assert shown.code == 0, shown.err
    likely, least, most = (line.split() for line in shown.out.splitlines()[1:4])
    assert (likely[0], likely[3], least[0], least[3], most[0], most[3]) == (
        "Ascend910B", "9,579", "from", "7,500", "to", "11,719",
    )  # fmt: skip
    assert "33.7 GWh" in shown.out
    assert "1,516" in shown.out, "what the sparse figure would give"
    refused = house.run("capacity", "compare", "shangzhuang", "frontier")
    assert refused.code == 2
    assert "FP16 and FP64" in refused.err
    assert "basis" in refused.err
    same = house.run("capacity", "compare", "yizhuang", "500 P FP16 dense nominal")
    assert "6.000 times" in same.out
    shown = house.run("capacity", "coverage", "beijing-2025", "--since", "beijing-2025-q1", env=wide)
    assert "12,000 P more" in shown.out
    assert "a plan, not a measurement" in shown.out
    total = re.search(r"([\d,.]+) P of ([\d,]+) cards", shown.out)
    assert total, "what is connected, with what other tests have connected"
    assert float(total[1].replace(",", "")) >= 15.82
    assert int(total[2].replace(",", "")) >= 16
    assert "44,984.2" in shown.out or "45,000" in shown.out


def test_the_100_p_gap_is_found_and_ends_with_1(house: Any) -> None:
    found = house.run("capacity", "check-table", str(EXAMPLES / "sanjiangyuan.csv"), env={"COLUMNS": "160"})
    assert found.code == 1
    assert "100 more than the stated 3,479" in found.out
    clean = house.run("capacity", "check-table", "-", text="name,cards\na,1\ntotal,1\n")
    assert (clean.code, clean.out.strip()) == (0, "nothing to say")
    assert house.run("capacity", "check-table", "nowhere.csv").code == 2
    assert house.run("capacity", "check-table", "-", text="a\nb,c\n").code == 2


def test_cards_figures_and_claims_are_shown(house: Any) -> None:
    cards = json.loads(house.run("capacity", "cards", "--domestic", "--json").out)
    assert {"Ascend910C", "MLU370", "S60"} <= {card["model"] for card in cards}
    shown = house.run("capacity", "figures", "BI-V150", env={"COLUMNS": "200"}).out
    assert "SPECTFLOPS" in shown
    assert "iluvatar.ai/BI-V150-vgpu" in shown
    assert "beijing-2027" in house.run("capacity", "claims", env={"COLUMNS": "160"}).out
    assert "unpublished" in house.run("capacity", "cards", "--vendor", "Enflame").out
    assert house.run("capacity", "figures", "nothing").code == 2


def test_figures_are_imported_by_operators(house: Any) -> None:
    file = str(EXAMPLES / "figures.csv")
    dry = house.run("capacity", "import", file, "--dry-run", admin=True, env={"COLUMNS": "200"})
    assert dry.code == 0, dry.err
    assert "1 taken, 5 flagged, 7 refused; nothing kept: a dry run" in dry.out
    assert "sentinel" in dry.out
    assert house.run("capacity", "import", file).code == 2, "a user imports none"
    kept = json.loads(house.run("capacity", "import", file, "--json", admin=True).out)
    assert kept["stored"] == 6
    id = next(each["figure"]["id"] for each in kept["verdicts"] if each["figure"])
    assert house.run("capacity", "remove-figure", id, admin=True).code == 0
    assert house.run("capacity", "remove-figure", id, admin=True).code == 2


def test_sums_and_mixes(house: Any) -> None:
    shown = house.run("capacity", "sum", "H100=100", "910B=900", env={"COLUMNS": "160"}).out
    assert "98.9 P" in shown
    assert "281.88 P [230.4 P, 360 P]" in shown
    assert house.run("capacity", "sum", "H100").code == 2
    words = ("--card", "H100=220000", "--card", "MLU370=40000", "--domestic", "90", "--json")
    found = json.loads(house.run("capacity", "mix", "3000 P", *words).out)
    assert found["least"] == "cost"
    assert found["domestic_cards_ppm"] >= 900_000 > found["domestic_p_ppm"]["likely"]
    for wrong in (
        ("3 MW",), ("3 P", "--card", "H1000"), ("3 P", "--card", "H100=x"), ("3 P", "--by", "x"),
        ("3 P", "--card", "H100=1:0"), ("3 P", "--precision", "FP17"), ("3 P", "--budget", "0"),
        ("3 P", "--max-power", "3 P"), ("3 P", "--card", "S60"), ("0 P",),
    ):  # fmt: skip
        answer = house.run("capacity", "mix", *wrong)
        assert answer.code == 2, wrong
        assert answer.err

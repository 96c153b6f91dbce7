"""Programmes as files: those that are shipped are good, and a wrong field is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hutong.config import data_folder
from hutong.core.accounts.registry import InstitutionKind
from hutong.core.kernel.errors import Refused
from hutong.core.ledger.subsidies.programme import Name, Party, Status
from hutong.server.subsidies.programmes import load_programmes, make_rules, read_programme
from hutong.wire.subsidies import SubsidyProgramme

FOLDER = data_folder("policies") / "subsidies"
SHIPPED = load_programmes(FOLDER)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_clause_says_where_it_stands_or_that_nobody_knows(name: str) -> None:
    programme = SHIPPED[name].programme
    implied = {Name.SETTLED, Name.FACE}
    assert {each.name for each in programme.clauses} == set(Name) - implied
    for clause in programme.clauses:
        assert clause.about
        if clause.status is not Status.UNKNOWN:
            assert clause.source.startswith("http"), clause
            assert clause.dated, clause
    assert read_programme(FOLDER / f"{name}.yaml").digest == SHIPPED[name].digest


def test_beijing_shenzhen_qingyang_and_langfang_say_what_their_sources_say() -> None:
    beijing, shenzhen = SHIPPED["beijing-2023"].programme, SHIPPED["shenzhen-2024"].programme
    qingyang, langfang = SHIPPED["qingyang"].programme, SHIPPED["langfang-2023"].programme
    assert beijing.rate_ppm(InstitutionKind.SME) == 200_000
    assert beijing.rate_ppm(InstitutionKind.UNIVERSITY) == 0
    assert beijing.cap_year_micro == 2_000_000 * 10**6
    assert beijing.day(beijing.signed_from_ms or 0) == "2023-09-01"
    assert (beijing.term_months, beijing.clean_credit_years, beijing.one_per_contract) == (12, 3, True)
    assert shenzhen.rate_ppm(InstitutionKind.STARTUP) == 600_000
    assert shenzhen.rate_ppm(InstitutionKind.UNIVERSITY) == 500_000
    assert shenzhen.pool_year_micro == 500_000_000 * 10**6
    assert str(qingyang.threshold) == "2500 P of FP16 dense"
    assert set(qingyang.claimants) == set(Party)
    assert langfang.pool_year_micro == 10_000_000 * 10**6
    assert langfang.lines == ("compute", "storage", "support")


def spoil(changes: dict[str, Any], **top: Any) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / "beijing-2023.yaml").read_text())
    for name, fields in changes.items():
        clause = document["clauses"][name]
        for key, value in fields.items():
            if value is None:
                del clause[key]
            else:
                clause[key] = value
    return {**document, **top}


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (spoil({"rate": {"percent": 101}}), "clauses/rate/percent"),
        (spoil({"rate": {"percent": "20"}}), "clauses/rate/percent"),
        (spoil({"rate": {"percent": 12.5}}), "clauses/rate/percent"),
        (spoil({"rate": {"percent": None}}), "clauses/rate/percent"),
        (spoil({"rate": {"by_kind": {"maker": 30}}}), "clauses/rate/by_kind/maker/[key]"),
        (spoil({"rate": {"source": None}}), "clauses/rate/source"),
        (spoil({"rate": {"ceiling": 3}}), "clauses/rate/ceiling"),
        (spoil({"rate": {"status": "unknown"}}), "clauses/rate/percent"),
        (spoil({"cap-per-year": {"counts": None}}), "clauses/cap-per-year/counts"),
        (spoil({"cap-per-year": {"yuan": -1}}), "clauses/cap-per-year/yuan"),
        (spoil({"threshold": {"status": "assumed"}}), "clauses/threshold/petaflops"),
        (spoil({"contract-signed": {"from": "2023-02-30"}}), "clauses/contract-signed/from"),
        (spoil({"contract-signed": {"until": "2023-09-01"}}), "clauses/contract-signed/until"),
        (spoil({"contract-signed": {"from": None, "until": None}}), "clauses/contract-signed/from"),
        (spoil({"eligible-lines": {"lines": ["Compute"]}}), "clauses/eligible-lines/lines/0"),
        (spoil({}, zone="Asia/Nowhere"), "zone"),
        (spoil({}, zone="Europe/Berlin"), "zone"),
        (spoil({}, pays="sometimes"), "pays"),
        (spoil({}, pays="charge"), "clauses/cap-per-year/counts"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, document: dict[str, Any], field: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    with pytest.raises(Refused) as refused:
        load_programmes(tmp_path)
    assert refused.value.problems[0].path == f"/{field}"
    assert str(path) in str(refused.value)
    assert refused.value.problems[0].hint


def test_what_is_no_yaml_a_clause_too_few_and_a_second_file_of_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(Refused, match="not YAML"):
        load_programmes(tmp_path)
    (tmp_path / "a.yaml").write_text((FOLDER / "qingyang.yaml").read_text())
    (tmp_path / "b.yaml").write_text((FOLDER / "qingyang.yaml").read_text())
    with pytest.raises(Refused, match="already defines"):
        load_programmes(tmp_path)
    document = spoil({})
    del document["clauses"]["evidence"]
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(Refused, match="clauses/evidence"):
        load_programmes(tmp_path)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_programme_survives_json(name: str) -> None:
    again = SubsidyProgramme.model_validate_json(SHIPPED[name].document.model_dump_json())
    assert make_rules(again) == SHIPPED[name]
    sparse = SubsidyProgramme.model_validate(
        SHIPPED[name].document.model_dump(mode="json", exclude_unset=True)
    )
    assert make_rules(sparse).programme == SHIPPED[name].programme

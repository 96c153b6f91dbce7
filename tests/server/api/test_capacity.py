"""Computing power over the API: each question is answered with sources, and unlike figures are refused."""

from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import SITE

from hutong.core.capacity.catalogue import CATALOGUE

EXAMPLES = Path(__file__).parents[3] / "examples" / "capacity"
URL = "/v1/capacity"


@pytest.fixture
def ask(platform: Any, li: dict[str, str]) -> Any:
    """Ask as Li, a user."""

    def get(path: str, status: int = 200, **query: Any) -> Any:
        answer = platform.http.get(f"{URL}/{path}", params=query, headers=li)
        assert answer.status_code == status, answer.text
        return answer.json()

    return get


def test_the_cards_behind_3000_p_in_five_chips(ask: Any) -> None:
    found = ask("conversion", amount="3000 P")
    cards = {chain["model"]: chain["cards"]["likely"] for chain in found["chains"]}
    assert cards == {"Ascend910B": 9_579, "H100": 3_034, "A100": 9_616, "H20": 20_271, "MLU370": 31_250}
    assert all(chain["choice"]["figure"]["source"] for chain in found["chains"])
    assert {each["precision"] for each in found["chains"][2]["also"]} >= {"FP64-TENSOR", "TF32"}
    assert "mistranslation" in ask("conversion", amount="12,000 petahashes")["flags"][0]


def test_500_p_against_frontier_is_refused_with_each_reason(ask: Any) -> None:
    report = ask("comparison", 422, left="shangzhuang", right="frontier")
    assert report["code"] == "unlike_figures"
    assert [each["path"] for each in report["problems"]] == ["?right/precision", "?right/basis"]
    assert "FP16 and FP64" in report["problems"][0]["message"]
    assert ask("comparison", left="yizhuang", right="shangzhuang")["ratio_milli"] == 6000
    assert ask("comparison", 422, left="H100", right="Ascend910B")["problems"][0]["path"] == "?right/basis"


def test_45000_p_against_33000_p_is_a_plan_with_what_is_registered(platform: Any, ask: Any) -> None:
    proved = {**SITE, "id": "yizhuang", "declared_only": False}
    platform.post("/v1/sites", proved)
    found = ask("coverage", claim="beijing-2025", since="beijing-2025-q1")
    growth = found["growth"]
    assert (growth["gops"], growth["growth_ppm"], growth["planned"]) == (12_000_000_000, 363_636, True)
    assert {chain["model"]: chain["cards"]["likely"] for chain in growth["chains"]}["H100"] == 12_134
    (evidence,) = found["evidence"]
    assert (evidence["total"]["gops"]["likely"], evidence["like"]) == (16 * 312_000, True)
    assert [row["total"]["cards"] for row in found["declared"]] == [16]
    assert (found["sites_with_evidence"], found["sites_declared_only"]) == (1, 1)
    assert found["left_gops"] == 45_000_000_000 - 16 * 312_000
    unlike = ask("coverage", 422, claim="beijing-2025", since="shangzhuang")
    assert unlike["problems"][0]["path"] == "?since/scope"
    assert ask("coverage", 422, claim="beijing-2025-q1", since="beijing-2025")["code"] == "unlike_figures"
    assert ask("coverage", 404, claim="nowhere")["code"] == "unknown_claim"


def test_the_missing_100_p_are_found(platform: Any, li: dict[str, str]) -> None:
    body = {"csv": (EXAMPLES / "sanjiangyuan.csv").read_text()}
    found = platform.post(f"{URL}/table", body, headers=li)
    assert found["errors"] == 1
    assert (found["findings"][0]["code"], found["findings"][0]["difference"]) == ("wrong_sum", "-100")


def test_cards_are_listed_page_by_page_and_shown_with_all_their_figures(ask: Any) -> None:
    page = ask("cards", limit=30)
    rest = ask("cards", limit=30, cursor=page["next"])
    models = [card["model"] for card in (*page["items"], *rest["items"])]
    assert models == sorted(CATALOGUE)
    assert {card["vendor"] for card in ask("cards", vendor="metax")["items"]} == {"MetaX"}
    assert all(card["domestic"] for card in ask("cards", domestic=True, limit=200)["items"])
    card = ask("cards/910c")
    assert (card["model"], card["dies"], card["status"]) == ("Ascend910C", 2, "conflicting")
    assert "huawei.com/Ascend910C" in card["names"]["hami"]
    assert {figure["of"] for figure in card["figures"]} == {"card", "die"}
    assert card["rule"]
    assert ask("cards/h1000", 404)["code"] == "unknown_card"
    assert len(ask("claims", limit=200)["items"]) == 10


def test_figures_are_judged_row_by_row_kept_once_and_taken_away(
    platform: Any, ask: Any, li: dict[str, str]
) -> None:
    body = {"csv": (EXAMPLES / "figures.csv").read_text(), "dry_run": True}
    assert platform.http.post(f"{URL}/figures", json=body, headers=li).status_code == 403
    before = ask("cards/Ascend910B")
    dry = platform.post(f"{URL}/figures", body)
    assert (dry["taken"], dry["flagged"], dry["refused"], dry["stored"]) == (1, 5, 7, 0)
    assert ask("cards/Ascend910B") == before
    wet = platform.post(f"{URL}/figures", {**body, "dry_run": False})
    assert (wet["stored"], wet["verdicts"]) == (6, dry["verdicts"])
    again = platform.post(f"{URL}/figures", {**body, "dry_run": False})
    assert (again["stored"], again["verdicts"]) == (0, dry["verdicts"])
    kept = [each for each in ask("cards/Ascend910C")["figures"] if each["id"]]
    assert [(each["gops"], each["confidence"]) for each in kept] == [(400_000, "D")]
    gone = platform.http.delete(f"{URL}/figures/{kept[0]['id']}", headers=platform.operator)
    assert gone.status_code == 204
    assert not [each for each in ask("cards/Ascend910C")["figures"] if each["id"]]


def test_an_imported_figure_with_better_evidence_is_the_one_that_is_used(platform: Any, ask: Any) -> None:
    head = "card,precision,teraflops,basis,source,dated,confidence"
    csv = f"{head}\nP800,FP16,350,nominal,data sheet,2026-01-02,A\n"
    platform.post(f"{URL}/figures", {"csv": csv})
    (chain,) = ask("conversion", amount="350 P", card="P800")["chains"]
    assert (chain["cards"]["likely"], chain["choice"]["figure"]["source"]) == (1000, "data sheet")


def test_a_mix_tells_unlike_figures_apart_and_both_domestic_shares(platform: Any, li: dict[str, str]) -> None:
    parts = [{"model": "H100", "cards": 100}, {"model": "910B", "cards": 900}, {"model": "C550", "cards": 8}]
    found = platform.post(f"{URL}/mix", {"parts": parts}, headers=li)
    assert [(each["basis"], each["cards"]) for each in found["totals"]] == [("nominal", 100), ("tool", 900)]
    assert found["without_figure"] == [{"model": "C550", "cards": 8}]
    assert found["domestic_cards_ppm"] == 892_857
    assert found["domestic_p_ppm"]["likely"] == 281_880 * 10**6 // (281_880 + 98_900)


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("conversion", {"amount": "3000"}, "?amount"),
        ("conversion", {"amount": "1 P", "precision": "FP17"}, "?precision"),
        ("conversion", {"amount": "1 P", "card": "S60"}, "/precision"),
        ("comparison", {"left": "x", "right": "1 P"}, "?left"),
        ("comparison", {"left": "1 P", "right": "0 P"}, "?right"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_place(
    ask: Any, path: str, query: dict[str, str], place: str
) -> None:
    assert ask(path, 422, **query)["problems"][0]["path"] == place

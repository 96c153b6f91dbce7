"""Placement policies are data: what ships can be read, and what is wrong is named."""

from pathlib import Path

import pytest

from hutong.config import Settings, data_folder
from hutong.core.control.rules import Rules, RunLengths
from hutong.core.kernel.errors import Refused
from hutong.core.placement.columns import Backfill
from hutong.server.policies import choose_policies, load_policies, load_rules


def test_the_four_objectives_of_a_job_file_ship() -> None:
    rules = load_rules(data_folder("policies"))
    assert set(rules.policies) == {"balanced", "cheapest", "greenest", "fastest"}
    assert rules.policy("greenest").green > rules.policy("greenest").price
    weighed = {name: policy.carbon for name, policy in rules.policies.items()}
    assert weighed["greenest"] > weighed["balanced"] > weighed["cheapest"] == weighed["fastest"] == 0
    weighed = {name: policy.reliability for name, policy in rules.policies.items()}
    assert weighed == {"balanced": 2, "cheapest": 1, "greenest": 1, "fastest": 10}
    assert rules.policy("balanced").fragmentation == 1
    assert Rules().policies["balanced"] == rules.policy("balanced"), "the built-in one is the one that ships"


def test_back_fill_goes_by_its_name_and_is_easy_if_nothing_is_said(tmp_path: Path) -> None:
    told = [Settings.load(tmp_path, {}), Settings.load(tmp_path, {"HUTONG_BACKFILL": "conservative"})]
    rules = [load_rules(data_folder("policies"), each.backfill) for each in told]
    assert [each.backfill for each in rules] == [Backfill.EASY, Backfill.CONSERVATIVE]
    with pytest.raises(Refused, match="settings"):
        Settings.load(tmp_path, {"HUTONG_BACKFILL": "hopeful"})


def test_run_lengths_are_walltimes_unless_the_operator_says_otherwise(tmp_path: Path) -> None:
    told = [Settings.load(tmp_path, {}), Settings.load(tmp_path, {"HUTONG_RUN_LENGTHS": "predicted"})]
    rules = [load_rules(data_folder("policies"), each.backfill, each.run_lengths) for each in told]
    assert [each.lengths for each in rules] == [RunLengths.WALLTIME, RunLengths.PREDICTED]
    with pytest.raises(Refused, match="settings"):
        Settings.load(tmp_path, {"HUTONG_RUN_LENGTHS": "hopeful"})


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name: x\nabout: y\nweights: {fit: -1, price: 1, wait: 1, distance: 1, green: 1}", "weights/fit"),
        ("name: x\nabout: y\nweights: {fit: 1}", "weights/price"),
        ("name: x\nabout: y\nweights: {fit: 0, price: 0, wait: 0, distance: 0, green: 0}", "weights"),
        ("name: X!\nabout: y\nweights: {fit: 1, price: 1, wait: 1, distance: 1, green: 1}", "name"),
        ("[1, 2", ""),
    ],
)
def test_a_bad_policy_is_refused_by_file_and_field(tmp_path: Path, text: str, names: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(Refused) as refused:
        load_policies(tmp_path)
    assert "bad.yaml" in refused.value.message
    assert refused.value.problems[0].path == f"/{names}"


def test_a_folder_without_the_default_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="balanced"):
        load_policies(tmp_path)


def test_policies_are_chosen_by_name_or_by_a_file_of_ones_own(tmp_path: Path) -> None:
    shipped = data_folder("policies") / "placement"
    own = tmp_path / "mine.yaml"
    own.write_text(
        "{name: mine, about: a try, weights: {fit: 1, price: 0, wait: 0, distance: 0, green: 7}}\n"
    )
    greenest, mine = choose_policies(["greenest", str(own)], shipped)
    assert (greenest.name, mine.name, mine.green) == ("greenest", "mine", 7)
    own.write_text("{name: mine, about: a try, weights: {fit: 1, gren: 7}}\n")
    for names, says in (
        (["cheepest"], "no policy 'cheepest'; there are balanced, cheapest, fastest, greenest, or a file"),
        (["fastest", "fastest"], "two of these policies are called 'fastest'"),
        ([str(own)], "mine.yaml: "),
        ([str(tmp_path / "none.yaml")], "cannot be read: No such file"),
    ):
        with pytest.raises(Refused, match=says):
            choose_policies(names, shipped)

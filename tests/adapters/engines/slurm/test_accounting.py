"""What Slurm's accounting says was used: its traps, and a real slurmdbd from job to platform."""

import json
from pathlib import Path

import pytest
from testbeds.slurm import SlurmDatabase
from tests.adapters.engines.slurm.conftest import GPU, Site
from tests.agent.scene import SITE, World
from tests.conformance.benches import now_ms

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.slurm import accounting, build
from hutong.adapters.engines.slurm.accounting import (
    Row,
    arguments,
    cards_of,
    read_json,
    read_text,
    uses_of,
)
from hutong.adapters.engines.slurm.commands import user_name
from hutong.adapters.engines.slurm.config import SlurmPool
from hutong.agent.accounts import Accounts
from hutong.core.book.received import Fate
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.metering import Limits
from hutong.core.work.spec import Ask, Resources
from hutong.server.reconciling import reconcile_day

RECORDED = Path(__file__).parent / "recorded" / "22.05"
KEY = AttemptKey("ht-01jd0000000000000000000000-a1")
T0 = 1_795_889_000
DEVICES = ("gpu:h800", "npu:910c", "")


def nothing(key: AttemptKey) -> int:
    return 0


def row(**more: object) -> Row:
    told: dict[str, object] = {
        "id": "7", "name": KEY, "submitted_s": T0, "started_s": T0, "ended_s": T0 + 60, "elapsed_s": 60,
        "tres": {"gres/gpu": 4}, "origin": "", "cluster": "bj",
    }  # fmt: skip
    return Row(**(told | more))  # type: ignore[arg-type]


def test_text_and_json_of_a_real_cluster_say_the_same() -> None:
    command = json.loads((RECORDED / "commands.json").read_text())["commands"]["sacct_jobs.txt"]
    have = command[command.index("-o") + 1].split(",")
    told = []
    for line in (RECORDED / "sacct_jobs.txt").read_text().split("\n"):
        fields = dict(zip(have, line.split(build.SEPARATOR), strict=False)) | {"Cluster": "rec"}
        if line:
            told.append(build.SEPARATOR.join(fields[name] for name in accounting.FIELDS))
    text = {each.id: each for each in read_text("\n".join(told))}
    recording = json.loads((RECORDED / "sacct.json").read_text())
    document = {each.id: each for user in ("root", "nobody") for each in read_json(recording, user)}
    ended = [each for each in text.values() if each.ended_s]
    assert len(ended) > 10
    for each in ended:
        other = document[each.id]
        assert (other.started_s, other.ended_s, other.elapsed_s) == (
            each.started_s,
            each.ended_s,
            each.elapsed_s,
        )
        assert cards_of(other, DEVICES) == cards_of(each, DEVICES)
    assert cards_of(text["19"], DEVICES) == 2
    assert cards_of(text["4"], DEVICES) == 2


def test_broken_answers_are_no_rows() -> None:
    assert read_text("\x1f\x1f\nnonsense\n") == []
    assert read_json({"jobs": [None, 5]}, "root") == []
    assert read_json(None, "root") == []
    odd = {"user": "root", "tres": {"allocated": [None]}, "time": 5, "comment": []}
    assert [each.tres for each in read_json({"jobs": [odd, {**odd, "user": "li"}]}, "root")] == [{"": 0}]


def test_a_chained_job_counts_from_its_start_not_from_its_submission() -> None:
    (use,) = uses_of([row(submitted_s=T0 - 77 * 3600)], (T0, T0 + 61), "", DEVICES, nothing)
    assert (use.card_ms, use.from_ms, use.upto_ms) == (4 * 60_000, T0 * 1000, (T0 + 60) * 1000)


def test_cards_are_totals_over_all_nodes_whatever_option_asked_for_them() -> None:
    assert cards_of(row(tres={"node": 2, "gres/gpu": 8, "gres/gpu:h800": 8}), DEVICES) == 8
    assert cards_of(row(tres={"node": 2, "gres/gpu:h800": 6, "gres/gpu:a100": 2}), DEVICES) == 8
    assert cards_of(row(tres={"gres/gpu": 8}), DEVICES) == 8
    assert cards_of(row(tres={"cpu": 8, "gres/shard": 9}), DEVICES) is None


def test_where_cards_are_not_counted_the_agent_says_what_it_asked_for() -> None:
    bare = row(tres={"cpu": 8})
    assert uses_of([bare], (T0, T0 + 61), "", DEVICES, lambda _: 16)[0].card_ms == 16 * 60_000
    assert uses_of([bare], (T0, T0 + 61), "", DEVICES, nothing)[0].card_ms is None


def test_each_start_of_a_requeued_job_is_a_record_and_a_repeat_is_the_same_one() -> None:
    first, second = row(), row(submitted_s=T0 + 60, started_s=T0 + 70, ended_s=T0 + 80, elapsed_s=10)
    found = uses_of([first, second, second], (T0, T0 + 3600), "", DEVICES, nothing)
    assert [each.record for each in found] == [f"bj:7:{T0}", f"bj:7:{T0 + 60}"]
    assert sum(each.card_ms or 0 for each in found) == 4 * 70_000


def test_jobs_that_are_not_ours_have_no_key_and_what_never_ran_or_still_runs_is_left_out() -> None:
    others = [
        row(name="mine"),
        row(id="8", origin="another"),
        row(id="9", started_s=0),
        row(id="10", ended_s=0),
    ]
    found = uses_of(others, (T0, T0 + 61), "ours", DEVICES, nothing)
    assert [each.key for each in found] == [None, None]


def test_a_span_takes_the_ends_in_it_so_that_spans_beside_each_other_take_each_once() -> None:
    rows = [row(id=str(n), ended_s=T0 + n) for n in range(10)]
    cut = [uses_of(rows, span, "", DEVICES, nothing) for span in ((T0, T0 + 4), (T0 + 4, T0 + 10))]
    assert [len(part) for part in cut] == [4, 6]


def test_time_that_a_job_was_suspended_does_not_count() -> None:
    assert uses_of([row(elapsed_s=20)], (T0, T0 + 61), "", DEVICES, nothing)[0].card_ms == 4 * 20_000


@pytest.mark.slow
def test_a_real_slurmdbd_tells_of_what_the_controller_purged(accounted: Site) -> None:
    from_ms = now_ms() - 60_000
    order = accounted.order("sleep 2", num_nodes=2)
    accounted.engine.submit(order)
    accounted.until((accounted.folder(order.key) / files.END).exists)
    accounted.until(
        lambda: not accounted.jobs(order.key)
    )  # MinJobAge is over: the controller knows it no more
    agent = accounted.with_()
    agent.until(lambda: agent.engine.used(from_ms, now_ms() + 1_000))
    assert accounted.cluster.run("squeue", "-h").strip() == ""
    (use,) = [each for each in agent.engine.used(from_ms, now_ms() + 1_000) if each.key == order.key]
    assert use.record.startswith("accounted:")
    assert use.card_ms == order.attempt.cards * (use.upto_ms - use.from_ms)
    assert use.upto_ms - use.from_ms >= 2_000
    assert agent.engine.used(use.upto_ms + 1_000, now_ms() + 2_000) == ()
    asked = arguments(user_name(), from_ms // 1000, now_ms() // 1000 + 1, steps=True)
    (row,) = [each for each in read_text(accounted.cluster.run("sacct", *asked)) if each.name == order.key]
    ranks = {step.nodes for step in row.steps if not step.id.endswith((".batch", ".extern"))}
    assert (row.nodes, len(ranks)) == (2, 2), "each node has a step of its own"
    assert {step.count for step in row.steps if step.nodes in ranks} == {1}
    assert (use.energy_j, use.energy_basis) == (None, "")  # nothing counts energy there


@pytest.mark.slow
def test_the_first_start_of_a_requeued_job_is_told_while_it_waits_for_the_next(accounted: Site) -> None:
    from_ms = now_ms() - 60_000
    order = accounted.running()
    job_id = accounted.job_id(order.key)
    accounted.cluster.run("scontrol", "update", f"JobId={job_id}", "Requeue=1")
    accounted.cluster.run("scontrol", "requeue", job_id)

    def starts() -> list[str]:
        found = accounted.engine.used(from_ms, now_ms() + 1_000)
        return [each.record for each in found if each.key == order.key]

    accounted.until(starts)
    accounted.cluster.run("scancel", job_id)
    accounted.until(lambda: not accounted.jobs(order.key))
    assert len(set(starts())) == len(starts()) >= 1
    assert starts()[0].startswith(f"accounted:{job_id}:")


@pytest.mark.slow
def test_a_job_from_the_platform_over_slurm_and_its_accounting_to_the_reconciliation(
    accounted: Site, database: SlurmDatabase, tmp_path: Path
) -> None:
    world, site = World(tmp_path / "world"), accounted.with_(pools={"main": SlurmPool(gres=GPU)})
    job = world.submit("sleep 3", resources=Resources((Ask("H100", 4),)), num_nodes=2)
    agent = world.agent(engine=site.engine)
    accounts = Accounts(tmp_path / "accounts.json", world.link, site.engine, now_ms)

    def settled() -> bool:
        world.now = now_ms()
        world.turn()
        agent.step()
        attempt = world.job(job).attempt
        return attempt is not None and attempt.settled

    database.kill()  # its rows come late: slurmctld keeps them meanwhile
    try:
        site.until(settled)
        with pytest.raises(Later):
            accounts.step()
    finally:
        database.start()
    site.until(lambda: not site.jobs(world.key(job)))
    key, before = world.key(job), world.store.billed([world.key(job)])
    site.until(lambda: accounts.step() > 0)
    (kept,) = world.store.records_for(SITE, [key])
    assert (kept.fate, kept.record.revision) == (Fate.CONFIRMED, 1), kept.reason
    assert kept.record.quantity >= 8 * 3_000
    assert [accounts.step(), accounts.step()] == [0, 0]
    report = reconcile_day(world.store, SITE, kept.record.day, Limits(), now_ms() + 9 * DAY_MS)
    assert report.differences == ()
    assert report.scheduler == report.usage
    assert (report.usage.count, report.ledger.card_ms) == (1, before[0].card_ms)
    assert world.store.check_ledger().faults == ()

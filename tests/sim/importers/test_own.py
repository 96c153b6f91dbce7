"""What the platform ran is written as a trace, and read again as the jobs that it was."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hutong.clients.cli.trace_commands import COLUMNS, rows, within
from hutong.sim.importers import read, read_imported
from hutong.wire.jobs import Job

MONEY = {"amount": "1"}


def job(number: int, submitted: str, *attempts: dict[str, Any], **other: Any) -> Job:
    """A job of li-na that asks for two H100 on each of two nodes."""
    found = {
        "id": f"01J{number:023d}", "name": "train", "project": "poems", "type": "task", "state": "SUCCEEDED",
        "reason": "", "by": "li-na", "priority": 0, "num_nodes": 2, "max_duration_s": 3600,
        "accelerators": ["H100:2", "910B:4"], "submitted": submitted, "changed": submitted,
        "finished": submitted, "conditions": {"reachable": None, "last_seen": None},
        "attempts": attempts, "charge": MONEY,
    }  # fmt: skip
    return Job.model_validate(found | other)


def attempt(number: int, started: str | None, ran_s: str, **other: Any) -> dict[str, Any]:
    return {
        "number": number, "key": f"a{number}", "state": "SUCCEEDED", "site": "tianjin", "pool": "ascend",
        "accelerator": "910B", "nodes": 2, "cards": 8, "price_per_card_hour": MONEY,
        "placed": "2026-11-02T00:00:00Z", "dispatched": None, "started": started, "ended": None,
        "ran_s": ran_s, "adopted": False, "category": "NONE", "reason": "",
        "exits": [], "charge": MONEY, "settled": True, "outputs": [], "missing": "", **other,
    }  # fmt: skip


def written(folder: Path, *jobs: Job, names: bool = True) -> Path:
    path = folder / "november.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows(jobs, names=names)])
    return path


def test_a_job_is_all_that_its_attempts_ran_on_the_cards_that_it_got(tmp_path: Path) -> None:
    failed = attempt(1, "2026-11-02T01:00:00Z", "30.4")
    never = attempt(2, None, "0")
    done = attempt(3, "2026-11-02T02:00:00Z", "600")
    first = job(1, "2026-11-02T00:00:00Z", failed, never, done)
    second = job(2, "2026-11-02T00:01:30.500Z", done, project="songs", by="bo")
    trace = read(written(tmp_path, second, first))
    assert trace.submit_s.tolist() == [0, 91]
    assert trace.run_s.tolist() == [630, 600]
    assert trace.limit_s.tolist() == [3600, 3600]
    assert (trace.nodes.tolist(), trace.cards_per_node.tolist()) == ([2, 2], [4, 4])
    assert [trace.groups[each] for each in trace.group] == ["poems", "songs"]
    assert [trace.users[each] for each in trace.user] == ["li-na", "bo"]
    assert trace.chips == ("910B",)


def test_what_is_no_job_to_replay_is_left_out_and_told(tmp_path: Path) -> None:
    ran = attempt(1, "2026-11-02T01:00:00Z", "5")
    jobs = (
        job(1, "2026-11-02T00:00:00Z", ran),
        job(2, "2026-11-02T00:00:00Z", ran, state="RUNNING"),
        job(3, "2026-11-02T00:00:00Z", state="EXPIRED"),
        job(4, "2026-11-02T00:00:00Z", {**ran, "cards": 0}, accelerators=[]),
    )
    found = read_imported(written(tmp_path, *jobs))
    assert found.left_out == {"not over": 1, "never ran": 1, "without cards": 1}
    assert len(found.trace) == 1


def test_projects_and_people_may_go_without_names(tmp_path: Path) -> None:
    ran = attempt(1, "2026-11-02T01:00:00Z", "5")
    jobs = [job(each, "2026-11-02T00:00:00Z", ran, by=("li-na", "bo")[each % 2]) for each in range(4)]
    text = written(tmp_path, *jobs, names=False).read_text()
    assert "li-na" not in text
    assert "poems" not in text
    trace = read(tmp_path / "november.csv")
    assert (len(trace.groups), len(trace.users)) == (1, 2)


def test_a_span_has_its_begin_and_not_its_end_and_reads_no_further() -> None:
    days = ("04T00:00:00Z", "03T00:00:00Z", "02T23:59:59Z", "02T00:00:00Z", "01T23:30:00Z", "01T22:59:59Z")
    jobs = iter([job(each, f"2026-11-{day}") for each, day in enumerate((*days, "02T12:00:00Z"))])
    found = within(jobs, datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    assert [each.submitted for each in found] == ["2026-11-02T23:59:59Z", "2026-11-02T00:00:00Z"]
    assert len(list(jobs)) == 1, "what is far older ends it"

"""What people see: amounts, progress, receipts and bills that read well in eighty columns."""

import io
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from rich.console import Console

from hutong.clients.cli.bills import brief, plain
from hutong.clients.cli.progress import Seen, View
from hutong.clients.cli.receipts import moment_of, show_check, show_receipt, show_why
from hutong.clients.cli.show_jobs import show_job
from hutong.clients.cli.terminal import local, short, size, yuan
from hutong.clients.cli.watch import LogLine
from hutong.core.book.snapshot import JobRow
from hutong.core.capacity.sites import Move, SiteStatus
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import JobId, ProjectId, SiteId, ulid
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.spec import JobSpec, JobType, Resources
from hutong.core.work.states import AttemptState, Category
from hutong.server.api.shapes.jobs import job_detail, job_shape
from hutong.server.forecasts import Forecast
from hutong.wire.base import rfc3339
from hutong.wire.jobs import Check, Fact
from hutong.wire.receipts import Alternative, Part, Receipt, WhyNot


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("12.500000", "¥12.50"),
        ("0.000153", "¥0.000153"),
        ("-3.000000", "-¥3.00"),
        ("1234567.1", "¥1,234,567.10"),
    ],
)
def test_an_amount_keeps_what_counts(amount: str, shown: str) -> None:
    assert yuan(amount) == shown


def test_numbers_and_names_are_short_and_true() -> None:
    assert (plain("0.004000"), plain("10"), plain("5.000")) == ("0.004", "10", "5")
    assert (size(999), size(4_126_335)) == ("999 B", "4.1 MB")
    assert brief("lot:award-094be0770a11") == "lot:award-094be0770a11"
    assert brief("lot:award-094be0770affffffffffff") == "lot:award-094be0770a…"


def fact(kind: str, **data: Any) -> Fact:
    return Fact(seq=1, at="2026-11-22T08:00:00.000Z", source="loop", kind=kind, data=data)


def test_what_was_seen_of_a_job_follows_its_facts_and_its_reports() -> None:
    seen = Seen()
    placed = {
        "attempt": 1,
        "site": "tianjin",
        "pool": "ascend",
        "nodes": 2,
        "cards": 2,
        "accelerator": "Ascend910B",
    }
    assert "tianjin/ascend" in seen.note(fact("placed", **placed))
    seen.note(fact("started", attempt=1))
    assert (seen.state, seen.attempts) == ("RUNNING", 1)
    assert seen.note(LogLine(1, '{"hutong": "progress", "step": 3, "steps": 9, "loss": 7.1}')) == ""
    assert seen.progress["step"] == 3
    assert seen.note(LogLine(1, '{"hutong": "result", "loss_after": 4}')) == ""
    assert seen.result["loss_after"] == 4
    for line in ("hello", '{"hutong": not json', '{"other": 1}'):
        assert seen.note(LogLine(1, line)) == line, "what is no report of ours is the job's own line"
    seen.note(fact("finished", state="SUCCEEDED", reason=""))
    assert seen.state == "SUCCEEDED"


@pytest.mark.parametrize("terminal", [True, False])
def test_the_live_view_shows_steps_loss_and_speed_and_no_raw_report(terminal: bool) -> None:
    out = io.StringIO()
    with View(Console(file=out, force_terminal=terminal, width=80), "train") as view:
        view.show(LogLine(1, "epoch one"))
        view.show(LogLine(1, '{"hutong":"progress","step":9,"steps":9,"loss":4.5,"tokens_per_s":1234}'))
    assert "epoch one" in out.getvalue()
    assert '"hutong"' not in out.getvalue()
    if not terminal:
        assert "step 9/9  loss 4.500  1,234 tokens/s" in out.getvalue()


CHOSEN = Alternative(
    site="zhangjiakou", pool="mlu", accelerator="MLU370", eligible=True, chosen=True, score_ppm=803_000,
    parts=(Part(name="price", raw="4.20 CNY an hour", value_ppm=1_000_000, weight=3),), why_not=None,
    price_per_card_hour="4.200000",
)  # fmt: skip
REFUSED = Alternative(
    site="a-site-with-quite-a-long-name", pool="cpu", accelerator="CPU", eligible=False, chosen=False,
    score_ppm=0, parts=(),
    why_not=WhyNot(code="card", text="has CPU, asked for MLU370", change="add CPU to accelerators"),
    price_per_card_hour="0.12",
)  # fmt: skip


def shown(show: Any, thing: object) -> str:
    out = io.StringIO()
    show(thing, Console(file=out, width=80, markup=False, highlight=False))
    return out.getvalue()


def test_a_receipt_names_the_parts_of_each_score_and_why_not_with_the_change() -> None:
    receipt = Receipt(
        job="01K2ABCDEFGHJKMNPQRSTVWXYZ", attempt=1, at="2026-11-22T08:00:00.000Z", policy="balanced",
        chosen="zhangjiakou/mlu", alternatives=(REFUSED, CHOSEN), digest="sha256:0", inputs={},
    )  # fmt: skip
    text = shown(show_receipt, receipt)
    assert max(map(len, text.splitlines())) <= 80
    assert text.index("zhangjiakou/mlu") < text.index("a-site-with"), "the chosen one comes first"
    for said in (
        "0.803",
        "price 4.20 CNY an hour → 1.00×3",
        "has CPU, asked for MLU370",
        "add CPU to accelerators",
    ):
        assert said in text


def test_how_far_the_inputs_are_is_said() -> None:
    placed = f.Placed(1, "bj", "h100", "H100", 1, 1, 1_000_000, 1200, 700)
    events = (f.Submitted("ann", "sha256:0"), f.Queued(), placed, f.Dispatched(1))
    job = fold(f.Fact(JobId(ulid(0, bytes(10))), n, 1_000, "test", each) for n, each in enumerate(events, 1))
    spec = JobSpec("x", JobType.TASK, 1, Resources(()), "true")
    move = Move(job.key(job.attempts[0]), "inputs", 3_100_000_000, 12_000_000_000)
    status = SiteStatus(SiteId("bj"), 1_000, 1_000, moves=(move,))
    found = job_shape(JobRow(job, spec, ProjectId("lab")), {"bj": status}, 2_000, 90_000)
    assert "the site fetches the inputs: 3.1 GB of 12.0 GB" in shown(show_job, found)
    assert found.conditions.moving is not None
    assert Seen().note(found.conditions.moving) == "the site fetches the inputs: 3.1 GB of 12.0 GB"


@pytest.mark.parametrize(
    ("likely_ms", "now_ms", "said"),
    [
        (60_000, 30_000, (62_000, "expected to end about", "by what this workload took before")),
        (60_000, 70_000, (122_000, "expected to end about", "by what this workload took before")),
        (60_000, 600_000, (602_000, "ends at", "at the latest")),
        (0, 30_000, (602_000, "ends at", "at the latest")),
    ],
)
def test_a_running_job_says_when_it_is_expected_to_end_and_by_what(
    likely_ms: int, now_ms: int, said: tuple[int, str, str]
) -> None:
    placed = f.Placed(
        1, "bj", "h100", "H100", 1, 1, 1_000_000, 1200, 700, run_ms=600_000, likely_ms=likely_ms
    )
    begun = (f.Submitted("ann", "sha256:0"), f.Queued(), placed, f.Dispatched(1), f.Started(1, 2_000))
    job = fold(f.Fact(JobId(ulid(0, bytes(10))), n, 2_000, "test", each) for n, each in enumerate(begun, 1))
    spec = JobSpec("x", JobType.TASK, 1, Resources(()), "true")
    found = job_shape(JobRow(job, spec, ProjectId("lab")), {}, now_ms, 90_000)
    end_ms, before, after = said
    assert found.attempts[0].expected_end == rfc3339(end_ms)
    assert f"{before} {local(rfc3339(end_ms))} {after}" in " ".join(shown(show_job, found).split())


def test_a_job_that_backs_off_says_why_and_until_when() -> None:
    queued = f.Queued("the node died", Category.INFRA, 20_000)
    ended = f.Ended(1, AttemptState.FAILED, Category.INFRA, "the node died", 0, 0, 0)
    placed = f.Placed(1, "bj", "h100", "H100", 1, 1, 1_000_000, 1200, 700)
    events = (f.Submitted("ann", "sha256:0"), f.Queued(), placed, f.Dispatched(1), ended, queued)
    told = (*events, f.Waiting("retry", "retry in 20 s: the node died"))
    job = fold(f.Fact(JobId(ulid(0, bytes(10))), n, 1_000, "test", each) for n, each in enumerate(told, 1))
    spec = JobSpec("x", JobType.TASK, 1, Resources(()), "true")
    row = JobRow(job, spec, ProjectId("lab"))
    waits = job_shape(row, {}, 20_999, 90_000)
    assert waits.conditions.retry_at == "1970-01-01T00:00:21.000Z"
    assert f"waiting: retry in 20 s: the node died (at {local(waits.conditions.retry_at)})" in " ".join(
        shown(show_job, waits).split()
    )
    assert job_shape(row, {}, 21_000, 90_000).conditions.retry_at is None


def test_why_tells_the_place_in_line_and_what_pools_say_now_not_what_was_told_once() -> None:
    queued = (f.Submitted("ann", "sha256:0"), f.Queued(), f.Waiting("busy", "31 of 32 cards free"))
    job = fold(f.Fact(JobId(ulid(0, bytes(10))), n, 1_000, "test", each) for n, each in enumerate(queued, 1))
    row = JobRow(job, JobSpec("x", JobType.TASK, 1, Resources(()), "true"), ProjectId("lab"))
    detail = job_detail(row, {}, None, 2_000, 90_000, {}, Forecast(2_000, 7, 0, 0, 0))
    check = Check(
        choice="", reason="0 of 32 cards free", alternatives=(REFUSED,), worst_case=None, fundable=True,
        policy="balanced",
    )  # fmt: skip
    said = " ".join(shown(partial(show_why, detail), check).split())
    assert "place 7 in line" in said
    assert "if it came first now: would wait: 0 of 32 cards free" in said
    assert "31 of 32" not in said
    free = check.model_copy(update={"choice": "bj/h100", "reason": ""})
    said = " ".join(shown(partial(show_why, detail), free).split())
    assert "last told: 31 of 32 cards free if it came first now: would go to bj/h100 now" in said
    never = check.model_copy(update={"never": True})
    assert "would be refused, for no pool here could ever take it: 0 of 32" in " ".join(
        shown(show_check, never).split()
    )
    told = " ".join(shown(show_job, detail).split())
    assert f"told when that began; what each pool says now: hutong why {short(job.id)}" in told


def test_a_check_that_finds_no_place_says_why() -> None:
    check = Check(
        choice="",
        reason="no pool has MLU370",
        alternatives=(REFUSED,),
        worst_case=None,
        fundable=False,
        policy="b",
    )
    assert "would wait: no pool has MLU370" in shown(show_check, check)


def test_a_check_of_a_project_in_debt_does_not_say_that_the_job_would_go() -> None:
    check = Check(
        choice="zhangjiakou/mlu",
        reason="the project owes 5.00 yuan",
        alternatives=(CHOSEN,),
        worst_case=None,
        fundable=False,
        policy="b",
    )
    text = shown(show_check, check)
    assert "would wait: the project owes 5.00 yuan" in text
    assert "would go" not in text


def test_a_moment_is_a_time_of_the_day_or_a_whole_one() -> None:
    began = "2026-11-29T03:30:00.000Z"
    day = datetime.fromisoformat(began).astimezone()
    noon = datetime.fromisoformat(moment_of("12:00", began))
    assert noon.astimezone(day.tzinfo).strftime("%Y-%m-%d %H:%M") == day.strftime("%Y-%m-%d 12:00")
    assert moment_of("2026-11-28T08:00+08:00", began) == "2026-11-28T00:00:00+00:00"
    for wrong in ("29:00", "noon", "12:61"):
        with pytest.raises(Refused):
            moment_of(wrong, began)

"""Data by name: a job goes only where its stores and shared folders are offered, and is told what is."""

from dataclasses import replace

from tests.core.control.test_queue import placed, receipts, scene, site, waiting, why

from hutong.core.book.snapshot import JobRow, Snapshot
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.work.spec import Input

LAB = Input("data/wiki", "", "url", url="s3://corpora/zh/", store="lab")
COMMON = Input("data/common", "", "shared", shared="datasets/zh/common")
OURS = Input("models/base", "sha256:" + "0" * 64, "manifest")


def moment(queue: list[JobRow], **offers: tuple[str, ...] | None) -> Snapshot:
    """Return a snapshot of sites that offer this."""
    shot = scene(tuple(site(name, 64) for name in sorted(offers)), queue)
    statuses = {name: replace(shot.statuses[name], offers=told) for name, told in offers.items()}
    return replace(shot, statuses=statuses)


def test_a_job_goes_where_all_that_it_names_is_offered() -> None:
    queue = [waiting(1, 8, 60, inputs=(LAB, COMMON)), waiting(2, 8, 60, inputs=(OURS,))]
    outcome = turn(moment(queue, bj=("store/lab",), hu=(), tj=("shared/datasets", "store/lab")), Rules())
    assert placed(outcome)[1] == "tj/p0"
    assert 2 in placed(outcome)
    for opened in receipts(outcome):
        assert opened.differences == ()
        assert opened.digest == opened.now_digest
    first, _ = receipts(outcome)
    told = {row.site: row.why_not for row in first.now.decision.rows if row.why_not}
    assert {name: each.code for name, each in told.items()} == {"bj": "no_data", "hu": "no_data"}
    assert told["bj"].text == "its centre does not offer shared datasets (it offers store lab)"


def test_a_center_that_has_not_said_may_have_it() -> None:
    queue = [waiting(1, 8, 60, inputs=(LAB,))]
    assert placed(turn(moment(queue, bj=None, tj=()), Rules())) == {1: "bj/p0"}


def test_where_nobody_offers_it_the_job_waits_and_a_look_ahead_says_so() -> None:
    queue = [waiting(1, 8, 60, inputs=(LAB,))]
    shot = moment(queue, bj=(), tj=("store/other",))
    code, text = why(turn(shot, Rules()), 1)
    assert code == "no_data"
    assert "does not offer store lab (it offers nothing)" in text
    told = preview(shot, queue[0].spec, queue[0].project, Rules())
    assert (told.code, told.never) == ("no_data", False)


def test_a_page_keeps_what_is_offered_only_where_somebody_asks_for_data() -> None:
    with_data = dict(turn(moment([waiting(1, 8, 60, inputs=(LAB,))], bj=("store/lab",)), Rules()).pages)
    without = dict(turn(moment([waiting(1, 8, 60)], bj=("store/lab",)), Rules()).pages)
    bare = dict(turn(moment([waiting(1, 8, 60)], bj=None), Rules()).pages)
    assert set(without) == set(bare) != set(with_data)

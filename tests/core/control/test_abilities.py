"""What an engine cannot do: a job that needs it goes elsewhere, and is told why and what would help."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.control.test_queue import placed, receipts, scene, site, waiting, why

from hutong.core.book.snapshot import JobRow, Snapshot
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.work.spec import JobType, Wish

Told = dict[str, Any]
GANG: Told = {"num_nodes": 2}
BOXED: Told = {"wish": Wish(isolation=True)}
SERVICE: Told = {"type": JobType.SERVICE}
NOTEBOOK: Told = {"type": JobType.NOTEBOOK}
PORTS: Told = {"ports": (8080,)}


def moment(queue: list[JobRow], **sites: Told) -> Snapshot:
    """Return a snapshot of sites of which this is known."""
    shot = scene(tuple(site(name, 64) for name in sorted(sites)), queue)
    statuses = {name: replace(shot.statuses[name], **told) for name, told in sites.items()}
    return replace(shot, statuses=statuses)


@pytest.mark.parametrize(
    ("needs", "without", "text"),
    [
        (GANG, {"can": ("services",)}, "its engine runs no job on more than one node"),
        (SERVICE, {"can": ("gangs",)}, "its engine leads no connections to jobs"),
        (NOTEBOOK, {"can": ("gangs",)}, "its engine leads no connections to jobs"),
        (PORTS, {"can": ()}, "its engine leads no connections to jobs"),
        (BOXED, {"isolation": "none"}, "its engine does not isolate jobs"),
    ],
)
def test_a_job_goes_where_the_engine_can_run_it(needs: Told, without: Told, text: str) -> None:
    able: Told = {"can": ("gangs", "services"), "isolation": "bwrap"}
    queue = [waiting(1, 8, 60, **needs), waiting(2, 8, 60)]
    outcome = turn(moment(queue, bj=without, tj=able), Rules())
    assert placed(outcome)[1] == "tj/p0"
    opened = {each.now.decision.rows[0].site: each for each in receipts(outcome)}
    assert all(each.differences == () and each.digest == each.now_digest for each in opened.values())
    rows = [row for each in receipts(outcome) for row in each.now.decision.rows if row.why_not]
    assert [
        (row.site, row.why_not and row.why_not.code, row.why_not and row.why_not.text) for row in rows
    ] == [("bj", "unable", text)]
    alone = turn(moment([waiting(2, 8, 60)], bj=without), Rules())
    assert placed(alone) == {2: "bj/p0"}, "who needs nothing of it goes there"


@pytest.mark.parametrize("needs", [GANG, SERVICE, PORTS, BOXED])
def test_an_agent_that_says_nothing_can_do_all(needs: Told) -> None:
    assert placed(turn(moment([waiting(1, 8, 60, **needs)], bj={}), Rules())) == {1: "bj/p0"}


def test_where_no_engine_can_the_job_waits_and_a_look_ahead_says_so() -> None:
    queue = [waiting(1, 8, 60, **(GANG | PORTS | BOXED))]
    shot = moment(queue, bj={"can": (), "isolation": "none"})
    code, text = why(turn(shot, Rules()), 1)
    assert code == "never"
    assert "runs no job on more than one node and leads no connections to jobs and does not isolate" in text
    assert text.endswith(
        "num_nodes: 1; in all: num_nodes: 1, leave placement.isolation out, "
        "wait until its centre can lead connections to jobs"
    )
    told = preview(shot, queue[0].spec, queue[0].project, Rules())
    assert (told.code, told.never) == ("never", True)


def test_a_page_keeps_what_is_lacking_only_where_somebody_needs_it() -> None:
    lacking: Told = {"can": ("gangs",), "isolation": "none"}
    plain, gang = (waiting(1, 8, 60), waiting(1, 8, 60, **GANG))
    for job in (plain, gang):
        bare = dict(turn(moment([job], bj={}), Rules()).pages)
        assert set(dict(turn(moment([job], bj=lacking), Rules()).pages)) == set(bare)
    served = [waiting(1, 8, 60, **SERVICE)]
    needed, none = (turn(moment(served, bj=told, tj={}), Rules()).pages for told in (lacking, {}))
    assert dict(needed).keys() != dict(none).keys()

"""What every store promises the loop: one leader, bounded snapshots, guarded outcomes, all or nothing."""

from dataclasses import asdict, replace

import pytest
from book_samples import (
    EAST,
    WEST,
    P,
    Q,
    charge,
    decide,
    ended,
    epoch_of,
    finish,
    fund,
    hold,
    job_id,
    key_of,
    overspend,
    place,
    placed,
    placing,
    queue,
    repayment,
    run,
    sighting,
    turn,
    wish,
)

from hutong.adapters.store.open import open_store
from hutong.core.accounts.quotas import Allotment, Quota
from hutong.core.accounts.registry import Institution, InstitutionKind
from hutong.core.book.lengths import KEPT_MS as LENGTHS_KEPT_MS
from hutong.core.book.lengths import MOST_LENGTHS, Length, work_of
from hutong.core.book.money import HoldPart, Posting
from hutong.core.book.prices import Book, Books, Price, PriceList, Timeline
from hutong.core.book.runs import KEPT_MS, Run, Runs, workload_of
from hutong.core.book.shares import HALF_LIFE_MS, of_institution, of_project
from hutong.core.book.snapshot import (
    Command,
    GangUse,
    Holding,
    JobOutcome,
    Limits,
    Outcome,
    PersonHolding,
    PoolUse,
    Running,
)
from hutong.core.book.stays import HALF_LIFE_MS as STAYS_HALF_LIFE_MS
from hutong.core.book.stays import Stay, Stays
from hutong.core.book.store import JobQuery, Record, Sighting, Store
from hutong.core.capacity.links import Link
from hutong.core.capacity.sites import Booking, Pool, PowerLimit, Site, Supply
from hutong.core.kernel.documents import to_document
from hutong.core.kernel.errors import Broken, Conflict, Refused
from hutong.core.kernel.ids import LotId, PoolId, ProjectId, SiteId
from hutong.core.work import facts as f
from hutong.core.work.spec import Ask, Resources
from hutong.core.work.states import AttemptState, Category, JobState


def test_one_leads_until_its_time_is_over(store: Store) -> None:
    assert store.lead("a", 0, 100) == 1
    assert store.lead("b", 99, 100) is None
    assert store.lead("a", 60, 100) == 1
    assert store.lead("b", 159, 100) is None
    assert store.lead("b", 160, 100) == 2
    assert store.lead("a", 170, 100) is None
    assert store.lead("b", 900, 100) == 2
    assert store.lead("a", 1000, 100) == 3


def test_a_leader_that_stops_gives_its_lease_back(store: Store) -> None:
    assert store.lead("a", 0, 1000) == 1
    assert store.lead("b", 10, 1000) is None
    store.lead("a", 20, 0)
    assert store.lead("b", 21, 1000) == 2


def test_a_clock_that_was_set_back_does_not_keep_the_lead_from_everybody(store: Store) -> None:
    days = 10 * 86_400_000
    assert store.lead("a", days, 10_000) == 1
    assert store.lead("b", 1000, 10_000) == 2
    assert store.lead("c", 2000, 10_000) is None


def test_a_clock_that_was_set_back_does_not_make_a_silent_site_reachable(store: Store) -> None:
    days = 10 * 86_400_000
    site = SiteId("bj")
    store.report(site, [], Sighting(days, frozenset(), frozenset()), days)
    store.report(site, [], Sighting(5000, frozenset(), frozenset()), 5000)
    status = store.statuses()[site]
    assert (status.seen_ms, status.observed_ms) == (5000, 5000)


def test_a_leader_that_asks_at_every_turn_rings_no_bell(store: Store) -> None:
    store.lead("a", 0, 1000)
    before = store.pulse()
    assert [store.lead("a", now, 1000) for now in range(1, 250, 10)] == [1] * 25
    assert store.lead("b", 100, 1000) is None
    assert store.pulse() == before


def test_a_replaced_leader_writes_nothing(store: Store) -> None:
    old = store.lead("a", 0, 100)
    assert old is not None
    store.submit([wish(1)], 50)
    outcome = Outcome((decide(store, 1, 60, f.Queued()),))
    assert store.lead("b", 200, 10**9) == old + 1
    with pytest.raises(Conflict) as fenced:
        store.apply(outcome, old, 210)
    assert fenced.value.code == "not_leading"
    with pytest.raises(Conflict):
        store.apply(Outcome(), old, 210)
    assert len(store.facts(job_id(1), 0, 10)) == 1


def test_due_jobs_come_first_due_first_and_bounded(store: Store) -> None:
    for n, at in ((1, 300), (2, 100), (3, 200), (4, 900)):
        store.submit([wish(n)], at)
    snapshot = store.snapshot(500, Limits(due=10))
    assert [row.job.id for row in snapshot.due] == [job_id(2), job_id(3), job_id(1)]
    assert [row.job.id for row in store.snapshot(500, Limits(due=2)).due] == [job_id(2), job_id(3)]
    assert snapshot.due[0] == store.job(job_id(2))
    turn(store, 500, decide(store, 2, 500, f.Queued(), due_ms=None))
    assert [row.job.id for row in store.snapshot(500, Limits()).due] == [job_id(3), job_id(1)]


def test_the_queue_goes_by_priority_then_by_age(store: Store) -> None:
    queue(store, 1, 300)
    queue(store, 2, 100)
    queue(store, 3, 200, priority=5)
    queue(store, 4, 100, Q)
    names = [row.job.id for row in store.snapshot(500, Limits()).queue]
    assert names == [job_id(3), job_id(2), job_id(4), job_id(1)]


def test_every_project_has_its_share_of_the_queues_head(store: Store) -> None:
    for n in range(1, 7):
        queue(store, n, 100 + n, priority=900)
    queue(store, 7, 500, Q)
    names = [row.job.id for row in store.snapshot(600, Limits(queue=4)).queue]
    assert names == [job_id(1), job_id(2), job_id(7)]


def test_a_queued_job_that_asks_for_a_look_is_not_in_the_queue_too(store: Store) -> None:
    for n in (1, 2, 3):
        queue(store, n, 100)
    store.ask(job_id(1), f.CancelAsked("ann"), 200)
    snapshot = store.snapshot(200, Limits(queue=2))
    assert [row.job.id for row in snapshot.due] == [job_id(1)]
    assert [row.job.id for row in snapshot.queue] == [job_id(2), job_id(3)]


def back_off(store: Store, n: int, now_ms: int, wait_ms: int) -> None:
    """Bring the n-th job to wait out a back-off after a failed attempt."""
    run(store, n, now_ms)
    store.report(EAST, [f.Report(key_of(n), ended(outcome=AttemptState.FAILED))], None, now_ms)
    again = f.Queued("the node died", Category.INFRA, wait_ms)
    turn(store, now_ms, decide(store, n, now_ms, again, due_ms=now_ms + wait_ms))


def test_jobs_that_back_off_take_no_place_in_the_queue_until_they_are_due(store: Store) -> None:
    for n in (1, 2, 3):
        back_off(store, n, 100, 1000 * n)
    back_off(store, 4, 100, 1000)
    queue(store, 5, 500)
    queue(store, 6, 600, Q)
    snapshot = store.snapshot(700, Limits(queue=2))
    assert snapshot.due == ()
    assert [row.job.id for row in snapshot.queue] == [job_id(5), job_id(6)]
    assert [row.job.id for row in store.snapshot(1100, Limits()).due] == [job_id(1), job_id(4)]
    # It was looked at when it was due, and no pool was free: from now on it stands in the queue.
    turn(store, 1100, decide(store, 1, 1100, f.Waiting("busy", "no card is free")))
    turn(store, 1100, decide(store, 4, 1100, f.Waiting("busy", "no card is free"), due_ms=9000))
    snapshot = store.snapshot(1200, Limits())
    assert [row.job.id for row in snapshot.queue] == [job_id(5), job_id(6), job_id(1), job_id(4)]
    assert snapshot.due == ()


def test_a_project_whose_jobs_all_back_off_takes_no_share_of_the_queue(store: Store) -> None:
    back_off(store, 1, 100, 1000)
    for n in (2, 3):
        queue(store, n, 200, Q)
    names = [row.job.id for row in store.snapshot(300, Limits(queue=2)).queue]
    assert names == [job_id(2), job_id(3)]


def test_a_wish_during_a_back_off_asks_for_a_look_at_once(store: Store) -> None:
    back_off(store, 1, 100, 60_000)
    store.ask(job_id(1), f.CancelAsked("ann"), 200)
    assert [row.job.id for row in store.snapshot(200, Limits()).due] == [job_id(1)]


def test_use_is_the_cards_of_live_attempts(store: Store) -> None:
    run(store, 1, 100)
    place(store, 2, 100, EAST)
    run(store, 3, 100, WEST)
    found = store.snapshot(200, Limits())
    assert found.use == (PoolUse(EAST, "h100", 32), PoolUse(WEST, "h100", 16))
    assert found.gangs == (GangUse(EAST, "h100", 2, 16, 2), GangUse(WEST, "h100", 2, 16, 1))
    finish(store, 1, 300)
    finish(store, 3, 300, WEST)
    assert store.snapshot(400, Limits()).use == (PoolUse(EAST, "h100", 16),)


def test_a_snapshot_has_sites_statuses_money_and_holds_of_what_it_shows(store: Store) -> None:
    supply = Supply((0,) * 24, (500,) * 24, "invented", synthetic=True)
    pool = Pool(PoolId("h100"), "H100", 4, 8, 18_000_000, 1250, "cuda")
    site = Site(EAST, "东", "East", "huabei", 30, "local", (pool,), supply)
    store.put(Record("site", EAST, asdict(site)))
    fund(store, "a1", 1000)
    fund(store, "q1", 1000, Q)
    run(store, 1, 100)
    queue(store, 2, 100)
    place(store, 3, 100, WEST, Posting(holds=(hold(key_of(3), ("a1", 300)),)))
    store.post(Posting(holds=(hold("request", ("a1", 5)),)))
    snapshot = store.snapshot(2000, Limits())
    assert snapshot.sites == (site,)
    assert snapshot.statuses == store.statuses()
    assert snapshot.lots == {P: store.lots(P)}
    assert snapshot.holds == {key_of(3): (HoldPart(LotId("a1"), 300),)}
    store.put(Record("site", EAST, asdict(replace(site, distance_km=40))))
    assert store.snapshot(2000, Limits()).sites[0].distance_km == 40
    store.remove("site", EAST)
    assert store.snapshot(2000, Limits()).sites == ()


def test_a_snapshot_has_the_debts_of_the_projects_that_occur(store: Store) -> None:
    for project in (P, Q):
        overspend(store, project, 70, project)
    assert store.snapshot(200, Limits()).debts == {}
    queue(store, 1, 100)
    assert store.snapshot(200, Limits()).debts == {P: 70}
    fund(store, "a1", 100)
    assert store.post(Posting((repayment("r", "a1", 70),)))
    assert store.snapshot(200, Limits()).debts == {}


def test_a_snapshot_has_the_links_and_a_document_names_its_own_ends(store: Store) -> None:
    links = (
        Link("platform", "region/r", 10**9, 0, "a test"),
        Link("platform", "site/bj", 10**10, 3, "a test"),
    )
    assert store.snapshot(1, Limits()).links == ()
    for each in reversed(links):
        store.put(Record("link", each.id, asdict(each)))
    assert store.snapshot(1, Limits()).links == links
    with pytest.raises(Refused):
        store.put(Record("link", "platform|site/hu", asdict(links[1])))
    with pytest.raises(Refused):
        store.put(Record("link", "platform|site/hu", {"one": "platform"}))
    store.remove("link", links[0].id)
    assert store.snapshot(1, Limits()).links == links[1:]


def test_a_snapshot_has_quotas_and_where_there_are_any_what_each_project_holds(store: Store) -> None:
    for project, owner in ((P, "uni"), (Q, "lab")):
        store.put(Record("project", project, {"id": project, "institution": owner, "title": ""}, owner))
    run(store, 1, 100)
    queue(store, 2, 100, Q)
    bare = store.snapshot(0, Limits())
    assert (bare.quotas, bare.holdings, bare.institutions) == ((), (), {Q: "lab"})
    quota = Quota("institution", "uni", 2000, (Allotment("H100", 8, None, 2),))
    store.put(Record("quota", quota.id, asdict(quota)))
    shot = store.snapshot(0, Limits())
    assert shot.quotas == (quota,)
    assert shot.institutions == {P: "uni", Q: "lab"}
    (use,) = shot.use
    assert shot.holdings == (Holding(P, use.site, use.pool, use.cards),)
    with pytest.raises(Refused):
        store.put(Record("quota", "institution/lab", asdict(quota)))
    store.remove("quota", quota.id)
    assert store.snapshot(0, Limits()) == bare


def test_a_snapshot_has_what_each_project_holds_where_cards_are_booked(store: Store) -> None:
    supply = Supply((0,) * 24, (500,) * 24, "invented", synthetic=True)
    pool = Pool(PoolId("h100"), "H100", 4, 8, 18_000_000, 1250, "cuda")
    site = Site(EAST, "东", "East", "huabei", 30, "local", (pool,), supply)
    store.put(Record("site", EAST, asdict(site)))
    run(store, 1, 100)
    queue(store, 2, 100, Q)
    assert store.snapshot(0, Limits()).holdings == ()
    booking = Booking("b1", PoolId("h100"), 8, 1000, 2000, "project/physics", "an exam")
    store.put(Record("site", EAST, asdict(replace(site, bookings=(booking,)))))
    assert store.snapshot(2000, Limits()).holdings == (), "it is over"
    shot = store.snapshot(0, Limits())
    assert shot.sites[0].bookings == (booking,)
    (use,) = shot.use
    assert shot.holdings == (Holding(P, use.site, use.pool, use.cards),)


def limit_people(store: Store, project: ProjectId = P) -> Quota:
    """Limit what each person of a project may hold."""
    quota = Quota("project", project, 1000, (Allotment("H100", 0, each_person=32),))
    store.put(Record("quota", quota.id, asdict(quota)))
    return quota


def test_a_snapshot_has_what_each_person_holds_of_the_projects_that_limit_people(store: Store) -> None:
    for n, (site, project, who) in enumerate(
        [(EAST, P, "bob"), (EAST, P, "ann"), (WEST, P, "ann"), (EAST, P, "ann"), (EAST, Q, "ann")], 1
    ):
        place(store, n, 100, site, project=project, by=who)
    run(store, 6, 100)
    queue(store, 7, 100, by="eve")
    quota = Quota("project", P, 1000, (Allotment("H100", 0, borrow=64),))
    store.put(Record("quota", quota.id, asdict(quota)))
    plain = store.snapshot(200, Limits())
    assert plain.person_holdings == (), "nobody is limited"
    assert store.snapshot(200, Limits()).quotas == (quota,)
    quota = limit_people(store)
    shot = store.snapshot(200, Limits())
    assert shot.quotas == (quota,)
    assert shot.holdings == plain.holdings
    assert shot.person_holdings == (
        PersonHolding(P, "ann", EAST, "h100", 48),
        PersonHolding(P, "ann", WEST, "h100", 16),
        PersonHolding(P, "bob", EAST, "h100", 16),
    )
    finish(store, 6, 300)
    assert store.snapshot(400, Limits()).person_holdings[0] == PersonHolding(P, "ann", EAST, "h100", 32)
    limit_people(store, Q)
    holdings = store.snapshot(400, Limits()).person_holdings
    assert [(each.project, each.person) for each in holdings] == [
        (P, "ann"),
        (P, "ann"),
        (P, "bob"),
        (Q, "ann"),
    ]


def test_who_waits_for_much_hides_no_others_of_a_project_that_limits_people(store: Store) -> None:
    for n in range(1, 7):
        queue(store, n, 100 + n, priority=900)
    queue(store, 7, 500, by="bob")
    queue(store, 8, 400, by="bob")
    queue(store, 9, 600, Q)
    assert numbers(store, 6) == [1, 2, 3, 9], "a share of three for each project"
    limit_people(store)
    assert numbers(store, 8) == [1, 2, 8, 7, 9]
    assert numbers(store, 4) == [1, 8, 9]
    store.ask(job_id(1), f.CancelAsked("ann"), 650)
    assert numbers(store, 4) == [2, 8, 9], "what is looked at takes no place"


def test_where_a_project_has_more_people_than_places_those_who_hold_least_are_shown(store: Store) -> None:
    place(store, 1, 100, by="ann")
    for n, who in enumerate(("ann", "bob", "eve"), 2):
        queue(store, n, 100 + n, by=who)
    limit_people(store)
    assert numbers(store, 2) == [3, 4]
    assert numbers(store, 1) == [3]
    assert numbers(store, 9) == [2, 3, 4]


def numbers(store: Store, most: int) -> list[int]:
    """Return which jobs a snapshot shows of the queue, by their numbers."""
    order = [row.job.id for row in store.snapshot(700, Limits(queue=most)).queue]
    return [next(n for n in range(1, 20) if job_id(n) == name) for name in order]


def test_finished_jobs_are_in_no_snapshot(store: Store) -> None:
    run(store, 1, 100)
    finish(store, 1, 200)
    snapshot = store.snapshot(10**9, Limits())
    assert (snapshot.due, snapshot.queue, snapshot.use, snapshot.lots) == ((), (), (), {})


def test_an_outcome_is_written_whole_and_a_stale_part_not_at_all(store: Store) -> None:
    queue(store, 1, 100)
    queue(store, 2, 100)
    first, second = placing(store, 1, 200), placing(store, 2, 200)
    store.ask(job_id(2), f.CancelAsked("ann"), 150)
    done = store.apply(Outcome((first, second)), epoch_of(store), 200)
    assert (done.written, done.stale) == (1, (job_id(2),))
    row = store.job(job_id(1))
    assert row is not None
    assert row.job == first.after
    assert store.receipt(key_of(1)) is not None
    assert store.receipt(key_of(2)) is None
    assert [taken.key for taken in store.take(EAST, 0, 10, 300)] == [key_of(1)]
    again = store.apply(Outcome((first,)), epoch_of(store), 200)
    assert (again.written, again.stale) == (0, (job_id(1),))


def test_an_outcome_of_an_unknown_job_is_stale(store: Store) -> None:
    queue(store, 1, 100)
    outcome = decide(store, 1, 200, f.Waiting("no_cards", "later"))
    strange = replace(
        outcome,
        job=job_id(7),
        after=replace(outcome.after, id=job_id(7)),
        facts=tuple(replace(fact, job=job_id(7)) for fact in outcome.facts),
    )
    assert store.apply(Outcome((strange,)), epoch_of(store), 200).stale == (job_id(7),)


def test_an_outcome_with_a_gap_or_twice_the_same_job_is_ours_to_mend(store: Store) -> None:
    queue(store, 1, 100)
    outcome = decide(store, 1, 200, f.Waiting("no_cards", "later"))
    gap = replace(outcome, facts=(), after=outcome.after)
    for wrong in (Outcome((gap,)), Outcome((outcome, outcome))):
        with pytest.raises(Broken):
            store.apply(wrong, epoch_of(store), 200)
    assert len(store.facts(job_id(1), 0, 10)) == 2


def test_what_does_not_fit_its_lot_leaves_no_trace_of_the_whole_turn(store: Store) -> None:
    fund(store, "a1", 1000)
    for n in (1, 2):
        queue(store, n, 100)
    good = placing(store, 1, 200, posting=Posting(holds=(hold(key_of(1), ("a1", 600)),)))
    bad = placing(store, 2, 200, posting=Posting(holds=(hold(key_of(2), ("a1", 600)),)))
    before = [store.jobs(JobQuery()), store.lots(P), store.facts(job_id(1), 0, 10)]
    with pytest.raises(Conflict) as short:
        store.apply(Outcome((good, bad)), epoch_of(store), 200)
    assert short.value.code == "insufficient_funds"
    assert [store.jobs(JobQuery()), store.lots(P), store.facts(job_id(1), 0, 10)] == before
    assert store.hold(key_of(1)) is None
    assert store.receipt(key_of(1)) is None
    assert store.take(EAST, 0, 10, 300) == ()
    turn(store, 300, good)
    assert store.lots(P)[0].held_micro == 600


def test_a_receipt_that_is_there_already_leaves_no_trace_either(store: Store) -> None:
    place(store, 1, 100)
    queue(store, 2, 100)
    wrong = replace(placing(store, 2, 200), receipts=((key_of(1), b"other"),))
    with pytest.raises(Conflict):
        store.apply(Outcome((wrong,)), epoch_of(store), 200)
    assert store.receipt(key_of(1)) == b'{"why":"fits"}'
    assert len(store.facts(job_id(2), 0, 10)) == 2


def test_a_snapshot_knows_what_ends_first_and_only_where_somebody_waits(store: Store) -> None:
    for n, minutes in ((1, 30), (2, 10), (3, 20), (4, 0)):
        queue(store, n, 100)
        begun = replace(placed(), run_ms=60_000 * minutes, likely_ms=1000 * minutes)
        turn(store, 200, decide(store, n, 200, begun, commands=(Command(key_of(n), EAST, "start"),)))
    assert store.snapshot(300, Limits()).running == ()
    store.submit([wish(6)], 300)
    assert len(store.snapshot(300, Limits()).running) == 3, "what has just come may be placed in this turn"
    turn(store, 300, decide(store, 6, 300, f.Finished(JobState.CANCELLED, "a test")))
    assert store.snapshot(300, Limits()).running == ()
    queue(store, 5, 300)
    ends = [(200 + 60_000 * minutes, 1000 * minutes) for minutes in (10, 20, 30)]
    found = store.snapshot(400, Limits())
    assert found.running == tuple(
        Running(P, EAST, "h100", 16, each, "ann", 200, likely, nodes=2) for each, likely in ends
    )
    assert found.use == (PoolUse(EAST, "h100", 64),), "what has no walltime holds its cards all the same"
    assert [each.until_ms for each in store.snapshot(400, Limits(running=2)).running] == [
        each for each, _ in ends[:2]
    ]


def test_a_snapshot_knows_who_may_be_stopped_and_what_is_being_freed(store: Store) -> None:
    begun = replace(placed(), preemptible=True)
    for n in range(1, 20):
        queue(store, n, 100 + n)
        site = WEST if n == 19 else EAST
        there = replace(begun, site=site, preemptible=n != 18)
        start = (Command(key_of(n), site, "start"),)
        turn(store, 200, decide(store, n, 200 + n, there, f.Dispatched(1), commands=start))
    assert store.snapshot(300, Limits()).may_give_way == (), "nobody waits"
    queue(store, 30, 300)
    found = store.snapshot(400, Limits())
    assert [row.job.id for row in found.may_give_way] == [job_id(n) for n in (*range(2, 18), 19)]
    assert found.clearing == ()
    few = store.snapshot(400, Limits(may_give_way=2)).may_give_way
    assert [row.job.id for row in few] == [job_id(17), job_id(19)], "of each pool the one that began last"
    for n, category in ((17, Category.PREEMPTED), (16, Category.USER)):
        turn(store, 500, decide(store, n, 500, f.StopSent(1, category, "x")))
    later = store.snapshot(600, Limits())
    assert [row.job.id for row in later.may_give_way] == [job_id(n) for n in (*range(1, 16), 19)]
    assert later.clearing == (PoolUse(EAST, "h100", 16),)


def test_a_snapshot_knows_who_may_be_stopped_while_a_limit_of_power_asks_for_it(store: Store) -> None:
    supply = Supply((0,) * 24, (500,) * 24, "invented", synthetic=True)
    pool = Pool(PoolId("h100"), "H100", 4, 8, 18_000_000, 1250, "cuda")
    site = Site(EAST, "东", "East", "huabei", 30, "local", (pool,), supply)
    for n in (1, 2):
        queue(store, n, 100)
        begun = replace(placed(), preemptible=True)
        start = (Command(key_of(n), EAST, "start"),)
        turn(store, 200, decide(store, n, 200, begun, f.Dispatched(1), commands=start))
    turn(store, 500, decide(store, 2, 500, f.StopSent(1, Category.PREEMPTED, "x")))
    limit = PowerLimit("l1", 20, 1000, 2000, "demand response", stop_jobs=True)
    for limits, at_ms, known in (((limit,), 999, 0), ((limit,), 1000, 1), ((limit,), 2000, 0), ((), 1000, 0)):
        store.put(Record("site", EAST, asdict(replace(site, power_limits=limits))))
        shot = store.snapshot(at_ms, Limits())
        assert shot.sites[0].power_limits == limits
        assert [row.job.id for row in shot.may_give_way] == [job_id(1)] * known
        assert len(shot.clearing) == known


def test_whole_runs_are_added_up_by_workload_and_shown_for_the_queue_only(store: Store) -> None:
    both = Resources((Ask("H100", 8), Ask("Ascend910B", 8)))
    spec = replace(wish(5).spec, name="train", resources=both)
    name = workload_of(P, spec)
    assert name == f"{P}/train"
    store.submit([replace(wish(5), spec=spec)], 100)
    turn(store, 100, decide(store, 5, 100, f.Queued()))
    for n, (chip, size) in enumerate((("H100", 1000), ("H100", 3000), ("Ascend910B", 500)), 1):
        queue(store, n, 100)
        turn(store, 200, replace(decide(store, n, 200, f.Waiting("busy", "x")), run=Run(name, chip, size)))
    queue(store, 4, 100)
    twice = [replace(decide(store, n, 300, f.Waiting("x", "y")), run=Run(name, "H100", 100)) for n in (3, 4)]
    turn(store, 300, *twice)
    assert store.snapshot(400, Limits()).runs == {name: (Runs("Ascend910B", 1, 500), Runs("H100", 4, 4200))}
    wanted = Limits(queue=0, due=0, workloads=(name, "", "q/none"))
    assert store.snapshot(400, wanted).runs.keys() == {name}, "as a check of a job asks for it"
    late = 300 + KEPT_MS + 1
    turn(store, late, replace(decide(store, 1, late, f.Waiting("z", "z")), run=Run("q/x", "H100", 1)))
    assert store.snapshot(late, Limits()).runs == {}, "long ago, and forgotten"


def test_lengths_are_kept_by_work_the_latest_of_them_and_forgotten(store: Store) -> None:
    spec = replace(wish(5).spec, name="train")
    work = work_of(P, spec)
    assert work == f"{P}/train/2x8"
    store.submit([replace(wish(5), spec=spec)], 100)
    turn(store, 100, decide(store, 5, 100, f.Queued()))
    for n in (1, 2, 3):
        queue(store, n, 100)
    turn(store, 200, replace(decide(store, 1, 200, f.Waiting("x", "y")), length=Length(work, 7)))
    stale = replace(decide(store, 1, 300, f.Waiting("y", "z")), length=Length(work, 5))
    turn(store, 300, stale)
    assert store.apply(Outcome((stale,)), epoch_of(store), 300).stale == (job_id(1),)
    assert store.snapshot(400, Limits(lengths=True)).lengths == {work: (7, 5)}, (
        "a turn that comes twice counts once"
    )
    assert store.snapshot(400, Limits()).lengths == {}, "nobody asked"
    for at in range(MOST_LENGTHS):
        told = [decide(store, n, 500 + at, f.Waiting("abcde"[at % 5], "z")) for n in (2, 3)]
        turn(store, 500 + at, *(replace(each, length=Length(work, 100 + at)) for each in told))
    kept = store.snapshot(600, Limits(lengths=True)).lengths[work]
    assert kept == tuple(100 + at // 2 for at in range(MOST_LENGTHS, 2 * MOST_LENGTHS))
    late = 600 + LENGTHS_KEPT_MS + MOST_LENGTHS
    turn(store, late, replace(decide(store, 1, late, f.Waiting("p", "q")), length=Length("q/x/1x1", 1)))
    assert store.snapshot(late, Limits(lengths=True)).lengths == {}, "long ago, and forgotten"


def test_stays_are_counted_once_by_site_and_forgotten_by_halves(store: Store, url: str) -> None:
    for site in (EAST, WEST):
        store.put(Record("site", site, to_document(_site(site))))  # type: ignore[arg-type]
    for n in (1, 2, 3):
        queue(store, n, 100)
    assert store.snapshot(150, Limits()).stays == {}

    def told(n: int, at_ms: int, site: str, node_ms: int, *, broke: bool) -> JobOutcome:
        waits = decide(store, n, at_ms, f.Waiting("busy", f"{at_ms}"))
        return replace(waits, stay=Stay(site, node_ms, broke))

    done = told(1, 200, EAST, 4000, broke=True)
    turn(store, 200, done, told(2, 200, EAST, 2000, broke=False), told(3, 200, "gone", 1, broke=True))
    again = store.apply(Outcome((done,)), epoch_of(store), 250)
    assert (again.written, again.stale) == (0, (job_id(1),))
    assert store.snapshot(300, Limits()).stays == {EAST: Stays(6000, 10**6)}, "once"
    later = 200 + STAYS_HALF_LIFE_MS
    turn(store, later, told(1, later, EAST, 100, broke=True), told(2, later, WEST, 70, broke=False))
    known = {EAST: Stays(3100, 1_500_000), WEST: Stays(70, 0)}
    assert store.snapshot(later, Limits(0, 0)).stays == known
    if url != "memory:":
        opened = open_store(url)
        assert opened.snapshot(later, Limits(0, 0)).stays == known, "as another process reads it"
        opened.close()
    halves = {EAST: Stays(1550, 750_000), WEST: Stays(35, 0)}
    assert store.snapshot(later + STAYS_HALF_LIFE_MS, Limits()).stays == halves


def test_a_turn_that_is_thrown_away_counts_no_stay(store: Store) -> None:
    store.put(Record("site", EAST, to_document(_site(EAST))))  # type: ignore[arg-type]
    fund(store, "a1", 100)
    queue(store, 1, 100)
    queue(store, 2, 100)
    counted = replace(decide(store, 1, 200, f.Waiting("busy", "x")), stay=Stay(EAST, 5000, broke=True))
    too_much = placing(store, 2, 200, posting=Posting(holds=(hold(key_of(2), ("a1", 600)),)))
    with pytest.raises(Conflict):
        store.apply(Outcome((counted, too_much)), epoch_of(store), 200)
    assert store.snapshot(300, Limits()).stays == {}


def _site(name: SiteId) -> Site:
    pool = Pool(PoolId("h100"), "H100", 4, 8, 10, 1200, "cuda")
    return Site(name, name, name, "north", 10, "local", (pool,), Supply((0,) * 24, (0,) * 24, "a test"))


def test_use_counts_for_its_project_and_institution_and_is_forgotten_by_halves(store: Store) -> None:
    store.put(Record("project", P, {"institution": "uni"}, "uni"))
    fund(store, "a1", 1000)
    place(store, 1, 100, posting=Posting(holds=(hold(key_of(1), ("a1", 600)),)))
    queue(store, 2, 100)
    assert store.snapshot(200, Limits()).served == {}
    for step in (1, 2):
        txn, used = charge(key_of(1), "a1", 10, step)
        posting = Posting((txn,), usage=(used,))
        turn(store, 1000, decide(store, 1, 1000, f.StopSent(1, Category.USER, "enough"), posting=posting))
    found = store.snapshot(1000, Limits())
    assert found.institutions == {P: "uni"}
    assert found.served == {of_project(P): 7200, of_institution("uni"): 7200}
    later = store.snapshot(1000 + HALF_LIFE_MS, Limits())
    assert later.served == {of_project(P): 3600, of_institution("uni"): 3600}


def test_pages_are_kept_with_the_receipts_that_rest_on_them_and_once(store: Store) -> None:
    pages = (("sha256:ground", b"sites"), ("sha256:page", b"pools"))
    for n in (1, 2):
        queue(store, n, 100)
    stale = replace(placing(store, 1, 200), seq=0)
    with pytest.raises(Broken):
        store.apply(Outcome((stale,), pages=pages), epoch_of(store), 200)
    assert store.page("sha256:page") is None
    store.apply(Outcome((placing(store, 1, 200),), pages=pages), epoch_of(store), 200)
    again = (pages[0], ("sha256:later", b"pools, later"))
    store.apply(Outcome((placing(store, 2, 300),), pages=again), epoch_of(store), 300)
    kept = [store.page(f"sha256:{name}") for name in ("ground", "page", "later", "none")]
    assert kept == [b"sites", b"pools", b"pools, later", None]


def test_a_page_is_not_kept_for_a_turn_whose_placements_came_too_late(store: Store) -> None:
    queue(store, 1, 100)
    late = placing(store, 1, 200)
    store.ask(job_id(1), f.CancelAsked("ann"), 150)
    done = store.apply(Outcome((late,), pages=(("sha256:page", b"pools"),)), epoch_of(store), 200)
    assert done.stale == (job_id(1),)
    assert store.page("sha256:page") is None


def test_a_withdrawn_start_is_never_taken(store: Store) -> None:
    place(store, 1, 100)
    over = ended(outcome=AttemptState.WITHDRAWN)
    turn(store, 200, decide(store, 1, 200, over, withdraw=(key_of(1),)))
    assert store.take(EAST, 0, 10, 300) == ()


def test_a_withdrawal_that_comes_after_the_agent_is_stale(store: Store) -> None:
    place(store, 1, 100)
    late = decide(store, 1, 200, ended(outcome=AttemptState.WITHDRAWN), withdraw=(key_of(1),))
    assert [taken.kind for taken in store.take(EAST, 0, 10, 150)] == ["start"]
    assert store.apply(Outcome((late,)), epoch_of(store), 200).stale == (job_id(1),)
    assert [taken.kind for taken in store.take(EAST, 0, 10, 300)] == ["start"]


def test_a_stop_is_commanded_once_and_an_end_closes_it(store: Store) -> None:
    run(store, 1, 100)
    stop = (Command(key_of(1), EAST, "stop"),)
    turn(store, 200, decide(store, 1, 200, f.StopSent(1, Category.CANCELLED, "asked"), commands=stop))
    turn(store, 300, decide(store, 1, 300, f.StopSent(1, Category.FUNDS, "money"), commands=stop))
    (taken,) = store.take(EAST, 0, 10, 400)
    assert (taken.kind, taken.attempt.stop_reason, taken.spec) == ("stop", "money", None)
    lost = ended(outcome=AttemptState.LOST)
    turn(store, 500, decide(store, 1, 500, lost))
    assert store.take(EAST, 0, 10, 600) == ()


def test_a_second_attempt_starts_beside_the_memory_of_the_first(store: Store) -> None:
    run(store, 1, 100)
    store.report(EAST, [f.Report(key_of(1), ended(outcome=AttemptState.FAILED))], None, 200)
    again = f.Queued("node failed", Category.INFRA)
    turn(store, 300, decide(store, 1, 300, again))
    turn(store, 400, placing(store, 1, 400, WEST, attempt=2))
    assert store.take(EAST, 0, 10, 500) == ()
    (taken,) = store.take(WEST, 0, 10, 500)
    assert (taken.key, taken.attempt.number, taken.attempt.site) == (key_of(1, 2), 2, WEST)
    assert store.snapshot(500, Limits()).use == (PoolUse(WEST, "h100", 16),)


def test_settling_closes_the_hold_and_the_audit_agrees(store: Store) -> None:
    fund(store, "a1", 1000)
    place(store, 1, 100, EAST, Posting(holds=(hold(key_of(1), ("a1", 600)),)))
    store.take(EAST, 0, 10, 150)
    store.report(EAST, [f.Report(key_of(1), f.Started(1, 150))], None, 160)
    txn, used = charge(key_of(1), "a1", 100, 1)
    step = Posting((txn,), (hold(key_of(1), ("a1", -100)),), (used,))
    turn(store, 200, decide(store, 1, 200, f.Metered(1, 190, 40, 100, final=False), posting=step))
    assert (store.lots(P)[0].posted_micro, store.lots(P)[0].held_micro) == (900, 500)
    more = Posting(holds=(hold(key_of(1), ("a1", 200)),))
    turn(store, 210, decide(store, 1, 210, f.StopSent(1, Category.USER, "x"), posting=more))
    assert store.lots(P)[0].held_micro == 700
    store.report(EAST, [f.Report(key_of(1), ended())], None, 250)
    txn, used = charge(key_of(1), "a1", 50, 2)
    last = Posting((txn,), (hold(key_of(1), ("a1", -700), closes=True),), (used,))
    events = (f.Metered(1, 240, 90, 150, final=True), f.Finished(JobState.SUCCEEDED, ""))
    turn(store, 300, decide(store, 1, 300, *events, posting=last))
    assert (store.lots(P)[0].posted_micro, store.lots(P)[0].held_micro) == (850, 0)
    assert store.hold(key_of(1)) is None
    check = store.check_ledger()
    assert (check.txns, check.entries, check.usage, check.faults) == (3, 6, 2, ())


def test_the_audit_names_a_charge_without_usage(store: Store) -> None:
    run(store, 1, 100)
    turn(store, 200, decide(store, 1, 200, f.Metered(1, 190, 40, 100, final=False)))
    (fault,) = store.check_ledger().faults
    assert key_of(1) in fault
    assert "100" in fault


def test_absences_are_seen_with_their_job(store: Store) -> None:
    run(store, 1, 100)
    store.report(EAST, [], sighting(5000), 5001)
    turn(store, 5002, decide(store, 1, 5002, f.StopSent(1, Category.USER, "x"), due_ms=9000))
    assert store.snapshot(6000, Limits()).absences == {}
    store.report(EAST, [], sighting(7000), 7001)
    snapshot = store.snapshot(7001, Limits())
    assert [row.job.id for row in snapshot.due] == [job_id(1)]
    assert (snapshot.absences[key_of(1)].since_ms, snapshot.absences[key_of(1)].polls) == (5000, 2)


def test_a_placement_beyond_the_queue_is_refused_by_the_fold(store: Store) -> None:
    store.submit([wish(1)], 100)
    with pytest.raises(Broken):
        decide(store, 1, 100, placed())


def _document(shape: object) -> dict[str, object]:
    found = to_document(shape)
    assert isinstance(found, dict)
    return found


def test_a_snapshot_has_the_prices_of_cards_and_the_kinds_of_those_who_pay(store: Store) -> None:
    queue(store, 1, 1)
    assert store.snapshot(5, Limits()).prices == PriceList()
    books = Books((Book("unis", "universities", (InstitutionKind.UNIVERSITY,)),))
    store.put(Record("price_book", "all", _document(books)))
    store.put(Record("project", P, {"id": P, "institution": "uni", "title": ""}, "uni"))
    uni = Institution("uni", InstitutionKind.UNIVERSITY, "", "")
    store.put(Record("institution", "uni", _document(uni)))
    lines = [
        Timeline("unis", sku, (Price("unis.1", 0, upto_ms, 5, 10, "agreed", "op", 0),))
        for sku, upto_ms in (("card:H100", 10), ("storage", 10), ("card:A100", 5))
    ]
    for each in lines:
        store.put(Record("price", each.id, _document(each), each.book))
    found = store.snapshot(5, Limits()).prices
    assert found == PriceList(books.books, (lines[0],), (("uni", InstitutionKind.UNIVERSITY),))

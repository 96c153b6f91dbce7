"""What every store promises to centres: commands repeat until their effect shows, reports may too."""

from dataclasses import replace

import pytest
from book_samples import (
    EAST,
    WEST,
    P,
    decide,
    ended,
    job_id,
    key_of,
    place,
    placing,
    queue,
    run,
    sighting,
    turn,
)

from hutong.core.book.snapshot import Command, Limits
from hutong.core.book.store import Dial, Sighting, Store, Summons
from hutong.core.capacity.sites import Move, PoolState, Transfer
from hutong.core.capacity.spread import Spread
from hutong.core.kernel.errors import NotFound
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work import facts as f
from hutong.core.work.states import AttemptState, Category, JobState


def state(store: Store, n: int) -> JobState:
    row = store.job(job_id(n))
    assert row is not None
    return row.job.state


def test_a_start_carries_all_and_taking_it_is_a_fact(store: Store) -> None:
    place(store, 1, 100)
    (taken,) = store.take(EAST, 0, 10, 200)
    row = store.job(job_id(1))
    assert row is not None
    assert (taken.key, taken.kind, taken.project) == (key_of(1), "start", P)
    assert (taken.spec, taken.job, taken.attempt) == (row.spec, row.job, row.job.attempts[0])
    assert taken.attempt.state is AttemptState.SUBMITTING
    assert taken.attempt.dispatched_ms == 200
    assert store.facts(job_id(1), 3, 10)[0].source == "agent:east"


def test_a_command_repeats_from_0_and_not_beyond_its_id(store: Store) -> None:
    place(store, 1, 100)
    place(store, 2, 100)
    first = store.take(EAST, 0, 10, 200)
    assert [taken.key for taken in first] == [key_of(1), key_of(2)]
    assert store.take(EAST, 0, 10, 300) == first
    assert store.take(EAST, first[0].id, 10, 300) == first[1:]
    assert store.take(EAST, first[1].id, 10, 300) == ()
    assert store.take(EAST, 0, 1, 300) == first[:1]
    assert store.take(WEST, 0, 10, 300) == ()
    assert len(store.facts(job_id(1), 0, 10)) == 4


def test_later_commands_have_higher_ids(store: Store) -> None:
    place(store, 1, 100)
    (first,) = store.take(EAST, 0, 10, 200)
    store.report(EAST, [f.Report(key_of(1), f.Started(1, 200))], None, 210)
    place(store, 2, 300)
    (second,) = store.take(EAST, first.id, 10, 400)
    assert second.id > first.id


@pytest.mark.parametrize(
    "event",
    [f.Accepted(1, "4711", adopted=False), f.Starting(1), f.Started(1, 150)],
    ids=lambda event: event.kind,
)
def test_a_report_of_its_effect_closes_a_start(store: Store, event: f.AgentEvent) -> None:
    place(store, 1, 100)
    store.take(EAST, 0, 10, 200)
    assert store.report(EAST, [f.Report(key_of(1), event)], None, 300).news == 1
    assert store.take(EAST, 0, 10, 400) == ()
    assert job_id(1) in [row.job.id for row in store.snapshot(300, Limits()).due]


@pytest.mark.parametrize("taken", [True, False])
def test_a_start_is_not_handed_out_once_a_stop_is_commanded(store: Store, taken: bool) -> None:
    place(store, 1, 100)
    place(store, 2, 100)
    if taken:
        store.take(EAST, 0, 10, 150)
    else:
        store.take(EAST, 0, 0, 150)
    stop = f.StopSent(1, Category.CANCELLED, "asked")
    turn(store, 200, decide(store, 1, 200, stop, commands=(Command(key_of(1), EAST, "stop"),)))
    orders = {(each.key, each.kind) for each in store.take(EAST, 0, 10, 300)}
    assert orders == {(key_of(1), "stop"), (key_of(2), "start")}


def test_what_went_wrong_last_at_a_site_is_shown_until_it_went_well(store: Store) -> None:
    full = replace(sighting(1000), trouble="No space left on device")
    store.report(EAST, [], full, 1000)
    assert store.statuses()[EAST].trouble == "No space left on device"
    store.report(EAST, [], replace(sighting(500), trouble="older"), 1500)
    assert store.statuses()[EAST].trouble == "No space left on device"
    store.report(EAST, [], sighting(2000), 2000)
    assert store.statuses()[EAST].trouble == ""


def test_repeats_late_news_and_other_sites_change_nothing(store: Store) -> None:
    run(store, 1, 100)
    before = store.job(job_id(1))
    reports = [
        f.Report(key_of(1), f.Started(1, 100)),
        f.Report(key_of(1), f.Accepted(1, "4711", adopted=False)),
        f.Report(key_of(1), f.Starting(1)),
        f.Report(key_of(1), f.Collected(1)),
        f.Report(key_of(1, 2), f.Started(2, 100)),
        f.Report(key_of(1), f.Ended(2, *_end(ended()))),
        f.Report(key_of(9), f.Started(1, 100)),
        f.Report(AttemptKey("not ours"), f.Started(1, 100)),
    ]
    done = store.report(EAST, reports, None, 300)
    assert (done.news, done.repeats) == (0, len(reports))
    other = store.report(WEST, [f.Report(key_of(1), ended())], None, 300)
    assert (other.news, other.repeats) == (0, 1)
    assert store.job(job_id(1)) == before


def _end(event: f.Ended) -> tuple[object, ...]:
    return (
        event.outcome,
        event.category,
        event.reason,
        event.started_ms,
        event.ended_ms,
        event.ran_ms,
        event.exits,
    )


def test_a_batch_may_tell_a_whole_life_in_order_and_twice(store: Store) -> None:
    place(store, 1, 100)
    store.take(EAST, 0, 10, 150)
    life = [
        f.Report(key_of(1), f.Accepted(1, "4711", adopted=True)),
        f.Report(key_of(1), f.Started(1, 160, 8000)),
        f.Report(key_of(1), ended()),
        f.Report(key_of(1), f.Collected(1)),
    ]
    done = store.report(EAST, [*life, *life], None, 200)
    assert (done.news, done.repeats) == (4, 4)
    assert state(store, 1) is JobState.FINISHING
    assert [fact.seq for fact in store.facts(job_id(1), 0, 100)] == list(range(1, 9))
    assert store.report(EAST, life, None, 300).news == 0


def test_what_is_collected_after_the_end_is_still_news(store: Store) -> None:
    run(store, 1, 100)
    store.report(EAST, [f.Report(key_of(1), ended())], None, 200)
    turn(store, 300, decide(store, 1, 300, f.Finished(JobState.SUCCEEDED, "")))
    assert store.report(EAST, [f.Report(key_of(1), f.Collected(1))], None, 400).news == 1
    assert state(store, 1) is JobState.SUCCEEDED


def test_statuses_tell_the_last_call_and_the_last_observation(store: Store) -> None:
    assert store.statuses() == {}
    store.take(EAST, 0, 10, 100)
    assert (store.statuses()[EAST].seen_ms, store.statuses()[EAST].observed_ms) == (100, 0)
    store.report(EAST, [], sighting(3000), 3100)
    store.report(EAST, [], Sighting(2500, frozenset(), frozenset()), 2600)
    status = store.statuses()[EAST]
    assert (status.seen_ms, status.observed_ms, status.agent, status.isolation) == (
        3100,
        3000,
        "agent 1",
        "bwrap",
    )


def test_what_a_centre_says_of_its_pools_is_kept_until_it_says_more(store: Store) -> None:
    spread = Spread((1, 0, 2), ((2, 1, 1), (1, 2, 3)))
    pools = (PoolState("h100", 24, 8, 600, spread), PoolState("cpu", 100, 0))
    moves = (Move(key_of(1), "inputs", 10, 20),)
    assert store.statuses() == {}
    store.take(EAST, 0, 10, 2900)
    assert store.statuses()[EAST].offers is None
    offers = ("shared/zh", "store/lab")
    stock = (f"sha256:{1:064x}",)
    assert store.statuses()[EAST].stock == ()
    transfers = (Transfer(10, 42 * 10**12, 3), Transfer(20, 7, 1))
    assert store.statuses()[EAST].transfers == ()
    assert (store.statuses()[EAST].can, store.statuses()[EAST].lacks) == (None, ())
    said = replace(sighting(3000), pools=pools, moves=moves, offers=offers, stock=stock, transfers=transfers)
    said = replace(said, can=("services", "energy"))
    store.report(EAST, [], said, 3100)
    assert store.snapshot(3200, Limits()).statuses[EAST].stock == stock
    assert store.statuses()[EAST].offers == offers
    assert store.statuses()[EAST].moves == moves
    assert store.statuses()[EAST].transfers == transfers
    assert store.snapshot(3200, Limits()).statuses[EAST].transfers == transfers
    assert store.statuses()[EAST].can == ("services", "energy")
    assert store.snapshot(3200, Limits()).statuses[EAST].lacks == ("gangs",)
    assert store.statuses()[EAST].pools == pools
    assert store.snapshot(3200, Limits()).statuses[EAST].pool("h100") == pools[0]
    store.report(EAST, [], replace(sighting(2000), pools=()), 3300)
    assert store.statuses()[EAST].pools == pools, "a late sighting says nothing"
    store.report(EAST, [], replace(sighting(4000), offers=()), 4100)
    status = store.statuses()[EAST]
    assert (status.pools, status.offers, status.stock, status.transfers) == ((), (), (), ())
    store.report(EAST, [], sighting(5000), 5100)
    assert (store.statuses()[EAST].offers, store.statuses()[EAST].can) == (None, None)


def test_an_empty_take_writes_at_most_once_a_second(store: Store) -> None:
    store.take(EAST, 0, 10, 1000)
    before = store.pulse()
    for now in range(1001, 2000, 50):
        assert store.take(EAST, 0, 10, now) == ()
    assert store.pulse() == before
    store.take(EAST, 0, 10, 2000)
    assert store.pulse() != before
    assert store.statuses()[EAST].seen_ms == 2000


def test_reports_note_a_call_at_most_once_a_second_and_with_every_observation(store: Store) -> None:
    place(store, 1, 1000)
    for now, noted in ((1000, 1000), (1500, 1000), (1999, 1000), (2000, 2000)):
        store.report(EAST, [f.Report(key_of(1), f.Accepted(1, f"x-{now}", False))], None, now)
        assert store.statuses()[EAST].seen_ms == noted
    store.report(EAST, [], sighting(2050), 2100)
    assert (store.statuses()[EAST].seen_ms, store.statuses()[EAST].observed_ms) == (2100, 2050)
    store.report(EAST, [], None, 1500 - 10 * 86_400_000)
    assert store.statuses()[EAST].seen_ms == 1500 - 10 * 86_400_000, "a clock that was set back is believed"


def test_an_agent_is_summoned_by_what_is_for_it_and_by_nothing_else(store: Store) -> None:
    assert store.summons() == {}
    for site in (EAST, WEST):
        store.take(site, 0, 10, 100)
    assert store.summons() == {EAST: Summons(), WEST: Summons()}
    queue(store, 1, 100)
    place(store, 2, 100)
    (first,) = store.take(EAST, 0, 10, 100)
    before = store.summons()
    assert before == {EAST: Summons(first.id), WEST: Summons()}
    store.report(EAST, [f.Report(key_of(2), f.Accepted(1, "x", False))], None, 100)
    turn(store, 200, placing(store, 1, 200))
    (second,) = store.take(EAST, first.id, 10, 250)
    assert store.summons()[EAST].command == second.id > first.id
    store.watch(key_of(1), 5000)
    for n, site in ((1, WEST), (2, EAST), (3, EAST)):
        store.dial(Dial(f"call-{n}", site, key_of(n), n, 8000, "https://gate.example", 900), 250)
    assert store.summons() == {
        EAST: Summons(second.id, frozenset({"call-2", "call-3"}), 5000),
        WEST: Summons(0, frozenset({"call-1"})),
    }
    store.report(EAST, [f.Report(key_of(n), f.Started(1, 260)) for n in (1, 2)], None, 260)
    assert store.summons()[EAST].command == 0, "commands that had their effect are gone"


def test_absence_is_counted_only_by_observations_that_are_newer(store: Store) -> None:
    run(store, 1, 1000)
    run(store, 2, 1000)
    place(store, 3, 1000)

    def absent(now: int) -> dict[AttemptKey, tuple[int, int]]:
        found = store.snapshot(now, Limits()).absences
        return {key: (each.since_ms, each.polls) for key, each in found.items()}

    store.report(EAST, [], sighting(1000), 1000)  # as old as the dispatch: it could not know
    assert absent(10**6) == {}
    store.report(EAST, [], sighting(2000, key_of(2)), 2000)
    store.report(EAST, [], sighting(2000, key_of(2)), 2000)
    store.report(EAST, [], sighting(1500), 2000)
    assert absent(10**6) == {key_of(1): (2000, 1)}
    store.report(EAST, [], sighting(3000, key_of(2)), 3000)
    store.report(WEST, [], sighting(4000), 4000)
    assert absent(10**6) == {key_of(1): (2000, 2)}
    store.report(EAST, [], sighting(5000, key_of(1)), 5000)
    assert absent(10**6) == {key_of(2): (5000, 1)}
    store.report(EAST, [f.Report(key_of(2), ended())], None, 6000)
    assert absent(10**6) == {}


def test_known_but_not_live_is_not_absent(store: Store) -> None:
    run(store, 1, 1000)
    seen = Sighting(2000, frozenset({key_of(1)}), frozenset())
    assert store.report(EAST, [], seen, 2000).orphans == ()
    assert store.snapshot(10**6, Limits()).absences == {}


def test_orphans_live_at_the_site_and_are_over_or_unknown_in_the_book(store: Store) -> None:
    run(store, 1, 1000)
    run(store, 2, 1000)
    place(store, 3, 1000)
    turn(store, 1500, decide(store, 2, 1500, ended(outcome=AttemptState.LOST)))
    keys = [key_of(1), key_of(1, 2), key_of(2), key_of(3), key_of(9), AttemptKey("somebody-else")]
    found = store.report(EAST, [], sighting(2000, *keys), 2000)
    assert found.orphans == tuple(sorted([key_of(1, 2), key_of(2), key_of(9)]))


def test_logs_are_watched_until_then_and_only_while_there_is_an_attempt(store: Store) -> None:
    run(store, 1, 100)
    place(store, 2, 100, WEST)
    store.watch(key_of(1), 5000)
    store.watch(key_of(1), 4000)
    store.watch(key_of(2), 5000)
    assert store.watched(EAST, 4999) == (key_of(1),)
    assert store.watched(WEST, 4999) == (key_of(2),)
    assert store.watched(EAST, 5000) == ()
    store.watch(key_of(1), 9000)
    assert store.watched(EAST, 5000) == (key_of(1),)
    store.report(EAST, [f.Report(key_of(1), ended())], None, 200)
    assert store.watched(EAST, 200) == ()
    store.watch(key_of(1), 9000)
    assert store.watched(EAST, 200) == ()
    for unknown in (key_of(1, 2), key_of(9), AttemptKey("not ours")):
        with pytest.raises(NotFound):
            store.watch(unknown, 9000)


def test_calls_for_tunnels_are_heard_by_their_site_until_they_expire(store: Store) -> None:
    before = store.pulse()
    calls = [
        Dial(f"call-{n}", site, key_of(n), n, 8000 + n, "https://gate.example", expires)
        for n, site, expires in ((1, EAST, 500), (2, WEST, 500), (3, EAST, 300))
    ]
    for call in calls:
        store.dial(call, 100)
    assert store.pulse() != before, "a call wakes who waits for it"
    assert store.dials(EAST, 100) == (calls[0], calls[2])
    assert store.dials(EAST, 100) == (calls[0], calls[2]), "hearing it takes nothing away"
    assert store.dials(WEST, 100) == (calls[1],)
    assert store.dials(EAST, 300) == (calls[0],)
    assert store.dials(EAST, 500) == ()
    late = replace(calls[0], id="call-4", expires_ms=900)
    store.dial(late, 600)
    assert store.dials(EAST, 400) == (late,), "what has expired is thrown away with the next call"
    assert store.dials(WEST, 400) == ()


def test_a_start_and_a_stop_come_in_the_order_in_which_they_were_decided(store: Store) -> None:
    for n in (1, 2, 3):
        queue(store, n, 100)
    turn(store, 200, *(placing(store, n, 200) for n in (3, 1, 2)))
    assert [taken.key for taken in store.take(EAST, 0, 10, 300)] == [key_of(3), key_of(1), key_of(2)]

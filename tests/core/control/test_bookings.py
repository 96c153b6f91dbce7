"""Bookings: who booked finds the cards at that hour, others have them until then, and receipts replay."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_preemption import running
from tests.core.control.test_queue import MIN, NOW, placed, receipts, scene, site, waiting, why

from hutong.core.accounts.quotas import Allotment, Quota
from hutong.core.book.snapshot import Holding, JobRow, Outcome, PoolUse, Running, Snapshot
from hutong.core.capacity.sites import Booking, Site
from hutong.core.control.bookings import holders_of
from hutong.core.control.forecast import plan
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import JobId, PoolId, ProjectId
from hutong.core.placement.columns import Backfill

VISION = "project/vision"
PASSING = [Backfill.EASY, Backfill.CONSERVATIVE, Backfill.GREEDY]
OWNERS = {ProjectId("vision"): "lab"}


def booking(cards: int, start: int, end: int, holder: str = VISION, pool: str = "p0") -> Booking:
    """Return a booking from and until so many minutes from now."""
    name = f"{holder}-{start}-{end}"
    return Booking(name, PoolId(pool), cards, NOW + start * MIN, NOW + end * MIN, holder, "an exam")


def moment(
    sites: tuple[Site, ...],
    queue: Sequence[JobRow],
    runs: Sequence[Running] = (),
    at_ms: int = NOW,
    **changes: object,
) -> Snapshot:
    """Return the snapshot at a moment in which these run."""
    use: Counter[tuple[str, str]] = Counter()
    held: Counter[tuple[ProjectId, str, str]] = Counter()
    for each in runs:
        use[each.site, each.pool] += each.cards
        held[each.project, each.site, each.pool] += each.cards
    shot = scene(sites, list(queue), institutions=OWNERS, **changes)
    return replace(
        shot, now_ms=at_ms, running=tuple(sorted(runs, key=lambda each: each.until_ms)),
        use=tuple(PoolUse(*name, cards) for name, cards in use.items()),
        holdings=tuple(Holding(*name, cards) for name, cards in held.items()),
        statuses={name: replace(status, seen_ms=at_ms) for name, status in shot.statuses.items()},
    )  # fmt: skip


def decide(shot: Snapshot, rules: Rules | None = None) -> Outcome:
    """Take a turn whose receipts all replay bit for bit."""
    outcome = turn(shot, rules or Rules())
    assert outcome.broken == ()
    for opened in receipts(outcome):
        assert opened.differences == ()
        assert opened.digest == opened.now_digest
    return outcome


def begun(outcome: Outcome, at_ms: int) -> list[Running]:
    """Return what a turn placed, as it runs."""
    lives = [(each.project, each.after.live) for each in outcome.jobs if each.after.live is not None]
    return [Running(who, a.site, a.pool, a.cards, at_ms + a.run_ms) for who, a in lives]


def test_others_may_use_booked_cards_until_they_are_due_and_are_told_so() -> None:
    sites = (site("bj", 16, bookings=(booking(12, 60, 240),)),)
    queue = [waiting(1, 8, 120), waiting(2, 8, 60, "b"), waiting(3, 8, 50, "c"), waiting(4, 4, 600, "d")]
    outcome = decide(moment(sites, queue))
    assert placed(outcome) == {2: "bj/p0", 3: "bj/p0"}  # those that end before; no card is left for 4
    outcome = decide(moment(sites, queue[:1]))
    assert placed(outcome) == {}
    code, text = why(outcome, 1)
    assert code == "booked"
    assert "booked for others from 2027-01-15 09:00 UTC until 2027-01-15 12:00 UTC" in text
    assert "ask for at most 4 of its cards, or max_duration: 60m or less fits before it" in text
    assert placed(decide(moment(sites, queue[3:]))) == {4: "bj/p0"}  # beside the twelve there are four


def test_who_booked_has_the_cards_then_and_no_more_than_it_booked() -> None:
    sites = (site("bj", 16, bookings=(booking(12, -10, 240),)),)
    mine = [waiting(1, 6, 100, "vision", num_nodes=2), waiting(2, 8, 100, "vision")]
    queue = [waiting(0, 8, 100), *mine]
    assert placed(decide(moment(sites, queue))) == {1: "bj/p0"}
    held = [Running(ProjectId("vision"), "bj", "p0", 12, NOW + 100 * MIN)]
    assert placed(decide(moment(sites, [waiting(5, 4, 500), *queue], held))) == {5: "bj/p0"}


def test_people_with_a_limit_use_what_their_project_booked() -> None:
    sites = (site("bj", 16, bookings=(booking(16, -10, 240),)),)
    mine = [waiting(n, 8, 100, "vision") for n in range(2)]
    mine.append(replace(mine[1], job=replace(mine[1].job, id=JobId("01J" + "9".zfill(23)), by="bo")))
    quota = Quota("project", "vision", 1000, (Allotment("H100", 0, each_person=8),))
    outcome = decide(replace(moment(sites, [waiting(5, 8, 100), *mine]), quotas=(quota,)))
    assert placed(outcome) == {0: "bj/p0", 9: "bj/p0"}
    assert why(outcome, 1)[0] == "quota"


def test_an_institution_books_for_its_projects() -> None:
    sites = (site("bj", 8, bookings=(booking(8, -10, 240, "institution/lab"),)),)
    queue = [waiting(1, 8, 100, "vision"), waiting(0, 8, 100, "b")]
    assert placed(decide(moment(sites, queue))) == {1: "bj/p0"}
    assert holders_of(ProjectId("b"), OWNERS) == ("project/b",)


def test_a_look_ahead_says_what_a_turn_would() -> None:
    sites = (site("bj", 16, bookings=(booking(12, 60, 240),)),)
    for row in (waiting(1, 8, 120), waiting(2, 8, 60), waiting(3, 8, 120, "vision")):
        shot = moment(sites, [row])
        told = preview(shot, row.spec, row.project, Rules())
        assert told.code == ("" if placed(decide(shot)) else "booked")


def test_a_job_that_bookings_hold_up_starts_when_they_end() -> None:
    sites = (site("bj", 8, bookings=(booking(4, 30, 60), booking(8, 90, 120, "project/b"))),)
    shot = moment(sites, [waiting(1, 8, 45)])
    assert [each.wait_ms for each in plan(shot, Rules())] == [120 * MIN]
    shot = moment(sites, [waiting(1, 8, 30)])
    assert [each.wait_ms for each in plan(shot, Rules())] == [0]


def test_nothing_is_stopped_for_a_job_that_could_not_have_the_cards() -> None:
    sites = (site("bj", 16, bookings=(booking(16, -5, 240),)),)
    shot = moment(sites, [waiting(1, 8, 100)], [Running(ProjectId("b"), "bj", "p0", 16, NOW + 600 * MIN)])
    outcome = decide(shot)
    assert placed(outcome) == {}
    assert why(outcome, 1)[0] == "busy"


def test_room_is_made_beside_what_is_booked_now_and_not_for_what_is_booked_later() -> None:
    def stopped(*bookings: Booking) -> int:
        sites, rows = (site("one", 16, bookings=bookings),), tuple(running(90 + n, 4, 30) for n in range(4))
        runs = [Running(row.project, "one", "p0", 4, NOW + 6000 * MIN) for row in rows]
        shot = moment(sites, [waiting(1, 8, 600)], runs, may_give_way=rows)
        return sum(int(each.job[3:]) >= 90 for each in decide(shot).jobs)

    assert stopped() == 2
    assert stopped(booking(4, -10, 900)) == 3, "its holder may come at any moment"
    assert stopped(booking(4, 700, 900)) == 2, "the job is over by then"
    assert stopped(booking(4, 60, 900)) == 0, "what runs may be over by then, and is not stopped for it"


asked = st.lists(
    st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 400), st.sampled_from("abc")),
    min_size=1,
    max_size=10,
)
booked = st.lists(
    st.tuples(
        st.integers(1, 16), st.integers(0, 120), st.integers(1, 200), st.sampled_from([VISION, "project/b"])
    ),
    min_size=1,
    max_size=3,
)


def without_overlap(asks: Sequence[tuple[int, int, int, str]], cards: int) -> tuple[Booking, ...]:
    """Return those bookings that fit into so many cards at every moment, as the API sees to."""
    found: list[Booking] = []
    for count, start, length, holder in asks:
        new = booking(count, start, start + length, holder)
        together = [each for each in found if each.from_ms < new.until_ms and new.from_ms < each.until_ms]
        if sum(each.cards for each in together) + count <= cards:
            found.append(new)
    return tuple(found)


@settings(max_examples=150, deadline=None)
@given(asked, booked, st.sampled_from(PASSING), st.integers(0, 3))
def test_at_the_hour_the_cards_are_there(
    asks: list[tuple[int, int, int, str]],
    spans: list[tuple[int, int, int, str]],
    backfill: Backfill,
    late: int,
) -> None:
    bookings = without_overlap(spans, 24)
    sites = (site("bj", 24, bookings=bookings),)
    rules = Rules(backfill=backfill)
    mine = bookings[0]
    queue = [waiting(n, cards, run, who, num_nodes=gang) for n, (cards, gang, run, who) in enumerate(asks)]
    runs: list[Running] = []
    times = sorted({NOW, *(each.from_ms for each in bookings)})
    now_ms = NOW
    while now_ms < mine.from_ms:
        outcome = decide(moment(sites, queue, runs, now_ms), rules)
        gone = placed(outcome)
        runs += begun(outcome, now_ms)
        queue = [row for row in queue if int(row.job.id[3:]) not in gone]
        ahead = [each.until_ms for each in runs] + [at for at in times if at > now_ms]
        now_ms = min(ahead)
        runs = [each for each in runs if each.until_ms > now_ms]
    # The holder comes as the window opens, or a while after: nobody else has taken what is its own.
    length = (mine.until_ms - mine.from_ms) // MIN
    for step in range(late):
        now_ms = mine.from_ms + step * length * MIN // 4
        runs = [each for each in runs if each.until_ms > now_ms]
        outcome = decide(moment(sites, queue, runs, now_ms), rules)
        gone = placed(outcome)
        runs += begun(outcome, now_ms)
        queue = [row for row in queue if int(row.job.id[3:]) not in gone]
    who = mine.holder.removeprefix("project/")
    held = sum(each.cards for each in runs if each.project == who)
    both = [each for each in bookings if each.holder == mine.holder and each.from_ms <= now_ms]
    want = sum(each.cards for each in both if each.until_ms >= mine.until_ms) - held
    left = (mine.until_ms - now_ms) // MIN
    if want <= 0 or left < 1:  # only what ends within the booking is promised its cards
        return
    rows = [waiting(100 + n, 1, left, who) for n in range(want)]
    others = [row for row in queue if row.project != who]
    outcome = decide(moment(sites, [*rows, *others], runs, now_ms), rules)
    assert {100 + n for n in range(want)} <= set(placed(outcome))


@settings(max_examples=60, deadline=None)
@given(asked, booked, st.integers(1, 12), st.integers(0, 60), st.integers(1, 90), st.sampled_from(PASSING))
def test_two_bookings_of_one_holder_are_one_of_their_sum_while_both_last(
    asks: list[tuple[int, int, int, str]],
    spans: list[tuple[int, int, int, str]],
    cards: int,
    start: int,
    length: int,
    backfill: Backfill,
) -> None:
    end = start + length
    others = without_overlap([(*each[:3], "project/b") for each in spans], 8)
    runs = [Running(ProjectId(who), "bj", "p0", 3, NOW + 40 * MIN) for who in ("vision", "b")]
    queue = [waiting(n, cards, run, who, num_nodes=gang) for n, (cards, gang, run, who) in enumerate(asks)]
    queue += [waiting(20 + n, 2, run, "vision") for n, run in enumerate((5, 50, 200))]
    told = []
    for mine in (
        [booking(4, 0, 60), booking(cards, start, end)],
        [
            booking(4, 0, start),
            booking(4 + cards, start, min(60, end)),
            booking(4, end, 60),
            booking(cards, 60, end),
        ],
    ):
        held = [*others, *(each for each in mine if each.from_ms < each.until_ms)]
        shot = moment((site("bj", 24, bookings=tuple(held)),), queue, runs)
        outcome = decide(shot, Rules(backfill=backfill))
        told.append((placed(outcome), [why(outcome, n) for n in range(20, 23) if n not in placed(outcome)]))
    assert told[0] == told[1]


def test_what_a_holder_has_is_taken_off_its_bookings_once() -> None:
    sites = (site("bj", 16, bookings=(booking(8, -10, 60), booking(6, -5, 240))),)
    held = [Running(ProjectId("vision"), "bj", "p0", 8, NOW + 600 * MIN)]
    assert placed(decide(moment(sites, [waiting(1, 3, 30)], held))) == {}, "14 are booked and 8 held"
    assert placed(decide(moment(sites, [waiting(1, 2, 30)], held))) == {1: "bj/p0"}
    mine = [waiting(2, 6, 30, "vision"), waiting(3, 1, 30, "vision")]
    assert placed(decide(moment(sites, [waiting(1, 2, 30), *mine], held))) == {1: "bj/p0", 2: "bj/p0"}


@settings(max_examples=100, deadline=None)
@given(asked, booked, st.sampled_from(["b", "c"]), st.sampled_from(PASSING))
def test_the_plan_knows_of_bookings(
    asks: list[tuple[int, int, int, str]],
    spans: list[tuple[int, int, int, str]],
    who: str,  # one project, for what it uses would change the order
    backfill: Backfill,
) -> None:
    bookings = without_overlap(spans, 24)
    sites, rules = (site("bj", 24, bookings=bookings),), Rules(backfill=backfill)
    queue = [waiting(n, cards, run, who, num_nodes=gang) for n, (cards, gang, run, _) in enumerate(asks)]
    told = {each.job: each.wait_ms for each in plan(moment(sites, queue), rules)}
    found: dict[str, int] = {}
    runs: list[Running] = []
    left, now_ms = list(queue), NOW
    while left:
        outcome = decide(moment(sites, left, runs, now_ms), rules)
        runs += begun(outcome, now_ms)
        gone = placed(outcome)
        found |= {row.job.id: now_ms - NOW for row in left if int(row.job.id[3:]) in gone}
        left = [row for row in left if int(row.job.id[3:]) not in gone]
        ends = [each.until_ms for each in (*runs, *bookings) if each.until_ms > now_ms]
        if not ends:
            break
        now_ms = min(ends)
        runs = [each for each in runs if each.until_ms > now_ms]
    assert told == {row.job.id: found.get(row.job.id) for row in queue}

"""The queue of one turn as arrays: waiting jobs in lanes and pools as they stand, for a scheduling pass."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from hutong.core.control.accounts import Accounts
from hutong.core.control.bookings import beside, booked_of
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.keeping import Keeping
from hutong.core.control.lengths import guess_lengths, held_of
from hutong.core.control.power import Left, beside_kept_power, binding, caps_left, limited_of
from hutong.core.control.questions import Questions
from hutong.core.control.room import Line
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement import board, kernel
from hutong.core.placement import columns as c
from hutong.core.placement.ahead import Hours
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Booked, Class, Shelves, make_board, nodes_of
from hutong.core.placement.columns import Order
from hutong.core.placement.guesses import length
from hutong.core.placement.judge import Refusal, weights_of
from hutong.core.placement.limits import count_ahead
from hutong.core.placement.page import Grounds, Page, Views
from hutong.core.placement.profile import hold
from hutong.core.placement.quotas import bars_of
from hutong.core.placement.request import Beside, PoolView, is_booked, is_capped, is_scattered, paid_for
from hutong.core.placement.roll import roll
from hutong.core.placement.standing import layout_of, table_at
from hutong.core.placement.words import WhyNot, explain

# How near a pool is to saying yes, by refusal: first what only needs time.
_NEARNESS = np.full(len(Refusal), 5, np.int64)
_NEARNESS[
    [Refusal.NONE, Refusal.BUSY, Refusal.MAINTENANCE, Refusal.UNREACHABLE, Refusal.DRAINING, Refusal.NO_DATA]
] = (0, 0, 1, 2, 3, 4)


class Queue:
    """Waiting jobs, in the order of their keys, and the pools that they wait for.

    Jobs that ask for the same by the same policy are one question, judged once. `barred` are the
    accelerators that the quotas of the job that was yielded last left it none of, `booked` and
    `capped` what bookings and limits of power left it, as a ticket has it.
    """

    def __init__(self, drafts: Sequence[Draft], grounds: Grounds, page: Page, desk: Desk) -> None:
        self.drafts = drafts
        self.page = page
        self.takes: list[tuple[int, int, int]] = []
        self.barred: tuple[str, ...] = ()
        self.booked: tuple[tuple[int, int, int, int], ...] = ()
        self.capped: tuple[Left, ...] = ()
        self.free = list(page.free)
        self.views = Views(grounds, page, 0, HOUR_MS)
        self._layout, self._table = layout_of(grounds), table_at(grounds, page)
        asked = Questions(self.drafts, self.views, self._table, Hours(grounds.sites), page.at_ms, desk)
        self.questions, self.judged, self.question_of = asked.all, asked.judged, asked.of
        self._reasons: dict[tuple[int, str, tuple[str, ...]], tuple[str, str]] = {}
        self._bars: Ints | None = None
        self._quota_reasons: dict[int, tuple[str, str]] = {}
        self._chips = frozenset(self._table.chips)
        self._chips_asked: dict[int, frozenset[str]] = {}
        self._accounts = Accounts(
            desk.snapshot, [(each.row.project, each.job.by) for each in self.drafts], self.views
        )
        self._arrays = self._arrange(desk)
        self._keeping = Keeping(self._arrays, page.at_ms)

    def _arrange(self, desk: Desk) -> c.Arrays:
        classes, class_of = self._classes()
        lanes = [
            (class_of[question], self._accounts.of(draft.row.project, draft.job.by))
            for draft, question in zip(self.drafts, self.question_of, strict=True)
        ]
        lane_of = {lane: at for at, lane in enumerate(dict.fromkeys(lanes))}
        held = held_of(desk, self._layout.at, self._accounts)
        self._booked = booked_of(desk.snapshot, self.views, self._accounts.index_of)
        self._limited = limited_of(desk.snapshot, self.views, desk.cards_used)
        waiting, running = len(self.drafts), held.shape[1]
        arrays = make_board(
            board.Rules(Order.SHARE, desk.rules.backfill),
            self._shelves(),
            classes,
            list(lane_of),
            self._accounts.rows,
            jobs=waiting + running,
            running=waiting + running,
            gang=max((question.request.nodes for question in self.questions), default=0),
            order=self._layout.by_name,
            flavours=self._accounts.flavours(self.views),
            booked=self._booked,
            caps=None if self._limited is None else self._limited.caps,
        )
        run_ms = np.array([question.request.run_ms for question in self.questions], np.int64)
        rows = arrays.jobs[:waiting]
        rows[:, c.CLASS] = [class_of[question] for question in self.question_of]
        rows[:, c.EXPECTED] = run_ms[self.question_of]
        rows[:, c.KEY] = np.arange(waiting)
        rows[:, c.LANE] = [lane_of[lane] for lane in lanes]
        self._ahead = np.flatnonzero(arrays.pools[:, c.AHEAD]).tolist()
        likely_ms = [self.questions[at].request.likely_ms for at in self.question_of]
        guess_lengths(arrays, self.drafts, likely_ms, desk)
        if self.views:  # the pass reads a first pool of each job
            kernel.enqueue_all(arrays, waiting)
        kernel.occupy(arrays, waiting, held)
        return arrays

    def _classes(self) -> tuple[list[Class], list[int]]:
        """Return the classes of the pass, and each question's: those that no pool can tell apart are one."""
        known: dict[tuple[object, ...], int] = {}
        classes: list[Class] = []
        class_of = []
        self._weights = [max(1, sum(weights_of(question.policy))) for question in self.questions]
        for question, judged, weights in zip(self.questions, self.judged, self._weights, strict=True):
            key = (
                question.request.nodes, question.policy.fit, weights, question.policy.fragmentation,
                judged.per_node.tobytes(), judged.base.tobytes(),
            )  # fmt: skip
            at = known.setdefault(key, len(known))
            if at == len(classes):
                nodes, *weighed = key[:4]
                classes.append(Class(nodes, judged.per_node, judged.base, *weighed))
            class_of.append(at)
        return classes, class_of

    def _shelves(self) -> Shelves:
        closes_in_ms, at_ms = self._table.closes_in_ms, self.page.at_ms
        nodes, counts = nodes_of(self.page.levels)
        return Shelves(
            self._table.free,
            (self._table.state == 0).astype(np.int64),
            np.where(closes_in_ms == c.NEVER, c.NEVER, at_ms + closes_in_ms),
            nodes,
            counts,
            max(map(len, self.page.levels), default=1) - 1,
            self._table.cards_per_node,
        )

    def starts(self) -> Iterator[tuple[int, int, int]]:
        """Yield (job, pool, cards) of each placement; `take_back` before the next one throws it away."""
        arrays, at_ms = self._arrays, self.page.at_ms
        kernel.begin(arrays, at_ms)
        self._keeping.begin()
        while (job := kernel.next_start(arrays, at_ms)) >= 0:
            pool, step = arrays.jobs.item(job, c.POOL), len(self.takes)
            cards, bars = self.cards(job, pool), arrays.state.item(c.BARS)
            self._keeping.note(step, job, pool, cards)
            self.barred = self._accounts.chips_of(bars, self._chips) if bars else ()
            if self._ahead:
                self._note_ahead(job, pool)
            self.takes.append((pool, cards, self.question_of[job]))
            yield job, pool, cards
            if len(self.takes) > step:
                self.free[pool] -= cards

    @property
    def kept(self) -> tuple[tuple[int, int, int, int], ...]:
        """What was kept for jobs that wait, as a page has it."""
        return tuple(self._keeping.rows)

    @property
    def strict(self) -> tuple[int, ...]:
        """The pools in which no guess of a length counted, by index."""
        return tuple(np.flatnonzero(self._arrays.pools[:, c.STRICT]).tolist())

    def starts_ms(self) -> list[int]:
        """Return when each job would start if everything ended when it is expected to, UTC ms; -1 for never.

        Uses the queue up: nothing can be placed from it any more.
        """
        waiting, jobs = len(self.drafts), len(self._arrays.jobs)
        found = np.empty(jobs, np.int64)
        roll(self._arrays, self.page.at_ms, np.arange(waiting, jobs), waiting, found)
        return [int(each) for each in found[:waiting]]

    def beyond(self, project: ProjectId, chip: str) -> bool:
        """True if a project's institution holds more of an accelerator than it is promised."""
        return self._accounts.beyond(project, chip)

    @property
    def line(self) -> Line:
        """The waiting jobs as those see them who make room."""
        return Line(self._arrays, self.page.at_ms)

    def take_back(self, job: int) -> None:
        """Throw the last placement away."""
        kernel.undo(self._arrays, job)
        self.takes.pop()

    def cards(self, job: int, pool: int) -> int:
        """Return the cards that a job takes in a pool."""
        question = self.question_of[job]
        return self.judged[question].per_node.item(pool) * self.questions[question].request.nodes

    def view(self, job: int, pool: int) -> PoolView:
        """Return a pool at the price that a job pays there."""
        request, view = self.questions[self.question_of[job]].request, self.views[pool]
        return paid_for(request, (view,))[0] if request.paid else view

    def score_ppm(self, job: int, pool: int, cards: int) -> int:
        """Return the score of the placement that was yielded last."""
        question = self.question_of[job]
        judged, policy = self.judged[question], self.questions[question].policy
        fit = c.PPM * cards // self.free[pool]
        weighted = judged.base.item(pool) + policy.fit * fit
        weighted += policy.fragmentation * self._arrays.state.item(c.UNBROKEN)
        return weighted // self._weights[question] + judged.penalty.item(pool)

    def why_not(self, job: int) -> tuple[str, str]:
        """Return a code and a sentence for a job that no pool takes now: the nearest of them, and its reason.

        Jobs that ask the same get the same answer, as of the first of them; one that a quota keeps waiting
        is told so.
        """
        question = self.question_of[job]
        barred = self._barred_now(job)
        if barred and len(barred) == len(self._asked(job)):
            return self._told(int(self._arrays.jobs[job, c.LANE]), barred)
        # Whose booking it is makes a difference between those who ask the same, and so do quotas.
        key = (question, "" if self._booked is None else str(self.drafts[job].row.project), barred)
        if key not in self._reasons:
            self._reasons[key] = self._explain(job, question, barred)
        return self._reasons[key]

    def _told(self, lane: int, chips: tuple[str, ...]) -> tuple[str, str]:
        """Return why a lane of which quotas bar all waits: the same for all of its jobs."""
        if lane not in self._quota_reasons:
            a = self._arrays
            account, least = int(a.lanes[lane, c.ACCOUNT]), a.least[a.lanes[lane, c.LANE_CLASS]]
            self._quota_reasons[lane] = self._accounts.told(account, chips, least, a.quotas)
        return self._quota_reasons[lane]

    def _barred_now(self, job: int) -> tuple[str, ...]:
        """Return the accelerators among those that a job asks for of which quotas now leave it none."""
        if not self._arrays.state[c.QUOTAS]:
            return ()
        if self._bars is None:
            self._bars = np.zeros(len(self._arrays.lanes), np.int64)
            bars_of(self._arrays, np.arange(len(self._bars)), self._bars)
        bars = int(self._bars[self._arrays.jobs[job, c.LANE]])
        return self._accounts.chips_of(bars, self._asked(job)) if bars else ()

    def _account(self, job: int) -> int:
        return int(self._arrays.lanes[self._arrays.jobs[job, c.LANE], c.ACCOUNT])

    def _beside(self, job: int, pool: int, kept: Sequence[tuple[int, int]] = ()) -> tuple[Beside, ...]:
        """Return what the bookings of a pool leave to a job now, beside what is kept for others."""
        if self._booked is None:
            return ()
        now = Booked(self._arrays.bookings, self._booked.first, self._booked.after)
        return beside(now, pool, self._accounts.above(self._account(job)), self.page.at_ms, kept)

    def _reached(self, job: int, pool: int) -> list[tuple[int, int]]:
        """Return what is kept in a pool from a time on that a job would reach if it started there now."""
        reach_ms = self.page.at_ms + length(self._arrays, pool, job)
        return [each for each in self._keeping.beside(pool) if each[0] < reach_ms]

    def _note_ahead(self, job: int, pool: int) -> None:
        """Note what bookings and limits left a job of pools that they kept it from, before it was placed."""
        arrays, account = self._arrays, self._account(job)
        until_ms, cards = int(arrays.jobs[job, c.UNTIL]), self.cards(job, pool)
        reach_ms = int(arrays.jobs[job, c.REACH])
        question = self.question_of[job]
        need = self.judged[question].asked * self.questions[question].request.nodes
        self._count(pool, account, until_ms, reach_ms, -cards)
        self.booked = tuple(
            (at, each.from_ms, each.until_ms, each.spare)
            for at in self._ahead
            for each in self._beside(job, at, self._reached(job, at))
            if each.from_ms < until_ms and int(need[at]) > each.spare
        )
        if self._limited is not None:
            free = arrays.pools[:, c.FREE].copy()
            free[pool] += cards
            self.capped = binding(self._limited, arrays.limits, free, until_ms)
            self.capped += beside_kept_power(arrays, self._limited, free, until_ms)
        self._count(pool, account, until_ms, reach_ms, cards)

    def _count(self, pool: int, account: int, until_ms: int, reach_ms: int, cards: int) -> None:
        """Count cards of a pool in all that is settled for later (negative: given back).

        Until then by walltime, and so far beside what is kept for others.
        """
        arrays = self._arrays
        count_ahead(arrays, pool, account, self.page.at_ms, until_ms, cards)
        if reach_ms > arrays.pools[pool, c.RESERVED_FROM]:
            arrays.pools[pool, c.SPARE] -= cards
        if arrays.pools[pool, c.FIRST_STEP] >= 0:
            hold(arrays, pool, reach_ms, until_ms, cards)

    def _asked(self, job: int) -> frozenset[str]:
        """Return the accelerators of the pools that could ever run a job."""
        question = self.question_of[job]
        if question not in self._chips_asked:
            able, chips = self.judged[question].per_node > 0, list(self._table.chips)
            self._chips_asked[question] = frozenset(chips[at] for at in set(self._table.chip[able].tolist()))
        return self._chips_asked[question]

    def _explain(self, job: int, question: int, barred: tuple[str, ...]) -> tuple[str, str]:
        if not self.views:
            return "no_site", "no site is registered"
        judged = self.judged[question]
        by_name = self._layout.by_name
        at = int(by_name[int(np.argmin(_NEARNESS[judged.refusal[by_name]]))])
        why = self._words(job, question, at, barred)
        view = self.views[at]
        hopeless = (judged.per_node == 0).all() and not (judged.refusal == Refusal.NO_DATA).any()
        code = "never" if hopeless else why.code
        return code, f"nearest is {view.site}/{view.pool}: {why.text}; {why.change}"

    def _words(self, job: int, question: int, at: int, barred: tuple[str, ...]) -> WhyNot:
        judged, request = self.judged[question], self.questions[question].request
        if barred:
            request = replace(request, barred=barred)
        refusal = Refusal(judged.refusal[at]) or Refusal.BUSY
        free, kept = int(self._arrays.pools[at, c.FREE]), self._keeping.of(job, at)
        caps = self._limited and caps_left(self._limited, self._arrays.limits, at, self.page.at_ms)
        view = self.view(job, at)
        view = replace(
            view,
            cards_free=free,
            kept=kept,
            strict=bool(self._arrays.pools[at, c.STRICT]),
            booked=self._beside(job, at),
            capped=caps or (),
            levels=tuple(self._arrays.levels[at, : len(view.levels)].tolist()),
        )
        asked = int(judged.asked[at])
        need = asked * request.nodes
        if refusal is Refusal.BUSY and view.accelerator in barred:
            refusal = Refusal.QUOTA
        elif refusal is Refusal.BUSY and need <= free and is_scattered(view, request.nodes, asked):
            refusal = Refusal.SCATTERED
        elif refusal is Refusal.BUSY and need <= free:
            power = Refusal.POWER if is_capped(view, request.run_ms, need) else Refusal.KEPT
            refusal = Refusal.BOOKED if is_booked(view, request.run_ms, need) else power
        return explain(request, view, asked, refusal)

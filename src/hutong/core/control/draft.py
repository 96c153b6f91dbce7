"""A job's part of a turn in the making: each fact is folded in at once, so the next step sees its effect."""

from collections.abc import Sequence

from hutong.core.book.lengths import TELLING, Length, work_of
from hutong.core.book.money import HoldChange, HoldPart, Posting, Txn, UsageRecord, Waiver
from hutong.core.book.runs import Run, work_mn, workload_of
from hutong.core.book.snapshot import Command, JobOutcome, JobRow
from hutong.core.book.stays import Stay
from hutong.core.control.desk import Desk
from hutong.core.kernel.changes import made
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Event, Fact
from hutong.core.work.fold import Attempt, Job, apply
from hutong.core.work.states import THEIRS, JobState

SOURCE = "loop"
_REASON_MAX = 300


class Draft:
    """What a turn decides about one job."""

    def __init__(self, row: JobRow, desk: Desk) -> None:
        self.row = row
        self.desk = desk
        self.job: Job = row.job
        self.facts: list[Fact] = []
        self.due_ms: int | None = None
        self._commands: list[Command] = []
        self._withdraw: list[AttemptKey] = []
        self._receipts: list[tuple[AttemptKey, bytes]] = []
        self._txns: list[Txn] = []
        self._holds: list[HoldChange] = []
        self._usage: list[UsageRecord] = []
        self.held: tuple[HoldPart, ...] = self._open_hold()

    def _open_hold(self) -> tuple[HoldPart, ...]:
        last = self.job.attempt
        if last is None or last.settled:
            return ()
        return tuple(self.desk.snapshot.holds.get(self.job.key(last), ()))

    @property
    def backs_off(self) -> bool:
        """True while the job waits out the back-off before its next attempt."""
        return self.job.state is JobState.QUEUED and self.desk.now_ms < self.job.retry_ms

    def add(self, event: Event) -> None:
        """Append a fact and fold it in."""
        fact = made(Fact, self.job.id, self.job.seq + 1, self.desk.now_ms, SOURCE, event)
        self.job = apply(self.job, fact)
        self.facts.append(fact)

    def take_back(self, before: Job) -> None:
        """Throw the last fact away: the job is again what it was before."""
        self.job = before
        self.facts.pop()

    def command(self, key: AttemptKey, site: str, kind: str) -> None:
        """Write an intent down."""
        self._commands.append(Command(key, site, kind))

    def withdraw(self, key: AttemptKey) -> None:
        """Take back whatever commands are open for an attempt."""
        self._withdraw.append(key)

    def keep_receipt(self, key: AttemptKey, receipt: bytes) -> None:
        """Store why the attempt was placed."""
        self._receipts.append((key, receipt))

    def post(
        self,
        txn: Txn | None = None,
        hold: HoldChange | None = None,
        usage: UsageRecord | None = None,
    ) -> None:
        """Add to the job's posting; the desk sees it at once."""
        txns = (txn,) if txn else ()
        holds = (hold,) if hold else ()
        self._txns += txns
        self._holds += holds
        if usage:
            self._usage.append(usage)
        if hold and not self.held:
            self.held = hold.parts
        elif hold:
            sums = {part.lot: part.amount_micro for part in self.held}
            for part in hold.parts:
                sums[part.lot] = sums.get(part.lot, 0) + part.amount_micro
            self.held = tuple(HoldPart(lot, amount) for lot, amount in sums.items() if amount)
        self.desk.note(txns, holds)

    def outcome(self) -> JobOutcome:
        """Return the job's part of the outcome."""
        settled = self._settled_now()
        return made(
            JobOutcome,
            job=self.job.id,
            project=self.row.project,
            seq=self.row.job.seq,
            facts=tuple(self.facts),
            after=self.job,
            due_ms=self.due_ms,
            spec=self.row.spec,
            commands=tuple(self._commands),
            withdraw=tuple(self._withdraw),
            receipts=tuple(self._receipts),
            posting=made(Posting, tuple(self._txns), tuple(self._holds), tuple(self._usage)),
            run=self._whole_run(),
            stay=self._stay(settled) if settled else None,
            waiver=self._waiver(settled) if settled else None,
            length=self.length() if settled else None,
            at_once=self.row.spec.array.at_once if self.row.spec.array and self.job.final else 0,
        )

    def length(self) -> Length | None:
        """Return how long a job's first attempt took if this turn settles it, as happens once.

        Later attempts may have gone on from a checkpoint; what was stopped for others tells nothing.
        """
        known = bool(self.row.job.attempts) and self.row.job.attempts[0].settled
        if known or not self.job.attempts or not self.job.attempts[0].settled:
            return None
        first = self.job.attempts[0]
        work = work_of(self.row.project, self.row.spec)
        if not work or not first.ran_ms or first.category not in TELLING:
            return None
        return Length(work, -(-first.ran_ms // 1000))

    def _whole_run(self) -> Run | None:
        """Return the run of a job that has now succeeded in one attempt; one that went on tells no length."""
        if self.job.state is not JobState.SUCCEEDED or self.row.job.final or len(self.job.attempts) != 1:
            return None
        workload, attempt = workload_of(self.row.project, self.row.spec), self.job.attempts[0]
        if not workload or not attempt.ran_ms:
            return None
        return Run(workload, attempt.accelerator, work_mn(attempt.cards, attempt.ran_ms))

    def _settled_now(self) -> list[Attempt]:
        """Return the attempts that this turn has settled, as happens once to each."""
        before = self.row.job.attempts
        return [
            attempt
            for attempt in self.job.attempts
            if attempt.settled and not (len(before) >= attempt.number and before[attempt.number - 1].settled)
        ]

    def _waiver(self, settled: Sequence[Attempt]) -> Waiver | None:
        """Return the waiver of an attempt that its site broke and that cost something.

        Of a long run the last hours only: what went before, a checkpoint should have kept.
        """
        for attempt in settled:
            if attempt.category in THEIRS and not attempt.stop_sent_ms and attempt.charge_micro:
                from_ms = max(0, attempt.metered_upto_ms - self.desk.rules.waive_ms)
                reason = f"{attempt.category.value} at {attempt.site}: {attempt.reason}"[:_REASON_MAX]
                return Waiver(self.job.key(attempt), self.row.project, from_ms, reason)
        return None

    def _stay(self, settled: Sequence[Attempt]) -> Stay | None:
        """Return the stay of an attempt that is now settled, as happens once; what never began has none.

        What the book goes by is the time that was billed: a site may claim anything. An end after a stop was
        sent says nothing of the site.
        """
        for attempt in settled:
            if attempt.started_ms:
                node_ms = attempt.metered_card_ms * attempt.nodes // attempt.cards
                broke = attempt.category in THEIRS and not attempt.stop_sent_ms
                return Stay(attempt.site, node_ms, broke)
        return None

"""Programmes, calls and applications with their reviews: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.accounts import Kind, Name
from hutong.wire.base import Money, Shape, Slug, Time

Reason = Annotated[str, Field(min_length=1, max_length=2000)]
Days = Annotated[int, Field(ge=0, le=366)]
Score = Annotated[int, Field(ge=0, le=100)]
Outcome = Literal["accepted", "partly", "rejected", "waitlisted"]
State = Literal["draft", "submitted", "in_review", "revision", "decided", "appealed", "awarded", "withdrawn"]


class Programme(Shape):
    """What calls are made under."""

    id: Slug
    name_zh: Name
    name_en: Name
    about: Annotated[str, Field(max_length=5000)] = ""


class CallPolicy(Shape):
    """The rules of a round.

    Accepting takes `reviewers_min` reviews with a mean score of `score_min`; a request of at most
    `accept_at_once` needs neither. `request_max` bounds one request, `kinds` (empty: any) who may apply.
    """

    reviewers_min: Annotated[int, Field(ge=0, le=20)] = 2
    score_min: Score = 60
    decide_days: Annotated[int, Field(ge=1, le=366)] = 30
    appeal_days: Days = 14
    accept_at_once: Money | None = None
    request_max: Money | None = None
    kinds: Annotated[tuple[Kind, ...], Field(max_length=20)] = ()
    verified_only: bool = False
    grace_days: Days = 30


class NewCall(Shape):
    """A round of a programme: open for applications in `[opens, closes)`, for use in `[starts, ends)`."""

    id: Slug
    programme: Slug
    title: Name
    opens: Time
    closes: Time
    starts: Time
    ends: Time
    budget: Money
    policy: CallPolicy = CallPolicy()


class Call(NewCall):
    """A round with what its decisions have given, and how many wait for money."""

    granted: Money
    left: Money
    waiting: int


class Need(Shape):
    """Card-hours of an accelerator that the work is thought to take."""

    accelerator: Annotated[str, Field(min_length=1, max_length=64)]
    card_hours: Annotated[int, Field(ge=1, le=10_000_000_000)]


class ApplicationAsk(Shape):
    """What is applied for. `plan` are percents of it for equal parts of the time, 100 together."""

    title: Name
    narrative: Annotated[str, Field(max_length=50_000)] = ""
    amount: Money
    needs: Annotated[tuple[Need, ...], Field(max_length=50)] = ()
    plan: Annotated[tuple[Annotated[int, Field(ge=0, le=100)], ...], Field(max_length=24)] = ()


class NewApplication(ApplicationAsk):
    """An application to a call, kept as a draft until it is handed in."""

    call: Slug


class Review(Shape):
    """What a reviewer found; `reviewer` and `private` are shown to officers and to who wrote it."""

    reviewer: str = ""
    score: Score
    public: str = ""
    private: str = ""


class NewReview(Shape):
    """A reviewer's score (0 to 100), what the applicant may read, and what only officers may."""

    score: Score
    public: Reason
    private: Annotated[str, Field(max_length=20_000)] = ""


class Step(Shape):
    """One step of an application's history."""

    at: Time
    by: str
    action: str
    note: str = ""


class Application(Shape):
    """An application as its reader may see it.

    `due` is when a decision is to be made; time for revisions does not count. `place` is the place on the
    waiting list, from 1. `may` are the steps that its state allows.
    """

    id: str
    call: Slug
    project: Slug
    institution: Slug
    by: str
    ask: ApplicationAsk
    state: State
    outcome: Outcome | None = None
    amount: Money | None = None
    place: int | None = None
    submitted: Time | None = None
    due: Time | None = None
    overdue: bool = False
    awaits: str = ""
    reviewers: tuple[str, ...] = ()
    reviews: tuple[Review, ...] = ()
    history: tuple[Step, ...] = ()
    may: tuple[str, ...] = ()


class WithReason(Shape):
    """Why."""

    reason: Reason


class NewDecision(Shape):
    """An officer's decision; without an amount it is all that was asked for."""

    outcome: Outcome
    amount: Money | None = None
    reason: Reason


class Answer(Shape):
    """An officer's answer to an appeal or to a change asked for."""

    granted: bool
    reason: Reason


class Swept(Shape):
    """What a pass over a page did: how many changed, `next` for the rest (empty: done), and faults."""

    changed: int
    next: str = ""
    faults: tuple[str, ...] = ()

"""Group commit: many single wishes share a commit, each hears of its own fate, and waiting is bounded."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.server.serving import wait_for

from hutong.core.book.store import NewJob, Submission
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import JobId, ProjectId
from hutong.server.submissions import Submissions


class Book:
    """A book that writes when it is let, and refuses wishes named `bad`."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.open = threading.Event()
        self.away = False

    def submit(self, wishes: tuple[NewJob, ...], now_ms: int) -> tuple[Submission, ...]:
        self.open.wait(60)
        if self.away:
            raise Later("the database is away")
        if any(wish.by == "bad" for wish in wishes):
            raise Refused("bad_value", "this cannot be stored")
        self.groups.append([wish.id for wish in wishes])
        return tuple(Submission(wish.id) for wish in wishes)


def wish(name: str, by: str = "li") -> NewJob:
    spec: Any = None
    return NewJob(JobId(name), ProjectId("p"), spec, by, "digest")


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def submissions(book: Book) -> Iterator[Submissions]:
    found = Submissions(book, lambda: 42, waiting_max=100)
    yield found
    book.open.set()
    found.close()


def test_what_comes_while_a_commit_is_under_way_shares_the_next(book: Book, submissions: Submissions) -> None:
    futures = [submissions.add(wish(str(number))) for number in range(50)]
    assert not futures[0].done()
    book.open.set()
    for number, future in enumerate(futures):
        written = future.result(10)
        assert written.submission.job == str(number)
        assert written.at_ms == 42
    assert sum(map(len, book.groups)) == 50
    assert len(book.groups) <= 3
    assert [name for group in book.groups for name in group] == [str(number) for number in range(50)]


def test_one_bad_wish_fails_alone(book: Book, submissions: Submissions) -> None:
    futures = [submissions.add(wish(str(number), "bad" if number == 7 else "li")) for number in range(12)]
    book.open.set()
    for number, future in enumerate(futures):
        if number == 7:
            with pytest.raises(Refused):
                future.result(10)
        else:
            assert future.result(10).submission.job == str(number)


def test_a_full_queue_says_later_and_a_store_that_is_away_fails_all_that_wait(
    book: Book, submissions: Submissions
) -> None:
    first = submissions.add(wish("first"))
    wait_for(first.running)
    futures = [first, *(submissions.add(wish(str(number))) for number in range(100))]
    with pytest.raises(Later):
        submissions.add(wish("one too many"))
    book.away = True
    book.open.set()
    for future in futures:
        with pytest.raises(Later):
            future.result(10)


def test_closing_writes_what_was_accepted_and_takes_nothing_more(
    book: Book, submissions: Submissions
) -> None:
    future = submissions.add(wish("last"))
    book.open.set()
    submissions.close()
    assert future.done()
    with pytest.raises(Later):
        submissions.add(wish("too late"))


def test_who_left_before_the_commit_began_is_not_written(book: Book, submissions: Submissions) -> None:
    first = submissions.add(wish("first"))
    wait_for(first.running)
    gone, stays = submissions.add(wish("gone")), submissions.add(wish("stays"))
    assert gone.cancel()
    book.open.set()
    assert stays.result(10).submission.job == "stays"
    assert [name for group in book.groups for name in group] == ["first", "stays"]

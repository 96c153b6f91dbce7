"""Group commit: whoever waits is served once, in batches, and one's trouble is nobody else's."""

import threading
from collections.abc import Sequence

import pytest

from hutong.adapters.store.combining import AT_ONCE, Combiner, PostAlone, Verdict
from hutong.core.book.money import HoldChange, Posting
from hutong.core.kernel.errors import Conflict, Later
from hutong.core.kernel.ids import ProjectId


def posting(n: int) -> Posting:
    return Posting(holds=(HoldChange(str(n), ProjectId("p"), ()),))


class Book:
    """Writes what it is told; the first batch waits until somebody lets it go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = threading.Event()
        self.batches: list[list[str]] = []

    def write(self, postings: Sequence[Posting]) -> Sequence[Verdict]:
        names = [each.holds[0].key for each in postings]
        if not self.begun.is_set():
            self.begun.set()
            assert self.go_on.wait(60)
        if "7" in names and len(names) > 1:
            raise PostAlone
        if "9" in names:
            raise RuntimeError("nine")
        self.batches.append(names)
        return [Conflict("odd", "five") if name == "5" else name != "3" for name in names]


def run(book: Book, count: int) -> dict[int, object]:
    """Post `count` at once, all but the first while the first is being written."""
    combiner, answers = Combiner(book.write), dict[int, object]()

    def one(n: int) -> None:
        try:
            answers[n] = combiner.post(posting(n))
        except Exception as error:
            answers[n] = error

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    threads[0].start()
    assert book.begun.wait(60)
    for thread in threads[1:]:
        thread.start()
    while len(combiner._waiting) < count - 1:
        threading.Event().wait(0.001)
    book.go_on.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return answers


def test_what_waits_is_written_together_and_each_gets_its_own_answer() -> None:
    book = Book()
    answers = run(book, 7)
    assert len(book.batches) == 2
    assert sorted(book.batches[1]) == ["1", "2", "3", "4", "5", "6"]
    assert answers[3] is False
    assert isinstance(answers[5], Conflict)
    assert all(answers[n] is True for n in (0, 1, 2, 4, 6))


def test_one_that_must_be_alone_and_one_that_breaks_harm_no_other() -> None:
    answers = run(Book(), 11)
    assert isinstance(answers[9], RuntimeError)
    assert all(answers[n] is True for n in (0, 1, 2, 4, 6, 7, 8, 10))


def test_a_batch_is_bounded() -> None:
    book = Book()
    many = 2 * AT_ONCE + 5

    class Calm(Book):
        def write(self, postings: Sequence[Posting]) -> Sequence[Verdict]:
            self.batches.append([each.holds[0].key for each in postings])
            if not self.begun.is_set():
                self.begun.set()
                assert self.go_on.wait(60)
            return [True] * len(postings)

    book = Calm()
    assert set(run(book, many).values()) == {True}
    assert [len(each) for each in book.batches] == [1, AT_ONCE, AT_ONCE, 4]


def test_while_the_store_is_away_nobody_waits_for_all_the_others() -> None:
    asked: list[int] = []

    def away(postings: Sequence[Posting]) -> Sequence[Verdict]:
        asked.append(len(postings))
        raise Later("the database does not answer")

    with pytest.raises(Later):
        Combiner(away).post(posting(1))
    assert asked == [1]

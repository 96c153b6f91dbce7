"""Folders that stand as they did are not looked at, and nothing that changes is missed."""

import os
from pathlib import Path

import pytest

from hutong.adapters.engines.attempt.glance import Glances
from hutong.adapters.engines.base import Seen
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Ended
from hutong.core.work.states import AttemptState, Category

KEY = AttemptKey("ht-01m7q5cqg0758vfjzqd2ezndfe-a1")
ENDED = Ended(1, AttemptState.SUCCEEDED, Category.NONE, "", 1, 2, 1)


class Folder:
    """A folder of an attempt, and how often it was looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.looks = 0
        self.now_ms = 0
        self.seen: Seen | None = Seen(KEY, AttemptState.PENDING, "alpha:1")
        self.glances = Glances(lambda: self.now_ms)

    def pass_by(self, told: object = "PENDING") -> bool:
        """Pass once; True if the folder was looked at."""
        before = self.looks
        self.glances.begin({KEY})
        assert self.glances.look(KEY, self.path, told, self._look) is self.seen
        assert (KEY in self.glances.spared) is (self.looks == before)
        return self.looks > before

    def _look(self, key: AttemptKey) -> Seen | None:
        self.looks += 1
        return self.seen


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    assert [folder.pass_by() for _ in range(4)] == [True, True, False, False]
    return folder


def test_a_file_that_comes_or_goes_is_seen_at_once_and_once_more(folder: Folder) -> None:
    (folder.path / "end.json").touch()
    os.utime(folder.path, ns=(7, 7))
    assert [folder.pass_by() for _ in range(3)] == [True, True, False]


def test_another_word_of_the_scheduler_is_heeded(folder: Folder) -> None:
    assert [folder.pass_by("RUNNING") for _ in range(3)] == [True, True, False]
    assert [folder.pass_by(None) for _ in range(3)] == [True] * 3


def test_nothing_is_trusted_for_long(folder: Folder) -> None:
    folder.now_ms += 30_000
    assert [folder.pass_by() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("seen", [None, Seen(KEY, AttemptState.SUCCEEDED, "alpha:1", ended=ENDED)])
def test_what_is_over_or_not_there_is_looked_at(folder: Folder, seen: Seen | None) -> None:
    folder.seen = seen
    assert [folder.pass_by("COMPLETING") for _ in range(4)] == [True] * 4


def test_what_the_scheduler_knows_no_more_is_forgotten(folder: Folder) -> None:
    folder.glances.begin(set())
    assert [folder.pass_by() for _ in range(2)] == [True, True]


def test_a_folder_that_is_gone_is_looked_at(folder: Folder) -> None:
    folder.path = folder.path / "gone"
    assert folder.pass_by()

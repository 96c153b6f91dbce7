"""What an ended attempt leaves reaches the platform whole, and nothing else goes with it."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.agent.scene import StoreLink, World

from hutong.agent.link import Reply, SmallLog
from hutong.agent.moves import moves_of
from hutong.agent.shipping import Collector, LogShipper, digest_of, kept_files
from hutong.core.book.store import Sighting
from hutong.core.capacity.sites import Move
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Collected, Ended, Report
from hutong.core.work.states import AttemptState, Category
from hutong.wire.agent import LOG_CHUNK_BYTES, SMALL_LOGS_BYTES, Manifest

KEY = AttemptKey("ht-" + "0" * 26 + "-a1")


class Shelf:
    """The log and output side of an engine, over two folders."""

    def __init__(self, logs: Path, kept: Path | None = None) -> None:
        self.logs = logs
        self.kept = kept

    def ranks(self, key: AttemptKey) -> tuple[int, ...]:
        return tuple(sorted(int(path.name) for path in self.logs.iterdir()))

    def read_log(self, key: AttemptKey, rank: int, offset: int, limit: int) -> bytes:
        return (self.logs / str(rank)).read_bytes()[offset : offset + limit]

    def outputs(self, key: AttemptKey) -> Path | None:
        return self.kept

    def checkpoint(self, key: AttemptKey) -> Path | None:
        return self.logs.parent / "checkpoint"


def ended(attempt: int, *, checkpoint: bool = False) -> Ended:
    return Ended(attempt, AttemptState.FAILED, Category.INFRA, "why", 1, 2, 1, checkpoint=checkpoint)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "logs").mkdir()
    (tmp_path / "kept").mkdir()
    return Shelf(tmp_path / "logs", tmp_path / "kept")


def test_long_logs_go_whole_and_in_pieces(world: World, shelf: Shelf) -> None:
    text = os.urandom(LOG_CHUNK_BYTES * 2 + 17)
    (shelf.logs / "0").write_bytes(text)
    (shelf.logs / "1").write_bytes(b"")
    total, missing = LogShipper(world.link, shelf).send_whole(KEY)
    assert (total, missing) == (len(text), [])
    assert world.link.logs == {(KEY, 0): text, (KEY, 1): b""}
    assert world.link.whole == {(KEY, 0), (KEY, 1)}


def test_a_log_that_was_half_sent_goes_on_where_it_stopped(world: World, shelf: Shelf) -> None:
    text = os.urandom(LOG_CHUNK_BYTES * 3)
    (shelf.logs / "0").write_bytes(text)
    first = LogShipper(world.link, shelf)
    assert first.send_new([KEY]) == LOG_CHUNK_BYTES
    first.send_new([KEY])
    sent = []

    class Counting(StoreLink):
        def put_log(self, key: AttemptKey, rank: int, offset: int, data: bytes, whole: bool) -> int:
            sent.append(offset)
            return super().put_log(key, rank, offset, data, whole)

    line = Counting(world.store, world.link.clock)
    line.logs = world.link.logs
    LogShipper(line, shelf).send_whole(KEY)
    assert sent == [0, LOG_CHUNK_BYTES * 2]
    assert line.logs[KEY, 0] == text


def test_a_platform_that_keeps_less_is_said_to_be_missing_some(world: World, shelf: Shelf) -> None:
    (shelf.logs / "0").write_bytes(b"x" * (LOG_CHUNK_BYTES + 1))

    class Full(StoreLink):
        def put_log(self, key: AttemptKey, rank: int, offset: int, data: bytes, whole: bool) -> int:
            return min(100, super().put_log(key, rank, offset, data, whole))

    done = Collector(Full(world.store, world.link.clock), shelf).collect(KEY, ended(1))
    assert "keeps no more than 100 bytes" in done.missing


def test_files_go_by_content_and_once(world: World, shelf: Shelf) -> None:
    (shelf.kept / "deep").mkdir()
    (shelf.kept / "a").write_bytes(b"same")
    (shelf.kept / "deep" / "b").write_bytes(b"same")
    (shelf.kept / "c").write_bytes(b"")
    done = Collector(world.link, shelf).collect(KEY, ended(3))
    same = digest_of(shelf.kept / "a")[0]
    assert done.attempt == 3
    assert [(each.path, each.size_bytes) for each in done.outputs] == [("a", 4), ("c", 0), ("deep/b", 4)]
    assert done.outputs[0].digest == done.outputs[2].digest == same
    assert world.link.objects[same] == b"same"
    assert len(world.link.objects) == 2
    assert done.missing == ""


def test_what_is_not_the_jobs_own_stays(world: World, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of another")
    (shelf.kept / "file").write_text("mine")
    (shelf.kept / "out").symlink_to(tmp_path / "secret")
    (shelf.kept / "folder").symlink_to(tmp_path)
    (shelf.kept / "in").symlink_to("file")
    (shelf.kept / "gone").symlink_to("nowhere")
    os.mkfifo(shelf.kept / "pipe")
    (shelf.kept / os.fsdecode(b"\xff")).write_text("odd name")
    done = Collector(world.link, shelf).collect(KEY, ended(1))
    assert [each.path for each in done.outputs] == ["file", "in"]
    assert b"of another" not in world.link.objects.values()
    for name in ("out", "folder", "gone", "pipe"):
        assert name in done.missing
    assert done.missing.encode()


def test_too_many_files_are_cut_and_said(shelf: Shelf) -> None:
    for number in range(12):
        (shelf.kept / f"{number:02}").write_text("")
    found = list(kept_files(shelf.kept, most=10))
    assert [bool(problem) for _, problem in found] == [False] * 10 + [True]
    assert "more than 10 files" in found[-1][1]


def test_a_refused_file_is_missing_and_the_rest_goes_on(world: World, shelf: Shelf) -> None:
    (shelf.kept / "a").write_text("too much")
    (shelf.kept / "b").write_text("fine")

    class Strict(StoreLink):
        def put_object(self, digest: str, source: Path) -> None:
            if source.name == "a":
                raise Refused("too_big", "an object has at most 3 bytes")
            super().put_object(digest, source)

    done = Collector(Strict(world.store, world.link.clock), shelf).collect(KEY, ended(1))
    assert [each.path for each in done.outputs] == ["b"]
    assert done.missing == "a: an object has at most 3 bytes"


def test_a_checkpoint_goes_as_a_manifest_that_another_site_can_stage(world: World, shelf: Shelf) -> None:
    folder = shelf.logs.parent / "checkpoint"
    (folder / "step-9").mkdir(parents=True)
    (folder / "step-9" / "weights").write_bytes(b"w" * 10)
    (folder / ".hutong-carried.json").write_text("{}")
    done = Collector(world.link, shelf).collect(KEY, ended(1, checkpoint=True))
    manifest = Manifest.model_validate_json(world.link.objects[done.checkpoint])
    assert [(file.path, file.size_bytes) for file in manifest.files] == [("step-9/weights", 10)]
    assert done.checkpoint_bytes == 10
    assert world.link.objects[manifest.files[0].digest] == b"w" * 10
    assert Collector(world.link, shelf).collect(KEY, ended(1)).checkpoint == ""


def test_half_a_checkpoint_is_none(world: World, shelf: Shelf) -> None:
    folder = shelf.logs.parent / "checkpoint"
    folder.mkdir()
    (folder / "weights").write_bytes(b"w")
    (folder / "away").symlink_to("/etc/passwd")
    done = Collector(world.link, shelf).collect(KEY, ended(1, checkpoint=True))
    assert (done.checkpoint, done.checkpoint_bytes) == ("", 0)
    assert "the checkpoint: away" in done.missing


def test_how_far_results_are_is_told_while_they_go(world: World, shelf: Shelf) -> None:
    assert shelf.kept is not None
    for name in ("a", "b", "c"):
        (shelf.kept / name).write_bytes(name.encode() * 10)
    told: list[tuple[Move, ...]] = []

    class Watched(StoreLink):
        def put_object(self, digest: str, source: Path) -> None:
            told.append(moves_of(collector.progress))
            super().put_object(digest, source)

    collector = Collector(Watched(world.store, lambda: world.now), shelf)
    collector.collect(KEY, ended(1))
    assert told == [(Move(KEY, "results", done, 30),) for done in (0, 10, 20)]
    assert moves_of(collector.progress) == ()


def test_little_goes_with_the_report_of_the_end_and_leaves_nothing_to_collect(world: World) -> None:
    job = world.submit("echo hello; sleep 1")
    silent = world.submit("sleep 1")
    agent = world.agent()
    world.go(agent, steps=6)
    done = world.job(job).attempt
    assert (done.collected, done.log_bytes, done.missing) == (True, 6, "")
    assert world.link.logs == {(world.key(job), 0): b"hello\n"}
    assert world.job(silent).attempt.collected
    ends = [each for each in world.link.batches if any(isinstance(told.event, Ended) for told in each)]
    assert [{type(told.event) for told in each} for each in ends] == [{Ended, Collected}]


@pytest.mark.parametrize("why", ["older", "long", "unkept"])
def test_what_cannot_go_with_the_report_is_collected_as_ever(world: World, why: str) -> None:
    text = "x" * (SMALL_LOGS_BYTES if why == "long" else 10)

    class Unable(StoreLink):
        def report(
            self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
        ) -> Reply:
            if not logs:
                return super().report(reports, sighting)
            assert why == "unkept"
            kept = [each for each in reports if not isinstance(each.event, Collected)]
            return replace(super().report(kept, sighting), unkept=tuple({each.key for each in logs}))

    link = Unable(world.store, lambda: world.now)
    link.takes_logs = why != "older"
    job = world.submit(f"echo {text}; sleep 1")
    world.go(world.agent(link), steps=8)
    done = world.job(job).attempt
    assert (done.collected, done.log_bytes) == (True, len(text) + 1)
    assert link.logs == {(world.key(job), 0): f"{text}\n".encode()}


def test_only_small_logs_of_few_ranks_without_files_are_little(world: World, shelf: Shelf) -> None:
    collector = Collector(world.link, shelf)
    (shelf.logs / "0").write_bytes(b"a" * (SMALL_LOGS_BYTES - 1))
    (shelf.logs / "1").write_bytes(b"b")
    assert collector.at_once(KEY, ended(1)) is None, "there is a folder of outputs"
    shelf.kept = None
    left = collector.at_once(KEY, ended(1))
    assert left is not None
    assert left[0] == Collected(1, (), SMALL_LOGS_BYTES)
    assert [len(each.data) for each in left[1]] == [SMALL_LOGS_BYTES - 1, 1]
    assert collector.at_once(KEY, ended(1, checkpoint=True)) is None
    (shelf.logs / "1").write_bytes(b"bc")
    assert collector.at_once(KEY, ended(1)) is None
    for rank in range(5):
        (shelf.logs / str(rank)).write_bytes(b"")
    assert collector.at_once(KEY, ended(1)) is None

"""The line over real HTTP: what goes over it, and what a bad day on it means."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.scene import Door, World

from hutong.agent.link import HttpLink
from hutong.agent.moves import Progress
from hutong.agent.shipping import digest_of
from hutong.core.book.store import Sighting
from hutong.core.capacity.sites import Move, Transfer
from hutong.core.kernel.errors import Denied, Later, NotFound, Refused
from hutong.core.kernel.ids import AttemptKey, attempt_key
from hutong.core.work.facts import Accepted, Collected, Ended, OutputFile, RankExit, Report, Started, Starting
from hutong.core.work.states import AttemptState, Category, JobState


@pytest.fixture
def link(door: Door) -> Iterator[HttpLink]:
    opened = HttpLink(door.url, "site-token", timeout_s=60.0)
    yield opened
    opened.close()


def test_a_start_comes_with_all_that_is_needed(world: World, link: HttpLink) -> None:
    world.link.secrets = {"TOKEN": "sesame"}
    job = world.submit("echo 中文", envs=(("A", "ä"),))
    world.turn()
    delivery = link.take(0, 0)
    (command,) = delivery.commands
    row = world.store.job(job)
    assert (command.kind, command.job, command.key) == ("start", job, attempt_key(job, 1))
    assert command.spec == row.spec
    assert command.attempt == row.job.attempt
    assert command.secrets == {"TOKEN": "sesame"}
    assert "sesame" not in repr(delivery)
    assert delivery.now_ms == world.now
    assert link.take(command.id, 0).commands == ()


def test_a_long_poll_answers_when_a_command_comes(world: World, link: HttpLink) -> None:
    begin = time.monotonic()
    assert link.take(0, 0.3).commands == ()
    assert time.monotonic() - begin >= 0.3


def test_every_report_arrives_as_it_was(world: World, link: HttpLink) -> None:
    job = world.submit("true")
    world.turn()
    key = link.take(0, 0).commands[0].key
    digest = "sha256:" + "a" * 64
    events = [
        Accepted(1, "slurm-77", adopted=True),
        Starting(1),
        Started(1, 5, 8_000),
        Ended(1, AttemptState.FAILED, Category.OOM, "内存", 5, 9, 4, (RankExit(0, 137, 9), RankExit(1, 0))),
        Collected(1, (OutputFile("a/b.bin", 3, digest),), 12, "nothing", digest, 1 << 40),
    ]
    sighting = Sighting(
        world.now,
        frozenset({key}),
        frozenset(),
        "me",
        "bwrap",
        "no space",
        moves=(Move(key, "inputs", 3, 9),),
        offers=("store/lab",),
        stock=(digest,),
        transfers=(Transfer(5, 1 << 40, 9),),
        can=("gangs",),
    )
    reply = link.report([Report(key, event) for event in events], sighting)
    assert (reply.news, reply.repeats) == (5, 0)
    assert [each.event for each in world.link.reports] == events
    assert link.report([Report(key, events[0])], None).repeats == 1
    status = world.store.statuses()["east"]
    assert (status.isolation, status.trouble, status.offers) == ("bwrap", "no space", ("store/lab",))
    assert (status.stock, status.transfers) == ((digest,), (Transfer(5, 1 << 40, 9),))
    assert (status.can, status.lacks) == (("gangs",), ("services",))
    assert status.move(key) == Move(key, "inputs", 3, 9)
    world.turn()
    assert world.job(job).state is JobState.FAILED


def test_orphans_come_back(world: World, link: HttpLink) -> None:
    stray = AttemptKey("ht-" + "0" * 26 + "-a1")
    both = frozenset({stray})
    assert link.report([], Sighting(world.now, both, both)).orphans == (stray,)


def test_objects_go_both_ways(world: World, link: HttpLink, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 20_000)
    digest, _ = digest_of(source)
    assert not link.has_object(digest)
    link.put_object(digest, source)
    assert link.has_object(digest)
    link.get_object(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    with pytest.raises(Refused, match="another digest"):
        link.put_object("sha256:" + "0" * 64, source)
    with pytest.raises(NotFound):
        link.get_object("sha256:" + "0" * 64, tmp_path / "none")


def test_content_that_was_changed_on_the_way_is_not_taken(
    world: World, link: HttpLink, tmp_path: Path
) -> None:
    digest = "sha256:" + "1" * 64
    world.link.objects[digest] = b"something else"
    with pytest.raises(Later, match="another digest"):
        link.get_object(digest, tmp_path / "copy")


BIG = bytes(range(256)) * 20_000


def put_big(world: World) -> str:
    digest = f"sha256:{hashlib.sha256(BIG).hexdigest()}"
    world.link.objects[digest] = BIG
    return digest


def test_a_fetch_that_breaks_off_goes_on_where_it_was(
    world: World, door: Door, link: HttpLink, tmp_path: Path
) -> None:
    digest, copy = put_big(world), tmp_path / "copy"
    door.cuts = [1_000_000] * 4
    link.get_object(digest, copy)
    assert copy.read_bytes() == BIG
    assert len(door.requests) == 5, "a try that brought bytes costs none"
    assert door.sent_bytes == len(BIG), "nothing came twice"
    link.get_object(digest, copy)
    assert door.sent_bytes == len(BIG), "what is whole is not fetched again"


def test_a_fetch_that_nobody_wants_any_more_ends_and_leaves_what_it_has(
    world: World, door: Door, link: HttpLink, tmp_path: Path
) -> None:
    digest, copy = put_big(world), tmp_path / "copy"
    progress = Progress("inputs")

    def go_on() -> None:
        if copy.stat().st_size if copy.exists() else 0:
            progress.drop()
        progress.go_on()

    with pytest.raises(Later, match="not wanted"):
        link.get_object(digest, copy, go_on)
    assert len(door.requests) == 1, "it is not tried again"
    assert 0 < copy.stat().st_size < len(BIG)
    link.get_object(digest, copy)
    assert copy.read_bytes() == BIG


@pytest.mark.parametrize("left", [b"wrong" * 100_000, BIG + b"too much"])
def test_what_was_left_wrong_is_fetched_from_zero(
    world: World, door: Door, link: HttpLink, tmp_path: Path, left: bytes
) -> None:
    digest, copy = put_big(world), tmp_path / "copy"
    copy.write_bytes(left)
    link.get_object(digest, copy)
    assert copy.read_bytes() == BIG
    assert len(door.requests) == 2


def test_a_platform_that_knows_no_ranges_sends_all(
    world: World, door: Door, link: HttpLink, tmp_path: Path
) -> None:
    digest, copy = put_big(world), tmp_path / "copy"
    copy.write_bytes(BIG[:1_000])
    door.ranges = False
    link.get_object(digest, copy)
    assert copy.read_bytes() == BIG
    assert len(door.requests) == 1


def test_a_log_grows_without_holes(world: World, link: HttpLink) -> None:
    key = AttemptKey("ht-" + "0" * 26 + "-a1")
    assert link.put_log(key, 0, 0, b"abc", whole=False) == 3
    assert link.put_log(key, 0, 0, b"abc", whole=False) == 3
    assert link.put_log(key, 0, 9, b"later", whole=False) == 3
    assert link.put_log(key, -1, 0, b"", whole=True) == 0
    assert link.put_log(key, 0, 3, b"def", whole=True) == 6
    assert world.link.logs[key, 0] == b"abcdef"


def test_a_short_failure_is_tried_again(door: Door, link: HttpLink) -> None:
    door.faults = [503, 0]
    assert link.report([], None).news == 0
    assert door.requests == ["POST /v1/agent/report"] * 3


def test_a_long_failure_is_later(door: Door, link: HttpLink) -> None:
    door.faults = [502] * 9
    with pytest.raises(Later, match="502"):
        link.report([], None)
    assert len(door.requests) == 3


def test_a_plain_no_is_not_tried_again(door: Door, link: HttpLink, world: World) -> None:
    door.faults = [409]
    with pytest.raises(Refused, match="409"):
        link.report([], None)
    stranger = HttpLink(door.url, "another token")
    with pytest.raises(Denied):
        stranger.take(0, 0)
    stranger.close()
    assert len(door.requests) == 2


def test_nobody_there_is_later() -> None:
    link = HttpLink("http://127.0.0.1:1", "x", tries=1)
    with pytest.raises(Later):
        link.take(0, 0)
    link.close()

"""An agent tells how fast content came: all fetches together, no more than a message takes, over restarts."""

from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from tests.agent.scene import SITE, World

from hutong.agent.pace import Pace
from hutong.agent.staging import Cache
from hutong.core.capacity.sites import Transfer
from hutong.core.kernel.errors import Later
from hutong.core.work.spec import Input
from hutong.wire.agent import Manifest, ManifestFile
from hutong.wire.transfers import TRANSFERS_AT_ONCE


class Time:
    """Two clocks that a test moves."""

    def __init__(self) -> None:
        self.now_ms = 1000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def time() -> Time:
    return Time()


def pace(folder: Path, time: Time) -> Pace:
    """Return a pace for which 160 bytes matter, and ten count."""
    return Pace(folder / "transfers.json", 160, time, time)


def fetch(pace: Pace, time: Time, into: Path, size: int, ms: int) -> None:
    with pace.fetching(into):
        time.now_ms += ms
        into.write_bytes(b"x" * size)


def test_what_is_large_counts_and_is_known_to_the_next_agent(tmp_path: Path, time: Time) -> None:
    first = pace(tmp_path, time)
    fetch(first, time, tmp_path / "a", 200, 50)
    assert first.transfers() == (Transfer(1050, 200, 50),)
    again = pace(tmp_path, time)
    fetch(again, time, tmp_path / "b", 300, 10)
    assert again.transfers() == (Transfer(1050, 200, 50), Transfer(1060, 300, 10))


def test_a_fetch_that_goes_on_counts_what_came_now(tmp_path: Path, time: Time) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    found = pace(tmp_path, time)
    fetch(found, time, tmp_path / "a", 1200, 50)
    assert found.transfers() == (Transfer(1050, 200, 50),)


def test_files_of_a_folder_add_up_and_little_ones_are_left_out(tmp_path: Path, time: Time) -> None:
    found = pace(tmp_path, time)
    for number, size in enumerate((100, 9, 50)):
        fetch(found, time, tmp_path / str(number), size, 10)
    assert found.transfers() == ()
    time.now_ms += 5000  # nobody fetched meanwhile
    fetch(found, time, tmp_path / "last", 10, 10)
    assert found.transfers() == (Transfer(6040, 160, 30),)


def test_fetches_that_overlap_are_one_transfer(tmp_path: Path, time: Time) -> None:
    found = pace(tmp_path, time)
    with ExitStack() as both:
        both.enter_context(found.fetching(tmp_path / "a"))
        time.now_ms += 10
        fetch(found, time, tmp_path / "b", 100, 20)
        time.now_ms += 10
        (tmp_path / "a").write_bytes(b"x" * 300)
        assert found.transfers() == ()
    assert found.transfers() == (Transfer(1040, 400, 40),)


def test_what_broke_off_spoils_what_went_on_beside_it(tmp_path: Path, time: Time) -> None:
    found = pace(tmp_path, time)
    with found.fetching(tmp_path / "a"):
        with pytest.raises(Later), found.fetching(tmp_path / "b"):
            raise Later("the line is down", 1)
        time.now_ms += 10
        (tmp_path / "a").write_bytes(b"x" * 300)
    assert found.transfers() == ()
    fetch(found, time, tmp_path / "c", 300, 10)
    assert found.transfers() == (Transfer(1020, 300, 10),)


def test_the_last_ones_are_kept(tmp_path: Path, time: Time) -> None:
    found = pace(tmp_path, time)
    for number in range(TRANSFERS_AT_ONCE + 2):
        fetch(found, time, tmp_path / str(number), 160 + number, 10)
    sizes = [each.size_bytes for each in found.transfers()]
    assert sizes == list(range(162, 162 + TRANSFERS_AT_ONCE))
    assert pace(tmp_path, time).transfers() == found.transfers()


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"at_ms": 1}]', '[{"at_ms": "x"}]', "7", "null"])
def test_a_file_that_is_damaged_is_no_file(tmp_path: Path, time: Time, text: str) -> None:
    (tmp_path / "transfers.json").write_text(text)
    found = pace(tmp_path, time)
    assert found.transfers() == ()
    fetch(found, time, tmp_path / "a", 200, 50)
    assert pace(tmp_path, time).transfers() == (Transfer(1050, 200, 50),)


def test_a_disk_that_keeps_nothing_does_not_stop_a_fetch(tmp_path: Path, time: Time) -> None:
    found = Pace(tmp_path / "gone" / "transfers.json", 160, time, time)
    fetch(found, time, tmp_path / "a", 200, 50)
    assert found.transfers() == (Transfer(1050, 200, 50),)


def test_what_an_agent_fetched_is_told_to_the_platform(world: World, tmp_path: Path) -> None:
    def keep(data: bytes) -> str:
        path, digest = tmp_path / "upload", f"sha256:{sha256(data).hexdigest()}"
        path.write_bytes(data)
        world.link.put_object(digest, path)
        return digest

    parts = tuple(
        ManifestFile(path=name, size_bytes=40 << 20, digest=keep(name.encode() * (40 << 20))) for name in "yz"
    )
    shape = Manifest(files=parts)
    wanted = keep(shape.model_dump_json().encode())
    Cache(world.folder / "cache", world.link).fetch([Input("data", wanted, "manifest")])
    world.go(world.agent(sighting_every_s=1), steps=2)
    (told,) = world.store.statuses()[SITE].transfers
    assert told.size_bytes == 80 << 20
    assert replace(told, at_ms=0, took_ms=1) == Transfer(0, 80 << 20, 1)

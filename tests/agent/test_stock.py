"""An agent tells which large inputs it has whole, by what jobs name, and no more than a message takes."""

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from tests.agent.scene import World

from hutong.agent.staging import Cache
from hutong.agent.stock import Stock
from hutong.core.work.spec import Input
from hutong.wire.agent import STOCK_AT_ONCE, Manifest, ManifestFile


def digest_of(data: bytes) -> str:
    """Return the digest of some bytes."""
    return f"sha256:{sha256(data).hexdigest()}"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "objects", tmp_path / "sets"
    for each in made:
        each.mkdir()
    return made


def put(folder: Path, number: int, size: int, at_s: int = 0) -> Path:
    """Write an object of that size, used at that time."""
    path = folder / f"{number:064x}"
    path.write_bytes(b"x" * size)
    os.utime(path, (at_s, at_s))
    return path


def names(*numbers: int) -> tuple[str, ...]:
    """Return digests."""
    return tuple(f"sha256:{each:064x}" for each in numbers)


def test_sets_count_as_a_whole_and_their_parts_do_not(folders: tuple[Path, Path]) -> None:
    objects, sets = folders
    put(objects, 1, 100)
    put(objects, 2, 99)
    whole = sets / f"{9:064x}"
    (whole / "deep").mkdir(parents=True)
    for number, path in ((3, "a"), (4, "deep/b")):
        (whole / path).hardlink_to(put(objects, number, 100))
    (sets / f".{8:064x}.1.1").mkdir()
    (objects / f".{7:064x}.part").write_bytes(b"x" * 1000)
    (objects / "s3-listing").write_bytes(b"x" * 1000)
    assert Stock(objects, sets, matters_bytes=100).digests() == names(1, 9)


def test_it_looks_again_only_when_it_is_told(folders: tuple[Path, Path]) -> None:
    stock = Stock(*folders, matters_bytes=10)
    assert stock.digests() == ()
    put(folders[0], 1, 10)
    assert stock.digests() == ()
    stock.forget()
    assert stock.digests() == names(1)


def test_of_many_those_are_told_that_were_used_last(folders: tuple[Path, Path]) -> None:
    for number in range(STOCK_AT_ONCE + 5):
        put(folders[0], number, 10, at_s=1_000_000 + number)
    assert Stock(*folders, matters_bytes=10).digests() == names(*range(5, STOCK_AT_ONCE + 5))


def test_what_was_fetched_is_in_stock(world: World, tmp_path: Path) -> None:
    def keep(datas: Sequence[bytes]) -> list[str]:
        found = []
        for data in datas:
            path = tmp_path / "upload"
            path.write_bytes(data)
            world.link.put_object(digest_of(data), path)
            found.append(digest_of(data))
        return found

    big = b"y" * (64 << 20)
    (part,) = keep([big])
    shape = Manifest(files=(ManifestFile(path="part", size_bytes=len(big), digest=part),))
    wanted, light = keep([shape.model_dump_json().encode(), b"small"])
    cache = Cache(tmp_path / "cache", world.link)
    assert cache.stock.digests() == ()
    cache.fetch([Input("data", wanted, "manifest"), Input(".", light, "bundle")])
    assert cache.stock.digests() == (wanted,)

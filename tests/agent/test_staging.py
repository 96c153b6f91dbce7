"""Inputs come by content, are verified, are kept for the next job, and do not fill the disk."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from tests.agent.scene import World

from hutong.agent.staging import Cache
from hutong.core.kernel.errors import NotFound, Refused
from hutong.core.work.spec import Input


def put(world: World, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    world.link.objects[digest] = data
    return digest


def manifest(world: World, **files: bytes) -> str:
    listed = [
        {"path": path, "size_bytes": len(data), "digest": put(world, data)} for path, data in files.items()
    ]
    return put(world, json.dumps({"files": listed}).encode())


def test_a_bundle_is_fetched_once(world: World, tmp_path: Path) -> None:
    digest = put(world, b"tar")
    cache = Cache(tmp_path, world.link)
    wanted = (Input("code", digest, "bundle"),)
    ((mount, kind, path),) = cache.fetch(wanted)
    assert (mount, kind, path.read_bytes()) == ("code", "bundle", b"tar")
    world.link.objects.clear()
    assert Cache(tmp_path, world.link).fetch(wanted) == (("code", "bundle", path),)


def test_a_manifest_becomes_a_folder(world: World, tmp_path: Path) -> None:
    digest = manifest(world, **{"a.bin": b"1", "deep/b.bin": b"22"})
    cache = Cache(tmp_path, world.link)
    ((_, kind, folder),) = cache.fetch((Input("m", digest, "manifest"),))
    assert kind == "manifest"
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.bin")} == {
        "a.bin": b"1",
        "deep/b.bin": b"22",
    }
    assert cache.fetch((Input("m", digest, "manifest"),))[0][2] == folder


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x"])
def test_a_manifest_cannot_leave_its_folder(world: World, tmp_path: Path, path: str) -> None:
    digest = manifest(world, **{path: b"evil"})
    with pytest.raises(Refused, match="leaves the folder"):
        Cache(tmp_path, world.link).fetch((Input("m", digest, "manifest"),))
    assert not list(tmp_path.rglob("x"))


def test_what_is_no_input_is_refused(world: World, tmp_path: Path) -> None:
    cache = Cache(tmp_path, world.link)
    for wanted in (
        Input("m", put(world, b"not json"), "manifest"),
        Input("m", "sha256:../../etc/passwd", "bundle"),
        Input("m", put(world, b"x"), "image"),
    ):
        with pytest.raises(Refused):
            cache.fetch((wanted,))
    with pytest.raises(NotFound):
        cache.fetch((Input("m", "sha256:" + "0" * 64, "bundle"),))
    assert not list((tmp_path / "sets").iterdir())


def test_the_cache_gives_up_what_was_used_longest_ago(world: World, tmp_path: Path) -> None:
    cache = Cache(tmp_path, world.link, most_bytes=250, keep_s=100)
    paths = []
    for number in range(4):
        digest = put(world, bytes([number]) * 100)
        paths.append(cache.fetch((Input("x", digest, "bundle"),))[0][2])
    assert all(path.exists() for path in paths), "what is in use now stays, whatever the bound"
    for age, path in enumerate(reversed(paths)):
        os.utime(path, (time.time() - 1_000 * (age + 1),) * 2)
    cache.evict()
    assert [path.exists() for path in paths] == [False, False, True, True]

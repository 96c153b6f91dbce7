"""What users of the object store may rely on, whatever is behind it."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hutong.adapters.objects.open import open_objects
from hutong.adapters.objects.paths import content_path
from hutong.adapters.objects.store import Objects, Stored
from hutong.core.kernel.errors import Later, NotFound, Refused


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_what_is_put_is_read(objects: Objects) -> None:
    objects.put("a/b.txt", b"one")
    objects.put("a/b.txt", b"two")
    assert objects.get("a/b.txt") == b"two"
    assert objects.size("a/b.txt") == 3
    objects.put("a/none", b"")
    objects.put("a/none too", iter(()))
    assert objects.get("a/none") == objects.get("a/none too") == b""
    objects.put("诗/唐 诗.txt", "床前明月光".encode())
    assert objects.get("诗/唐 诗.txt").decode() == "床前明月光"


def test_big_things_stream_in_and_out(objects: Objects, tmp_path: Path) -> None:
    data = os.urandom((12 << 20) + 17)
    objects.put("big", (data[at : at + 700_000] for at in range(0, len(data), 700_000)))
    assert b"".join(objects.stream("big")) == data
    assert b"".join(objects.stream("big", len(data) - 5)) == data[-5:]
    (tmp_path / "local").write_bytes(data)
    objects.put_file("big too", tmp_path / "local")
    assert objects.size("big too") == len(data)
    assert objects.get_range("big too", 5 << 20, 100) == data[5 << 20 :][:100]


def test_ranges_end_where_the_object_ends(objects: Objects) -> None:
    objects.put("x", b"0123456789")
    assert objects.get_range("x", 8, 100) == b"89"
    assert objects.get_range("x", 10, 5) == objects.get_range("x", 99, 5) == b""
    assert objects.get_range("x", 3, 0) == b""
    assert list(objects.stream("x", 10)) == list(objects.stream("x", 11)) == []
    with pytest.raises(Refused, match="0 or more"):
        objects.get_range("x", -1, 5)


def test_what_is_not_there_is_not_found(objects: Objects) -> None:
    for ask in (objects.get, objects.size, objects.stream, lambda path: objects.get_range(path, 0, 1)):
        with pytest.raises(NotFound):
            ask("no/such")
    assert not objects.exists("no/such")
    objects.delete("no/such")
    objects.put("x", b"1")
    objects.delete("x")
    assert not objects.exists("x")


def test_a_list_is_ordered_and_paged(objects: Objects) -> None:
    for number in range(25):
        objects.put(f"logs/{number:03}", b"x" * number)
    objects.put("logs-of-others", b"")
    first = objects.list("logs", limit=10)
    assert first == tuple(Stored(f"logs/{number:03}", number) for number in range(10))
    rest = objects.list("logs/", after=first[-1].path, limit=100)
    assert [each.path for each in rest] == [f"logs/{number:03}" for number in range(10, 25)]
    assert objects.list("nothing") == ()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/./b",
        "a//b",
        "a/",
        "a\\b",
        "a\nb",
        "a\0b",
        "a/b#1",
        "x" * 300,
    ],
)
def test_a_path_cannot_leave_its_folder(objects: Objects, path: str) -> None:
    for ask in (
        objects.get, objects.size, objects.delete, objects.stream, lambda p: objects.put(p, b"x"),
        lambda p: objects.get_range(p, 0, 1),
    ):  # fmt: skip
        with pytest.raises(Refused) as refusal:
            ask(path)
        assert refusal.value.code == "bad_path"
        assert refusal.value.problems[0].hint
    assert objects.list() == ()


def test_a_write_that_breaks_off_leaves_what_was_there(objects: Objects) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"y" * (6 << 20)
        raise ConnectionError("the peer went away")

    objects.put("x", b"old")
    for path in ("x", "new"):
        with pytest.raises(ConnectionError):
            objects.put(path, breaks())
    assert objects.get("x") == b"old"
    assert [each.path for each in objects.list()] == ["x"]


def test_a_reader_never_sees_half_a_write(objects: Objects) -> None:
    """Two whole versions alternate; every read is one of them."""
    versions = {b"a" * 300_000, b"b" * 300_000}
    objects.put("x", min(versions))
    done = threading.Event()

    def write() -> None:
        for turn in range(20):
            objects.put("x", sorted(versions)[turn % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(objects.get("x"))
    writer.join()
    assert seen <= versions


def test_content_is_kept_by_its_digest(objects: Objects) -> None:
    data = os.urandom(9 << 20)
    expect = digest_of(data)
    assert objects.put_content(iter([data[:100], b"", data[100:]])) == (expect, len(data))
    assert objects.has_content(expect)
    assert objects.put_content([data], expect) == (expect, len(data))
    assert objects.get(content_path(expect)) == data
    empty = digest_of(b"")
    assert objects.put_content([], empty) == (empty, 0)
    assert objects.get(content_path(empty)) == b""


@pytest.mark.parametrize("size", [10, 6 << 20])
def test_wrong_or_too_much_content_is_never_visible(objects: Objects, size: int) -> None:
    data, expect = b"x" * size, digest_of(b"other")
    with pytest.raises(Refused) as refusal:
        objects.put_content([data], expect)
    assert refusal.value.code == "wrong_digest"
    with pytest.raises(Refused) as refusal:
        objects.put_content([data, b"1"], digest_of(data + b"1"), limit_bytes=size)
    assert refusal.value.code == "too_large"
    with pytest.raises(Refused) as refusal:
        objects.put_content([data], "sha256:../../x")
    assert refusal.value.code == "bad_digest"
    assert objects.list() == ()
    objects.put_content([b"other"], expect)
    with pytest.raises(Refused):
        objects.put_content([data], expect)
    assert objects.get(content_path(expect)) == b"other"


def test_a_full_disk_means_later_and_leaves_what_was_there(tmp_path: Path) -> None:
    """The system lets a process write files of 100 kB at most: to it that is a disk without room."""
    program = f"""
import resource
from hutong.adapters.objects.open import open_objects
from hutong.core.kernel.errors import Later
objects = open_objects("file://{tmp_path}")
objects.put("x", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for data in (bytes(300_000), iter([bytes(300_000)])):
    try:
        objects.put("x", data)
    except Later as error:
        assert "full" in error.message, error.message
    else:
        raise SystemExit("it was taken")
assert objects.get("x") == b"old"
assert [each.path for each in objects.list()] == ["x"]
"""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert child.returncode == 0, child.stderr


def test_a_wrong_key_means_later(s3_server: Any) -> None:
    with pytest.raises(Later, match="did not do it"):
        open_objects(s3_server.url("runs", secret="wrong")).get("x")


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "file://host/x", "file:x", "s3:///x", "s3://b/?color=red", "", "file:///dev/null/x"]
)
def test_a_bad_url_says_what_would_be_right(url: str) -> None:
    with pytest.raises(Refused, match="write file:///folder"):
        open_objects(url)


def test_no_credentials_are_looked_for_on_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(Refused, match="AWS_ACCESS_KEY_ID"):
        open_objects("s3://bucket/x?endpoint=http://127.0.0.1:1")

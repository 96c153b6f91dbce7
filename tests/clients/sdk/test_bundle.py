"""Work folders: the same files give the same bytes, within bounds, and nothing from outside gets in."""

import gzip
import hashlib
import os
import resource
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.clients.sdk.bundle import Bundle, find_workdir, pack, with_bundle
from hutong.clients.sdk.ignore import parse_ignore
from hutong.core.kernel.errors import Refused


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    (folder / "src" / "train.py").write_text("print(1)\n")
    (folder / "src" / "deep" / "数据.txt").write_text("x")
    (folder / "link").symlink_to("src/train.py")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    return folder


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give bundles a temporary folder of their own, and see that a refusal leaves nothing in it."""
    folder = tmp_path_factory.mktemp("bundles")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def members(bundle: Bundle) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(bundle.path) as archive:
        return {each.name: each for each in archive}


def refusal(folder: Path, **limits: int) -> str:
    with pytest.raises(Refused) as caught:
        pack(folder, **limits)
    assert caught.value.code == "bad_workdir"
    assert caught.value.problems[0].path == "/workdir"
    assert caught.value.problems[0].hint
    return caught.value.message


def test_a_bundle_has_all_but_the_repository(work: Path) -> None:
    bundle = pack(work)
    found = members(bundle)
    assert list(found) == [
        "empty", "link", "run.sh", "src", "src/deep", "src/deep/数据.txt", "src/train.py",
    ]  # fmt: skip
    assert found["link"].linkname == "src/train.py"
    assert (found["run.sh"].mode, found["src/train.py"].mode) == (0o755, 0o644)
    assert bundle.digest == "sha256:" + hashlib.sha256(bundle.path.read_bytes()).hexdigest()
    assert (bundle.size_bytes, bundle.files) == (bundle.path.stat().st_size, 7)


def test_only_content_counts(work: Path, tmp_path: Path) -> None:
    first = pack(work)
    for path in work.rglob("*"):
        os.utime(path, (1, 2), follow_symlinks=False)
    (work / "src" / "train.py").chmod(0o600)
    moved = work.rename(tmp_path / "elsewhere")
    assert pack(moved).digest == first.digest
    assert gzip.decompress(first.path.read_bytes())
    (moved / "src" / "train.py").write_text("print(2)\n")
    assert pack(moved).digest != first.digest


def test_what_goes_in_comes_out(work: Path, tmp_path: Path) -> None:
    with tarfile.open(pack(work).path) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    out = tmp_path / "out"
    assert (out / "link").read_text() == "print(1)\n"
    assert (out / "empty").is_dir()
    assert os.access(out / "run.sh", os.X_OK)


def test_links_that_leave_the_folder_are_refused(work: Path, tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "private").write_text("x")
    for target in ("../private", "/etc/passwd", "..", str(work / "run.sh"), "src/../../private"):
        (work / "bad").symlink_to(target)
        assert "bad is a link" in refusal(work)
        (work / "bad").unlink()
    (work / "loop").symlink_to("loop")
    assert "leads back to itself" in refusal(work)
    assert not list(temporary.iterdir())


def test_a_chain_of_links_that_leaves_the_folder_is_refused(work: Path) -> None:
    (work / "src" / "up").symlink_to("..")
    assert pack(work).files == 8
    (work / "out").symlink_to("src/up/../x")
    assert "outside the folder" in refusal(work)


def test_bounds_are_kept(work: Path, temporary: Path) -> None:
    assert "more than 6 files" in refusal(work, most_files=6)
    (work / "big").write_bytes(bytes(3_000_000))
    assert "more than 2 MB" in refusal(work, most_bytes=2_000_000)
    with (work / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert "more than 100 MB" in refusal(work)
    (work / ".hutongignore").write_text("big\nsparse\n")
    assert pack(work, most_bytes=2_000_000).files == 8
    assert len(list(temporary.iterdir())) == 1


def test_a_full_disk_is_said_and_leaves_nothing_behind(work: Path, temporary: Path) -> None:
    (work / "noise").write_bytes(os.urandom(500_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        assert "cannot be packed" in refusal(work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(temporary.iterdir())


def test_what_is_no_file_is_refused(work: Path) -> None:
    os.mkfifo(work / "pipe")
    assert "pipe is a socket, a pipe or a device" in refusal(work)
    (work / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(work)  # the path of a socket is short
        try:
            server.bind("sock")
        finally:
            os.chdir(before)
        assert "sock is a socket" in refusal(work)
    (work / "sock").unlink()
    Path(os.fsdecode(bytes(work) + b"/\xff")).write_text("x")
    assert "not UTF-8" in refusal(work)


@pytest.mark.parametrize("name", [".hutongignore", ".skyignore", ".gitignore"])
def test_an_ignore_file_keeps_files_at_home(work: Path, name: str) -> None:
    (work / name).write_text("# notes\n\nsrc/deep/\n*.sh\n")
    assert list(members(pack(work))) == [name, "empty", "link", "src", "src/train.py"]


def test_our_ignore_file_wins_over_the_others(work: Path) -> None:
    (work / ".gitignore").write_text("*\n")
    (work / ".hutongignore").write_text("")
    assert pack(work).files == 9


@pytest.mark.parametrize(
    ("rules", "skipped", "kept"),
    [
        ("*.pt", ["a.pt", "x/y/a.pt"], ["a.pth", "a.pt.txt"]),
        ("/data", ["data"], ["x/data"]),
        ("x/data", ["x/data"], ["y/x/data"]),
        ("build/", ["build/", "x/build/"], ["build"]),
        ("**/logs", ["logs", "a/b/logs"], ["logs.txt"]),
        ("a/**/z", ["a/z", "a/b/c/z"], ["z"]),
        ("a/**", ["a/b", "a/b/c"], ["a"]),
        ("a*z", ["az", "abz"], ["a/z"]),
        ("?.py", ["a.py"], ["ab.py", "/.py"]),
        ("[ab].py", ["a.py"], ["c.py"]),
        ("[!ab].py", ["c.py"], ["a.py"]),
        ("[a-c-].py", ["b.py", "-.py"], ["d.py"]),
        ("[c-a]x", [], ["bx", "-x", "x"]),
        ("[a--b||c&&d~~e]", ["b", "|", "&", "~"], ["f"]),
        ("*.py\n!keep.py", ["a.py"], ["keep.py", "x/keep.py"]),
        ("!keep.py\n*.py", ["keep.py"], []),
        ("\\#x", ["#x"], ["x"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_patterns_mean_what_they_mean_to_git(rules: str, skipped: list[str], kept: list[str]) -> None:
    ignore = parse_ignore(rules)
    for name in skipped:
        assert ignore.skips(name.rstrip("/"), is_folder=name.endswith("/")), name
    for name in kept:
        assert not ignore.skips(name.rstrip("/"), is_folder=name.endswith("/")), name


@given(
    st.text(alphabet="ab*?[]!^-/\\.#(){}|+$ \n", max_size=60),
    st.text(alphabet="ab/.", min_size=1, max_size=20),
)
def test_any_ignore_file_can_be_read(rules: str, name: str) -> None:
    parse_ignore(rules).skips(name, is_folder=False)


def test_too_long_an_ignore_file_is_refused_by_line() -> None:
    with pytest.raises(Refused, match="line 2"):
        parse_ignore("ok\n" + "x" * 500)


def test_the_folder_starts_at_the_job_file(work: Path) -> None:
    file = work / "src" / "job.yaml"
    assert find_workdir({"workdir": "."}, file) == work / "src"
    assert find_workdir({"workdir": ".."}, file) == work
    assert find_workdir({}, file) is None
    assert find_workdir({"workdir": {"digest": "x"}}, file) is None
    for missing in ("none", "train.py", "", "a\0b", "~nobody-of-that-name/x"):
        with pytest.raises(Refused, match="is no folder") as caught:
            find_workdir({"workdir": missing}, file)
        assert caught.value.code == "bad_workdir"


def test_the_packed_folder_takes_the_place_of_the_local_one(work: Path) -> None:
    document = {"run": "x", "workdir": "."}
    bundle = pack(work)
    assert with_bundle(document, bundle) == {"run": "x", "workdir": {"digest": bundle.digest}}
    assert document["workdir"] == "."

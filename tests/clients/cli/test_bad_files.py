"""Bad job files: one clear message with the line, exit code 2, nothing stored."""

import json
from pathlib import Path
from typing import Any

import pytest

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES = {
    "wrong type": (b"num_nodes: many\nrun: x\n", 1, "num_nodes"),
    "unknown key": (b"run: x\n\nresurces: {}\n", 3, "resurces"),
    "impossible resources": (b"run: x\nresources:\n  accelerators: H100:9000\n", 3, "9000"),
    "unknown card": (b"run: x\nresources:\n  accelerators: H101:1\n", 3, "H101"),
    "negative count": (b"name: a\nnum_nodes: -2\nrun: x\n", 2, "num_nodes"),
    "no mapping": (b"- run\n", 1, "mapping"),
    "torn YAML": (b"run: x\nenvs: {A: 1\n", 2, "closed"),
    "doubled key": (b"run: x\nrun: y\n", 2, "run"),
    "bomb": (BOMB.encode() + b"run: x\n", 5, "aliases"),
    "binary": (bytes(range(256)), 2, "UTF-8"),
    "tag": (b"run: !!python/object/apply:os.system [id]\n", 1, ""),
    "secret with its value": (b"run: x\nsecrets: {HF_TOKEN: hf_abc}\n", 2, "HF_TOKEN"),
    "missing secret": (b"run: x\nsecrets: [NO_SUCH]\nresources: {accelerators: H100:1}\n", 2, "NO_SUCH"),
}


@pytest.mark.parametrize("verb", [("run", "--detach"), ("check",)], ids=["run", "check"])
@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_answered_by_line(house: Any, tmp_path: Path, name: str, verb: tuple[str, ...]) -> None:
    data, line, about = FILES[name]
    path = tmp_path / "job.yaml"
    path.write_bytes(data)
    before = house.run("jobs", "--json").out
    done = house.run(verb[0], str(path), *verb[1:])
    assert done.code == 2, done.out + done.err
    assert done.out == ""
    said = [each for each in done.err.splitlines() if each.startswith(f"{path}:")]
    lines = [int(each.removeprefix(f"{path}:").split(":")[0]) for each in said]
    assert line in lines, done.err
    assert about in done.err
    assert "hf_abc" not in done.err
    assert "Traceback" not in done.err
    assert house.run("jobs", "--json").out == before


@pytest.mark.parametrize("text", [b"run: x\n" + b"# padding\n" * 1_000_000, b""], ids=["10 MB", "empty"])
def test_a_file_of_a_wrong_size_is_refused(house: Any, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(text)
    done = house.run("run", str(path), "--detach")
    assert done.code == 2
    assert str(path) in done.err


def test_anchors_are_plain_yaml_and_work(house: Any, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("run: echo $A\nresources: {accelerators: H100:1}\nenvs: {A: &a one, B: *a}\n")
    assert house.run("check", str(path), "--json").code == 0


def test_with_json_the_problems_are_a_document_with_lines(house: Any, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("run: x\nnum_nodes: -1\n")
    told = json.loads(house.run("run", str(path), "--json").err)
    assert told["file"] == str(path)
    assert told["problems"][0]["line"] == 2
    assert told["problems"][0]["path"] == "/num_nodes"

"""What a user may rely on about the corpus: real text, always the same, and its papers are true."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

PAYLOADS = Path(__file__).resolve().parents[2] / "src" / "hutong" / "payloads"

FORTUNE = """\x1b[32m《静夜思》\x1b[m
\x1b[33m作者：李白\x1b[m
床前明月光，疑是地上霜。
举头望明月，低头思故乡。
%
Use the source.
    -- 《A manual》 in English
%
"""


def build(python: Path, out: Path, *options: str) -> dict[str, Any]:
    command = [python, PAYLOADS / "corpus.py", "--out", out, "--vocab", "600", "--megabytes", "0.3", *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    manifest: dict[str, Any] = json.loads(done.stdout)
    return manifest


def test_standard_library_gives_the_same_corpus_each_time(payload_python: Path, tmp_path: Path) -> None:
    first = build(payload_python, tmp_path / "one")
    second = build(payload_python, tmp_path / "two")
    assert first == second
    for name in ("tokens.bin", "tokenizer.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert first["licence"] == "PSF-2.0"
    assert first["files"] > 5
    assert 200_000 < first["bytes"] <= 300_000
    data = (tmp_path / "one" / "tokens.bin").read_bytes()
    assert len(data) == 2 * first["tokens"]
    assert hashlib.sha256(data).hexdigest() == first["tokens_sha256"]
    assert json.loads((tmp_path / "one" / "corpus.json").read_text()) == first


def test_a_damaged_corpus_is_built_again(payload_python: Path, tmp_path: Path) -> None:
    first = build(payload_python, tmp_path)
    tokens = tmp_path / "tokens.bin"
    whole = tokens.read_bytes()
    tokens.write_bytes(whole[:-2])
    assert build(payload_python, tmp_path) == first
    assert tokens.read_bytes() == whole


def test_chinese_verse_is_read_and_manuals_are_not(payload_python: Path, tmp_path: Path) -> None:
    source = tmp_path / "fortunes"
    source.mkdir()
    (source / "tang300").write_text(FORTUNE, encoding="utf-8")
    manifest = build(payload_python, tmp_path / "zh", "--corpus", "zh", "--fortunes", str(source))
    verse = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"
    text = f"<|bos|><|user|>《静夜思》 作者：李白<|assistant|>{verse}<|eos|>"
    assert manifest["bytes"] == len(text.encode())
    assert manifest["sha256"] == hashlib.sha256(text.encode() + b"\0").hexdigest()


def test_missing_verse_names_the_package(payload_python: Path, tmp_path: Path) -> None:
    command = [payload_python, PAYLOADS / "corpus.py", "--corpus", "zh", "--fortunes", tmp_path / "none"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "apt-get install fortunes-zh" in done.stderr
    assert not (tmp_path / "corpus").exists()

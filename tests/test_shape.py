"""The shape of the code: sizes, docstrings, purity; a rule that is not checked does not hold."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "hutong"
MODULES = sorted([*SOURCE.rglob("*.py"), *(ROOT / "testbeds").rglob("*.py")])
MODULE_LINES = 400
FUNCTION_LINES = 70
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
# Written so that this file does not match itself.
MARKERS = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]))
REGISTRIES = re.compile(
    "|".join(["py" + r"pi\.org", "python" + r"hosted", "npm" + r"js\.", "deb" + r"ian\.org/debian"])
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_says_what_it_is_for_and_has_a_plain_name(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MODULE_LINES, f"{path} has {text.count(chr(10))} lines"
    tree = ast.parse(text)
    summary = (ast.get_docstring(tree) or "").strip()
    assert summary, f"{path} does not say what it is for"
    assert path.stem not in BANNED_NAMES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{path}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_undone_or_swallowed(path: Path) -> None:
    text = path.read_text()
    assert not MARKERS.search(text), f"{path} has an unfinished place"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            swallowed = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            broad = node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"}
            assert not (swallowed and broad), f"{path}:{node.lineno} swallows every error"


def test_no_tracked_text_names_a_package_registry() -> None:
    skipped = {
        ".venv",
        ".venv-payload",
        ".venv-ray",
        ".venv-jupyter",
        ".venv-focus",
        ".venv-accasim",
        ".git",
        "node_modules",
        ".mypy_cache",
        ".ruff_cache",
        "data",
        "dist",
    }
    for path in ROOT.rglob("*"):
        parts = set(path.relative_to(ROOT).parts)
        if parts & skipped or not path.is_file() or path.suffix in {".pyc", ".js", ".png"}:
            continue
        text = path.read_text(errors="ignore")
        assert not REGISTRIES.search(text), f"{path} names a package registry"


def test_every_room_of_the_core_stands_in_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each for each in contracts if each["id"] == "core")["layers"]
    named = {name.strip() for layer in layers for name in layer.split("|")}
    rooms = {path.parent.name for path in (SOURCE / "core").glob("*/__init__.py")}
    assert named == rooms


def test_decisions_are_numbered_without_gaps_and_say_what_they_decide() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(numbers) + 1))
    for path in records:
        text = path.read_text()
        for heading in ("## Context", "## Decision", "## Consequences", "## Rejected"):
            assert heading in text, f"{path.name} lacks {heading}"

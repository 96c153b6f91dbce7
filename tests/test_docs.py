"""The documents tell the truth: Python examples run, commands and links exist, settings are described."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from tests.clients.cli.tree import commands_of

from hutong.main import cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?:console|bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(hutong [a-z][^`]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
NAMED = re.compile(
    r"`((?:src|tests|docs|bench|examples|policies|scenarios|scripts|core|server|adapters|clients|wire)/[\w./-]+)`"
)


def commands() -> list[tuple[str, str]]:
    """Every `hutong ...` line in the documents, with its page."""
    found = []
    for page in PAGES:
        text = page.read_text()
        lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
        lines = [line.removeprefix("$ ").strip() for line in lines]
        found += [(page.name, line) for line in lines if line.startswith("hutong ")]
        found += [(page.name, line) for line in INLINE.findall(text)]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_that_a_page_shows_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line.split("#")[0].replace("...", ""))[1:]
    words = words[: words.index("--")] if "--" in words else words  # behind it stands somebody else's command
    command = typer.main.get_command(cli)
    while words and (commands := commands_of(command)) and not words[0].startswith("-"):
        assert words[0] in commands, f"{page}: hutong has no command {words[0]!r} ({line})"
        command, words = commands[words[0]], words[1:]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    for word in words:
        if word.startswith("-") and word != "-":
            assert word.split("=")[0] in known | {"--help"}, f"{page}: {line}: no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    for target in LINK.findall(text):
        assert (page.parent / target.strip()).exists(), f"{page.name} links to {target}"
    for name in NAMED.findall(text):
        assert (ROOT / name).exists() or (ROOT / "src" / "hutong" / name).exists(), (
            f"{page.name} names {name}"
        )

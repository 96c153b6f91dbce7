"""Reads an ignore file in the manner of git: which paths of a work folder stay at home."""

import re
from dataclasses import dataclass
from pathlib import Path

from hutong.core.kernel.errors import Problem, Refused

NAMES = (".hutongignore", ".skyignore", ".gitignore")
_ALWAYS = frozenset({".git"})
_MOST_RULES = 1000
_LONGEST = 200
_STARS = re.compile(r"\*{2,}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: what it matches, whether only folders, and whether it takes paths back in (`!`)."""

    pattern: re.Pattern[str]
    folders_only: bool
    keeps: bool


@dataclass(frozen=True, slots=True)
class Ignore:
    """The rules of one file, in order: the last that matches decides."""

    rules: tuple[Rule, ...] = ()

    def skips(self, name: str, *, is_folder: bool) -> bool:
        """True if a path, relative to the folder and with `/`, is left out (and all below it)."""
        if name.rpartition("/")[2] in _ALWAYS:
            return True
        for rule in reversed(self.rules):
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(name):
                return not rule.keeps
        return False


def read_ignore(folder: Path) -> Ignore:
    """Return the rules of the first of `.hutongignore`, `.skyignore` and `.gitignore` that the folder has."""
    for name in NAMES:
        path = folder / name
        if path.is_file():
            text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
            return parse_ignore(text, name)
    return Ignore()


def parse_ignore(text: str, name: str = NAMES[0]) -> Ignore:
    """Return the rules in the text of an ignore file; raises Refused `bad_workdir` with the line."""
    rules: list[Rule] = []
    for number, line in enumerate(text.splitlines(), 1):
        body = line.rstrip()
        if not body or body.startswith("#"):
            continue
        if len(body) > _LONGEST or len(rules) >= _MOST_RULES:
            message = f"{name}, line {number}: too long or too many"
            hint = f"at most {_MOST_RULES} patterns of {_LONGEST} characters"
            raise Refused("bad_workdir", f"{message}: {hint}", (Problem("/workdir", message, hint),))
        keeps = body.startswith("!")
        body = body.removeprefix("!").removeprefix("\\")
        folders_only = body.endswith("/")
        anchored = "/" in body.rstrip("/")
        body = body.strip("/")
        if body:
            prefix = "" if anchored else "(?:.*/)?"
            pattern = re.compile(prefix + _translate(body), re.DOTALL)
            rules.append(Rule(pattern, folders_only, keeps))
    return Ignore(tuple(rules))


def _translate(glob: str) -> str:
    """Return the regular expression of a pattern: `*` and `?` stay within a folder, `**` crosses them."""
    glob = _STARS.sub("**", glob)
    out: list[str] = []
    at = 0
    while at < len(glob):
        if glob.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif glob.startswith("**", at):
            out.append(".*")
            at += 2
        elif glob[at] == "*":
            out.append("[^/]*")
            at += 1
        elif glob[at] == "?":
            out.append("[^/]")
            at += 1
        elif glob[at] == "[" and (end := glob.find("]", at + 2)) > 0:
            out.append(_set_of(glob[at + 1 : end]))
            at = end + 1
        else:
            out.append(re.escape(glob[at]))
            at += 1
    return "".join(out)


def _set_of(body: str) -> str:
    """Return the expression of what stands in brackets; a range whose ends are swapped holds nothing."""
    other = body.startswith(("!", "^"))
    body = body[1:] if other else body
    items: list[str] = []
    at = 0
    while at < len(body):
        if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
            low, high = body[at], body[at + 2]
            items += [f"{re.escape(low)}-{re.escape(high)}"] if low <= high else []
            at += 3
        else:
            items.append(re.escape(body[at]))
            at += 1
    if not items:
        return "[^/]" if other else "(?!)"
    return f"(?!/)[{'^' if other else ''}{''.join(items)}]"

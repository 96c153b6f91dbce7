"""Sets, at the top of a script, the variables of another system that the script reads."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hutong.clients.sdk.importers.body_notes import also
from hutong.clients.sdk.importers.draft import Draft, Kept
from hutong.clients.sdk.importers.sbatch_script import Line


@dataclass(frozen=True, slots=True)
class Value:
    """What a variable is set to, as bash text; `kind` and `message` say how near that is to the original.

    `condition` is a command of bash: the variable is set only if it succeeds. Without text it is set anyway.
    """

    text: str
    message: str
    kind: Kept = Kept.SAME
    condition: str = ""


def set_names(
    lines: Sequence[Line],
    pattern: re.Pattern[str],
    values: Mapping[str, Value],
    absent: Mapping[str, str],
    draft: Draft,
) -> list[str]:
    """Return the lines of bash that set what the script mentions, and note each variable.

    `pattern` finds the names in a line; `absent` says of those without a value why they have none.
    """
    given = draft.document.get("envs")
    in_envs = set(given) if isinstance(given, dict) else set()
    found: dict[str, list[int]] = {}
    for line in lines:
        for name in pattern.findall(line.text):
            found.setdefault(name, []).append(line.number)
    made: list[str] = []
    for name, numbers in found.items():
        value = values.get(name)
        if name in in_envs:
            continue
        if value is None:
            draft.left_out(numbers[0], f"${name}", absent.get(name, "is not set here") + also(numbers))
            continue
        draft.note(numbers[0], value.kind, f"${name}", value.message + also(numbers))
        setting = f"export {name}={value.text}"
        if value.text:
            made.append(f"if {value.condition}; then {setting}; fi" if value.condition else setting)
    return made

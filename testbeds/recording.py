"""Writes an engine's answers down for parser tests, without what is this machine's own."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Recorder:
    """Writes files into one folder; `hide` maps patterns of what must not be kept to what stands for it."""

    def __init__(self, folder: Path, hide: dict[str, str]) -> None:
        self._folder = folder
        self._hide = [(re.compile(pattern), word) for pattern, word in hide.items()]
        folder.mkdir(parents=True, exist_ok=True)
        for old in [*folder.glob("*.json"), *folder.glob("*.jsonl"), *folder.glob("*.txt")]:
            old.unlink()

    def document(self, name: str, found: object) -> None:
        """Write one JSON document, indented."""
        self.text(f"{name}.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")

    def lines(self, name: str, found: Iterable[dict[str, Any]]) -> None:
        """Write JSON documents, one a line, as a watch brings them."""
        self.text(f"{name}.jsonl", "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in found))

    def text(self, name: str, found: str) -> None:
        """Write a text."""
        for pattern, word in self._hide:
            found = pattern.sub(word, found)
        (self._folder / name).write_text(found)

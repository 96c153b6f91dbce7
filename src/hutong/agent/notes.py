"""What an agent remembers over restarts: one JSON file for each part, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

import structlog

_log = structlog.get_logger("hutong.agent")


def keep(path: Path, state: object, lost: str) -> None:
    """Write a state durably; where the disk takes nothing, say what is lost by a restart and go on."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            file.write(json.dumps(state).encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        _log.warning(lost, path=str(path), why=str(error))


def kept(path: Path) -> dict[str, Any]:
    """Return the state that was written last; nothing where there is none, or it cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

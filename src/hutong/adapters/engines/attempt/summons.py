"""The supervisor's ear for callers: starts the attempt's relay when it is asked for, and again if it died.

Jobs that nobody calls have no relay, so nothing listens for them. Standard library only.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hutong.adapters.engines.attempt import box, files
from hutong.adapters.engines.attempt.launch import Launcher, met

_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to call, not to listen


class Summons:
    """Watches for the mark that an agent leaves; all its methods are for the supervisor's one thread."""

    def __init__(self, folder: Path, order: Mapping[str, Any], launcher: Launcher) -> None:
        self._folder = folder
        self._order = order
        self._launcher = launcher
        self._ranks: dict[str, dict[str, Any]] = {}
        self._relay: subprocess.Popen[bytes] | None = None

    def note(self, rank: int, view: box.View | None, env: Mapping[str, str]) -> None:
        """Keep what a command beside a rank gets: the same box, folder, limits and environment."""
        before = self._launcher.beside_rank(rank)
        if rank < 0 or before is None:
            return
        wanted = self._launcher.inherited
        mine = {name: value for name, value in os.environ.items() if name.startswith(wanted)}
        self._ranks[str(rank)] = {
            "argv": [*before, *(box.boxed(view, (), session=False) if view else ())],
            "env": self._launcher.inherit(env) if before else {**mine, **env},
            "work": str(self._folder / files.WORK),
            "limits": self._order["config"]["limits"],
        }

    def heed(self) -> None:
        """Start the relay if it is asked for and does not run."""
        mark = self._folder / files.RELAY_ASK
        if not self._ranks or not mark.exists():
            return
        mark.unlink(missing_ok=True)
        # The gang waits for all children; a relay that has died is out of the table at once.
        if self._relay is not None and Path(f"/proc/{self._relay.pid}").exists():
            return
        host: str = self._order["config"]["service_host"]
        script = Path(__file__).resolve().with_name("relay.py")
        plan = {
            "key": self._order["key"],
            "token": os.urandom(32).hex(),
            "address": next((each["address"] for each in met(self._folder, 1)), ""),
            "asker": self._launcher.asker,
            "pattern": self._launcher.pattern,
            "host": _ANYWHERE.get(host, host),
            "ranks": self._ranks,
        }
        told = os.memfd_create("plan")  # it holds the job's environment: memory, not a file
        try:
            with os.fdopen(os.dup(told), "wb") as file:
                file.write(json.dumps(plan).encode())
            os.lseek(told, 0, os.SEEK_SET)
            self._relay = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script), str(self._folder)],
                stdin=told,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={**os.environ, "HUTONG_KEY": self._order["key"]},
                start_new_session=True,
            )
        finally:
            os.close(told)

"""The token that slurmrestd wants: read from a file or printed by a command, and again before it ends."""

import base64
import json
import os
import subprocess
from collections.abc import Callable

from hutong.adapters.engines.slurm.config import RestConfig
from hutong.core.kernel.errors import Later

_EARLY_S = 60
_READ_AGAIN_S = 300
_COMMAND_S = 30


class Token:
    """One user's token. `clock` gives UTC milliseconds."""

    def __init__(self, config: RestConfig, clock: Callable[[], int]) -> None:
        self._config = config
        self._clock = clock
        self._value = ""
        self._until_s = 0.0

    def value(self) -> str:
        """Return a token that is good for a while. Raises Later if there is none."""
        if self._clock() / 1000 >= self._until_s:
            self._value = self._read()
            ends_s = expiry_s(self._value)
            now_s = self._clock() / 1000
            self._until_s = min(ends_s - _EARLY_S, now_s + _READ_AGAIN_S) if ends_s else now_s + _READ_AGAIN_S
        return self._value

    def doubt(self) -> None:
        """Have it read again: it was not taken, or so it seems."""
        self._until_s = 0.0

    def _read(self) -> str:
        config = self._config
        try:
            if config.token_file:
                text = config.token_file.read_text(encoding="utf-8")
            else:
                done = subprocess.run(
                    config.token_command, capture_output=True, text=True, timeout=_COMMAND_S, check=False,
                    env=dict(os.environ),
                )  # fmt: skip
                text = done.stdout if done.returncode == 0 else ""
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise Later(f"no token for slurmrestd: {error}", 30) from error
        # What scontrol token prints: SLURM_JWT=...
        words = text.split()
        if not words:
            raise Later("no token for slurmrestd: nothing was printed, or the file is empty", 30)
        return words[-1].removeprefix("SLURM_JWT=")


def expiry_s(token: str) -> float:
    """Return when a JSON web token ends, in UTC seconds; 0 if it does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return 0.0
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        ends = claims.get("exp", 0) if isinstance(claims, dict) else 0
        return float(ends)
    except (ValueError, TypeError, RecursionError):
        return 0.0

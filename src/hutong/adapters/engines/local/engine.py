"""The local engine: attempts as plain processes of this machine, each under a supervisor of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hutong.adapters.engines.attempt import files, supervise, tree
from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.attempt.engine import FolderEngine, claimed
from hutong.adapters.engines.attempt.programs import collect_programs, install_payloads, install_programs
from hutong.adapters.engines.base import Abilities, Order, Receipt, Seen
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.states import AttemptState

_BEGIN_WITHIN_S = 30.0
_DEAD = supervise.Verdict(
    "FAILED", "infra", "the supervisor of this attempt died, or the machine was restarted"
)


class LocalEngine(FolderEngine):
    """Runs attempts below `config.root`, which must lie on a local file system."""

    def __init__(self, config: FolderConfig, clock: Callable[[], int]) -> None:
        programs = config.root.resolve() / "programs"
        payloads = install_payloads(config.payloads, programs)
        super().__init__(replace(config, payloads=payloads), clock)
        self._program = install_programs(programs) / "supervise.py"
        collect_programs(programs, (self._program, payloads), self._attempts)
        self.abilities = Abilities(gangs=True, services=True, isolation="bwrap" if self._boxed else "none")

    def submit(self, order: Order) -> Receipt:
        """Start the attempt under a supervisor, or adopt it; it has begun, durably, when this returns."""
        folder = self._claim(order.key)
        if folder is None:
            return Receipt(order.key, adopted=True)
        deadline = time.monotonic() + _BEGIN_WITHIN_S
        while not claimed(folder):
            self._write_order(folder, order, {"kind": "local", "program": str(self._program)})
            code, text = self._spawn(folder, order)
            if code == 0:
                return Receipt(order.key, adopted=False)
            if code != supervise.BUSY:
                raise Later(f"{order.key}: the supervisor did not begin (code {code}) {text}".strip(), 5)
            if time.monotonic() > deadline:
                raise Later(f"{order.key}: another process holds the attempt's folder", 5)
            time.sleep(0.02)
        return Receipt(order.key, adopted=True)

    counts = "CPU time of the ranks' processes, one core a card"

    def busy_ms(self, keys: Sequence[AttemptKey]) -> Mapping[AttemptKey, int]:
        """Return the CPU time of attempts whose cards are cores; nothing counts other cards here."""
        found = {}
        for key in keys:
            folder = self._attempts / key
            began = files.read_json(folder / files.BEGAN)
            order = files.read_json(folder / files.ORDER)
            if began and order and order.get("accelerator") == "CPU":
                found[key] = tree.cpu_ms(int(began["pid"]))
        return found

    def _spawn(self, folder: Path, order: Order) -> tuple[int, str]:
        given = json.dumps({"secrets": dict(order.secrets), "complete": True}).encode()
        notes = folder / files.NOTES
        try:
            with notes.open("ab") as sink:
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(self._program), str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,  # its end tells of the answer sooner than waiting would
                    stderr=sink,
                    cwd="/",
                    env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                    start_new_session=True,
                )
            with child:
                try:
                    child.communicate(given, timeout=_BEGIN_WITHIN_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                    return supervise.FAILED, "no answer"
        except OSError as error:
            raise Later(f"{order.key}: no supervisor could be started: {error}", 5) from error
        return child.returncode, notes.read_text(errors="replace")[-500:]

    def _look(self, key: AttemptKey) -> Seen | None:
        """Return what the folder says; None for a claim that never began: nothing runs, nothing ran."""
        folder = self._attempts / key
        seen = self._seen_end(key)
        if seen is not None:
            return seen
        if not (folder / files.BEGAN).exists() and not (folder / files.STOP).exists():
            return None
        self._settle(folder, key)
        return self._seen_end(key) or self._seen(key, AttemptState.STARTING)

    def _settle(self, folder: Path, key: AttemptKey) -> None:
        """Write the end of an attempt that has no supervisor; nothing while it has one."""
        with files.locked(folder) as mine:
            if not mine or (folder / files.END).exists():
                return
            stop = files.read_json(folder / files.STOP)
            if (folder / files.BEGAN).exists():
                # None of what a dead supervisor left may go on running unseen.
                if tree.end_all(lambda: tree.carrying(key), lambda: None):
                    self._write_end(key, _DEAD)
            elif stop is not None:
                self._write_end(key, supervise.stop_verdict(stop), stop["at_ms"])
